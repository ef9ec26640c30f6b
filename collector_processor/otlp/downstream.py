"""A downstream by its protocol, and the question whether it is this very process."""

from collector_processor.errors import PermanentError
from collector_processor.ledger import Signal
from collector_processor.otlp.endpoint import LOOP_TEXT, Downstream, Endpoint, Fate, Reply
from collector_processor.otlp.grpc_downstream import GrpcDownstream
from collector_processor.otlp.http_downstream import HttpDownstream


def open_downstream(endpoint: Endpoint) -> Downstream:
    """Return a downstream of an endpoint; it connects when it is first used.

    Raises:
        ConfigError: if the endpoint is none.
    """
    return HttpDownstream(endpoint) if endpoint.protocol == "http" else GrpcDownstream(endpoint)


def probe(endpoint: Endpoint, signal: Signal = Signal.METRICS) -> Reply:
    """Send an empty request, which every OTLP endpoint must take.

    Raises:
        PermanentError: if the endpoint recognised the instance id as its own: forwarding would go round in a loop.
    """
    downstream = open_downstream(endpoint)
    try:
        reply = downstream.send(signal, b"")
    finally:
        downstream.close()
    if reply.fate is Fate.REFUSED and LOOP_TEXT in reply.details:
        raise PermanentError(f"forwarding to {endpoint.url} is refused there: {reply.details}")
    return reply
