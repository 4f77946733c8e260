"""Checkpoints of other architectures, through spandrel where it is installed; knows nothing of HAT's own layout."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from hatcli.errors import WeightsError
from hatcli.network import checkpoint
from hatcli.network.weights_file import is_finite

SMALLEST_SIDE = 8  # pixels; smaller pictures are padded, since networks that pad by reflection fail on them
TORCHVISION_NAMES = ("InterpolationMode", "rotate", "normalize")  # what spandrel's other architectures import from it
INSTALL_HINT = "pip install 'hatcli[zoo]' opens other architectures"


class Foreign(nn.Module):
    """A network of another architecture with the contract of HAT.

    `[1, 3, H, W]` in 0..1, any size from 1 x 1, to `[1, 3, s*H, s*W]`. A network for gray pictures is run on each
    channel. Sizes the network cannot take are padded and the result is cut. bf16 is taken up only by networks known
    to support it; the others stay in float32 whatever they are moved to.

    Args:
        descriptor: spandrel's description of a loaded model.
    """

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.network: nn.Module = descriptor.model
        self._descriptor = descriptor  # calls `self.network`, padding as it needs
        self.scale = int(descriptor.scale)
        self.architecture = str(descriptor.architecture.name)
        self.supports_bfloat16 = bool(descriptor.supports_bfloat16)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        weight = next(self.network.parameters())
        padded = image.to(weight.device, weight.dtype)
        if min(height, width) < SMALLEST_SIDE:
            missing = (0, max(SMALLEST_SIDE - width, 0), 0, max(SMALLEST_SIDE - height, 0))
            padded = nn.functional.pad(padded, missing, "replicate")
        if self._descriptor.input_channels == 1:
            result = torch.cat([self._descriptor(channel) for channel in torch.split(padded, 1, dim=1)], dim=1)
        else:
            result = self._descriptor(padded)
        return result[..., : height * self.scale, : width * self.scale]

    def with_gradients(self, images: Tensor) -> Tensor:
        """`[N, 3, h, w]` to `[N, 3, s*h, s*w]`, not clamped: spandrel's own call runs in inference mode and clamps."""
        height, width = images.shape[-2:]
        least = (0, max(0, SMALLEST_SIDE - width), 0, max(0, SMALLEST_SIDE - height))
        padded = nn.functional.pad(images, least, "replicate") if any(least) else images.clone()  # some begin in place
        columns, rows = self._descriptor.size_requirements.get_padding(padded.shape[-1], padded.shape[-2])
        padded = _mirrored(padded, rows, columns)
        parts = torch.split(padded, 1, dim=1) if self._descriptor.input_channels == 1 else (padded,)
        result = torch.cat([self._descriptor._call_fn(self.network, part) for part in parts], dim=1)
        return result[..., : height * self.scale, : width * self.scale]

    def to(self, *args: Any, **kwargs: Any) -> Foreign:
        """As of any module, but a precision the network does not support is not taken up."""
        device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*args, **kwargs)
        if dtype == torch.bfloat16 and not self.supports_bfloat16:
            dtype = torch.float32
        layout = {} if memory_format is None else {"memory_format": memory_format}
        super().to(device=device, dtype=dtype, non_blocking=non_blocking, **layout)
        return self


def _mirrored(images: Tensor, rows: int, columns: int) -> Tensor:
    """`[N, C, h, w]` with more rows and columns, as spandrel adds them: mirrored, beyond that repeated."""
    near = (0, min(columns, images.shape[-1] - 1), 0, min(rows, images.shape[-2] - 1))
    far = (0, columns - near[1], 0, rows - near[3])
    return nn.functional.pad(nn.functional.pad(images, near, "reflect"), far, "replicate")


def load(path: Path) -> Foreign:
    """The network in a checkpoint of any architecture that spandrel enlarges pictures with, ready for inference.

    The file is opened by our own reader: spandrel gets tensors, never a file.

    Raises:
        WeightsError: spandrel is missing, does not know the architecture, or it is not one that enlarges pictures.
    """
    state = checkpoint.read_tensors(path)
    for key, value in state.items():
        if not is_finite(value):
            raise WeightsError(f"{path.name}: {key} holds values that are not finite", hint="download it again")
    return Foreign(_suitable(_described(state, name=path.name), name=path.name)).eval().requires_grad_(False)


def is_available() -> bool:
    """Whether spandrel is installed."""
    return "spandrel" in sys.modules or find_spec("spandrel") is not None


def _described(state: dict[str, Tensor], *, name: str) -> Any:
    """Spandrel's description of a state dict, in float32 on the CPU."""
    spandrel = spandrel_module()
    floats = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the architectures' code is old: torch.meshgrid and the like
            return spandrel.ModelLoader(device="cpu").load_from_state_dict(floats)
    except spandrel.UnsupportedModelError:
        raise WeightsError(
            f"{name} is neither a HAT nor of an architecture spandrel knows", hint="`hat models` lists what there is"
        ) from None
    except Exception as error:  # what does not fit its guess of an architecture raises nearly anything
        said = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"{name} does not load as any architecture spandrel knows: {type(error).__name__}: {said}",
            hint="it may be damaged or of a newer variant: pip install -U spandrel",
        ) from None


def _suitable(descriptor: Any, *, name: str) -> Any:
    """The description, if it is of a network that takes any picture and makes it larger."""
    what = f"{name} is a {descriptor.architecture.name} network"
    hint = "hat upscale needs a network that enlarges any picture; `hat models` lists some"
    purposes = {"FaceSR": "restores aligned faces only", "Inpainting": "fills holes", "Restoration": "does not enlarge"}
    if descriptor.purpose != "SR":
        raise WeightsError(f"{what} that {purposes.get(descriptor.purpose, 'does something else')}", hint=hint)
    if descriptor.scale < 2:
        raise WeightsError(f"{what} that does not enlarge", hint=hint)
    channels = (descriptor.input_channels, descriptor.output_channels)
    if channels not in ((1, 1), (3, 3)):
        raise WeightsError(
            f"{what} from {channels[0]} to {channels[1]} channels", hint="only gray and RGB ones will do"
        )
    return descriptor


def spandrel_module() -> Any:
    """The library.

    Raises:
        WeightsError: it is not installed, or does not start.
    """
    if not is_available():
        raise WeightsError("other architectures than HAT need spandrel, which is not installed", hint=INSTALL_HINT)
    if "spandrel" in sys.modules:
        return sys.modules["spandrel"]
    try:
        with warnings.catch_warnings(), _torchvision_or_its_names():
            warnings.simplefilter("ignore")
            return import_module("spandrel")
    except (ImportError, RuntimeError, AttributeError) as error:
        raise WeightsError(
            f"spandrel does not start here: {' '.join(str(error).split())[:160]}",
            hint="pip install -U spandrel torchvision, the latter as built for your PyTorch",
        ) from None


@contextmanager
def _torchvision_or_its_names() -> Iterator[None]:
    """While spandrel is imported: torchvision, or its bare names where it is missing or made for another PyTorch.

    Two architectures import it at the top, and neither enlarges pictures: one fills holes, the other restores faces.
    """
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError, AttributeError):
        pass
    else:
        yield
        return
    _forget_torchvision()
    functional = ModuleType("torchvision.transforms.functional")
    for name in TORCHVISION_NAMES:
        setattr(functional, name, None)
    names = ("torchvision", "torchvision.transforms")
    sys.modules.update({name: ModuleType(name) for name in names}, **{functional.__name__: functional})
    try:
        yield
    finally:
        _forget_torchvision()


def _forget_torchvision() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
