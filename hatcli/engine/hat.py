"""The banded form of `hatcli.network.hat`: HAT without gradients, in bands of rows, on all cores, in bounded memory."""

from __future__ import annotations

import copy
from collections.abc import Generator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from hatcli.engine.blocks import update_group
from hatcli.engine.memory import head_rows, peak_bytes
from hatcli.engine.rows import conv_rows, conv_span, widen
from hatcli.engine.workers import Workers
from hatcli.network.blocks import RHAG
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT, pad_to_multiple, wide_dtype

CPU_CHUNK_VALUES = 1 << 18  # what a core's caches hold, and enough that threads seldom meet
CUDA_CHUNK_PIXELS = 1 << 18  # enough to fill a card, few enough to bound temporaries
NARROW = (torch.bfloat16, torch.float16)
PRODUCTS = (".qkv", ".proj", ".fc1", ".fc2", ".cab.0", ".cab.2")  # modules that may work in a narrow type


class BandedHAT:
    """HAT on a device, run without gradients.

    Args:
        network: stays as it is; its weights are shared unless they have to move.
        device: where to run; None: where the network is.
        dtype: of the products inside the blocks; None: the network's own. See `placed`.
        chunk: pixels that one matrix product handles; None: by device. It bounds temporaries and changes results by
            rounding only.
    """

    def __init__(
        self,
        network: HAT,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        chunk: int | None = None,
    ) -> None:
        self.network = placed(network, device=device, dtype=dtype)
        self.chunk = chunk

    @property
    def scale(self) -> int:
        """The factor."""
        return self.network.config.upscale

    @property
    def window(self) -> int:
        """Side of a window in pixels."""
        return self.network.config.window_size

    def steps(self, image: Tensor) -> Generator[float, None, Tensor]:
        """`network(image)`: after every block and after the head the share that is done, 0..1, equal shares nearly."""
        workers = workers_for(self.network.config, self.network.conv_first.weight.device, self.chunk)
        return workers.alone(run(self.network, image, workers))

    def peak_bytes(self, height: int, width: int) -> int:
        """Bytes that `steps` takes beyond what is loaded already, its result included."""
        device = self.network.conv_first.weight.device
        dtype = next(module.weight.dtype for name, module in self.network.named_modules() if name.endswith(".qkv"))
        workers = workers_for(self.network.config, device, self.chunk)
        return peak_bytes(self.network.config, height, width, workers=workers, dtype=dtype)


def placed(network: HAT, *, device: torch.device | None, dtype: torch.dtype | None) -> HAT:
    """The network on a device and in a precision: itself, if it is there already, or a copy.

    A narrow float type is taken up by the products inside the blocks alone. What they add to, the feature maps, and the
    norms, the channel attention, the convolutions around the blocks and the head stay in float32: rounding there would
    show in the picture.
    """
    weight = network.conv_first.weight
    device = weight.device if device is None else device
    wide = weight.dtype if dtype is None else wide_dtype(dtype)
    if weight.device == device and weight.dtype == wide and dtype not in NARROW:
        return network
    moved = copy.deepcopy(network).to(device, wide)
    if dtype in NARROW:
        for name, module in moved.named_modules():
            if name.endswith(PRODUCTS):
                module.to(dtype)
    return moved


def workers_for(config: HATConfig, device: torch.device, chunk: int | None = None) -> Workers:
    """Who would work on this device."""
    on_cpu = device.type == "cpu"
    usual = CPU_CHUNK_VALUES // config.embed_dim if on_cpu else CUDA_CHUNK_PIXELS
    return Workers(torch.get_num_threads() if on_cpu else 1, chunk or usual)


@torch.inference_mode()
def run(network: HAT, x: Tensor, workers: Workers) -> Generator[float, None, Tensor]:
    """`network(x)` for `[B, 3, H, W]`; yields the share done."""
    config = network.config
    height, width = x.shape[-2:]
    image = network.centred(pad_to_multiple(x, config.window_size))
    rows = image.permute(0, 2, 3, 1)
    band = workers.chunk // rows.shape[2]
    maps = rows.new_empty(*rows.shape[:3], config.embed_dim)

    def begin(top: int, bottom: int) -> None:
        maps[:, top:bottom] = network.patch_embed.norm(conv_rows(network.conv_first, rows, top, bottom))

    workers.each(partial(begin, *span) for span in workers.spans(maps.shape[1], band))
    done, steps = 0, sum(depth + 1 for depth in config.depths) + 1
    for group in network.layers:
        assert isinstance(group, RHAG)
        for _ in update_group(group, maps, *network.indices, workers):
            done += 1
            yield done / steps
    scale = config.upscale
    result = x.new_empty(x.shape[0], 3, height * scale, width * scale, dtype=wide_dtype(x.dtype))

    def reconstruct(top: int, bottom: int) -> None:
        made = reconstructed_rows(network, maps, image, top, bottom)
        result[:, :, top * scale : bottom * scale] = made[..., : width * scale]

    workers.each(partial(reconstruct, *span) for span in workers.spans(height, head_rows(workers, maps.shape[2])))
    yield 1.0
    return result


def reconstructed_rows(network: HAT, maps: Tensor, image: Tensor, top: int, bottom: int) -> Tensor:
    """Output rows of the input rows `top` to `bottom`: `[B, 3, S*(bottom - top), S*W]`.

    Every layer runs on just the rows the next one needs, found backwards from the output.
    """
    height = maps.shape[1]
    convs = [network.upsample[i] for i in range(0, len(network.upsample), 2)]
    factors, scale = network.config.upsample_factors, network.config.upscale
    wanted = [(top * scale, bottom * scale)]  # rows of the output, then of what each convolution reads
    wanted.append(widen(wanted[-1], height * scale))
    for factor in reversed(factors):
        scale //= factor
        shuffled = (wanted[-1][0] // factor, -(-wanted[-1][1] // factor))
        wanted += [shuffled, widen(shuffled, height * scale)]
    first = widen(wanted[-1], height)
    body = conv_rows(network.conv_after_body, maps, *first, norm=network.norm)
    body = body + conv_rows(network.conv_first, image.permute(0, 2, 3, 1), *first)
    rows = conv_span(network.conv_before_upsample[0], body, first, wanted[-1], height)
    have, rows = wanted.pop(), F.leaky_relu(rows, 0.01)
    scale = 1
    for conv, factor in zip(convs, factors, strict=True):
        made = wanted.pop()
        rows = conv_span(conv, rows, have, made, height * scale)
        rows = F.pixel_shuffle(rows.permute(0, 3, 1, 2), factor).permute(0, 2, 3, 1)
        scale *= factor
        have = (made[0] * factor, made[1] * factor)
        wanted.pop()
    rows = conv_span(network.conv_last, rows, have, (top * scale, bottom * scale), height * scale)
    return network.uncentred(rows.permute(0, 3, 1, 2))
