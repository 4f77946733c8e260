"""What was found of a network, as files."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from hatcli.attribution.findings import Finding, stems
from hatcli.attribution.lam import Attribution, Window


def finding(values: tuple[float, ...] = ()) -> Finding:
    signed = torch.linspace(-1, 2, 3 * 6 * 8, dtype=torch.float64).reshape(3, 6, 8)
    strength = signed.sum(dim=0).abs()
    found = Attribution(Window(2, 3, 4), signed, strength / strength.max(), 0.25, 1)
    return Finding("hat", found, (strength / 9).numpy(), values, None, Image.new("RGB", (8, 6)), 2)


def test_the_numbers_are_kept_in_full_and_equal_findings_give_equal_bytes() -> None:
    content = finding().arrays()
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        assert np.array_equal(kept["signed"], finding().attribution.signed.numpy())
        assert kept["window"].tolist() == [2, 3, 4]
        assert (int(kept["scale"]), float(kept["gini"]), float(kept["diffusion_index"])) == (2, 0.25, 75.0)
    assert content == finding().arrays()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["hat", "hat-t"], ["hat", "hat-t"]),
        (["a b", "a_b"], ["a_b", "a_b-2"]),
        (["a b", "a_b", "a_b-2"], ["a_b", "a_b-2", "a_b-2-2"]),
        (["HAT", "hat"], ["HAT", "hat-2"]),
        (["../x", "\N{CJK UNIFIED IDEOGRAPH-4E2D}"], [".._x", "\N{CJK UNIFIED IDEOGRAPH-4E2D}"]),
    ],
)
def test_files_of_different_networks_never_share_a_name(names: list[str], expected: list[str]) -> None:
    assert stems(names) == expected


def test_the_mean_over_windows_is_said_with_its_interval_only_where_there_is_one() -> None:
    assert finding().mean_text == ""
    assert finding((4.0,)).mean_text == ", mean 4.00"
    assert finding((4.0, 6.0)).mean_text == ", mean 5.00 ± 12.71 (95 %)"
    assert finding((4.0, 6.0)).facts["regions"]["count"] == 2
