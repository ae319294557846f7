"""Checks of a whole file: what is counted, what it is held against, and SQL that reaches nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from lakehead.contract import Contract
from lakehead.contract.model import ColumnType, Kind
from lakehead.contract.plan import column_plan
from lakehead.contract.queries import BadQuery, check
from lakehead.errors import UnsupportedContract

Make = Callable[..., Contract]
TYPES = {
    "id": ColumnType.integer("integer"),
    "name": ColumnType.of(Kind.STRING),
    "price": ColumnType.decimal(12, 2),
    "d": ColumnType.of(Kind.DOUBLE),
    "day": ColumnType.of(Kind.DATE),
    "at": ColumnType.of(Kind.TIMESTAMP),
    "ok": ColumnType.of(Kind.BOOLEAN),
}
ROWS = "(VALUES (1, 'x', 5.00), (1, 'y', 7.50), (2, 'N/A', NULL), (NULL, NULL, 1.00)) AS t(id, name, price)"


def evaluate(
    db: duckdb.DuckDBPyConnection, contract: Contract, rows: str = f"(SELECT * FROM {ROWS})"
) -> list[tuple[Any, bool]]:
    checks = column_plan(contract).quality_sql(rows)
    values = [(db.execute(check.sql).fetchall(), check) for check in checks]
    assert all(len(found) == 1 and len(found[0]) == 1 for found, _ in values)
    return [(found[0][0], check.holds(found[0][0])) for found, check in values]


@pytest.fixture(scope="module")
def with_quality(make: Make) -> Callable[..., Contract]:
    def build(where: str, **entry: Any) -> Contract:
        columns: dict[str, dict[str, Any]] = {
            "id": {"name": "id", "physicalType": "int"},
            "name": {"name": "name", "logicalType": "string"},
            "price": {"name": "price", "physicalType": "decimal(12,2)"},
        }
        if where:
            columns[where]["quality"] = [entry]
            return make(*columns.values())
        return make(*columns.values(), schema={"quality": [entry]})

    return build


@pytest.mark.parametrize(
    ("where", "entry", "value", "holds"),
    [
        ("", {"metric": "rowCount", "mustBeGreaterThan": 3}, 4, True),
        ("", {"metric": "rowCount", "mustBeBetween": [5, 9]}, 4, False),
        ("", {"metric": "rowCount", "mustNotBeBetween": [1, 9]}, 4, False),
        ("", {"metric": "rowCount", "mustBe": 0}, 4, False),
        ("id", {"metric": "nullValues", "mustBeLessThan": 1}, 1, False),
        ("id", {"metric": "nullValues", "mustBeLessOrEqualTo": 25, "unit": "percent"}, 25, True),
        ("id", {"metric": "duplicateValues", "mustBeLessThan": 1}, 1, False),
        ("", {"metric": "duplicateValues", "mustBeLessThan": 1, "arguments": {"properties": ["id", "name"]}}, 0, True),
        (
            "name",
            {"metric": "missingValues", "mustBeLessThan": 2, "arguments": {"missingValues": [None, "N/A"]}},
            2,
            False,
        ),
        ("name", {"metric": "invalidValues", "mustNotBe": 1, "arguments": {"validValues": ["x", "y"]}}, 1, False),
        ("price", {"metric": "invalidValues", "mustBeGreaterOrEqualTo": 2, "arguments": {"validValues": [5]}}, 2, True),
        ("", {"type": "sql", "query": "SELECT SUM(price) FROM {object}", "mustBeGreaterThan": 13.4}, 13.5, True),
        (
            "price",
            {"type": "sql", "query": "SELECT COUNT(*) FROM ${object} WHERE ${property} > 5", "mustBe": 1},
            1,
            True,
        ),
        (
            "",
            {"type": "sql", "query": "WITH a AS (SELECT id FROM {table}) SELECT MAX(id) FROM a", "mustBe": 2},
            2,
            True,
        ),
        (
            "",
            {"type": "sql", "query": "SELECT MAX(price) FROM {object} WHERE id = 99", "mustBeLessThan": 0},
            None,
            True,
        ),
    ],
)
def test_a_metric_gives_a_number_that_is_judged(
    with_quality: Callable[..., Contract],
    db: duckdb.DuckDBPyConnection,
    where: str,
    entry: dict[str, Any],
    value: Any,
    holds: bool,
) -> None:
    ((found, judged),) = evaluate(db, with_quality(where, **entry))
    assert (None if found is None else float(found), judged) == (value, holds)


def test_no_rows_give_no_percentage(with_quality: Callable[..., Contract], db: duckdb.DuckDBPyConnection) -> None:
    contract = with_quality("id", metric="nullValues", mustBeLessThan=5, unit="percent")
    assert evaluate(db, contract, f"(SELECT * FROM {ROWS} WHERE FALSE)") == [(None, True)]


def test_severity_and_name_are_told(with_quality: Callable[..., Contract]) -> None:
    contract = with_quality("id", metric="nullValues", mustBe=0, severity="warning")
    (found,) = column_plan(contract).quality_sql("t")
    assert not found.fatal
    assert found.words(3) == "id nullValues is 3, must be 0"
    assert not contract.column("id").required
    contract = with_quality("id", metric="nullValues", mustBeBetween=[0, 1.50], unit="percent", name="ids")
    (found,) = column_plan(contract).quality_sql("t")
    assert found.fatal
    assert found.words(3) == "ids is 3 percent, must be between 0 and 1.5"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; SELECT 2",
        "SELECT COUNT(*), 1 FROM {object}",
        "DELETE FROM {object}",
        "COPY {object} TO 'x'",
        "WITH i AS (COPY (SELECT 1) TO 'f') SELECT 1",
        "SELECT COUNT(*) FROM other",
        "SELECT COUNT(*) FROM main._object",
        "SELECT COUNT(*) FROM 'file.csv'",
        "SELECT COUNT(*) FROM read_csv('x')",
        "SELECT getenv('HOME')",
        "SELECT current_setting('x')",
        "SELECT COUNT(*) FROM {object} WHERE nothing = 1",
        "SELECT COUNT(*) FROM {object} JOIN {object} ON TRUE",
        "SELECT (SELECT content FROM read_text('/etc/passwd'))",
        "SELECT COUNT(*) FROM {database}",
        "SELECT COUNT(*) FROM {object} WHERE {property} > 0",
        "SELECT SLEEP(5)",
        "SELECT COUNT(*) FROM (PIVOT {object} ON id)",
        "SUMMARIZE {object}",
        "SELECT",
        "",
        "(" * 3000,
    ],
)
def test_a_query_that_is_not_plain_and_closed_is_refused(query: str) -> None:
    with pytest.raises(BadQuery):
        check(query, TYPES, None)


# What DuckDB and Spark answer differently, or one of them not at all: (the query, words of the message, of the hint).
REFUSED = [
    ("SELECT SUM(CAST(price AS INTEGER)) FROM {object}", "CAST from decimal(12,2) to integer", "ROUND(x, 0)"),
    ("SELECT SUM(CAST(price AS DECIMAL(12,1))) FROM {object}", "to decimal(12,1)", "ROUND(x, 1)"),
    ("SELECT SUM(CAST(d AS INTEGER)) FROM {object}", "CAST from double to integer", "Make the column a decimal"),
    ("SELECT SUM(d::BIGINT) FROM {object}", "CAST from double to bigint", "decimal"),
    ("SELECT COUNT(*) FROM {object} WHERE TRY_CAST(name AS INTEGER) = 2", "CAST from varchar", "a property"),
    ("SELECT COUNT(*) FROM {object} WHERE CAST(d AS VARCHAR) = '1e+20'", "CAST from double to varchar", "decimal"),
    ("SELECT COUNT(*) FROM {object} WHERE CAST(at AS VARCHAR) = 'x'", "CAST from timestamp to varchar", ""),
    ("SELECT COUNT(*) FROM {object} WHERE d || 'x' = '1e+20x'", "d is double, where a string", ""),
    ("SELECT SUM(CAST(id AS FLOAT)) FROM {object}", "CAST to", ""),
    ("SELECT COUNT(*) FROM {object} WHERE CAST(name AS DATE) = day", "CAST from varchar to date", "a property"),
    ("SELECT SUM(CAST(ok AS DECIMAL(3,0))) FROM {object}", "CAST from boolean", ""),
    ("SELECT SUM(ROUND(d, 2)) FROM {object}", "exact numbers", "decimal"),
    ("SELECT ROUND(AVG(price), 2) FROM {object}", "exact numbers", "differently"),
    ("SELECT ROUND(SUM(price) / COUNT(*), 2) FROM {object}", "exact numbers", "differently"),
    ("SELECT SUM(ROUND(price, -1)) FROM {object}", "plain number", ""),
    ("SELECT SUM(ROUND(price, id)) FROM {object}", "plain number", ""),
    ("SELECT COUNT(*) FROM {object} WHERE day - DATE '2025-01-01' > 3", "day is a date", "YEAR, MONTH or DAY"),
    ("SELECT COUNT(*) FROM {object} WHERE day + 1 > DATE '2025-01-01'", "day is a date", "compare them"),
    ("SELECT COUNT(*) FROM {object} WHERE 1 + day > day", "day is a date", "compare them"),
    ("SELECT COUNT(*) FROM {object} WHERE day - id > day", "day is a date", "compare them"),
    ("SELECT COUNT(*) FROM {object} WHERE at - at IS NULL", '"at" is a timestamp', "compare them"),
    ("SELECT MAX(day) - MIN(day) FROM {object}", "MAX(day) is a date", "compare them"),
    ("SELECT COUNT(*) FROM {object} WHERE day = name", "are mixed", "DATE '2025"),
    ("SELECT COUNT(*) FROM {object} WHERE day > '1.2.2025'", "is no date", "2025-01-31"),
    ("SELECT COUNT(*) FROM {object} WHERE name = 1.5", "varchar and decimal(2,1) are mixed", ""),
    ("SELECT COUNT(*) FROM {object} WHERE COALESCE(name, 0) = 1", "are mixed", ""),
    ("SELECT COUNT(*) FROM {object} WHERE id IN (SELECT name FROM {object})", "are mixed", ""),
    ("SELECT SUM(name) FROM {object}", "where a number is needed", ""),
    ("SELECT SUM(ok) FROM {object}", "where a number is needed", ""),
    ("SELECT COUNT(*) FROM {object} WHERE id", "where a condition is needed", ""),
    ("SELECT COUNT(*) FROM {object} WHERE YEAR(name) = 2025", "where a date or timestamp", ""),
    ("SELECT COUNT(*) FROM {object} WHERE id LIKE '1%'", "where a string is needed", ""),
    ("SELECT MAX(name) FROM {object}", "gives a varchar", "COUNT(*)"),
    ("SELECT * FROM {object}", "gives 7 values", ""),
    ("SELECT MAX(id, 2) FROM {object}", "one argument", ""),
    ("SELECT COUNT(*) FROM (SELECT DISTINCT ON (id) * FROM {object})", "DISTINCT ON", "chance"),
    ("SELECT COUNT(*) FROM (SELECT * EXCLUDE (id) FROM {object})", "EXCLUDE", "Name the columns"),
    # A name that means something else within.
    ("SELECT SUM(CAST(id AS DOUBLE)) FROM (SELECT name AS id FROM {object})", "CAST from varchar", ""),
    ("SELECT SUM(CAST(Id AS DOUBLE)) FROM (SELECT name AS Id FROM {object})", "CAST from varchar", ""),
    ("SELECT SUM(CAST(id AS DOUBLE)) FROM (SELECT name FROM {object}) AS t(id)", "names of columns", "AS"),
    ("WITH a(id) AS (SELECT name FROM {object}) SELECT SUM(CAST(id AS DOUBLE)) FROM a", "names of columns", "AS"),
    ("SELECT COUNT(*) FROM (SELECT name AS id, name FROM {object} WHERE id > 1)", "another value", "another name"),
    ("SELECT COUNT(*) FROM (SELECT d AS id, * FROM {object})", "two columns are named id", "name of its own"),
    ("WITH a AS (SELECT price AS p FROM {object}) SELECT SUM(p::BIGINT) FROM a", "CAST from decimal", "ROUND"),
    ("SELECT (SELECT SUM(CAST(t.d AS BIGINT)) FROM (SELECT 1 AS d)) FROM {object} AS t", "CAST from double", ""),
    ("WITH RECURSIVE a AS (SELECT id FROM a) SELECT MAX(id) FROM a", "reads itself", ""),
    ("SELECT MAX(d) FROM (SELECT id FROM {object})", "d is no column here", "FROM"),
]


@pytest.mark.parametrize(("query", "words", "hint"), REFUSED)
def test_what_engines_answer_differently_is_refused(query: str, words: str, hint: str) -> None:
    with pytest.raises(BadQuery) as caught:
        check(query, TYPES, None)
    assert words in str(caught.value) and hint in caught.value.hint


def test_metrics_at_odds_with_their_place_are_refused(with_quality: Callable[..., Contract]) -> None:
    with pytest.raises(UnsupportedContract, match="properties is a list"):
        with_quality("id", metric="duplicateValues", mustBe=0, arguments={"properties": ["id"]})
    with pytest.raises(UnsupportedContract, match="unit"):
        with_quality("", metric="rowCount", mustBe=1, unit="percent")
