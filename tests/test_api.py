"""The Python API: documented examples run as written, pictures in every form, types that mypy sees."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import PHOTO
from support.repeating import Doubling

import hatcli
from hatcli.errors import InputError, UsageError
from hatcli.image import convert
from hatcli.image.picture import Picture
from hatcli.upscaling.device import choose
from hatcli.upscaling.progress import Progress

ROOT = Path(hatcli.__file__).parents[1]
PAGES = [page for page in (ROOT / "README.md", ROOT / "docs" / "python.md") if page.exists()]
EXAMPLES = [
    (page.name, code) for page in PAGES for code in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S)
]


@pytest.fixture
def upscaler() -> hatcli.Upscaler:
    """One that repeats every pixel."""
    return hatcli.Upscaler({2: Doubling()}, choice=choose("cpu", "fp32"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the examples run: with a small photo.jpg, and nothing downloaded."""
    monkeypatch.setenv("HAT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Image.open(PHOTO) as image:
        image.convert("RGB").resize((64, 48)).save("photo.jpg", quality=80)
    return tmp_path


@pytest.mark.skipif(not PAGES, reason="the pages are not beside an installed package")
def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize(
    ("page", "code"), EXAMPLES, ids=[f"{page}-{number}" for number, (page, _) in enumerate(EXAMPLES)]
)
def test_every_example_runs_as_written(folder: Path, capsys: pytest.CaptureFixture[str], page: str, code: str) -> None:
    exec(compile(code, page, "exec"), {"__name__": "__main__"})
    written = [path for path in folder.iterdir() if path.name not in ("photo.jpg", "home")]
    assert written
    for path in written:
        with Image.open(path) as image:
            assert image.width > 64
    for said in re.findall(r"print\(array.*# (.*)", code):
        assert said in capsys.readouterr().out


def test_mypy_sees_the_types_of_an_installed_package(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(
        "import hatcli\n"
        "image = hatcli.load('hat-t', scale=2).upscale('photo.jpg', hatcli.Target(width=10))\n"
        "reveal_type(image)\nreveal_type(image.save('a.png'))\nhatcli.load(3)\n",
        encoding="utf-8",
    )
    venv.create(tmp_path / "environment", with_pip=False, symlinks=sys.platform != "win32")
    folder = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    executable = tmp_path / "environment" / folder
    site = subprocess.run(
        [executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    shutil.copytree(ROOT / "hatcli", Path(site) / "hatcli", ignore=shutil.ignore_patterns("__pycache__", "weights"))
    options = ["--config-file=", "--strict", "--no-incremental", "--ignore-missing-imports"]
    elsewhere = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--python-executable", str(executable), str(program)],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=elsewhere,
    )  # fmt: skip
    assert 'Revealed type is "hatcli.image.picture.Picture"' in checked.stdout, checked.stdout + checked.stderr
    assert 'Revealed type is "pathlib.Path"' in checked.stdout
    assert 'Argument 1 to "load" has incompatible type "int"' in checked.stdout


# Pictures in


def repeated(array: np.ndarray) -> np.ndarray:
    return array.repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4)])
def test_an_array_comes_back_as_it_went_in(
    upscaler: hatcli.Upscaler, shape: tuple[int, ...], dtype: type[np.unsignedinteger]
) -> None:
    array = np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    if shape[2:] in ((2,), (4,)):
        array[..., -1] = np.iinfo(dtype).max  # else colours under transparency may change
    result = upscaler.upscale(array).to_numpy()
    assert result.dtype == dtype
    assert np.array_equal(result, repeated(array[..., 0] if shape[2:] == (1,) else array))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr", "HSV"])
def test_a_pillow_image_of_any_mode_is_taken(upscaler: hatcli.Upscaler, mode: str) -> None:
    image = Image.linear_gradient("L").resize((9, 6)).convert(mode)
    result = upscaler.upscale(image).to_pil()
    assert result.size == (18, 12)
    expected = (
        image if mode == "I;16" else image.convert({"1": "L", "LA": "LA", "L": "L", "RGBA": "RGBA"}.get(mode, "RGB"))
    )
    assert np.array_equal(np.asarray(result), repeated(np.asarray(expected)))


