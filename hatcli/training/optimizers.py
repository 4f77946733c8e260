"""What changes the weights, given their gradients: Adam for all, or Muon for the matrices and Adam for the rest."""

from __future__ import annotations

from typing import Any

from torch import nn, optim

from hatcli.network.hat import HAT
from hatcli.training.recipe import Recipe

MUON_MOMENTUM = 0.95
SMALLEST_MATRIX = 8  # a matrix with a shorter side has too few directions to make equally long
NO_MATRICES = ("conv_first", "conv_before_upsample", "upsample", "conv_last")  # the way of the image: Adam's


class Optimizers:
    """The optimisers of a recipe as one.

    Muon (Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024; the rate matched to Adam's as in Liu
    et al., "Muon is Scalable for LLM Training", 2025) sees a convolution as the matrix `[out, in * k * k]`, a parameter
    that shares the weight's memory.
    """

    def __init__(self, model: HAT, recipe: Recipe) -> None:
        self.recipe = recipe
        named = dict(model.named_parameters())
        matrices = set(matrix_names(model)) if recipe.optimizer == "muon" else set()
        self._matrices = [named[name] for name in named if name in matrices]
        self._flat = [nn.Parameter(weight.data.view(weight.shape[0], -1)) for weight in self._matrices]
        rest = [weight for name, weight in named.items() if name not in matrices]
        fused = next(model.parameters()).device.type in ("cpu", "cuda")
        betas = (recipe.betas[0], recipe.betas[1])
        self.adam = optim.Adam(rest, lr=recipe.learning_rate, betas=betas, fused=fused)
        self.muon: optim.Optimizer | None = None
        if self._flat:
            self.muon = optim.Muon(self._flat, momentum=MUON_MOMENTUM, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")

    def step(self, rate: float) -> None:
        """One step with the gradients as they are."""
        _set_rate(self.adam, rate)
        self.adam.step()
        if self.muon is None:
            return
        for flat, weight in zip(self._flat, self._matrices, strict=True):
            flat.grad = None if weight.grad is None else weight.grad.reshape(flat.shape)
        _set_rate(self.muon, rate * self.recipe.matrix_rate)
        self.muon.step()

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on."""
        return {"adam": self.adam.state_dict(), "muon": None if self.muon is None else self.muon.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse; a state of Adam alone, as older versions saved it, serves too."""
        self.adam.load_state_dict(state.get("adam", state))
        if self.muon is not None:
            self.muon.load_state_dict(state["muon"])


def matrix_names(model: HAT) -> list[str]:
    """The weights Muon learns: of linear layers and convolutions inside the body, unless they are too narrow."""
    names = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and not name.startswith(NO_MATRICES):
            rows = module.weight.shape[0]
            if min(rows, module.weight.numel() // rows) >= SMALLEST_MATRIX:
                names.append(f"{name}.weight")
    return names


def _set_rate(optimizer: optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
