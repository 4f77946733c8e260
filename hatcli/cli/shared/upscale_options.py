"""The options of `hat upscale` in groups, and what each group means."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console
from hatcli.cli.shared.option_groups import Running, Talk
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.batch.films import Films
    from hatcli.batch.inputs import Found
    from hatcli.batch.jobs import LookAt
    from hatcli.batch.naming import Naming
    from hatcli.batch.plan import Plan
    from hatcli.batch.shards import Shard
    from hatcli.image.options import DecodeOptions, EncodeOptions
    from hatcli.upscaling.size import Target

STDOUT = "-"
MOST_MEGAPIXELS = 1_000_000


@dataclass(frozen=True)
class Files:
    """Which pictures, and where their results go."""

    inputs: options.Inputs = None
    more_inputs: options.MoreInputs = None
    output: options.Output = None
    recursive: options.Recursive = False
    follow_links: options.FollowLinks = False
    suffix: options.Suffix = "_x{scale}"
    name: options.Name = None
    file_format: options.FileFormat = "same"
    overwrite: options.Overwrite = False
    skip_existing: options.SkipExisting = False
    ignore_free_space: options.IgnoreFreeSpace = False

    @property
    def named(self) -> list[str]:
        """The inputs as they were typed."""
        return [*(self.inputs or []), *(self.more_inputs or [])]

    @property
    def folder(self) -> Path | None:
        """What results go to, unless it is stdout."""
        return Path(self.output) if self.output and self.output != STDOUT else None

    def check(self) -> None:
        """Refuse what contradicts itself."""
        if not self.named:
            raise UsageError("no picture was named", hint="hat upscale photo.png --scale 4")
        if self.overwrite and self.skip_existing:
            raise UsageError("--overwrite and --skip-existing contradict each other", hint="give one of them")

    def check_several(self) -> None:
        """Refuse what only one process can read or write."""
        if STDOUT in self.named or self.output == STDOUT:
            raise UsageError("several devices need files, not stdin or stdout", hint="name one device")

    def has_urls(self) -> bool:
        """Whether anything named is no file or folder of this machine."""
        from hatcli.batch.places.address import is_url

        return any(is_url(name) for name in (*self.named, self.output or ""))

    def format(self) -> str | None:
        """An encoder's name; None for `same`."""
        from hatcli.image import encode

        if self.file_format.lower() == "same":
            return None
        name = encode.format_for(self.file_format)
        if name is None:
            raise UsageError(
                f"there is no format {self.file_format!r} to write",
                hint=f"use {', '.join(options.FORMATS[:-1])} or {options.FORMATS[-1]}",
            )
        return name

    def naming(self, suffix: str | None = None) -> Naming:
        """How results are called; `suffix` stands for the one that was typed."""
        from hatcli.batch.naming import Naming

        return Naming(suffix=suffix or self.suffix, name=self.name, format=self.format())

    def find(self, naming: Naming, *, look: LookAt, is_film: Callable[[Path], bool]) -> Found:
        """The pictures that are named; those at URLs are found later, while others are enlarged."""
        from hatcli.batch import inputs
        from hatcli.batch.places.address import is_url

        named = [name for name in self.named if not is_url(name)]
        if not named:
            return inputs.Found()
        return inputs.find(
            named,
            recursive=self.recursive,
            naming=naming,
            output=None if self.output is not None and is_url(self.output) else self.folder,
            follow_links=self.follow_links,
            look=look,
            is_film=is_film,
        )


@dataclass(frozen=True)
class RunningOnSeveral(Running):
    """The same for a command that several devices can share."""

    device: options.Devices = "auto"


@dataclass(frozen=True)
class Size:
    """How large results become."""

    scale: options.Scale = None
    width: options.Width = None
    height: options.Height = None
    long_edge: options.LongEdge = None
    short_edge: options.ShortEdge = None
    megapixels: options.Megapixels = None
    only_if_smaller: options.OnlyIfSmaller = False

    def target(self) -> Target:
        """The one size that is meant."""
        from hatcli.upscaling.size import Target

        scale = None if self.scale is None else factor(self.scale)
        return Target(scale, self.width, self.height, self.long_edge, self.short_edge, self.megapixels)


