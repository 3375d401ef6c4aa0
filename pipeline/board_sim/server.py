"""PYNQ.remote's services, as the client of pynq 4.0.0 calls them.

Where the client looks at a response's `msg`, that is where an error goes: the client raises it. Of the other calls, and
of two whose `msg` the client has but does not look at (RemoteBuffer's allocate and read), errors are gRPC statuses.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol, TypeVar

import grpc
from grpc._cython import cygrpc  # as the package grpcio-channelz does
from pynq.remote import (
    buffer_pb2,
    buffer_pb2_grpc,
    gpio_pb2_grpc,
    mmio_pb2,
    mmio_pb2_grpc,
    remote_device_pb2,
    remote_device_pb2_grpc,
)

from pipeline.board_sim.board import Board
from pipeline.board_sim.errors import (
    BoardError,
    BusError,
    FileDeniedError,
    MissingFileError,
    OutOfMemoryError,
    ProgrammingError,
    RequestError,
    UnknownBufferError,
    shown,
)
from pipeline.board_sim.registers import Window
from pipeline.errors import A2QError, ResourceError

__all__ = ["start_server"]

_MESSAGE_LIMIT = 4 << 20  # bytes; the client sends 2 MiB and takes 4 MiB
_CHUNK_BYTES = 2 << 20
_CALLS = 64  # at once; a client has one, or one a thread
_CANCELLED_SECONDS = 0.2
_WINDOW = re.compile(r"(0x[0-9a-f]{1,16})\+(0x[0-9a-f]{1,16})")  # the id of a window of registers

# of the calls that answer with a status; an error of the bus is always a message
_CODES: dict[type[A2QError], grpc.StatusCode] = {
    FileDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    MissingFileError: grpc.StatusCode.NOT_FOUND,
    OutOfMemoryError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ProgrammingError: grpc.StatusCode.FAILED_PRECONDITION,
    RequestError: grpc.StatusCode.INVALID_ARGUMENT,
    UnknownBufferError: grpc.StatusCode.NOT_FOUND,
}


class _Reply(Protocol):
    """The fields that all responses with a message have."""

    msg: str


_Response = TypeVar("_Response", bound=_Reply)


def start_server(board: Board, host: str, port: int) -> tuple[grpc.Server, int]:
    """Serve `board` on `host` and `port`, or on a free port if that is 0. Returns the server and its port.

    Raises ResourceError if it cannot listen there.
    """
    options = [
        ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
        ("grpc.so_reuseport", 0),  # or a second server on a port that is taken would get every other connection
        ("grpc.enable_channelz", 1),  # says which connections there are
    ]
    server = grpc.server(ThreadPoolExecutor(_CALLS), options=options, maximum_concurrent_rpcs=_CALLS)
    remote_device_pb2_grpc.add_RemoteDeviceServicer_to_server(_RemoteDevice(board), server)
    buffer_pb2_grpc.add_RemoteBufferServicer_to_server(_RemoteBuffer(board), server)
    mmio_pb2_grpc.add_MmioServicer_to_server(_Mmio(board), server)
    gpio_pb2_grpc.add_GpioServicer_to_server(_Gpio(), server)
    try:
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise ResourceError(
            f"{host}:{port} cannot be listened on: is the port taken, or the address not this machine's? --port 0 takes "
            "a free one."
        ) from error
    server.start()
    board.watch(_connections)
    return server, bound


class _RemoteDevice(remote_device_pb2_grpc.RemoteDeviceServicer):
    """Files, and programming through them. What the client does not call answers UNIMPLEMENTED."""

    def __init__(self, board: Board) -> None:
        self._files = board.files

    def existsfile(self, request, context):
        exists = self._files.exists(request.file_path, context.peer())
        return remote_device_pb2.ExistsFileResponse(exists=exists)

    def readfile(self, request, context):
        with _status(context):
            for piece in self._files.read(request.file_path, context.peer()):
                yield remote_device_pb2.ReadFileResponse(data=piece)

    def writefile(self, request_iterator, context):
        cancelled = threading.Event()
        context.add_callback(cancelled.set)
        with _status(context), self._files.upload(context.peer(), _connections) as upload:
            for request in request_iterator:
                upload.add(request.file_path, request.data)
                del request  # or it would be held while the next one is waited for, and count nowhere
            # of a client that was killed, gRPC may say that its pieces ended before it says that the call did
            if upload.is_kept and cancelled.wait(_CANCELLED_SECONDS):
                raise RequestError(f"The client went away before {upload.path} had come whole.")
        return remote_device_pb2.WriteFileResponse()

    def set_bitstream_attrs(self, request, context):
        """Nothing follows from it: the files that are written next say what is loaded, and how."""
        return remote_device_pb2.SetBitstreamAttrsResponse(status=True)

    def download(self, request_iterator, context):
        _refuse(context, "The simulated board is programmed by way of its files, as pynq's Overlay does it.")

    def set_pl_clk(self, request, context):
        _refuse(context, "The simulated board's clocks are set by their registers, as pynq's Clocks does it.")

    def shutdown(self, request, context):
        _refuse(context, "The simulated board has no shutdown managers; programming it resets its logic.")


class _RemoteBuffer(buffer_pb2_grpc.RemoteBufferServicer):
    """DRAM. A buffer belongs to the connection that used it last."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def allocate(self, request, context):
        with _status(context):
            owner = context.peer()
            buffer = self._board.allocate(request.size, request.cacheable, owner, _connections)
        return buffer_pb2.AllocateResponse(buffer_id=buffer.id)

    def write(self, request_iterator, context):
        """Chunks of a buffer; those without a place, start and end both 0, follow one another from byte 0 on."""
        response = buffer_pb2.BufferWriteResponse()
        with _message(response):
            position = 0
            for request in request_iterator:
                if request.start or request.end:
                    position = request.start
                    if not 0 <= position <= request.end or request.end - position != len(request.data):
                        raise RequestError(
                            f"Bytes {request.start} to {request.end} were to be written with {len(request.data)} bytes."
                        )
                self._board.write_buffer(request.buffer_id, context.peer(), position, request.data)
                position += len(request.data)
                del request
        return response

    def read(self, request, context):
        """A part of a buffer in chunks, all of it if start and end are both 0."""
        with _status(context):
            size = len(self._board.buffer(request.buffer_id, context.peer()).data)
            start, end = (request.start, request.end) if request.start or request.end else (0, size)
            if not 0 <= start <= end <= size:
                raise RequestError(f"Bytes {start} to {end} were to be read of a buffer of {size} bytes.")
            for position in range(start, end, _CHUNK_BYTES):
                stop = min(position + _CHUNK_BYTES, end)
                data = self._board.read_buffer(request.buffer_id, context.peer(), position, stop)
                yield buffer_pb2.BufferReadResponse(data=data)

    def freebuffer(self, request, context):
        response = buffer_pb2.FreeBufferResponse()
        with _message(response):
            self._board.free(request.buffer_id, context.peer())
        return response

    def flush(self, request, context):
        """There is no cache to flush; the buffer must be there."""
        return self._find(request, context, buffer_pb2.FlushResponse())

    def invalidate(self, request, context):
        """There is no cache to invalidate; the buffer must be there."""
        return self._find(request, context, buffer_pb2.InvalidateResponse())

    def physical_address(self, request, context):
        response = buffer_pb2.AddressResponse()
        with _message(response):
            response.address = self._board.buffer(request.buffer_id, context.peer()).address
        return response

    def virtual_address(self, request, context):
        return buffer_pb2.AddressResponse(msg="Buffers of the simulated board have no virtual address.")

    def cacheable(self, request, context):
        response = buffer_pb2.CacheableResponse()
        with _message(response):
            response.cacheable = self._board.buffer(request.buffer_id, context.peer()).cacheable
        return response

    def _find(self, request, context, response: _Response) -> _Response:
        with _message(response):
            self._board.buffer(request.buffer_id, context.peer())
        return response


