"""What a run asks of whoever enlarges films: their room lies above this one, so it is handed in with the plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hatcli.batch.journal import Journal
    from hatcli.batch.outcomes import Event, Foresight
    from hatcli.batch.plan import Job, Plan
    from hatcli.upscaling.upscaler import Upscaler


class Films(Protocol):
    """Whoever enlarges films."""

    @property
    def settings(self) -> dict[str, Any]:
        """What of the options that decide what results look like is not as usual; JSON can hold it."""

    def is_film(self, path: Path) -> bool:
        """Whether its name is that of a film."""

    def takes(self, path: Path, output: Path | None) -> bool:
        """Whether it enlarges this file into that one: films, and whatever is to become a film."""

    def ending(self, path: Path) -> str:
        """What a result's name ends in."""

    def check_output(self, output: Path | None) -> str:
        """The container that an output's ending means.

        Raises:
            UsageError: it means none.
        """

    def enlarge(self, job: Job, upscaler: Upscaler, plan: Plan, journal: Journal | None) -> Iterator[Event]:
        """A film to its file; the last event is its outcome.

        Raises:
            HatError: it cannot be read, enlarged or written.
        """

    def bytes_of(self, job: Job, upscaler: Upscaler, plan: Plan) -> tuple[int, int]:
        """What a film takes on the disk at least, and about, while it is made.

        Raises:
            HatError: it cannot be read.
        """

    def foresee(self, job: Job, upscaler: Upscaler, plan: Plan) -> Foresight:
        """What would become of a film.

        Raises:
            HatError: it cannot be enlarged.
        """
