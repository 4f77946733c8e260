"""Checkpoints of other architectures run as HAT's do; where they cannot, one line says why."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.foreign import NETWORKS, built, saved
from torch import nn

from hatcli.errors import WeightsError
from hatcli.image.picture import Picture, Samples
from hatcli.models import foreign, opening
from hatcli.network import checkpoint
from hatcli.upscaling.device import DeviceChoice
from hatcli.upscaling.settings import Settings
from hatcli.upscaling.upscaler import Upscaler

FP32 = DeviceChoice(torch.device("cpu"), torch.float32, "for a test")
BF16 = DeviceChoice(torch.device("cpu"), torch.bfloat16, "for a test")
SIZES = [(1, 1), (3, 2), (17, 33), (40, 24)]
needs_spandrel = pytest.mark.skipif(find_spec("spandrel") is None, reason="needs spandrel")


def noise(height: int, width: int, *, channels: int = 3) -> Samples:
    random = np.random.default_rng(height * 1000 + width)
    return random.integers(0, 256, (height, width, channels), dtype=np.uint8)


def directly(network: nn.Module, pixels: Samples) -> Samples:
    """What spandrel itself makes of a picture."""
    descriptor = sys.modules["spandrel"].ModelLoader().load_from_state_dict(dict(network.state_dict()))
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    values = descriptor(image)[0].permute(1, 2, 0) * 255
    result: Samples = values.round().to(torch.uint8).numpy()
    return result


def refusal(path: Path) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        opening.open_one(str(path), factor=None)
    assert caught.value.message.isprintable()
    assert (caught.value.hint or "").isprintable()
    return caught.value


# With spandrel


@needs_spandrel
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", NETWORKS)
def test_other_architectures_enlarge_as_spandrel_itself_does(tmp_path: Path, name: str, ending: str) -> None:
    network = built(name)
    path = saved(network, tmp_path / f"other{ending}", wrapper="params_ema")
    model = opening.open_one(str(path), factor=None)
    assert (model.architecture, model.name) == (name, "other")
    upscaler = Upscaler(model, choice=FP32, settings=Settings(tile="off"))
    (scale,) = model
    for height, width in SIZES:
        pixels = noise(height, width)
        result = upscaler.upscale(Picture(pixels)).pixels
        assert result.shape == (height * scale, width * scale, 3)
        if min(height, width) >= foreign.SMALLEST_SIDE:
            difference = np.abs(result.astype(int) - directly(network, pixels).astype(int))
            assert difference.max() <= 1
            assert difference.mean() < 0.01


@needs_spandrel
def test_tiles_of_a_network_with_a_small_receptive_field_leave_no_trace(tmp_path: Path) -> None:
    network = built("RealESRGAN Compact")
    model = opening.open_one(str(saved(network, tmp_path / "compact.pth")), factor=None)
    pixels = noise(70, 90)
    tiled = Upscaler(model, choice=FP32, settings=Settings(tile=48, overlap=24)).upscale(Picture(pixels)).pixels
    assert np.abs(tiled.astype(int) - directly(network, pixels).astype(int)).max() <= 1


@needs_spandrel
def test_a_network_for_gray_pictures_is_run_on_each_channel(tmp_path: Path) -> None:
    network = built("SwinIR", in_chans=1)
    model = opening.open_one(str(saved(network, tmp_path / "gray.pth")), factor=None)
    pixels = noise(17, 33)
    result = Upscaler(model, choice=FP32).upscale(Picture(pixels)).pixels
    channels = [directly(network, pixels[..., place : place + 1]) for place in range(3)]
    assert np.abs(result.astype(int) - np.concatenate(channels, axis=2).astype(int)).max() <= 1


@needs_spandrel
@pytest.mark.parametrize("supported", [True, False])
def test_bf16_is_taken_up_only_where_the_architecture_supports_it(tmp_path: Path, supported: bool) -> None:
    network = foreign.load(saved(built("RealESRGAN Compact"), tmp_path / "compact.pth"))
    network.supports_bfloat16 = supported
    moved = network.to(torch.device("cpu"), torch.bfloat16)
    assert {value.dtype for value in moved.parameters()} == {torch.bfloat16 if supported else torch.float32}
    assert moved(torch.rand(1, 3, 9, 12)).shape == (1, 3, 18, 24)


@needs_spandrel
def test_a_run_in_bf16_leaves_the_opened_network_in_float32(tmp_path: Path) -> None:
    model = opening.open_one(str(saved(built("RealESRGAN Compact"), tmp_path / "compact.pth")), factor=None)
    assert model.supports_bf16
    pixels = noise(17, 33)
    half = Upscaler(model, choice=BF16).upscale(Picture(pixels)).pixels
    full = Upscaler(model, choice=FP32).upscale(Picture(pixels)).pixels
    assert np.abs(half.astype(int) - full.astype(int)).mean() < 2
    assert {value.dtype for value in model[2].parameters()} == {torch.float32}


@needs_spandrel
def test_an_old_esrgan_whose_keys_all_begin_with_model_keeps_them(tmp_path: Path) -> None:
    network = built("ESRGAN")
    assert all(key.startswith("model.") for key in network.state_dict())
    assert opening.open_one(str(saved(network, tmp_path / "old.pth")), factor=None).architecture == "ESRGAN"


@needs_spandrel
@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("RealESRGAN Compact", {"upscale": 1}, "does not enlarge"),
        ("ESRGAN", {"in_nc": 4, "out_nc": 4}, "from 4 to 4 channels"),
    ],
)
def test_networks_that_cannot_serve_are_refused_by_name(
    tmp_path: Path, name: str, changes: dict[str, Any], reason: str
) -> None:
    message = refusal(saved(built(name, **changes), tmp_path / "other.pth")).message
    assert name in message
    assert reason in message


@needs_spandrel
def test_weights_of_nothing_known_are_refused(tmp_path: Path) -> None:
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "unknown.pth")
    assert "neither a HAT nor" in refusal(tmp_path / "unknown.pth").message


@needs_spandrel
def test_a_checkpoint_that_lacks_tensors_or_holds_nan_is_refused(tmp_path: Path) -> None:
    state = dict(built("RCAN").state_dict())
    torch.save({key: value for key, value in state.items() if "body.0.body.0" not in key}, tmp_path / "lacking.pth")
    assert "lacking.pth" in refusal(tmp_path / "lacking.pth").message
    state["tail.1.bias"] = torch.full_like(state["tail.1.bias"], float("nan"))
    torch.save(state, tmp_path / "nan.pth")
    assert "not finite" in refusal(tmp_path / "nan.pth").message


@needs_spandrel
def test_spandrel_is_never_given_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    with (tmp_path / "hostile.pth").open("wb") as file:
        pickle.dump({"model.0.weight": Payload()}, file)
    monkeypatch.setattr(foreign, "spandrel_module", lambda: pytest.fail("spandrel was reached"))
    assert "hostile.pth" in refusal(tmp_path / "hostile.pth").message
    assert not (tmp_path / "ran").exists()


@needs_spandrel
def test_spandrel_starts_without_torchvision_and_no_stand_in_stays_behind() -> None:
    code = (
        "import sys; from hatcli.models import foreign; hidden = sys.meta_path.insert(0, type('Hidden', (), {"
        "'find_spec': staticmethod(lambda name, *_: (_ for _ in ()).throw(RuntimeError('operator nms does not exist'))"
        " if name == 'torchvision' else None)})); foreign.spandrel_module(); "
        "print([name for name in sys.modules if name.startswith('torchvision')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.stdout.strip(), ended.returncode) == ("[]", 0), ended.stderr


# Without spandrel


@pytest.fixture
def no_spandrel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "is_available", lambda: False)


def test_without_spandrel_the_architecture_is_named_and_what_to_install(no_spandrel: None, tmp_path: Path) -> None:
    state = {"layers.0.residual_group.blocks.0.attn.qkv.weight": torch.zeros(9, 3)}
    torch.save({"params": state}, tmp_path / "swin.pth")
    error = refusal(tmp_path / "swin.pth")
    assert "SwinIR" in error.message
    assert "pip install 'hatcli[zoo]'" in (error.hint or "")
    assert error.exit_code == 3


def test_without_spandrel_loading_directly_says_what_to_install(no_spandrel: None, tmp_path: Path) -> None:
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="spandrel") as caught:
        foreign.load(tmp_path / "other.pth")
    assert caught.value.hint == foreign.INSTALL_HINT


def test_tensors_are_read_under_their_own_keys_out_of_wrappers(tmp_path: Path) -> None:
    torch.save({"params": {"model.0.weight": torch.ones(2)}, "epoch": 3}, tmp_path / "other.pth")
    tensors = checkpoint.read_tensors(tmp_path / "other.pth")
    assert list(tensors) == ["model.0.weight"]
    assert torch.equal(tensors["model.0.weight"], torch.ones(2))
