"""A drawn test card and a number for how jagged a model's lines are; knows pixels, no models.

The card has dark bars at 5 to 85 degrees, discs and small text on light ground, drawn at many times the size and
reduced. Since it is known where every edge is, it can be said how far the edges of a result are from there:

    jaggedness = root mean square, over many places along an edge, of the distance in output pixels between where the
                 result crosses half of the contrast and the straight line (for discs: the circle) that fits best

Each place is found below a pixel, on a profile across the edge, linear between pixels. What the fit takes away is a
shift, a turn and a thicker or thinner bar: they are other faults. An edge drawn well has about 0.03; steps as high as a
scale of 4 have 4 / sqrt(12) = 1.15 times the cosine of the angle. An edge that cannot be found at a place counts with
the reach of the search. The measure is this project's own; that an edge is where half the contrast is crossed is usual,
as in ISO 12233's slanted edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hatcli.evaluation.datasets import Example
from hatcli.evaluation.metrics import psnr
from hatcli.image.resample import imresize

Pixels = NDArray[np.uint8]
Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

NAME = "card"
CELL, COLUMNS = 48, 6  # side of a bar's or disc's square in input pixels; squares in a row
WIDTH, HEIGHT = CELL * COLUMNS, 312  # of the small picture
ANGLES = tuple(range(5, 90, 5))  # degrees, counterclockwise from the horizontal
HALF_LENGTH, HALF_WIDTH = 19.0, 2.0  # of a bar, in input pixels
OFF_CENTRE = (0.3, -0.4)  # input pixels right and down, so that no edge lies on the pixels' grid
RADII = (18.0, 3.0, 5.0, 8.0, 11.0, 14.0, 21.0)  # of the discs, in input pixels; they follow the bars
TEXT_TOP, TEXT_SIZES, TEXT = 4 * CELL, range(8, 15), "Sphinx of black quartz, 0123456789"  # sizes in input pixels
DARK, LIGHT = 24, 232  # of 255
FINER = 8  # samples a side that a pixel of the large picture is drawn with
TEXT_FINER = 4
ENDS = 4.0  # input pixels left out at either end of a bar
REACH = 1.8  # input pixels to either side of an edge that are searched
STEP = 0.5  # output pixels between two places along an edge


@dataclass(frozen=True)
class CardScores:
    """How one result draws the card.

    Attributes:
        angles: degrees to jaggedness of that bar's two edges, in output pixels.
        circles: jaggedness of the discs' edges.
        text_psnr: in dB, of the part with text.
    """

    angles: dict[int, float]
    circles: float
    text_psnr: float

    @property
    def jaggedness(self) -> float:
        """Root mean square over the bars, in output pixels."""
        return math.sqrt(sum(value**2 for value in self.angles.values()) / len(self.angles))

    @property
    def worst_angle(self) -> int:
        """Of the most jagged bar, in degrees."""
        return max(self.angles, key=lambda angle: self.angles[angle])


@dataclass(frozen=True)
class Edge:
    """Places along an edge: `points` `[n, 2]` (x, y) in input pixels, `normals` `[n, 2]` out of the dark, and `shapes`
    `[n, k]`: what a shifted, turned or grown edge of this kind would deviate by."""

    points: Values
    normals: Values
    shapes: Values


def example(scale: int) -> Example:
    """The card as a picture of a set: small and large, `[H, W, 3]` uint8."""
    truth = drawn(scale)
    return Example(NAME, np.asarray(imresize(truth, 1 / scale), dtype=np.uint8), truth)


def drawn(scale: int) -> Pixels:
    """The card at `scale` times its size, `[HEIGHT * scale, WIDTH * scale, 3]`."""
    dark = np.zeros((HEIGHT * scale, WIDTH * scale))
    for number, angle in enumerate(ANGLES):
        _fill(dark, number, scale, partial(_in_bar, angle))
    for number, radius in enumerate(RADII, start=len(ANGLES)):
        _fill(dark, number, scale, partial(_in_disc, radius))
    dark[TEXT_TOP * scale :] = _text(scale)
    gray: Pixels = np.rint(LIGHT - (LIGHT - DARK) * dark).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def _turned(angle: int) -> tuple[Values, Values]:
    """Unit vectors (x, y) along and across a line at an angle; y grows downward."""
    radians = math.radians(angle)
    return np.array([math.cos(radians), -math.sin(radians)]), np.array([math.sin(radians), math.cos(radians)])


def _in_bar(angle: int, x: Values, y: Values) -> Mask:
    along, across = _turned(angle)
    length, width = x * along[0] + y * along[1], x * across[0] + y * across[1]
    inside: Mask = (np.abs(length) <= HALF_LENGTH) & (np.abs(width) <= HALF_WIDTH)
    return inside


def _in_disc(radius: float, x: Values, y: Values) -> Mask:
    inside: Mask = x**2 + y**2 <= radius**2
    return inside


def _centre(number: int) -> Values:
    """Middle of the figure in a square, in input pixels."""
    row, column = divmod(number, COLUMNS)
    return np.array([(column + 0.5) * CELL + OFF_CENTRE[0], (row + 0.5) * CELL + OFF_CENTRE[1]])


def _fill(dark: Values, number: int, scale: int, inside: Callable[[Values, Values], Mask]) -> None:
    """Draw a figure, given around its middle in input pixels, into its square: each pixel the share that is covered."""
    row, column = divmod(number, COLUMNS)
    side, centre = CELL * scale, _centre(number)
    samples = (np.arange(side * FINER) + 0.5) / (FINER * scale)
    x = samples[None, :] + column * CELL - centre[0]
    y = samples[:, None] + row * CELL - centre[1]
    covered = inside(x, y).reshape(side, FINER, side, FINER).mean(axis=(1, 3))
    dark[row * side : (row + 1) * side, column * side : (column + 1) * side] = covered


def _text(scale: int) -> Values:
    """The lines of text, `[h, w]`, 1 where it is dark."""
    finer = scale * TEXT_FINER
    canvas = Image.new("L", (WIDTH * finer, (HEIGHT - TEXT_TOP) * finer))
    draw, top = ImageDraw.Draw(canvas), 3.0
    for size in TEXT_SIZES:
        draw.text((6 * finer, top * finer), f"{size} {TEXT}", fill=255, font=ImageFont.load_default(size * finer))
        top += 1.4 * size
    return np.asarray(canvas.reduce(TEXT_FINER), dtype=np.float64) / 255


def measure(result: Pixels, truth: Pixels, *, scale: int) -> CardScores:
    """How jagged a result of the small card is; both `[HEIGHT * scale, WIDTH * scale, C]`, the truth as `drawn`.

    Raises:
        ValueError: one has another size.
    """
    for pixels in (result, truth):
        if pixels.shape[:2] != (HEIGHT * scale, WIDTH * scale):
            raise ValueError(f"expected {WIDTH * scale} x {HEIGHT * scale} pixels, got {pixels.shape[1::-1]}")
    gray = result.astype(np.float64).mean(axis=2)
    angles = {
        angle: _together([deviation(gray, edge, scale=scale) for edge in bar_edges(number, angle, scale)])
        for number, angle in enumerate(ANGLES)
    }
    discs = [disc_edge(number, radius, scale) for number, radius in enumerate(RADII, start=len(ANGLES))]
    text = slice(TEXT_TOP * scale, None)
    return CardScores(
        angles=angles,
        circles=_together([deviation(gray, edge, scale=scale) for edge in discs]),
        text_psnr=psnr(gray[text], truth[text].mean(axis=2)),
    )


def bar_edges(number: int, angle: int, scale: int) -> list[Edge]:
    """Both long edges of a bar, without its ends."""
    along, across = _turned(angle)
    half = HALF_LENGTH - ENDS
    places = np.arange(-half, half, STEP / scale)
    shapes = np.stack([np.ones_like(places), places], axis=1)
    return [
        Edge(
            _centre(number) + places[:, None] * along + side * HALF_WIDTH * across,
            np.tile(side * across, (len(places), 1)),
            shapes,
        )
        for side in (-1.0, 1.0)
    ]


def disc_edge(number: int, radius: float, scale: int) -> Edge:
    """A disc's whole edge."""
    turns = np.arange(0, 2 * math.pi, STEP / (scale * radius))
    normals = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    shapes = np.stack([np.ones_like(turns), np.cos(turns), np.sin(turns)], axis=1)
    return Edge(_centre(number) + radius * normals, normals, shapes)


