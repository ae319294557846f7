"""From the bytes of a landed file to a local UTF-8 text file: gzip and encodings are behind it.

A `.gz` is expanded by zlib, which checks length and CRC of every member (DuckDB's reader does not). A byte order mark
says what a file is and wins over the contract's encoding; a UTF-16 file needs one. An encoding of one byte a letter
takes any bytes, so a file that is something else in truth is refused by the signs of it.
"""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

from lakehead.contract import Dialect
from lakehead.errors import BinaryContent, UndecodableText
from lakehead.etl.archive import expand
from lakehead.etl.place import Place

CHUNK = 1 << 20

UTF8_BOM = codecs.BOM_UTF8
_UTF16_BOMS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_ONE_BYTE = ("latin-1", "cp1252")
_HIGH = re.compile(rb"[\x80-\xff]")
_CONTROLS = re.compile(rb"[\x80-\x9f]")
"""Control characters in latin-1, which no text has; letters and the euro sign in cp1252."""
_MAGIC = {
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "Save it as CSV."),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save it as CSV."),
    b"PAR1": ("a Parquet file", "Land CSV files in this folder."),
    b"%PDF": ("a PDF document", "Land CSV files in this folder."),
    b"\x1f\x8b": ("a gzip file", "Give it a name that ends with .csv.gz."),
    b"BZh": ("a bzip2 file", "Compress it with gzip, as .csv.gz."),
    b"\x28\xb5\x2f\xfd": ("a zstd file", "Compress it with gzip, as .csv.gz."),
    b"\xfd7zXZ": ("an xz file", "Compress it with gzip, as .csv.gz."),
}


@dataclass(frozen=True, slots=True)
class TextFile:
    """A local file whose bytes are meant to be UTF-8 (the scan checks). `bom` is the length of its byte order mark."""

    path: Path
    size: int
    bom: int = 0
    warnings: tuple[str, ...] = field(default=())

    def open_text(self) -> io.TextIOWrapper:
        """The text. Lines end at LF, CRLF or a lone CR, and keep their ends."""
        return self.path.open(encoding="utf-8-sig" if self.bom else "utf-8", newline="")


def open_source(source: Path, dialect: Dialect, place: Place, work: Path) -> TextFile:
    """Make a landed file readable as UTF-8; temporary files go to `work`.

    Raises CorruptArchive, TooLarge, BinaryContent and UndecodableText.
    """
    if place.origin.key.lower().endswith(".gz"):
        source = expand(source, work / "expanded.csv", place)
    with source.open("rb") as file:
        head = file.read(8)
    if head.startswith(UTF8_BOM):
        warnings = () if dialect.encoding == "utf-8" else (_other_encoding("UTF-8", dialect),)
        return TextFile(source, source.stat().st_size, len(UTF8_BOM), warnings)
    _refuse_magic(head, place)
    if head[:2] in _UTF16_BOMS and dialect.encoding in ("utf-8", "utf-16"):
        warnings = () if dialect.encoding == "utf-16" else (_other_encoding("UTF-16", dialect),)
        return _transcode(source, _UTF16_BOMS[head[:2]], 2, work, place, warnings)
    if dialect.encoding == "utf-16" and head:
        raise UndecodableText(
            "the contract says UTF-16, and the file does not begin with a byte order mark",
            hint="Set csvEncoding to what the file is, or write the file with a byte order mark.",
            **place.where,
            line=1,
            column=1,
            received=head[:2].hex(" "),
            expected="ff fe or fe ff",
        )
    if dialect.encoding != "utf-8":
        if dialect.encoding in _ONE_BYTE:
            _refuse_utf8(source, dialect, place)
        return _transcode(source, dialect.encoding, 0, work, place, ())
    return TextFile(source, source.stat().st_size)


def position(path: Path, encoding: str, start: int, end: int) -> tuple[int, int]:
    """Line and character (from 1) of the byte at `end` in a file whose text begins at byte `start`."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)("replace"), translate=True)
    line, column, left = 1, 1, end - start
    with path.open("rb") as file:
        file.seek(start)
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            left -= len(chunk)
            text = decoder.decode(chunk)
            line += text.count("\n")
            column = len(text) - text.rfind("\n") if "\n" in text else column + len(text)
    return line, column


def undecodable(path: Path, encoding: str, start: int, end: int, place: Place) -> UndecodableText:
    """The error for a byte that is no text in `encoding`."""
    line, column = position(path, encoding, start, end)
    with path.open("rb") as file:
        file.seek(end)
        received = file.read(4).hex(" ")
    return UndecodableText(
        f"line {line} is no {encoding} text at character {column}",
        hint="Set csvEncoding in the contract to what the file is (latin-1, cp1252, utf-16), or mend the file.",
        **place.where,
        line=line,
        column=column,
        expected=encoding,
        received=f"bytes {received}",
    )


def _other_encoding(found: str, dialect: Dialect) -> str:
    return f"the file's byte order mark says {found} and the contract {dialect.encoding}; read as {found}"


def _refuse_utf8(source: Path, dialect: Dialect, place: Place) -> None:
    """Refuse a file that is UTF-8, and not only ASCII: read by one byte a letter it would be letter salad."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    done, first = 0, -1
    with source.open("rb") as file:
        try:
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
                high = _HIGH.search(chunk) if first < 0 else None
                first = done + high.start() if high else first
                done += len(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return
    if first >= 0:
        line, column = position(source, "utf-8", 0, first)
        raise UndecodableText(
            f"the contract says {dialect.encoding}, and the file is UTF-8: see line {line}, character {column}",
            hint="Set csvEncoding to utf-8, or write the file as the contract says.",
            **place.where,
            line=line,
            column=column,
            expected=dialect.encoding,
            received="utf-8",
        )


def _refuse_magic(head: bytes, place: Place) -> None:
    for magic, (what, hint) in _MAGIC.items():
        if head.startswith(magic):
            raise BinaryContent(f"the file is {what}, no CSV text", hint=hint, **place.where)


def _transcode(
    source: Path, encoding: str, start: int, work: Path, place: Place, warnings: tuple[str, ...]
) -> TextFile:
    target, done = work / "utf-8.csv", start
    decoder = codecs.getincrementaldecoder(encoding)()
    with source.open("rb") as file, target.open("wb") as out:
        file.seek(start)
        more = True
        while more:
            held = len(decoder.getstate()[0])
            chunk = file.read(CHUNK)
            more = bool(chunk)
            wrong = _CONTROLS.search(chunk) if encoding == "latin-1" else None
            if wrong:
                raise undecodable(source, encoding, start, done + wrong.start(), place)
            try:
                out.write(decoder.decode(chunk, not more).encode())
            except UnicodeDecodeError as error:
                raise undecodable(source, encoding, start, done - held + error.start, place) from error
            done += len(chunk)
        return TextFile(target, out.tell(), 0, warnings)
