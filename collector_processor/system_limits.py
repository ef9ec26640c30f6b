"""What the system lets this process have: raised as far as it may be, and refused where that is too little."""

import logging
import resource

from collector_processor.errors import ConfigError

log = logging.getLogger(__name__)

_MAX_FILES = 65_536
_MIB = 1 << 20
_LIBRARIES, _STACK = 768 * _MIB, 8 * _MIB


def allow_many_files() -> None:
    """Let connections have the file descriptors an operator allows, not only those a shell begins with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def require_address_space(in_flight: int, memory_limit: int) -> None:
    """Find out whether libraries, the stacks of all threads, and the memory that may be used fit into RLIMIT_AS.

    Where they do not, threads cannot be started, and gRPC's core ends the process in the middle of its work.

    Raises:
        ConfigError: if it could not even start.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    least = _LIBRARIES + _STACK * in_flight
    if limit == resource.RLIM_INFINITY or limit >= least + memory_limit:
        return
    said = f"the address space is limited to {limit // _MIB} MiB (ulimit -v, RLIMIT_AS)"
    if limit < least:
        raise ConfigError(f"{said} and {least // _MIB} MiB are needed to start: lift it, memory.limit bounds memory")
    fitting = (limit - least) // _MIB
    log.warning("%s: with memory.limit above %d MiB the process may be ended before it gives way", said, fitting)
