"""A result's claim to its name, where something may stand already: before it is made, and when it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hatcli.batch.journal import Journal
from hatcli.batch.reading import Stamp
from hatcli.batch.stamps import is_still
from hatcli.errors import UsageError

FOUND_AGAIN = "it was there already, the same in every byte, and no journal said so: now it is noted"


@dataclass(frozen=True)
class Claim:
    """A result's claim to its name.

    What a journal's folder holds and no line tells of may be a result whose line was lost, with a power cut or by
    somebody's hand. Whether it is shows when the result is made again: then it is the same, byte for byte.

    Attributes:
        output: the name.
        journal: the open one of its folder; None: nobody knows what stands there.
        overwrite: replace what no journal knows, or what was changed since, too.
    """

    output: Path
    journal: Journal | None
    overwrite: bool = False

    def may_replace(self) -> bool:
        """Whether what stands there may be replaced, whatever the result is."""
        return self.overwrite or (self.journal is not None and self.journal.has_made(self.output))

    def check_early(self) -> None:
        """Before the result is made, or written.

        Raises:
            UsageError: a file stands there that may not be replaced, and that cannot be this very result.
        """
        if self._is_barred() and (self.journal is None or self.journal.knows(self.output)):
            raise self._refusal()

    def check(self, made: Stamp) -> list[str]:
        """When the result is made, and before it is noted; returns a sentence if it was found again.

        Args:
            made: the stamp of the result under its temporary name.

        Raises:
            UsageError: a file stands there that may not be replaced, and that is not this very result.
        """
        if not self._is_barred():
            return []
        if self.journal is None or self.journal.knows(self.output) or not is_still(self.output, made, trust_time=False):
            raise self._refusal()
        return [FOUND_AGAIN]

    def _is_barred(self) -> bool:
        return os.path.lexists(self.output) and not self.may_replace()

    def _refusal(self) -> UsageError:
        return UsageError(f"{self.output} is there already", hint="add --overwrite to replace it")
