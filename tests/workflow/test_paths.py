from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehead.workflow.paths import PathNotFound, PathSyntaxError, compile_path

SHOP: dict[str, Any] = {
    "store": {
        "book": [
            {"title": "Sayings", "price": 8.95, "tags": ["a"], "isbn": None},
            {"title": "Sword", "price": 12.99, "tags": ["a", "b"]},
            {"title": "Moby", "price": 8.99, "tags": []},
        ],
        "bicycle": {"price": 19.95, "colour": "red"},
    },
    "limit": 10,
    "a key": {"it's": 1},
    "n": [3, 1, 2],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", SHOP),
        ("$.limit", 10),
        ("$['a key']['it\\'s']", 1),
        ('$["a key"]', {"it's": 1}),
        ("$.a key", {"it's": 1}),
        ("$.store.book[0].title", "Sayings"),
        ("$.store.book[-1].title", "Moby"),
        ("$.store.book[*].title", ["Sayings", "Sword", "Moby"]),
        ("$.store.book[0,2].title", ["Sayings", "Moby"]),
        ("$.store.book[:2].title", ["Sayings", "Sword"]),
        ("$.store.book[1:].title", ["Sword", "Moby"]),
        ("$.store.book[-1:].title", ["Moby"]),
        ("$.store.bicycle['price','colour']", {"price": 19.95, "colour": "red"}),
        ("$..price", [8.95, 12.99, 8.99, 19.95]),
        ("$.store..title", ["Sayings", "Sword", "Moby"]),
        ("$.store.*.colour", ["red"]),
        ("$.store.book[?(@.price < $.limit)].title", ["Sayings", "Moby"]),
        ("$.store.book[?(@.price < 10 && @.title == 'Moby')].title", ["Moby"]),
        ("$.store.book[?(@.title == 'Moby' || @.price > 10)].title", ["Sword", "Moby"]),
        ("$.store.book[?(!(@.price < 10))].title", ["Sword"]),
        ("$.store.book[?(@.isbn)].title", ["Sayings"]),
        ("$.store.book[?(@.isbn == null)].title", ["Sayings"]),
        ("$.store.book[?(@.title =~ /s.*/i)].title", ["Sayings", "Sword"]),
        ("$.store.book[?(@.title in ['Moby', 'Sword'])].title", ["Sword", "Moby"]),
        ("$.store.book[?(@.title nin ['Moby', 'Sword'])].title", ["Sayings"]),
        ("$.store.book[?(@.tags contains 'b')].title", ["Sword"]),
        ("$.store.book[?(@.tags anyof ['b', 'c'])].title", ["Sword"]),
        ("$.store.book[?(@.tags empty true)].title", ["Moby"]),
        ("$.store.book[?(@.tags size 1)].title", ["Sayings"]),
        ("$.n[?(@ > 1)]", [3, 2]),
        ("$.store.book.length()", 3),
        ("$.store.book[*].tags.length()", 3),
        ("$.n.max()", 3.0),
        ("$.n.sum()", 6.0),
        ("$.n.first()", 3),
        ("$.n.index(1)", 1),
        ("$.store.keys()", ["book", "bicycle"]),
        ("$.nothing[*].here", []),
        ("$.nothing.at.all[1:]", []),
        ("$.nothing[?(@.a)]", []),
        ("$.limit[*]", []),
        ("$..nothing", []),
        ("$..[?(@.price < 9)].title", ["Sayings", "Moby"]),  # each once, though its list is looked at too
        ("$..['price','colour']", [{"price": 19.95, "colour": "red"}]),
        ("$.store['bicycle','book'].colour", ["red"]),
        ("$.n[0:-1]", []),
        ("$.n[-2:1]", [1, 2, 3]),
        ("$.n[-9:2]", [3, 1, 2, 3, 1]),
        ("$.n[:-1]", [3, 1]),
        ("$.n[0:3:2]", [3, 1, 2]),
        ("$.nothing[1:2]", []),
        ("$.n[?(@ == '3')]", [3]),
        ("$.store.book[?(@.price == '8.990')].title", ["Moby"]),
        ("$.store.book[?(@.title == 8)].title", []),
        ("$.n[?(@ == true)]", []),
    ],
)
def test_a_path_finds_what_jayway_finds(path: str, found: Any) -> None:
    assert compile_path(path).read(SHOP) == found


@pytest.mark.parametrize(
    "path",
    ["$.limit[0:1]", "$.store[0,1]", "$.nope", "$.store.book[9]", "$.store.book.title", "$.limit.x", "$.n.x.length()",
     "$.store[0]"],
)  # fmt: skip
def test_a_definite_path_that_leads_nowhere_is_not_found(path: str) -> None:
    with pytest.raises(PathNotFound, match="Invalid path"):
        compile_path(path).read(SHOP)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (r"$.a\.b", "a.b"),
        (r"$.\stor\e", "store"),
        (r"$.a\@b\[\[\?c", "a@b[[?c"),
        ("$.@type", "@type"),
        ("$.$id", "$id"),
    ],
)
def test_a_dotted_name_may_hold_anything_behind_a_backslash(path: str, name: str) -> None:
    assert compile_path(path).simple == (name,)


def test_a_backslash_before_anything_but_the_quote_is_part_of_the_name() -> None:
    assert compile_path("$['a\\\"b']").read({'a\\"b': 1}) == 1


@pytest.mark.parametrize(
    "text",
    ["", "a", "$.", "$.a.", "$[", "$[]", "$['a", "$[a]", "$..", "$.a b[", "$.x.nope()", "$.length().x", "$[:]",
     "$[::2]", "$[?(@.a ==)]", "$[?(@.a == 1]", "$[?(@.a =~ /(/)]", "$x y"],
)  # fmt: skip
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(PathSyntaxError):
        compile_path(text)


def test_roots_and_reference_paths_are_told_apart() -> None:
    assert [compile_path(text).root for text in ("$.a", "$$.a", "$name.a", "$")] == ["$", "$$", "$name", "$"]
    assert compile_path("$.a['b'][0]").is_reference
    assert not any(compile_path(text).is_reference for text in ("$.a[*]", "$..a", "$.a[-1]", "$.a[0:1]", "$['a','b']"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def places(value: Any, path: str = "$") -> list[tuple[str, Any]]:
    found = [(path, value)]
    if isinstance(value, dict):
        for key, item in value.items():
            if "'" not in key and not key.endswith("\\"):
                found += places(item, f"{path}['{key}']")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, f"{path}[{index}]")
    return found


@given(json_values)
def test_every_place_of_a_document_has_a_path_that_finds_it(document: Any) -> None:
    for path, value in places(document):
        assert compile_path(path).read(document) is value


@given(st.text(alphabet="$@.*[]()?'\"\\,:-0123456789abc =&|!<>/~", max_size=30), json_values)
def test_any_text_is_a_path_or_a_syntax_error(tail: str, document: Any) -> None:
    try:
        path = compile_path("$" + tail)
    except PathSyntaxError:
        return
    with contextlib.suppress(PathNotFound):
        json.dumps(path.read(document))
