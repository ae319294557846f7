"""Polluted variants of one table, each with its clean truth: what exporters, uploads and hands do to CSV files.

The idea of single, named pollutions of one clean file is that of the Pollock benchmark (Vitagliano et al., "Pollock: A
Data Loading Benchmark", VLDB 2023); the files here are made by this module alone.

Every row of the table carries a mark of its own in its customer's name, so that a row that was not loaded can be looked
for among the quarantined texts.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

Row: TypeAlias = tuple[Any, ...]
"""order_id, customer, quantity, amount, note, day: as the processed table has it."""

NAMES = ("order_id", "customer", "quantity", "amount", "note", "day")
HEADER = ",".join(NAMES)
WIDTH = len(NAMES)


@dataclass(frozen=True)
class Variant:
    """A polluted file. `settings` are what its contract says of it. `truth` are the rows that a person reads in it."""

    pollution: str
    name: str
    data: bytes
    truth: tuple[Row, ...]
    settings: tuple[tuple[str, Any], ...] = ()
    gz: bool = False
    layout: str = "typed"
    fragments: tuple[tuple[str, Row], ...] = ()
    """Texts that stand for a row which has lost its mark."""


@dataclass(frozen=True)
class Table:
    """A clean table: its rows, and the cells that a program would write for them."""

    name: str
    rows: tuple[Row, ...]
    layout: str = "typed"
    cells: tuple[tuple[str, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(cells_of(row) for row in self.rows))

    def lines(self, delimiter: str = ",", quote: str = '"', *, quoting: int = csv.QUOTE_MINIMAL) -> list[str]:
        """The header and a text for each row, without line ends."""
        return [delimited(cells, delimiter, quote, quoting) for cells in (NAMES, *self.cells)]


def cells_of(row: Row) -> tuple[str, ...]:
    return tuple("" if value is None else str(value) for value in row)


def delimited(cells: Sequence[str], delimiter: str = ",", quote: str = '"', quoting: int = csv.QUOTE_MINIMAL) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quotechar=quote, quoting=quoting, lineterminator="\n")  # type: ignore[arg-type]
    writer.writerow(cells)
    return str(out.getvalue()).removesuffix("\n")


def mark_of(row: Row) -> str:
    """What only this row has."""
    return str(row[1]).split()[0]


def _rows(customers: Iterable[str], notes: Iterable[str | None]) -> tuple[Row, ...]:
    first = date(2025, 1, 1)
    return tuple(
        (
            481_516 + 7 * number,
            f"K{number:02}x {customer}",
            None if number % 5 == 4 else 1 + number % 7,
            Decimal(1990 + 1311 * number).scaleb(-2),
            note,
            first + timedelta(days=number % 3),
        )
        for number, (customer, note) in enumerate(zip(customers, notes, strict=True))
    )


PLAIN = Table(
    "plain",
    _rows(
        ["Miller", "Oduya", "Smith", "van Dam", "Ito", "Rossi", "Novak", "Silva", "Kaya", "Petit", "Hansen", "Okoro"],
        ["urgent", None, "ring twice", "gate 4", None, "gift", "call first", "urgent", None, "left", "return", "ok"],
    ),
)
"""No cell of it needs a quote."""

RICH = Table(
    "rich",
    _rows(
        [
            "Miller, Ltd",
            'The "Corner" Shop',
            "Müller",
            "O'Neil",
            "日本屋",
            "A & B; C",
            "Rossi, Bros",
            "Çelik",
            "6 foot",
            "Å, B",
            'Q"',
            "Zoë",
        ],
        [
            "ring, then wait",
            'say "hello"',
            "first line\nsecond line",
            None,
            "100% | sure",
            "tab\there",
            ",starts with a comma",
            '"',
            "ends with a comma,",
            "back\\slash",
            "",
            "plain",
        ],
    ),
)
RICH = Table("rich", tuple((*row[:4], row[4] or None, row[5]) for row in RICH.rows))
"""Commas, quotes, a line break and other scripts in its cells."""

TABLES = (PLAIN, RICH)
AT = (0, 5, 11)
"""The rows that are polluted: the first, one in the middle, the last."""


def text_of(lines: Sequence[str], end: str = "\n", *, ended: bool = True) -> bytes:
    return (end.join(lines) + (end if ended else "")).encode()


def with_line(lines: Sequence[str], number: int, *instead: str) -> list[str]:
    """The lines with others in the place of that row's (0 is the first row)."""
    return [*lines[: number + 1], *instead, *lines[number + 2 :]]


