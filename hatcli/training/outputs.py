"""The files of a run, side by side: weights, state, log; and whether it may write them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hatcli.atomic import sweep
from hatcli.errors import UsageError
from hatcli.network import checkpoint
from hatcli.training.logs import is_log
from hatcli.training.reading import as_values
from hatcli.training.state import TrainingState

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Outputs:
    """Where a run writes: `weights` ends in .safetensors, the others have its stem."""

    weights: Path

    @property
    def state(self) -> Path:
        """Everything the run needs to go on; where it is, the other two files are the run's own."""
        return self.weights.with_suffix(".state")

    @property
    def log(self) -> Path:
        """What was measured, as JSON lines."""
        return self.weights.with_suffix(".jsonl")

    def refuse_strange(self, *, overwrite: bool) -> None:
        """Check that nothing is lost that this run did not make.

        Raises:
            UsageError: weights or a log are there without a state, unless `overwrite`; or a file that is no log.
        """
        if self.log.exists() and not is_log(self.log):
            raise UsageError(f"{self.log.name} is not a log of hat train", hint="move it away, or choose another -o")
        if overwrite or self.state.exists():
            return
        for path in (self.weights, self.log):
            if path.exists():
                raise UsageError(
                    f"{path.name} is there, but no {self.state.name} to go on from",
                    hint="add --overwrite to replace it, or choose another -o",
                )

    def sweep(self) -> None:
        """Remove what killed runs left beside them: a state takes five times as much as weights."""
        sweep({self.weights.parent})

    def write_weights(self, state: TrainingState) -> None:
        """The averaged weights, with the recipe in the metadata.

        Raises:
            OutputError: the file cannot be written.
        """
        recipe = json.dumps({**as_values(state.recipe), "steps_done": state.step}, sort_keys=True)
        weights = {name: values.cpu() for name, values in state.averaged.state_dict().items()}
        checkpoint.write(self.weights, config=state.averaged.config, state=weights, metadata={"recipe": recipe})


def outputs_at(path: Path | None) -> Outputs:
    """The files of a run whose weights go there.

    Raises:
        UsageError: there is no path, or it cannot be that of weights.
    """
    if path is None:
        raise UsageError("there is no place for the weights", hint="name it with -o net.safetensors")
    if path.suffix != SUFFIX:
        raise UsageError(f"{path.name} does not end in {SUFFIX}", hint="weights are written as safetensors")
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="name a file in it")
    return Outputs(path)
