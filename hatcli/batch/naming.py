"""What results are called: templates filled in, endings chosen, stems cut to what a file system takes."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hatcli.errors import UsageError
from hatcli.image import encode

LONGEST_NAME = 255  # bytes of one file name, on every common file system
FIELDS = ("stem", "scale", "model", "width", "height")


@dataclass(frozen=True)
class Naming:
    """How outputs are named.

    Attributes:
        suffix: appended to the stem, with `{scale}` and the other fields filled in.
        name: a template for the whole stem instead, such as `{stem}_{model}_x{scale}`.
        format: an encoder's name, or None: as the input.
        model: fills `{model}`.
    """

    suffix: str = "_x{scale}"
    name: str | None = None
    format: str | None = None
    model: str = ""

    def __post_init__(self) -> None:
        for template in (self.suffix, self.name or ""):
            if "/" in template or "\\" in template or "\0" in template:
                raise UsageError(f"{template!r} names a folder, not a file", hint="folders go into --output")
            try:
                named = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
                if not named <= set(FIELDS):
                    raise ValueError
                template.format(**dict.fromkeys(FIELDS, ""))
            except ValueError:
                fields = " ".join(f"{{{name}}}" for name in FIELDS)
                raise UsageError(f"{template!r} is not a name template", hint=f"fields: {fields}") from None

    def file_name(self, place: Path, *, scale: float, width: int, height: int, source_format: str) -> str:
        """The output's file name; a stem that would be too long is cut."""
        fields = {"scale": f"{scale:.4g}", "model": self.model, "width": width, "height": height}
        stem = place.stem if place.suffix else place.name
        ending = self.ending(place.suffix, source_format)
        template = self.name if self.name is not None else f"{{stem}}{self.suffix}"
        while len(os.fsencode(name := template.format(stem=stem, **fields) + ending)) > LONGEST_NAME and len(stem) > 1:
            stem = stem[:-1]
        return name

    def ending(self, suffix: str, source_format: str) -> str:
        """The file ending: of the wanted format, else the input's own if that can be written, else its content's."""
        if self.format is not None:
            return encode.ending_for(self.format)
        if suffix and encode.format_for(suffix) is not None:
            return suffix
        return encode.ending_for(source_format if encode.format_for(source_format) else "PNG")

    def own_result(self, path: Path, beside: Callable[[Path], frozenset[str]]) -> bool:
        """Whether a file looks like this naming's result for another file in its folder, whose stems `beside` knows."""
        if self.name is not None or "{" not in self.suffix:
            return False
        pattern = re.escape(self.suffix).replace(r"\{scale\}", r"\d+(\.\d+)?")
        pattern = re.sub(r"\\\{\w+\\\}", ".+?", pattern)
        match = re.fullmatch(f"(?P<stem>.+?){pattern}", path.stem, flags=re.DOTALL)
        return match is not None and match["stem"] in beside(path.parent)


def check_ending(output: Path) -> str:
    """The encoder an output's ending means.

    Raises:
        UsageError: it means none.
    """
    known = encode.format_for(output.suffix) if output.suffix else None
    if known is None:
        raise UsageError(
            f"{output.name} has no ending that says its format", hint="end it in .png, .jpg, .webp, .tif or .avif"
        )
    return known
