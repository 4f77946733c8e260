"""A picture file whose header has been read, as far as every format is alike; the others say what they do otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image

from hatcli.image import metadata, opening, samples
from hatcli.image.light import Light
from hatcli.image.quality import jpeg_quality


@dataclass(frozen=True)
class Beside:
    """What lies beside the pixels.

    Attributes:
        icc: the profile as it stands in the file.
        exif: the block, not yet made true for the upright picture; None, too, if `is_exif_damaged`.
        dpi: pixels an inch as the container itself says them.
        turn: how the samples must still be turned, as EXIF's orientation 1 to 8.
        texts: see `Picture`.
    """

    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    dpi: tuple[float, float] | None
    turn: int
    is_exif_damaged: bool = False
    texts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Shape:
    """What the upright picture will be: pixels, channels (1 or 3, alpha not counted), bits a sample, transparency."""

    width: int
    height: int
    channels: int
    bits: int
    alpha: bool


@dataclass(frozen=True)
class Reader:
    """A picture file whose header has been read: its bytes and its format."""

    data: bytes
    format: str

    def unpack(self) -> samples.Unpacked:
        """The samples of the first frame."""
        raise NotImplementedError

    def beside(self) -> Beside:
        """What lies beside the pixels; to be asked after `unpack`, and before a decoder moves on to other frames."""
        raise NotImplementedError

    def shape(self) -> Shape:
        """What the picture will be, told before it is loaded."""
        raise NotImplementedError

    def light(self) -> Light | None:
        """What the samples mean, where that is neither sRGB's nor a profile's business."""
        return None

    def stored_bits(self) -> int:
        """Bits a sample in the file, where it may have more than the 8 that it is read with."""
        return 8

    def remarks(self, *, has_profile: bool) -> list[str]:
        """A sentence for what is odd about the file, and for a description of its colours that is not carried along."""
        return []

    def count_frames(self, *, max_pixels: int) -> int:
        """Frames or pages in the file, counted up to one more than `MOST_FRAMES`; 0 where a later one is damaged."""
        return 1

    @property
    def frames_title(self) -> str:
        """What the format calls its frames."""
        return "frames"

    @property
    def quality(self) -> int | None:
        """Of a JPEG, 1 to 100; None for anything else."""
        return None

    @property
    def is_converted(self) -> bool:
        """Whether the samples were converted to sRGB, so that the file's profile does not fit them any more."""
        return False


@dataclass(frozen=True)
class PillowReader(Reader):
    """A picture file that Pillow has opened."""

    image: Image.Image

    def unpack(self) -> samples.Unpacked:
        """The samples of the first frame; loads Pillow's image where Pillow can."""
        self.image.load()
        return samples.unpack(self.image, self.image.info.get("icc_profile"))

    def beside(self) -> Beside:
        info = self.information()
        block, packet = metadata.find_exif(info), metadata.find_xmp(info)
        return Beside(
            icc=info.get("icc_profile"),
            exif=block,
            xmp=packet,
            dpi=metadata.plausible_dpi(self.said_resolution(info)),
            turn=metadata.find_orientation(block, packet),
        )

    def information(self) -> dict[str, Any]:
        """What Pillow found."""
        return {str(key): value for key, value in self.image.info.items()}

    def said_resolution(self, info: dict[str, Any]) -> Any:
        """Pixels an inch as Pillow found them, nonsense included."""
        return info.get("dpi")

    def shape(self) -> Shape:
        width, height = self.image.size
        info = self.information()
        if metadata.find_orientation(self.early_exif(info), metadata.find_xmp(info)) >= 5:
            width, height = height, width
        channels = 1 if self.image.mode in samples.GRAY_MODES else 3
        bits = 16 if self.image.mode in samples.DEEP_MODES else 8
        return Shape(width, height, channels, bits, samples.has_alpha(self.image))

    def early_exif(self, info: dict[str, Any]) -> bytes | None:
        """The EXIF block as far as it can be had before the pixels are loaded."""
        return metadata.find_exif(info)

    def count_frames(self, *, max_pixels: int) -> int:
        try:
            return int(getattr(self.image, "n_frames", 1))
        except Exception:  # Pillow raises a dozen classes here; the first frame is sound, which is what counts
            return 0

    @property
    def frames_title(self) -> str:
        return "pictures" if self.image.format == "MPO" else "frames"

    @property
    def quality(self) -> int | None:
        return jpeg_quality(self.image)

    @property
    def is_converted(self) -> bool:
        return self.image.mode in ("CMYK", "LAB")


def opened_by_pillow(data: bytes, format: str, *, name: str, max_pixels: int) -> PillowReader:
    """The reader of a format that needs nothing else.

    Raises:
        InputError: the picture is larger than `max_pixels`.
    """
    return PillowReader(data, format, opening.open_image(data, format, name=name, max_pixels=max_pixels))
