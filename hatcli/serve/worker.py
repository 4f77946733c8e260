"""The process that holds the network: jobs come in, the batch room runs them, what it tells goes out.

It ends with the pipe it is asked through, in the middle of a job too: results are whole or absent by themselves.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from hatcli.batch.inputs import InputFile
from hatcli.batch.journal import Journal
from hatcli.batch.lending import LastingDecoder
from hatcli.batch.outcomes import Advanced, Event, Outcome, Started, Writing, disk_ended
from hatcli.batch.plan import Job, Plan, journals_of
from hatcli.batch.run import run
from hatcli.batch.shards import WHOLE, Shard
from hatcli.errors import HatError
from hatcli.image.options import EncodeOptions
from hatcli.models import catalog, opening
from hatcli.models.opening import Auto, Model
from hatcli.serve import parameters
from hatcli.serve.child import Requests
from hatcli.serve.parameters import Parameters
from hatcli.upscaling.device import DeviceChoice, choose
from hatcli.upscaling.settings import Settings
from hatcli.upscaling.upscaler import Upscaler

OVERLAP = 32  # pixels
_HINTS = {4: "leave tile at auto, choose a smaller model, or close other programs"}  # in place of those for a shell
WRITERS = 2  # results that are written while the next picture is enlarged, as in `batch.plan.Plan`
KEPT_OPEN = 4  # ways to run a model that stay in memory


class Shop:
    """Everything that outlives a job: the decoder, open models.

    Args:
        part: of the journals below the root, which every device keeps for itself.
    """

    def __init__(self, device: str, max_pixels: int, part: Shard = WHOLE) -> None:
        self.device, self.max_pixels, self.part = device, max_pixels, part
        self.decoder = LastingDecoder(max_pixels=max_pixels)
        self._upscalers: dict[tuple[Any, ...], tuple[Upscaler, Model | Auto]] = {}

    def choice(self, precision: str = "auto") -> DeviceChoice:
        """The device in a precision."""
        return choose(self.device, precision)

    def upscaler(self, wanted: Parameters) -> tuple[Upscaler, Model | Auto]:
        """The network of a model, ready to run; the last ones stay open."""
        settings = settings_of(wanted)
        installed = tuple(entry.id for entry in catalog.installed())
        key = (wanted.model, wanted.precision, settings, installed)
        found = self._upscalers.pop(key, None)
        if found is None:
            opened = opening.open(wanted.model)
            found = Upscaler(opened, choice=self.choice(wanted.precision), settings=settings), opened
        self._upscalers[key] = found
        while len(self._upscalers) > KEPT_OPEN:
            del self._upscalers[next(iter(self._upscalers))]
        return found


def serve(options: dict[str, Any]) -> None:
    """Do jobs until there is nobody to do them for."""
    requests = Requests()
    shop = Shop(options["device"], options["max_pixels"], Shard(*options["part"]))
    if options.get("threads"):
        import torch

        torch.set_num_threads(options["threads"])
    try:
        choice = shop.choice()
    except HatError as error:
        requests.answer(event="broken", error=error.message, hint=error.hint)
        return
    requests.answer(event="ready", device=str(choice.device), precision=choice.precision, why=choice.why)
    Counter(requests, shop).work()


class Counter:
    """Where jobs come in and what becomes of them is told; results are written while the next job is in the network."""

    def __init__(self, requests: Requests, shop: Shop) -> None:
        self._requests, self._shop = requests, shop
        self._waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._unwanted: set[str] = set()
        self._writing: set[Future[bool]] = set()

    def work(self) -> None:
        """Do jobs for good."""
        threading.Thread(target=self._listen, daemon=True).start()
        with ThreadPoolExecutor(WRITERS, "finish") as finishers:
            while True:
                request = self._waiting.get()
                told = answers(request, self._shop)
                if self._tell(request["attempt"], told, until_written=not request["in_root"]):
                    self._make_room()
                    self._writing.add(finishers.submit(self._tell, request["attempt"], told))

    def _make_room(self) -> None:
        """Wait until one more result may be written."""
        is_full = len(self._writing) >= WRITERS
        done, self._writing = wait(self._writing, None if is_full else 0, FIRST_COMPLETED)
        for future in done:
            future.result()  # a bug of ours must not pass in silence

    def _listen(self) -> None:
        """Hear of jobs, and of those that are not wanted any more, while others run."""
        while (request := self._requests.next()) is not None:
            if request["do"] == "stop":
                self._unwanted.add(request["attempt"])
            else:
                self._waiting.put(request)
        os._exit(0)  # the server has gone; whatever is half done is nowhere to be seen

    def _tell(self, attempt: str, told: Generator[dict[str, Any]], *, until_written: bool = False) -> bool:
        """Answer with what is told of a job; True: its result is on the way to its file, and the rest is still to be
        told, by whichever thread."""
        for answer in told:
            if attempt in self._unwanted:
                answer = {"event": "stopped"}
            self._requests.answer(attempt=attempt, **answer)
            if answer["event"] == "stopped":
                break
            if until_written and answer["event"] == "writing":
                return True
        told.close()
        return False


def answers(request: dict[str, Any], shop: Shop) -> Generator[dict[str, Any]]:
    """One job through the batch room: what it tells, as `hat upscale --json` would say it."""
    source, target, name = Path(request["source"]), Path(request["target"]), request["name"]
    in_root = request["in_root"]
    try:
        wanted = parameters.of_facts(request["parameters"])
        upscaler, opened = shop.upscaler(wanted)
        plan = plan_of(wanted, max_pixels=shop.max_pixels, overwrite=not in_root)
        job = Job(InputFile(source, Path(name)), target, target.parent if in_root else None)
        with ExitStack() as held:
            journals = journals_of([job], upscaler, plan, opened, shop.part)
            for journal in journals.values():
                _open(journal, held)
            yield {"event": "started"}
            with closing(run([job], upscaler, plan, journals=journals, decoder=shop.decoder.lend())) as events:
                for event in events:
                    yield told(event)
    except HatError as error:
        yield {"event": "failed", **failure(error, source, target, name)}


def _open(journal: Journal, held: ExitStack) -> None:
    held.callback(journal.close)
    journal.open()


def told(event: Event) -> dict[str, Any]:
    """What an event of a run means to the server."""
    if isinstance(event, Started):
        return {"event": "started"}
    if isinstance(event, Advanced):
        progress = event.progress
        return {"event": "progress", "done": progress.done, "tile": progress.tile, "tiles": progress.tiles}
    if isinstance(event, Writing):
        return {"event": "writing"}
    job = event.job
    assert job.source.path is not None
    assert job.output is not None
    if event.error is not None:
        name = str(job.source.relative)
        return {"event": "failed", **failure(event.error, job.source.path, job.output, name)}
    return {"event": "done", **_made(event, job.output)}


def _made(outcome: Outcome, output: Path) -> dict[str, Any]:
    skipped = [outcome.reason] if outcome.reason is not None else []
    advice = [outcome.advice] if outcome.advice is not None else []
    sizes = ("width", "height", "source_width", "source_height")
    return {
        **{name: size for name in sizes if (size := getattr(outcome, name))},
        "seconds": round(outcome.seconds, 3),
        "model": outcome.model,
        "notes": [*outcome.notes, *skipped, *advice],
        "result_bytes": output.stat().st_size,
    }


def failure(error: HatError, source: Path, target: Path, name: str) -> dict[str, Any]:
    """An error with the names that the client knows instead of paths, and without hints meant for a command line."""

    def renamed(text: str) -> str:
        for path, known in ((source, name), (target, target.name), (target.parent, "the server's folder")):
            text = text.replace(str(path), known)
        return text

    hint = renamed(error.hint) if error.hint is not None and " -" not in error.hint else _HINTS.get(error.exit_code)
    told = {"error": renamed(error.message), "hint": hint, "exit_code": error.exit_code}
    return {**told, "disk": disk_ended(error)}


def settings_of(wanted: Parameters) -> Settings:
    """How the network is run."""
    tile: Any = int(wanted.tile) if wanted.tile.isdecimal() else wanted.tile
    overlap = min(OVERLAP, tile // 2) if isinstance(tile, int) else OVERLAP
    return Settings(tile=tile, overlap=overlap, ensemble=wanted.tta, alpha=wanted.alpha)


def plan_of(wanted: Parameters, *, max_pixels: int, overwrite: bool) -> Plan:
    """What the batch room is to do."""
    options = EncodeOptions(quality=wanted.quality, lossless=wanted.lossless, strip_metadata=wanted.strip_metadata)
    return Plan(
        target=wanted.target,
        format=wanted.container,
        options=options,
        overwrite=overwrite,
        max_pixels=max_pixels,
        writers=1,
    )
