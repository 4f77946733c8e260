"""Weights made to hang, to fill memory or to break the program: each is refused in two lines, at once."""

from __future__ import annotations

import json
import os
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.commands import PHOTO, hat, refused
from support.networks import tiny
from torch import Tensor

from hatcli.errors import WeightsError
from hatcli.network import checkpoint
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT

State = dict[str, Any]
TABLE = "layers.0.residual_group.blocks.0.attn.relative_position_bias_table"
HUGE = 200_000


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return dict(HAT(tiny()).state_dict())


def read_refused(path: Path) -> str:
    began = time.monotonic()
    with pytest.raises(WeightsError) as caught:
        checkpoint.load(path)
    assert time.monotonic() - began < 5
    assert caught.value.message.isprintable()
    return caught.value.message


def written(state: State, path: Path, **fields: Any) -> Path:
    """A safetensors file whose configuration is TINY's with these fields; values are written as JSON as they are."""
    configuration = {**json.loads(tiny().to_json()), **fields}
    save_file(state, path, {checkpoint.CONFIG_KEY: json.dumps(configuration)})
    return path


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("embed_dim", 1_000_000_000),
        ("embed_dim", 12.0),
        ("embed_dim", True),
        ("embed_dim", "12"),
        ("embed_dim", None),
        ("embed_dim", 10**400),
        ("upscale", 2.0),
        ("upscale", -2),
        ("depths", [1_000_000_000]),
        ("depths", [300]),
        ("depths", [1] * 500_000),
        ("depths", 2),
        ("depths", [2.0]),
        ("depths", [[[2]]]),
        ("num_heads", [0]),
        ("num_heads", [True]),
        ("window_size", 10_000),
        ("window_size", 64),
        ("overlap_ratio", float("inf")),
        ("overlap_ratio", float("nan")),
        ("overlap_ratio", 1e300),
        ("mlp_ratio", float("inf")),
        ("mlp_ratio", 1e308),
        ("mlp_ratio", 10**400),
        ("compress_ratio", float("inf")),
        ("squeeze_factor", 10**9),
        ("num_feat", 1_000_000_000),
        ("img_range", float("nan")),
        ("img_range", float("inf")),
        ("conv_scale", float("nan")),
        ("conv_scale", "0.01"),
        ("rgb_mean", [0.4, float("nan"), 0.4]),
        ("rgb_mean", [0.4, 0.4]),
        ("rgb_mean", 0.4),
        ("drop_path_rate", -1.0),
        ("cab", "no"),
        ("ocab", 1),
        ("qkv_bias", []),
    ],
)
def test_a_configuration_out_of_bounds_is_refused_before_anything_is_built(
    state: State, tmp_path: Path, field: str, value: Any
) -> None:
    path = written(state, tmp_path / "net.safetensors", **{field: value})
    assert read_refused(path)
    assert refused(hat(PHOTO, "-o", tmp_path / "out.png", "-n", path), 3)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000 + "]" * 100_000, '{"a":' * 20_000 + "1" + "}" * 20_000, "[1", "[]", '[["upscale", 2]]', "null", "1"],
    ids=["lists", "objects", "cut off", "list", "pairs", "null", "number"],
)
def test_a_configuration_that_is_no_set_of_fields_is_refused(state: State, tmp_path: Path, text: str) -> None:
    save_file(state, tmp_path / "net.safetensors", {checkpoint.CONFIG_KEY: text})
    assert "configuration" in read_refused(tmp_path / "net.safetensors")
    assert refused(hat(PHOTO, "-o", tmp_path / "out.png", "-n", tmp_path / "net.safetensors"), 3)


def test_deep_nesting_within_the_allowed_length_is_refused_too() -> None:
    with pytest.raises(WeightsError, match=r"cannot be read|no set of fields"):
        HATConfig.from_json("[" * 30_000 + "]" * 30_000)


