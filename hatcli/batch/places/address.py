"""URLs of object stores and web servers, taken apart; what may be shown of them holds no password and no signature."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from hatcli.errors import UsageError

STORES = ("s3", "gs", "az")
WEB = ("http", "https")


@dataclass(frozen=True)
class Address:
    """A URL.

    Attributes:
        base: scheme and bucket, or scheme and server, fit to be shown.
        key: below it, without `/` at the beginning or the end.
        is_folder: whether it ended in `/`, or named the whole bucket.
        typed: all of it, secrets too.
    """

    scheme: str
    base: str
    key: str
    is_folder: bool
    typed: str = field(repr=False)

    @property
    def label(self) -> str:
        """What may be shown."""
        return f"{self.base}/{self.key}" + ("/" if self.is_folder and self.key else "")


def is_url(text: str) -> bool:
    """Whether something typed is a URL that pictures can be read from."""
    return re.match(rf"({'|'.join((*STORES, *WEB))})://", text, flags=re.IGNORECASE) is not None


def parse(text: str) -> Address:
    """Take a URL apart.

    Raises:
        UsageError: it names no bucket or server.
    """
    scheme = text.partition("://")[0].lower()
    if scheme in WEB:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
        path, place = unquote(parts.path), host
    else:
        place, _, path = text.partition("://")[2].partition("/")
        place = place.rpartition("@")[2]
    if not place:
        raise UsageError(f"{scheme}:// names no place", hint=f"write it as {scheme}://bucket/folder/")
    return Address(
        scheme, f"{scheme}://{place}", path.strip("/"), is_folder=path in ("", "/") or path.endswith("/"), typed=text
    )
