"""What results are called: templates filled in, endings chosen, stems cut to what a file system takes."""

from __future__ import annotations

import os
import re
import string
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hatcli.batch.places.objects import Stored
from hatcli.errors import UsageError
from hatcli.image import encode, formats

LONGEST_NAME = 255  # bytes of one file name, on every common file system
FIELDS = ("stem", "ext", "scale", "model", "width", "height")
_LOOKS_LIKE = {"scale": r"\d+(?:\.\d+)?", "width": r"\d+", "height": r"\d+"}


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
            if not _is_template(template) or not (self.name is None or self.name.strip(". ")):
                fields = " ".join(f"{{{name}}}" for name in FIELDS)
                raise UsageError(f"{template!r} is not a name template", hint=f"fields: {fields}")

    @property
    def template(self) -> str:
        """Of the whole stem."""
        return self.name if self.name is not None else f"{{stem}}{self.suffix}"

    def file_name(
        self, source: Path, *, scale: float, width: int, height: int, source_format: str, apart: bool = False
    ) -> str:
        """The output's file name; a stem that would be too long is cut.

        Args:
            apart: whether the stem carries the source's ending, for sources that differ in nothing else.
        """
        fields = {"scale": f"{scale:.4g}", "model": self.model, "width": width, "height": height}
        fields["ext"] = _extension(source)
        stem = self.apart_stem(source) if apart else _stem(source)
        ending = self.ending(source.suffix, source_format)
        while len(os.fsencode(name := self.template.format(stem=stem, **fields) + ending)) > LONGEST_NAME:
            if len(stem) <= 1:
                break
            stem = stem[:-1]
        return name

    def apart_stem(self, source: Path) -> str:
        """The stem with the ending: `photo_psd` for `photo.psd`."""
        return f"{_stem(source)}_{_extension(source)}" if _extension(source) else _stem(source)

    def source_of(self, result: Path) -> tuple[str, float | None] | None:
        """The stem that a file would be the result of, and the factor if the name holds it; None: of none."""
        match = self._pattern.fullmatch(result.stem)
        if match is None or "stem" not in match.groupdict() or match["stem"] == result.stem:
            return None
        scale = match.groupdict().get("scale")
        return match["stem"], None if scale is None else float(scale)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """What stems of results look like."""
        parts, seen = [], set()
        for literal, name, _, _ in string.Formatter().parse(self.template):
            parts.append(re.escape(literal))
            if name is not None:
                parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_LOOKS_LIKE.get(name, '.+')})")
                seen.add(name)
        return re.compile("".join(parts), flags=re.DOTALL)

    def ending(self, suffix: str, source_format: str) -> str:
        """The file ending: of the wanted format, else the input's own if that can be written, else its content's."""
        if self.format is not None:
            return encode.ending_for(self.format)
        if suffix and encode.format_for(suffix) is not None:
            return suffix
        return encode.ending_for(source_format if encode.format_for(source_format) else "PNG")


def _is_template(text: str) -> bool:
    """Whether every field is a known one, plainly used."""
    try:
        fields = [(name, spec, how) for _, name, spec, how in string.Formatter().parse(text) if name is not None]
    except ValueError:
        return False
    return all(name in FIELDS and not spec and not how for name, spec, how in fields)


def _stem(source: Path) -> str:
    return source.stem if source.suffix else source.name


def _extension(source: Path) -> str:
    return source.suffix[1:]


def check_ending(output: Path | Stored) -> str:
    """The encoder an output's ending means.

    Raises:
        UsageError: it means none.
    """
    known = encode.format_for(output.suffix) if output.suffix else None
    if known is None:
        endings = " ".join(formats.SUFFIX_OF.values())
        folder = "" if output.suffix else "in / for a folder, or "
        raise UsageError(
            f"{output.name} has no ending of a format that can be written", hint=f"end it {folder}in one of {endings}"
        )
    return known


def check_agreed(output: Path, format: str) -> None:
    """Refuse to write a format under the ending of another one.

    Raises:
        UsageError: the output's ending means another format.
    """
    said = formats.SUFFIXES.get(output.suffix.lower())
    if said is not None and said != format:
        name = output.with_suffix(formats.SUFFIX_OF[format]).name
        raise UsageError(
            f"{output.name} would be {formats.title(format)} under the ending of {formats.title(said)}",
            hint=f"leave --format out, or name it {name}",
        )