Made: TypeAlias = Iterator[Variant]


def known(pollution: str, name: str, table: Table, data: bytes, **settings: Any) -> Variant:
    return Variant(pollution, f"{table.name}-{name}", data, table.rows, tuple(settings.items()))


def clean() -> Made:
    for table in TABLES:
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC):
            yield known("clean", f"quoting-{quoting}", table, text_of(table.lines(quoting=quoting)))


def delimiters() -> Made:
    names = {";": "semicolon", "\t": "tab", "|": "pipe", ":": "colon", "^": "caret", "~": "tilde", " ": "space"}
    for table, (delimiter, name) in itertools.product(TABLES, names.items()):
        data = text_of(table.lines(delimiter))
        yield known("delimiter", name, table, data, csvDelimiter=delimiter)
        yield known("unknown delimiter", name, table, data)
        headless = text_of(table.lines(delimiter)[1:])
        yield known("unknown delimiter", f"{name}-headless", table, headless, csvHeader=False)
    for table in TABLES:
        lines = table.lines()
        for name, other in (("comma-space", ", "), ("two-commas", ",,"), ("space-comma", " ,")):
            yield known(
                "unknown delimiter", name, table, text_of([other.join(cells) for cells in (NAMES, *table.cells)])
            )
        yield known("unknown delimiter", "header-alone", table, text_of([lines[0].replace(",", ";"), *lines[1:]]))
        half = [*table.lines()[:7], *table.lines(";")[7:]]
        yield known("unknown delimiter", "half", table, text_of(half))


def quotes() -> Made:
    for table, quote in itertools.product(TABLES, ("'", "`", "|", "$")):
        for quoting in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL):
            data = text_of(table.lines(quote=quote, quoting=quoting))
            yield known("quote", f"{quote}-{quoting}", table, data, csvQuote=quote)
            if quoting == csv.QUOTE_ALL:
                yield known("unknown quote", f"{quote}-{quoting}", table, data)
    for table in TABLES:  # only the texts, and the header without
        lines = [",".join([cells[0], f"'{cells[1]}'", *cells[2:4], f"'{cells[4]}'", cells[5]]) for cells in table.cells]
        yield known("unknown quote", "texts-alone", table, text_of([HEADER, *lines]))


def escapes() -> Made:
    """Quotes in quoted cells that are escaped otherwise than by doubling them."""
    for style, escape in {"backslash": '\\"', "none": '"', "apostrophes": "\\'\\'", "entity": "&quot;"}.items():
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
            lines = [HEADER, *(escaped(cells, escape, quoting) for cells in RICH.cells)]
            if style in ("apostrophes", "entity"):
                continue  # other texts than the truth's, whoever reads them
            yield known("escape", f"{style}-{quoting}", RICH, text_of(lines))
    for number, cells in enumerate(RICH.cells):
        if any('"' in cell for cell in cells):
            for style, escape in (("backslash", '\\"'), ("none", '"')):
                lines = with_line(RICH.lines(), number, escaped(cells, escape, csv.QUOTE_MINIMAL))
                yield known("escape", f"{style}-row{number}", RICH, text_of(lines))


def escaped(cells: Sequence[str], escape: str, quoting: int) -> str:
    wrapped = [
        '"' + cell.replace('"', escape) + '"'
        if quoting == csv.QUOTE_ALL or any(letter in cell for letter in ',"\n')
        else cell
        for cell in cells
    ]
    return ",".join(wrapped)


