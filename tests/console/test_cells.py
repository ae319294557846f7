"""Cells: whatever an answer holds is JSON for a page, and no formula in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lakehead.console.cells import TEXT_CHARS, csv_value, json_value

FORMULAS = st.tuples(st.sampled_from("=+-@\t\r\n"), st.text()).map("".join)
SCALARS = st.one_of(
    FORMULAS,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
    st.timedeltas(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.one_of(st.text(), st.integers(), st.dates()), inner)),
    max_leaves=8,
)


@given(VALUES)
def test_every_value_is_json(value: Any) -> None:
    told = json.loads(json.dumps(json_value(value), allow_nan=False))
    assert not isinstance(told, int) or isinstance(told, bool) or abs(told) <= 1 << 53
    assert len(json.dumps(told, ensure_ascii=False)) <= 2 * TEXT_CHARS + 100 or isinstance(told, str)


@given(st.lists(VALUES, min_size=1))
def test_no_text_in_csv_begins_like_a_formula(values: list[Any]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow([csv_value(value) for value in values])
    buffer.seek(0)
    (cells,) = csv.reader(buffer)
    for value, cell in zip(values, cells, strict=True):
        if isinstance(value, str):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
            assert cell in (value, f"'{value}")
        elif isinstance(value, int) and not isinstance(value, bool):
            assert int(cell) == value


def test_instants_keep_what_they_have() -> None:
    moment = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert json_value(moment) == "2025-01-02T03:04:05.000Z"
    assert json_value(moment + timedelta(microseconds=7)) == "2025-01-02T03:04:05.000007Z"
    assert json_value([moment.date(), date(1, 1, 1)]) == ["2025-01-02", "0001-01-01"]
