"""Every cast agrees with a reference written in plain Python, on texts made to be nasty."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lakehead.contract import Contract

BLANKS = " \t\n\v\f\r\u00a0"
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Judge = Callable[..., list[Any]]
Make = Callable[..., Contract]

digits = st.text("0123456789", max_size=24)
numbers = st.builds(
    lambda sign, whole, point, fraction, zeros: f"{sign}{whole}{point}{fraction}{zeros}",
    st.sampled_from(["", "", "+", "-"]),
    digits,
    st.sampled_from(["", "."]),
    st.text("0123456789", max_size=6),
    st.sampled_from(["", "0", "000000"]),
)
EDGES = [
    "1e3",
    "1E+2",
    "1,000",
    "0x10",
    "0b1",
    "1_000",
    "infinity",
    "-inf",
    "nan",
    "NaN",
    "\u0663",
    "\u00b9",
    "\uff11",
    ".",
    "+",
    "-",
    "+.",
    "-.",
    ".5",
    "5.",
    "+.5",
    "--1",
    "+-1",
    "1.0",
    "1.",
    "1.50",
    "1..0",
    "9999999999.99",
    "9999999999.995",
    "10000000000",
    "99999999999999",
    "0.001",
    "0.010",
    "0.005",
    "-0",
    "-0.00",
    "00000000000000000000001",
    "1e308",
    "1e309",
    "1.7976931348623157e308",
    "4.9e-324",
    "1e-999",
    "1d",
    "1f",
    "0x1p3",
    "1e",
    "1e+",
    "e1",
    "1e99999",
    "true",
    "TRUE",
    "t",
    "f",
    "F",
    "no",
    "Yes",
    "on",
    "off",
    "2",
    "truely",
    "null",
    "NULL",
    "N/A",
    "2025-01-01",
    "2025-02-29",
    "2024-02-29",
    "2025-02-30",
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
    "10000-01-01",
    "2025-1-1",
    "2025/01/01",
    "2025-01-01T00:00:00",
    "20250101",
    "-2025-01-01",
    "epoch",
    "today",
    "2025-13-01",
    "2025-00-10",
    "2025-01-00",
]
EDGES += [str(sign * (2**bits + by)) for bits in (15, 31, 63, 64) for by in (-1, 0, 1) for sign in (1, -1)]
EDGES += ["2026-01-01 (BC)", "2025-01-01 00:00:00", "", " ", "'", '"', "a\nb", "1\n2", "1\x00", "1\u2028", "\ufeff1"]
NULLS = ("N/A", "-1", "2025-01-01", "1.50")
edges = st.sampled_from(EDGES)
noise = st.text("0123456789+-.eEx,_:TZ/ \t\n\u00a0\x1c\x85ab\u0663é'\"\\%{}", max_size=14)
blank = st.text(BLANKS, max_size=2)
texts = st.builds(lambda a, b, c: a + b + c, blank, st.one_of(numbers, edges, noise), blank)


def cleaned(text: str, nulls: tuple[str, ...] = ()) -> str | None:
    kept = text.strip(BLANKS)
    return None if kept == "" or kept in nulls else kept


def integer(text: str, bits: int, name: str) -> Any:
    if not re.fullmatch("[+-]?[0-9]+", text):
        return "not an integer"
    value = int(text)
    return value if -(2 ** (bits - 1)) <= value < 2 ** (bits - 1) else f"overflows {name}"


def decimal(text: str, precision: int, scale: int) -> Any:
    if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", text):
        return "not a number"
    units = Fraction(text if text[-1] != "." else text[:-1]) * 10**scale
    if abs(math.trunc(units)) >= 10**precision:
        return f"overflows decimal({precision},{scale})"
    if units.denominator != 1:
        return f"does not fit decimal({precision},{scale}) without loss"
    return Decimal(f"{int(units)}E-{scale}")


def double(text: str) -> Any:
    if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", text):
        return "not a number"
    return float(text) if math.isfinite(float(text)) else "overflows double"


def boolean(text: str) -> Any:
    if text.lower() in ("true", "t", "yes", "y", "1"):
        return True
    return False if text.lower() in ("false", "f", "no", "n", "0") else "not a boolean (true or false)"


def day(text: str) -> Any:
    try:
        assert re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text)
        return date.fromisoformat(text)
    except (ValueError, AssertionError):
        return "not a date (yyyy-MM-dd)"


def moment(text: str) -> Any:
    offset = "(Z|([+-])([0-9]{2})(:?([0-9]{2}))?)?"
    found = re.fullmatch(rf"([0-9-]{{10}})[T ]([0-9:]{{8}})(\.[0-9]{{1,6}})?{offset}", text)
    try:
        assert found
        value = datetime.fromisoformat(f"{found[1]} {found[2]}")
        value = value.replace(microsecond=int((found[3] or ".")[1:].ljust(6, "0")))
        if found[5]:
            hours, minutes = int(found[6]), int(found[8] or 0)
            assert minutes < 60 and (hours < 18 or (hours == 18 and minutes == 0))
            assert "0001-01-02" <= found[1] <= "9999-12-30"
            value -= timedelta(hours=hours, minutes=minutes) * (1 if found[5] == "+" else -1)
        return value
    except (ValueError, AssertionError):
        return "not a timestamp (ISO 8601)"


COLUMNS: dict[str, tuple[dict[str, Any], Callable[[str], Any]]] = {
    "s": ({"logicalType": "string"}, str),
    "i2": ({"logicalType": "integer", "physicalType": "smallint"}, lambda t: integer(t, 16, "smallint")),
    "i4": ({"logicalType": "integer", "physicalType": "int"}, lambda t: integer(t, 32, "integer")),
    "i8": ({"logicalType": "integer"}, lambda t: integer(t, 64, "bigint")),
    "d": ({"logicalType": "number", "physicalType": "DECIMAL(12, 2)"}, lambda t: decimal(t, 12, 2)),
    "d0": ({"logicalType": "integer", "physicalType": "decimal(38)"}, lambda t: decimal(t, 38, 0)),
    "d3": ({"physicalType": "numeric(3,3)"}, lambda t: decimal(t, 3, 3)),
    "f": ({"logicalType": "number", "physicalType": "double"}, double),
    "b": ({"logicalType": "boolean"}, boolean),
    "a": ({"logicalType": "date"}, day),
    "t": ({"logicalType": "timestamp"}, moment),
}


@pytest.fixture(scope="module")
def everything(make: Make) -> Contract:
    """One column of every type, all read from the same text."""
    return make(*({"name": name, "transformLogic": "Text", **entry} for name, (entry, _) in COLUMNS.items()))


@pytest.fixture(scope="module")
def single(make: Make) -> dict[str, Contract]:
    """A contract of one column for every type: its text takes the fast path where it can."""
    nulls = {"csvNullTexts": list(NULLS)}
    return {name: make({"name": name, **entry}, custom=nulls) for name, (entry, _) in COLUMNS.items()}


def expected(text: str | None, name: str) -> tuple[Any, list[str]]:
    found = None if text is None else COLUMNS[name][1](text)
    if isinstance(found, str) and name != "s":
        return None, [f"{name}: {found}"]
    return found, []


@FUZZ
@given(st.lists(texts, min_size=1, max_size=60))
@example(EDGES)
@example([f" {text}\t" for text in EDGES])
def test_all_types_of_one_text_agree_with_the_reference(
    everything: Contract, judge: Judge, given_texts: list[str]
) -> None:
    for text, row in zip(given_texts, judge(everything, [{"Text": text} for text in given_texts]), strict=True):
        wanted = {name: expected(cleaned(text), name) for name in COLUMNS}
        assert row.values == {name: value for name, (value, _) in wanted.items()}, repr(text)
        assert row.reasons == [reason for _, reasons in wanted.values() for reason in reasons], repr(text)


@pytest.mark.parametrize("name", COLUMNS)
@settings(FUZZ, max_examples=20)
@given(st.lists(st.one_of(texts, st.sampled_from(NULLS)), min_size=1, max_size=30))
@example([*EDGES, *NULLS])
def test_the_fast_path_and_null_texts_agree_with_the_reference(
    single: dict[str, Contract], judge: Judge, name: str, given_texts: list[str]
) -> None:
    for text, row in zip(given_texts, judge(single[name], [{name: text} for text in given_texts]), strict=True):
        assert (row.values[name], row.reasons) == expected(cleaned(text, NULLS), name), repr(text)


@settings(FUZZ, max_examples=30)
@given(
    st.lists(st.datetimes(), min_size=1),
    st.sampled_from([("T", ""), (" ", "Z"), (" ", "+05:30"), ("T", "-0800"), (" ", "+18")]),
)
def test_real_moments_are_read_exactly(
    everything: Contract, judge: Judge, moments: list[datetime], style: tuple[str, str]
) -> None:
    written = [value.isoformat(sep=style[0]) + style[1] for value in moments]
    for text, row in zip(written, judge(everything, [{"Text": text} for text in written]), strict=True):
        wanted = moment(text)
        assert row.values["t"] == (None if isinstance(wanted, str) else wanted), text


@settings(FUZZ, max_examples=30)
@given(
    st.lists(
        st.one_of(st.dates().map(str), st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str)),
        min_size=1,
    )
)
def test_real_dates_and_amounts_are_read_exactly(everything: Contract, judge: Judge, written: list[str]) -> None:
    for text, row in zip(written, judge(everything, [{"Text": text} for text in written]), strict=True):
        assert (row.values["a"], row.values["d"]) == (expected(text, "a")[0], expected(text, "d")[0]), text


def test_a_null_is_null_whatever_its_column(everything: Contract, judge: Judge) -> None:
    (row,) = judge(everything, [{"Text": None}])
    assert set(row.values.values()) == {None}
    assert row.reasons == []


@pytest.mark.parametrize(
    ("zone", "good", "bad"),
    [
        (True, "2025-01-01T10:00:00+02:00", "2025-01-01T10:00:00"),
        (False, "2025-01-01T10:00:00", "2025-01-01T10:00:00Z"),
    ],
)
def test_an_offset_can_be_demanded_or_refused(make: Make, judge: Judge, zone: bool, good: str, bad: str) -> None:
    contract = make({"name": "t", "logicalType": "timestamp", "logicalTypeOptions": {"timezone": zone}})
    first, second = judge(contract, [{"t": good}, {"t": bad}])
    assert first.values["t"] == datetime.fromisoformat(f"2025-01-01 {8 if zone else 10:02}:00:00")
    assert first.reasons == []
    words = "with" if zone else "without"
    assert second.reasons == [f"t: not a timestamp (ISO 8601 {words} offset)"]
