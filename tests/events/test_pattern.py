"""Patterns match as EventBridge's do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehead.errors import UsageError
from lakehead.events import DatasetRule, EventPattern, dataset_of
from lakehead.events.pattern import wildcard_matches
from lakehead.events.rules import is_hidden
from lakehead.model import ObjectCreated, ObjectVersion

SMALL = st.text("ab*/\\.", max_size=8)


def regular(pattern: str) -> re.Pattern[str]:
    """The same wildcard, told to another engine."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    return re.compile(
        "".join(".*" if part == "*" else re.escape(part.removeprefix("\\") or "") for part in parts), re.S
    )


@given(SMALL.filter(lambda pattern: not pattern.endswith("\\")), SMALL)
def test_wildcards_agree_with_regular_expressions(pattern: str, text: str) -> None:
    assert wildcard_matches(pattern, text) == bool(regular(pattern).fullmatch(text))


@given(st.lists(st.text("abc/.", max_size=4), min_size=1, max_size=5), st.data())
def test_a_text_made_from_a_wildcard_matches_it(pieces: list[str], data: st.DataObject) -> None:
    text = pieces[0] + "".join(data.draw(st.text("abc/.", max_size=4)) + piece for piece in pieces[1:])
    assert wildcard_matches("*".join(pieces), text)


def test_wildcards_take_linear_time() -> None:
    assert not wildcard_matches("*" + "*".join("a" * 30) + "*b", "a" * 100_000)


def matches(pattern: Any, value: Any) -> bool:
    return EventPattern({"detail": {"x": pattern}}).matches({"detail": {"x": value}})


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (["a", "b"], ["a", "b", ["c", "b"]], ["c", None, 1, [], {"a": 1}]),
        ([None], [None, [None]], ["", 0, False]),
        ([1], [1], [True, "1", 2]),
        ([True], [True], [1, "true"]),
        ([{"prefix": "a"}], ["a", "ab"], ["ba", "A", 1]),
        ([{"prefix": {"equals-ignore-case": "a"}}], ["Ab", "a"], ["b"]),
        ([{"suffix": ".csv"}], ["x.csv"], [".csv.gz", 1]),
        ([{"equals-ignore-case": "Abc"}], ["aBC"], ["abcd"]),
        ([{"wildcard": "a/*.csv"}], ["a/.csv", "a/b/c.csv"], ["b/a/x.csv", "a/x.csv.gz", "acsv"]),
        ([{"wildcard": "a\\*b"}], ["a*b"], ["axb"]),
        ([{"numeric": [">", 0]}], [1, 0.5, [0, 3]], [0, -1, "1", True, None]),
        ([{"numeric": [">=", 1, "<", 3]}], [1, 2.5], [3, 0.99]),
        ([{"numeric": ["=", 0.3]}], [0.3], [0.30001]),
        ([{"exists": True}], ["a", None, 0], [{"b": 1}, []]),
        ([{"exists": False}], [[]], ["a", None]),
        ([{"anything-but": "a"}], ["b", 1, ["a", "b"]], ["a", ["a"]]),
        ([{"anything-but": ["a", 1]}], ["b", True], ["a", 1]),
        ([{"anything-but": {"prefix": "a"}}], ["b", 1], ["ab"]),
        ([{"anything-but": {"suffix": ["a", "b"]}}], ["c"], ["xa", "xb"]),
        ([{"anything-but": {"wildcard": "*/_*"}}], ["a/b"], ["a/_b"]),
        ([{"prefix": "a"}, {"suffix": "z"}], ["ab", "yz"], ["by"]),
    ],
)
def test_comparisons(pattern: Any, yes: list[Any], no: list[Any]) -> None:
    for value in yes:
        assert matches(pattern, value), value
    for value in no:
        assert not matches(pattern, value), value


def test_absent_fields() -> None:
    absent: dict[str, Any] = {"detail": {}}
    assert EventPattern({"detail": {"x": [{"exists": False}]}}).matches(absent)
    assert EventPattern({"detail": {"x": {"y": [{"exists": False}]}}}).matches(absent)
    for leaf in ("a", None, {"exists": True}, {"anything-but": "a"}, {"numeric": ["<", 1]}, {"wildcard": "*"}):
        assert not EventPattern({"detail": {"x": [leaf]}}).matches(absent)


