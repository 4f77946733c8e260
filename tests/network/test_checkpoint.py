"""Checkpoint files: what is read, what is refused and in which words."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from support.networks import tiny

from hatcli.errors import WeightsError
from hatcli.network import checkpoint
from hatcli.network.config import HATConfig, preset
from hatcli.network.hat import HAT


@pytest.fixture
def network() -> HAT:
    torch.manual_seed(1)
    return HAT(tiny())


@pytest.mark.parametrize("wrapper", ["params_ema", "params", "state_dict", None])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_pth_files_load_bit_for_bit(tmp_path: Path, network: HAT, wrapper: str | None, prefix: str) -> None:
    state: Any = {prefix + key: value for key, value in network.state_dict().items()}
    torch.save({wrapper: state} if wrapper else state, tmp_path / "net.pth")
    loaded = checkpoint.load(tmp_path / "net.pth")
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize(
    "prefix",
    ["params.", "params_ema.", "params-ema.", "net_g.", "_orig_mod.", "generator.", "module.model.",
     "params_ema.module.", "netG._orig_mod.module."],
)  # fmt: skip
def test_safetensors_load_under_the_prefixes_that_trainers_write(tmp_path: Path, network: HAT, prefix: str) -> None:
    save_file({prefix + key: value for key, value in network.state_dict().items()}, tmp_path / "net.safetensors")
    loaded = checkpoint.load(tmp_path / "net.safetensors")
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in loaded.state_dict().items())


def test_averaged_weights_are_preferred_in_safetensors_and_a_count_of_steps_is_passed_over(
    tmp_path: Path, network: HAT
) -> None:
    state = {f"params_ema.{key}": value for key, value in network.state_dict().items()}
    state |= {f"params.{key}": torch.zeros_like(value) for key, value in network.state_dict().items()}
    save_file(state, tmp_path / "both.safetensors")
    assert torch.equal(checkpoint.load(tmp_path / "both.safetensors").conv_first.weight, network.conv_first.weight)
    averaged = {f"module.{key}": value for key, value in network.state_dict().items()}
    save_file({**averaged, "n_averaged": torch.tensor(7)}, tmp_path / "averaged.safetensors")
    assert torch.equal(checkpoint.load(tmp_path / "averaged.safetensors").conv_first.weight, network.conv_first.weight)


def test_averaged_weights_are_preferred(tmp_path: Path, network: HAT) -> None:
    other = {key: torch.zeros_like(value) for key, value in network.state_dict().items() if "index" not in key}
    torch.save({"params": other, "params_ema": network.state_dict()}, tmp_path / "net.pth")
    assert torch.equal(checkpoint.load(tmp_path / "net.pth").conv_first.weight, network.conv_first.weight)


def test_written_files_carry_their_configuration(tmp_path: Path) -> None:
    config = tiny(conv_scale=0.25, img_range=2.0, rgb_mean=(0.1, 0.2, 0.3))
    network = HAT(config)
    checkpoint.write(tmp_path / "net.safetensors", config=config, state=network.state_dict(), metadata={"licence": "x"})
    read = checkpoint.read(tmp_path / "net.safetensors")
    assert read.config == config
    assert read.metadata["licence"] == "x"
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in read.state.items())
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.parametrize(
    "config",
    [
        tiny(),
        tiny(upscale=3, depths=(1, 2), num_heads=(2, 3)),
        tiny(upscale=4, overlap_ratio=0.0),
        tiny(upscale=8, window_size=8, overlap_ratio=0.75, qkv_bias=False),
        tiny(upscale=1, mlp_ratio=1.5, compress_ratio=5, squeeze_factor=12),
        preset("hat-t", upscale=3),
    ],
)
def test_the_configuration_is_inferred_from_shapes_alone(config: HATConfig) -> None:
    with torch.device("meta"):
        shapes = HAT(config).state_dict()
    inferred = checkpoint.infer_config(shapes)
    with torch.device("meta"):
        again = HAT(inferred).state_dict()
    assert {key: value.shape for key, value in again.items()} == {key: value.shape for key, value in shapes.items()}
    assert (inferred.upscale, inferred.depths, inferred.num_heads) == (config.upscale, config.depths, config.num_heads)
    assert inferred.overlap_window == config.overlap_window


def test_stripped_position_indices_are_rebuilt(tmp_path: Path, network: HAT) -> None:
    state = {key: value for key, value in network.state_dict().items() if "index" not in key}
    save_file(state, tmp_path / "net.safetensors")
    loaded = checkpoint.load(tmp_path / "net.safetensors").get_buffer("relative_position_index_OCA")
    assert torch.equal(loaded, network.get_buffer("relative_position_index_OCA"))


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        checkpoint.load(path)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 3
    return caught.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git-lfs pointer"),
        (b"hello there, this is text", "is not a checkpoint"),
        (struct.pack("<Q", 1 << 60) + b"{}", "claims a header"),
        (struct.pack("<Q", 1000) + b'{"a"', "cut off inside its header"),
        (struct.pack("<Q", 4) + b"{abc", "is damaged"),
        (b"\x80\x02junk", "was not opened|is damaged"),
        (b"PK\x03\x04 truncated zip", "is damaged|was not opened"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    assert any(word in refused(path) for word in words.split("|"))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    assert "there is no file" in refused(tmp_path / "none.pth")
    assert "is a folder" in refused(tmp_path)


def test_truncated_files_are_refused(tmp_path: Path, network: HAT) -> None:
    checkpoint.write(tmp_path / "a.safetensors", config=network.config, state=network.state_dict())
    torch.save(network.state_dict(), tmp_path / "b.pth")
    for path in (tmp_path / "a.safetensors", tmp_path / "b.pth"):
        whole = path.read_bytes()
        for share in (0.3, 0.6, 0.99):
            path.write_bytes(whole[: int(len(whole) * share)])
            assert path.suffix == ".safetensors" or "it ends too early" in refused(path)
            refused(path)


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (os.system, (f"echo ran > '{self.marker}'",))


def test_code_in_a_pickle_never_runs(tmp_path: Path, network: HAT) -> None:
    marker = tmp_path / "ran"
    torch.save({"params": network.state_dict(), "extra": Hostile(marker)}, tmp_path / "net.pth")
    assert "was not opened" in refused(tmp_path / "net.pth")
    assert not marker.exists()


def test_zip_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(64 << 20))
    assert "compressed archive" in refused(tmp_path / "net.pth")


def test_another_architecture_is_named(tmp_path: Path) -> None:
    torch.save(
        {"conv_first.weight": torch.zeros(64, 3, 3, 3), "body.0.rdb1.conv1.weight": torch.zeros(1)}, tmp_path / "e.pth"
    )
    message = refused(tmp_path / "e.pth")
    assert "not a HAT checkpoint" in message
    assert "ESRGAN" in message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("norm.weight", torch.zeros(5), "norm.weight is [5] where [12] is needed"),
        ("norm.weight", None, "lacks 1 tensors"),
        ("surprise.weight", torch.zeros(1), "tensors no HAT has"),
        ("norm.bias", torch.full((12,), float("nan")), "not finite"),
        ("relative_position_index_SA", torch.zeros(16, 16, dtype=torch.long), "other position indices"),
    ],
)
def test_wrong_tensors_are_named(tmp_path: Path, network: HAT, key: str, value: Any, words: str) -> None:
    state = {**network.state_dict(), key: value}
    torch.save({name: tensor for name, tensor in state.items() if tensor is not None}, tmp_path / "net.pth")
    assert words in refused(tmp_path / "net.pth")


def test_lists_and_empty_dicts_are_no_state_dicts(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    torch.save({}, tmp_path / "empty.pth")
    assert "not a state dict" in refused(tmp_path / "list.pth")
    assert "no tensors" in refused(tmp_path / "empty.pth")


def test_the_same_weights_make_the_same_file(tmp_path: Path, network: HAT) -> None:
    notes = {f"note {number}": f'{number} \u00e4 \U0001f426 \\ "' for number in range(8)}
    for number in range(6):
        order = dict(sorted(notes.items(), key=lambda item: hash((item[0], number))))
        path = tmp_path / f"{number}.safetensors"
        checkpoint.write(path, config=network.config, state=network.state_dict(), metadata=order)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    with safe_open(tmp_path / "0.safetensors", framework="pt") as file:  # the library's own reader
        assert {name: file.metadata()[name] for name in notes} == notes
        assert all(torch.equal(file.get_tensor(name), values) for name, values in network.state_dict().items())
