"""How much memory a run of the network needs, and the largest tile that a budget allows."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hatcli.engine import Network
from hatcli.errors import HatError, MemoryLimitError

SMALLEST_TILE = 32  # pixels a side; below this the overlap is all there is
LARGEST_TILE = 1 << 15  # that is looked for; no machine has room for more
LARGEST_WHOLE = 5 << 19  # pixels a CPU runs whole: 1920 x 1080 is; beyond, all it buys is gigabytes
EASY_BYTES = 750_000_000  # what tiles of a larger picture may take there
SHARE_OF_FREE = 0.8  # of the free memory that a run may plan with
OUT_OF_MEMORY = (  # in lower case; found in the texts of
    "out of memory",  # CUDA, MPS
    "not enough memory",  # PyTorch's allocator on Windows
    "can't allocate memory",  # the same elsewhere
    "could not allocate",
    "_alloc_failed",  # cuBLAS, cuDNN, cuSOLVER, hipBLAS: their handles and workspaces
    "unable to find an engine",  # cuDNN, whose engines all wanted more workspace than there was
    "bad_alloc",  # C++
    "bad allocation",  # C++ of Microsoft
)


def run_bytes(network: Network, height: int, width: int, *, ensemble: bool = False) -> int:
    """Bytes one run on `height` x `width` pixels takes beyond what is loaded already, its result included.

    A self-ensemble holds the turned picture and the sum so far beside it; and at its end the sum, a result, and that
    result turned back.
    """
    once = network.peak_bytes(height, width)
    if not ensemble:
        return once
    image, result = 12 * height * width, 12 * height * width * network.scale**2
    return image + max(once + result, 3 * result)


def largest_tile(bytes_for: Callable[[int, int], int], budget: int, *, row_bytes: int = 0) -> int:
    """The largest square tile, a multiple of 16, whose run fits the budget; never below `SMALLEST_TILE`.

    Args:
        bytes_for: height and width to what a run takes.
        row_bytes: what a row of tiles takes beside, for each input row of it.
    """
    side = SMALLEST_TILE
    while side < LARGEST_TILE:
        more = side + 16
        if bytes_for(more, more) + row_bytes * more > budget:
            break
        side = more
    return side


def refuse_too_little(granted: int, needed: int) -> None:
    """A limit the user has set is kept, or refused.

    Args:
        granted: bytes.
        needed: bytes that the smallest tile takes.

    Raises:
        MemoryLimitError: it is less than that.
    """
    if granted < needed:
        raise MemoryLimitError(
            f"--max-memory is less than one tile of {SMALLEST_TILE} pixels takes",
            hint=f"grant at least {-(-needed // 10**6)}MB",
        )


def parse_bytes(text: str) -> int:
    """`4GB`, `800 MB`, `2GiB` or a bare number of bytes.

    Raises:
        HatError: it is none of these.
    """
    from hatcli.errors import UsageError

    units = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
    stripped = text.strip().upper()
    number = stripped.rstrip("BKMGI ")
    unit = stripped[len(number) :].strip()
    try:
        value = float(number) * units[unit if unit in units else f"{unit}B"]
    except (ValueError, KeyError):
        raise UsageError(f"{text!r} is not an amount of memory", hint="write it as 4GB or 800MB") from None
    if not 0 < value < float("inf"):
        raise UsageError(f"{text!r} is not an amount of memory", hint="write it as 4GB or 800MB")
    return int(value)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception is one of the ways in which PyTorch, its libraries or Python say that memory ran out."""
    if isinstance(error, HatError):
        return False
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in OUT_OF_MEMORY)
    )
