"""Everything a run needs to go on, in memory and in a file; the file is whole or absent."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch

from hatcli.atomic import replacing, write_error
from hatcli.errors import UsageError, WeightsError
from hatcli.network.hat import HAT
from hatcli.network.weights_file import check_sums
from hatcli.training.batches import Ahead, PatchSampler
from hatcli.training.data import AnyPair
from hatcli.training.degradations import DEGRADATIONS
from hatcli.training.distributed import Group
from hatcli.training.optimizers import Optimizers
from hatcli.training.reading import as_values
from hatcli.training.recipe import Recipe


class TrainingState:
    """Network, averaged network, optimiser, place in the data, counters; `model` must be on its device already.

    Attributes:
        workers: threads of a CPU that learn side by side, which decide how sums are rounded. Those asked for; without
            any, those of the saved state; in a new run one for each of PyTorch's threads, at most one a patch.
    """

    def __init__(
        self,
        model: HAT,
        recipe: Recipe,
        pairs: Sequence[AnyPair],
        *,
        group: Group | None = None,
        workers: int | None = None,
    ) -> None:
        self.model, self.recipe, self.group = model, recipe, group or Group()
        model.checkpointing = recipe.checkpointing
        self.device = next(model.parameters()).device
        self.averaged = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimizers = Optimizers(model, recipe)
        self.most_workers = self.group.share(recipe.batch) if self.device.type == "cpu" else 1
        self.asked_workers = None if workers is None else min(workers, self.most_workers)
        self.workers = self.asked_workers or min(torch.get_num_threads(), self.most_workers)
        sampler = PatchSampler(
            pairs,
            batch=self.group.share(recipe.batch),
            patch=recipe.patch,
            seed=recipe.seed,
            rank=self.group.rank,
            degradation=DEGRADATIONS[recipe.degradation],
            candidates=recipe.candidates,
            detail_share=recipe.detail_share,
        )
        self.batches = Ahead(sampler)
        self.step = 0
        self.seconds = 0.0  # of training, over all sessions

    def save(self, path: Path) -> None:
        """Write the state atomically; every process of the group must call this at the same step.

        Raises:
            WeightsError: the weights are no longer finite; the file stays as it was.
            OutputError: the file cannot be written.
        """
        own = {"batches": self.batches.position, "random": self._random()}
        state = {
            "recipe": as_values(self.recipe),
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizers.state_dict(),
            "workers": self.workers,
            "processes": self.group.gather(own),
            "step": self.step,
            "seconds": self.seconds,
        }
        self.check_finite()
        if not self.group.leads:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(path.parent, error) from None
        with replacing(path) as file:
            write_state(state, file)

    def check_finite(self) -> None:
        """Raises WeightsError if a weight is not finite any more."""
        if not all(bool(torch.isfinite(values).all()) for values in self.model.parameters()):
            raise not_finite("a weight is not finite", self.step)

    def load(self, path: Path) -> str | None:
        """Continue from a saved state; what people should know about it, in a line.

        Raises:
            WeightsError: the file is not a training state.
            UsageError: it was made with another recipe, or by another number of processes.
        """
        state, recipe = read_state(path)
        if not self.recipe.goes_on_from(recipe):
            changed = [name for name, value in as_values(recipe).items() if as_values(self.recipe).get(name) != value]
            named = ", ".join(name for name in changed if name not in ("minutes", "steps")) or "network"
            raise UsageError(
                f"{path.name} was made with other settings: {named}", hint="use the same settings, or another output"
            )
        processes = state["processes"]
        if len(processes) != self.group.size:
            raise UsageError(
                f"{path.name} was made by {len(processes)} processes, not {self.group.size}",
                hint="start as many, or delete it to begin anew",
            )
        try:
            self._restore(state, processes[self.group.rank])
            return self._continue_with(state.get("workers"))
        except torch.OutOfMemoryError:
            raise
        except (
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            RuntimeError,
        ) as error:  # as of another version of hat
            raise _no_state(path, error) from error

    def _restore(self, state: dict[str, Any], own: dict[str, Any]) -> None:
        """Everything that a saved state holds, `own` being of this process."""
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizers.load_state_dict(state["optimizer"])
        self.batches.restore(own["batches"])
        self._restore_random(own["random"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])

    def _continue_with(self, saved: int | None) -> str | None:
        """As many workers as the saved state had, unless others were asked for: then its numbers are rounded
        otherwise from here on."""
        if saved is None or self.device.type != "cpu":
            return None
        if self.asked_workers is None:
            self.workers = min(saved, self.most_workers)
        elif self.workers != saved:
            return (
                f"the run had --threads {saved} until here and has {self.workers} now: it goes on, "
                "but will not end with the same bits"
            )
        return None

    def _random(self) -> dict[str, torch.Tensor]:
        """PyTorch's own random numbers (stochastic depth), on the CPU and on the device."""
        found = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            found["cuda"] = torch.cuda.get_rng_state(self.device)
        if self.device.type == "mps":
            found["mps"] = torch.mps.get_rng_state()
        return found

    def _restore_random(self, found: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(found["cpu"])
        if self.device.type == "cuda" and "cuda" in found:
            torch.cuda.set_rng_state(found["cuda"], self.device)
        if self.device.type == "mps" and "mps" in found:
            torch.mps.set_rng_state(found["mps"])


def write_state(state: dict[str, Any], file: BinaryIO) -> None:
    """`torch.save`, whose own words for a full disk are a RuntimeError's.

    Raises:
        OSError: what the operating system said.
    """
    refusals: list[OSError] = []

    class Remembering:
        def write(self, data: bytes) -> int:
            try:
                return file.write(data)
            except OSError as error:
                refusals.append(error)
                raise

        def flush(self) -> None:
            file.flush()

    try:
        torch.save(state, Remembering())  # type: ignore[arg-type]
    except RuntimeError:
        if refusals:
            raise refusals[0] from None
        raise


def read_state(path: Path) -> tuple[dict[str, Any], Recipe]:
    """What a saved state holds, and the recipe of its run.

    Raises:
        WeightsError: the file is not a training state.
    """
    try:
        check_sums(path)
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        recipe = Recipe(**state["recipe"])
        _ = len(state["processes"]), int(state["step"]), float(state["seconds"])
    except Exception as error:  # whatever an unpickler finds in a damaged file
        raise _no_state(path, error) from error
    return state, recipe


def _no_state(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path.name} is not a training state: {type(error).__name__}",
        hint="it is damaged, or of an older version; delete it to begin anew",
    )


def not_finite(what: str, step: int) -> WeightsError:
    """The error of a run that has blown up."""
    return WeightsError(
        f"{what} at step {step}; the last saved state stays",
        hint="train with a smaller learning rate or with --clip 1, in another output",
    )
