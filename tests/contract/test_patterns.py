"""Patterns: spelled out so that RE2 and Java read them as ECMA does, or refused."""

from __future__ import annotations

import re
import warnings

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lakehead.contract.patterns import BadPattern, portable


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("C[0-9]{3}", ["C001"], ["c001", "C0011", "xC001", "C001\n"]),
        (r"^\d+$", ["12"], ["1a", "\u0663", "12\n"]),
        (r"\w+@\w+\.\w{2,}", ["a@b.de"], ["a@b", "é@b.de"]),
        ("a|bc", ["a", "bc"], ["abc", "ac"]),
        ("[^a-c-]", ["d", "é"], ["a", "-"]),
        (r"[\d.,]+", ["1,5.0"], ["x"]),
        (r"[a\-z]", ["a", "-", "z"], ["b"]),
        (".", ["x", "é"], ["\n", ""]),
        (r"\s", [" ", "\t"], ["\u00a0", "x"]),
        ("a{2}", ["aa"], ["a", "a{2}"]),
        ("a{x}", ["a{x}"], ["a"]),
        ("[[&~]", ["[", "&"], ["x"]),
        (r"\.\*\/", [".*/"], ["x"]),
        ("x*?y", ["y", "xxy"], ["x"]),
    ],
)
def test_a_pattern_matches_the_whole_value(
    db: duckdb.DuckDBPyConnection, pattern: str, matching: list[str], other: list[str]
) -> None:
    anchored = rf"^(?:{portable(pattern)})\z"
    for text in matching + other:
        found = db.execute("SELECT regexp_matches(?, ?)", [text, anchored]).fetchone()
        assert found == (text in matching,), text


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "(?=a)",
            "(?!a)",
            "(?<=a)b",
            "(?P<n>a)",
            "(?i)a",
            r"(a)\1",
            r"\bword\b",
            r"\p{L}",
            r"\x41",
            r"\u0041",
            r"\Aa",
        ),
        *(
            "a++",
            "a{2}+",
            "a{1001}",
            "(a{100}){100}",
            "[",
            "[]",
            "[^]",
            "(",
            ")",
            "a**",
            "*",
            "\\",
            "[z-a]",
            r"[a-\d]",
            "x" * 1001,
        ),
    ],
)
def test_what_engines_read_differently_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        portable(pattern)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(r"ab0-9.[]{}()|*+?^$\dwsDWSnt,&~é" + "\n", max_size=14),
    st.lists(st.text("ab09.-[]\né ", max_size=5), max_size=6),
)
@example("^*", ["", "a"])
@example("$+a", ["", "a"])
@example("[a-b-0]", ["-", "a"])
@example("(|a)+", ["", "a"])
@example("()", [""])
def test_duckdb_reads_every_accepted_pattern_as_python_does(
    db: duckdb.DuckDBPyConnection, pattern: str, texts: list[str]
) -> None:
    try:
        written = portable(pattern)
    except BadPattern:
        return
    # Python's `$` would match before a final line feed.
    reference = re.compile(re.sub(r"(?<!\\)((?:\\\\)*)\$(?![^\[]*\])", r"\1\\Z", written))
    for text in texts:
        found = db.execute("SELECT regexp_matches(?, ?)", [text, rf"^(?:{written})\z"]).fetchone()
        assert found == (reference.fullmatch(text) is not None,), (written, text)


def test_what_java_would_read_otherwise_is_spelled_out() -> None:
    """Java's dot stops at other line ends, too; its nested classes and intersections are no literals."""
    assert portable(r"(a.)\s[b&&c]") == r"(?:a[^\n])[\t\n\x0B\f\r ][b\&\&c]"


def test_patterns_raise_no_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BadPattern):
            portable("(?")
        portable("[--a]")
