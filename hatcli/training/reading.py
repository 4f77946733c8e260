"""Recipes in TOML: the ones that come with the package, and the user's own; every mistake in them is named."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatcli.errors import UsageError
from hatcli.training.recipe import Recipe
from hatcli.training.recipes import packaged_names, packaged_text

ABOUT = "about"  # one line for people; the only key that is no field of a recipe


@dataclass(frozen=True)
class RecipeFile:
    """A recipe as it stands in a file: a line about it, and the fields it sets."""

    name: str
    about: str
    values: dict[str, Any]

    def recipe(self, **changes: Any) -> Recipe:
        """The recipe with these fields in place of its own; a change of None changes nothing."""
        return Recipe(**{**self.values, **{name: value for name, value in changes.items() if value is not None}})


def read_recipe(name: str) -> RecipeFile:
    """A recipe by its name, or by the path of a `.toml` file.

    Raises:
        UsageError: there is none, or it holds an unknown key or a value of the wrong type.
    """
    if not name.endswith(".toml"):
        if name not in packaged_names():
            near = nearest(name, packaged_names())
            raise UsageError(f"there is no recipe {name!r}", hint=near or "see hat train --list-recipes")
        return parse(packaged_text(name), name=name)
    try:
        text = Path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no file {name}", hint="see hat train --list-recipes") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{name} cannot be read: {reason}") from None
    return parse(text, name=Path(name).name)


def parse(text: str, *, name: str) -> RecipeFile:
    """TOML to the fields it sets, each checked for its type."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is not TOML: {error}") from None
    about = values.pop(ABOUT, "")
    if not isinstance(about, str):
        raise UsageError(f"{name}: {ABOUT} is not text")
    kinds = typing.get_type_hints(Recipe)
    for key in values:
        if key not in kinds:
            hint = nearest(key, list(kinds)) or f"known keys: {', '.join(kinds)}"
            raise UsageError(f"{name}: there is no key {key!r}", hint=hint)
        values[key] = as_type(values[key], kinds[key], what=f"{name}: {key}")
    return RecipeFile(name=name, about=about.strip(), values=values)


def nearest(word: str, known: list[str]) -> str | None:
    """`did you mean ...?`, if anything is like it."""
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {found[0]}?" if found else None


def as_type(value: Any, kind: Any, *, what: str) -> Any:
    """A TOML value as a field's type: whole numbers serve as numbers, lists become tuples.

    Raises:
        UsageError: it is of another type; `what` names it.
    """
    if isinstance(kind, types.UnionType):
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise UsageError(f"{what} is not a list")
        return tuple(as_type(part, typing.get_args(kind)[0], what=f"a value in {what}") for part in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        raise UsageError(f"{what} is {value!r}, not {names[kind]}")
    return value


def as_values(recipe: Recipe) -> dict[str, Any]:
    """What a recipe sets, as plain data: for the metadata of weights and for a training state."""
    return {name: value for name, value in dataclasses.asdict(recipe).items() if value is not None}
