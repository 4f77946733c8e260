"""`hat doctor`: what this machine can do, why the CPU is used, where weights live, what to do next."""

from __future__ import annotations

import json
import platform
import sys
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from hatcli.cli.shared.console import command, print_result
from hatcli.cli.shared.tables import hanging

PACKAGES = ("torch", "numpy", "pillow", "opencv-python-headless", "safetensors", "huggingface-hub", "spandrel", "av")


@command
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.", metavar="")] = False,
) -> None:
    """Show device, precision, memory, versions and installed models, and say what to do next."""
    facts = examine()
    if as_json:
        print_result(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        text = ", ".join(f"{key} {entry}" for key, entry in value.items()) if isinstance(value, dict) else value
        lines = text if isinstance(text, list) else [str(text)]
        for number, line in enumerate(lines or ["none"]):
            print_result(hanging(name.replace("_", " ") if number == 0 else "", line, indent=13))


def examine() -> dict[str, Any]:
    """Everything the command shows, as JSON values."""
    import torch

    from hatcli import __version__
    from hatcli.image import extras, formats
    from hatcli.models import catalog, store
    from hatcli.upscaling.device import choose, free_memory, has_bf16

    choice = choose()
    installed = [entry.id for entry in catalog.installed()]
    advice = []
    if choice.device.type == "cpu":
        advice.append(f"{choice.why}; on a machine with an NVIDIA card, see https://pytorch.org for a CUDA build")
    if all(name.startswith("hat-t") for name in installed):
        advice.append("for the best quality: hat download hat (clean pictures), hat download real-hat (photos)")
    if missing := [formats.title(name) for name in extras.missing()]:
        advice.append(f"for {', '.join(missing)}: {extras.INSTALL}")
    if not find_spec("av"):
        advice.append("for films: pip install 'hatcli[video]'")
    return {
        "hat": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "device": str(choice.device),
        "why": choice.why,
        "precision": f"{choice.precision} (bf16 in hardware: {'yes' if has_bf16(choice.device) else 'no'})",
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "free_memory": f"{free_memory(choice.device) / 1e9:.1f} GB",
        "models": installed,
        "weights_in": str(store.root()),
        "formats": {formats.title(name): "there" if extras.is_there(name) else "missing" for name in extras.LIBRARIES},
        "films": _films(),
        "packages": {name: _version(name) for name in PACKAGES},
        "program": sys.executable,
        "next": advice or ["hat upscale photo.png --scale 4"],
    }


def _films() -> str:
    """Which encoders of films run here; those of cards are tried."""
    if not find_spec("av"):
        return "missing"
    from hatcli.video import encoding

    there = {name: encoding.runs(name) for name in encoding.hardware()}
    found = [*encoding.CODECS, *(name for name, does_run in there.items() if does_run)]
    without = [name for name, does_run in there.items() if not does_run]
    return ", ".join(found) + (f"; not on this machine: {', '.join(without)}" if without else "")


def _version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
