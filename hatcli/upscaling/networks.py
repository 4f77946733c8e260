"""A model's networks at work on a device: each precision made once, and what bf16 spoils computed again in fp32."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from hatcli import engine
from hatcli.engine import Network
from hatcli.errors import HatError, MemoryLimitError
from hatcli.progress import mapped, within
from hatcli.upscaling import ensemble
from hatcli.upscaling.colors import keep_means_
from hatcli.upscaling.device import DeviceChoice, exact_products
from hatcli.upscaling.memory import is_out_of_memory, run_bytes
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
    _working: dict[tuple[int, torch.dtype], Network] = field(default_factory=dict)

    def bytes_for(self, scale: int, dtype: torch.dtype) -> Callable[[int, int], int]:
        """Height and width of a region to what running a factor's network on it takes."""
        return partial(run_bytes, self.opened(scale, dtype), ensemble=self.settings.ensemble)

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
        network = self.opened(scale, dtype)
        image = region[None].to(self.choice.device)
        if not self.settings.ensemble:
            result = yield from within(network.steps(image), exact_products)
            return result[0].float().cpu()
        total: Tensor | None = None
        for number in range(ensemble.COUNT):
            steps = within(network.steps(ensemble.transform(image, number).contiguous()), exact_products)
            turned = yield from mapped(steps, partial(_share_of_all, number))
            output = ensemble.inverse(turned, number).float()
            total = output.clone() if total is None else total.add_(output)
            del turned, output  # large, and the next run does not need them
        assert total is not None
        return total.div_(ensemble.COUNT)[0].cpu()

    def opened(self, scale: int, dtype: torch.dtype) -> Network:
        """The network of a factor on the device in a precision; opened once.

        Raises:
            MemoryLimitError: the device has no room for its weights.
        """
        key, device = (scale, dtype), self.choice.device
        if key not in self._working:
            try:
                self._working[key] = engine.opened(self.masters[scale], scale=scale, device=device, dtype=dtype)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                raise MemoryLimitError(
                    f"{device} has no room for the network itself",
                    hint="close other programs, use --device cpu, or a smaller model such as -n hat-t",
                ) from error
        return self._working[key]


def _share_of_all(number: int, done: float) -> float:
    """Progress of one of the ensemble's runs as progress of all."""
    return (number + done) / ensemble.COUNT
