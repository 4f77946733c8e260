"""`hat attribute` and `hat compare` from the command line: files written, odd inputs, other architectures."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from support.foreign import built, saved
from support.looking import noise, refused
from typer.testing import CliRunner

from hatcli.attribution import subject
from hatcli.cli.commands.attribute import attribute
from hatcli.cli.commands.compare import compare
from hatcli.network import checkpoint
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT

app = typer.Typer()
app.command()(attribute)
app.command()(compare)
needs_spandrel = pytest.mark.skipif(find_spec("spandrel") is None, reason="needs spandrel")
MAPS = ("window", "saliency", "density", "overlay")


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments), "--cpu"])


def test_attribute_writes_maps_page_and_numbers(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    arguments = ["attribute", photo, "--at", "20,24", "--steps", "2", "-n", "hat-t", "--regions", "2"]
    result = run(*arguments, "--features", "-o", folder, "--json", "--quiet")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert 0 < facts["diffusion_index"] < 100
    assert facts["window"] == {"x": 20, "y": 24, "side": 16}
    assert facts["models"]["hat-t"]["regions"]["count"] == 2
    names = {path.name for path in folder.iterdir()}
    expected = {f"hat-t_{kind}.png" for kind in (*MAPS, "group_1")}
    assert expected | {"index.html", "attribution.json"} <= names
    with Image.open(folder / "hat-t_saliency.png") as saliency:
        assert saliency.size == (64, 64)
    with np.load(folder / "hat-t_maps.npz") as maps:
        assert (maps["signed"].shape, maps["signed"].dtype) == ((3, 16, 16), np.float64)
        strength = np.abs(maps["signed"].sum(axis=0))
        assert np.allclose(maps["saliency"], strength / strength.max())
        assert maps["density"].max() == 1
        assert maps["window"].tolist() == [24, 20, 16]
        ordered, ranks = np.sort(maps["saliency"].ravel() + 1e-7), 2 * np.arange(1, 257) - 257
        index = 100 * (1 - (ranks * ordered).sum() / (256 * ordered.sum()))  # the definition, from the file alone
        assert index == pytest.approx(facts["diffusion_index"])
        assert float(maps["diffusion_index"]) == facts["diffusion_index"]
    assert run(*arguments, "-o", folder).exit_code == 2


def test_a_files_own_factor_is_the_default_and_progress_says_what_is_left(photo: Path, tiny: Path) -> None:
    result = run("attribute", photo, "--steps", "3", "-n", tiny, "-v")
    assert result.exit_code == 0, result.output
    assert "tiny: step 3 of 3, 0 s left" in result.stderr
    facts = json.loads((photo.parent / "a_attribution" / "attribution.json").read_text(encoding="utf-8"))
    assert facts["scale"] == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--at", "1"], "--at 1 is not a place"),
        (["--at", "-3,4"], "--at -3,4 is not a place"),
        (["--at", "20,20"], "is not inside the result of 32 x 32"),
        (["--at", "900,2"], "is not inside the result of 32 x 32"),
        (["--window", "500"], "no room for a window of 500"),
        (["--at", "0,0", "--window", "32"], "is not inside the result of 32 x 32"),
        (["--precision", "bf16"], "mostly rounding"),
        (["-s", "3"], "has no x3"),
        (["-n", "hat-t", "-s", "5"], "has no x5"),
        (["-d", "abacus"], "no device"),
        (["-s", "2.5"], "--scale 2.5 is not a whole factor"),
        (["-s", "many"], "--scale many is not a factor"),
    ],
)
def test_attribute_refuses_what_cannot_be_meant_before_any_work(
    photo: Path, tiny: Path, wrong: list[str], said: str
) -> None:
    models = [] if "-n" in wrong else ["-n", str(tiny)]
    answer = CliRunner().invoke(app, ["attribute", str(photo), *models, *wrong])
    refused(answer, 2, said)
    assert not (photo.parent / "a_attribution").exists()


def test_models_without_a_common_factor_are_named(photo: Path, tiny: Path, tmp_path: Path) -> None:
    config = HATConfig(upscale=3, embed_dim=24, depths=(1,), num_heads=(2,), window_size=8, squeeze_factor=8)
    checkpoint.write(tmp_path / "other.safetensors", config=config, state=dict(HAT(config).state_dict()))
    refused(run("attribute", photo, "-n", f"{tiny},{tmp_path / 'other.safetensors'}"), 2, "tiny x2, other x3")


@pytest.mark.parametrize(
    ("shape", "kind", "remark"),
    [((16, 18), np.uint8, None), ((16, 18), np.uint16, None), ((16, 18, 4), np.uint8, "transparency is left out")],
)
def test_gray_deep_and_transparent_pictures_are_taken(
    tmp_path: Path, tiny: Path, shape: tuple[int, ...], kind: Any, remark: str | None
) -> None:
    odd = noise(tmp_path / "odd.png", shape, kind)
    seen = run("attribute", odd, "-n", tiny, "--steps", "2", "--window", "4")
    assert seen.exit_code == 0, seen.output
    with Image.open(tmp_path / "odd_attribution" / "tiny_overlay.png") as overlay:
        assert (overlay.mode, overlay.size) == ("RGB", (36, 32))
    compared = run("compare", odd, "-n", f"{tiny},bicubic", "-s", "2")
    assert compared.exit_code == 0, compared.output
    if remark:
        assert remark in seen.stderr
        assert remark in compared.stderr


def test_a_picture_of_one_pixel_is_too_small_to_attribute_and_can_be_compared(tmp_path: Path, tiny: Path) -> None:
    one = noise(tmp_path / "one.png", (1, 1, 3))
    refused(run("attribute", one, "-n", tiny), 1, "1 x 1 pixels is too small")
    assert not (tmp_path / "one_attribution").exists()
    truth = noise(tmp_path / "truth.png", (2, 2, 3))
    result = run("compare", one, "-n", f"{tiny},bicubic", "-s", "2", "--truth", truth)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", ["attribute", "compare"])
def test_files_that_are_no_pictures_are_refused(tmp_path: Path, tiny: Path, command: str) -> None:
    refused(run(command, tmp_path / "none.png", "-n", tiny), 2, "there is no file")
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    refused(run(command, tmp_path / "text.png", "-n", tiny), 1, "text.png")
    (tmp_path / "empty.png").touch()
    refused(run(command, tmp_path / "empty.png", "-n", tiny), 1, "empty")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.png", "text.png", "tiny.safetensors"]


def test_a_flat_picture_gives_a_message_and_leaves_no_page(tmp_path: Path, tiny: Path) -> None:
    Image.new("RGB", (16, 16), (90, 90, 90)).save(tmp_path / "flat.png")
    refused(run("attribute", tmp_path / "flat.png", "--steps", "2", "-n", tiny), 1, "nothing to attribute at")
    assert not (tmp_path / "flat_attribution" / "index.html").exists()


def test_a_picture_that_would_not_fit_is_refused_before_the_work(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "free_memory", lambda device: 10 << 20)
    big = noise(tmp_path / "big.png", (128, 128, 3))
    refused(run("attribute", big, "-n", tiny, "--steps", "1"), 4, "to attribute 128 x 128 pixels")


def test_two_files_of_one_name_are_told_apart(photo: Path, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    second = tmp_path / "other" / "tiny.safetensors"
    second.write_bytes(tiny.read_bytes())
    result = run("attribute", photo, "--steps", "1", "-n", f"{tiny},{second}", "--json")
    assert list(json.loads(result.stdout)["models"]) == ["tiny", "tiny-2"]
    compared = run("compare", photo, "-s", "x2", "-n", f"{tiny},{second}")
    assert compared.exit_code == 0
    assert '"tiny-2"' in (tmp_path / "a_compare.html").read_text(encoding="utf-8")


# Networks of other architectures


@needs_spandrel
def test_other_architectures_stand_beside_a_hat_with_maps_where_they_have_groups(
    photo: Path, tiny: Path, tmp_path: Path
) -> None:
    swin = saved(built("SwinIR"), tmp_path / "swin.pth")
    compact = saved(built("RealESRGAN Compact"), tmp_path / "compact.pth")
    names = f"{tiny},{swin},{compact}"
    result = run("attribute", photo, "--steps", "2", "-n", names, "--features", "--json", "-o", tmp_path / "seen")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)["models"]
    assert {name: len(found.get("blocking_index_db", [])) for name, found in facts.items()} == {
        "tiny": 2, "swin": 1, "compact": 0
    }  # fmt: skip
    assert all(0 < found["diffusion_index"] < 100 for found in facts.values())
    assert result.stderr.count("compact has no groups whose maps could be shown") == 1
    assert {f"{name}_{kind}.png" for name in facts for kind in MAPS} <= {
        path.name for path in (tmp_path / "seen").iterdir()
    }


def test_what_was_found_before_an_interruption_stays(
    photo: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    study = subject.Subject.study

    def interrupted(self: subject.Subject, *arguments: Any, **options: Any) -> Any:
        looked_at.append(self.name)
        if len(looked_at) == 2:
            raise KeyboardInterrupt
        return study(self, *arguments, **options)

    monkeypatch.setattr(subject.Subject, "study", interrupted)
    answer = run("attribute", photo, "--steps", "1", "-n", f"{tiny},{tiny},hat-t", "-s", "2", "-o", tmp_path / "seen")
    assert answer.exit_code == 130
    assert looked_at == ["tiny", "hat-t"]
    assert sorted(path.name for path in (tmp_path / "seen").glob("*.npz")) == ["tiny_maps.npz"]


@needs_spandrel
def test_feature_maps_of_a_network_without_groups_are_refused_before_the_work(photo: Path, tmp_path: Path) -> None:
    compact = saved(built("RealESRGAN Compact"), tmp_path / "compact.pth")
    refused(run("attribute", photo, "-n", compact, "--features"), 3, "compact: no groups whose maps could be shown")
    assert not (tmp_path / "a_attribution").exists()
