"""The learning rate over a run; knows no optimiser."""

from __future__ import annotations

import math

from hatcli.training.recipe import Recipe


def learning_rate(recipe: Recipe, *, step: int, done: float) -> float:
    """The rate of the step after `step` steps, when `done` of the run, 0..1, is over."""
    rising = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    if recipe.schedule == "cosine":
        return recipe.learning_rate * rising * (1 + math.cos(math.pi * done)) / 2
    passed = sum(done >= milestone for milestone in recipe.milestones)
    return recipe.learning_rate * rising * recipe.decay**passed
