"""What the README and docs/ tell people to type: each `hat` line is a command there is, and runs where it can here."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import PHOTO
from support.films import film
from support.raws import dng
from typer.main import get_command

from hatcli.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(?:sh|console)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
STORE, CARDS, RUN = "needs a store", "needs two cards", "needs a run before"
ELSEWHERE = {  # lines that are parsed and not run, with the reason
    "hat serve": "runs until it is stopped",
    "hat upscale s3://bucket/in/ -r -o s3://bucket/out/ --scale 2": STORE,
    "hat upscale s3://bucket/in/ -r -o s3://bucket/out/ --scale 2 --ray auto": STORE,
    "hat upscale s3://bucket/in/ scans/ -r -o large/ --scale 2 --shard 3/16": STORE,
    "hat upscale https://example.org/photo.png -o photo_x4.png": STORE,
    "hat status s3://bucket/out/": STORE,
    "hat status large/": RUN,
    "hat upscale holiday/ -r -o large/ --scale 2 --device cuda:0,cuda:1": CARDS,
    "hat photo.png --scale 4 -n hat": "fetches weights",
    "hat download hat-s --scale 4": "fetches weights",
    "hat compare small.png --truth large.png -n hat-t,hat": "fetches weights",
    "hat attribute crop64.png --at 110,150 -n hat-t,swinir.pth -o lam/": "needs somebody's SwinIR",
    "hat train large/ --lr small/ -o my.safetensors --recipe hat-finetune --from hat-pretrained.safetensors": "hours",
}
SHORTER = {
    "--minutes 60": "--steps 2",
    "--shard 3/16": "--shard 1/1",
    "--width 3840": "--width 384",
    "--regions 20": "--regions 1 --steps 2",
    "-n hat-t -o lam/": "-n hat-t --steps 2 -o lam/",
}  # done in seconds


def commands() -> list[str]:
    """Every line of a fenced block that calls hat, without its comment, each once."""
    lines = (line for page in PAGES for block in FENCE.findall(page.read_text("utf-8")) for line in block.splitlines())
    found = (re.sub(r"\s+#.*$", "", line).strip() for line in lines)
    return list(dict.fromkeys(line for line in found if re.match(r"(cat \S+ \| )?hat ", line)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures under the names the pages use."""
    with Image.open(PHOTO) as opened:
        photo = opened.convert("RGB")
    small = photo.crop((60, 40, 92, 72))
    for name in ("photo.png", "photo.jpg", "holiday/a.png", "holiday/sea/b.jpg", "scans/c.tif", "scans/d.tif", "e.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        small.save(path)
    (tmp_path / "more.txt").write_text("e.png\n")
    film(tmp_path / "clip.mp4", rate="10", frames=15)
    small.save(tmp_path / "anim.gif", save_all=True, append_images=[photo.crop((0, 0, 32, 32))], duration=90)
    photo.crop((0, 0, 64, 64)).save(tmp_path / "crop64.png")
    for name in ("Set5", "Set14", "pictures"):
        (tmp_path / name).mkdir()
        photo.save(tmp_path / name / "one.png")
        photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / name / "two.png")
    (tmp_path / "shots").mkdir()
    (tmp_path / "shots" / "one.dng").write_bytes(dng(np.full((32, 48, 3), 0.3)))
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards" / "s.tar", "w") as archive:
        archive.add(tmp_path / "pictures" / "one.png", "one.png")
    models = {"hat-t": {"psnr_y": 30.0, "ssim_y": 0.9, "images": {"one": {"psnr_y": 30.0, "ssim_y": 0.9}}}}
    (tmp_path / "set5.json").write_text(json.dumps({"scale": 4, "models": models}))
    steps = np.arange(1, 40)
    lines = [{"step": int(step), "loss": 1 / float(step), "rate": 1e-3, "seconds": float(step)} for step in steps]
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_the_pages_are_found() -> None:
    assert len(commands()) > 15
    assert set(ELSEWHERE) <= set(commands()), "a line of ELSEWHERE is on no page any more"


@pytest.mark.parametrize("line", ELSEWHERE)
def test_a_line_that_cannot_run_here_is_at_least_understood(line: str) -> None:
    group = get_command(app)
    words = shlex.split(line)[1:]
    name = words[0] if words[0] in group.commands else "upscale"  # type: ignore[attr-defined]
    rest = words[1:] if words[0] == name else words
    subcommand = group.commands[name]  # type: ignore[attr-defined]
    assert subcommand.make_context(name, rest).params


@pytest.mark.parametrize("line", [line for line in commands() if line not in ELSEWHERE])
def test_a_line_of_the_pages_does_what_it_says(line: str, folder: Path) -> None:
    for long, short in SHORTER.items():
        line = line.replace(long, short)
    stdin, _, typed = line.rpartition(" | ")
    typed, _, stdout = typed.partition(" > ")
    words = [sys.executable, "-m", "hatcli", *shlex.split(typed)[1:]]
    words = [*words[:3], *(found for word in words[3:] for found in expanded(word, folder))]
    before = files(folder)
    run = subprocess.run(
        words,
        cwd=folder,
        input=(folder / stdin.split()[1]).read_bytes() if stdin else None,
        capture_output=True,
        timeout=300,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0, run.stderr.decode()
    if stdout:
        (folder / stdout).write_bytes(run.stdout)
        with Image.open(folder / stdout) as made:
            made.load()
    told = run.stdout or "--dry-run" in line
    assert told or files(folder) > before, "nothing was written and nothing was said"


def expanded(word: str, folder: Path) -> list[str]:
    """A shell's globs, for the one line that leaves them to the shell."""
    if word.endswith("/*.tar"):
        return [str(path.relative_to(folder)) for path in sorted(folder.glob(word))]
    return [word]


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_every_link_on_the_pages_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if not target.startswith(("http", "mailto")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
