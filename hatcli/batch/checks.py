"""What must hold before any work: results that overwrite nothing, folders that take them, disks with room."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hatcli.atomic import refuse_odd, temporary_name, write_error
from hatcli.batch.inputs import InputFile
from hatcli.batch.journal import Journal
from hatcli.batch.plan import Job, Plan, reason_to_skip
from hatcli.errors import OutputError, UsageError
from hatcli.outside import kind_of


def check_outputs(jobs: list[Job]) -> None:
    """Refuse, before any work, outputs that would overwrite an input or each other, or that are folders.

    Raises:
        UsageError: naming the first such pair.
    """
    inputs = _Inputs(jobs)
    outputs: dict[str, Job] = {}
    alike: dict[str, Job] = {}  # by names that differ in case or composed letters only
    for job in jobs:
        if job.output is None:
            continue
        identity = os.path.realpath(job.output)
        if clash := inputs.at(job.output, identity):
            raise UsageError(
                f"the output {job.output} is the input {clash.label}", hint="choose another name with -o or --suffix"
            )
        if os.path.isdir(job.output):  # noqa: PTH112
            raise UsageError(f"the output {job.output} is a folder", hint="choose another name with -o or --suffix")
        other = outputs.setdefault(identity, job)
        if other is job:
            like = alike.setdefault(_folded(identity), job)
            other = like if like is job or ignores_case(existing_above(job.output.parent)) else job
        if other is not job:
            raise UsageError(
                f"{other.source.label} and {job.source.label} would both become {job.output}",
                hint="use --name, --suffix or another --format to tell them apart",
            )


class _Inputs:
    """The inputs of all jobs, by real path and by device and number, which hard links share."""

    def __init__(self, jobs: list[Job]) -> None:
        sources = [job.source for job in jobs if job.source.path is not None]
        self._by_name = {os.path.realpath(source.path or ""): source for source in sources}
        self._by_number: dict[tuple[int, int], InputFile] = {}
        for name, source in self._by_name.items():
            with suppress(OSError):  # it will be reported when its turn comes
                status = os.stat(name)  # noqa: PTH116
                self._by_number[status.st_dev, status.st_ino] = source

    def at(self, output: Path, identity: str) -> InputFile | None:
        """The input that an output would overwrite."""
        if found := self._by_name.get(identity):
            return found
        with suppress(OSError):  # it does not exist, which is how it should be
            status = os.stat(output)  # noqa: PTH116
            return self._by_number.get((status.st_dev, status.st_ino))
        return None


def _folded(path: str) -> str:
    """What names that some file system takes for one have in common."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def ignores_case(folder: Path) -> bool:
    """Whether `a` and `A` are one name there: told by what is there, or by a file put there for a moment."""
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208
            if name.swapcase() != name and name.isascii():
                return _are_one(folder / name, folder / name.swapcase())
    probe = folder / temporary_name()
    try:
        with open(probe, "xb"):
            return _are_one(probe, probe.with_name(probe.name.swapcase()))
    except OSError:
        return os.path.normcase("A") == "a"
    finally:
        with suppress(OSError):
            probe.unlink()


def _are_one(path: Path, other: Path) -> bool:
    try:
        return os.path.samestat(path.lstat(), other.lstat())
    except OSError:
        return False


def check_targets(jobs: list[Job]) -> None:
    """Refuse, before any work, folders that results could not be written to.

    Raises:
        OutputError: such a folder is not one, is read-only, does not exist and cannot be made, or lies behind a link
            inside the folder that was named.
    """
    for folder, root in {(job.output.parent, job.root) for job in jobs if job.output is not None}:
        if root is not None:
            _refuse_links(folder, root)
        check_folder(folder)


def check_folder(folder: Path) -> None:
    """Refuse a folder that results could not be written to.

    Raises:
        OutputError: it is not one, is read-only, or does not exist and cannot be made.
    """
    probe = existing_above(folder) / temporary_name()
    try:
        with open(probe, "xb"):
            pass
    except OSError as error:
        raise write_error(folder / "results", error) from error
    probe.unlink()


def _refuse_links(folder: Path, root: Path) -> None:
    """Refuse a way from `root` to `folder` that leads through a link."""
    below = folder.relative_to(root).parts
    for count in range(1, len(below) + 1):
        step = root.joinpath(*below[:count])
        if os.path.lexists(step) and kind_of(step.lstat()) == "a link":
            raise OutputError(
                f"{step} is a link, and nothing is written through links",
                hint="remove it, or choose another place with -o",
            )


def existing_above(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists.

    Raises:
        OutputError: there is none, as on a drive that is not there.
    """
    for parent in (folder, *folder.parents):
        if os.path.exists(parent):  # noqa: PTH110
            return parent
    raise OutputError(f"there is no place {folder.anchor or folder}", hint="choose another place with -o")


def refuse_existing(
    jobs: list[Job],
    plan: Plan,
    journals: dict[Path, Journal],
    *,
    is_alike: Callable[[Job], bool] = lambda job: True,
) -> None:
    """Stop, before any work, at outputs that may neither be replaced nor passed over.

    Those are: what no journal knows, what was changed since it was made and would be made otherwise now, and whatever
    is no plain file. What may be a result whose line was lost is made again, and refused if it is another: see `Claim`.

    Args:
        is_alike: whether what has the name of a job's result looks like one, as far as a glance can tell.

    Raises:
        UsageError: naming the first of them.
        OutputError: naming a link, a device or a folder.
    """
    existing = _existing(jobs, plan, journals, is_alike)
    if existing:
        for journal in journals.values():  # another run may have made them a moment ago
            journal.look_again()
        existing = _existing([job for job, _ in existing], plan, journals, is_alike)
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        job, why = existing[0]
        raise UsageError(f"{job.output} {why}{more}", hint="add --overwrite or --skip-existing")


def _existing(
    jobs: list[Job], plan: Plan, journals: dict[Path, Journal], is_alike: Callable[[Job], bool]
) -> list[tuple[Job, str]]:
    """Jobs whose results' names are taken, and by what."""
    existing: list[tuple[Job, str]] = []
    for job in jobs:
        if job.output is None or not os.path.lexists(job.output):
            continue
        with suppress(OSError):
            refuse_odd(job.output, job.output.lstat())
        if plan.overwrite or reason_to_skip(job, plan, journals):
            continue
        journal = journals.get(job.root) if job.root is not None else None
        if journal is None or not journal.knows(job.output):
            if journal is None or not journal.may_have_lost(job.output) or not is_alike(job):
                existing.append((job, "exists already"))
        elif not journal.has_made(job.output):
            existing.append((job, "was changed since hat made it"))
    return existing
