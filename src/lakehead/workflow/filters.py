"""Filter expressions of JSONPath, `[?(@.price < 10 && @.name =~ /a.*/i)]`, in Jayway's dialect."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

from lakehead.model import Json


class FilterSyntaxError(ValueError):
    """The text is no filter expression."""


class ReadablePath(Protocol):
    """What a filter needs of a path."""

    def read(self, value: Json) -> Json:
        """The value at the path; raises LookupError where there is none."""


class _Missing:
    """Stands for what a path in a filter does not find; equal to nothing but itself."""


MISSING = _Missing()
Operand: TypeAlias = Callable[[Json, Json], Any]
Test: TypeAlias = Callable[[Json, Json], bool]

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<operator>&&|\|\||==|!=|<=|>=|=~|<|>|!(?!=)|\(|\)|,)
  | (?P<regex>/(?:[^/\\]|\\.)+/[a-z]*)
  | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
  | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
  | (?P<path>[@$](?:\.{1,2}(?:[\w-]+(?:\(\))?|\*)|\[(?:[^\]'"]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")*\])*)
  | (?P<list>\[(?:[^\]'"]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")*\])
  | (?P<word>[A-Za-z]+)
)""",
    re.VERBOSE,
)


def compile_filter(text: str, compile_path: Callable[[str], ReadablePath]) -> Test:
    """Compile the text behind `?` into a test of (item, document). Raises FilterSyntaxError."""
    parser = _Parser(_tokens(text), compile_path)
    test = parser.any_of()
    if parser.tokens:
        raise FilterSyntaxError(f"unexpected {parser.tokens[0][1]!r} in the filter")
    return test


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    text = text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found or found.lastgroup is None:
            raise FilterSyntaxError(f"cannot read the filter at {text[position:]!r}")
        tokens.append((found.lastgroup, found.group(found.lastgroup)))
        position = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], compile_path: Callable[[str], ReadablePath]) -> None:
        self.tokens = tokens
        self.compile_path = compile_path

    def _next_is(self, *texts: str) -> bool:
        return bool(self.tokens) and self.tokens[0][0] in ("operator", "word") and self.tokens[0][1] in texts

    def _take(self) -> tuple[str, str]:
        if not self.tokens:
            raise FilterSyntaxError("the filter ends too early")
        return self.tokens.pop(0)

    def any_of(self) -> Test:
        tests = [self.all_of()]
        while self._next_is("||"):
            self._take()
            tests.append(self.all_of())
        return tests[0] if len(tests) == 1 else lambda item, root: any(test(item, root) for test in tests)

    def all_of(self) -> Test:
        tests = [self.single()]
        while self._next_is("&&"):
            self._take()
            tests.append(self.single())
        return tests[0] if len(tests) == 1 else lambda item, root: all(test(item, root) for test in tests)

    def single(self) -> Test:
        if self._next_is("!"):
            self._take()
            inner = self.single()
            return lambda item, root: not inner(item, root)
        if self._next_is("("):
            self._take()
            inner = self.any_of()
            if not self._next_is(")"):
                raise FilterSyntaxError("a parenthesis of the filter is not closed")
            self._take()
            return inner
        return self._comparison()

    def _comparison(self) -> Test:
        left = self._operand()
        if not self._next_is(*_OPERATORS):
            return lambda item, root: left(item, root) is not MISSING
        operator = _OPERATORS[self._take()[1]]
        right = self._operand()
        return lambda item, root: operator(left(item, root), right(item, root))

    def _operand(self) -> Operand:
        kind, text = self._take()
        if kind == "path":
            return self._path(text)
        value = _literal(kind, text)
        return lambda _item, _root: value

    def _path(self, text: str) -> Operand:
        path = self.compile_path("$" + text[1:])
        from_item = text[0] == "@"

        def read(item: Json, root: Json) -> Any:
            try:
                return path.read(item if from_item else root)
            except LookupError:
                return MISSING

        return read


def _literal(kind: str, text: str) -> Any:
    if kind == "string":
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    if kind == "number":
        return float(text) if re.search(r"[.eE]", text) else int(text)
    if kind == "regex":
        pattern, _, flags = text[1:].rpartition("/")
        try:
            return re.compile(pattern, re.IGNORECASE if "i" in flags else 0)
        except re.error as error:
            raise FilterSyntaxError(f"not a regular expression: {text}") from error
    if kind == "list":
        parts = [part[0] or part[1] for part in re.findall(r"('[^']*'|\"[^\"]*\")|([^,\s]+)", text[1:-1])]
        return [_literal(*_tokens(part)[0]) for part in parts]
    words = {"true": True, "false": False, "null": None}
    if text not in words:
        raise FilterSyntaxError(f"unexpected {text!r} in the filter")
    return words[text]


def _equal(left: Any, right: Any) -> bool:
    """Equality in Jayway: a number is equal to the text that it is written as."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, str) and isinstance(right, int | float):
        return left == str(right)
    if isinstance(left, int | float) and isinstance(right, str):
        try:
            return Decimal(repr(left)) == Decimal(right)
        except ArithmeticError:
            return False
    return bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(left: Any, right: Any) -> bool:
        both_numbers = all(isinstance(side, int | float) and not isinstance(side, bool) for side in (left, right))
        both_texts = isinstance(left, str) and isinstance(right, str)
        return (both_numbers or both_texts) and compare(left, right)

    return test


def _matches(left: Any, right: Any) -> bool:
    return isinstance(left, str) and isinstance(right, re.Pattern) and right.fullmatch(left) is not None


def _contains(left: Any, right: Any) -> bool:
    if isinstance(left, str):
        return isinstance(right, str) and right in left
    return isinstance(left, list) and any(_equal(item, right) for item in left)


def _within(left: Any, right: Any) -> bool:
    return isinstance(right, list) and any(_equal(left, item) for item in right)


def _lists(test: Callable[[list[Any], list[Any]], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: isinstance(left, list) and isinstance(right, list) and test(left, right)


def _size(left: Any, right: Any) -> bool:
    return isinstance(left, list | str | dict) and _equal(len(left), len(right) if isinstance(right, list) else right)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "=~": _matches,
    "in": _within,
    "nin": lambda left, right: not _within(left, right),
    "contains": _contains,
    "subsetof": _lists(lambda left, right: all(_within(item, right) for item in left)),
    "anyof": _lists(lambda left, right: any(_within(item, right) for item in left)),
    "noneof": _lists(lambda left, right: not any(_within(item, right) for item in left)),
    "size": _size,
    "empty": lambda left, right: isinstance(left, list | str | dict) and (not left) == bool(right),
}
