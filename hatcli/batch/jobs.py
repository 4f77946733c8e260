"""Where each picture's result goes: a named file, a mirrored tree, or beside its picture."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hatcli.batch import checks, streams
from hatcli.batch.inputs import STREAM, Found, InputFile
from hatcli.batch.naming import Naming, check_agreed, check_ending
from hatcli.batch.plan import Job, Plan
from hatcli.errors import HatError, UsageError
from hatcli.image import encode
from hatcli.image.decode import PictureInfo
from hatcli.upscaling.upscaler import Upscaler

LookAt = Callable[[Path], PictureInfo]


def plan_jobs(
    found: Found, output: str | None, naming: Naming, plan: Plan, upscaler: Upscaler, *, look: LookAt
) -> list[Job]:
    """Where each picture's result goes; everything cheap that can go wrong goes wrong here.

    Args:
        look: says what the picture in a file is, where its name or its result's size need it.

    Raises:
        UsageError: outputs that collide, overwrite an input, or one file named for several inputs.
    """
    many = found.from_folder or len(found.files) > 1
    if output == STREAM:
        if many:
            raise UsageError("only one picture can go to stdout", hint="name a folder with -o")
        job = Job(found.files[0], None)
        if plan.films is not None and plan.has_film(job):
            plan.films.check_output(None)
        return [job]
    path = Path(output) if output else None
    to_folder = path is not None and (many or path.is_dir() or _ends_like_a_folder(output or ""))
    if path is None:
        _check_beside(found, many=many)
    elif to_folder:
        _check_folder(path, is_new=not (output or "").endswith(_SEPARATORS))
    if path is not None and not to_folder:
        jobs = [Job(found.files[0], path)]
        if plan.films is not None and plan.has_film(jobs[0]):
            plan.films.check_output(path)
        elif plan.format is None:
            _check_streamed(jobs[0], path, plan)
            check_ending(path)
        else:
            check_agreed(path, plan.format)
    else:
        outputs = _Outputs(path, naming, plan, upscaler, look)
        jobs = [
            Job(file, output_path, output_path.parents[len(file.relative.parts) - 1] if many else None)
            for file, output_path in outputs.of(found)
        ]
    checks.check_outputs(jobs)
    return jobs


def _check_streamed(job: Job, path: Path, plan: Plan) -> None:
    """Refuse a film from stdin."""
    if job.source.path is None and plan.films is not None and plan.films.is_film(path):
        raise UsageError("films are read from files, not from stdin", hint="write it to a file first")


_SEPARATORS = tuple({"/", os.sep, os.altsep or "/"})


def _ends_like_a_folder(output: str) -> bool:
    return output.endswith(_SEPARATORS)


def _check_beside(found: Found, *, many: bool) -> None:
    """Refuse inputs that nothing can be written beside."""
    for file in found.files:
        if file.path is None or (not many and streams.is_stream(file.path)):
            raise UsageError(
                "a picture from stdin or a pipe needs an output", hint="add -o out.png, or -o - for stdout"
            )
        if file.linked:
            raise UsageError(
                f"{file.label} lies behind a link, and nothing is written through links", hint="name a folder with -o"
            )


def _check_folder(path: Path, *, is_new: bool) -> None:
    """Refuse what cannot be meant as a folder for several pictures."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, and several pictures need a folder", hint="name a folder with -o")
    if is_new and not path.exists() and encode.format_for(path) is not None:
        raise UsageError(
            f"several pictures cannot become one file {path}", hint=f"name a folder, or write {path}/ if you mean one"
        )


@dataclass(frozen=True)
class _Outputs:
    """Outputs in a folder, its tree mirrored, or beside the pictures."""

    folder: Path | None
    naming: Naming
    plan: Plan
    upscaler: Upscaler
    look: LookAt

    def of(self, found: Found) -> list[tuple[InputFile, Path]]:
        """Each picture's output; those that differ in their ending alone get it into their name."""
        named = [(file, self._path(file)) for file in found.files]
        sharing: dict[Path, list[InputFile]] = {}
        for file, path in named:
            sharing.setdefault(path, []).append(file)
        groups = {path: files for path, files in sharing.items() if len(files) > 1}
        if not groups:
            return named
        apart = {}
        for path, files in groups.items():
            for file in files:
                keeps = file.relative.suffix.lower() == path.suffix.lower()  # the name that it would have alone
                apart[file] = path if keeps else self._path(file, apart=True)
        self._tell(groups, apart, found)
        return [(file, apart.get(file, path)) for file, path in named]

    def _tell(self, groups: dict[Path, list[InputFile]], apart: dict[InputFile, Path], found: Found) -> None:
        path, files = next(iter(groups.items()))
        names = " and ".join(file.label for file in files[:2])
        new = " and ".join(apart[file].name for file in files[:2])
        more = f" (and {len(groups) - 1} more such names)" if len(groups) > 1 else ""
        found.remarks.append(f"{names} would both become {path.name}: they become {new}{more}")

    def _path(self, file: InputFile, *, apart: bool = False) -> Path:
        naming, target, suited, plan_films = self.naming, self.plan.target, self.upscaler, self.plan.films
        factor, width, height, container = target.scale, 0, 0, "PNG"
        templated = any(field in naming.template for field in ("{width}", "{height}", "{model}"))
        ending_known = naming.format is not None or file.relative.suffix != ""
        if file.path is None or streams.is_stream(file.path):
            self._check_unseen(file)
        elif templated or target.is_size or not ending_known:
            try:
                info = self.look(file.path)
                suited = suited.suited(info.width, info.height, jpeg_quality=info.jpeg_quality, target=target)
                factor = target.factor(info.width, info.height)
                width, height = (round(side * (factor or max(suited.native))) for side in (info.width, info.height))
                container = info.format
            except (HatError, OSError):  # it will be reported when its turn comes
                factor = factor or 1.0
        scale = factor or float(max(suited.native))
        naming = replace(naming, model="" if suited.model is None else suited.model.name)
        name = naming.file_name(
            file.relative, scale=scale, width=width, height=height, source_format=container, apart=apart
        )
        if plan_films is not None and file.path is not None and plan_films.is_film(file.path):
            own = naming.ending(file.relative.suffix, container)
            name = name.removesuffix(own) + plan_films.ending(file.path)
        parent = self.folder / file.relative.parent if self.folder is not None else (file.path or Path()).parent
        return parent / name

    def _check_unseen(self, file: InputFile) -> None:
        """Refuse names that depend on a picture which is known only when it is read."""
        needed = ["{width}", "{height}"]
        needed += ["{scale}"] if self.plan.target.is_size else []
        needed += ["{model}"] if self.upscaler.model is None else []
        for field in needed:
            if field in self.naming.template:
                raise UsageError(
                    f"{file.label} is known when it is read, too late for a name with {field}",
                    hint="name the result with -o out.png, or add --suffix _large",
                )
