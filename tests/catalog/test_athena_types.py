"""Type names, and the type that holds two of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehead.catalog.athena_types import athena_type, merge_columns, merge_types


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("VARCHAR", "string"),
        ("varchar(20)", "string"),
        ("INTEGER", "int"),
        ("BIGINT", "bigint"),
        ("DECIMAL(12,2)", "decimal(12,2)"),
        ("decimal(12, 2)", "decimal(12,2)"),
        ("numeric(9)", "decimal(9,0)"),
        ("DOUBLE", "double"),
        ("TIMESTAMP WITH TIME ZONE", "timestamp"),
        ("DATE", "date"),
        ("VARCHAR[]", "array<string>"),
        ("DECIMAL(5,1)[][]", "array<array<decimal(5,1)>>"),
        ("MAP(VARCHAR, BIGINT)", "map<string,bigint>"),
        ('STRUCT(a INTEGER, "b c" DECIMAL(4,1)[])', "struct<a:int,b c:array<decimal(4,1)>>"),
        ("array<int>", "array<int>"),
        ("what is this", "string"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert athena_type(name) == expected


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("int", "bigint", "bigint"),
        ("decimal(12,2)", "decimal(10,4)", "decimal(14,4)"),
        ("int", "decimal(5,2)", "decimal(12,2)"),
        ("decimal(38,0)", "decimal(38,10)", "double"),
        ("double", "bigint", "double"),
        ("date", "timestamp", "timestamp"),
        ("date", "int", "string"),
        ("boolean", "string", "string"),
    ],
)
def test_merging(left: str, right: str, expected: str) -> None:
    assert merge_types(left, right) == merge_types(right, left) == expected


numbers = st.tuples(st.integers(1, 18), st.integers(0, 6)).map(lambda one: f"decimal({one[0] + one[1]},{one[1]})")
kinds = st.one_of(st.sampled_from(["int", "bigint", "double", "string", "date", "timestamp", "boolean"]), numbers)


@given(st.lists(kinds, min_size=1, max_size=5))
def test_a_type_with_itself_is_itself_and_a_column_is_named_once(types: list[str]) -> None:
    assert all(merge_types(kind, kind) == kind for kind in types)
    columns = merge_columns([(("a", kind), ("b", "int")) for kind in types])
    assert [name for name, _ in columns] == ["a", "b"]