def line_ends() -> Made:
    ends = {"crlf": "\r\n", "cr": "\r", "cr-cr-lf": "\r\r\n", "lf-cr": "\n\r", "blank-between": "\n\n"}
    for table, (name, end) in itertools.product(TABLES, ends.items()):
        for ended in (True, False):
            yield known("line end", f"{name}-{ended}", table, text_of(table.lines(), end, ended=ended))
    for table, mix in itertools.product(TABLES, (("\n", "\r\n"), ("\r\n", "\n"), ("\r", "\n"), ("\n", "\r", "\r\n"))):
        mixed = "".join(line + mix[number % len(mix)] for number, line in enumerate(table.lines()))
        yield known("line end", "mixed-" + "-".join(end.encode().hex() for end in mix), table, mixed.encode())
    for table, at in itertools.product(TABLES, AT):
        lines = table.lines()
        one = "".join(line + ("\r\n" if number == at + 1 else "\n") for number, line in enumerate(lines))
        yield known("line end", f"one-crlf-{at}", table, one.encode())
        yield known(
            "line end",
            f"none-{at}",
            table,
            text_of([*lines[: at + 1], "".join(lines[at + 1 : at + 3]), *lines[at + 3 :]]),
        )
    for table in TABLES:
        for name, tail in {"many": "\n\n\n\n", "spaces": "  \n\t\n", "crlf": "\r\n\r\n", "ctrl-z": "\x1a"}.items():
            yield known("line end", f"tail-{name}", table, text_of(table.lines()) + tail.encode())


def short_rows() -> Made:
    for table, at, cut in itertools.product(TABLES, AT, (1, 2, 3, 5)):
        cells = table.cells[at]
        for name, left in {"end": cells[:-cut], "start": cells[cut:], "middle": cells[:1] + cells[1 + cut :]}.items():
            lines = with_line(table.lines(), at, delimited(left))
            made = known("short row", f"{name}-{cut}-{at}", table, text_of(lines))
            yield replace(made, fragments=((delimited(left), table.rows[at]),))
    for table in TABLES:
        lines = [lines_of for lines_of in table.lines()]
        yield known("short row", "all", table, text_of([lines[0], *(delimited(cells[:-1]) for cells in table.cells)]))
        yield known(
            "short row",
            "two",
            table,
            text_of(with_line(with_line(lines, 2, "481530"), 7, delimited(table.cells[7][:3]))),
        )


def long_rows() -> Made:
    extras = {"empty": [""], "empties": ["", "", ""], "value": ["x"], "number": ["7"], "many": ["x"] * 20, "id": ["9"]}
    for table, at, (name, extra) in itertools.product(TABLES, AT, extras.items()):
        cells = table.cells[at]
        place = {"id": 0}.get(name, WIDTH)
        lines = with_line(table.lines(), at, delimited([*cells[:place], *extra, *cells[place:]]))
        yield known("long row", f"{name}-{at}", table, text_of(lines))
    for table in TABLES:
        lines = table.lines()
        yield known("long row", "all-empty", table, text_of([lines[0], *(line + "," for line in lines[1:])]))
        yield known("long row", "all-value", table, text_of([lines[0], *(line + ",x" for line in lines[1:])]))
        every = [line + ("," if number % 2 else "") for number, line in enumerate(lines)]
        yield known("long row", "every-other", table, text_of(every))
        # One row too long by what another is too short: the delimiters are as many as they should be.
        pair = with_line(with_line(lines, 3, lines[4] + ","), 8, delimited(table.cells[8][:-1]))
        yield known("long row", "with-a-short-one", table, text_of(pair))


def extra_delimiters() -> Made:
    for table, at in itertools.product(TABLES, AT):
        line = table.lines()[at + 1]
        for place in sorted({0, 3, 7, 9, 12, 15, *(n for n, letter in enumerate(line) if letter == ","), len(line)}):
            if place <= len(line):
                broken = line[:place] + "," + line[place:]
                if _fields(broken) != WIDTH:
                    yield known(
                        "extra delimiter", f"{at}-{place}", table, text_of(with_line(table.lines(), at, broken))
                    )


def missing_delimiters() -> Made:
    for table, at in itertools.product(TABLES, AT):
        line = table.lines()[at + 1]
        for place in (n for n, letter in enumerate(line) if letter == ","):
            for name, instead in (("gone", ""), ("space", " "), ("semicolon", ";")):
                broken = line[:place] + instead + line[place + 1 :]
                if _fields(broken) != WIDTH:
                    lines = with_line(table.lines(), at, broken)
                    yield known("missing delimiter", f"{name}-{at}-{place}", table, text_of(lines))


