"""Pictures for comparison pages, one of them with a hostile name."""

from __future__ import annotations

import numpy as np

from hatcli.attribution.comparison import Shown

NASTY = "</script><script>document.title='broken'</script>&\"'"


def pictures(height: int = 40, width: int = 60) -> list[Shown]:
    noise = np.random.default_rng(0).integers(0, 256, (2, height, width, 3)).astype(np.uint8)
    return [Shown("one", noise[0]), Shown(NASTY, noise[1])]
