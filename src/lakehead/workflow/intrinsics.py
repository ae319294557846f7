"""The intrinsic functions of the Amazon States Language, `States.Format('{}', $.name)`: parsing and binding.

What each function does is in `functions.py`. An expression is compiled once; evaluating it reads paths from a scope.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from lakehead.model import Json
from lakehead.workflow.functions import ARITY, FUNCTIONS, FunctionError
from lakehead.workflow.paths import PathSyntaxError, closing_bracket, compile_path


class IntrinsicSyntaxError(ValueError):
    """The text is no call of an intrinsic function."""


class IntrinsicFailed(Exception):
    """A call that cannot be answered; the message is worded as AWS words it."""


class Scope(Protocol):
    """Where an expression reads from."""

    def read(self, path: Any) -> Json:
        """The value at a compiled path; raises PathNotFound."""

    def random_bytes(self) -> bytes:
        """32 bytes that nobody can foretell, and that a replay of the step gives again."""


Expression: TypeAlias = Callable[[Any], Json]

_NAME = re.compile(r"\s*States\.([A-Za-z0-9]+)\s*\(")
_STRING = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"(true|false|null)\b")
_WORDS = {"true": True, "false": False, "null": None}
_MAX_DEPTH = 10
"""AWS: "You can nest up to 10 intrinsic functions within a field"."""


def is_intrinsic(text: str) -> bool:
    """Whether the text looks like a call rather than a path."""
    return text.lstrip().startswith("States.")


def compile_intrinsic(text: str) -> Expression:
    """Compile a call. Raises IntrinsicSyntaxError."""
    expression, end = _call(text, 0, 1)
    if text[end:].strip():
        raise IntrinsicSyntaxError(f"unexpected text behind the call: {text[end:]!r}")
    return expression


def _call(text: str, position: int, depth: int) -> tuple[Expression, int]:
    found = _NAME.match(text, position)
    if not found:
        raise IntrinsicSyntaxError(f"not an intrinsic function: {text[position:]!r}")
    name = found.group(1)
    if name not in FUNCTIONS:
        raise IntrinsicSyntaxError(f"unknown intrinsic function States.{name}")
    if depth > _MAX_DEPTH:
        raise IntrinsicSyntaxError(f"intrinsic functions nest at most {_MAX_DEPTH} deep")
    arguments, end = _arguments(text, found.end(), depth)
    least, most = ARITY[name]
    if len(arguments) < least or (most is not None and len(arguments) > most):
        raise IntrinsicSyntaxError(f"States.{name} does not take {len(arguments)} arguments")
    return _bind(name, tuple(arguments), text[position:end].strip()), end


def _bind(name: str, arguments: tuple[Expression, ...], text: str) -> Expression:
    function = FUNCTIONS[name]

    def evaluate(scope: Any) -> Json:
        values = [argument(scope) for argument in arguments]
        try:
            return function(scope, *values)
        except FunctionError as error:
            raise IntrinsicFailed(f"The function '{text}' had the following error: {error}") from error

    return evaluate


def _arguments(text: str, position: int, depth: int) -> tuple[list[Expression], int]:
    arguments: list[Expression] = []
    position = _skip(text, position)
    if text[position : position + 1] == ")":
        return arguments, position + 1
    while True:
        expression, position = _argument(text, _skip(text, position), depth)
        arguments.append(expression)
        position = _skip(text, position)
        mark = text[position : position + 1]
        if mark == ")":
            return arguments, position + 1
        if mark != ",":
            raise IntrinsicSyntaxError(f"expected ',' or ')' at {text[position:]!r}")
        position += 1


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _argument(text: str, position: int, depth: int) -> tuple[Expression, int]:
    string = _STRING.match(text, position)
    if string:
        return _constant(_Literal(string.group(1))), string.end()
    if text.startswith("$", position):
        end = _path_end(text, position)
        return _path(text[position:end].strip()), end
    if text.startswith("States.", position):
        return _call(text, position, depth + 1)
    number = _NUMBER.match(text, position)
    if number:
        digits = number.group()
        return _constant(float(digits) if re.search(r"[.eE]", digits) else int(digits)), number.end()
    word = _WORD.match(text, position)
    if word:
        return _constant(_WORDS[word.group()]), word.end()
    raise IntrinsicSyntaxError(f"cannot read the argument at {text[position:]!r}")


class _Literal(str):
    """Text as written between quotes: still with its escapes, which States.Format needs to see."""

    __slots__ = ()


def _constant(value: Json) -> Expression:
    plain = unescape(value) if isinstance(value, _Literal) else value
    return lambda _scope: plain


def _path(text: str) -> Expression:
    try:
        path = compile_path(text)
    except PathSyntaxError as error:
        raise IntrinsicSyntaxError(str(error)) from error
    return lambda scope: scope.read(path)


def _path_end(text: str, position: int) -> int:
    while position < len(text) and text[position] not in ",)":
        if text[position] in "[(":
            closing = closing_bracket(text, position)
            if closing < 0:
                raise IntrinsicSyntaxError(f"a bracket is not closed: {text[position:]!r}")
            position = closing
        position += 1
    return position


def unescape(text: str) -> str:
    r"""Resolve `\'` and `\\` of a quoted argument; `\{` and `\}` stay for States.Format, which alone knows them."""
    return re.sub(r"\\(['\\])", r"\1", str(text))
