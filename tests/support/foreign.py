"""Random networks of other architectures, and their weights as files."""

from __future__ import annotations

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from hatcli.models import foreign

SWIN = {"img_size": 16, "window_size": 8, "depths": [2], "embed_dim": 12, "num_heads": [2], "mlp_ratio": 2}
SWIN |= {"upsampler": "pixelshuffledirect", "upscale": 2}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {  # where spandrel keeps the class, and a tiny configuration
    "ESRGAN": ("ESRGAN.__arch.RRDB.RRDBNet", {"num_filters": 8, "num_blocks": 1, "scale": 4}),
    "SwinIR": ("SwinIR.__arch.SwinIR.SwinIR", SWIN),
    "RealESRGAN Compact": ("Compact.__arch.SRVGG.SRVGGNetCompact", {"num_feat": 8, "num_conv": 2, "upscale": 2}),
    "RCAN": ("RCAN.__arch.rcan_arch.RCAN", {"scale": 3, "n_resgroups": 1, "n_resblocks": 2, "n_feats": 16}),
}


def built(name: str, **changes: Any) -> nn.Module:
    """A random network of spandrel's."""
    foreign.spandrel_module()
    path, configuration = NETWORKS[name]
    module, _, kind = path.rpartition(".")
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network: nn.Module = getattr(import_module(f"spandrel.architectures.{module}"), kind)(
            **{**configuration, **changes}
        )
    return network


def saved(network: nn.Module, path: Path, *, wrapper: str | None = None) -> Path:
    state = {key: value.contiguous().clone() for key, value in network.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({wrapper: state} if wrapper else state, path)
    return path
