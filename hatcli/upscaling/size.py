"""How large a picture becomes: the user's wish to passes of the network and one final size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations_with_replacement

from hatcli.errors import UsageError

LARGEST_SCALE = 16.0
MOST_PASSES = 4


@dataclass(frozen=True)
class Target:
    """What the user asked for: a factor, or one measure of the result in pixels (megapixels in 10^6 pixels).

    With nothing set, the model's own factor. Aspect is kept; with both width and height the picture fits into that box.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None
    long_edge: int | None = None
    short_edge: int | None = None
    megapixels: float | None = None

    def __post_init__(self) -> None:
        measures = {"--scale": self.scale, "--width/--height": self.width or self.height}
        measures |= {"--long-edge": self.long_edge, "--short-edge": self.short_edge, "--megapixels": self.megapixels}
        given = [name for name, value in measures.items() if value is not None]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} contradict each other", hint="give one of them")
        if self.scale is not None and not 1 < self.scale <= LARGEST_SCALE:
            raise UsageError(
                f"--scale {self.scale:g} is not above 1 and at most {LARGEST_SCALE:g}", hint="try --scale 2"
            )
        for value in (self.width, self.height, self.long_edge, self.short_edge, self.megapixels):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError("a size must be above 0", hint="try --width 3840")

    @property
    def is_size(self) -> bool:
        """Whether it names a size rather than a factor."""
        return any((self.width, self.height, self.long_edge, self.short_edge, self.megapixels))

    def factor(self, width: int, height: int) -> float | None:
        """The factor it means for a picture of this size; None: the model's own."""
        if self.width or self.height:
            factors = [(self.width, width), (self.height, height)]
            return min(wanted / have for wanted, have in factors if wanted)
        if self.long_edge:
            return self.long_edge / max(width, height)
        if self.short_edge:
            return self.short_edge / min(width, height)
        if self.megapixels:
            return math.sqrt(self.megapixels * 1e6 / (width * height))
        return self.scale


@dataclass(frozen=True)
class SizePlan:
    """The passes to run, in order, and the final size in pixels."""

    passes: tuple[int, ...]
    width: int
    height: int

    @property
    def product(self) -> int:
        """The factor the passes reach together."""
        return math.prod(self.passes)


def plan_size(width: int, height: int, target: Target, *, native: Iterable[int]) -> SizePlan:
    """Passes and final size for a picture of `width` x `height` and a model with factors `native`.

    A picture that is as large as the target already gets no pass.

    Raises:
        UsageError: the target is more than 16 times the picture, or the model does not enlarge.
    """
    natives = enlarging(native)
    wanted = target.factor(width, height)
    factor = float(natives[-1]) if wanted is None else wanted
    if factor > LARGEST_SCALE:
        raise UsageError(
            f"the target is {factor:.3g} times the picture ({width} x {height}); at most {LARGEST_SCALE:g} can be had",
            hint="ask for a smaller size",
        )
    final = [max(1, round(side * factor)) for side in (width, height)]
    for place, exact in enumerate((target.width, target.height)):
        if exact and round(exact / factor) == (width, height)[place]:
            final[place] = exact
    return SizePlan(passes=passes_for(factor, natives), width=final[0], height=final[1])


def enlarging(native: Iterable[int]) -> list[int]:
    """Those of a model's factors that enlarge, smallest first.

    Raises:
        UsageError: there are none.
    """
    natives = sorted({scale for scale in native if scale > 1})
    if not natives:
        raise UsageError("this model keeps pictures at their size", hint="`hat models` lists those that enlarge")
    return natives


def passes_for(factor: float, native: Iterable[int]) -> tuple[int, ...]:
    """The fewest passes whose product reaches `factor`, the smallest product among them, smaller factors first."""
    if factor <= 1 + 1e-9:
        return ()
    natives = enlarging(native)
    for count in range(1, MOST_PASSES + 1):
        reaching = [
            combo for combo in combinations_with_replacement(natives, count) if math.prod(combo) >= factor - 1e-9
        ]
        if reaching:
            return min(reaching, key=math.prod)
    raise UsageError(f"this model cannot reach a factor of {factor:g}", hint="ask for a smaller size")
