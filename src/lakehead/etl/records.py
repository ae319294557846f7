"""The careful reader: which text is one record, and a clean copy of the good ones.

Python's csv module in strict mode decides, and a quote belongs around a field or, doubled, within one that has them: a
single one elsewhere is the sign of a broken record. A line that is blank (nothing or white space) is no record. A
malformed record that spans several lines is cut back: only its first line is bad, and reading goes on at the next
line, so that an open quote never swallows good rows.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO, TypeAlias

from lakehead.contract import Dialect
from lakehead.etl.scan import MAX_LINE, MAX_RECORD
from lakehead.etl.source import TextFile

TOO_FEW = "record: too few fields"
TOO_MANY = "record: too many fields"
AFTER_QUOTE = "record: text after a closing quote"
OPEN_QUOTE = "record: a quote is not closed"
STRAY_QUOTE = "record: a quote within a field that does not begin with one"
WHOLE_RECORDS = "record: a quoted field that holds whole records"
HEADER_AGAIN = "record: the header again"
TOO_LONG = f"record: longer than {MAX_RECORD} characters"

_READ = 1 << 16

Encode: TypeAlias = Callable[[int, tuple[str, ...]], str]
"""How the clean copy writes a record that Python had to parse, from its line and its fields; ends with LF."""


@dataclass(frozen=True, slots=True)
class Record:
    """A parsed record. `text` is exact, without the last line end; `end` is the line after it; `fields` or `reason`."""

    line: int
    end: int
    text: str
    fields: tuple[str, ...] | None
    reason: str = ""


@dataclass(slots=True)
class Normalised:
    """What the careful reader made of a file.

    `clean` holds the good records, LF, with the line number as first field and no header: in the file's own delimiter
    where a line is a record, else as `encode` wrote them (strict CSV in the file's own dialect, unless told
    otherwise). `bad` holds line, reason and text of the others, comma and double quote. `spans` maps the first line
    of each good record of several lines to the number of its lines. `first_bad` is each reason's first line.
    """

    clean: Path
    bad: Path
    good: int = 0
    blank: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first_bad: dict[str, int] = field(default_factory=dict)
    spans: dict[int, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """How many records the file holds, good and bad."""
        return self.good + self.reasons.total()


class RecordReader:
    """Reads lines, and parses records where a line is not one. `line` is the number of the line read last."""

    def __init__(self, lines: TextIO, dialect: Dialect) -> None:
        self.lines, self.dialect = lines, dialect
        self.back: deque[str] = deque()
        self.line = 0
        self.quoting = None if dialect.stray_quotes else _quoting(dialect)
        # A limit of the whole process, and far below what a line may hold.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))

    def fill(self) -> bool:
        """Have a line in `back`. False at the end of the file."""
        if not self.back:
            self.back.extend(self.lines.readlines(_READ))
        return bool(self.back)

    def next_line(self) -> str:
        """The next line with its end, `""` at the end of the file."""
        if not self.fill():
            return ""
        self.line += 1
        return self.back.popleft()

    def next_record(self) -> Record | None:
        """The next record that is not blank, None at the end of the file."""
        while text := self.next_line():
            if not text.isspace():
                return self.parse(text)
        return None

    def parse(self, first: str, width: int | None = None) -> Record:
        """The record that begins with the line just read.

        A bad one is its first line only, unless its lines are held together by a quoted field that swallowed records.
        """
        start, used = self.line, [first]
        fields, reason = self._fields(first, used)
        if fields is not None and width is not None and len(fields) != width:
            reason = TOO_FEW if len(fields) < width else TOO_MANY
        if not reason and fields is not None:
            text = _bare("".join(used))
            if width is not None and len(used) > 1 and self._swallowed(used, width):
                return Record(start, self.line + 1, text, None, WHOLE_RECORDS)
            if self.quoting is None or self.dialect.quote not in text or self.quoting.fullmatch(text):
                return Record(start, self.line + 1, text, tuple(fields))
            reason = STRAY_QUOTE
        if len(used) > 1:
            reason = OPEN_QUOTE
        self.back.extendleft(reversed(used[1:]))
        self.line = start
        return Record(start, start + 1, _bare(first), None, reason)

    def _swallowed(self, lines: list[str], width: int) -> bool:
        """Whether every line looks like a record: two stray quotes make one of many, and nothing else would tell."""
        delimiter = self.dialect.delimiter
        if any(line.count(delimiter) != width - 1 for line in lines if not line.isspace()) or width == 1:
            return False
        shapes = {self._shape(line.partition(delimiter)[0]) for line in lines if not line.isspace()}
        return len(shapes) == 1 and shapes != {""}

    def _shape(self, cell: str) -> str:
        """What a cell looks like: `a0` for C001."""
        digits = re.sub(r"[0-9]+", "0", cell.strip().strip(self.dialect.quote))
        return re.sub(r"[^\W\d_]+", "a", digits)

    def _fields(self, first: str, used: list[str]) -> tuple[list[str] | None, str]:
        if len(first) > MAX_RECORD and len(_bare(first)) > MAX_RECORD:
            return None, TOO_LONG
        dialect = self.dialect
        reader = csv.reader(self._feed(first, used), delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True)
        try:
            return next(reader), ""
        except csv.Error as error:
            # The only two complaints of a strict reader about lines without NUL and within the field limit.
            return None, OPEN_QUOTE if "unexpected end" in str(error) else AFTER_QUOTE

    def _feed(self, first: str, used: list[str]) -> Iterator[str]:
        size = len(first)
        yield first
        while (line := self.next_line()) and (size := size + len(line)) <= MAX_RECORD:
            used.append(line)
            yield line
        if line:
            self.back.appendleft(line)
            self.line -= 1


def normalise(
    text: TextFile, dialect: Dialect, header: Record | None, width: int, work: Path, encode: Encode | None = None
) -> Normalised:
    """Part good records from bad ones, in constant memory.

    `header` is what was read as such and is skipped, with the lines before it; later records equal to it are bad.
    """
    result = Normalised(work / "clean.csv", work / "bad.csv")
    with (
        text.open_text() as lines,
        result.clean.open("w", encoding="utf-8", newline="") as clean,
        result.bad.open("w", encoding="utf-8", newline="") as bad,
    ):
        reader = RecordReader(lines, dialect)
        while header is not None and reader.line < header.end - 1 and reader.next_line():
            pass
        fields = header.fields if header else None
        _Normaliser(reader, fields, width, result, clean, bad, encode or _as_csv(dialect)).run()
    return result


class _Normaliser:
    def __init__(
        self,
        reader: RecordReader,
        header: tuple[str, ...] | None,
        width: int,
        result: Normalised,
        clean: TextIO,
        bad: TextIO,
        encode: Encode,
    ) -> None:
        self.reader, self.header, self.width, self.result, self.clean = reader, header, width, result, clean
        self.out: list[str] = []
        self.encode = encode
        self.bad = csv.writer(bad, quoting=csv.QUOTE_ALL, lineterminator="\n")

    def run(self) -> None:
        """The loop that every line of a file runs through; one without a quote is not parsed."""
        reader, dialect, out = self.reader, self.reader.dialect, self.out
        quote, delimiter, commas = dialect.quote, dialect.delimiter, self.width - 1
        header = delimiter.join(self.header) if self.header else ""
        back = reader.back
        while reader.fill():
            while back:
                line = back.popleft()
                reader.line += 1
                if quote not in line and line.count(delimiter) == commas and len(line) < MAX_RECORD:
                    bare = line.rstrip("\r\n")
                    if bare != header and (commas or not bare.isspace()) and bare:
                        out.append(f"{reader.line}{delimiter}{bare}\n")
                        continue
                self._slowly(line)
            self._flush()

    def _slowly(self, line: str) -> None:
        if line.isspace() and (self.width == 1 or line.count(self.reader.dialect.delimiter) != self.width - 1):
            self.result.blank += 1
            return
        record = self.reader.parse(line, self.width)
        if record.fields is None:
            self._quarantine(record, record.reason)
        elif record.fields == self.header:
            self._quarantine(record, HEADER_AGAIN)
        else:
            self._pass(record)

    def _pass(self, record: Record) -> None:
        assert record.fields is not None
        self.out.append(self.encode(record.line, record.fields))
        if record.end - record.line > 1:
            self.result.spans[record.line] = record.end - record.line

    def _quarantine(self, record: Record, reason: str) -> None:
        self.bad.writerow((record.line, reason, record.text))
        self.result.reasons[reason] += 1
        self.result.first_bad.setdefault(reason, record.line)

    def _flush(self) -> None:
        """Each text in `out` is one record."""
        self.clean.writelines(self.out)
        self.result.good += len(self.out)
        self.out.clear()


def _quoting(dialect: Dialect) -> re.Pattern[str]:
    """Matches the text of a record whose every quote is where it belongs."""
    quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
    field = f"(?:{quote}[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+{quote}|[^{quote}{delimiter}]*+)"
    return re.compile(f"{field}(?:{delimiter}{field})*+")


def _as_csv(dialect: Dialect) -> Encode:
    written: list[str] = []
    writer = csv.writer(
        SimpleNamespace(write=written.append),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        quoting=csv.QUOTE_ALL,
        lineterminator="\n",
    )

    def encode(line: int, fields: tuple[str, ...]) -> str:
        writer.writerow((line, *fields))
        return written.pop()

    return encode


def _bare(text: str) -> str:
    """A record's text without its last line end."""
    if text.endswith("\r\n"):
        return text[:-2]
    return text[:-1] if text.endswith(("\n", "\r")) else text


def texts_of(
    text: TextFile, lines: Iterator[int], spans: dict[int, int], *, lone_cr: bool
) -> Iterator[tuple[int, str]]:
    """The exact texts of the records that begin at these lines, given in ascending order.

    `lone_cr` says whether lines may end at a CR alone; without that, lines need not be decoded to be skipped.
    """
    with text.path.open("rb") as raw, text.open_text() as decoded:
        raw.seek(text.bom)
        file: Iterator[bytes | str] = iter(decoded) if lone_cr else iter(raw)
        after = 0
        for line in lines:
            skip, count = line - after - 1, spans.get(line, 1)
            parts = (part if isinstance(part, str) else part.decode() for part in islice(file, skip, skip + count))
            yield line, _bare("".join(parts))
            after = line + count - 1
