"""Spark gives every value and every reason that DuckDB gives, cell by cell; what it could not is refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.values import PROPERTIES, READ, TEXTS, cells, generated, written

from lakehead.contract import Contract, patterns
from lakehead.errors import UnsupportedContract
from lakehead.etl.spark.dialect import java_pattern, spark_sql

pytest.importorskip("pyspark", reason="needs the extra lakehead[spark]")


@pytest.fixture
def engine(engines: dict[str, Any]) -> Any:
    return engines["spark"]


@pytest.fixture(scope="session")
def wide(make_contract: Callable[..., Contract]) -> Contract:
    return make_contract(*PROPERTIES)


@pytest.fixture
def both(
    load: Callable[..., Any], engines: dict[str, Any], reader: duckdb.DuckDBPyConnection
) -> Callable[[str, Contract], Any]:
    """Load by DuckDB and by Spark, and demand the same of everything but the bytes of the files."""

    def run(text: str, contract: Contract) -> Any:
        told = [load(text, contract, engine=engines[name]) for name in ("duckdb", "spark")]
        one, other = told
        assert other.quarantine == one.quarantine
        for expected, row in zip(one.rows, other.rows, strict=True):
            assert list(map(repr, row)) == list(map(repr, expected))
        assert [file.partition for file in other.result.files] == [file.partition for file in one.result.files]
        for first, second in zip(one.result.files, other.result.files, strict=True):
            types = [
                reader.execute(f"DESCRIBE FROM read_parquet('{file.path}', hive_partitioning=false)").fetchall()
                for file in (first, second)
            ]
            assert types[0] == types[1]
        assert list(other.result.reasons.items()) == list(one.result.reasons.items())
        assert other.result.warnings == one.result.warnings
        return other

    return run


def test_every_known_text_in_every_column(both: Callable[..., Any], wide: Contract) -> None:
    rows = [
        {column["name"]: f"{pad}{text}{pad}"}
        for column in READ[1:]
        for text in [*cells(column["logicalType"]), *TEXTS[:4], "1", "2025-01-31"]
        for pad in ("", "\u00a0")
    ]
    loaded = both(written(rows), wide)
    assert loaded.counts[1] > 500 and loaded.counts[2] > 500


@settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.generate],  # an example costs seconds, so none is shrunk: the assertion shows the row
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 1 << 32))
def test_generated_texts(both: Callable[..., Any], wide: Contract, seed: int) -> None:
    loaded = both(written([{"s": "a"}, *generated(seed, 2_000)]), wide)
    assert loaded.counts[1] > 50 and loaded.counts[2] > 200


def test_every_letter_with_another_case_and_every_blank(
    both: Callable[..., Any], make_contract: Callable[..., Contract]
) -> None:
    contract = make_contract(
        {"name": "s", "logicalType": "string"},
        {"name": "u", "logicalType": "string", "transformLogic": "UPPER(s)"},
        {"name": "l", "logicalType": "string", "transformLogic": "LOWER(s)"},
        {"name": "t", "logicalType": "string", "transformLogic": "TRIM(s)"},
    )
    letters = [chr(point) for point in range(0x21, 0x1E944) if not 0xD800 <= point <= 0xDFFF]
    odd = [c for c in letters if c.lower() != c or c.upper() != c or unicodedata.category(c)[0] == "Z" or c == '"']
    loaded = both("s\n" + "".join(f'"x{c.replace(chr(34), chr(34) * 2)}"\n' for c in odd), contract)
    assert loaded.counts[0] > 2_700


CHECKS = [
    "SELECT SUM(q) / COUNT(*) FROM {object}",
    "SELECT AVG(q) FROM {object}",
    "SELECT AVG(price) FROM {object}",
    "SELECT SUM(price) FROM {object}",
    "SELECT MIN(q) / (MAX(q) - MAX(q)) FROM {object}",
    "SELECT COUNT(*) FROM {object} WHERE name LIKE 'a\\%'",
    "SELECT COUNT(*) FROM {object} WHERE name LIKE '%e'",
    "SELECT COUNT(*) FROM {object} WHERE REGEXP_MATCHES(name, '^[a-c]+$')",
    "SELECT COUNT(DISTINCT UPPER(name)) FROM {object}",
    "SELECT COUNT(*) FROM (SELECT q FROM {object} GROUP BY q HAVING COUNT(*) > 1)",
    "SELECT MAX(price) - MIN(price) FROM {object}",
    "SELECT SUM(q) FILTER (WHERE price > 2) FROM {object}",
    "SELECT MAX(YEAR(day)) FROM {object} WHERE day > '2025-01-01'",
    # Casts and rounding
    "SELECT SUM(CAST(q AS DECIMAL(12,2))) FROM {object}",
    "SELECT SUM(CAST(price AS DECIMAL(14,4))) FROM {object}",
    "SELECT SUM(CAST(price AS DECIMAL)) FROM {object}",
    "SELECT CAST(SUM(q) AS DOUBLE) / COUNT(*) FROM {object}",
    "SELECT SUM(CAST(ROUND(price, 0) AS INTEGER)) FROM {object}",
    "SELECT SUM(ROUND(price, 1)) FROM {object}",
    "SELECT SUM(ROUND(-price)) FROM {object}",
    "SELECT ROUND(SUM(price), 1) FROM {object}",
    "SELECT ROUND(MAX(price * price), 3) FROM {object}",
    "SELECT SUM(ROUND(q, 2)) FROM {object}",
    "SELECT COUNT(TRY_CAST(big AS SMALLINT)) FROM {object}",
    "SELECT COUNT(*) FROM {object} WHERE CAST(price AS VARCHAR) = '2.50' OR CAST(q AS VARCHAR) || 'x' = '7x'",
    "SELECT SUM(CAST(ok AS INTEGER)) + SUM(CAST(name IS NULL AS INTEGER)) FROM {object}",
    "SELECT SUM(CAST(price AS DOUBLE)) FROM {object} WHERE CAST(at AS DATE) = day",
    # Dates
    "SELECT COUNT(*) FROM {object} WHERE day BETWEEN DATE '2025-01-02' AND '2026-01-01'",
    "SELECT COUNT(*) FROM {object} WHERE at > day AND at < TIMESTAMP '2025-06-01 00:00:00'",
    "SELECT COUNT(*) FROM {object} WHERE at >= DATE '2025-01-02' AND day <= CAST(at AS DATE)",
    "SELECT COUNT(*) FROM {object} WHERE COALESCE(day, '2026-01-01') IN (DATE '2026-01-01', '2025-01-01')",
    # Numbers of several types, relations within, the other functions
    "SELECT SUM(q) * 1.5 FROM {object}",
    "SELECT SUM(q) + SUM(price) - 0.125 FROM {object}",
    "SELECT 100.0 * COUNT(*) FILTER (WHERE ok IS TRUE) / COUNT(*) FROM {object}",
    "SELECT COALESCE(SUM(q), 0.5) + NULLIF(COUNT(*), 0) FROM {object}",
    "SELECT COUNT(*) FROM {object} WHERE d > 1.5 AND d > price - 1e3 AND price > 0.001",
    "SELECT SUM(q % 2) + MAX(big % 7) + ABS(MIN(-q)) FROM {object}",
    "SELECT SUM(n * q) FROM (SELECT q, COUNT(*) AS n FROM {object} GROUP BY q) AS counts",
    "WITH a AS (SELECT name, SUM(price) AS total FROM {object} GROUP BY name) SELECT ROUND(MAX(total), 1) FROM a",
    "WITH a AS (SELECT *, q + 1 AS more FROM {object}) SELECT MAX(CAST(more AS DOUBLE)) FROM a WHERE more > q",
    "SELECT COUNT(*) FROM {object} WHERE price > (SELECT AVG(price) FROM {object})",
    "SELECT COUNT(*) FROM {object} WHERE q IN (SELECT q FROM {object} WHERE price > 3)",
    "SELECT MAX(CASE WHEN ok THEN LENGTH(name) WHEN q > 3 THEN 2.5 ELSE 0 END) FROM {object}",
    "SELECT COUNT(*) FROM {object} WHERE name NOT LIKE 'a%' AND q NOT IN (1, 7)",
    "SELECT COUNT(DISTINCT (name, q)) * 100 + COUNT(DISTINCT name, q) FROM {object}",
    "SELECT COUNT(DISTINCT TRIM(name, 'a')) + COUNT_IF(ok) + GREATEST(MAX(q), 3) FROM {object}",
]


def test_quality_checks_give_the_same_numbers(both: Callable[..., Any], make_contract: Callable[..., Contract]) -> None:
    """Every check fails and warns, so the warnings tell the numbers."""
    quality: list[dict[str, Any]] = [
        {"type": "sql", "name": f"check {number}", "query": query, "mustBe": -1, "severity": "warning"}
        for number, query in enumerate(CHECKS)
    ]
    quality += [
        {"metric": "duplicateValues", "arguments": {"properties": ["name", "q"]}, "mustBeGreaterThan": 9},
        {"metric": "rowCount", "mustBeGreaterThan": 90},
    ]
    named: list[dict[str, Any]] = [
        {"metric": "nullValues", "unit": "percent", "mustBeGreaterThan": 90},
        {"metric": "invalidValues", "arguments": {"pattern": "[a-z]$"}, "mustBeGreaterThan": 90},
    ]
    contract = make_contract(
        {"name": "name", "logicalType": "string", "quality": [{**one, "severity": "warning"} for one in named]},
        {"name": "q", "logicalType": "integer", "physicalType": "integer"},
        {"name": "price", "logicalType": "number", "physicalType": "decimal(12,2)"},
        {"name": "day", "logicalType": "date"},
        {"name": "d", "physicalType": "double"},
        {"name": "big", "physicalType": "bigint"},
        {"name": "ok", "logicalType": "boolean"},
        {"name": "at", "logicalType": "timestamp"},
        schema={"quality": [{**one, "severity": "warning"} for one in quality]},
    )
    rows = [
        "a,1,1.25,2025-01-01,1.005,40000,true,2025-01-01T10:00:00",
        "abc,2,2.50,2025-01-02,2.675,-7,false,2025-01-02T00:00:00",
        '"a\\",2,3.33,2026-01-01,1e20,9007199254740993,true,2026-01-01T00:00:00.5',
        ",7,,,,,,",
        "be,,10.00,,-0.5,3,true,",
        "abc,2,0.05,,0.1,0,false,2025-01-01T00:00:00",
    ]
    loaded = both("name,q,price,day,d,big,ok,at\n" + "\n".join(rows) + "\n", contract)
    assert len(loaded.result.warnings) == len(CHECKS) + 4


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT COUNT(*) FROM t WHERE a LIKE b", "LIKE with a pattern"),
        ("SELECT AVG(a) FILTER (WHERE b) FROM t", "AVG with FILTER"),
        ("SELECT COUNT(*) FROM t WHERE REGEXP_MATCHES(a, b)", "anything but one text"),
        (r"SELECT COUNT(*) FROM t WHERE REGEXP_MATCHES(a, '\bx')", "is not supported"),
        ("SELECT COUNT(*) FROM t WHERE REGEXP_MATCHES(a, '(?i)x')", "are not supported"),
    ],
)
def test_what_spark_would_answer_otherwise_is_refused(query: str, words: str) -> None:
    with pytest.raises(UnsupportedContract, match="the Spark engine cannot run the contract's SQL") as caught:
        spark_sql(query, foreign=True)
    assert words in str(caught.value) and "duckdb" in caught.value.hint


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("a$", r"a\z"), ("[$]a", "[$]a"), (r"\$a$", r"\$a\z"), (r"[\]$]$", r"[\]$]\z"), (r"\[$", r"\[\z"), ("", "")],
)
def test_the_end_of_a_pattern(pattern: str, expected: str) -> None:
    assert java_pattern(patterns.portable(pattern)) == expected
