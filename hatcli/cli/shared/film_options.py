"""The options of `hat upscale` for films."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli.shared.options import completed
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.batch.decoder import Decoder
    from hatcli.batch.inputs import Found
    from hatcli.cli.shared.upscale_options import Files
    from hatcli.video.films import FilmEnlarger

FILM = "Film"
CODECS = ("h264", "hevc", "av1", "ffv1", "prores")


def _option(help_text: str, *names: str, value: str = "", choices: tuple[str, ...] = ()) -> Any:
    complete = completed(choices) if choices else None
    return typer.Option(*names, help=help_text, rich_help_panel=FILM, metavar=value, autocompletion=complete)


Codec = Annotated[
    str | None,
    _option(
        "h264, hevc, av1, ffv1, prores, or a card's encoder; without it, h264, or hevc for more than 8 bits.",
        "--codec",
        value="NAME",
        choices=CODECS,
    ),
]
Crf = Annotated[
    float | None, _option("Constant quality, 0 to 63, lower is better; without it, nearly transparent.", "--crf",
                          value="N")
]  # fmt: skip
PixelFormat = Annotated[
    str | None,
    _option("As libav calls it, such as yuv420p10le; without it, as the source.", "--pixel-format", value="NAME"),
]
Deinterlace = Annotated[bool, _option("Take woven fields apart, one frame for each frame.", "--deinterlace")]
Start = Annotated[str | None, _option("Where to begin: 90, 3s, 1:30.", "--start", value="TIME")]
Duration = Annotated[str | None, _option("How much to enlarge.", "--duration", value="TIME")]
Preview = Annotated[
    str | None, _option("So much from the middle, with _preview in the name.", "--preview", value="TIME")
]


@dataclass(frozen=True)
class Film:
    """How films are written, and what part of them."""

    codec: Codec = None
    crf: Crf = None
    pixel_format: PixelFormat = None
    deinterlace: Deinterlace = False
    start: Start = None
    duration: Duration = None
    preview: Preview = None

    def enlarger(self, *, max_pixels: int) -> FilmEnlarger:
        """Whoever enlarges films so."""
        from hatcli.video.films import FilmEnlarger
        from hatcli.video.options import FilmOptions, seconds_of

        def seconds(text: str | None, option: str) -> Any:
            return None if text is None else seconds_of(text, option)

        return FilmEnlarger(
            FilmOptions(
                codec=self.codec,
                crf=self.crf,
                pixel_format=self.pixel_format,
                deinterlace=self.deinterlace,
                start=seconds(self.start, "--start"),
                duration=seconds(self.duration, "--duration"),
                preview=seconds(self.preview, "--preview"),
            ),
            max_pixels=max_pixels,
        )

    def beside(self, decoder: Decoder, *, max_pixels: int) -> tuple[FilmEnlarger, Decoder]:
        """Whoever enlarges films so, and a decoder that can say what films are, too."""
        from hatcli.video.films import DecoderBesideFilms

        films = self.enlarger(max_pixels=max_pixels)
        return films, DecoderBesideFilms(decoder, films)

    def check_here(self, found: Found, files: Files, *, elsewhere: bool) -> None:
        """Refuse films where the pictures are enlarged on other machines, and options that mean nothing for them."""
        from hatcli.video.film import is_film

        made = Path(files.output or "")
        films = [file for file in found.files if file.path is not None and is_film(file.path)]
        if films and len(films) == len(found.files) and files.format() is not None:
            raise UsageError(
                f"--format is of pictures, and {films[0].label} is a film",
                hint="name the result: -o film.mkv, or film.gif",
            )
        for file in found.files if elsewhere else []:
            if file.path is not None and (is_film(file.path) or is_film(made)):
                name = file.label if is_film(file.path) else str(made)
                raise UsageError(
                    f"{name} is a film, and films are enlarged on this machine alone",
                    hint="enlarge it without --ray and --server",
                )

    def idle(self, found: Found, files: Files) -> list[str]:
        """What to say of options for films where no file is one, nor the result."""
        options = {"--codec": self.codec, "--crf": self.crf, "--pixel-format": self.pixel_format}
        options |= {"--deinterlace": self.deinterlace, "--start": self.start, "--duration": self.duration}
        given = [name for name, value in options.items() if value]
        if not given or files.has_urls():  # a million names are looked at only where there is something to say
            return []
        from hatcli.video.film import is_film

        places = [Path(files.output or ""), *(file.path for file in found.files)]
        if any(place is None or is_film(place) for place in places):
            return []
        return [f"{name} is for films, and there is none" for name in given]

    def suffix(self, given: str) -> str:
        """What is added to a result's stem."""
        return given if self.preview is None else f"{given}_preview"
