"""Connections that do not wait for ever: for the rest of a request's head, or for a client that does not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # that a client has for the head of a request
READ_SECONDS = 300.0  # that a client may take nothing of an answer


class PatientProtocol(H11Protocol):
    """Uvicorn's protocol with two clocks; where one runs out, that connection ends and no other notices."""

    _head_clock: asyncio.TimerHandle | None = None
    _read_clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_clock = self._after(HEAD_SECONDS, self._end_unless_served)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        is_served = self.cycle is not None and not self.cycle.response_complete
        if is_served and self._head_clock is not None:
            self._head_clock.cancel()
            self._head_clock = None
        elif not is_served and self._head_clock is None:  # some of the next request
            self._head_clock = self._after(HEAD_SECONDS, self._end_unless_served)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all it has to say still gets its answer."""
        cycle = self.cycle
        return cycle is not None and not cycle.more_body and not cycle.response_started

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._read_clock is None:
            self._read_clock = self._after(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._read_clock is not None:
            self._read_clock.cancel()
            self._read_clock = None

    def connection_lost(self, exc: Exception | None) -> None:
        for clock in (self._head_clock, self._read_clock):
            if clock is not None:
                clock.cancel()
        super().connection_lost(exc)

    def _end_unless_served(self) -> None:
        self._head_clock = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _after(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, act)
