"""transformLogic: exact arithmetic, no row that fails the query, and reasons that blame the right column."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehead.contract import Contract
from lakehead.errors import UnsupportedContract

FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Make = Callable[..., Contract]
Judge = Callable[..., list[Any]]

INPUTS: list[dict[str, Any]] = [
    {"name": "quantity", "logicalType": "integer", "physicalType": "int"},
    {"name": "price", "physicalType": "decimal(12,2)"},
    {"name": "rate", "physicalType": "double"},
    {"name": "name", "logicalType": "string"},
    {"name": "at", "logicalType": "timestamp"},
    {"name": "day", "logicalType": "date"},
    {"name": "gift", "logicalType": "boolean"},
]
ROW: dict[str, str | None] = {
    "quantity": "7",
    "price": "19.99",
    "rate": "0.5",
    "name": "Mouse é",
    "at": "2025-03-04 05:06:07",
    "day": "2025-03-04",
    "gift": "true",
}


@pytest.mark.parametrize(
    ("logic", "kind", "expected"),
    [
        ("quantity * price", "decimal(14,2)", Decimal("139.93")),
        ("quantity * price * (1 - 0.25)", "decimal(20,4)", Decimal("104.9475")),
        ("-quantity", "int", -7),
        ("quantity % 4 + MOD(quantity, 0)", "int", None),
        ("quantity % 4", "int", 3),
        ("ABS(quantity - 10)", "int", 3),
        ("ROUND(price, 1)", "decimal(12,1)", Decimal("20.0")),
        ("ROUND(-price * 0.5, 2)", "decimal(12,2)", Decimal("-10.00")),
        ("ROUND(quantity * price)", "decimal(14,2)", Decimal("140.00")),
        ("quantity * rate", "double", 3.5),
        ("quantity / 2", "double", 3.5),
        ("price / 0", "double", None),
        ("CAST(quantity AS DOUBLE) / 4", "double", 1.75),
        ("CAST(at AS DATE)", "date", date(2025, 3, 4)),
        ("at::date", "date", date(2025, 3, 4)),
        ("DATE_TRUNC('month', day)", "date", date(2025, 3, 1)),
        ("date_trunc('day', at)", "timestamp", datetime.fromisoformat("2025-03-04T00:00:00")),
        ("YEAR(day) * 100 + EXTRACT(MONTH FROM at)", "int", 202503),
        ("CASE WHEN quantity > 5 AND gift THEN 'big gift' WHEN gift THEN 'gift' END", "varchar", "big gift"),
        ("CASE quantity WHEN 7 THEN price ELSE 0 END", "decimal(12,2)", Decimal("19.99")),
        ("IF(day >= DATE '2025-03-04', 1, 2)", "smallint", 1),
        ("COALESCE(NULLIF(quantity, 7), 0)", "int", 0),
        ("GREATEST(quantity, price)", "decimal(12,2)", Decimal("19.99")),
        ("LEAST(quantity, 3)", "int", 3),
        ("UPPER(name) || '-' || CAST(quantity AS VARCHAR)", "varchar", "MOUSE É-7"),
        ("SUBSTRING(name, 1, 5) || TRIM(' x ')", "varchar", "Mousex"),
        ("LENGTH(name)", "int", 7),
        ("quantity BETWEEN 1 AND 10 AND name IN ('Mouse é', 'x') AND price IS NOT NULL", "boolean", True),
        ("NOT gift OR quantity = 7.0", "boolean", True),
        ("CAST(day AS TIMESTAMP)", "timestamp", datetime.fromisoformat("2025-03-04T00:00:00")),
        ("CAST(price AS DECIMAL(38,10))", "decimal(38,10)", Decimal("19.9900000000")),
    ],
)
def test_what_an_expression_gives(make: Make, judge: Judge, logic: str, kind: str, expected: Any) -> None:
    contract = make(*INPUTS, {"name": "out", "physicalType": kind, "transformLogic": logic})
    (row, empty) = judge(contract, [ROW, {}])
    assert row.values["out"] == expected
    assert type(row.values["out"]) is type(expected)
    assert row.reasons == []
    assert empty.reasons == []


@pytest.mark.parametrize(
    ("logic", "kind", "words"),
    [
        ("quantity + name", "int", "where a number is needed"),
        ("name = 1", "boolean", "mixed"),
        ("day > '2025-01-01'", "boolean", "mixed"),
        ("CAST(name AS INTEGER)", "int", "CAST from varchar"),
        ("CAST(price AS INTEGER)", "int", "CAST from decimal"),
        ("CAST(rate AS VARCHAR)", "varchar", "CAST from double"),
        ("ROUND(rate, 2)", "double", "exact numbers"),
        ("rate * 2", "decimal(12,2)", "not exact"),
        ("CONCAT(name, name)", "varchar", "Concat is not supported"),
        ("name LIKE 'x%'", "boolean", "Like is not supported"),
        ("quantity // 2", "int", "IntDiv is not supported"),
        ("COUNT(*)", "int", "Count is not supported"),
        ("SUM(quantity) OVER ()", "int", "Window is not supported"),
        ("CURRENT_DATE", "date", "CurrentDate is not supported"),
        ("now()", "timestamp", "now is not supported"),
        ("getenv('HOME')", "varchar", "is not supported"),
        ("quantity BETWEEN SYMMETRIC 1 AND 2", "boolean", "SYMMETRIC is not supported"),
        ("quantity AS x", "int", "alias"),
        ("orders.quantity", "int", "is no column"),
        ("QUANTITY + 1", "int", "is no column"),
        ('"_Line"', "varchar", "its own use for the name _Line"),
        ('"_extra3"', "varchar", "its own use for the name"),
        ("SUBSTRING(name, 0, 2)", "varchar", "from 1"),
        ("DATE '2025-02-30'", "date", "is no date"),
        ("1e3", "int", "without an exponent"),
        ("price * price * price * price", "decimal(38,8)", "can need 48 digits"),
        ("CASE WHEN quantity THEN 1 END", "int", "a condition is needed"),
        ("(((((", "int", "no SQL expression"),
        ("1 + " * 3000 + "1", "int", "10,000 characters"),
        ("(" * 900 + "1" + ")" * 900, "int", "nested too deeply|no SQL"),
    ],
)
def test_what_engines_would_not_answer_alike_is_refused(make: Make, logic: str, kind: str, words: str) -> None:
    with pytest.raises(UnsupportedContract, match=words):
        make(*INPUTS, {"name": "out", "physicalType": kind, "transformLogic": logic})


def test_computed_columns_follow_one_another(make: Make, judge: Judge) -> None:
    contract = make(
        {"name": "gross", "physicalType": "decimal(20,4)", "transformLogic": "net + tax"},
        {"name": "tax", "physicalType": "decimal(18,4)", "transformLogic": "net * 0.19"},
        {"name": "net", "physicalType": "decimal(14,2)", "transformLogic": "quantity * price"},
        *INPUTS,
    )
    (row,) = judge(contract, [ROW])
    assert row.values["gross"] == Decimal("139.93") * Decimal("1.19")


def test_an_overflow_has_a_reason_and_a_failed_input_has_only_its_own(make: Make, judge: Judge) -> None:
    total = {"name": "total", "physicalType": "decimal(6,1)", "transformLogic": "quantity * price", "required": True}
    double = {"name": "twice", "physicalType": "decimal(6,1)", "transformLogic": "total * 2", "required": True}
    contract = make(*INPUTS[:2], total, double)
    rows = [("1", "99999.90"), ("1", "100000.00"), ("1", "1.25"), ("x", "1"), (None, "1"), ("4", "0.50")]
    found = judge(contract, [{"quantity": quantity, "price": price} for quantity, price in rows])
    assert [row.reasons for row in found] == [
        ["twice: overflows decimal(6,1)"],
        ["total: overflows decimal(6,1)"],
        ["total: does not fit decimal(6,1) without loss"],
        ["quantity: not an integer"],
        ["total: required"],
        [],
    ]
    assert found[1].values == {"quantity": 1, "price": Decimal("100000.00"), "total": None, "twice": None}
    assert found[-1].values["twice"] == Decimal("4.0")


@FUZZ
@given(
    st.lists(
        st.tuples(st.integers(-(2**31), 2**31 - 1), st.decimals("-9999999999.99", "9999999999.99", places=2)),
        min_size=1,
    )
)
def test_money_is_exact_or_refused(make: Make, judge: Judge, rows: list[tuple[int, Decimal]]) -> None:
    contract = make(
        *INPUTS[:2], {"name": "total", "physicalType": "decimal(14,2)", "transformLogic": "quantity * price"}
    )
    found = judge(contract, [{"quantity": str(quantity), "price": str(price)} for quantity, price in rows])
    for (quantity, price), row in zip(rows, found, strict=True):
        with localcontext(prec=60):
            exact = quantity * price
        fits = abs(exact) < Decimal(10) ** 12
        assert row.values["total"] == (exact if fits else None)
        assert row.reasons == ([] if fits else ["total: overflows decimal(14,2)"])


whole = st.integers(-99999, 99999)
leaves = st.sampled_from(["a", "b", "c", "1", "0.5", "12.345"])
trees = st.recursive(
    leaves,
    lambda t: st.builds("({} {} {})".format, t, st.sampled_from("+-*"), t) | st.builds("(-{})".format, t),
    max_leaves=6,
)


@FUZZ
@given(trees, st.lists(st.tuples(whole, whole, whole), min_size=1, max_size=5))
def test_any_arithmetic_is_exact(make: Make, judge: Judge, logic: str, rows: list[tuple[int, int, int]]) -> None:
    entries = [
        {"name": "a", "physicalType": "smallint"},
        {"name": "b", "physicalType": "decimal(5,1)"},
        {"name": "c", "physicalType": "decimal(5,3)"},
        {"name": "out", "physicalType": "decimal(38,18)", "transformLogic": logic},
    ]
    try:
        contract = make(*entries)
    except UnsupportedContract as error:
        assert "digits" in error.message or "no property" in error.message
        return
    values = [{"a": a // 4, "b": Fraction(b, 10), "c": Fraction(c, 1000)} for a, b, c in rows]
    texts = [{"a": str(a // 4), "b": str(Decimal(b) / 10), "c": str(Decimal(c) / 1000)} for a, b, c in rows]
    tree = logic
    for number in ("12.345", "0.5"):
        tree = tree.replace(number, f"Fraction('{number}')")
    for row, value in zip(judge(contract, texts), values, strict=True):
        exact = eval(tree, {"Fraction": Fraction, **value})
        units = Fraction(exact) * 10**18
        if row.values["out"] is None:
            assert units.denominator != 1 or abs(units) >= 10**38
        elif row.values["out"] is not None:
            assert Fraction(row.values["out"]) == exact
