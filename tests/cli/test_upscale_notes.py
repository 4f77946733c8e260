"""What `hat upscale` says about a result that is not what one might think."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from support.commands import hat


def test_a_result_that_is_smaller_than_the_picture_is_said_to_be(tmp_path: Path, weights: Path) -> None:
    Image.new("RGB", (69, 46), "teal").save(tmp_path / "a.png")
    result = hat(tmp_path / "a.png", "-n", weights, "--width", "40", "--json")
    assert result.exit_code == 0
    done = [json.loads(line) for line in result.stdout.splitlines() if '"done"' in line]
    assert done[0]["notes"] == ["made smaller: 69 x 46 to 40 x 27, without the network"]
    assert "note: made smaller" in result.stderr


def test_a_deep_gradient_keeps_its_levels_when_bf16_is_asked_for(tmp_path: Path, weights: Path) -> None:
    ramp = np.linspace(20000, 26000, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    result = hat(tmp_path / "deep.png", "-n", weights, "--precision", "bf16", "-o", tmp_path / "large.png")
    assert result.exit_code == 0
    assert "computed in fp32" in result.stderr
    with Image.open(tmp_path / "large.png") as image:
        assert len(np.unique(np.asarray(image))) > 3000
