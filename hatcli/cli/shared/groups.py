"""Groups of options as dataclasses: what a command takes as one value, people type as options of their own.

    @dataclass(frozen=True)
    class Talk:
        quiet: options.Quiet = False

    @command
    @grouped
    def bench(sizes: Sides = "64", *, talk: Talk) -> None: ...

Typer sees `bench(sizes, quiet)`; the function gets `Talk(quiet)`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def grouped(function: Callable[..., None]) -> Callable[..., None]:
    """The function with every parameter that is a dataclass replaced, in its place, by the dataclass's fields.

    Raises:
        TypeError: two of the parameters that result have one name.
    """
    signature = inspect.signature(function, eval_str=True)
    groups: dict[str, type] = {}
    flat: dict[str, inspect.Parameter] = {}
    for parameter in signature.parameters.values():
        if dataclasses.is_dataclass(parameter.annotation) and isinstance(parameter.annotation, type):
            groups[parameter.name] = parameter.annotation
            found = fields_as_parameters(parameter.annotation)
        else:
            found = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        for one in found:
            if one.name in flat:
                raise TypeError(f"{function.__name__} has two parameters called {one.name}")
            flat[one.name] = one

    @functools.wraps(function)
    def called(**values: Any) -> None:
        for name, group in groups.items():
            fields = [field.name for field in dataclasses.fields(group)]
            values[name] = group(**{field: values.pop(field) for field in fields if field in values})
        function(**values)

    called.__dict__["__signature__"] = signature.replace(parameters=list(flat.values()))
    called.__annotations__ = {name: one.annotation for name, one in flat.items()} | {"return": None}
    return called


def fields_as_parameters(group: type) -> list[inspect.Parameter]:
    """One keyword a field, with its default."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
    ]
