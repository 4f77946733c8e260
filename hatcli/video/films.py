"""Films as jobs of a run: looked at, refused or enlarged like pictures; see `hatcli.batch.films`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hatcli import __version__
from hatcli.atomic import replacing
from hatcli.batch.claims import Claim
from hatcli.batch.decision import Decision
from hatcli.batch.outcomes import Advanced, Event, Foreseen, Foresight, Outcome, Writing
from hatcli.batch.stamps import stamp_file, stamp_open
from hatcli.errors import HatError, InputError, UsageError
from hatcli.image.decode import DEFAULT_MAX_PIXELS, PictureInfo, sniff
from hatcli.progress import mapped
from hatcli.upscaling.size import SizePlan
from hatcli.video import from_animation, joining, to_animation
from hatcli.video.encoding import Encoding, choose
from hatcli.video.enlarging import Span, enlarged
from hatcli.video.film import Film, is_film, probe
from hatcli.video.opening import library
from hatcli.video.options import FilmOptions
from hatcli.video.segments import Segments

if TYPE_CHECKING:
    from hatcli.batch.decoder import Decoder
    from hatcli.batch.journal import Journal
    from hatcli.batch.plan import Job, Plan
    from hatcli.batch.reading import Original
    from hatcli.upscaling.upscaler import Upscaler

FORMAT = "FILM"
_BITS_A_PIXEL = {"ffv1": 6.0, "prores_ks": 4.0}  # of an enlarged film; of the other encoders, nearly transparent:
_USUAL_BITS = 0.15
_LEAST = 20  # times as small as usual is the least that is thought of: films that hardly move
_TRIED = 48  # pixels of the side of the piece whose enlarging tells the time


class FilmEnlarger:
    """See `hatcli.batch.films.Films`."""

    def __init__(self, options: FilmOptions, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self.options = options
        self._max_pixels = max_pixels
        self._seen: dict[Path, Film | HatError] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """What of the options is not as usual; JSON can hold it."""
        usual = asdict(FilmOptions())
        return {name: str(value) for name, value in asdict(self.options).items() if value != usual[name]}

    def is_film(self, path: Path) -> bool:
        """Whether its name is that of a film."""
        return is_film(path)

    def takes(self, path: Path, output: Path | None) -> bool:
        """Whether it enlarges this file into that one: films, and whatever is to become a film."""
        return is_film(path) or (output is not None and joining.ending_of(output) is not None)

    def film(self, path: Path) -> Film:
        """The film in a file, or the animated picture; a second look costs nothing.

        Raises:
            HatError: it cannot be read, or PyAV is missing.
        """
        if path not in self._seen:
            try:
                is_picture = not is_film(path) and sniff(path) is not None
                self._seen[path] = (
                    from_animation.probe(path, max_pixels=self._max_pixels) if is_picture else probe(path)
                )
            except HatError as error:
                self._seen[path] = error
        seen = self._seen[path]
        if isinstance(seen, HatError):
            raise seen
        return seen

    def ending(self, path: Path) -> str:
        """What a result's name ends in: as the source where that can be written."""
        return path.suffix if joining.ending_of(path) else ".mkv"

    def check_output(self, output: Path | None) -> str:
        """The container that an output's ending means.

        Raises:
            UsageError: it means none.
        """
        if output is None:
            raise UsageError("a film cannot go to stdout", hint="name a file: -o film.mkv")
        ending = output.suffix.lower()
        known = (*joining.MUXERS, *to_animation.FORMATS)
        if ending not in known:
            raise UsageError(
                f"{output.name} has no ending of a film that can be written", hint=f"end it in one of {' '.join(known)}"
            )
        return ending

    def _decided(self, job: Job, upscaler: Upscaler, plan: Plan) -> tuple[Film, Encoding, Decision]:
        """How a film is enlarged, or that it cannot be.

        Raises:
            HatError: it cannot be read, is interlaced, or its container cannot hold all of it.
        """
        library()
        assert job.source.path is not None, "films are files"
        film, ending = self.film(job.source.path), self.check_output(job.output)
        if film.interlaced and not self.options.deinterlace:
            raise InputError(f"{film.path} is interlaced: its frames are woven of two fields", hint="add --deinterlace")
        suited = upscaler.suited(film.width, film.height, jpeg_quality=None, target=plan.target)
        if suited.settings.alpha == "drop":
            film = replace(film, alpha=False)
        size = suited.plan(film.width, film.height, plan.target)
        if ending in to_animation.FORMATS:
            encoding, notes = to_animation.choose(film, size, self.options, plan.options, ending=ending)
            encoding.opened()
        else:
            encoding = choose(film, size, self.options, ending=ending)
            encoding.opened()
            notes = joining.check(film, encoding, ending)
        notes = [*film.notes, *encoding.notes, *notes]
        notes += suited.notes(film.width, film.height, 16 if film.is_deep else 8, plan.target)
        frames = max(film.frames, 1)
        return film, encoding, Decision(suited, size, FORMAT, frames=frames, notes=tuple(notes))

    def enlarge(self, job: Job, upscaler: Upscaler, plan: Plan, journal: Journal | None) -> Iterator[Event]:
        """A film to its file; the last event is its outcome.

        Raises:
            HatError: it cannot be read, enlarged or written.
        """
        began = time.monotonic()
        film, encoding, decision = self._decided(job, upscaler, plan)
        output = job.output
        assert output is not None, "films go to files"
        claim = Claim(output, journal, plan.overwrite)
        claim.check_early()
        span = Span(*self.options.span(film.seconds))
        origin = stamp_file(film.path)
        segments = Segments(output, self._identity(film, encoding, decision, plan, origin.sha256))
        with closing(segments):
            work = enlarged(
                film, span, encoding, segments, decision.upscaler, plan.target, deinterlace=self.options.deinterlace
            )
            found = yield from mapped(work, lambda progress: Advanced(job, progress))
            if not segments.finished:
                raise InputError(f"cannot read {film.path}: there is no frame in that part of it")
            yield Writing(job)
            with replacing(output, replace=claim.may_replace) as file:
                lost = self._put_together(film, encoding, segments, file, span, plan, output)
                if journal is not None:
                    file.flush()
                    made, made_by = stamp_open(file), _made_by(decision, plan, film)
                    lost = [*lost, *claim.check(made)]
                    journal.record(output, film.path, origin=origin, made=made, made_by=made_by)
            segments.remove()
        width, height = _shape(encoding, output)
        yield Outcome(
            job,
            "done",
            width=width,
            height=height,
            source_width=film.width,
            source_height=film.height,
            seconds=time.monotonic() - began,
            notes=(*decision.notes, *found.notes(film, whole=span.is_whole), *lost),
            model=decision.model,
        )

    def _put_together(
        self,
        film: Film,
        encoding: Encoding,
        segments: Segments,
        file: BinaryIO,
        span: Span,
        plan: Plan,
        output: Path,
    ) -> list[str]:
        """The segments to the result; a sentence for each thing that came out otherwise."""
        ending = self.check_output(output)
        if ending in to_animation.FORMATS:
            return to_animation.write(film, encoding, segments, file, ending=ending, options=plan.options)
        first = min(min(segment.times) for segment in segments.finished.values())
        start = span.start if not span.start else first * film.time_base
        part = joining.Part(start, None if span.length is None else first * film.time_base + span.length)
        joining.join(film, encoding, segments, file, ending=ending, part=part)
        return []

    def _identity(self, film: Film, encoding: Encoding, decision: Decision, plan: Plan, source: str) -> dict[str, Any]:
        """Everything that decides what a segment holds."""
        model = decision.upscaler.model
        settings = asdict(decision.upscaler.settings)
        settings.pop("max_memory")
        return {
            "hat": __version__,
            "libav": str(library().library_versions),
            "source": source,
            "weights": None if model is None else model.digest,
            "settings": settings,
            "precision": decision.upscaler.choice.precision,
            "device": decision.upscaler.choice.device.type,
            "encoder": [encoding.encoder, encoding.pixel_format, encoding.options, encoding.width, encoding.height],
            "film": self.settings,
        }

    def bytes_of(self, job: Job, upscaler: Upscaler, plan: Plan) -> tuple[int, int]:
        """See `hatcli.batch.films.Films`: its segments, and the result beside them."""
        assert job.source.path is not None, "films are files"
        film, ending = self.film(job.source.path), self.check_output(job.output)
        size = upscaler.suited(film.width, film.height, jpeg_quality=None, target=plan.target).plan(
            film.width, film.height, plan.target
        )
        encoder = "ffv1" if ending in to_animation.FORMATS else choose(film, size, self.options, ending=ending).encoder
        likely = 2 * _file_bytes(self._frames(film), size, encoder)
        return likely // _LEAST, likely

    def _frames(self, film: Film) -> int:
        """How many frames are enlarged, about."""
        span = Span(*self.options.span(film.seconds))
        seconds = film.seconds if span.length is None else min(float(span.length), film.seconds or float(span.length))
        return max(1, round(seconds * film.rate)) if seconds else max(film.frames, 1)

    def foresee(self, job: Job, upscaler: Upscaler, plan: Plan) -> Foresight:
        """What would become of a film.

        Raises:
            HatError: it cannot be enlarged.
        """
        film, encoding, decision = self._decided(job, upscaler, plan)
        frames = self._frames(film)
        size, bits = decision.size, 16 if film.is_deep else 8
        tiles = whole = 0
        if size.passes:
            tiles = decision.upscaler.tiles(film.width, film.height, size.passes[0], bits=bits)
            whole = decision.upscaler.whole_bytes(film.width, film.height, size.passes[0], bits=bits)
        return Foreseen(
            job,
            self.look(film.path),
            replace(decision, frames=frames),
            tiles=tiles,
            whole_bytes=whole,
            file_bytes=_file_bytes(frames, size, encoding.encoder),
            seconds=frames * _seconds_a_frame(film, decision, plan),
        )

    def look(self, path: Path) -> PictureInfo:
        """A film's size and depth, as of a picture.

        Raises:
            HatError: it cannot be read.
        """
        film = self.film(path)
        return PictureInfo(
            width=film.width,
            height=film.height,
            bits=16 if film.is_deep else 8,
            channels=3,
            alpha=False,
            format=FORMAT,
            frames=max(film.frames, 1),
            jpeg_quality=None,
        )


