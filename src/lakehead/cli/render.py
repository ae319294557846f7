"""The one place that prints answers: plain data in; a table, JSON or CSV on stdout out."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from pathlib import PurePath
from typing import Any, Literal

import click

from lakehead.model import iso


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows under headings, and a line about them. `names` are the fields in JSON and CSV; `rows` may be a stream."""

    names: Sequence[str]
    rows: Iterable[Sequence[Any]]
    title: str = ""
    empty: str = "Nothing there."
    footer: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One thing: `data` is what JSON tells; `parts` are what a person reads, texts and listings in order."""

    data: Any
    parts: Sequence[str | Listing]


def render(value: Listing | Answer, output: str) -> None:
    """Print an answer to stdout as `table`, `json` or `csv`."""
    if output == "json":
        write_json(value)
    elif output == "csv":
        write_csv(value if isinstance(value, Listing) else _first_listing(value))
    elif output == "table":
        for part in [value] if isinstance(value, Listing) else value.parts:
            click.echo(printable(part, keep="\n")) if isinstance(part, str) else write_table(part)
    else:
        raise click.UsageError("only the query command can print parquet")


def write_json(value: Listing | Answer) -> None:
    """JSON: a listing is an array of objects, one to a line, written as the rows come."""
    if isinstance(value, Answer):
        click.echo(json_text(value.data))
        return
    separator, names = "[", _unique(value.names)
    for row in value.rows:
        click.echo(separator + json_text(dict(zip(names, row, strict=True))), nl=False)
        separator = ",\n "
    click.echo("[]" if separator == "[" else "]")


def _unique(names: Sequence[str]) -> list[str]:
    """Names that a JSON object can hold: the second `total` is `total_2`, so that no column is lost."""
    found: list[str] = []
    for name in names:
        free = (f"{name}_{number}" for number in count(2))
        found.append(next(other for other in free if other not in (*found, *names)) if name in found else name)
    return found


def write_csv(listing: Listing) -> None:
    """CSV with a header, as RFC 4180 quotes it; values unchanged, null as nothing."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(listing.names)
    for row in listing.rows:
        writer.writerow([_csv_cell(cell) for cell in row])
        if buffer.tell() > 1 << 16:
            click.echo(buffer.getvalue(), nl=False)
            buffer.seek(0)
            buffer.truncate()
    click.echo(buffer.getvalue(), nl=False)


def write_table(listing: Listing) -> None:
    """A table for people. Where stdout is no terminal nothing is wrapped or cut."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in listing.rows]
    if listing.title:
        click.echo(printable(listing.title, keep="\n"))
    if not rows:
        click.echo(printable(listing.empty, keep="\n"))
        return
    terminal = sys.stdout.isatty()
    out = sys.stdout if terminal else io.StringIO()
    console = Console(file=out, width=None if terminal else 100_000, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for index, name in enumerate(listing.names):
        numbers = all(isinstance(row[index], int | float | Decimal | None) for row in rows)
        # The first column is what a person copies; it stays whole where that leaves the others room.
        widest = max(len(plain(row[index])) for row in rows) if index == 0 else console.width
        whole = widest + 13 * (len(listing.names) - 1) <= console.width
        side: Literal["left", "right"] = "right" if numbers else "left"
        table.add_column(Text(printable(name)), justify=side, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(plain(cell), style=_style(cell)) for cell in row))
    console.print(table)
    if isinstance(out, io.StringIO):
        click.echo("\n".join(line.rstrip() for line in out.getvalue().splitlines()))
    if listing.footer:
        click.echo(printable(listing.footer, keep="\n"))


def plain(cell: Any) -> str:
    """A cell as a person reads it: numbers exact, instants to the second in UTC, null as nothing."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, datetime) and cell.tzinfo is not None:
        return iso(cell)[:19].replace("T", " ")
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, float):
        return repr(cell)
    if isinstance(cell, list | tuple | Mapping) or is_dataclass(cell):
        return printable(json_text(cell))
    return printable(str(cell))


def printable(text: str, *, keep: str = "") -> str:
    """Text that cannot steer a terminal: control characters are written out as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape", "replace").decode() for c in text)


def json_text(value: Any) -> str:
    """JSON in which a Decimal keeps every digit. Instants are ISO 8601; what JSON has no word for (NaN) is null."""
    return "".join(_json(value))


def _json(value: Any) -> Iterator[str]:
    if is_dataclass(value) and not isinstance(value, type):
        value = {entry.name: getattr(value, entry.name) for entry in fields(value)}
    if isinstance(value, Mapping):
        yield (
            "{" + ", ".join(f"{json.dumps(str(k), ensure_ascii=False)}: {json_text(v)}" for k, v in value.items()) + "}"
        )
    elif isinstance(value, list | tuple | set | frozenset):
        yield "[" + ", ".join(json_text(entry) for entry in value) + "]"
    elif isinstance(value, Decimal):
        yield format(value, "f") if value.is_finite() else "null"
    elif isinstance(value, float):
        yield repr(value) if math.isfinite(value) else "null"
    else:
        yield json.dumps(_scalar(value), ensure_ascii=False)


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime):
        return iso(value) if value.tzinfo is not None else value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, timedelta | PurePath):
        return str(value)
    return str(value)


def _csv_cell(cell: Any) -> Any:
    if isinstance(cell, list | tuple | Mapping) or is_dataclass(cell):
        return json_text(cell)
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return "" if cell is None else cell if isinstance(cell, int | float) else _scalar(cell)


def _first_listing(answer: Answer) -> Listing:
    listings = [part for part in answer.parts if isinstance(part, Listing)]
    if not listings:
        raise click.UsageError("this command has no CSV form; use --output json")
    return listings[0]


_STYLES = {"SUCCEEDED": "green", "FAILED": "red", "TIMED_OUT": "red", "ABORTED": "red", "RUNNING": "cyan"}


def _style(cell: Any) -> str:
    return _STYLES.get(cell, "") if isinstance(cell, str) else ""
