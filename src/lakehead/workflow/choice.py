"""The conditions of a Choice state in JSONPath: every comparison operator, And, Or and Not."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, TypeAlias, TypeGuard

from lakehead.model import Json
from lakehead.workflow.expressions import RuntimeFault, Scope
from lakehead.workflow.paths import Path, PathNotFound, PathSyntaxError, compile_path
from lakehead.workflow.timestamps import parse_timestamp

Condition: TypeAlias = Callable[[Scope], bool]
Report: TypeAlias = Callable[[str, str], None]
Check: TypeAlias = Callable[[Json, Json], bool]


def is_number(value: Json) -> TypeGuard[int | float]:
    """A JSON number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: Json) -> TypeGuard[int | float]:
    """A number without a fraction, `2` or `2.0`."""
    return is_number(value) and (isinstance(value, int) or value.is_integer())


def _numeric(compare: Callable[[Any, Any], bool]) -> Check:
    return lambda value, wanted: is_number(value) and is_number(wanted) and compare(value, wanted)


def _textual(compare: Callable[[Any, Any], bool]) -> Check:
    """Java compares by UTF-16 code unit, Python by code point; they differ beyond the Basic Multilingual Plane."""

    def check(value: Json, wanted: Json) -> bool:
        if not (isinstance(value, str) and isinstance(wanted, str)):
            return False
        if value.isascii() and wanted.isascii():
            return compare(value, wanted)
        encoded = [text.encode("utf-16-be", "surrogatepass") for text in (value, wanted)]
        return compare(encoded[0], encoded[1])

    return check


def _temporal(compare: Callable[[Any, Any], bool]) -> Check:
    def check(value: Json, wanted: Json) -> bool:
        left, right = parse_timestamp(value), parse_timestamp(wanted)
        return left is not None and right is not None and compare(left, right)

    return check


def _boolean(value: Json, wanted: Json) -> bool:
    return isinstance(value, bool) and isinstance(wanted, bool) and value is wanted


