"""Where weights live on this machine: one folder, and the bundled ones; knows no network and opens no checkpoint."""

from __future__ import annotations

import os
import re
from pathlib import Path

import platformdirs

from hatcli.errors import UsageError, WeightsError

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def root() -> Path:
    """The folder for everything downloaded: `HAT_HOME`, or the platform's data folder. It may not exist.

    Raises:
        UsageError: `HAT_HOME` names the home of a user there is not.
    """
    home = os.environ.get("HAT_HOME", "").strip()
    if home:
        try:
            expanded = Path(home).expanduser()
        except RuntimeError:
            raise UsageError(
                f"HAT_HOME is {home}, and there is no such user", hint="set it to a folder, or unset it"
            ) from None
        return Path(os.path.abspath(expanded))  # noqa: PTH100  (resolve() would follow links)
    return Path(platformdirs.user_data_dir("hat", appauthor=False))


def checked_name(name: str) -> str:
    """The name again if it can be one plain file name everywhere.

    Raises:
        WeightsError: it has a separator, starts with a dot, or holds anything but letters, digits, `.`, `_` and `-`.
    """
    if not _SAFE_NAME.fullmatch(name) or ".." in name or name.endswith("."):
        raise WeightsError(f"{name[:80]!a} cannot be the name of a model file")
    return name


def weights_path(identifier: str) -> Path:
    """Where the converted weights of a model belong, present or not."""
    return root() / "models" / f"{checked_name(identifier)}.safetensors"


def receipt_path(identifier: str) -> Path:
    """Where the sha256 of the converted file is noted when it is installed, in the format of `sha256sum`."""
    return root() / "models" / f"{checked_name(identifier)}.sha256"


def partial_path(key: str) -> Path:
    """Where a transfer in progress is kept; `key` is the sha256 of the whole file, so any mirror can finish it."""
    return root() / "partial" / f"{checked_name(key)}.part"


def workshop_path(identifier: str) -> Path:
    """The folder a model is converted in before it is moved in place; whatever is found in it is rubbish."""
    return root() / "partial" / checked_name(identifier)


def lock_path(identifier: str) -> Path:
    """The file a process locks while it fetches this model."""
    return root() / "locks" / f"{checked_name(identifier)}.lock"


def plain_file(path: Path) -> Path | None:
    """The path if a regular file is there, None if nothing is.

    Raises:
        WeightsError: something else is there: a link, which could lead anywhere, or a folder or device.
    """
    if path.is_symlink():
        raise WeightsError(f"{path} is a link, not a model file", hint="remove it, then run hat download again")
    if path.is_file():
        return path
    if path.exists():
        raise WeightsError(f"{path} is not a file", hint="remove it, then run hat download again")
    return None


def installed(identifier: str) -> Path | None:
    """The downloaded and converted weights, or None. WeightsError if something else lies in their place."""
    return plain_file(weights_path(identifier))


def bundled(filename: str) -> Path | None:
    """Weights that came with the package: `hatcli/weights/` in a wheel, `weights/` at the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    folders = [package / "weights"]
    if (package.parent / "pyproject.toml").is_file():
        folders.append(package.parent / "weights")
    return next((path for folder in folders if (path := folder / checked_name(filename)).is_file()), None)
