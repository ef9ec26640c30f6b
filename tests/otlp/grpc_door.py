"""A gRPC receiver on a free port with something behind it, and a client that does not retry."""

from typing import Any

import grpc
import pytest

from collector_processor.ledger import Signal
from collector_processor.otlp.gate import Authorize, everybody
from collector_processor.otlp.receiver import EXPORT_METHODS, GrpcReceiver, ReceiverSettings
from tests.otlp.door import PATIENCE, Behind
from tests.otlp.stock import gauge, request_with

GOOD = request_with(gauge(1.0), service="shop").SerializeToString()


class Door(Behind):
    """A receiver on a free port with something behind it, and a client."""

    def __init__(self, max_in_flight: int = 8, authorize: Authorize = everybody, **settings: Any) -> None:
        super().__init__(max_in_flight)
        defaults = {"listen": "127.0.0.1:0"}
        self.receiver = GrpcReceiver(ReceiverSettings(**defaults | settings), self.entrance, authorize)
        self.port = self.receiver.start()
        self.channel = self.open_channel()

    def open_channel(self, **options: int) -> grpc.Channel:
        return grpc.insecure_channel(
            f"127.0.0.1:{self.port}", [(f"grpc.{k}", v) for k, v in options.items()] + [("grpc.enable_retries", 0)]
        )

    def export(self, body: bytes, signal: Signal = Signal.METRICS, **call: Any) -> Any:
        return self.channel.unary_unary(EXPORT_METHODS[signal], None, None)(body, timeout=PATIENCE, **call)

    def fail(self, body: bytes, signal: Signal = Signal.METRICS, **call: Any) -> Any:
        """Export what must be refused; return the error, never UNKNOWN."""
        with pytest.raises(grpc.RpcError) as caught:
            self.export(body, signal, **call)
        error: Any = caught.value
        assert error.code() is not grpc.StatusCode.UNKNOWN
        return error

    def close(self) -> None:
        self.channel.close()
        self.receiver.drain(0)
        self.receiver.close()
        self.assert_balanced()
