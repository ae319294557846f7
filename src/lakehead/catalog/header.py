"""The header of a landed CSV file, read leniently: whatever it is, a crawl goes on."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

_PEEK = 1 << 20
_CODECS = {"utf-8": "utf-8-sig"}


class UnreadableHeader(Exception):
    """The file begins with something that is no header; the message says with what."""


def read_header(stream: BinaryIO, dialect: Mapping[str, Any], *, compressed: bool) -> tuple[str, ...]:
    """The names in the first line that is not blank, as they are written; none for an empty file.

    Raises UnreadableHeader for bytes that are no text, a broken archive, or a first record beyond 1 MiB.
    """
    text, whole = _peek(stream, str(dialect["encoding"]), compressed=compressed)
    if "\0" in text:
        raise UnreadableHeader("it holds a NUL, so it is no text")
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=dialect["delimiter"], quotechar=dialect["quote"] or None, strict=False
    )
    lines = text.count("\n") + text.count("\r")
    try:
        for row in reader:
            if any(name.strip() for name in row):
                if not whole and reader.line_num >= lines:
                    break
                return tuple(row)
    except csv.Error as error:
        raise UnreadableHeader(f"its first line cannot be read: {error}") from error
    if whole:
        return ()
    raise UnreadableHeader("its first line does not end within 1 MiB")


def column_names(header: Iterable[str]) -> tuple[str, ...]:
    """A header as column names of a table: lower case, no blanks around, `col3` for a nameless one, each name once."""
    names: list[str] = []
    taken: set[str] = set()
    for index, written in enumerate(header):
        name = base = written.strip().lower() or f"col{index}"
        number = 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        names.append(name)
    return tuple(names)


def _peek(stream: BinaryIO, encoding: str, *, compressed: bool) -> tuple[str, bool]:
    """The beginning as text, and whether that is all there is."""
    try:
        if compressed:
            with gzip.GzipFile(fileobj=stream) as unpacked:
                data = unpacked.read(_PEEK + 1)
        else:
            data = stream.read(_PEEK + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableHeader(f"it cannot be unpacked: {error}") from error
    whole = len(data) <= _PEEK
    try:
        decoder = codecs.getincrementaldecoder(_CODECS.get(encoding, encoding))()
        return decoder.decode(data[:_PEEK], final=whole), whole
    except (UnicodeError, LookupError) as error:
        raise UnreadableHeader(f"it is no {encoding} text: {error}") from error
