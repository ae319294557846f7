"""The tree is as it is drawn, and an error says what, where and what next."""

from __future__ import annotations

import copy
import json
import pickle
import re

import pytest

from lakehead import errors
from lakehead.errors import HeaderMismatch, LakeheadError, TerminalError, TransientError

CLASSES = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, LakeheadError)]


def drawn() -> dict[str, str]:
    """Class -> base, as the module's docstring draws it."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([ │├└─]*)([A-Z]\w+)(  |$)", line)
        if not found:
            continue
        depth, name = len(found[1]), found[2]
        while above and above[-1][0] >= depth:
            above.pop()
        if above:
            parents[name] = above[-1][1]
        above.append((depth, name))
    return parents


def test_the_tree_is_as_it_is_drawn() -> None:
    assert drawn() == {one.__name__: one.__bases__[0].__name__ for one in CLASSES if one is not LakeheadError}


@pytest.mark.parametrize("kind", CLASSES)
def test_whether_to_retry_is_in_the_type(kind: type[LakeheadError]) -> None:
    assert kind.retryable == issubclass(kind, TransientError)
    assert kind is LakeheadError or issubclass(kind, TransientError) != issubclass(kind, TerminalError)
    assert kind("x").name == f"Lakehead.{kind.__name__}"
    assert kind.__doc__


def test_an_error_says_what_where_and_what_next() -> None:
    error = HeaderMismatch("a column is missing", hint="Add it.", key="a.csv", line=1, column=None, expected="price")
    assert error.where == {"key": "a.csv", "line": 1, "expected": "price"}
    assert str(error) == "a column is missing [key=a.csv, line=1, expected=price] Add it."
    assert json.loads(json.dumps(error.to_json())) == {
        "error": "Lakehead.HeaderMismatch",
        "message": "a column is missing",
        "hint": "Add it.",
        "where": {"key": "a.csv", "line": 1, "expected": "price"},
    }
    assert str(LakeheadError("just so")) == "just so"


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_keeps_its_fields_on_its_way_between_processes(again: object) -> None:
    assert callable(again)
    error = again(HeaderMismatch("m", hint="h", key="k"))
    assert (type(error), error.message, error.hint, error.where) == (HeaderMismatch, "m", "h", {"key": "k"})