def extra_quotes() -> Made:
    """One quote too many somewhere in a row, in files of few and of many quotes; and two of them in different rows."""
    for table, at, quoting in itertools.product(TABLES, AT, (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)):
        lines = table.lines(quoting=quoting)
        line = lines[at + 1]
        edges = [n for n, letter in enumerate(line) if letter == ","]
        for place in sorted({0, 3, 9, 11, *edges[::2], *(edge + 1 for edge in edges), len(line)}):
            if place <= len(line):
                broken = with_line(lines, at, line[:place] + '"' + line[place:])
                yield known("extra quote", f"{quoting}-{at}-{place}", table, text_of(broken))
    for column, (one, other) in itertools.product(range(1, WIDTH), ((0, 1), (2, 3), (4, 9), (3, 11))):
        for table in TABLES:
            cells = [list(row) for row in table.cells]
            cells[one][column], cells[other][column] = '"' + cells[one][column], cells[other][column] + '"'
            broken = [",".join(row) if number in (one, other) else delimited(row) for number, row in enumerate(cells)]
            if not any("," in cell or "\n" in cell for row in (cells[one], cells[other]) for cell in row):
                yield known("extra quote", f"pair-{column}-{one}-{other}", table, text_of([HEADER, *broken]))


def missing_quotes() -> Made:
    for table, quoting in itertools.product(TABLES, (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)):
        for at in (0, 1, 2, 6, 10):
            lines = table.lines(quoting=quoting)
            line = lines[at + 1]
            for place in [n for n, letter in enumerate(line) if letter == '"'][:8]:
                broken = line[:place] + line[place + 1 :]
                if not _same_cells(broken, table.cells[at]):
                    yield known(
                        "missing quote", f"{quoting}-{at}-{place}", table, text_of(with_line(lines, at, broken))
                    )


def preambles() -> Made:
    above = {
        "title": ["Orders of January"],
        "title-and-blank": ["Orders of January", ""],
        "comment": ["# exported 2025-01-09", "# by hand"],
        "commas": ["Orders,,,,,"],
        "wide": ["Exported,2025-01-09,by,nobody,at,all"],
        "sep": ["sep=,"],
        "blank": ["", ""],
        "commas-only": [",,,,,"],
        "quoted": ['"Orders of January"'],
        "long": [f"line {number}" for number in range(60)],
    }
    for table, (name, lines) in itertools.product(TABLES, above.items()):
        yield known("preamble", name, table, text_of([*lines, *table.lines()]))


def footers() -> Made:
    below = {
        "total": ["TOTAL,,,99.10,,"],
        "total-short": ["Total,99.10"],
        "total-text": [",,,99.10,Total,"],
        "rows": ["(12 rows affected)"],
        "end": ["-- end of file --"],
        "commas": [",,,,,", ",,,,,"],
        "blank-and-total": ["", "Total: 12"],
        "quote": ['"'],
        "ctrl-z": ["\x1a"],
        "dashes": ["------,------,------,------,------,------"],
        "second-table": ["", "customer,city", "K00x,Oslo"],
        "second-table-as-wide": ["", "a,b,c,d,e,f", "1,2,3,4,5,6"],
    }
    for table, (name, lines) in itertools.product(TABLES, below.items()):
        for ended in (True, False):
            yield known("footer", f"{name}-{ended}", table, text_of([*table.lines(), *lines], ended=ended))


def repeated_headers() -> Made:
    again = {
        "same": HEADER,
        "quoted": delimited(NAMES, quoting=csv.QUOTE_ALL),
        "upper": HEADER.upper(),
        "spaced": ", ".join(NAMES),
        "marked": "\ufeff" + HEADER,
        "blank-before": "\n" + HEADER,
        "cut": ",".join(NAMES[:-1]),
    }
    for table, (name, line), at in itertools.product(TABLES, again.items(), (0, 6, 12)):
        lines = table.lines()
        yield known("repeated header", f"{name}-{at}", table, text_of([*lines[: at + 1], line, *lines[at + 1 :]]))


