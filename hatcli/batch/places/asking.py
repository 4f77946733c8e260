"""Questions to a store: asked again with growing pauses, and answered by errors that hold no secret."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from hatcli.errors import HatError, InputError, OutputError

Answer = TypeVar("Answer")
TRIES = 5
_FIRST_PAUSE = 0.2  # seconds; each further one is three times as long
_FINAL = (
    "NotFound",
    "AlreadyExists",
    "Precondition",
    "PermissionDenied",
    "Unauthenticated",
    "InvalidPath",
    "NotSupported",
)


class AbsentError(InputError):
    """There is no such object."""


class TakenError(OutputError):
    """There is such an object already."""


def ask(what: str, question: Callable[[], Answer], *, kind: type[HatError] = InputError) -> Answer:
    """The answer to a question, asked again where that may help.

    Args:
        what: the object, fit to be shown.
        kind: of the error, where no other fits better.

    Raises:
        AbsentError: there is no such object.
        TakenError: there is one, and was not to be.
        HatError: it cannot be answered.
    """
    import obstore.exceptions as refusals

    for turn in range(TRIES):
        try:
            return question()
        except HatError:
            raise
        except (refusals.BaseError, OSError, IncompleteError) as error:
            name = type(error).__name__
            if name.startswith(_FINAL) or _is_refusal(str(error)) or turn == TRIES - 1:
                raise told(what, error, kind) from None  # what a library says may hold signed URLs
        time.sleep(_FIRST_PAUSE * 3**turn * random.uniform(0.7, 1.3))
    raise AssertionError("the last turn answers or raises")


class IncompleteError(Exception):
    """Fewer bytes came than were announced."""


def told(what: str, error: Exception, kind: type[HatError]) -> HatError:
    """What a refusal means, without a word of the library's own that could hold a secret."""
    name = type(error).__name__
    if name.startswith("NotFound") or isinstance(error, FileNotFoundError):
        return AbsentError(f"there is no {what}", hint="check the spelling, and whether it is a folder")
    if name.startswith(("AlreadyExists", "Precondition")):
        return TakenError(f"{what} is there already", hint="add --overwrite to replace it")
    status, code = _reason(str(error))
    if code == "NoSuchBucket":
        return AbsentError(f"there is no bucket for {what}", hint="check its spelling, or make it first")
    if name.startswith(("PermissionDenied", "Unauthenticated")) or status in ("401", "403"):
        return kind(f"no permission for {what}", hint="set the credentials of its cloud, or ask whoever owns it")
    if name.startswith("InvalidPath"):
        return kind(f"{what} has a name that cannot be used", hint="give it another one")
    if isinstance(error, IncompleteError):
        return kind(f"{what} came incomplete {TRIES} times", hint="try again later")
    words = " ".join(word for word in (status, code) if word)
    reason = f"its store says {words}" if words else "its store does not answer"
    return kind(f"{what}: {reason}", hint="try again later; what is finished stays")


def _is_refusal(text: str) -> bool:
    """Whether a store has said that it will never do this."""
    status, _ = _reason(text)
    return status.startswith("4") and status not in ("408", "409", "425", "429")


def _reason(text: str) -> tuple[str, str]:
    """The status and code that a store answered with; empty where they cannot be told."""
    status = re.search(r"\b([45][0-9]{2})\b (?=[A-Z])|status:? ([45][0-9]{2})\b", text)
    code = re.search(r"<Code>([A-Za-z]{1,40})</Code>", text)
    return (status[1] or status[2]) if status else "", code[1] if code else ""
