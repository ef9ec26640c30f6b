"""Forwarding over TLS and with a certificate of one's own, to a real receiver that asks for both: another Foreband."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from collector_processor.ledger import Signal
from collector_processor.otlp.downstream import open_downstream
from collector_processor.otlp.endpoint import ClientTls, Endpoint, Fate
from tests.house import House
from tests.process import wait_until

TOKEN = "a-token-of-16-letters"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PROTOCOLS = ("grpc", "http")


def written(directory: Path, name: str, cert: trustme.LeafCert) -> tuple[Path, Path]:
    """Write a certificate and its key; return where."""
    directory.mkdir(exist_ok=True)
    chain, key = directory / f"{name}.pem", directory / f"{name}.key"
    chain.write_bytes(b"".join(pem.bytes() for pem in cert.cert_chain_pems))
    key.write_bytes(cert.private_key_pem.bytes())
    return chain, key


class Receiver:
    """A Foreband that lets in clients with a certificate of `clients` and a token."""

    def __init__(self, directory: Path, shown: trustme.LeafCert, clients: trustme.CA) -> None:
        chain, key = written(directory, "server", shown)
        clients_file = directory / "clients.pem"
        clients.cert_pem.write_to_path(clients_file)
        tls = {"cert_file": str(chain), "key_file": str(key), "client_ca_file": str(clients_file)}
        self.house = House(directory, f"security.tls={json.dumps(tls)}", f"security.tokens.ingest=[{TOKEN}]")

    def url(self, protocol: str, host: str = "localhost") -> str:
        addresses = self.house.addresses
        port = (addresses.otlp if protocol == "grpc" else addresses.otlp_http).rpartition(":")[2]
        return f"https://{host}:{port}"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def receiver(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    receiver = Receiver(tmp_path_factory.mktemp("receiver"), authority.issue_cert("localhost"), authority)
    yield receiver
    receiver.house.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_forwarded_with_a_certificate_and_a_token_arrives(
    receiver: Receiver, authority: trustme.CA, tmp_path: Path, protocol: str
) -> None:
    chain, key = written(tmp_path, "client", authority.issue_cert("foreband"))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    destination = {
        "name": "next",
        "endpoint": receiver.url(protocol),
        "protocol": protocol,
        "headers": {"authorization": f"Bearer {TOKEN}"},
        "tls": {"ca_file": str(tmp_path / "ca.pem"), "cert_file": str(chain), "key_file": str(key)},
    }
    house = House(tmp_path / "house", f"forward.destinations={json.dumps([destination])}", "forward.loop_check=0s")
    try:
        moment = receiver.house.moment(f"by {protocol}")
        house.send(Signal.METRICS, moment.gauge("g", (-60, 1.5)))
        assert wait_until(lambda: receiver.house.stored(moment) == {"g/value": [(-60.0, 1.5)]})
        assert wait_until(lambda: house.foreband.outbox.sizes().get("next", (0, 0))[0] == 0)
    finally:
        house.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("wrong", ["authority", "name", "no certificate", "a stranger's certificate"])
def test_who_is_not_who_they_should_be_is_sent_nothing_and_tried_again(
    receiver: Receiver, authority: trustme.CA, protocol: str, wrong: str
) -> None:
    stranger = trustme.CA()
    client = (stranger if wrong == "a stranger's certificate" else authority).issue_cert("foreband")
    trusted = stranger if wrong == "authority" else authority
    tls = ClientTls(
        trusted.cert_pem.bytes(),
        None if wrong == "no certificate" else client.private_key_pem.bytes(),
        None if wrong == "no certificate" else client.cert_chain_pems[0].bytes(),
    )
    url = receiver.url(protocol, "127.0.0.1" if wrong == "name" else "localhost")
    assert_later(Endpoint(url, "me", protocol, {"authorization": f"Bearer {TOKEN}"}, tls=tls, timeout=20.0))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_expired_certificate_is_not_trusted(authority: trustme.CA, tmp_path: Path, protocol: str) -> None:
    receiver = Receiver(tmp_path, authority.issue_cert("localhost", not_after=LONG_AGO), authority)
    try:
        client = authority.issue_cert("foreband")
        key, chain = client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()
        tls = ClientTls(authority.cert_pem.bytes(), key, chain)
        assert_later(Endpoint(receiver.url(protocol), "me", protocol, tls=tls, timeout=20.0))
    finally:
        receiver.house.close()


def assert_later(endpoint: Endpoint) -> None:
    downstream = open_downstream(endpoint)
    try:
        reply = downstream.send(Signal.METRICS, b"")
        assert (reply.fate, reply.rejected) == (Fate.LATER, 0), reply
    finally:
        downstream.close()