def deviation(gray: Values, edge: Edge, *, scale: int) -> float:
    """Jaggedness of one edge in `[H, W]`, values in 0..255, in output pixels: see the top of this file."""
    reach = REACH * scale
    distances = np.arange(-reach, reach + 0.125, 0.25)
    places = edge.points * scale - 0.5  # in output pixels whose middles are whole numbers
    x = places[:, :1] + distances * edge.normals[:, :1]
    y = places[:, 1:] + distances * edge.normals[:, 1:]
    above = _between_pixels(gray, x, y) - (DARK + LIGHT) / 2
    found = _crossings(above, distances)
    seen = np.isfinite(found)
    left = np.full(len(found), reach)
    if seen.sum() > edge.shapes.shape[1]:
        weights = np.linalg.lstsq(edge.shapes[seen], found[seen], rcond=None)[0]
        left[seen] = found[seen] - edge.shapes[seen] @ weights
    return float(np.sqrt(np.mean(left**2)))


def _crossings(above: Values, distances: Values) -> Values:
    """Where each row of `[n, m]` turns from below zero to above, nearest to the middle; NaN where it never does."""
    before, after = above[:, :-1], above[:, 1:]
    turns = (before <= 0) & (after > 0)
    share = np.divide(-before, after - before, out=np.zeros_like(before), where=turns)
    places = np.where(turns, distances[:-1] + share * (distances[1] - distances[0]), np.inf)
    nearest = places[np.arange(len(places)), np.abs(places).argmin(axis=1)]
    return np.where(np.isfinite(nearest), nearest, np.nan)


def _between_pixels(gray: Values, x: Values, y: Values) -> Values:
    """Bilinear samples."""
    height, width = gray.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.minimum(x.astype(np.intp), width - 2), np.minimum(y.astype(np.intp), height - 2)
    right, down = x - left, y - top
    upper = gray[top, left] * (1 - right) + gray[top, left + 1] * right
    lower = gray[top + 1, left] * (1 - right) + gray[top + 1, left + 1] * right
    between: Values = upper * (1 - down) + lower * down
    return between


def _together(values: list[float]) -> float:
    """Root mean square."""
    return math.sqrt(sum(value**2 for value in values) / len(values))
