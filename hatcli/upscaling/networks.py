"""A model's networks at work on a device: each precision made once, and what bf16 spoils computed again in fp32."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from hatcli.errors import HatError
from hatcli.upscaling import ensemble
from hatcli.upscaling.colors import keep_means_
from hatcli.upscaling.device import DeviceChoice, exact_products
from hatcli.upscaling.memory import run_bytes, window_of
from hatcli.upscaling.progress import mapped
from hatcli.upscaling.settings import Settings


@dataclass(frozen=True)
class Networks:
    """The networks of a model, one for each native factor, on a device.

    Attributes:
        masters: native factor to network, as they were given; they stay as they are.
        choice: device and precision.
        settings: self-ensemble and colour; the rest is for others.
    """

    masters: Mapping[int, nn.Module]
    choice: DeviceChoice
    settings: Settings
    _working: dict[tuple[int, torch.dtype], nn.Module] = field(default_factory=dict)

    def window(self, scale: int) -> int:
        """Input pixels whose multiples the tiles of a factor's network should start at."""
        return window_of(self.masters[scale])

    def bytes_for(self, scale: int, dtype: torch.dtype) -> Callable[[int, int], int]:
        """Height and width of a region to what running a factor's network on it takes."""
        return partial(
            run_bytes, self.masters[scale], device=self.choice.device, dtype=dtype, ensemble=self.settings.ensemble
        )

    def run(self, region: Tensor, scale: int, dtype: torch.dtype) -> Generator[float, None, Tensor]:
        """The network of a factor on `[3, h, w]`: yields its share done, returns `[3, s*h, s*w]` on the CPU.

        A result that is not finite in bf16 is computed again in fp32.

        Raises:
            HatError: it is not finite in fp32 either.
        """
        for precision in dict.fromkeys((dtype, torch.float32)):
            result = yield from self._run_in(precision, region, scale)
            if bool(torch.isfinite(result).all()):
                if self.settings.keep_color:
                    keep_means_(result, region)
                return result
        raise HatError(
            "the network's result is not finite, so nothing was saved",
            hint="the weights are damaged or not meant for this: try another model, or `hat models verify`",
        )

    def _run_in(self, dtype: torch.dtype, region: Tensor, scale: int) -> Generator[float, None, Tensor]:
        network = self._in_precision(scale, dtype)
        image = region[None].to(self.choice.device)
        if not self.settings.ensemble:
            result = yield from forward(network, image)
            return result[0].float().cpu()
        total: Tensor | None = None
        for number in range(ensemble.COUNT):
            steps = forward(network, ensemble.transform(image, number).contiguous())
            turned = yield from mapped(steps, partial(_share_of_all, number))
            output = ensemble.inverse(turned, number).float()
            total = output.clone() if total is None else total.add_(output)
        assert total is not None
        return total.div_(ensemble.COUNT)[0].cpu()

    def _in_precision(self, scale: int, dtype: torch.dtype) -> nn.Module:
        """The network of a factor on the device in a precision; made once."""
        key = (scale, dtype)
        if key not in self._working:
            master = self.masters[scale].eval()
            stays = self.choice.device.type == "cpu" and dtype == torch.float32
            self._working[key] = master if stays else copy.deepcopy(master).to(self.choice.device, dtype)
        return self._working[key]


def _share_of_all(number: int, done: float) -> float:
    """Progress of one of the ensemble's runs as progress of all."""
    return (number + done) / ensemble.COUNT


def forward(network: nn.Module, image: Tensor) -> Generator[float, None, Tensor]:
    """One forward pass without gradients; a network that can report its steps does."""
    steps: Callable[[Tensor], Generator[None, None, Tensor]] | None = getattr(network, "steps", None)
    if steps is None:
        with torch.inference_mode(), exact_products():
            whole: Tensor = network(image)
        return whole
    count = int(getattr(network, "num_steps", 1))
    running = steps(image)
    for done in range(1, count + 1):
        with exact_products():
            next(running)
        yield done / count
    try:
        next(running)
    except StopIteration as finished:
        result: Tensor = finished.value
        return result
    raise RuntimeError("the network took more steps than it said")
