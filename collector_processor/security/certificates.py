"""The certificate this process is known by, and the authority whose clients it lets in."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from collector_processor.errors import ConfigError
from collector_processor.security.files import Reloaded


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the files held when they were read last; `context` is for servers of Python's own."""

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    context: ssl.SSLContext


class Certificates:
    """A certificate, its key and perhaps a client authority, read again when their files change."""

    def __init__(self, cert_file: Path, key_file: Path, client_ca_file: Path | None = None) -> None:
        self.asks_for_clients = client_ca_file is not None
        self._cert_file, self._key_file, self._client_ca_file = cert_file, key_file, client_ca_file
        paths = [cert_file, key_file, *([client_ca_file] if client_ca_file else [])]
        self._files = Reloaded(paths, self._read)

    def current(self) -> Certificate:
        """Return the certificate in force."""
        return self._files.current()

    def _read(self) -> Certificate:
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self._client_ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
            context.load_cert_chain(self._cert_file, self._key_file, password=_no_password)
            if self._client_ca_file:
                context.verify_mode = ssl.CERT_REQUIRED
            client_ca = self._client_ca_file.read_bytes() if self._client_ca_file else None
            return Certificate(self._cert_file.read_bytes(), self._key_file.read_bytes(), client_ca, context)
        except (OSError, ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"security.tls: {self._cert_file} and {self._key_file}: {reason}") from None


def _no_password() -> str:
    raise ValueError("the key is encrypted; give it without a password")
