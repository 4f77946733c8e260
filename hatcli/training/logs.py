"""What a run measured, a line at a time: JSON lines beside the weights, and TensorBoard's format where it is wanted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from hatcli.atomic import take, write_error
from hatcli.errors import UsageError
from hatcli.folder import Folder
from hatcli.training.loop import TrainingProgress


class MetricsLog:
    """A `.jsonl` file of `step`, `loss` (mean since the line before), `rate`, `seconds`, ..., `psnr` where measured.

    Lines of steps after `step`, from a session that was killed, are cut off when a run goes on. While it is open no
    other run may have it, nor the state and the weights beside it.

    Raises:
        UsageError: another run has it.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, *, step: int, every: int) -> None:
        self.path, self.every = path, every
        self._losses: list[float] = []
        try:
            with Folder(path.parent, make=True) as folder:
                self._file = folder.append(path.name)
            if not take(self._file):
                self._file.close()
                raise UsageError(
                    f"another run writes to {path.name}", hint="wait until it has ended, or choose another -o"
                )
            self._file.truncate(_end_of(self._file, step))
        except OSError as error:
            raise write_error(path, error) from None

    def add(self, progress: TrainingProgress) -> dict[str, Any] | None:
        """Take in a step; the line that was written, if it was time for one."""
        self._losses.append(progress.loss)
        if progress.step % self.every and progress.psnr is None and not progress.saved:
            return None
        line: dict[str, Any] = {
            "step": progress.step,
            "loss": sum(self._losses) / len(self._losses),
            "rate": progress.rate,
            "seconds": round(progress.seconds, 3),
            "images_per_second": round(progress.images_per_second, 3),
            "waiting": round(progress.waiting, 4),
            "gflops": round(progress.gflops, 3),
        }
        if progress.psnr is not None:
            line["psnr"] = round(progress.psnr, 4)
        self._losses.clear()
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise write_error(self.path, error) from None
        return line

    def close(self) -> None:
        self._file.close()


def is_log(path: Path) -> bool:
    """Whether a file is a log of a run: each whole line is an object with a step. One cut off by a crash may end it."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return False
    return all(step_of(line) is not None for line in lines[:-1])


def step_of(line: str) -> int | None:
    """Which step a line of a log is about; None: it is no line of a log."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return step if isinstance(step, int) else None


def _end_of(file: BinaryIO, step: int) -> int:
    """Where the whole lines of a log up to a step end, in bytes; a line that a crash cut off is none."""
    file.seek(0)
    end = 0
    for line in file:
        at = step_of(line.decode("utf-8", "replace"))
        if at is None or at > step or not line.endswith(b"\n"):
            break
        end += len(line)
    return end if step else 0


class Scalars:
    """The same numbers for TensorBoard.

    Raises:
        UsageError: the package `tensorboard` is missing.
    """

    def __init__(self, folder: Path, *, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UsageError(
                "--tensorboard needs the package tensorboard", hint="pip install 'hatcli[train]', or leave it out"
            ) from None
        try:
            self._writer: Any = SummaryWriter(os.fspath(folder), purge_step=step + 1)
        except OSError as error:
            raise write_error(folder, error) from None

    def add(self, line: dict[str, Any]) -> None:
        """One line of the log."""
        for name, value in line.items():
            if name != "step":
                self._writer.add_scalar(f"train/{name}", value, line["step"])

    def close(self) -> None:
        self._writer.close()


class Logs:
    """All that a run's first process writes down, open for the length of a block.

    Args:
        path: of the `.jsonl` file.
        step: where the run goes on.
        every: steps between lines.
        tensorboard: a folder for TensorBoard's format, or None.
    """

    def __init__(self, path: Path, *, step: int, every: int, tensorboard: Path | None) -> None:
        self._scalars = Scalars(tensorboard, step=step) if tensorboard is not None else None
        self._metrics = MetricsLog(path, step=step, every=every)

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *_: object) -> None:
        self._metrics.close()
        if self._scalars is not None:
            self._scalars.close()

    def add(self, progress: TrainingProgress) -> None:
        """Take in a step."""
        line = self._metrics.add(progress)
        if self._scalars is not None and line is not None:
            self._scalars.add(line)
