"""Pictures in and files out for commands that show results: one picture read, files written whole, nothing replaced."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hatcli.cli.shared.console import Console, show
from hatcli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hatcli.image.picture import Picture


def read_picture(path: Path, console: Console) -> Picture:
    """A picture; what is lost of it on the way is said."""
    from hatcli.image import decode, tone

    if not path.exists():
        raise UsageError(f"there is no file {path}", hint="check the name, or the folder you are in")
    picture = tone.shown_picture(decode.read(path))
    for note in picture.notes:
        console.say(f"{show(path.name)}: {show(note)}")
    if picture.alpha is not None:
        console.say(f"{show(path.name)}: transparency is left out")
    return picture


def eight_bits(picture: Picture) -> NDArray[np.uint8]:
    """`[H, W, 3]`, as a page can show it."""
    import numpy as np

    from hatcli.image.picture import from_tensor, to_tensor

    return np.asarray(from_tensor(to_tensor(picture.pixels), bits=8), dtype=np.uint8)


def refuse_existing(outputs: list[Path], *inputs: Path | None, overwrite: bool) -> None:
    """Before the work: outputs that exist, are inputs, or have no folder."""
    sources = {path.resolve() for path in inputs if path is not None}
    for path in outputs:
        if path.resolve() in sources:
            raise UsageError(f"{path} is an input", hint="choose another name with -o")
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists already", hint="add --overwrite, or name another with -o")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}", hint="make it first")


def refuse_results(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is a file or holds results."""
    if (folder / "index.html").exists() and not overwrite:
        raise UsageError(f"{folder} holds results already", hint="add --overwrite, or name another with -o")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", hint="name a folder with -o")


def make_folder(folder: Path) -> None:
    """The folder and those it lies in."""
    from hatcli.atomic import write_error

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error


def write(path: Path, content: bytes) -> None:
    """A whole file or none."""
    from hatcli.atomic import replacing

    with replacing(path) as file:
        file.write(content)
