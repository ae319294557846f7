"""The plan's query as a whole: rules, reasons, duplicates, absent columns, and a text that other engines can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehead.contract import Contract, SourceColumn
from lakehead.contract.model import WHITESPACE
from lakehead.contract.plan import OutputColumn, column_plan

FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Make = Callable[..., Contract]
Judge = Callable[..., list[Any]]


def options(name: str, kind: str, **found: Any) -> dict[str, Any]:
    logical = {"int": "integer", "varchar": "string", "date": "date", "timestamp": "timestamp"}.get(kind, "number")
    return {"name": name, "logicalType": logical, "physicalType": kind, "logicalTypeOptions": found}


def metric(name: str, kind: str, metric: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "physicalType": kind, "quality": [{"metric": metric, "mustBe": 0, "arguments": arguments}]}


@pytest.mark.parametrize(
    ("entry", "good", "bad", "reason"),
    [
        (options("a", "int", minimum=0), ["0", "5"], ["-1"], "less than 0"),
        (options("a", "int", exclusiveMinimum=0), ["1"], ["0", "-1"], "not more than 0"),
        (options("a", "int", maximum=9.5), ["9", "-3"], ["10"], "more than 9.5"),
        (options("a", "int", exclusiveMaximum=10), ["9"], ["10", "11"], "not less than 10"),
        (options("a", "int", multipleOf=5), ["0", "-10", "15"], ["3", "-1"], "not a multiple of 5"),
        (options("a", "int", multipleOf=2.5), ["0", "5", "-10"], ["2", "3"], "not a multiple of 2.5"),
        (options("a", "int", format="u8"), ["0", "255"], ["256"], "more than 255"),
        (options("a", "int", minimum=-1e30), ["0", "-2147483648"], [], ""),
        (options("a", "int", minimum=1e30), [], ["0", "2147483647"], "less than 1000000000000000000000000000000"),
        (options("a", "decimal(5,2)", minimum=0.005), ["0.01"], ["0", "0.00"], "less than 0.005"),
        (options("a", "decimal(5,2)", exclusiveMaximum=1), ["0.99", "-1"], ["1", "1.00"], "not less than 1"),
        (options("a", "decimal(5,2)", multipleOf=0.05), ["0.1", "-0.15"], ["0.11"], "not a multiple of 0.05"),
        (options("a", "double", maximum=0.5), ["0.5", "-1e9"], ["0.6"], "more than 0.5"),
        (options("a", "varchar", minLength=2, maxLength=3), ["ab", "äöü"], ["a", "abcd"], "not 2 to 3 characters long"),
        (options("a", "varchar", maxLength=3), ["ab"], ["abcd"], "longer than 3 characters"),
        (options("a", "varchar", minLength=2), ["ab"], ["a"], "shorter than 2 characters"),
        ({"name": "a", "physicalType": "varchar(2)"}, ["ab"], ["abc"], "longer than 2 characters"),
        (options("a", "varchar", pattern="C[0-9]+"), ["C1"], ["C", "xC1", "C1x"], "does not match C[0-9]+"),
        (options("a", "date", minimum="2025-01-01"), ["2025-01-01"], ["2024-12-31"], "less than 2025-01-01"),
        (
            options("a", "timestamp", exclusiveMaximum="2025-01-01T12:00:00Z"),
            ["2025-01-01 11:59:59"],
            ["2025-01-01T12:00:00Z"],
            "not less than 2025-01-01 12:00:00",
        ),
        (
            metric("a", "varchar", "invalidValues", validValues=["x", "it's"]),
            ["x", " it's "],
            ["X", "y"],
            "not one of the valid values",
        ),
        (
            metric("a", "decimal(5,2)", "invalidValues", validValues=[1, 2.5, 1.005]),
            ["1", "2.50"],
            ["3"],
            "not one of the valid values",
        ),
        (metric("a", "int", "invalidValues", validValues=[0.5]), [], ["0"], "not one of the valid values"),
        (metric("a", "boolean", "invalidValues", validValues=[True]), ["yes"], ["no"], "not one of the valid values"),
        (
            metric("a", "date", "invalidValues", validValues=["2025-01-01"]),
            ["2025-01-01"],
            ["2025-01-02"],
            "not one of the valid values",
        ),
        (metric("a", "varchar", "invalidValues", pattern="[a-z]+"), ["ab"], ["A"], "does not match [a-z]+"),
        (metric("a", "varchar", "missingValues", missingValues=["N/A", "-"]), ["x"], ["N/A", " - "], "missing value"),
    ],
)
def test_a_rule_sorts_rows(
    make: Make, judge: Judge, entry: dict[str, Any], good: list[str], bad: list[str], reason: str
) -> None:
    rows = [{"a": text} for text in [*good, *bad, None]]
    found = judge(make(entry), rows)
    assert [row.reasons for row in found] == [[]] * len(good) + [[f"a: {reason}"]] * len(bad) + [[]]
    assert all(row.values["a"] is not None for row in found[:-1])


@pytest.mark.parametrize(
    ("entry", "reasons"),
    [
        ({"name": "a", "logicalType": "string", "required": True}, ["a: required"]),
        ({"name": "a", "physicalType": "int", "required": True}, ["a: required"]),
        ({"name": "a", "physicalType": "int", "primaryKey": True}, ["a: required"]),
        (metric("a", "int", "nullValues"), ["a: required"]),
        (metric("a", "int", "missingValues"), ["a: missing value"]),
        ({**metric("a", "varchar", "missingValues", missingValues=[None, "x"]), "required": True}, ["a: required"]),
        ({"name": "a", "physicalType": "int"}, []),
    ],
)
def test_null_breaks_what_forbids_it(make: Make, judge: Judge, entry: dict[str, Any], reasons: list[str]) -> None:
    for row in judge(
        make(entry, custom={"csvNullTexts": ["-"]}), [{"a": text} for text in (None, "", " \t\u00a0", "-", " - ")]
    ):
        assert row.reasons == reasons


def test_every_reason_is_told_in_column_order(make: Make, judge: Judge) -> None:
    contract = make(
        {"name": "z", "logicalType": "string", "required": True},
        options("a", "int", minimum=10, multipleOf=2),
        {"name": "m", "physicalType": "decimal(12,2)"},
    )
    (row,) = judge(contract, [{"z": "", "a": "3", "m": "1.005"}])
    assert row.reasons == [
        "z: required",
        "a: less than 10",
        "a: not a multiple of 2",
        "m: does not fit decimal(12,2) without loss",
    ]
    assert row.values == {"z": None, "a": 3, "m": None}


def test_reasons_never_hold_the_value_or_a_line_feed(make: Make, judge: Judge) -> None:
    contract = make(options("a", "varchar", pattern="x\ny"), options("b", "int"))
    (row,) = judge(contract, [{"a": "secret\nvalue", "b": "secret"}])
    assert row.reasons == ["a: does not match x y", "b: not an integer"]


def test_absent_columns_are_null(make: Make, judge: Judge) -> None:
    contract = make(
        {"name": "a", "logicalType": "string", "required": True},
        {"name": "b", "physicalType": "int"},
        {"name": "c", "logicalType": "string", "transformLogic": '"Odd ""name"", 2"'},
    )
    assert contract.source_columns == (
        SourceColumn("a", True),
        SourceColumn("b", False),
        SourceColumn('Odd "name", 2', False),
    )
    (row,) = judge(contract, [{"a": "x"}], frozenset({"b", 'Odd "name", 2'}))
    assert row.values == {"a": "x", "b": None, "c": None}
    (row,) = judge(contract, [{"a": "x", "b": "1", 'Odd "name", 2': "y"}])
    assert row.values == {"a": "x", "b": 1, "c": "y"}


def test_of_rows_with_one_key_the_first_good_one_stays(make: Make, judge: Judge) -> None:
    contract = make({"name": "id", "physicalType": "int", "unique": True}, options("n", "int", minimum=0))
    rows = [("1", "-5"), ("1", "1"), ("01", "2"), ("2", "1"), ("", "1"), ("", "1"), ("2", "-1"), ("1", "x")]
    found = judge(contract, [{"id": key, "n": number} for key, number in rows])
    assert [row.reasons for row in found] == [
        ["n: less than 0"],
        [],
        ["id: not unique"],
        [],
        [],
        [],
        ["n: less than 0"],
        ["n: not an integer"],
    ]


def test_a_primary_key_may_have_several_columns(make: Make, judge: Judge) -> None:
    contract = make(
        {"name": "line", "physicalType": "int", "primaryKey": True, "primaryKeyPosition": 2},
        {"name": "order_id", "physicalType": "int", "primaryKey": True, "primaryKeyPosition": 1},
        {"name": "code", "logicalType": "string", "unique": True},
    )
    assert contract.unique_keys == (("order_id", "line"), ("code",))
    rows = [("1", "1", "a"), ("2", "1", "b"), ("1", "1", "c"), ("1", "2", "a"), ("1", "3", "c")]
    found = judge(contract, [{"line": line, "order_id": order, "code": code} for order, line, code in rows])
    # The third row is out by its key, so its code is free for the last one.
    assert [row.reasons for row in found] == [[], [], ["order_id, line: not unique"], ["code: not unique"], []]


keys = st.lists(st.tuples(st.sampled_from(["1", "2", "3", "", "x"]), st.sampled_from(["a", "b", ""])), max_size=12)


@FUZZ
@given(keys)
def test_uniqueness_agrees_with_a_loop(make: Make, judge: Judge, rows: list[tuple[str, str]]) -> None:
    contract = make(
        {"name": "i", "physicalType": "int", "unique": True}, {"name": "s", "logicalType": "string", "unique": True}
    )
    good = [(line, *row) for line, row in enumerate(rows) if row[0] != "x"]
    out: dict[int, list[str]] = {line: ["i: not an integer"] for line, row in enumerate(rows) if row[0] == "x"}
    for column, name in ((1, "i"), (2, "s")):
        seen = {""}
        for row in list(good):
            key = str(row[column])
            if key and key in seen:
                out[row[0]] = [f"{name}: not unique"]
                good.remove(row)
            seen.add(key)
    expected = [out.get(line, []) for line in range(len(rows))]
    assert [row.reasons for row in judge(contract, [{"i": i, "s": s} for i, s in rows])] == expected


def test_the_plan_names_what_comes_out(make: Make) -> None:
    plan = column_plan(
        make(
            {"name": "day", "logicalType": "date", "required": True, "partitioned": True},
            {"name": "price", "physicalType": "NUMERIC(12, 2)"},
        )
    )
    assert plan.output_columns == (OutputColumn("day", "date", partition=True), OutputColumn("price", "decimal(12,2)"))
    assert plan.source_columns == (SourceColumn("day", True), SourceColumn("price", False))


def test_types_are_those_that_were_promised(make: Make, db: duckdb.DuckDBPyConnection) -> None:
    kinds = ["varchar", "smallint", "int", "bigint", "decimal(12,2)", "double", "boolean", "date", "timestamp"]
    contract = make(
        *({"name": f"c{n}", "physicalType": kind} for n, kind in enumerate(kinds)),
        {"name": "d", "physicalType": "int", "transformLogic": "c1 + c2"},
    )
    plan = column_plan(contract)
    nothing = ", ".join(f"NULL::VARCHAR AS {column.name}" for column in plan.source_columns)
    described = db.execute(f"DESCRIBE {plan.select_sql(f'(SELECT 1::BIGINT AS _line, {nothing})')}").fetchall()
    found = [(row[0], row[1].lower()) for row in described]
    assert found == [("_line", "bigint"), *((c.name, c.type) for c in plan.output_columns), ("_reasons", "varchar[]")]


def test_casts_over_read_csv_lose_no_row(make: Make, db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a,b\n" + "".join(f"{'x' if n % 7 == 0 else n},{n}\n" for n in range(3000)))
    contract = make({"name": "a", "physicalType": "int"}, {"name": "b", "physicalType": "decimal(12,2)"})
    source = (
        f"(SELECT ROW_NUMBER() OVER () AS _line, * FROM read_csv('{file}', columns={{'a': 'VARCHAR', 'b': 'VARCHAR'}}, "
        "header=true, delim=',', quote='\"', escape='\"', auto_detect=false, store_rejects=true))"
    )
    counts = "SELECT COUNT(*), COUNT(*) FILTER (WHERE LEN(_reasons) = 0), SUM(b)"
    found = db.execute(f"{counts} FROM ({column_plan(contract).select_sql(source)})").fetchone()
    assert found == (3000, 3000 - 429, Decimal(3000 * 2999 // 2))


def test_the_query_can_be_written_for_spark(make: Make) -> None:
    import sqlglot
    from sqlglot.errors import ErrorLevel

    contract = make(
        {"name": "id", "physicalType": "bigint", "primaryKey": True},
        options("price", "decimal(12,2)", minimum=0, multipleOf=0.05),
        options("day", "date", format="dd/MM/yyyy"),
        options("at", "timestamp"),
        options("late", "timestamp", format="d.M.yyyy h:mm a"),
        {"name": "ok", "logicalType": "boolean"},
        {"name": "total", "physicalType": "decimal(14,2)", "transformLogic": "ROUND(id * price * 0.5, 2)"},
        custom={"csvNullTexts": ["N/A"]},
    )
    written = column_plan(contract).select_sql("raw")
    (spark,) = sqlglot.transpile(written, read="duckdb", write="spark", unsupported_level=ErrorLevel.RAISE)
    assert "TRY_CAST" in spark
    assert "RLIKE" in spark
    assert not [word for word in ("STARTS_WITH", "STRING_SPLIT", "REGEXP_MATCHES", "VARCHAR[]") if word in spark]


def test_names_of_the_query_itself_cannot_clash(make: Make, judge: Judge) -> None:
    """Source columns named like the query's own, and columns named like SQL keywords."""
    contract = make(
        {"name": "select", "physicalType": "int", "transformLogic": '"_t0"'},
        {"name": "order", "logicalType": "string", "transformLogic": "_reasons"},
        {"name": "group", "physicalType": "int", "transformLogic": '"select" + 1'},
    )
    (row,) = judge(contract, [{"_t0": "4", "_reasons": "x"}])
    assert row.values == {"select": 4, "order": "x", "group": 5}


