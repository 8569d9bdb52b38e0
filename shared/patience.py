"""uvicorn's HTTP protocol with bounds on what a client may keep us waiting for, or make us remember."""

import asyncio
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_S = 15.0
BODY_S = 60.0
READ_S = 60.0
CONNECTIONS = 8_000


class PatientProtocol(HttpToolsProtocol):
    """Closes who sends too slowly, too much before its request begins, or does not read its answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = True
        self._due: float | None = None  # by then the head, or the body, must be here
        self._unread_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] (as uvicorn's)
        super().connection_made(transport)
        self._due = self.loop.time() + HEAD_S
        if len(self.connections) > CONNECTIONS:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head and self.parser is not None:  # pyright: ignore[reportUnnecessaryComparison] (None once the connection is lost)
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._due = self.loop.time() + HEAD_S

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._due = self.loop.time() + BODY_S
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._due = None
        super().on_message_complete()

    def be_patient_until(self, now: float) -> None:
        """Close the connection when the client's time is over."""
        if self._due is not None and now > self._due:
            self._due = None
            if self._in_head:
                self._refuse(b"408 Request Timeout")
            else:
                self.transport.abort()
        elif not self.flow.write_paused:
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > READ_S:
            self.transport.abort()

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()


def close_the_slow(connections: Iterable[object]) -> None:
    """To be called once a second or so."""
    for connection in list(connections):
        if isinstance(connection, PatientProtocol):
            connection.be_patient_until(connection.loop.time())
