"""Settings of who may come in; `settings.py` is the reference of all others."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from collector_processor.config.sections import Section
from collector_processor.errors import ConfigError
from collector_processor.security.tokens import MIN_TOKEN_LENGTH


class TlsConfig(Section):
    """The certificate of all doors; files are read again when they change."""

    cert_file: Path | None = Field(None, description="PEM chain; with it all three doors speak TLS only")
    key_file: Path | None = Field(None, description="PEM key, not encrypted")
    client_ca_file: Path | None = Field(None, description="PEM; only clients with a certificate of this authority")


Token = Annotated[SecretStr, Field(min_length=MIN_TOKEN_LENGTH)]


class TokensConfig(Section):
    """Bearer tokens by what they are for; with one of them nobody comes in without."""

    ingest: list[Token] = Field([], description="tokens that may send telemetry")
    read: list[Token] = Field([], description="tokens that may ask: Grafana, browsers, `/metrics`")
    hook: list[Token] = Field([], description="tokens that may notify of alerts at `/hooks/alertmanager`")
    admin: list[Token] = Field([], description="tokens that may do all of it, and answer episodes")


class SecurityConfig(Section):
    """Loopback only, unless told otherwise."""

    tls: TlsConfig = TlsConfig()
    tokens: TokensConfig = TokensConfig()
    tokens_file: Path | None = Field(None, description="more tokens, a line each: `scope token`; read when it changes")
    hook_secrets: list[Token] = Field([], description="secrets (HMAC) by which Grafana signs for `/hooks/grafana`")
    allow_insecure_bind: bool = Field(False, description="listen beyond loopback without TLS and authentication")

    def check_complete(self) -> None:
        """Raise a ConfigError where a part of TLS is missing."""
        if (self.tls.cert_file is None) != (self.tls.key_file is None):
            raise ConfigError("security.tls: cert_file and key_file belong together")
        if self.tls.client_ca_file is not None and self.tls.cert_file is None:
            raise ConfigError("security.tls: client_ca_file needs cert_file and key_file")

    @property
    def asks_for_tokens(self) -> bool:
        """Whether nobody comes in without a token."""
        tokens = self.tokens
        return bool(tokens.ingest or tokens.read or tokens.hook or tokens.admin or self.tokens_file)

    @property
    def allows_other_machines(self) -> bool:
        """Whether a door may open beyond loopback."""
        is_secure = self.tls.cert_file is not None and (self.asks_for_tokens or self.tls.client_ca_file is not None)
        return is_secure or self.allow_insecure_bind