@dataclass(frozen=True)
class Content:
    """What of a picture is read, kept and written."""

    quality: options.Quality = None
    lossless: options.Lossless = False
    compression: options.Compression = None
    frames: options.Frames = None
    pages: options.Pages = "first"
    raw_profile: options.RawProfile = "srgb"
    alpha: options.Alpha = "model"
    keep_color: options.KeepColor = False
    strip_metadata: options.StripMetadata = False
    dpi: options.Dpi = "keep"
    max_megapixels: options.MaxPixels = None

    def encoding(self) -> EncodeOptions:
        """Options of the encoder."""
        from hatcli.image.options import EncodeOptions

        return EncodeOptions(
            quality=self.quality,
            lossless=self.lossless,
            compression=self.compression,
            strip_metadata=self.strip_metadata,
            dpi=dots_an_inch(self.dpi),
        )

    def decoding(self) -> DecodeOptions:
        """How inputs are read."""
        from hatcli.image.options import RAW_PROFILES, DecodeOptions

        profile = self.raw_profile.lower()
        if profile not in RAW_PROFILES:
            known = f"{', '.join(RAW_PROFILES[:-1])} or {RAW_PROFILES[-1]}"
            raise UsageError(f"there is no --raw-profile {self.raw_profile}", hint=f"use {known}")
        return DecodeOptions(raw_profile=profile, pages=pages_of(self.pages))

    def idle(self, found: Found, files: Files) -> list[str]:
        """What to say of `--pages` where no file has any."""
        from hatcli.image.decode import sniff

        if files.has_urls() or self.pages.lower() == "first":
            return []
        if any(file.path is None or sniff(file.path) == "TIFF" for file in found.files):
            return []
        return ["--pages is for TIFFs, and there is none"]

    def max_pixels(self) -> int:
        """The largest input that is opened."""
        from hatcli.image.decode import DEFAULT_MAX_PIXELS

        if self.max_megapixels is None:
            return DEFAULT_MAX_PIXELS
        if not 0 < self.max_megapixels <= MOST_MEGAPIXELS:
            raise UsageError(
                f"--max-megapixels {self.max_megapixels:g} is not above 0 and at most {MOST_MEGAPIXELS}",
                hint="179 is the default",
            )
        return max(1, int(self.max_megapixels * 1e6))


@dataclass(frozen=True)
class Course:
    """How a run goes."""

    writers: options.Jobs = 2
    dry_run: options.DryRun = False
    as_json: options.AsJson = False
    fail_fast: options.FailFast = False
    part: options.Part = None

    def shard(self) -> Shard:
        """The part of the pictures that is worked on."""
        from hatcli.batch.shards import WHOLE, parse

        return WHOLE if self.part is None else parse(self.part)

    def console(self, talk: Talk, files: Files) -> Console:
        """For people; silent where a picture goes to stdout."""
        if self.writers < 1:
            raise UsageError("--jobs must be at least 1", hint="2 is the default")
        if self.as_json and files.output == STDOUT:
            raise UsageError("--json and the picture cannot both go to stdout", hint="write the picture to a file")
        return Console(quiet=talk.quiet or files.output == STDOUT, verbose=talk.verbose, progress=not talk.no_progress)


@dataclass(frozen=True)
class Cluster:
    """Which machines work."""

    ray: options.Ray = None
    workers: options.Workers = None

    def check(self, *, server: str | None) -> None:
        """Refuse what makes no sense alone, or together.

        Args:
            server: as in `--server`.
        """
        if self.ray is not None and server:
            raise UsageError("--ray and --server contradict each other", hint="give one of them")
        if self.workers is not None and self.ray is None:
            raise UsageError("--workers is for --ray", hint="add --ray auto")


def plan_of(files: Files, size: Size, content: Content, course: Course, films: Films) -> Plan:
    """What is the same for every picture of the run."""
    from hatcli.batch.plan import Plan

    return Plan(
        target=size.target(),
        format=files.format(),
        options=content.encoding(),
        overwrite=files.overwrite,
        skip_existing=files.skip_existing,
        only_if_smaller=size.only_if_smaller,
        max_pixels=content.max_pixels(),
        fail_fast=course.fail_fast,
        frames=content.frames,
        writers=course.writers,
        decoding=content.decoding(),
        films=films,
    )


def factor(text: str) -> float:
    """`4`, `x4`, `4x` or `2.5` to a number.

    Raises:
        UsageError: it is none.
    """
    match = re.fullmatch(r"\s*[x×]?\s*([0-9]*[.,]?[0-9]+|[0-9]+[.,])\s*[x×]?\s*", text, flags=re.IGNORECASE)
    value = float(match[1].replace(",", ".")) if match else math.nan
    if not math.isfinite(value):
        raise UsageError(f"--scale {text} is not a factor", hint="try --scale 4, or --width 3840 for a size in pixels")
    return value


def pages_of(text: str) -> tuple[int, int | None]:
    """`first`, `all`, `3`, `2-5` or `2-` to the first and the last page.

    Raises:
        UsageError: it is none of them.
    """
    if text.lower() in ("first", "all"):
        return (1, 1) if text.lower() == "first" else (1, None)
    match = re.fullmatch(r"\s*([0-9]{1,6})\s*(-\s*([0-9]{1,6})?)?\s*", text)
    first = int(match[1]) if match else 0
    last = None if match is None else int(match[3]) if match[3] else None if match[2] else first
    if first < 1 or (last is not None and last < first):
        raise UsageError(f"--pages {text} names no pages", hint="use first, all, one number, or two as in 2-5")
    return first, last


def dots_an_inch(text: str) -> float | None:
    """`--dpi` to a number; None for `keep`."""
    if text.lower() == "keep":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 65535:
        raise UsageError(f"--dpi {text} is neither 'keep' nor a resolution", hint="try --dpi 300")
    return value
