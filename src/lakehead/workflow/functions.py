"""What each intrinsic function answers. Limits and roundings are those of the Step Functions Developer Guide.

A function is called with the scope (for random numbers) and its argument values, and raises FunctionError.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from lakehead.model import Json

MAX_ITEMS = 1000
MAX_CHARACTERS = 10_000


class FunctionError(Exception):
    """The arguments do not fit the function."""


def java_text(value: Json) -> str:
    """A value as Java prints it, which is what States.Format puts into its text: `{a=1, b=[]}`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return java_number(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={java_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(java_text(item) for item in value) + "]"
    return str(value)


def java_number(number: float) -> str:
    """A double as Java prints it: decimal between 1e-3 and 1e7, else `1.0E10`."""
    if number != number or number in (float("inf"), float("-inf")):
        return str(number)
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return f"{Decimal(repr(number)):f}"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    text = "".join(map(str, digits))
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{len(digits) - 1 + int(exponent)}"


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def compact(value: Json) -> str:
    """JSON without spaces, as AWS writes it."""
    return _encode(value)


def java_json(value: Json) -> str:
    """JSON as Java writes it: `compact`, but for the numbers that it writes as `1.0E10`."""
    if isinstance(value, float):
        return java_number(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{compact(key)}:{java_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(java_json, value)) + "]"
    return compact(value)


def _identity(value: Json) -> str:
    """A text that is the same for values that are equal as JSON: true is not 1, and 1 is not 1.0."""
    return json.dumps(value, sort_keys=True)


def _need(condition: bool, why: str) -> None:
    if not condition:
        raise FunctionError(why)


def _array(value: Json, name: str = "array") -> list[Json]:
    if not isinstance(value, list):
        raise FunctionError(f"the argument {name} is not an array")
    return value


def _text(value: Json, name: str = "string") -> str:
    if not isinstance(value, str):
        raise FunctionError(f"the argument {name} is not a string")
    return value


def _integer(value: Json, name: str) -> int:
    """An integer; other numbers are rounded to the nearest one, as AWS documents."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FunctionError(f"the argument {name} is not a number")
    if isinstance(value, float):
        _need(math.isfinite(value), f"the argument {name} is not a number")
        return math.floor(value + 0.5) if abs(value) < 1 << 52 else int(value)
    return value


def _format(_scope: Any, template: Json, *arguments: Json) -> str:
    parts = re.split(r"(\\[{}]|\{\})", _text(template, "template"))
    _need(
        parts.count("{}") == len(arguments), "the number of arguments does not match the number of {} in the template"
    )
    values = iter(arguments)
    return "".join(
        java_text(next(values)) if part == "{}" else part[1:] if part in ("\\{", "\\}") else part for part in parts
    )


def _string_to_json(_scope: Any, text: Json) -> Json:
    if not _text(text).strip():
        return None
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise FunctionError(f"the argument is not valid JSON: {error}") from error


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{text} is beyond a double")
    return number


def _array_partition(_scope: Any, items: Json, size: Json) -> list[Json]:
    found, chunk = _array(items), _integer(size, "chunk size")
    _need(chunk > 0, "the chunk size is not a positive integer")
    return [found[start : start + chunk] for start in range(0, len(found), chunk)]


def _array_range(_scope: Any, first: Json, last: Json, step: Json) -> list[Json]:
    start, stop, by = _integer(first, "first"), _integer(last, "last"), _integer(step, "step")
    _need(by != 0, "the step is zero")
    numbers = range(start, stop + (1 if by > 0 else -1), by)
    _need(abs(stop - start) // abs(by) < MAX_ITEMS, f"the range holds more than {MAX_ITEMS} items")
    return list(numbers)


def _array_get_item(_scope: Any, items: Json, index: Json) -> Json:
    found, position = _array(items), _integer(index, "index")
    _need(0 <= position < len(found), f"the index {position} is out of bounds for length {len(found)}")
    return found[position]


def _array_unique(_scope: Any, items: Json) -> list[Json]:
    return list({_identity(item): item for item in reversed(_array(items))}.values())[::-1]


def _array_contains(_scope: Any, items: Json, wanted: Json) -> bool:
    identity = _identity(wanted)
    return any(_identity(item) == identity for item in _array(items))


def _base64_encode(_scope: Any, text: Json) -> str:
    _need(len(_text(text)) <= MAX_CHARACTERS, f"the string is longer than {MAX_CHARACTERS} characters")
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


def _base64_decode(_scope: Any, text: Json) -> str:
    _need(len(_text(text)) <= MAX_CHARACTERS, f"the string is longer than {MAX_CHARACTERS} characters")
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError) as error:
        raise FunctionError(f"the string is not Base64: {error}") from error


_ALGORITHMS = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


def _hash(_scope: Any, data: Json, algorithm: Json) -> str:
    _need(_text(algorithm, "algorithm") in _ALGORITHMS, f"the algorithm is none of {', '.join(_ALGORITHMS)}")
    text = data if isinstance(data, str) else java_json(data)
    _need(len(text) <= MAX_CHARACTERS, f"the data is longer than {MAX_CHARACTERS} characters")
    return hashlib.new(_ALGORITHMS[algorithm], text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _json_merge(_scope: Any, first: Json, second: Json, deep: Json) -> dict[str, Json]:
    _need(isinstance(first, dict) and isinstance(second, dict), "both arguments must be objects")
    _need(deep is False, "only the shallow merging mode (false) is supported")
    return {**first, **second}


def _math_random(scope: Any, start: Json, end: Json, seed: Json = None) -> int:
    low, high = _integer(start, "start"), _integer(end, "end")
    _need(low < high, "the start is not less than the end")
    data = scope.random_bytes() if seed is None else hashlib.sha256(f"seed {_integer(seed, 'seed')}".encode()).digest()
    return low + (int.from_bytes(data[:16]) * (high - low) >> 128)


def _string_split(_scope: Any, text: Json, delimiter: Json) -> list[Json]:
    """Each character of the delimiter splits, and nothing is left of delimiters side by side."""
    if not _text(delimiter, "delimiter"):
        return [_text(text)] if text else []
    return [part for part in re.split("[" + re.escape(delimiter) + "]", _text(text)) if part]


FUNCTIONS: dict[str, Callable[..., Json]] = {
    "Format": _format,
    "StringToJson": _string_to_json,
    "JsonToString": lambda _scope, value: java_json(value),
    "Array": lambda _scope, *items: list(items),
    "ArrayPartition": _array_partition,
    "ArrayContains": _array_contains,
    "ArrayRange": _array_range,
    "ArrayGetItem": _array_get_item,
    "ArrayLength": lambda _scope, items: len(_array(items)),
    "ArrayUnique": _array_unique,
    "Base64Encode": _base64_encode,
    "Base64Decode": _base64_decode,
    "Hash": _hash,
    "JsonMerge": _json_merge,
    "MathRandom": _math_random,
    "MathAdd": lambda _scope, left, right: _integer(left, "first") + _integer(right, "second"),
    "StringSplit": _string_split,
    "UUID": lambda scope: str(uuid.UUID(bytes=scope.random_bytes()[:16], version=4)),
}
"""All 18 functions by their name behind `States.`."""

ARITY: dict[str, tuple[int, int | None]] = {
    "Format": (1, None), "StringToJson": (1, 1), "JsonToString": (1, 1), "Array": (0, None), "ArrayPartition": (2, 2),
    "ArrayContains": (2, 2), "ArrayRange": (3, 3), "ArrayGetItem": (2, 2), "ArrayLength": (1, 1), "ArrayUnique": (1, 1),
    "Base64Encode": (1, 1), "Base64Decode": (1, 1), "Hash": (2, 2), "JsonMerge": (3, 3), "MathRandom": (2, 3),
    "MathAdd": (2, 2), "StringSplit": (2, 2), "UUID": (0, 0),
}  # fmt: skip
"""The least and the most arguments of each; None is any number."""