def replaced(key: str, make: Callable[[Tensor], Tensor]) -> Callable[[State], State]:
    return lambda state: {**state, key: make(state[key])}


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replaced("norm.weight", lambda t: t.to_sparse()), "not a plain tensor"),
        (replaced("norm.weight", lambda t: t.to("meta")), "not a plain tensor"),
        (replaced("norm.weight", lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8)), "not"),
        (replaced("norm.weight", lambda t: t.to(torch.int8)), "int8 numbers"),
        (replaced("norm.weight", lambda t: t.bool()), "bool numbers"),
        (replaced("norm.weight", lambda t: t.to(torch.complex64)), "complex64 numbers"),
        (replaced("norm.weight", lambda t: t.to(torch.float8_e4m3fn)), "numbers"),
        (replaced("norm.weight", lambda t: t.double() * 1e300), "not finite"),
        (replaced("conv_last.weight", lambda t: torch.zeros(1).expand(HUGE, HUGE)), "more than the file holds"),
        (replaced("conv_first.weight", lambda t: torch.zeros(1_000_000_000, 3, 0, 0)), "more than the file holds"),
        (replaced("conv_first.weight", lambda t: torch.zeros(100_000_000, 3, 0, 0)), "whole HAT|configuration"),
        (replaced(TABLE, lambda t: torch.zeros(()).expand(19_999**2, 2)), "more than the file holds"),
        (replaced("relative_position_index_SA", lambda t: t.float()), "other position indices"),
        (replaced("relative_position_index_OCA", lambda t: t.bool()), "other position indices"),
        (replaced("conv_first.weight", lambda t: t.sum()), "whole HAT"),
        (lambda state: {**state, "layers.0.residual_group.blocks.3000000.norm1.weight": torch.zeros(1)}, "3000000"),
        (lambda state: {**state, "layers.7000000.residual_group.blocks.0.norm1.weight": torch.zeros(1)}, "7000000"),
        (lambda state: {**state, f"layers.0.blocks.{'9' * 9000}.a": torch.zeros(1)}, "whole HAT"),
        (lambda state: {**state, "layers.0.blocks": torch.zeros(1)}, "whole HAT"),
        (lambda state: {**state, "odd\n\x1b[31mname": torch.zeros(1)}, "no HAT has"),
    ],
)
def test_tensors_that_are_not_what_a_hat_needs_are_refused(
    state: State, tmp_path: Path, change: Callable[[State], State], words: str
) -> None:
    path = tmp_path / "net.pth"
    torch.save(change(state), path)
    message = read_refused(path)
    assert any(word in message for word in words.split("|")), message
    assert refused(hat(PHOTO, "-o", tmp_path / "out.png", "-n", path), 3)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e8m0fnu, torch.complex64])
def test_odd_kinds_of_numbers_are_refused_whatever_the_architecture(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save({"body.0.weight": torch.zeros(4).to(dtype)}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"holds .* numbers"):
        checkpoint.read_tensors(tmp_path / "net.pth")


def test_views_of_one_storage_may_not_add_up_to_more_than_the_file(tmp_path: Path) -> None:
    stored = torch.zeros(1 << 20)
    torch.save({f"layer{number}": stored.view(1, -1) for number in range(5000)}, tmp_path / "net.pth")
    assert "more than the file holds" in read_refused(tmp_path / "net.pth")


@pytest.mark.parametrize("damage", ["directory", "end", "name", "method"])
def test_a_broken_zip_directory_is_refused(state: State, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "net.pth"
    torch.save(state, path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    if damage == "directory":
        content[start : start + 4] = b"XXXX"
    elif damage == "end":
        del content[-12:]
    elif damage == "name":
        content[start + 28 : start + 30] = b"\xff\xff"
    else:
        content[start + 6] = 200  # a version of zip that there is not
    path.write_bytes(content)
    assert read_refused(path)
    assert refused(hat(PHOTO, "-o", tmp_path / "out.png", "-n", path), 3)


def test_a_bit_that_is_wrong_is_no_weight(state: State, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(state, path)
    content = bytearray(path.read_bytes())
    content[content.index(state["conv_first.weight"].numpy().tobytes()) + 1] ^= 1
    path.write_bytes(content)
    assert "checksum" in read_refused(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.pth")
    said: list[str] = []
    reading = threading.Thread(target=lambda: said.append(read_refused(tmp_path / "net.pth")), daemon=True)
    reading.start()
    reading.join(10)
    assert len(said) == 1
    assert "not a plain file" in said[0]


@pytest.mark.parametrize("options", [(), ("--scale", "2"), ("--width", "200")])
def test_a_model_that_does_not_enlarge_is_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    config = tiny(upscale=1)
    checkpoint.write(tmp_path / "net.safetensors", config=config, state=HAT(config).state_dict())
    result = hat(PHOTO, "-o", tmp_path / "out.png", "-n", tmp_path / "net.safetensors", *options)
    assert "keeps pictures at their size" in refused(result, 2)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_in_other_floats_are_read(state: State, tmp_path: Path, dtype: torch.dtype) -> None:
    stored = {key: value.to(dtype) if value.is_floating_point() else value.int() for key, value in state.items()}
    save_file(stored, tmp_path / "net.safetensors")
    network = checkpoint.load(tmp_path / "net.safetensors")
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert torch.equal(network.conv_last.weight, stored["conv_last.weight"].float())