_ORDERS = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}
_COMPARISONS: dict[str, Check] = {
    **{f"Numeric{name}": _numeric(order) for name, order in _ORDERS.items()},
    **{f"String{name}": _textual(order) for name, order in _ORDERS.items()},
    **{f"Timestamp{name}": _temporal(order) for name, order in _ORDERS.items()},
    "BooleanEquals": _boolean,
}
_OPERAND_CHECKS: dict[str, tuple[Callable[[Json], bool], str]] = {
    "Numeric": (is_number, "a number"),
    "String": (lambda value: isinstance(value, str), "a string"),
    "Timestamp": (
        lambda value: parse_timestamp(value) is not None,
        "an ISO-8601 timestamp such as 2025-01-03T08:00:00Z",
    ),
    "Boolean": (lambda value: isinstance(value, bool), "true or false"),
}
_TYPE_TESTS: dict[str, Callable[[Json], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": is_number,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: parse_timestamp(value) is not None,
}
OPERATORS = frozenset(
    [*_COMPARISONS, *(f"{name}Path" for name in _COMPARISONS), *_TYPE_TESTS, "IsPresent", "StringMatches"]
)


def compile_condition(rule: Json, report: Report, path: str, *, top: bool = False) -> Condition | None:
    """Compile one rule. Every fault is reported with its JSON path; None where the rule cannot be used."""
    if not isinstance(rule, dict):
        report(path, "a choice rule is an object")
        return None
    allowed = {"Comment", *(("Next", "Assign") if top else ())}
    for key in rule:
        if key not in allowed and key not in OPERATORS and key not in ("And", "Or", "Not", "Variable"):
            report(f"{path}.{key}", f"unknown field {key!r} in a choice rule")
    operators = [key for key in rule if key in OPERATORS or key in ("And", "Or", "Not")]
    if len(operators) != 1:
        report(path, "a choice rule has exactly one operator" + (f", not {', '.join(operators)}" if operators else ""))
        return None
    name = operators[0]
    if name in ("And", "Or", "Not"):
        return _logical(name, rule[name], report, f"{path}.{name}")
    return _data_test(name, rule, report, path)


def _logical(name: str, value: Json, report: Report, path: str) -> Condition | None:
    if name == "Not":
        inner = compile_condition(value, report, path)
        return None if inner is None else lambda scope: not inner(scope)
    if not isinstance(value, list) or not value:
        report(path, f"{name} holds a list of rules that is not empty")
        return None
    compiled = [compile_condition(item, report, f"{path}[{index}]") for index, item in enumerate(value)]
    rules = [rule for rule in compiled if rule is not None]
    if name == "And":
        return lambda scope: all(rule(scope) for rule in rules)
    return lambda scope: any(rule(scope) for rule in rules)


def _compiled(text: Json, report: Report, path: str) -> Path | None:
    if not isinstance(text, str):
        report(path, "a path is needed here")
        return None
    try:
        return compile_path(text)
    except PathSyntaxError as error:
        report(path, str(error))
        return None


def _data_test(name: str, rule: dict[str, Json], report: Report, path: str) -> Condition | None:
    if "Variable" not in rule:
        report(path, f"{name} needs a Variable")
        return None
    variable = _compiled(rule["Variable"], report, f"{path}.Variable")
    operand = rule[name]
    where = f"{path}.{name}"
    if name in _TYPE_TESTS or name == "IsPresent":
        return _type_test(name, variable, operand, report, where)
    if name == "StringMatches":
        return _matching(variable, operand, report, where)
    if name.endswith("Path"):
        other = _compiled(operand, report, where)
        check = _COMPARISONS[name[:-4]]
        if variable is None or other is None:
            return None
        return lambda scope: check(_read(scope, variable), _read(scope, other))
    fits, wanted = next(entry for prefix, entry in _OPERAND_CHECKS.items() if name.startswith(prefix))
    if not fits(operand):
        report(where, f"{name} compares with {wanted}")
        return None
    check = _COMPARISONS[name]
    return None if variable is None else lambda scope: check(_read(scope, variable), operand)


def _read(scope: Scope, path: Path) -> Json:
    try:
        return scope.read(path)
    except PathNotFound as error:
        raise RuntimeFault(
            f"Invalid path '{path.text}': The choice state's condition path references an invalid value."
        ) from error


def _type_test(name: str, variable: Path | None, operand: Json, report: Report, where: str) -> Condition | None:
    if not isinstance(operand, bool):
        report(where, f"{name} is true or false")
        return None
    if variable is None:
        return None
    if name == "IsPresent":
        return lambda scope: _is_present(scope, variable) is operand
    test = _TYPE_TESTS[name]
    return lambda scope: test(_read(scope, variable)) is operand


def _is_present(scope: Scope, path: Path) -> bool:
    try:
        found = scope.read(path)
    except PathNotFound:
        return False
    return path.definite or bool(found)


def _matching(variable: Path | None, operand: Json, report: Report, where: str) -> Condition | None:
    if not isinstance(operand, str):
        report(where, "StringMatches compares with a string")
        return None
    try:
        pattern = re.compile(_wildcards(operand), re.DOTALL)
    except ValueError as error:
        report(where, str(error))
        return None
    if variable is None:
        return None

    def matches(scope: Scope) -> bool:
        value = _read(scope, variable)
        return isinstance(value, str) and pattern.fullmatch(value) is not None

    return matches


def _wildcards(text: str) -> str:
    r"""`*` stands for any text; `\*` is a star and `\\` a backslash (ASL specification, "StringMatches")."""
    parts, position = [], 0
    while position < len(text):
        mark = text[position]
        if mark == "\\":
            position += 1
            if text[position : position + 1] not in ("*", "\\"):
                raise ValueError(r"in StringMatches a backslash is followed by * or \ ")
            parts.append(re.escape(text[position]))
        else:
            parts.append(".*" if mark == "*" else re.escape(mark))
        position += 1
    return "".join(parts)
