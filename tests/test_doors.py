"""Three doors with locks: TLS, tokens and client certificates against a whole Foreband, and what stays open."""

import json
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import grpc
import pytest
import trustme
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from collector_processor.config import load_config
from collector_processor.doors import Locks
from collector_processor.errors import ConfigError
from collector_processor.ledger import Signal
from collector_processor.otlp.receiver import EXPORT_METHODS
from collector_processor.security import files
from collector_processor.store.sqlite import open_reader
from tests.house import House
from tests.raw_http import Answer, is_closed, posted, read_answer

INGEST, READ = "ingest-" + "i" * 16, "read-" + "r" * 16


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@dataclass
class Files:
    """A certificate on disk, and what a client needs to trust it."""

    directory: Path
    authority: trustme.CA

    def renew(self, name: str = "localhost", authority: trustme.CA | None = None) -> None:
        issued = (authority or self.authority).issue_cert(name, "127.0.0.1")
        for file, blob in ((self.cert, issued.cert_chain_pems[0]), (self.key, issued.private_key_pem)):
            blob.write_to_path(str(file))
            file.chmod(0o600)
        self.authority.cert_pem.write_to_path(str(self.ca))

    @property
    def cert(self) -> Path:
        return self.directory / "cert.pem"

    @property
    def key(self) -> Path:
        return self.directory / "key.pem"

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def settings(self) -> list[str]:
        return [f"security.tls.cert_file={self.cert}", f"security.tls.key_file={self.key}"]

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Files:
    files = Files(tmp_path_factory.mktemp("pem"), authority)
    files.renew()
    return files


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, pem: Files) -> Iterator[House]:
    tokens = [f"security.tokens.ingest=[{INGEST}]", f"security.tokens.read=[{READ}]"]
    house = House(tmp_path_factory.mktemp("house"), *pem.settings, *tokens)
    yield house
    house.close()


def get(house: House, path: str, context: ssl.SSLContext, **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(f"https://{house.addresses.http}{path}", headers=named)
    try:
        with urlopen(request, timeout=10, context=context) as response:
            return response.status, response.headers
    except HTTPError as error:
        with error:
            json.loads(error.read())
            return error.code, error.headers


def tls_exchange(address: str, request: bytes, context: ssl.SSLContext) -> Answer:
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(request)
        return read_answer(connection)


def grpc_code(house: House, credentials: grpc.ChannelCredentials | None, *metadata: tuple[str, str]) -> Any:
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    target = house.addresses.otlp
    channel = (
        grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target, options)
    )
    with channel:
        return (
            channel.unary_unary(EXPORT_METHODS[Signal.METRICS], None, None)
            .future(b"", timeout=10, metadata=metadata)
            .code()
        )


def trusting(pem: Files, client: trustme.LeafCert | None = None) -> grpc.ChannelCredentials:
    trusted = pem.authority.cert_pem.bytes()
    if client is None:
        return grpc.ssl_channel_credentials(trusted)
    return grpc.ssl_channel_credentials(trusted, client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes())


def test_telemetry_comes_in_over_tls_with_the_right_token(house: House, pem: Files) -> None:
    assert grpc_code(house, trusting(pem), ("authorization", f"Bearer {INGEST}")) is grpc.StatusCode.OK
    request = posted("/v1/metrics", b"", authorization=f"Bearer {INGEST}")
    assert tls_exchange(house.addresses.otlp_http, request, pem.context()).code == 200


@pytest.mark.parametrize(
    ("header", "code", "http"),
    [
        (None, grpc.StatusCode.UNAUTHENTICATED, 401),
        ("Bearer nobody", grpc.StatusCode.UNAUTHENTICATED, 401),
        (f"Bearer {READ}", grpc.StatusCode.PERMISSION_DENIED, 403),
    ],
)
def test_telemetry_without_the_right_token_is_refused_and_counted(
    house: House, pem: Files, header: str | None, code: grpc.StatusCode, http: int
) -> None:
    before = house.foreband.ledger.row(Signal.METRICS)
    metadata = [("authorization", header)] if header else []
    assert grpc_code(house, trusting(pem), *metadata) is code
    request = posted("/v1/metrics", b"\xff" * 100, **dict(metadata))
    answer = tls_exchange(house.addresses.otlp_http, request, pem.context())
    assert (answer.code, answer.status().code) == (http, code.value[0])
    after = house.foreband.ledger.row(Signal.METRICS)
    assert (after.received, after.stored) == (before.received + 2, before.stored)


