"""Local Attribution Maps (Gu and Dong, "Interpreting Super-Resolution Networks with Local Attribution Maps", CVPR
2021): which input pixels a window of the output was made of. Knows any network as a function, no files, no pages.

Path: the input, blurred less and less. Objective: the gradient magnitude of the output inside the window, summed.
The integral along the path is the right-end sum of the authors' code, so completeness holds up to O(1 / steps).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hatcli.errors import HatError, InputError, UsageError, WeightsError
from hatcli.upscaling.device import exact_products

Network = Callable[[Tensor], Tensor]  # [N, 3, h, w] in 0..1 to [N, 3, s*h, s*w]
Objective = Callable[[Tensor], Tensor]  # [N, 3, H, W] to [N]
SIGMA_OFFSET = 1e-5  # keeps the last kernel, sigma 0, an exact delta instead of 0/0
GINI_OFFSET = 1e-7  # as in the authors' code; tells nothing from next to nothing
NOISE = 1e-12  # of the largest gradient: the rounding of a blur in float64 of a flat picture stays below


@dataclass(frozen=True)
class Window:
    """A square of the output: `top` row, `left` column and `side`, in output pixels."""

    top: int
    left: int
    side: int = 16


@dataclass(frozen=True)
class BlurPath:
    """The blurring path: `steps` parts from a Gaussian of `sigma` input pixels, cut to `kernel` taps, down to none."""

    steps: int = 50
    sigma: float = 1.2
    kernel: int = 9

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"{self.steps} steps are too few", hint="50 is what the paper uses")
        if self.sigma <= 0 or self.kernel < 1 or self.kernel % 2 == 0:
            raise UsageError("the blur needs a positive sigma and an odd kernel", hint="the paper uses 1.2 and 9")

    def blurred(self, image: Tensor, index: int) -> Tensor:
        """`[3, h, w]` at point `index` of `0..steps`: 0 the most blurred, `steps` the image itself."""
        reach = self.kernel // 2
        weights = gaussian_kernel(self.kernel, self.sigma * (1 - index / self.steps)).to(image.dtype)
        wide = F.pad(image[:, None], (reach,) * 4, mode="reflect")
        return F.conv2d(wide, weights[None, None])[:, 0]


@dataclass(frozen=True)
class StepsDone:
    """Steps of the path that are done, and the number of steps in all."""

    done: int
    total: int


@dataclass(frozen=True)
class Attribution:
    """What was found for one window.

    Attributes:
        signed: `[3, h, w]` float64 on the CPU; sums to the rise of the objective along the path up to O(1 / steps).
        saliency: `[h, w]`, its absolute channel sum over the maximum, 0..1.
        gini: inequality of the saliency, 0 (all pixels alike) to nearly 1 (a single pixel).
        batch: steps that were run at once.
    """

    window: Window
    signed: Tensor
    saliency: Tensor
    gini: float
    batch: int

    @property
    def diffusion_index(self) -> float:
        """`100 * (1 - gini)`: larger means that more of the input was used."""
        return 100 * (1 - self.gini)


def gaussian_kernel(taps: int, sigma: float) -> Tensor:
    """`[taps, taps]` float64, isotropic, sum 1."""
    distance = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
    squares = distance[:, None] ** 2 + distance[None, :] ** 2
    weights = torch.exp(-squares / (2 * (sigma + SIGMA_OFFSET) ** 2))
    return weights / weights.sum()


def gradient_sum(window: Window) -> Objective:
    """Sum over the window and the channels of the root of the squared differences to the pixels below and right.

    It reads one row and one column beyond the window. Where both differences are exactly 0 the root's derivative is
    taken to be 0, its smallest subgradient: autograd's own answer there is NaN, for which the authors' code drops
    every input pixel it reaches in that step.
    """

    def objective(output: Tensor) -> Tensor:
        top, left, side = window.top, window.left, window.side
        here = output[..., top : top + side, left : left + side]
        below = output[..., top + 1 : top + 1 + side, left : left + side]
        beside = output[..., top : top + side, left + 1 : left + 1 + side]
        squares = (here - below) ** 2 + (here - beside) ** 2
        flat = squares == 0
        return torch.where(flat, 0.0, torch.where(flat, 1.0, squares).sqrt()).flatten(1).sum(dim=1)

    return objective


def value_sum(window: Window) -> Objective:
    """Plain sum over the window and the channels: linear, so that completeness is exact for a linear network."""

    def objective(output: Tensor) -> Tensor:
        top, left, side = window.top, window.left, window.side
        return output[..., top : top + side, left : left + side].flatten(1).sum(dim=1)

    return objective


def attribute(
    network: Network,
    image: Tensor,
    window: Window,
    *,
    path: BlurPath | None = None,
    objective: Objective | None = None,
    batch: int | None = None,
    budget: int = 1 << 30,
    device: torch.device | None = None,
) -> Generator[StepsDone, None, Attribution]:
    """The attribution of one window; yields progress and returns the result.

    Args:
        network: `[N, 3, h, w]` to `[N, 3, s*h, s*w]` with gradients, in the image's dtype.
        image: `[3, h, w]`, values in 0..1, float32 or float64.
        objective: None: `gradient_sum` of the window.
        batch: steps run at once; None: one first, then as many as fit into `budget` by what that one kept.
        budget: bytes the intermediate results of a batch may take.
        device: where the network is; None: the image's.

    Raises:
        UsageError: the dtype is too short, or the window does not lie inside the output.
        InputError: the picture is too small for the blur, or nothing was attributed, as in a flat region.
        HatError: the gradients are not finite.
    """
    path = path or BlurPath()
    check_image(image, path)
    score = objective or gradient_sum(window)
    exact = image.detach().cpu().double()  # the path's small differences are taken in float64
    total = torch.zeros_like(exact)
    steepest, done, size = 0.0, 0, batch or 1
    before = path.blurred(exact, 0)
    while done < path.steps:
        count = min(size, path.steps - done)
        points = torch.stack([path.blurred(exact, index + 1) for index in range(done, done + count)])
        rises = points - torch.cat([before[None], points[:-1]])
        kept = KeptBytes()
        with kept:
            gradients = slopes(network, points.to(device or image.device, image.dtype), score, window)
        if batch is None and done == 0:
            size = max(1, min(path.steps, budget // max(2 * kept.bytes, 1)))  # backward needs as much again at worst
        total += (gradients * rises).sum(dim=0)
        steepest = max(steepest, float(gradients.abs().max()))
        before, done = points[-1], done + count
        yield StepsDone(done, path.steps)
    strength = total.sum(dim=0).abs()
    peak = float(strength.max())
    if peak <= NOISE * path.steps * steepest:
        raise InputError(
            f"nothing to attribute at {window.left},{window.top}: the picture does not change there",
            hint="choose a place with detail by --at X,Y, or leave --at out",
        )
    saliency = strength / peak
    return Attribution(window, total, saliency, gini(saliency), size)


def check_image(image: Tensor, path: BlurPath) -> None:
    """Refuse what the path cannot be taken of."""
    if image.dtype not in (torch.float32, torch.float64):
        raise UsageError(f"attribution in {image.dtype} would be mostly rounding", hint="use fp32")
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"expected [3, h, w], got {tuple(image.shape)}")
    if min(image.shape[1:]) <= path.kernel // 2:
        raise InputError(
            f"a picture of {image.shape[2]} x {image.shape[1]} pixels is too small to attribute",
            hint=f"both sides must be above {path.kernel // 2}",
        )


def check_window(window: Window, *, height: int, width: int) -> None:
    """Refuse a window that is not inside a result of `height` x `width`."""
    if window.side < 1 or min(window.top, window.left) < 0:
        raise UsageError("the window must be inside the result and at least one pixel large", hint="see --at, --window")
    if window.top + window.side >= height or window.left + window.side >= width:
        raise UsageError(
            f"a window of {window.side} at {window.left},{window.top} is not inside the result of {width} x {height}",
            hint="--at is in output pixels, the window's top left corner, and one row and column more are read",
        )


@torch.enable_grad()
def slopes(network: Network, points: Tensor, objective: Objective, window: Window) -> Tensor:
    """Derivative of the objective at each of `[N, 3, h, w]`, as float64 on the CPU."""
    points = points.detach().requires_grad_()
    with exact_products():
        output = network(points)
    height, width = output.shape[-2:]
    check_window(window, height=height, width=width)
    score = objective(output)
    if not score.requires_grad:
        raise WeightsError("this network passes no gradients to its input", hint="it cannot be attributed; try another")
    with exact_products():
        (gradients,) = torch.autograd.grad(score.sum(), points)
    if not bool(gradients.isfinite().all()):
        raise HatError("the network's gradients are not finite", hint="use other weights, or fp64")
    return gradients.cpu().double()


class KeptBytes:
    """Counts what autograd keeps inside the block: distinct storages, in bytes."""

    def __init__(self) -> None:
        self._storages: dict[int, int] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)

    @property
    def bytes(self) -> int:
        return sum(self._storages.values())

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self._storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    def __enter__(self) -> KeptBytes:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)


def gini(values: Tensor) -> float:
    """The Gini coefficient of all values: 0 where they are alike, `1 - 1/n` for a single one among zeros."""
    flat = values.detach().double().flatten().cpu()
    ordered = (flat - flat.min().clamp(max=0) + GINI_OFFSET).sort().values
    count = ordered.numel()
    ranks = 2 * torch.arange(1, count + 1, dtype=torch.float64) - count - 1
    return float((ranks * ordered).sum() / (count * ordered.sum()))