def headers() -> Made:
    for table in TABLES:
        lines = table.lines()
        others: dict[str, str] = {
            "upper": HEADER.upper(),
            "spaced": " , ".join(NAMES),
            "quoted": delimited(NAMES, quoting=csv.QUOTE_ALL),
            "missing": HEADER.replace("amount", "price"),
            "renamed": HEADER.replace("note", "remark"),
            "twice": HEADER.replace("note", "customer"),
            "nameless": HEADER.replace("note", ""),
            "open-quote": HEADER.replace("note", '"note'),
            "stray-quote": HEADER.replace("note", 'no"te'),
            "two-lines": HEADER.replace("note", '"no\nte"'),
            "long": HEADER + ",more",
            "long-empty": HEADER + ",",
            "short": HEADER.replace(",day", ""),
            "shifted": "," + HEADER,
            "numbers": "1,2,3,4,5,6",
            "swapped-case-twin": HEADER.replace("note", "CUSTOMER"),
        }
        for name, header in others.items():
            yield known("header", name, table, text_of([header, *lines[1:]]))
        yield known("header", "none", table, text_of(lines[1:]))
        yield known("header", "none-known", table, text_of(lines[1:]), csvHeader=False)
        order = (5, 3, 1, 0, 4, 2)
        yield known(
            "header", "reordered", table, text_of([delimited([row[n] for n in order]) for row in (NAMES, *table.cells)])
        )
        more = [
            delimited([*row[:3], extra, *row[3:]])
            for row, extra in zip((NAMES, *table.cells), ["more", *"abcdefghijkl"], strict=True)
        ]
        yield known("header", "one-column-more", table, text_of(more))


def encodings() -> Made:
    text = text_of(RICH.lines()).decode()
    western = text.replace("日本屋", "Nihonya").replace("Ç", "C")
    latin = tuple((row[0], row[1].replace("日本屋", "Nihonya").replace("Ç", "C"), *row[2:]) for row in RICH.rows)
    euro = western.replace("100% | sure", "100 € “sure”")
    euros = tuple((*row[:4], "100 € “sure”" if row[4] == "100% | sure" else row[4], row[5]) for row in latin)

    def made(name: str, data: bytes, truth: tuple[Row, ...], **settings: Any) -> Variant:
        return Variant("encoding", name, data, truth, tuple(settings.items()))

    yield made("utf-8-sig", b"\xef\xbb\xbf" + text.encode(), RICH.rows)
    yield made("utf-8-sig-twice", b"\xef\xbb\xbf" * 2 + text.encode(), RICH.rows)
    for codec in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-7"):
        yield made(codec, text.encode(codec), RICH.rows)
        yield made(f"{codec}-told-utf-16", text.encode(codec), RICH.rows, csvEncoding="utf-16")
    yield made("utf-16-le-sig", b"\xff\xfe" + text.encode("utf-16-le"), RICH.rows, csvEncoding="utf-16")
    yield made("utf-16-odd", b"\xff\xfe" + text.encode("utf-16-le")[:-1], RICH.rows)
    for told in ("latin-1", "cp1252"):
        yield made(f"latin-1-told-{told}", western.encode("latin-1"), latin, csvEncoding=told)
        yield made(f"cp1252-told-{told}", euro.encode("cp1252"), euros, csvEncoding=told)
        yield made(f"utf-8-told-{told}", western.encode(), latin, csvEncoding=told)
        yield made(f"utf-8-sig-told-{told}", b"\xef\xbb\xbf" + western.encode(), latin, csvEncoding=told)
        yield made(f"utf-16-told-{told}", western.encode("utf-16"), latin, csvEncoding=told)
    polish = tuple((*row[:4], "żółw" if row[4] == "plain" else row[4], row[5]) for row in latin if "ë" not in row[1])
    yield made(
        "cp1250-told-cp1252",
        text_of(Table("", polish).lines()).decode().encode("cp1250", "replace"),
        polish,
        csvEncoding="cp1252",
    )
    yield made("utf-8-told-utf-16", text.encode(), RICH.rows, csvEncoding="utf-16")
    for codec in ("latin-1", "cp1252", "cp437", "cp850", "mac_roman"):
        yield made(f"{codec}-told-utf-8", western.encode(codec), latin)
    yield made(
        "shift-jis",
        text.replace("ü", "u").replace("Ç", "C").replace("Å", "A").replace("ë", "e").encode("shift-jis"),
        RICH.rows,
    )
    whole = text.encode()
    for name, broken in {
        "cut-letter": whole.replace("ü".encode(), "ü".encode()[:1]),
        "one-latin-letter": whole.replace("ü".encode(), b"\xfc"),
        "overlong": whole.replace(b"plain", b"pl\xc0\xafin"),
        "surrogate": whole.replace(b"plain", b"pl\xed\xa0\x80in"),
        "beyond": whole.replace(b"plain", b"pl\xf5\x80\x80\x80in"),
        "cut-at-the-end": whole[:-1] + "é".encode()[:1],
    }.items():
        yield made(f"broken-{name}", broken, RICH.rows)


