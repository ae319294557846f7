"""JSONPath as Step Functions reads it: Jayway's dialect, compiled once into a function.

A *definite* path (only names and single indices) yields one value or fails. An *indefinite* path (wildcard, slice,
filter, descent, list of indices) yields a list, which is empty where nothing matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from lakehead.model import Json
from lakehead.workflow.filters import FilterSyntaxError, compile_filter


class PathSyntaxError(ValueError):
    """The text is no path."""


class PathNotFound(LookupError):
    """The path leads nowhere in this value. The message is worded as AWS words it."""


@dataclass(frozen=True, slots=True)
class Name:
    """`.name`, `['name']` or `['a','b']`.

    At the end of a path several names give one object of those that are there; before its end they give each value,
    and behind `..` only objects that have them all (`whole`).
    """

    names: tuple[str, ...]
    last: bool = True
    whole: bool = False

    def each(self, value: Json, _document: Json) -> Iterator[Json]:
        """What the segment finds in a value."""
        if not isinstance(value, dict):
            return
        if len(self.names) == 1 or not self.last:
            yield from (value[name] for name in self.names if name in value)
        elif not self.whole or all(name in value for name in self.names):
            yield {name: value[name] for name in self.names if name in value}


@dataclass(frozen=True, slots=True)
class Index:
    """`[0]`, `[-1]` or `[0,2]`."""

    indices: tuple[int, ...]

    def each(self, value: Json, _document: Json) -> Iterator[Json]:
        """What the segment finds in a value."""
        if isinstance(value, list):
            for index in self.indices:
                if -len(value) <= index < len(value):
                    yield value[index]


@dataclass(frozen=True, slots=True)
class Slice:
    """`[1:3]`, `[2:]` or `[:-1]`; between two bounds a negative end is below every start, as Jayway counts."""

    start: int | None
    stop: int | None

    def each(self, value: Json, _document: Json) -> Iterator[Json]:
        """What the segment finds in a value."""
        if not isinstance(value, list):
            return
        if self.start is None or self.stop is None:
            yield from value[self.start : self.stop]
        else:
            length = len(value)
            yield from (value[index] for index in range(self.start, min(length, self.stop)) if index >= -length)


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`.*` or `[*]`."""

    def each(self, value: Json, _document: Json) -> Iterator[Json]:
        """What the segment finds in a value."""
        if isinstance(value, list):
            yield from value
        elif isinstance(value, dict):
            yield from value.values()


