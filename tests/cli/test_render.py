"""What is printed: exact values, no control characters in tables, JSON and CSV that parse back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehead.cli.render import Answer, Listing, json_text, plain, printable, render


def printed(value: Listing | Answer, output: str) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        render(value, output)
    return out.getvalue()


ROWS = [("a", 1, Decimal("259190925269.38")), ('b, "c"\n', None, Decimal("-0.10"))]


def test_json_keeps_every_digit_of_money() -> None:
    text = printed(Listing(("name", "n", "sum"), ROWS), "json")
    assert "259190925269.38" in text
    assert json.loads(text, parse_float=Decimal) == [dict(zip(("name", "n", "sum"), row, strict=True)) for row in ROWS]
    assert printed(Listing(("a",), []), "json") == "[]\n"


def test_json_loses_no_column_of_the_same_name() -> None:
    text = printed(Listing(("a", "a", "a_2", "a"), [(1, 2, 3, 4)]), "json")
    assert json.loads(text) == [{"a": 1, "a_3": 2, "a_2": 3, "a_4": 4}]


def test_csv() -> None:
    text = printed(Listing(("name", "n", "sum"), ROWS), "csv")
    assert list(csv.reader(io.StringIO(text))) == [
        ["name", "n", "sum"],
        ["a", "1", "259190925269.38"],
        ['b, "c"\n', "", "-0.10"],
    ]


def test_a_table_in_a_pipe_is_neither_wrapped_nor_coloured() -> None:
    text = printed(Listing(("name", "text"), [("x" * 300, "FAILED"), ("[bold]y", "\x1b[31m")], footer="more"), "table")
    assert "x" * 300 in text and "[bold]y" in text and "\\x1b[31m" in text and "\x1b" not in text
    assert text.endswith("more\n")
    assert all(line == line.rstrip() for line in text.splitlines())
    assert printed(Listing(("a",), [], empty="No rows."), "table") == "No rows.\n"


def test_rows_stream_in_json_and_csv() -> None:
    taken = []

    def rows() -> Iterator[tuple[int]]:
        for number in range(3):
            taken.append(number)
            yield (number,)

    out = io.StringIO()
    with redirect_stdout(out):
        stream = rows()
        render(Listing(("n",), stream), "json")
    assert json.loads(out.getvalue()) == [{"n": 0}, {"n": 1}, {"n": 2}] and taken == [0, 1, 2]


def test_an_answer_prints_its_parts_or_its_data() -> None:
    answer = Answer({"ok": True}, ["Sound.", Listing(("a",), [(1,)])])
    assert printed(answer, "table").startswith("Sound.\n")
    assert json.loads(printed(answer, "json")) == {"ok": True}
    assert printed(answer, "csv") == "a\n1\n"
    with pytest.raises(click.UsageError, match="no CSV form"):
        printed(Answer({}, ["text"]), "csv")
    with pytest.raises(click.UsageError, match="only the query command"):
        printed(answer, "parquet")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (True, "yes"),
        (Decimal("1E+3"), "1000"),
        (Decimal("75000.00"), "75000.00"),
        (0.1, "0.1"),
        (datetime(2025, 1, 3, 10, 0, 5, 999_999, timezone(timedelta(hours=2))), "2025-01-03 08:00:05"),
        (datetime(2025, 1, 3, 10, 0, 5), "2025-01-03 10:00:05"),  # noqa: DTZ001
        (date(2025, 1, 3), "2025-01-03"),
        ({"a": Decimal("1.50")}, '{"a": 1.50}'),
    ],
)
def test_cells(cell: Any, text: str) -> None:
    assert plain(cell) == text


def test_instants_and_odd_values_in_json() -> None:
    value = {"at": datetime(2025, 1, 3, tzinfo=UTC), "day": date(2025, 1, 3), "no": float("nan"), "b": b"\x00\xff"}
    assert json.loads(json_text(value)) == {
        "at": "2025-01-03T00:00:00.000Z", "day": "2025-01-03", "no": None, "b": "00ff",
    }  # fmt: skip


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_json_reads_back(value: Any) -> None:
    assert json.loads(json_text(value)) == value


@given(st.text())
def test_nothing_printed_steers_a_terminal(text: str) -> None:
    assert printable(text).isprintable()


@given(st.lists(st.tuples(st.text().filter(lambda t: "\r" not in t and "\0" not in t), st.integers()), max_size=5))
def test_csv_reads_back(rows: list[tuple[str, int]]) -> None:
    text = printed(Listing(("a", "b"), rows), "csv")
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == [[a, str(b)] for a, b in rows]