def test_who_speaks_no_tls_is_not_heard(house: House) -> None:
    assert grpc_code(house, None, ("authorization", f"Bearer {INGEST}")) is grpc.StatusCode.UNAVAILABLE
    for address in (house.addresses.otlp_http, house.addresses.http):
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(posted("/v1/metrics", b""))
            assert is_closed(connection)


def test_a_client_that_does_not_know_the_authority_goes_away(house: House) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        tls_exchange(house.addresses.otlp_http, posted("/v1/metrics", b""), ssl.create_default_context())


def test_everything_but_the_page_and_its_health_asks_for_a_read_token(house: House, pem: Files) -> None:
    context = pem.context()
    rules = grafana_rules(house)
    assert len(rules) > 20
    for path in rules:
        assert get(house, path, context)[0] == 401, path
    for path in ("/", "/healthz", "/favicon.ico", "/runbooks", "/runbooks/silence"):
        assert get(house, path, context)[0] == 200


def grafana_rules(house: House) -> list[str]:
    """Return an address for every route that tells something."""
    from grafana_datasource.app import Settings, create_app

    app = create_app(Settings(lambda: open_reader(house.directory)))
    endpoints = {"healthz", "page.index", "page.asset", "page.favicon", "runbooks.all", "runbooks.one"}
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint not in endpoints]
    return sorted({re.sub("<[^>]*>", "1", rule.rule) for rule in rules if "GET" in (rule.methods or ())})


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": f"Bearer {READ}"}, 200),
        ({"X_Foreband_Token": READ}, 200),
        ({"Authorization": "Basic eDp5", "X_Foreband_Token": READ}, 200),
        ({"Authorization": f"Bearer {INGEST}"}, 401),
        ({"X_Foreband_Token": INGEST}, 401),
        ({"X_Grafana_User": "admin", "X_Forwarded_For": "127.0.0.1"}, 401),
    ],
)
def test_a_read_token_opens_the_grafana_side(house: House, pem: Files, headers: dict[str, str], code: int) -> None:
    for path in ("/readyz", "/metrics", "/prom/api/v1/labels", "/api/v1/catalog"):
        found, answered = get(house, path, pem.context(), **headers)
        assert found == code, path
        assert code == 200 or answered["WWW-Authenticate"] == "Bearer"


def test_the_official_exporters_come_in(house: House, pem: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # which requests would rather believe
        monkeypatch.delenv(name, raising=False)
    headers = {"authorization": f"Bearer {INGEST}"}
    before = house.foreband.ledger.row(Signal.TRACES).received
    exporters = [
        GrpcSpanExporter(f"https://{house.addresses.otlp}", credentials=trusting(pem), headers=headers),
        HttpSpanExporter(
            f"https://{house.addresses.otlp_http}/v1/traces", certificate_file=str(pem.ca), headers=headers
        ),
    ]
    for exporter in exporters:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        provider.get_tracer("lib").start_span("GET /").end()
        provider.shutdown()
    assert house.foreband.ledger.row(Signal.TRACES).received == before + 2


def test_fifty_silent_clients_harm_nobody(house: House, pem: Files) -> None:
    host, _, port = house.addresses.otlp_http.rpartition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(50)]
    request = posted("/v1/metrics", b"", authorization=f"Bearer {INGEST}")
    assert tls_exchange(house.addresses.otlp_http, request, pem.context()).code == 200
    for connection in silent:
        connection.close()


def test_large_bodies_come_through(house: House, pem: Files) -> None:
    unknown_field = b"\xc2\x3e\xfb\xff\x3f" + bytes((1 << 20) - 5)
    request = posted("/v1/metrics", unknown_field, authorization=f"Bearer {INGEST}")
    assert tls_exchange(house.addresses.otlp_http, request, pem.context()).code == 200


def test_no_secret_is_told_anywhere(house: House, pem: Files, caplog: pytest.LogCaptureFixture) -> None:
    from collector_processor.config import describe

    shown = describe(house.foreband.config) + repr(house.foreband.config) + repr(vars(house.foreband._locks.tokens))
    answers = tls_exchange(house.addresses.otlp_http, posted("/v1/metrics", b"", authorization=READ), pem.context())
    for secret in (INGEST, READ, "PRIVATE KEY"):
        assert secret not in shown + caplog.text + repr(answers) + repr(house.foreband._locks.certificates)


