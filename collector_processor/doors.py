"""The three doors of a process as its configuration wants them: OTLP over gRPC, OTLP over HTTP, and Grafana's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Thread

import grpc

from collector_processor.clock import Clock
from collector_processor.config import Config
from collector_processor.config.security import SecurityConfig
from collector_processor.consumer import Consumer
from collector_processor.ledger import Ledger
from collector_processor.notices import NoticeDesk
from collector_processor.otlp.gate import Authorize, Entrance, Gate, Ingest, Refusal, into_ledger
from collector_processor.otlp.http_receiver import HttpReceiver, HttpSettings
from collector_processor.otlp.json_request import JSON_WEIGHT, MAX_JSON_BYTES
from collector_processor.otlp.receiver import GrpcReceiver, ReceiverSettings
from collector_processor.pipeline import SeriesDesk
from collector_processor.policy import Policies, PoliciesInForce
from collector_processor.security.certificates import Certificate, Certificates
from collector_processor.security.tokens import Permission, Scope, Tokens
from collector_processor.store.head import Head
from collector_processor.store.reader import KnownSeries
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.feedback import Feedback, Said
from collector_processor.telemetry.notice import Notice
from collector_processor.web.listening import cannot_listen
from collector_processor.web.server import WebSettings
from collector_processor.web.tls import TlsContext
from grafana_datasource.app import Server, create_app, serve
from grafana_datasource.app import Settings as GrafanaSettings
from grafana_datasource.feedback import FeedbackDoor
from grafana_datasource.hooks.routes import HookDoor
from grafana_datasource.outlook import KnownFleet

_REFUSALS = {
    Permission.GRANTED: None,
    Permission.UNAUTHENTICATED: Refusal.UNAUTHENTICATED,
    Permission.FORBIDDEN: Refusal.FORBIDDEN,
}
_THREADS_TO_WAIT = 192  # gRPC takes one for every call whose message is still on its way
_THREADS_TO_REFUSE = 16


@dataclass(frozen=True, slots=True)
class Locks:
    """Who may come in, and the certificate of the doors; None is plain text."""

    tokens: Tokens
    certificates: Certificates | None

    @classmethod
    def of(cls, security: SecurityConfig) -> "Locks":
        """Read tokens and certificates.

        Raises:
            ConfigError: if a file is missing, unreadable, writable by others, or not what it should be.
        """
        tls = security.tls
        certificates = None
        if tls.cert_file is not None and tls.key_file is not None:
            certificates = Certificates(tls.cert_file, tls.key_file, tls.client_ca_file)
        return cls(Tokens(given_tokens(security), security.tokens_file), certificates)

    @property
    def tls(self) -> TlsContext | None:
        """Return what gives the context of Python's own servers, None for plain text."""
        certificates = self.certificates
        return None if certificates is None else lambda: certificates.current().context

    @property
    def credentials(self) -> grpc.ServerCredentials | None:
        """Return what gRPC asks for, None for plain text; it asks for the certificate at every new connection."""
        certificates = self.certificates
        if certificates is None:
            return None
        return grpc.dynamic_ssl_server_credentials(
            _configuration(certificates.current()),
            lambda: _configuration(certificates.current()),
            require_client_authentication=certificates.asks_for_clients,
        )

    def authorize(self, authorization: str | None) -> Refusal | None:
        """Tell why a sender of telemetry may not come in."""
        return _REFUSALS[self.tokens.check(authorization, Scope.INGEST)]


def given_tokens(security: SecurityConfig) -> dict[Scope, list[str]]:
    """Return the tokens that stand in the configuration itself."""
    return {scope: [t.get_secret_value() for t in getattr(security.tokens, scope)] for scope in Scope}


@dataclass(frozen=True, slots=True)
class OtlpDoors:
    """Both OTLP doors and the gate behind them."""

    gate: Gate
    grpc: GrpcReceiver
    http: HttpReceiver