def control_characters() -> Made:
    for table, at in itertools.product(TABLES, AT):
        line = table.lines()[at + 1]
        for name, letter in {"nul": "\0", "nuls": "\0\0\0"}.items():
            broken = with_line(table.lines(), at, line[:12] + letter + line[12:])
            yield known("control character", f"{name}-{at}", table, text_of(broken))
    for table in TABLES:
        yield known("control character", "nul-tail", table, text_of(table.lines()) + b"\0" * 512)
        yield known("control character", "nul-head", table, b"\0" + text_of(table.lines()))
        joined = text_of(table.lines()[:7]) + b"\xef\xbb\xbf" + text_of(table.lines()[7:])
        yield known("control character", "mark-in-the-middle", table, joined)


def blank_rows() -> Made:
    blanks = {
        "empty": "",
        "spaces": "   ",
        "tab": "\t",
        "commas": ",,,,,",
        "spaced-commas": " , , , , , ",
        "quotes": '"",""',
    }
    for table, (name, line), at in itertools.product(TABLES, blanks.items(), AT):
        lines = table.lines()
        yield known("blank row", f"{name}-{at}", table, text_of([*lines[: at + 1], line, line, *lines[at + 1 :]]))


def spaces() -> Made:
    for table in TABLES:
        lines = table.lines()
        for name, change in _SPACES.items():
            yield known("spaces", name, table, text_of([lines[0], *(change(cells) for cells in table.cells)]))
            for at in AT:
                broken = with_line(lines, at, change(table.cells[at]))
                yield known("spaces", f"{name}-{at}", table, text_of(broken))


_SPACES: dict[str, Callable[[tuple[str, ...]], str]] = {
    "around-values": lambda cells: delimited([f"  {cell} " for cell in cells]),
    "before-quotes": lambda cells: ", ".join(delimited([cell], quoting=csv.QUOTE_ALL) for cell in cells),
    "after-quotes": lambda cells: " ,".join(delimited([cell], quoting=csv.QUOTE_ALL) for cell in cells),
    "no-break": lambda cells: delimited([f"\u00a0{cell}\u00a0" for cell in cells]),
}


def values() -> Made:
    """Cells that a lenient cast would take for something else."""
    wrong = {
        "order_id": ["481551.0", "4815e2", "0x758F", "481_551", "\uff14\uff18\uff11", "481551-", "#481551", "481 551"],
        "quantity": ["1.5", "1e1", "two", "-", "N/A", "99999999999", "1/2"],
        "amount": ["1,234.50", "12,50", "1.005", "£12.50", "12.50-", "(12.50)", "1e3", "inf", "NaN", "12 50", "12.5.0"],
        "day": ["2025-02-30", "01/02/2025", "2025-1-2", "2025/01/02", "20250102", "45659", "2025-01-02T00:00:00", "0"],
    }
    for name, cells in wrong.items():
        for cell, (table, at) in zip(cells * 3, itertools.cycle(itertools.product(TABLES, AT)), strict=False):
            row = list(table.cells[at])
            row[NAMES.index(name)] = cell
            lines = with_line(table.lines(), at, delimited(row))
            yield known("value", f"{name}-{cell}-{at}".replace("/", "%2F"), table, text_of(lines))


def truncations() -> Made:
    """The file ends before it should."""
    for table in TABLES:
        whole = text_of(table.lines())
        last = len(table.lines()[-1].encode())
        for cut in range(2, last + 1, 3):
            left = whole[:-cut].decode(errors="replace").rpartition("\n")[2]
            made = known("truncation", f"{cut}", table, whole[:-cut])
            yield replace(made, fragments=((left, table.rows[-1]),))
        yield known("truncation", "between-rows", table, text_of(table.lines()[:-1]))
        yield known("truncation", "crlf", table, text_of(table.lines(), "\r\n")[:-1])