@FUZZ
@given(st.text("ab'\"\\;-/*%_{}$ \t\n\u00a0\u00e9\u20ac()", min_size=1, max_size=12))
def test_any_text_in_a_contract_is_only_text(make: Make, judge: Judge, text: str) -> None:
    contract = make(
        {
            "name": "a",
            "logicalType": "string",
            "quality": [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": [text]}}],
        },
        {"name": "b", "logicalType": "string", "transformLogic": f"'{text.replace(chr(39), chr(39) * 2)}'"},
        custom={"csvNullTexts": ["N" + text]},
    )
    (row,) = judge(contract, [{"a": text}])
    stripped = text.strip(" \t\n\v\f\r\u00a0")
    assert row.values == {"a": stripped or None, "b": text}
    assert row.reasons == ([] if stripped in (text, "") else ["a: not one of the valid values"])
    assert json.dumps(row.reasons)


NUMBERS = ("0", "7", "-1", "007", "+7", " 7", "7 ", "1.5", "1.50", "1.", ".5", "1.005", "1e3", "99999999999", "0x10")
TIMES = ("2025-01-31", "2025-02-30", "2025-1-5", " 2025-01-31", "2025-01-31 10:00:00", "31/01/2025", "1_000")
TEXTS = ("true", "YES", " no", "x", "\u00a0x", "x\u00a0", "\tx", "é", "ab cd", "N/A", " N/A ", "", "''", "~", "!")
CELLS = st.sampled_from([*NUMBERS, *TIMES, *TEXTS])
FINE = ("1", "2.5", "31/01/2025", "2025-01-31", "2025-01-31 10:00:00", "true", "1e3", "x y", "z")


@st.composite
def mostly_fine(draw: st.DrawFn) -> tuple[str, ...]:
    """A row of which one or two cells may be anything."""
    row = list(FINE)
    for at in draw(st.lists(st.integers(0, len(FINE) - 1), max_size=2)):
        row[at] = draw(CELLS)
    return tuple(row)


@FUZZ
@given(rows=st.lists(mostly_fine(), min_size=10, max_size=30), blanks=st.booleans())
def test_rows_that_are_sure_are_what_the_whole_query_makes_of_them(
    make: Make, judge: Judge, db: duckdb.DuckDBPyConnection, rows: list[tuple[str, ...]], blanks: bool
) -> None:
    """And a row that is not sure is handed on as it was read."""
    contract = make(
        {"name": "id", "physicalType": "bigint", "required": True},
        options("price", "decimal(12,2)", minimum=0),
        options("day", "date", format="dd/MM/yyyy"),
        {"name": "at", "physicalType": "date", "required": True},
        options("stamp", "timestamp"),
        {"name": "ok", "logicalType": "boolean"},
        {"name": "much", "physicalType": "double"},
        options("name", "varchar", maxLength=4),
        {"name": "word", "physicalType": "varchar", "required": True},
        {"name": "total", "physicalType": "decimal(5,2)", "transformLogic": "id * price"},
        custom={"csvNullTexts": ["N/A"]},
    )
    plan = column_plan(contract)
    names = tuple(column.name for column in plan.source_columns)
    found = judge(contract, [dict(zip(names, (cell or None for cell in row), strict=True)) for row in rows])
    seen = "".join(blank for blank in WHITESPACE if any(blank in cell for row in rows for cell in row))
    sure = db.execute(f"SELECT * FROM ({plan.sure_sql('raw', names, WHITESPACE if blanks else seen)}) ORDER BY _line")
    doubtful = []
    for row, (line, *values, text), read in zip(found, sure.fetchall(), rows, strict=True):
        assert row.line == line
        if text is None:
            assert (list(row.values.values()), row.reasons) == (values, [])
        else:
            assert text == ",".join(read)
            doubtful.append((row.line, text, row))
    if doubtful:
        db.execute("CREATE OR REPLACE TEMP TABLE doubtful (_line BIGINT, _text VARCHAR)")
        db.executemany("INSERT INTO doubtful VALUES (?, ?)", [(line, text) for line, text, _ in doubtful])
        query = plan.select_sql(plan.fields_sql("doubtful", names))
        again = db.execute(f"SELECT * FROM ({query}) ORDER BY _line").fetchall()
        assert again == [(row.line, *row.values.values(), row.reasons) for _, _, row in doubtful]


def test_common_rows_need_no_closer_look(make: Make, db: duckdb.DuckDBPyConnection) -> None:
    contract = make(
        {"name": "id", "physicalType": "bigint", "required": True},
        options("price", "decimal(12,2)", minimum=0),
        {"name": "day", "physicalType": "date"},
        options("name", "varchar", maxLength=9),
        {"name": "ok", "logicalType": "boolean"},
        {"name": "total", "physicalType": "decimal(14,2)", "transformLogic": "id * price"},
    )
    rows = "(1, '1', '1.5', '2025-01-31', 'é b', 'true'), (2, '-20', NULL, NULL, NULL, NULL)"
    rows += ", (3, '3', '0', NULL, '日本', 'N')"
    relation = f"(SELECT * FROM (VALUES {rows}) t(_line, id, price, day, name, ok))"
    query = column_plan(contract).sure_sql(relation, ("id", "price", "day", "name", "ok"))
    assert db.execute(f"SELECT COUNT(*), COUNT(_text) FROM ({query})").fetchone() == (3, 0)
