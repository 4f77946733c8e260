"""Pictures that several workers make together: who gets which part, how far they are, and what is left lying of them.

A picture is divided once at most. What goes wrong with a part, or while parts are joined, is not told: one worker makes
the picture whole, and what becomes of that is told.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hatcli.batch.journal import Journal
from hatcli.batch.outcomes import Advanced, Event, Outcome, Writing, disk_ended
from hatcli.batch.pieces import Joint
from hatcli.batch.plan import Job
from hatcli.cluster.hands import Hands
from hatcli.cluster.messages import Ended, Staged
from hatcli.cluster.staging import discard, outcome_of
from hatcli.upscaling.parts import Part
from hatcli.upscaling.progress import Progress


@dataclass
class _Picture:
    """A divided picture: its parts by number, from the top to the bottom, how far each is, and what it has become."""

    job: Job
    parts: dict[int, Part]
    progress: dict[int, Progress] = field(default_factory=dict)
    staged: dict[int, Staged] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def is_made(self) -> bool:
        """Whether all parts are."""
        return len(self.staged) == len(self.parts)

    @property
    def origins(self) -> set[str]:
        """The SHA-256 of what the parts were made from, which is one unless the file was changed meanwhile."""
        return {staged.origin.sha256 for staged in self.staged.values()}

    def so_far(self) -> Progress:
        """The parts' progress as the picture's."""
        last = next(reversed(self.parts.values()))
        shares = {number: (part.bottom - part.top) / last.bottom for number, part in self.parts.items()}
        done = sum(shares[number] * one.done for number, one in self.progress.items())
        begun = sum(shares[number] for number in self.progress)
        tile, tiles = (sum(getattr(one, name) for one in self.progress.values()) for name in ("tile", "tiles"))
        return Progress(min(done, 1.0), tile, round(tiles / begun))


class Divisions:
    """Divided pictures by number, and their parts, which have numbers of their own.

    Args:
        hands: of the run.
        journals: open ones by `Job.root`.
    """

    def __init__(self, hands: Hands, journals: Mapping[Path, Journal]) -> None:
        self._hands, self._journals = hands, journals
        self._pictures: dict[int, _Picture] = {}
        self._parts: dict[int, tuple[int, Job]] = {}  # that may still be told of: their picture and its job

    def knows(self, number: int) -> bool:
        """Whether it is a part, be it of a picture that is not divided any more, or a divided picture."""
        return number in self._parts or number in self._pictures

    def divide(self, picture: int, job: Job, numbers: Sequence[int], parts: Sequence[Part]) -> None:
        """A picture is made in these parts by whoever is free, and joined when they are there."""
        self._pictures[picture] = _Picture(job, dict(zip(numbers, parts, strict=True)))
        self._parts |= dict.fromkeys(numbers, (picture, job))
        self._hands.divide(numbers)

    def job_of(self, number: int) -> Job:
        """What a worker is told to do for a part, or for a picture whose parts are there."""
        number_of_picture, job = self._parts.get(number) or (number, self._pictures[number].job)
        picture = self._pictures[number_of_picture]
        assert job.output is not None, "only results in folders are divided"
        if number in picture.parts:
            part = picture.parts[number]  # nothing ever takes its name, which tells it from other parts
            return replace(job, output=job.output.with_name(f"{part.top}.{job.output.name}"), piece=part)
        names = [picture.staged[part].temporary or "" for part in picture.parts]
        return replace(job, piece=Joint(tuple(names), *picture.origins))

    def heard(self, number: int, what: Progress | str | None) -> Event | None:
        """What is told of a picture when this is heard of a part, or of the joining of parts."""
        if number in self._pictures:
            return Writing(self._pictures[number].job) if what is None else None
        picture = self._pictures.get(self._parts[number][0])
        if picture is None or not isinstance(what, Progress):
            return None
        picture.progress[number] = what
        return Advanced(picture.job, picture.so_far())

    def end(self, number: int, told: Ended) -> tuple[int, Outcome] | None:
        """A part has ended, or parts could not be joined; what is told of their picture, if that ends it."""
        if number in self._pictures:
            return self._fail(number, told)
        number_of_picture, job = self._parts.pop(number)
        self._hands.done(number)
        picture = self._pictures.get(number_of_picture)
        if picture is None:
            if told.staged is not None:
                self._discard(job, told.staged)
        elif told.staged is None:
            return self._fail(number_of_picture, told)
        else:
            picture.staged[number] = told.staged
            if len(picture.origins) > 1:
                self._make_whole(number_of_picture)
            elif picture.is_made:
                self._hands.lack(number_of_picture)
        return None

    def _fail(self, number: int, told: Ended) -> tuple[int, Outcome] | None:
        outcome = outcome_of(self._pictures[number].job, told)
        if outcome.error is not None and disk_ended(outcome.error):  # it would end alike, after all the work
            self.drop(number)
            return number, outcome
        self._make_whole(number)
        return None

    def _make_whole(self, number: int) -> None:
        self.drop(number)
        self._hands.lack(number)

    def lose(self, number: int) -> bool:
        """Workers have died over this; whether it is a part, and its picture lives on."""
        number_of_picture, _ = self._parts.pop(number, (None, None))
        if number_of_picture in self._pictures:
            assert number_of_picture is not None
            self._make_whole(number_of_picture)
        return number_of_picture is not None

    def withdraw(self) -> None:
        """Parts that nobody needs any more, and nobody has, are not handed out."""
        needless = [number for number, (picture, _) in self._parts.items() if picture not in self._pictures]
        for number in self._hands.withdraw(needless) if needless else ():
            del self._parts[number]

    def seconds(self, number: int) -> float | None:
        """Since a picture was divided; None: it is not."""
        picture = self._pictures.get(number)
        return None if picture is None else time.monotonic() - picture.began

    def drop(self, number: int) -> None:
        """A picture is not divided any more, if it was."""
        if (picture := self._pictures.pop(number, None)) is not None:
            for staged in picture.staged.values():
                self._discard(picture.job, staged)

    def _discard(self, job: Job, staged: Staged) -> None:
        assert job.root is not None
        assert job.output is not None
        discard(self._journals[job.root], job.output, staged)

    def close(self) -> None:
        """Take away all that is left lying."""
        for number in list(self._pictures):
            self.drop(number)
