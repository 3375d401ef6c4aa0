"""A board over the network: pynq's RemoteDevice, with a time limit on every call.

pynq calls without a limit: where a board loses power or its cable, a call would wait for a quarter of an hour.
"""

from __future__ import annotations

from typing import Any

import grpc
from pynq.pl_server.remote_device import RemoteDevice

from a2q_driver.errors import BoardLostError, DriverError, MemoryFullError

__all__ = ["Connection"]

_CALL_SECONDS = 15.0
_STREAM_SECONDS = 300.0  # for files and buffers of up to 64 MiB, over a slow network

_LOST = (
    *(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED),
    *(grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN),  # of a server that was started again, and one that broke
)


class Connection:
    """A PYNQ.remote server and the pynq device that speaks to it. Raises BoardLostError where none answers."""

    def __init__(self, host: str, port: int) -> None:
        self._where = f"{host}:{port}"
        try:
            self.device = RemoteDevice(ip_addr=host, port=port)
        except RuntimeError as error:
            raise BoardLostError(f"No PYNQ.remote server answers at {self._where} ({error}).") from error
        except grpc.RpcError as error:
            raise BoardLostError(
                f"What answers at {self._where} is no PYNQ.remote server: {_described(error)}."
            ) from error
        channel = grpc.intercept_channel(self.device.client.channel, _Limits())
        self.device._stub = {name: type(stub)(channel) for name, stub in self.device._stub.items()}

    def close(self) -> None:
        self.device.client.channel.close()

    def translated(self, error: Exception, refused: type[DriverError]) -> DriverError | None:
        """What a failed call means; None for an error that is no call's."""
        if not isinstance(error, grpc.RpcError):
            return None
        code = error.code()
        if code in _LOST:
            return BoardLostError(f"The board at {self._where} does not answer any more: {_described(error)}.")
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return MemoryFullError(f"The board at {self._where} has no room: {_described(error)}.")
        return refused(f"The board at {self._where} refuses: {_described(error)}.")


class _Limits(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor):
    """Gives every call a time limit."""

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(details._replace(timeout=_CALL_SECONDS), request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(details._replace(timeout=_STREAM_SECONDS), request)

    def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(details._replace(timeout=_STREAM_SECONDS), requests)


def _described(error: grpc.RpcError) -> str:
    return f"{error.code().name}, {str(error.details()).rstrip('.')}"