def test_all_fields_and_any_branch() -> None:
    pattern = EventPattern({"a": [1], "$or": [{"b": [1]}, {"c": [{"prefix": "x"}]}]})
    assert pattern.matches({"a": 1, "b": 1})
    assert pattern.matches({"a": 1, "b": 2, "c": "xy"})
    assert not pattern.matches({"a": 1, "b": 2, "c": "y"})
    assert not pattern.matches({"b": 1})
    assert not pattern.matches("text")
    assert not pattern.matches(None)


def test_arrays_of_objects_match_within_one_of_them() -> None:
    pattern = EventPattern({"a": {"b": [1], "c": [2]}})
    assert pattern.matches({"a": [{"b": 0}, {"b": 1, "c": 2}]})
    assert not pattern.matches({"a": [{"b": 1}, {"c": 2}]})


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ({}, "(top)"),
        ({"a": "text"}, "a"),
        ({"a": []}, "a"),
        ({"a": {}}, "a"),
        ({"a": {"b": [[1]]}}, "a.b[0]"),
        ({"a": [{"like": "x"}]}, "a[0]"),
        ({"a": [{"cidr": "10.0.0.0/8"}]}, "a[0]"),
        ({"a": [1, {"prefix": 1}]}, "a[1]"),
        ({"a": [{"wildcard": "a**b"}]}, "a[0]"),
        ({"a": [{"numeric": [">"]}]}, "a[0]"),
        ({"a": [{"numeric": ["~", 1]}]}, "a[0]"),
        ({"a": [{"numeric": [">", True]}]}, "a[0]"),
        ({"a": [{"exists": "yes"}]}, "a[0]"),
        ({"a": [{"anything-but": []}]}, "a[0]"),
        ({"a": [{"anything-but": {"numeric": [">", 1]}}]}, "a[0]"),
        ({"a": [{"prefix": "a", "suffix": "b"}]}, "a[0]"),
        ({"$or": [{"a": [1]}]}, "$or"),
        ({"$or": [{"a": [1]}, {"b": 1}]}, "$or[1].b"),
    ],
)
def test_wrong_patterns_name_the_path(pattern: Any, path: str) -> None:
    with pytest.raises(UsageError) as caught:
        EventPattern(pattern)
    assert caught.value.where["path"] == path


def test_a_pattern_is_bounded() -> None:
    with pytest.raises(UsageError, match="4096"):
        EventPattern({"a": ["x" * 4096]})


RULE = DatasetRule("sales/orders", "raw")


@pytest.mark.parametrize(
    ("key", "covered"),
    [
        ("sales/orders/a.csv", True),
        ("sales/orders/ingest_date=2025-01-01/a.csv.gz", True),
        ("sales/orders/.csv", False),
        ("sales/orders/.a.csv", False),
        ("sales/orders/_tmp/a.csv", False),
        ("sales/orders/a.csv.part", False),
        ("sales/orders/a.CSV", False),
        ("sales/orders2/a.csv", False),
        ("sales/orders", False),
        ("x/sales/orders/a.csv", False),
    ],
)
def test_the_rule_of_a_dataset(key: str, covered: bool) -> None:
    assert RULE.covers("raw", key) is covered
    assert not RULE.covers("processed", key)
    assert dataset_of([RULE], "raw", key) == ("sales/orders" if covered else None)


@given(st.text("aв._/*\\", max_size=10), st.sampled_from(["", ".csv", ".csv.gz", "/"]), st.sampled_from("sx"))
def test_the_pattern_for_eventbridge_says_the_same(middle: str, end: str, first: str) -> None:
    for rule in (RULE, DatasetRule("sales*/or\\ders", "raw")):
        key = f"{rule.prefix if first == 's' else 'x/'}{middle}{end}"
        event = ObjectCreated.of(ObjectVersion("raw", key, size=0)).to_eventbridge()
        visible = not is_hidden(key.removeprefix(rule.prefix))
        assert rule.covers("raw", key) == (EventPattern(rule.pattern()).matches(event) and visible)


def test_the_longest_prefix_wins() -> None:
    rules = [DatasetRule("sales", "raw"), RULE]
    assert dataset_of(rules, "raw", "sales/orders/a.csv") == "sales/orders"
    assert dataset_of(rules, "raw", "sales/a.csv") == "sales"