def archives() -> Made:
    for table in TABLES:
        whole = text_of(table.lines())
        packed = gzip.compress(whole, mtime=0)
        half = len(whole) // 2
        made = {
            "good": packed,
            "two-members": gzip.compress(whole[:half], mtime=0) + gzip.compress(whole[half:], mtime=0),
            "zero-padding": packed + bytes(512),
            "named": _named_archive(whole),
            "empty-member-first": gzip.compress(b"", mtime=0) + packed,
            "cut-1": packed[:-1],
            "cut-8": packed[:-8],
            "cut-half": packed[: len(packed) // 2],
            "cut-header": packed[:9],
            "empty": b"",
            "wrong-crc": packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:],
            "wrong-size": packed[:-1] + bytes([packed[-1] ^ 1]),
            "garbage-after": packed + b"garbage",
            "second-member-cut": packed + packed[:-4],
            "not-packed": whole,
            "packed-twice": gzip.compress(packed, mtime=0),
            "wrong-method": packed[:2] + b"\x07" + packed[3:],
        }
        for name, data in made.items():
            truth = table.rows
            yield Variant("gzip", f"{table.name}-{name}", data, truth, gz=True)
        for bit in range(80, len(packed) * 8, len(packed) * 8 // 12):
            flipped = bytearray(packed)
            flipped[bit // 8] ^= 1 << bit % 8
            yield Variant("gzip", f"{table.name}-bit-{bit}", bytes(flipped), table.rows, gz=True)
        yield Variant("gzip", f"{table.name}-not-named-so", packed, table.rows)


def _named_archive(data: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile("orders of january.csv", "wb", fileobj=out, mtime=1) as file:
        file.write(data)
    return out.getvalue()


def foreign_files() -> Made:
    others = {
        "empty": b"",
        "zip": b"PK\x03\x04" + bytes(40),
        "html": b"<!DOCTYPE html><html><body>Sign in, please</body></html>\n",
        "json": b'[{"order_id": 481516, "customer": "K00x Miller"}]\n',
        "xml": b'<?xml version="1.0"?><orders><order id="481516"/></orders>\n',
        "error": b"503 Service Unavailable\n",
        "random": bytes(range(1, 256)) * 20,
        "parquet": b"PAR1" + bytes(40) + b"PAR1",
    }
    for name, data in others.items():
        yield Variant("foreign file", name, data, ())


def _same_cells(line: str, cells: Sequence[str]) -> bool:
    try:
        return list(next(csv.reader(io.StringIO(line), strict=True))) == list(cells)
    except (csv.Error, StopIteration):
        return False


def _fields(line: str) -> int:
    try:
        return len(next(csv.reader(io.StringIO(line), strict=True)))
    except csv.Error:
        return -1


POLLUTIONS = (
    clean, delimiters, quotes, escapes, line_ends, short_rows, long_rows, extra_delimiters, missing_delimiters,
    extra_quotes, missing_quotes, preambles, footers, repeated_headers, headers, encodings, control_characters,
    blank_rows, spaces, values, truncations, archives, foreign_files,
)  # fmt: skip


STRUCTURAL = {
    "clean", "delimiter", "quote", "unknown quote", "line end", "short row", "long row", "extra delimiter",
    "missing delimiter", "extra quote", "missing quote", "gzip",
}  # fmt: skip
"""What must be noticed even where every column is a text that may be absent, so that no cast comes to help."""


def as_texts(variant: Variant) -> Variant:
    """The variant for a contract of optional texts only."""
    return replace(
        variant,
        name=f"{variant.name}-texts",
        layout="texts",
        truth=tuple(texts_of(row) for row in variant.truth),
        fragments=tuple((text, texts_of(row)) for text, row in variant.fragments),
    )


def texts_of(row: Row) -> Row:
    return tuple(None if value is None else str(value) for value in row)


def corpus() -> list[Variant]:
    """Every variant, the same ones on every run."""
    typed = [variant for made in POLLUTIONS for variant in made()]
    return [*typed, *(as_texts(variant) for variant in typed if variant.pollution in STRUCTURAL)]