def test_a_pillow_image_and_its_file_give_the_same(upscaler: hatcli.Upscaler, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a budgie"
    with Image.open(PHOTO) as image:
        for suffix, saving in ((".jpg", {"quality": 70}), (".png", {}), (".webp", {"lossless": True}), (".tif", {})):
            path = tmp_path / f"a{suffix}"
            image.convert("RGB").crop((0, 0, 20, 30)).save(path, exif=exif, dpi=(300, 200), **saving)
            by_file = upscaler.upscale(path)
            with Image.open(path) as opened:
                by_image = upscaler.upscale(opened)
            assert np.array_equal(by_file.pixels, by_image.pixels), suffix
            assert (by_file.width, by_file.icc, by_file.dpi) == (60, by_image.icc, by_image.dpi), suffix
            if suffix != ".tif":
                assert by_file.exif == by_image.exif, suffix


def test_a_transparent_colour_is_transparency() -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    image.info["transparency"] = (9, 9, 9)
    alpha = convert.from_pil(image).alpha
    assert alpha is not None
    assert alpha.tolist() == [[255, 0]]


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 5), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros(4, np.uint8)],
)
def test_other_arrays_are_refused_with_a_hint(upscaler: hatcli.Upscaler, array: np.ndarray) -> None:
    with pytest.raises(InputError, match="is no picture") as caught:
        upscaler.upscale(array)
    assert caught.value.hint


def test_a_file_that_is_no_picture_is_refused(upscaler: hatcli.Upscaler, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("nothing")
    with pytest.raises(InputError):
        upscaler.upscale(str(tmp_path / "a.png"))
    with pytest.raises(InputError):
        upscaler.upscale(Image.new("RGB", (0, 4)))


# Pictures out


def test_what_is_saved_is_read_back_by_others_and_nothing_is_replaced_unasked(
    upscaler: hatcli.Upscaler, tmp_path: Path
) -> None:
    array = np.random.default_rng(1).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    image = upscaler.upscale(array)
    assert image.save(tmp_path / "a.png") == tmp_path / "a.png"
    with Image.open(tmp_path / "a.png") as there:
        assert np.array_equal(np.asarray(there), repeated(array))
    with pytest.raises(UsageError):
        image.save(tmp_path / "a.png")
    hatcli.write(image, tmp_path / "a.png", overwrite=True)
    for quality in (20, 90):
        image.save(tmp_path / f"{quality}.jpg", quality=quality)
        assert hatcli.read(tmp_path / f"{quality}.jpg").jpeg_quality == quality
    with pytest.raises(UsageError):
        image.save(tmp_path / "a.nothing")


def test_a_pillow_image_carries_profile_exif_and_resolution(tmp_path: Path) -> None:
    picture = Picture(
        np.zeros((4, 6, 3), np.uint8), icc=b"profile", dpi=(300.0, 300.0), exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0"
    )
    image = picture.to_pil()
    assert (image.info["icc_profile"], image.info["dpi"]) == (b"profile", (300.0, 300.0))
    assert dict(image.getexif()) == {}
    assert image.info["exif"].startswith(b"Exif\0\0II*")


def test_deep_samples_are_rounded_for_pillow_but_not_for_numpy() -> None:
    deep = np.array([[[0, 128, 129], [385, 386, 65535]]], np.uint16)
    assert np.asarray(Picture(deep).to_pil()).tolist() == [[[0, 0, 1], [1, 2, 255]]]
    assert Picture(deep).to_numpy().tolist() == deep.tolist()
    gray = Picture(deep[..., :1]).to_pil()
    assert gray.mode == "I;16"
    assert np.asarray(gray).tolist() == [[0, 385]]


# Progress


def test_progress_is_told_and_the_generator_gives_the_same(upscaler: hatcli.Upscaler) -> None:
    array, told = np.zeros((8, 8, 3), np.uint8), list[Progress]()
    whole = upscaler.upscale(array, on_progress=told.append)
    assert told[-1].done == 1
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    steps = upscaler.steps(Picture(array))
    assert next(steps).done > 0
    steps.close()
    assert np.array_equal(whole.pixels, upscaler.upscale(array).pixels)


def test_the_factor_said_to_load_holds_until_another_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAT_HOME", str(tmp_path))
    small = np.zeros((8, 8, 3), np.uint8)
    assert hatcli.load(device="cpu").upscale(small).width == 32
    assert hatcli.load(scale=2, device="cpu").upscale(small).width == 16
    assert hatcli.load(scale=2, device="cpu").upscale(small, hatcli.Target(width=20)).width == 20
