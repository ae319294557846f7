"""The chart that an answer makes, chosen by types and by how many values there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from lakehead.console.answers import Kept, Reader
from lakehead.console.charts import chart
from lakehead.results import ChartData

Drawn = Callable[..., ChartData]


@pytest.fixture
def drawn(tmp_path: Path) -> Iterator[Drawn]:
    """A chart of the rows of some SQL of DuckDB's, whose columns have these Athena types."""
    with closing(Reader(tmp_path)) as reader, duckdb.connect() as session:

        def draw(sql: str, **columns: str) -> ChartData:
            path = tmp_path / "result.parquet"
            session.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet)")
            ((count,),) = session.execute(f"SELECT count(*) FROM read_parquet('{path}')").fetchall()
            return chart(reader.rows, Kept(path, tuple(columns.items()), count, 100))

        yield draw


def test_numbers_over_time_are_lines_in_the_order_of_time(drawn: Drawn) -> None:
    sql = "VALUES (DATE '1970-01-03', 2.5::DECIMAL(9,1), 1), (DATE '1970-01-01', NULL, 4), (DATE '1970-01-02', 7, 9)"
    found = drawn(sql, day="date", money="decimal(9,1)", n="integer")
    assert (found.kind, found.x_name, found.x) == ("time", "day", (0.0, 86_400.0, 172_800.0))
    assert [(one.name, one.values) for one in found.series] == [("money", (None, 7.0, 2.5)), ("n", (4.0, 9.0, 1.0))]
    assert found.note == ""


def test_a_text_beside_the_time_makes_a_line_for_each_value(drawn: Drawn) -> None:
    sql = (
        "VALUES (TIMESTAMP '1970-01-01 00:00:00', 'b', 1, 8), (TIMESTAMP '1970-01-01 00:00:01', 'a', 2, 8),"
        " (TIMESTAMP '1970-01-01 00:00:01', NULL, 3, 8), (NULL, 'z', 4, 8)"
    )
    found = drawn(sql, at="timestamp", place="varchar", n="bigint", other="double")
    assert found.x == (0.0, 1.0)
    assert {one.name: one.values for one in found.series} == {
        "a": (None, 2.0),
        "b": (1.0, None),
        "(none)": (None, 3.0),
    }
    assert found.note == "Only n is drawn."


def test_values_of_one_time_are_averaged(drawn: Drawn) -> None:
    found = drawn(
        "VALUES (DATE '2025-01-01', 1), (DATE '2025-01-01', 2), (DATE '2025-01-02', 5)", d="date", n="integer"
    )
    assert (found.series[0].values, found.note) == ((1.5, 5.0), "Values of the same time are averaged.")


def test_many_points_are_put_together(drawn: Drawn) -> None:
    sql = "SELECT TIMESTAMP '2025-01-01' + to_seconds(i), i FROM range(1000000) AS t (i)"
    found = drawn(sql, at="timestamp", n="bigint")
    assert 1_000 < len(found.x) <= 2_000
    assert found.note == "Each point is the average of 10 min."
    assert found.x[:2] == (1735689600.0, 1735690200.0)
    assert found.series[0].values[1] == sum(range(600, 1200)) / 600


def test_nothing_that_json_cannot_hold_is_drawn(drawn: Drawn) -> None:
    sql = "VALUES (DATE '2025-01-01', 'nan'::DOUBLE), (DATE '2025-01-02', 'inf'::DOUBLE), (DATE 'infinity', 1)"
    found = drawn(sql, d="date", n="double")
    assert (len(found.x), found.series[0].values) == (2, (None, None))


def test_a_text_and_a_number_are_bars_in_the_order_of_the_rows(drawn: Drawn) -> None:
    sql = "VALUES ('mug', 'red', 3, 9), (NULL, 'blue', NULL, 9)"
    found = drawn(sql, product="varchar", colour="varchar", n="bigint", other="bigint")
    assert (found.kind, found.x_name, found.x) == ("bars", "product / colour", ("mug / red", "(none) / blue"))
    assert [(one.name, one.values) for one in found.series] == [("n", (3.0, None))]


@pytest.mark.parametrize(
    ("sql", "columns", "note"),
    [
        ("SELECT 'a', 1 WHERE false", {"t": "varchar", "n": "integer"}, "no rows"),
        ("SELECT 'a', 'b'", {"t": "varchar", "u": "varchar"}, "needs a column of numbers"),
        ("SELECT 1, 2", {"a": "integer", "b": "integer"}, "needs a column of dates"),
        ("SELECT 'k' || i, i FROM range(31) t (i)", {"k": "varchar", "i": "bigint"}, "30 rows at most"),
        ("SELECT DATE '2025-01-01', 1", {"d": "date", "n": "integer"}, "two different times"),
        (
            "SELECT DATE '2025-01-01' + i::INT, 'k' || i, i FROM range(9) t (i)",
            {"d": "date", "k": "varchar", "i": "bigint"},
            "8 lines at most; k has more",
        ),
        (
            "SELECT DATE '2025-01-01' + i::INT, 1, 2, 3, 4, 5 FROM range(9) t (i)",
            {"d": "date", **{f"n{n}": "integer" for n in range(5)}},
            "4 columns of numbers",
        ),
        (
            "SELECT DATE '2025-01-01' + i::INT, 'a', 'b', 1 FROM range(9) t (i)",
            {"d": "date", "a": "varchar", "b": "varchar", "n": "integer"},
            "one column of text",
        ),
    ],
)
def test_where_there_is_no_chart_it_says_why(drawn: Drawn, sql: str, columns: dict[str, str], note: str) -> None:
    found = drawn(sql, **columns)
    assert found.kind == "none" and note in found.note and found.series == ()
