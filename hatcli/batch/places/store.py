"""An object store, or a part of it below a prefix: listed in pages, read by range, written whole or not at all."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from hatcli.batch.places.address import Address
from hatcli.batch.places.asking import AbsentError, IncompleteError, TakenError, ask
from hatcli.batch.places.credentials import connect
from hatcli.batch.places.objects import Stored, stamp_from
from hatcli.batch.reading import Stamp
from hatcli.errors import InputError, OutputError

HIDDEN = ".hat-manifest"  # the folder, below the prefix, of what hat knows of its results
PROBE = "probe-"  # what names begin with of objects that only try the store out
PAGE = 1000  # objects; what stores give at a time
_HEAD = 1 << 18  # bytes of a picture that hold its header, nearly always
_PART = 1 << 24  # bytes that are read or sent at a time
_WHOLE = 1 << 26  # bytes up to which a result is sent in one piece, which alone can be conditional
_SHA = "hatsha256"  # metadata of a result: of its content


class StorePlace:
    """Objects below a prefix of a bucket.

    Args:
        store: an obstore store of the whole bucket.
        base: of the bucket's URL, fit to be shown.
        prefix: without `/` at its ends.
    """

    def __init__(self, store: Any, base: str, prefix: str) -> None:
        self.base, self.prefix = base, prefix
        self.is_conditional = True  # until a probe tells otherwise
        self._store = store
        self._seen: dict[str, Stamp] = {}

    @classmethod
    def at(cls, address: Address) -> StorePlace:
        """The place of an address."""
        return cls(connect(address), address.base, address.key)

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"{self.base}/{self.prefix}"

    @property
    def address(self) -> Address:
        """See `Holder.address`."""
        return Address(self.base.partition("://")[0], self.base, self.prefix, True, self.label)

    def key_of(self, relative: str) -> str:
        """The key of what lies below the prefix."""
        return f"{self.prefix}/{relative}" if self.prefix else relative

    def relative(self, key: str) -> str:
        """A key below the prefix."""
        return key[len(self.prefix) + 1 :] if self.prefix else key

    def known(self, key: str) -> Stamp | None:
        """See `Holder.known`."""
        return self._seen.get(key)

    def pages(self, below: str = "", *, is_wanted: Callable[[str], bool] | None = None) -> Iterator[list[Stored]]:
        """The objects below the prefix, and below a folder in it; after an interruption from where it was.

        Args:
            is_wanted: by its key; the pages hold no others.

        Raises:
            InputError: they cannot be listed.
        """
        import obstore

        prefix = "/".join(part for part in (self.prefix, below) if part) or None
        last: str | None = None
        pages: Any = None

        def next_page() -> list[Any] | None:
            nonlocal pages
            try:
                if pages is None:
                    pages = iter(obstore.list(self._store, prefix, offset=last, chunk_size=PAGE))
                return next(pages, None)
            except BaseException:
                pages = None
                raise

        while True:
            page = ask(f"{self.base}/{prefix or ''}", next_page)
            if page is None:
                return
            if page:
                last = max(entry["path"] for entry in page)
                wanted = page if is_wanted is None else [entry for entry in page if is_wanted(entry["path"])]
                yield [Stored(self, str(entry["path"]), _stamp(entry)) for entry in wanted]

    def note_all(self) -> None:
        """Look at what is there now, so that `known` tells."""
        self._seen = {stored.key: stored.seen for page in self.pages() for stored in page if stored.seen is not None}

    def head(self, key: str) -> Stamp | None:
        """What is there under a key, asked now."""
        import obstore

        try:
            return _stamp(ask(f"{self.base}/{key}", lambda: obstore.head(self._store, key)))
        except AbsentError:
            return None

    def read(self, key: str, *, most: int = 1 << 62) -> tuple[bytes, Stamp]:
        """See `Holder.read`."""
        import obstore

        def question() -> tuple[bytes, Stamp]:
            answer = obstore.get(self._store, key)
            stamp = _stamp(answer.meta)
            if stamp.size > most:
                raise InputError(f"cannot read {self.base}/{key}: it is larger than {most / 1e9:.2f} GB")
            content = bytearray()
            for piece in answer.stream(min_chunk_size=_PART):
                content += memoryview(piece)
            if len(content) != stamp.size:
                raise IncompleteError
            return bytes(content), stamp

        return ask(f"{self.base}/{key}", question)

    def read_head(self, key: str) -> bytes:
        """See `Holder.read_head`."""
        import obstore

        return ask(f"{self.base}/{key}", lambda: bytes(obstore.get_range(self._store, key, start=0, length=_HEAD)))

    def attributes(self, key: str) -> Mapping[str, str]:
        """The metadata of an object."""
        import obstore

        def question() -> Mapping[str, str]:
            return {str(name): str(value) for name, value in obstore.get(self._store, key).attributes.items()}

        return ask(f"{self.base}/{key}", question)

    def put(self, key: str, content: bytes, *, create: bool = False) -> None:
        """Write a small object of hat's own.

        Raises:
            TakenError: it is there already, and was to be created.
            OutputError: it cannot be written.
        """
        import obstore

        mode: Any = "create" if create and self.is_conditional else "overwrite"
        if create and not self.is_conditional and self.head(key) is not None:
            raise TakenError(f"{self.base}/{key} is there already")
        ask(f"{self.base}/{key}", lambda: obstore.put(self._store, key, content, mode=mode), kind=OutputError)

    def put_result(self, key: str, file: IO[bytes], *, attributes: Mapping[str, str], replace: bool) -> Stamp:
        """Write a result, visible when it is whole; large ones go in parts.

        Raises:
            TakenError: something else is there, and is not to be replaced.
            OutputError: it cannot be written.
        """
        import obstore

        what = f"{self.base}/{key}"
        size, digest = _measured(file)
        told: Any = {**attributes, _SHA: digest}
        conditional = not replace and self.is_conditional and size <= _WHOLE
        if not replace and not conditional and self.head(key) is not None and not self._is_same(key, digest):
            raise TakenError(f"{what} is there already", hint="add --overwrite to replace it")

        def question() -> Any:
            file.seek(0)
            if size <= _WHOLE:
                mode: Any = "create" if conditional else "overwrite"
                return obstore.put(self._store, key, file.read(), attributes=told, mode=mode, use_multipart=False)
            return obstore.put(
                self._store, key, file, attributes=told, use_multipart=True, chunk_size=_PART, max_concurrency=2
            )

        try:
            ask(what, question, kind=OutputError)
        except TakenError:
            if not self._is_same(key, digest):  # else an answer was lost on its way, and the question asked again
                raise
        stamp = self.head(key)
        if stamp is None or stamp.size != size:
            raise OutputError(f"{what} is not there as it was written", hint="try again later")
        self._seen[key] = stamp
        return stamp

    def _is_same(self, key: str, digest: str) -> bool:
        return self.attributes(key).get(_SHA) == digest

    def delete(self, key: str) -> None:
        """Remove an object of hat's own."""
        import obstore

        ask(f"{self.base}/{key}", lambda: obstore.delete(self._store, key), kind=OutputError)

    def probe(self) -> None:
        """Find out whether this can be written to, and whether `create` refuses what is there; leaves nothing.

        Raises:
            OutputError: it cannot be written to.
        """
        key = self.key_of(f"{HIDDEN}/{PROBE}{secrets.token_hex(6)}")
        self.is_conditional = True
        try:
            self._create_twice(key)
            self.is_conditional = False
        except TakenError:
            pass
        finally:
            self.delete(key)

    def _create_twice(self, key: str) -> None:
        try:
            self.put(key, b"first", create=True)
        except (TakenError, OutputError):  # a store that knows no conditions may refuse them
            self.is_conditional = False
            self.put(key, b"first")
            return
        self.put(key, b"second", create=True)


def _stamp(entry: Any) -> Stamp:
    return stamp_from(int(entry["size"]), int(entry["last_modified"].timestamp() * 1e6) * 1000, entry["e_tag"])


def _measured(file: IO[bytes]) -> tuple[int, str]:
    """Bytes and SHA-256 of a file."""
    file.seek(0)
    size, digest = 0, hashlib.sha256()
    while block := file.read(1 << 20):
        size += len(block)
        digest.update(block)
    return size, digest.hexdigest()
