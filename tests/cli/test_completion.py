"""What the shell offers: through the program itself, as bash asks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hatcli.cli.shared import completion


def offered(words: str, folder: Path) -> list[str]:
    """What bash is told for a line that ends where the cursor is."""
    asked = {"_HAT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    environment = {**os.environ, **asked, "HAT_HOME": str(folder / "home")}
    program = "import sys; sys.argv[0] = 'hat'; from hatcli.__main__ import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert answer.stderr == ""
    return answer.stdout.split()


def test_model_names_are_offered_after_n_installed_ones_first(tmp_path: Path) -> None:
    assert offered("hat upscale a.png -n ", tmp_path)[:3] == ["auto", "hat-t", "hat-t-photo"]
    assert offered("hat upscale a.png -n hat-t", tmp_path) == ["hat-t", "hat-t-photo"]
    assert "real-hat" in offered("hat upscale a.png --model r", tmp_path)


def test_formats_and_devices_are_offered(tmp_path: Path) -> None:
    assert offered("hat upscale a.png --format w", tmp_path) == ["webp"]
    assert {"auto", "cpu", "cuda", "mps"} <= set(offered("hat upscale a.png --device ", tmp_path))


def test_models_are_offered_to_what_looks_after_them(tmp_path: Path) -> None:
    assert offered("hat download hat-", tmp_path) == ["hat-t", "hat-t-photo", "hat-s", "hat-df2k", "hat-l"]
    assert offered("hat models show lex", tmp_path) == ["lexica-hat"]


def test_checkpoints_and_folders_are_offered_with_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hats").mkdir()
    for name in ("hat-mine.pth", "hat-note.txt", "hats/own.safetensors", ".hat-hidden.pth"):
        (tmp_path / name).touch()
    assert completion.model_names("hat-m") == ["hat-mine.pth"]
    assert completion.model_names("hats/") == ["hats/own.safetensors"]
    assert "hats/" in completion.model_names("ha")
    assert "hat-note.txt" not in completion.model_names("hat-n")
    assert ".hat-hidden.pth" not in completion.model_names("")
    assert completion.model_names("nowhere/x") == []


def test_after_a_comma_it_begins_again() -> None:
    assert completion.model_names("bicubic,hat-t-p") == ["bicubic,hat-t-photo"]


def test_completing_imports_nothing_heavy() -> None:
    code = "from hatcli.cli.shared.completion import model_names; model_names(''); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", f"import sys; {code}"], capture_output=True, text=True, check=True)
    assert not {"torch", "huggingface_hub", "cv2"} & set(loaded.stdout.split())
