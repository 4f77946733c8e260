"""The server as a whole: its parts put together, started, and ended in order, whatever ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from hatcli.errors import HatError, UsageError
from hatcli.serve.api import Api
from hatcli.serve.child import Child, python
from hatcli.serve.connections import PatientProtocol
from hatcli.serve.desk import Desk
from hatcli.serve.events import Events
from hatcli.serve.guard import Guard, is_wildcard
from hatcli.serve.inspection import Inspector
from hatcli.serve.limits import Limits
from hatcli.serve.models import Downloads
from hatcli.serve.queue import Queue
from hatcli.serve.root import Root
from hatcli.serve.state import State
from hatcli.serve.supervisor import Supervisor

CLOSING = 5  # seconds that open connections have to end
CLEANING = 600.0  # seconds between two looks for jobs that are too old
WANTED_FILES = 8192  # open files and connections


@dataclass(frozen=True)
class Listening:
    """Where a server answers, and what lets clients in."""

    url: str
    token: str


class _Server(uvicorn.Server):
    """Uvicorn that says when it listens and ends event streams when it is to end."""

    def __init__(
        self, config: uvicorn.Config, events: Events, begins: Callable[[], None], ends: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._events, self._begins, self._ends = events, begins, ends
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._events.open()
        await super().startup(sockets=sockets)
        self._begins()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._ends()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._events.close)


def serve(
    *,
    host: str,
    port: int,
    names: list[str],
    folder: Path,
    root: Path | None,
    devices: list[str],
    threads: int | None,
    limits: Limits,
    wait_for_devices: bool,
    on_listening: Callable[[Listening], None],
) -> None:
    """Serve until a signal comes, which is raised again when all is in order.

    Args:
        names: that the server may be called by beside the loopback ones.
        folder: the server's state.
        wait_for_devices: whether a device that is not there is an error before anything else.
        on_listening: called when requests are answered.

    Raises:
        UsageError: the port is taken, another server has the folder, a device is not there.
        OutputError: the folder cannot be written.
    """
    _allow_many_files()
    for name in ("uvicorn.error", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)  # what clients do wrong is told to them
    with ExitStack() as opened:
        listener = opened.enter_context(_bound(host, port))
        port = listener.getsockname()[1]
        opened_root = None if root is None else Root(root)
        state = State(folder)
        opened.callback(state.close)
        token, events = state.token(), Events()
        queue = Queue(state.database, max_jobs=limits.max_jobs, tell=events.publish)
        opened.callback(queue.close)
        queue.recover()
        state.sweep({job.id for job in queue.jobs()})
        looks, views = Inspector(limits.max_pixels), Inspector(limits.max_pixels * 4)
        opened.callback(looks.close)
        opened.callback(views.close)
        desk = Desk(state, queue, limits, looks, views, opened_root)
        fetching = Downloads(events.publish)
        opened.callback(fetching.close)
        supervisors = _supervisors(queue, state, limits, devices, threads)
        for supervisor in supervisors:
            opened.callback(supervisor.stop)
            supervisor.start()

        def ends() -> None:
            for supervisor in supervisors:
                supervisor.ask_to_stop()

        opened.callback(ends)  # all at once, before each is waited for
        if wait_for_devices:
            _check_devices(supervisors)
        opened.enter_context(_cleaning(desk))

        def paused() -> str | None:
            reasons = [supervisor.paused or supervisor.trouble for supervisor in supervisors]
            return reasons[0] if all(reasons) else None

        def stop() -> None:
            server.handle_exit(signal.SIGTERM, None)

        called = host if not is_wildcard(host) else (names or ["localhost"])[0]
        shown = f"[{called}]" if ":" in called else called
        listening = Listening(f"http://{shown}:{port}", token)
        api = Api(desk, events, fetching, paused=paused, stop=stop).application()
        guarded = Guard(api, token=token, hosts=[called, *names], port=port)
        config = uvicorn.Config(
            guarded,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            http=PatientProtocol,
            loop="asyncio",
            timeout_graceful_shutdown=CLOSING,
        )
        server = _Server(config, events, lambda: on_listening(listening), ends)
        server.run(sockets=[listener])


def _supervisors(
    queue: Queue, state: State, limits: Limits, devices: list[str], threads: int | None
) -> list[Supervisor]:
    """One a device; below the root, each keeps a journal of its own, as the parts of a run do."""

    def starter(number: int, device: str) -> Callable[[], Child]:
        part = [number + 1, len(devices)]
        options = {"device": device, "threads": threads, "max_pixels": limits.max_pixels, "part": part}
        log = state.folder / ("worker.log" if number == 0 else f"worker-{number}.log")
        return lambda: Child(python("hatcli.serve.worker", options), log=log)

    return [Supervisor(queue, state, limits, starter(number, device)) for number, device in enumerate(devices)]


def _check_devices(supervisors: list[Supervisor]) -> None:
    """Wait until every worker has its device.

    Raises:
        UsageError: one has not.
    """
    for supervisor in supervisors:
        supervisor.ready.wait()
        if supervisor.broken is not None:
            raise UsageError(supervisor.broken.message, hint=supervisor.broken.hint)


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        hint = "name another one with --port, or --port 0 for any" if port else "check --host"
        raise UsageError(f"nothing can listen at {host}, port {port}: {error.strerror or error}", hint=hint) from None
    except OverflowError:
        raise UsageError(f"there is no port {port}", hint="ports go to 65535") from None
    with listener:
        yield listener


@contextmanager
def _cleaning(desk: Desk) -> Iterator[None]:
    """Remove what is too old now and then."""
    ended = threading.Event()

    def clean() -> None:
        while True:
            with suppress(HatError):  # the disk is full: next time
                desk.clean()
            if ended.wait(CLEANING):
                return

    cleaner = threading.Thread(target=clean, name="cleaner", daemon=True)
    cleaner.start()
    try:
        yield
    finally:
        ended.set()
        cleaner.join()


def _allow_many_files() -> None:
    """Let this process have a connection for each of many idle listeners, where the system limits it."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