@dataclass(frozen=True, slots=True)
class Descent:
    """`..`: the segment behind it looks into the value and everything below it, in document order."""

    def each(self, value: Json, _document: Json) -> Iterator[Json]:
        """What the segment finds in a value."""
        pending = [value]
        while pending:
            node = pending.pop()
            yield node
            if isinstance(node, list):
                pending.extend(reversed(node))
            elif isinstance(node, dict):
                pending.extend(reversed(node.values()))


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(...)]`. Behind `..` (`alone`) the items of an array are not looked at: the descent comes to each of them."""

    test: Callable[[Json, Json], bool]
    alone: bool = False

    def each(self, value: Json, document: Json) -> Iterator[Json]:
        """What the segment finds in a value."""
        if isinstance(value, list):
            if self.alone:
                return
            yield from (item for item in value if self.test(item, document))
        elif isinstance(value, dict) and self.test(value, document):
            yield value


@dataclass(frozen=True, slots=True)
class Function:
    """`.length()` and the like, at the end of a path. A string argument is a path of the same document."""

    name: str
    arguments: tuple[Json | Path, ...] = ()


Step: TypeAlias = Name | Index | Slice | Wildcard | Descent | Filter
Segment: TypeAlias = Step | Function


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path: `root` is `$`, `$$` or `$name`; `read(value)` follows `segments` from that root's value."""

    text: str
    root: str
    segments: tuple[Segment, ...]
    definite: bool
    simple: tuple[str | int, ...] | None

    def read(self, value: Json) -> Json:
        """The value at the path. Raises PathNotFound where a definite path leads nowhere."""
        if self.simple is not None:
            return _read_simple(self, value)
        return _read_segments(self, value)

    @property
    def is_reference(self) -> bool:
        """Whether this is a Reference Path: it can name one place only (ASL specification, "Reference Paths")."""
        return self.simple is not None and all(not isinstance(key, int) or key >= 0 for key in self.simple)


def _read_simple(path: Path, value: Json) -> Json:
    current = value
    for depth, key in enumerate(path.simple or ()):
        try:
            if isinstance(key, str):
                if type(current) is not dict:
                    raise KeyError(key)
                current = current[key]
            else:
                if type(current) is not list:
                    raise KeyError(key)
                current = current[key]
        except (KeyError, IndexError):
            raise PathNotFound(_why_missing(path, depth)) from None
    return current


def _why_missing(path: Path, depth: int) -> str:
    keys = path.simple or ()
    where = "$" + "".join(f"['{key}']" if isinstance(key, str) else f"[{key}]" for key in keys[: depth + 1])
    if depth + 1 == len(keys):
        return f"Invalid path '{path.text}' : No results for path: {where}"
    return f"Invalid path '{path.text}' : Missing property in path {where}"


def _read_segments(path: Path, document: Json) -> Json:
    found: list[Json] = [document]
    definite = True
    for segment in path.segments:
        if isinstance(segment, Function):
            return _call(path, segment, found[0] if definite else found, document)
        if definite and isinstance(segment, Slice | Index) and not isinstance(found[0], list | None):
            raise PathNotFound(f"Invalid path '{path.text}' : an array is needed for {segment}")
        definite = definite and _is_definite(segment)
        if definite:
            found = [_one(path, segment, found[0])]
        else:
            found = [item for node in found for item in segment.each(node, document)]
    return found[0] if definite else found


def _is_definite(segment: Segment) -> bool:
    if isinstance(segment, Name):
        return segment.last or len(segment.names) == 1
    return isinstance(segment, Index) and len(segment.indices) == 1


def _one(path: Path, segment: Step, value: Json) -> Json:
    """Follow a definite segment. Where an indefinite one comes later, what is missing gives null, and so nothing."""
    for item in segment.each(value, None):
        return item
    if not path.definite and not isinstance(path.segments[-1], Function):
        return None
    shown = segment.names[0] if isinstance(segment, Name) else segment
    raise PathNotFound(f"Invalid path '{path.text}' : No results for path: {shown!r}")


def _call(path: Path, function: Function, value: Json, document: Json) -> Json:
    arguments = [item.read(document) if isinstance(item, Path) else item for item in function.arguments]
    try:
        return _FUNCTIONS[function.name](value, *arguments)
    except (TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise PathNotFound(f"Invalid path '{path.text}' : {function.name}() cannot be applied here") from error


def _numbers(value: Json, *more: Json) -> list[float]:
    items = [*(value if isinstance(value, list) else [value]), *more]
    return [float(item) for item in items if isinstance(item, int | float) and not isinstance(item, bool)]


def _average(value: Json, *more: Json) -> float:
    numbers = _numbers(value, *more)
    return sum(numbers) / len(numbers)


def _deviation(value: Json, *more: Json) -> float:
    numbers = _numbers(value, *more)
    mean = sum(numbers) / len(numbers)
    return float((sum((number - mean) ** 2 for number in numbers) / len(numbers)) ** 0.5)


def _length(value: Json, of: Json = None) -> int:
    target = value if of is None else of
    if not isinstance(target, list | dict):
        raise TypeError("length() needs an array or an object")
    return len(target)


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError("an array is needed")
    return value


_FUNCTIONS: dict[str, Callable[..., Json]] = {
    "length": _length,
    "size": _length,
    "min": lambda value, *more: min(_numbers(value, *more)),
    "max": lambda value, *more: max(_numbers(value, *more)),
    "sum": lambda value, *more: sum(_numbers(value, *more)),
    "avg": _average,
    "stddev": _deviation,
    "keys": lambda value: list(value.keys()) if isinstance(value, dict) else _list(None),
    "concat": lambda value, *more: "".join(str(item) for item in more) if more else "".join(map(str, _list(value))),
    "append": lambda value, *more: [*_list(value), *more],
    "first": lambda value: _list(value)[0],
    "last": lambda value: _list(value)[-1],
    "index": lambda value, index: _list(value)[index],
}

_ROOT = re.compile(r"\$\$|\$(?P<variable>[^\W\d]\w*)|\$")
_DOTTED = re.compile(r"(?:[^.\[\]()*,'\"\s\\]|\\.)+(?: +(?:[^.\[\]()*,'\"\s\\]|\\.)+)*", re.DOTALL)
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_NUMBERS = re.compile(r"\s*-?\d+\s*(?:,\s*-?\d+\s*)*")
# Jayway reads a third number and does nothing with it.
_SLICE = re.compile(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(?:-?\d+)?\s*)?")
_CALL = re.compile(r"([a-z]+)\(")


@lru_cache(maxsize=4096)
def compile_path(text: str) -> Path:
    """Compile a path that begins with `$`, `$$` or `$variable`. Raises PathSyntaxError."""
    root = _ROOT.match(text)
    if root is None:
        raise PathSyntaxError(f"a path begins with $: {text!r}")
    segments = _placed(tuple(_Parser(text, root.end()).segments()))
    definite = all(_is_definite(segment) for segment in segments)
    if segments and isinstance(segments[-1], Descent):
        raise PathSyntaxError(f"a path does not end with '..': {text!r}")
    return Path(text, root.group(), segments, definite, _simple(segments))


def _placed(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """The segments, told where they stand: some find other things behind `..`, or before the end."""
    placed: list[Segment] = []
    for index, segment in enumerate(segments):
        behind_descent = index > 0 and isinstance(segments[index - 1], Descent)
        if isinstance(segment, Name):
            at_end = index == len(segments) - 1 or isinstance(segments[index + 1], Function)
            segment = Name(segment.names, last=at_end, whole=behind_descent)
        elif isinstance(segment, Filter):
            segment = Filter(segment.test, alone=behind_descent)
        placed.append(segment)
    return tuple(placed)


def _simple(segments: tuple[Segment, ...]) -> tuple[str | int, ...] | None:
    keys: list[str | int] = []
    for segment in segments:
        if isinstance(segment, Name) and len(segment.names) == 1:
            keys.append(segment.names[0])
        elif isinstance(segment, Index) and len(segment.indices) == 1:
            keys.append(segment.indices[0])
        else:
            return None
    return tuple(keys)


class _Parser:
    """Reads the segments of one path from a position on."""

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position

    def fail(self, why: str) -> PathSyntaxError:
        return PathSyntaxError(f"{why} at character {self.position + 1} of {self.text!r}")

    def segments(self) -> Iterator[Segment]:
        while self.position < len(self.text):
            if self.text.startswith("..", self.position):
                self.position += 2
                yield Descent()
                if self.text[self.position : self.position + 1] != "[":
                    yield self._dotted()
            elif self.text[self.position] == ".":
                self.position += 1
                yield self._dotted()
            elif self.text[self.position] == "[":
                yield self._bracket()
            else:
                raise self.fail("unexpected text")

    def _dotted(self) -> Segment:
        if self.text.startswith("*", self.position):
            self.position += 1
            return Wildcard()
        call = _CALL.match(self.text, self.position)
        if call:
            return self._function(call.group(1), call.end())
        found = _DOTTED.match(self.text, self.position)
        if not found:
            raise self.fail("a name is missing")
        self.position = found.end()
        # A backslash makes the next character part of the name (ASL specification, "Reference Paths").
        return Name((re.sub(r"\\(.)", r"\1", found.group(), flags=re.DOTALL),))

    def _function(self, name: str, start: int) -> Segment:
        end = _closing(self.text, start - 1)
        if name not in _FUNCTIONS:
            raise self.fail(f"unknown function {name}()")
        if end != len(self.text) - 1:
            raise self.fail(f"{name}() can only end a path")
        self.position = end + 1
        return Function(name, tuple(_argument(part) for part in _split(self.text[start:end])))

    def _bracket(self) -> Segment:
        end = _closing(self.text, self.position)
        if end < 0:
            raise self.fail("a bracket is not closed")
        inner = self.text[self.position + 1 : end].strip()
        segment = self._inside(inner)
        self.position = end + 1
        return segment

    def _inside(self, inner: str) -> Segment:
        if inner == "*":
            return Wildcard()
        if inner.startswith("?"):
            try:
                return Filter(compile_filter(inner[1:].strip(), compile_path))
            except FilterSyntaxError as error:
                raise self.fail(str(error)) from error
        if _NUMBERS.fullmatch(inner):
            return Index(tuple(int(number) for number in inner.split(",")))
        cut = _SLICE.fullmatch(inner)
        if cut:
            start, stop = (None if number is None else int(number) for number in cut.groups())
            if start is None and stop is None:
                raise self.fail("a slice has a start, an end or both")
            return Slice(start, stop)
        return Name(self._names(inner))

    def _names(self, inner: str) -> tuple[str, ...]:
        names = []
        for part in _split(inner):
            found = _QUOTED.fullmatch(part)
            if not found:
                raise self.fail("expected a quoted name, a number, a slice, * or a filter")
            names.append(_unquoted(part))
        if not names:
            raise self.fail("empty brackets")
        return tuple(names)


def _unquoted(text: str) -> str:
    """Only the quote itself can be escaped; any other backslash is part of the name, as on AWS."""
    quote = text[0]
    return text[1:-1].replace("\\" + quote, quote)


def _argument(text: str) -> Json | Path:
    if text.startswith("$"):
        return compile_path(text)
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        return _unquoted(text)
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise PathSyntaxError(f"not an argument: {text!r}") from None


def _closing(text: str, opening: int) -> int:
    """Where the bracket at `opening` closes, or -1; quotes are skipped."""
    depth, position = 0, opening
    while position < len(text):
        mark = text[position]
        if mark in "'\"":
            quoted = _QUOTED.match(text, position)
            if not quoted:
                return -1
            position = quoted.end()
            continue
        if mark in "[(":
            depth += 1
        elif mark in "])":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    return -1


def _split(text: str) -> list[str]:
    """Split at commas that are outside of quotes and brackets."""
    parts, start, position = [], 0, 0
    while position < len(text):
        if text[position] in "'\"":
            quoted = _QUOTED.match(text, position)
            position = quoted.end() if quoted else len(text)
            continue
        if text[position] in "[(":
            closing = _closing(text, position)
            position = closing + 1 if closing >= 0 else len(text)
            continue
        if text[position] == ",":
            parts.append(text[start:position].strip())
            start = position + 1
        position += 1
    rest = text[start:].strip()
    return [*parts, rest] if rest or parts else []


split_arguments = _split
closing_bracket = _closing
