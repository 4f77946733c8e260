"""What must hold before any work: results that overwrite nothing, folders that take them, disks with room."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from hatcli.atomic import refuse_odd, temporary_name, write_error
from hatcli.batch.journal import Journal
from hatcli.batch.plan import Job, Plan, reason_to_skip
from hatcli.errors import OutputError, UsageError


def check_outputs(jobs: list[Job]) -> None:
    """Refuse, before any work, outputs that would overwrite an input or each other, or that are folders.

    Raises:
        UsageError: naming the first such pair.
    """
    inputs = {os.path.realpath(job.source.path): job.source for job in jobs if job.source.path is not None}
    same_file = {}  # by device and number, which hard links share
    for name, source in inputs.items():
        with suppress(OSError):  # it will be reported when its turn comes
            status = os.stat(name)  # noqa: PTH116
            same_file[status.st_dev, status.st_ino] = source
    outputs: dict[str, Job] = {}
    for job in jobs:
        if job.output is None:
            continue
        identity = os.path.realpath(job.output)
        clash = inputs.get(identity)
        with suppress(OSError):  # it does not exist, which is how it should be
            status = os.stat(job.output)  # noqa: PTH116
            clash = clash or same_file.get((status.st_dev, status.st_ino))
        if clash is not None:
            raise UsageError(
                f"the output {job.output} is the input {clash.label}", hint="choose another name with -o or --suffix"
            )
        if os.path.isdir(job.output):  # noqa: PTH112
            raise UsageError(f"the output {job.output} is a folder", hint="choose another name with -o or --suffix")
        folded = os.path.normcase(identity)
        if folded in outputs:
            raise UsageError(
                f"{outputs[folded].source.label} and {job.source.label} would both become {job.output}",
                hint="use --name, --suffix or another --format to tell them apart",
            )
        outputs[folded] = job


def check_targets(jobs: list[Job]) -> None:
    """Refuse, before any work, folders that results could not be written to.

    Raises:
        OutputError: such a folder is not one, is read-only, or does not exist and cannot be made.
    """
    for folder in {job.output.parent for job in jobs if job.output is not None}:
        existing = _existing(folder)
        probe = existing / temporary_name()
        try:
            with open(probe, "xb"):
                pass
        except OSError as error:
            raise write_error(folder / "results", error) from error
        probe.unlink()


def check_room(jobs: list[Job]) -> None:
    """Refuse, before any work, more than the disks can hold, by a guess that is rather too low than too high.

    Raises:
        OutputError: the results surely do not fit.
    """
    needed: dict[int, int] = {}
    places: dict[int, Path] = {}
    for job in jobs:
        if job.output is not None and job.at_least:
            folder = _existing(job.output.parent)
            disk = folder.stat().st_dev
            needed[disk] = needed.get(disk, 0) + job.at_least
            places[disk] = folder
    for disk, size in needed.items():
        free = shutil.disk_usage(places[disk]).free
        if size > free:
            raise OutputError(
                f"the results need at least {size / 1e9:.1f} GB, and {places[disk]} has {free / 1e9:.1f} GB left",
                hint="free some space, or write elsewhere with -o",
            )


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))  # noqa: PTH110


def refuse_existing(jobs: list[Job], plan: Plan, journals: dict[Path, Journal]) -> None:
    """Stop, before any work, at outputs that may neither be replaced nor passed over.

    Those are: what no journal knows, what was changed since it was made and would be made otherwise now, and whatever
    is no plain file.

    Raises:
        UsageError: naming the first of them.
        OutputError: naming a link, a device or a folder.
    """
    existing: list[tuple[Path, str]] = []
    for job in jobs:
        if job.output is None or not os.path.lexists(job.output):
            continue
        with suppress(OSError):
            refuse_odd(job.output, job.output.lstat())
        if plan.overwrite or reason_to_skip(job, plan, journals):
            continue
        journal = journals.get(job.root) if job.root is not None else None
        if journal is None or not journal.knows(job.output):
            existing.append((job.output, "exists already"))
        elif not journal.has_made(job.output):
            existing.append((job.output, "was changed since hat made it"))
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        output, why = existing[0]
        raise UsageError(f"{output} {why}{more}", hint="add --overwrite or --skip-existing")
