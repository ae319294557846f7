"""Expands gzip archives: every member's length and CRC is checked, and a bomb is stopped before it goes off."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lakehead.errors import CorruptArchive, TooLarge
from lakehead.etl.place import Place

MAX_EXPANDED_BYTES = 16 << 30
"""What an archive may expand to, at most."""
MAX_RATIO = 250
"""How many bytes of text may come from one byte of an archive, over any `RATIO_WINDOW` bytes of text."""
RATIO_WINDOW = 64 << 20

_READ = 1 << 16
_WRITE = 1 << 20
_GZIP = 31  # zlib's word for a gzip header and the largest window


def expand(source: Path, target: Path, place: Place) -> Path:
    """Write an archive's text to `target`, which is returned. Raises CorruptArchive and TooLarge."""
    size, since = 0, (0, 0)
    with source.open("rb") as packed, target.open("wb") as file:
        try:
            for consumed, text in _expanded(packed):
                size += len(text)
                if size > MAX_EXPANDED_BYTES:
                    raise _too_large(place, size, consumed)
                if size - since[1] > RATIO_WINDOW:
                    if size - since[1] > MAX_RATIO * (consumed - since[0]):
                        raise _too_large(place, size, consumed)
                    since = (consumed, size)
                file.write(text)
        except (EOFError, zlib.error) as error:
            what = "is truncated" if isinstance(error, EOFError) else f"cannot be expanded ({error})"
            raise CorruptArchive(
                f"the gzip archive {what}", hint="Upload it again.", **place.where, received=f"{size} bytes of text"
            ) from error
    return target


def _expanded(packed: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The text of all members in pieces, each with how much of the archive had been read for it."""
    data = packed.read(_READ)
    if not data:
        raise EOFError
    while data:
        member = zlib.decompressobj(wbits=_GZIP)
        while not member.eof:
            data = data or packed.read(_READ)
            if not data:
                raise EOFError
            text = member.decompress(data, _WRITE)
            data = member.unconsumed_tail
            yield packed.tell() - len(data), text
        data = _after_padding(packed, member.unused_data)


def _after_padding(packed: BinaryIO, data: bytes) -> bytes:
    """What follows a member but zeros, which pad archives on tapes and block devices."""
    while not (data := data.lstrip(b"\0")):
        data = packed.read(_READ)
        if not data:
            break
    return data


def _too_large(place: Place, size: int, consumed: int) -> TooLarge:
    return TooLarge(
        f"the gzip archive expands to more than {size} bytes from its first {consumed}",
        hint="If this is real data, split it or land it uncompressed.",
        **place.where,
        expected=f"at most {MAX_EXPANDED_BYTES} bytes, and {MAX_RATIO} times the archive",
    )