def otlp_doors(config: Config, locks: Locks, ingest: Ingest, ledger: Ledger) -> OtlpDoors:
    """Build the doors for telemetry; neither listens yet.

    The gate admits one request of the largest size, or many smaller ones. As many as the consumer takes in one
    micro-batch: handlers wait for its commit, and with fewer places senders are refused while nothing is overloaded.
    """
    receiver = config.receiver
    gate = Gate(receiver.max_in_flight, max(receiver.max_message, MAX_JSON_BYTES * JSON_WEIGHT))
    entrance = Entrance(gate, ingest, into_ledger(ledger))
    places = receiver.max_in_flight
    authorize: Authorize = locks.authorize
    grpc_settings = ReceiverSettings(
        listen=receiver.listen,
        max_message_bytes=receiver.max_message,
        threads=places + _THREADS_TO_WAIT,
        credentials=locks.credentials,
    )
    http_settings = HttpSettings(
        listen=receiver.http_listen,
        max_message_bytes=receiver.max_message,
        web=WebSettings(threads=places + _THREADS_TO_REFUSE, max_buffered_bytes=4 * receiver.max_message),
        tls=locks.tls,
    )
    return OtlpDoors(
        gate, GrpcReceiver(grpc_settings, entrance, authorize), HttpReceiver(http_settings, entrance, authorize)
    )


def grafana_door(
    config: Config,
    locks: Locks,
    clock: Clock,
    not_ready: Callable[[], str],
    metrics_text: Callable[[], bytes],
    has_memory: Callable[[], bool] = lambda: True,
    feedback: FeedbackDoor | None = None,
    hooks: HookDoor | None = None,
    known: KnownSeries | None = None,
    known_fleet: KnownFleet | None = None,
    policies: PoliciesInForce | None = None,
) -> Server:
    """Serve the Grafana side of the configured store.

    Raises:
        ConfigError: if the address can't be listened on.
    """
    app = create_app(
        GrafanaSettings(
            open_reader=partial(open_reader, config.store.directory, known, Head()),
            clock=clock,
            not_ready=not_ready,
            metrics_text=metrics_text,
            has_memory=has_memory,
            may_read=partial(_may, locks, Scope.READ) if locks.tokens.is_required else None,
            may_answer=partial(_may, locks, Scope.ADMIN) if locks.tokens.is_required else None,
            may_notify=partial(_may, locks, Scope.HOOK) if locks.tokens.is_required else None,
            feedback=feedback,
            hooks=hooks,
            known_fleet=known_fleet,
            policies=policies or PoliciesInForce(Policies(config.policies)),
        )
    )
    host, _, port = config.grafana.listen.rpartition(":")
    try:
        server = serve(app, host.strip("[]"), int(port), tls=locks.tls)
    except OSError:
        raise cannot_listen("grafana.listen", config.grafana.listen) from None
    Thread(target=app.extensions["foreband"].warm, name="first-outlook", daemon=True).start()
    return server


def feedback_door(consumer: Consumer, desk: SeriesDesk) -> FeedbackDoor:
    """Return what hands answers of people to the thread that owns the series."""

    def give(said: Said) -> Feedback:
        given: Feedback = consumer.call(lambda now: desk.answer(said, now)).result()
        return given

    def take_back(feedback_id: str, by: str) -> Feedback:
        undone: Feedback = consumer.call(lambda now: desk.take_back(feedback_id, by, now)).result()
        return undone

    return FeedbackDoor(give, take_back)


def hook_door(consumer: Consumer, desk: NoticeDesk, security: Callable[[], SecurityConfig]) -> HookDoor:
    """Return what hands notices to the thread that owns the writer; secrets are those in force when one comes."""

    def keep(notices: Sequence[Notice]) -> int:
        new: int = consumer.call(lambda _now: desk.take(notices)).result()
        return new

    def secrets() -> list[bytes]:
        return [secret.get_secret_value().encode() for secret in security().hook_secrets]

    return HookDoor(keep, desk.count, secrets)


def _may(locks: Locks, scope: Scope, token: str) -> bool:
    return locks.tokens.check_token(token, scope) is Permission.GRANTED


def _configuration(certificate: Certificate) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(certificate.key, certificate.chain)], certificate.client_ca)
