"""Cutting a plain text file into pieces of whole lines, so that several can be judged at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lakehead.etl.scan import Scan
from lakehead.etl.source import CHUNK, TextFile

LEAST, MOST = 8 << 20, 48 << 20
"""How many bytes of text make a piece; only the last one may be smaller. More of them balance better, fewer cost less,
and as many as there are threads lie in memory at once."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes `start` to `end` of a file, the first of which begin line `line`."""

    number: int
    start: int
    end: int
    line: int


def cut(text: TextFile, seen: Scan, threads: int) -> list[Piece]:
    """The whole file in pieces."""
    size = max(LEAST, min(MOST, text.size // (2 * threads)))
    pieces: list[Piece] = []
    start, line = 0, 1
    for offset, lines in seen.cuts:
        if offset - start >= size and offset < text.size:
            pieces.append(Piece(len(pieces), start, offset, line))
            start, line = offset, lines + 1
    return [*pieces, Piece(len(pieces), start, text.size, line)]


def copy(piece: Piece, source: Path, target: Path) -> None:
    """Write a piece as a file of its own."""
    with source.open("rb") as reading, target.open("wb") as writing:
        position = piece.start
        while position < piece.end:
            data = os.pread(reading.fileno(), min(CHUNK, piece.end - position), position)
            if not data:
                return  # the file has shrunk: fewer records than were counted, which is noticed
            writing.write(data)
            position += len(data)
