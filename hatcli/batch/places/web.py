"""Single pictures from web servers, by plain HTTP: read whole, with a bound, again where a connection breaks."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from pathlib import PurePosixPath

from hatcli.batch.places.address import Address
from hatcli.batch.places.objects import Stored, stamp_from
from hatcli.batch.reading import Stamp
from hatcli.errors import InputError

_TRIES = 4
_PATIENCE = 60.0  # seconds without a byte
_BLOCK = 1 << 20  # bytes
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


class WebPage:
    """One file of a web server; see `objects.Holder`."""

    def __init__(self, address: Address) -> None:
        self.base, self._url, self._name = address.base, address.typed, address.label
        self._address = address
        self._seen: Stamp | None = None

    @property
    def address(self) -> Address:
        """See `Holder.address`."""
        return self._address

    def as_stored(self, key: str) -> Stored:
        """The file as an input."""
        return Stored(self, key)

    def known(self, key: str) -> Stamp | None:
        """See `Holder.known`: what the server says without being asked for the content."""
        if self._seen is None:
            try:
                with urllib.request.urlopen(self._request("HEAD"), timeout=_PATIENCE) as answer:
                    self._seen = _stamp(answer, int(answer.headers.get("Content-Length") or 0))
            except (OSError, http.client.HTTPException, ValueError):  # reading says what is wrong
                return None
        return self._seen

    def read_head(self, key: str) -> bytes:
        """See `Holder.read_head`."""
        return self.read(key, most=1 << 40)[0]

    def read(self, key: str, *, most: int) -> tuple[bytes, Stamp]:
        """See `Holder.read`."""
        why = ""
        for turn in range(_TRIES):
            if turn:
                time.sleep(0.3 * 3**turn)
            try:
                return self._read_once(most)
            except urllib.error.HTTPError as error:
                why = f"its server says {error.code}"
                error.close()
                if error.code not in _AGAIN:
                    break
            except (OSError, http.client.HTTPException):
                why = "its server does not answer, or not to the end"
            except ValueError:
                why = "it is no URL"
                break
        raise InputError(f"cannot read {self._name}: {why}", hint="check it in a browser, or try again later")

    def _read_once(self, most: int) -> tuple[bytes, Stamp]:
        with urllib.request.urlopen(self._request("GET"), timeout=_PATIENCE) as answer:
            content = bytearray()
            while block := answer.read(_BLOCK):
                content += block
                if len(content) > most:
                    raise InputError(f"cannot read {self._name}: it is larger than {most / 1e9:.2f} GB")
            told = answer.headers.get("Content-Length")
            if told is not None and int(told) != len(content):
                raise OSError("incomplete")
            self._seen = _stamp(answer, len(content))
        return bytes(content), self._seen

    def _request(self, method: str) -> urllib.request.Request:
        return urllib.request.Request(self._url, method=method, headers={"User-Agent": "hat"})


def name_of(address: Address) -> PurePosixPath:
    """What a picture from a web server is called."""
    return PurePosixPath(PurePosixPath(address.key).name or "picture")


def _stamp(answer: http.client.HTTPResponse, size: int) -> Stamp:
    tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    return stamp_from(size, 0, tag or f"size {size}")