class _Mmio(mmio_pb2_grpc.MmioServicer):
    """Registers. A window's id is its address and length: the client has no call to give one back."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def get_mmio(self, request, context):
        response = mmio_pb2.GetMmioResponse()
        with _message(response):
            window = self._board.window(request.base_addr, request.length)
            response.mmio_id = f"{window.base:#x}+{window.size:#x}"
            response.status = True
        return response

    def read(self, request, context):
        response = mmio_pb2.ReadResponse()
        with _message(response):
            address = self._address(request.mmio_id, request.offset, request.length)
            response.data = self._board.read_register(address)
            response.status = True
        return response

    def write(self, request, context):
        response = mmio_pb2.WriteResponse()
        with _message(response):
            address = self._address(request.mmio_id, request.offset, len(request.data))
            self._board.write_register(address, int.from_bytes(request.data, "little"))
            response.status = True
        return response

    def _address(self, mmio_id: str, offset: int, length: int) -> int:
        window = self._window(mmio_id)
        address = window.base + offset
        if length != 4 or offset % 4:
            raise BusError(
                f"{length} bytes at 0x{address:08X} are not one aligned word of 4 bytes, which is what PYNQ.remote moves."
            )
        if not window.holds(address):
            raise BusError(f"0x{address:08X} is outside of the {window.size} bytes at 0x{window.base:08X}.")
        return address

    def _window(self, mmio_id: str) -> Window:
        match = _WINDOW.fullmatch(mmio_id)
        if not match:
            raise BusError(f"There is no window {shown(mmio_id)} of registers.")
        return self._board.window(*(int(number, 16) for number in match.groups()))


class _Gpio(gpio_pb2_grpc.GpioServicer):
    """The board has no pins."""

    def _no_pins(self, request, context):
        _refuse(context, "The simulated board has no GPIO.")

    get_gpio = read = write = unexport = is_exported = get_gpio_base_path = get_gpio_npins = _no_pins


def _refuse(context: grpc.ServicerContext, sentence: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, sentence)
    raise AssertionError("abort does not return")


@contextmanager
def _status(context: grpc.ServicerContext) -> Iterator[None]:
    """A request that the board refuses becomes the call's status."""
    try:
        yield
    except A2QError as error:
        context.abort(_CODES.get(type(error), grpc.StatusCode.INTERNAL), str(error))


@contextmanager
def _message(response: _Reply) -> Iterator[None]:
    """A request that the board refuses becomes the response's message."""
    try:
        yield
    except BoardError as error:
        response.msg = str(error)


def _connections() -> set[str]:
    """The peers that are connected to this process' servers, by the names that calls give them."""
    peers = set()
    for server in json.loads(cygrpc.channelz_get_servers(0))["server"]:
        number, first = int(server["ref"]["serverId"]), 0
        page: dict[str, Any] = {}
        while not page.get("end"):
            page = json.loads(cygrpc.channelz_get_server_sockets(number, first, 0))
            for socket in page["socketRef"]:  # its name ends in the peer's
                peers.add(socket["name"].rpartition(" ")[2])
                first = int(socket["socketId"]) + 1
    return peers
