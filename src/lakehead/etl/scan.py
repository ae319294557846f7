"""One quick look at all bytes of a text file: what is in it, and whether the fast reader may have it."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from lakehead.contract import Dialect
from lakehead.contract.model import WHITESPACE
from lakehead.errors import BinaryContent, TooLarge
from lakehead.etl.place import Place
from lakehead.etl.source import CHUNK, TextFile, position, undecodable

MAX_RECORD = 1 << 20
"""The longest record that is loaded, in characters; a longer one is quarantined."""
MAX_LINE = 8 << 20
"""The longest line that is read at all, in bytes; a file with a longer one is refused."""
CUT = 4 << 20


@dataclass(frozen=True, slots=True)
class Scan:
    """What is in a file. `lines` counts LF, and a last line without one; `delimiters` counts everywhere.

    `plain` says that every line ends alike, with LF or CRLF, and that there is no quote character, no line longer
    than a record may be and no second line like the first: then each line is a record, and a field is what is between
    delimiters. `lone_cr` says that there is a CR without an LF behind it. `blanks` are the characters of WHITESPACE
    that occur. `cuts` are places behind an LF, some `CUT` bytes apart: offset, and the number of lines before.
    """

    lines: int
    delimiters: int
    plain: bool
    lone_cr: bool
    blanks: str
    cuts: tuple[tuple[int, int], ...]

    def rectangular(self, width: int) -> bool:
        """Whether the fast reader may have the file: as many delimiters as lines of `width` fields need.

        A blank line has none, so it is noticed too; one column alone would hide it.
        """
        return self.plain and width > 1 and self.delimiters == self.lines * (width - 1)


def scan(text: TextFile, dialect: Dialect, place: Place) -> Scan:
    """Look at every byte, in constant memory. Raises UndecodableText, BinaryContent and TooLarge."""
    look = _Look(text, dialect, place)
    with text.path.open("rb") as file:
        file.seek(text.bom)
        while chunk := file.read(CHUNK):
            if not chunk.endswith(b"\n"):
                chunk += file.readline(MAX_RECORD)
            look.at(chunk)
    return look.result()


class _Look:
    def __init__(self, text: TextFile, dialect: Dialect, place: Place) -> None:
        self.text, self.place, self.offset = text, place, text.bom
        self.delimiter, self.quote = dialect.delimiter.encode(), dialect.quote.encode()
        self.first: bytes | None = None
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.feeds = self.returns = self.pairs = self.delimiters = self.run = 0
        self.quoted = self.repeated = self.overlong = self.ended = False
        self.missing = {blank: blank.encode() for blank in WHITESPACE}
        self.cuts: list[tuple[int, int]] = []
        self.next_cut = CUT

    def at(self, chunk: bytes) -> None:
        self._text(chunk)
        self._length(chunk)
        self._repetition(chunk)
        self.quoted = self.quoted or chunk.find(self.quote) >= 0
        self.feeds += chunk.count(b"\n")
        self.delimiters += chunk.count(self.delimiter)
        if b"\r" in chunk:
            self.returns += chunk.count(b"\r")
            self.pairs += chunk.count(b"\r\n")
        self._blanks(chunk)
        self.ended = chunk.endswith(b"\n")
        self.offset += len(chunk)
        if self.ended and self.offset >= self.next_cut:
            self.cuts.append((self.offset, self.feeds))
            self.next_cut = self.offset + CUT

    def result(self) -> Scan:
        self._decode(b"", final=True)
        uniform = self.returns == 0 or self.returns == self.pairs == self.feeds
        plain = uniform and not (self.quoted or self.repeated or self.overlong)
        unended = self.offset > self.text.bom and not self.ended
        blanks = "".join(blank for blank in WHITESPACE if blank not in self.missing)
        lone_cr = self.returns != self.pairs
        return Scan(self.feeds + unended, self.delimiters, plain, lone_cr, blanks, tuple(self.cuts))

    def _text(self, chunk: bytes) -> None:
        zero = chunk.find(b"\0")
        if zero >= 0:
            raise self._binary(chunk, zero)
        if not chunk.isascii() or self.decoder.getstate()[0]:
            self._decode(chunk)

    def _decode(self, chunk: bytes, *, final: bool = False) -> None:
        held = len(self.decoder.getstate()[0])
        try:
            self.decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            end = self.offset - held + error.start
            raise undecodable(self.text.path, "utf-8", self.text.bom, end, self.place) from error

    def _binary(self, chunk: bytes, zero: int) -> BinaryContent:
        line, column = position(self.text.path, "utf-8", self.text.bom, self.offset + zero)
        wide = self.offset == self.text.bom and chunk[:64].count(0) >= min(len(chunk), 64) // 3
        return BinaryContent(
            f"line {line} holds a NUL byte, as no CSV text does",
            hint="It looks like UTF-16 without a byte order mark; write it with one, or as UTF-8."
            if wide
            else "Land text files only; if the file was damaged on its way, upload it again.",
            **self.place.where,
            line=line,
            column=column,
        )

    def _length(self, chunk: bytes) -> None:
        """`run` is the length of the line that goes on into the next chunk."""
        last = max(chunk.rfind(b"\n", 0, -1), chunk.rfind(b"\r", 0, -1))
        first = -1
        if last >= 0:
            first = min(found for found in (chunk.find(b"\n"), chunk.find(b"\r")) if found >= 0)
        longest = max(self.run + (len(chunk) if first < 0 else first), len(chunk) - last - 1)
        self.run = 0 if chunk[-1:] in (b"\n", b"\r") else len(chunk) - last - 1 + (self.run if last < 0 else 0)
        self.overlong = self.overlong or longest > MAX_RECORD
        if longest > MAX_LINE:
            line, _ = position(self.text.path, "utf-8", self.text.bom, self.offset + max(last, 0))
            raise TooLarge(
                f"a line near line {line} is longer than {MAX_LINE} bytes",
                hint="Does the file have line ends at all? Write one record a line.",
                **self.place.where,
                line=line,
                expected=f"at most {MAX_LINE} bytes a line",
            )

    def _blanks(self, chunk: bytes) -> None:
        plain = chunk.isascii()  # then a search for two bytes, which is slow, finds nothing
        for blank, written in tuple(self.missing.items()):
            if (len(written) == 1 or not plain) and written in chunk:
                del self.missing[blank]

    def _repetition(self, chunk: bytes) -> None:
        """The first line again, anywhere: perhaps a header in mid-file. The careful reader decides."""
        start = 0
        if self.first is None:
            self.first = chunk.partition(b"\n")[0].rstrip(b"\r")
            start = len(self.first)
        self.repeated = self.repeated or (self.first != b"" and chunk.find(self.first, start) >= 0)