def test_a_renewed_certificate_is_shown_to_the_next_client(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.Reloaded.__init__, "__kwdefaults__", {"look_every": 0.0})
    old, new = Files(tmp_path, authority), Files(tmp_path, trustme.CA())
    old.renew()
    house = House(tmp_path / "house", *old.settings)
    try:
        assert tls_exchange(house.addresses.otlp_http, posted("/v1/metrics", b""), old.context()).code == 200
        assert grpc_code(house, trusting(old)) is grpc.StatusCode.OK
        new.renew()
        assert tls_exchange(house.addresses.otlp_http, posted("/v1/metrics", b""), new.context()).code == 200
        assert grpc_code(house, trusting(new)) is grpc.StatusCode.OK
        with pytest.raises(ssl.SSLCertVerificationError):
            tls_exchange(house.addresses.otlp_http, posted("/v1/metrics", b""), old.context())
        new.cert.write_text("broken")
        assert tls_exchange(house.addresses.otlp_http, posted("/v1/metrics", b""), new.context()).code == 200
    finally:
        house.close()


def test_with_a_client_authority_only_its_clients_come_in(tmp_path: Path, authority: trustme.CA) -> None:
    pem = Files(tmp_path, authority)
    pem.renew()
    house = House(tmp_path / "house", *pem.settings, f"security.tls.client_ca_file={pem.ca}")
    ours, foreign = authority.issue_cert("client"), trustme.CA().issue_cert("client")
    try:
        for client, is_let_in in ((ours, True), (foreign, False), (None, False)):
            context = pem.context()
            if client is not None:
                client.configure_cert(context)
            code = grpc_code(house, trusting(pem, client))
            assert code is (grpc.StatusCode.OK if is_let_in else grpc.StatusCode.UNAVAILABLE)
            if is_let_in:
                assert get(house, "/readyz", context)[0] == 200
                assert tls_exchange(house.addresses.otlp_http, posted("/v1/metrics", b""), context).code == 200
            else:
                with pytest.raises((OSError, IndexError)):  # TLS 1.3: told with the first answer
                    tls_exchange(house.addresses.otlp_http, posted("/v1/metrics", b""), context)
    finally:
        house.close()


def problem_with(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Locks.of(load_config(overrides=overrides, environ={}).security)
    return str(caught.value)


def test_a_certificate_that_cannot_be_used_is_refused(tmp_path: Path, pem: Files, authority: trustme.CA) -> None:
    other = Files(tmp_path, authority)
    other.renew()
    key = f"security.tls.key_file={pem.key}"
    assert "KEY_VALUES_MISMATCH" in problem_with(f"security.tls.cert_file={other.cert}", key)
    assert "cannot be read" in problem_with("security.tls.cert_file=/nowhere", key)
    assert "belong together" in problem_with(key)
    assert "client_ca_file needs" in problem_with(f"security.tls.client_ca_file={pem.ca}")
    other.key.chmod(0o666)
    assert "others may write it" in problem_with(*other.settings)


@pytest.mark.parametrize("door", ["receiver.listen", "receiver.http_listen", "grafana.listen"])
def test_beyond_loopback_needs_tls_and_somebody_to_recognise(pem: Files, door: str) -> None:
    bind, tokens = f"{door}='0.0.0.0:0'", f"security.tokens.ingest=[{INGEST}]"
    client_ca = f"security.tls.client_ca_file={pem.ca}"
    for overrides in ([], [tokens], pem.settings):
        assert door in problem_with(bind, *overrides)
    for enough in ([tokens, *pem.settings], [client_ca, *pem.settings], ["security.allow_insecure_bind=true"]):
        load_config(overrides=[bind, *enough], environ={})


@pytest.mark.parametrize("value", ["s3cret", "[s3cret]", "[123]", "{s3cret: 1}"])
def test_a_wrong_token_setting_does_not_tell_the_token(value: str) -> None:
    told = problem_with(f"security.tokens.ingest={value}")
    assert "security.tokens.ingest" in told
    assert "s3cret" not in told.replace("--set", "")
    assert "123" not in told


def test_tokens_come_from_the_environment() -> None:
    environ = {"FOREBAND_SECURITY__TOKENS__INGEST": f"[{INGEST}]"}
    assert load_config(environ=environ).security.tokens.ingest[0].get_secret_value() == INGEST
