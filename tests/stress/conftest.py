"""How large the stress tests are: their full counts, or a share of them by HAT_STRESS (0.1 for a tenth)."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def share() -> float:
    return float(os.environ.get("HAT_STRESS", "1"))
