"""Room on the disks for what is to be done: refused only where it surely ends, told where it may."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from hatcli.batch import estimate
from hatcli.batch.checks import existing_above
from hatcli.batch.decision import Decision
from hatcli.batch.plan import Job, Plan
from hatcli.errors import HatError, OutputError
from hatcli.image.decode import PictureInfo

_PLENTY = 32  # times the inputs' bytes and the growth of their area: no results take that much
_PLENTY_OF_FILM = 2000  # the same of films, which may be kept without loss
_MOST_LOOKS = 1000  # pictures whose headers are read to tell


def check_room(
    jobs: list[Job],
    plan: Plan,
    *,
    look: Callable[[Path], PictureInfo],
    decide: Callable[[PictureInfo, Job], Decision],
    film_bytes: Callable[[Job], tuple[int, int]] = lambda job: (0, 0),
    ignore: bool = False,
) -> list[str]:
    """Refuse, before any work, more than the disks can hold; sentences about what they may not hold.

    Args:
        jobs: those to be done.
        look: says what the picture in a file is; asked only where there is not plenty of room.
        decide: what becomes of such a picture.
        film_bytes: what a film takes at least, and about.
        ignore: refuse nothing.

    Raises:
        OutputError: the results cannot fit, however well they compress.
    """
    remarks = []
    for disk, waiting in _by_disk(jobs).items():
        free = shutil.disk_usage(disk).free
        growth = (plan.target.scale or 16) ** 2
        films = [job for job in waiting if plan.has_film(job)]
        pictures = [job for job in waiting if not plan.has_film(job)]
        if (_inputs_bytes(pictures) * _PLENTY + _inputs_bytes(films) * _PLENTY_OF_FILM) * growth < free:
            continue
        takes = [_takes(pictures, plan, look, decide), *_films_take(films, film_bytes)]
        least, likely = (sum(each) for each in zip(*takes, strict=True))
        if least > free and not ignore:
            raise OutputError(
                f"the results need at least {_in_words(least)}, and {disk} has {_in_words(free)} left",
                hint="free some space, write elsewhere with -o, or add --ignore-free-space",
            )
        if likely > free:
            remarks.append(f"the results may take {_in_words(likely)}, and {disk} has {_in_words(free)} left")
    return remarks


def _by_disk(jobs: list[Job]) -> dict[Path, list[Job]]:
    """The jobs by the disk their results go to, which a folder on it stands for."""
    folders: dict[Path, Path] = {}
    disks: dict[int, Path] = {}
    sorted_out: dict[Path, list[Job]] = {}
    for job in jobs:
        if job.output is None:
            continue
        folder = job.output.parent
        if folder not in folders:
            existing = existing_above(folder)
            folders[folder] = disks.setdefault(existing.stat().st_dev, existing)
        sorted_out.setdefault(folders[folder], []).append(job)
    return sorted_out


def _inputs_bytes(jobs: list[Job]) -> int:
    total = 0
    for job in jobs:
        try:
            total += 0 if job.source.path is None else job.source.path.stat().st_size
        except OSError:  # it will be reported when its turn comes
            continue
    return total


def _takes(
    jobs: list[Job],
    plan: Plan,
    look: Callable[[Path], PictureInfo],
    decide: Callable[[PictureInfo, Job], Decision],
) -> tuple[int, int]:
    """Bytes that the results take at least, and about."""
    least = likely = seen = 0
    for job in jobs[:_MOST_LOOKS]:
        try:
            info = None if job.source.path is None else look(job.source.path)
            decision = None if info is None else decide(info, job)
        except HatError:  # it will be reported when its turn comes
            continue
        seen += 1
        if info is None or decision is None or decision.skipped:
            continue
        width, height, container = decision.size.width, decision.size.height, decision.container
        least += estimate.least_bytes(container, width=width, height=height, compression=plan.options.compression)
        likely += decision.frames * estimate.file_bytes(container, width=width, height=height, bits=info.bits)
    return least, likely * len(jobs) // max(seen, 1)


def _films_take(jobs: list[Job], film_bytes: Callable[[Job], tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for job in jobs[:_MOST_LOOKS]:
        with suppress(HatError):  # it will be reported when its turn comes
            yield film_bytes(job)


def _in_words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