def _file_bytes(frames: int, size: SizePlan, encoder: str) -> int:
    """About what a film takes."""
    return round(frames * size.width * size.height * _BITS_A_PIXEL.get(encoder, _USUAL_BITS) / 8)


def _shape(encoding: Encoding, output: Path) -> tuple[int, int]:
    """Width and height of the result."""
    if output.suffix.lower() in to_animation.FORMATS:
        return to_animation.shape(encoding)
    return encoding.width, encoding.height


def _made_by(decision: Decision, plan: Plan, film: Film) -> dict[str, Any]:
    model = decision.upscaler.model
    if model is None:
        return {}
    factor = plan.target.factor(film.width, film.height)
    return {"model": model.name, "weights": model.digest, "jpeg_quality": None, "factor": factor}


def _seconds_a_frame(film: Film, decision: Decision, plan: Plan) -> float:
    """Told from a gray piece."""
    import numpy as np

    from hatcli.image.picture import Picture, Samples
    from hatcli.upscaling.size import Target

    height, width = min(film.height, _TRIED), min(film.width, _TRIED)
    gray: Samples = np.full((height, width, 3), 128, np.uint8)
    piece = Picture(gray.astype(np.uint16) if film.is_deep else gray)
    factor = plan.target.factor(film.width, film.height)
    target = plan.target if not plan.target.is_size or factor is None or factor <= 1 else Target(scale=factor)
    took = 0.0
    for _ in range(2):  # the first one warms up
        began = time.monotonic()
        decision.upscaler.upscale(piece, target)
        took = time.monotonic() - began
    return took * film.width * film.height / (width * height)


class DecoderBesideFilms:
    """A decoder of pictures that can say what films are, too; see `hatcli.batch.decoder.Decoder`."""

    def __init__(self, decoder: Decoder, films: FilmEnlarger) -> None:
        self._decoder, self._films = decoder, films

    def look(self, path: Path) -> PictureInfo:
        return self._films.look(path) if self._films.is_film(path) else self._decoder.look(path)

    def load(self, source: Path | bytes, *, name: str, all_frames: bool = False) -> Original:
        return self._decoder.load(source, name=name, all_frames=all_frames)

    def close(self) -> None:
        self._decoder.close()
