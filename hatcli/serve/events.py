"""What happens, to everybody who listens: numbered, so that who was away for a moment gets what was missed."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

KEPT = 2000  # events that can be replayed
BEHIND = 500  # events that may wait for one listener; who is slower starts anew
HEARTBEAT = 20.0  # seconds of silence until a comment shows that the line is alive
MOST_LISTENERS = 4000


@dataclass(eq=False)
class Listener:
    """One stream: what waits for it."""

    waiting: deque[bytes] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    lost: bool = False


class Events:
    """All listeners; `publish` may be called from any thread."""

    def __init__(self) -> None:
        self._number = int(time.time() * 1000) * 1000  # above those of an earlier server
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._listeners: set[Listener] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def open(self) -> None:
        """Begin; in the server's loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """End all streams; in the server's loop."""
        self._closed = True
        for listener in self._listeners:
            listener.wake.set()

    @property
    def count(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @property
    def is_full(self) -> bool:
        """Whether nobody else can listen."""
        return len(self._listeners) >= MOST_LISTENERS

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        """Tell everybody."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._publish, kind, json.dumps(data))

    def _publish(self, kind: str, data: str) -> None:
        self._number += 1
        message = _message(self._number, kind, data)
        self._kept.append((self._number, message))
        for listener in self._listeners:
            if len(listener.waiting) >= BEHIND:
                listener.waiting.clear()
                listener.lost = True
            listener.waiting.append(message)
            listener.wake.set()

    async def stream(self, last: str | None) -> AsyncIterator[bytes]:
        """What happens from now on, and what was missed since the event `last`, for one listener."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            missed = self._missed(last)
            yield self._hello(reset=missed is None)
            for message in missed or []:
                yield message
            while not self._closed:
                if not listener.waiting:
                    if await self._is_silent(listener):
                        yield b": still here\n\n"
                    continue
                if listener.lost:
                    listener.lost = False
                    yield self._hello(reset=True)
                    continue
                yield listener.waiting.popleft()
        finally:
            self._listeners.discard(listener)

    async def _is_silent(self, listener: Listener) -> bool:
        """Wait for something to tell; whether nothing happened for long."""
        listener.wake.clear()
        try:
            await asyncio.wait_for(listener.wake.wait(), HEARTBEAT)
        except TimeoutError:
            return True
        return False

    def _hello(self, *, reset: bool) -> bytes:
        return _message(self._number, "hello", json.dumps({"reset": reset}))

    def _missed(self, last: str | None) -> list[bytes] | None:
        """The events after `last`; None: they are not known any more."""
        if last is None:
            return []
        if not (last.isascii() and last.isdecimal() and len(last) < 20):
            return None
        number = int(last)
        if number == self._number:
            return []
        if not self._kept or not self._kept[0][0] - 1 <= number < self._number:
            return None
        return [message for at, message in self._kept if at > number]


def _message(number: int, kind: str, data: str) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {data}\n\n".encode()
