"""Flips and turns: eight different ones, each undone."""

from __future__ import annotations

import torch

from hatcli.upscaling.ensemble import COUNT, inverse, transform


def test_the_eight_transforms_differ_and_are_undone() -> None:
    image = torch.rand(3, 5, 7)
    results = [transform(image, number) for number in range(COUNT)]
    assert len({tuple(result.flatten().tolist()) for result in results}) == COUNT
    assert all(torch.equal(inverse(result, number), image) for number, result in enumerate(results))


def test_they_commute_with_enlarging() -> None:
    image = torch.rand(3, 2, 3)
    for number in range(COUNT):
        enlarged = transform(image, number).repeat_interleave(2, -1).repeat_interleave(2, -2)
        assert torch.equal(inverse(enlarged, number), image.repeat_interleave(2, -1).repeat_interleave(2, -2))
