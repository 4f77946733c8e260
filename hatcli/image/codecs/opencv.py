"""OpenCV as a decoder of 16-bit samples, which it keeps where Pillow narrows them; always given bytes, never a path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from types import ModuleType


def decoded(data: bytes) -> NDArray[np.uint16]:
    """The samples `[H, W, C]`, colours in the order RGB. A PNG must have passed the gate: OpenCV dies on some.

    Raises:
        ValueError: it gives no 16-bit samples.
    """
    cv2 = _module()
    array: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16:
        raise ValueError("the decoder gave no 16-bit samples")
    if array.ndim == 2:
        return array[..., None]
    order = [2, 1, 0] if array.shape[2] == 3 else [2, 1, 0, 3]
    return np.ascontiguousarray(array[..., order])


def _module() -> ModuleType:
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # its complaints would reach the terminal past every bar
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # somebody may have imported it before
    return cv2
