"""Tell whether a request was signed just now by somebody who knows a secret, and is seen for the first time.

Grafana's webhook contact point signs so: the hexadecimal HMAC-SHA256 of the time in Unix seconds, a colon and the body.
"""

import hmac
from collections.abc import Callable, Sequence
from hashlib import sha256
from threading import Lock

from werkzeug.exceptions import Conflict, Unauthorized

from collector_processor.clock import MINUTE, NANOS_PER_SECOND

SIGNATURE_HEADER = "X-Grafana-Alerting-Signature"
TIMESTAMP_HEADER = "X-Grafana-Alerting-Timestamp"

SKEW = 5 * MINUTE
"""How far a signature's time may be from ours."""

_LONGEST_TIMESTAMP = 12


class Signatures:
    """Checks signatures by the few secrets there are at the time; signed bodies seen lately are remembered."""

    def __init__(self, secrets: Callable[[], Sequence[bytes]]) -> None:
        self._secrets = secrets
        self._seen: dict[str, int] = {}
        self._lock = Lock()

    @property
    def are_known(self) -> bool:
        """Whether there is a secret at all."""
        return bool(self._secrets())

    def check(self, signature: str, timestamp: str, body: bytes, now: int) -> None:
        """Return if this is signed well, lately, and came in for the first time.

        Raises:
            Unauthorized: if it is not signed, wrongly, or too long ago.
            Conflict: if the same was taken before.
        """
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _LONGEST_TIMESTAMP):
            raise Unauthorized(f"{TIMESTAMP_HEADER} should be Unix seconds: set the timestamp header of the HMAC")
        signed = timestamp.encode() + b":" + body
        digests = [hmac.new(secret, signed, sha256).hexdigest() for secret in self._secrets()]
        presented = signature.strip().lower().encode(errors="replace")
        matches = [hmac.compare_digest(digest.encode(), presented) for digest in digests]
        if not any(matches):
            raise Unauthorized(f"{SIGNATURE_HEADER} is no signature of this body by a known secret")
        if abs(now - int(timestamp) * NANOS_PER_SECOND) > SKEW:
            raise Unauthorized(f"signed more than {SKEW // MINUTE} minutes from now: are both clocks right?")
        self._remember(_digest(signed), now)

    def forget(self, body: bytes, timestamp: str) -> None:
        """Let the same be taken after all, because it could not be kept now."""
        with self._lock:
            self._seen.pop(_digest(timestamp.encode() + b":" + body), None)

    def _remember(self, digest: str, now: int) -> None:
        with self._lock:
            for old in [each for each, at in self._seen.items() if now - at > 2 * SKEW]:
                del self._seen[old]
            if digest in self._seen:
                raise Conflict("the same signed notification was taken before")
            self._seen[digest] = now


def _digest(signed: bytes) -> str:
    return sha256(signed).hexdigest()
