"""Reads the parts of a state out of a definition, and notes every fault with its JSON path."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from lakehead.model import Json
from lakehead.workflow import fields
from lakehead.workflow.choice import is_number, is_whole
from lakehead.workflow.expressions import Expression, ExpressionError, compile_expression, compile_template
from lakehead.workflow.jsonata import compile_jsonata_template
from lakehead.workflow.paths import PathSyntaxError, compile_path
from lakehead.workflow.retry import ERROR_NAMES, Catcher, Retrier
from lakehead.workflow.states import Number

_VARIABLE = re.compile(r"[^\W\d]\w{0,79}")


@dataclass(slots=True)
class Faults:
    """The faults of a document, each with its JSON path, in the order of the document."""

    found: list[tuple[str, str]] = field(default_factory=list)
    stored: bool = False

    def report(self, path: str, message: str) -> None:
        """Note one fault."""
        self.found.append((path, message))

    def lint(self, path: str, message: str) -> None:
        """Note a fault that does not keep a document from being run: one that is stored already goes on."""
        if not self.stored:
            self.report(path, message)


def member(path: str, name: str) -> str:
    """The JSON path of an object's member; odd names are put into brackets."""
    return f"{path}.{name}" if re.fullmatch(r"[A-Za-z_]\w*", name) else f"{path}[{name!r}]"


def constant(value: Json) -> Expression:
    """An expression that is always this value."""
    return lambda _scope: value


@dataclass(slots=True)
class Reader:
    """Reads the fields of one state (or catcher, or rule) at one path.

    `outer` is the language of the machine that a state is in, which the machines inside of the state inherit.
    """

    spec: dict[str, Json]
    path: str
    faults: Faults
    jsonata: bool = False
    outer: bool = False

    def fail(self, key: str, message: str) -> None:
        """Note a fault of one field."""
        self.faults.report(member(self.path, key) if key else self.path, message)

    def unknown(self, allowed: set[str], what: str) -> None:
        """Note every field that is not allowed."""
        for key in self.spec:
            if key not in allowed:
                self.fail(key, f"unknown field {key!r} in {what}")

    def text(self, key: str, *, required: bool = False) -> str | None:
        """A field that holds text."""
        value = self.spec.get(key)
        if value is None and key not in self.spec:
            if required:
                self.fail(key, f"{key} is missing")
            return None
        if not isinstance(value, str) or (required and not value):
            self.fail(key, f"{key} is text")
            return None
        return value

    def number(
        self, key: str, low: float, high: float, *, whole: bool = True, default: float | None = None
    ) -> float | None:
        """A number from low to high, both included."""
        if key not in self.spec:
            return default
        value = self.spec[key]
        if not (is_whole(value) if whole else is_number(value)) or not low <= value <= high:
            kind = "a whole number" if whole else "a number"
            self.fail(key, f"{key} is {kind} from {low:g} to {high:g}")
            return default
        return float(value) if not whole else int(value)

    def expression(self, key: str, *, field_name: bool = True) -> Expression | None:
        """A path or an intrinsic function; in JSONata, text that may hold `{% %}`."""
        value = self.spec.get(key)
        if key not in self.spec:
            return None
        if not isinstance(value, str):
            self.fail(key, f"{key} is a path")
            return None
        try:
            return compile_expression(value, field=key if field_name else "")
        except ExpressionError as error:
            self.fail(key, str(error))
            return None

    def path_or_null(self, key: str) -> Expression | None:
        """InputPath and OutputPath: a path; null is an empty object; absent is the whole."""
        if key not in self.spec:
            return None
        if self.spec[key] is None:
            return constant({})
        if self.spec[key] == "$":
            return None
        return self.expression(key, field_name=False)

    def template(self, key: str) -> Expression | None:
        """A payload template of this state's query language; a constant becomes an expression too."""
        if key not in self.spec:
            return None
        value = self.spec[key]
        path = member(self.path, key)
        if self.jsonata:
            computed = compile_jsonata_template(value, self.faults.report, path, key)
            return constant(value) if computed is None else computed
        if key in ("Parameters", "ItemSelector", "ResultSelector") and not isinstance(value, dict | list | str):
            self.fail(key, f"{key} is an object")
            return None
        computed = compile_template(value, self.faults.report, path)
        return constant(value) if computed is None else computed

    def assign(self, key: str = "Assign") -> Expression | None:
        """The variables that a state sets."""
        if key not in self.spec:
            return None
        value = self.spec[key]
        if not isinstance(value, dict):
            self.fail(key, "Assign is an object of variables")
            return None
        for name in value:
            plain = name[:-2] if name.endswith(".$") and not self.jsonata else name
            if not _VARIABLE.fullmatch(plain) or plain == "states":
                self.faults.report(member(member(self.path, key), name), f"{plain!r} cannot be a variable's name")
        return self.template(key)

    def result_path(self) -> tuple[tuple[str | int, ...] | None, str]:
        """ResultPath as keys; None discards the result, () replaces the input."""
        if "ResultPath" not in self.spec:
            return (), "$"
        value = self.spec["ResultPath"]
        if value is None:
            return None, "null"
        try:
            path = compile_path(value) if isinstance(value, str) else None
        except PathSyntaxError as error:
            self.fail("ResultPath", str(error))
            return (), "$"
        if path is None or path.simple is None or not path.is_reference or path.root != "$":
            self.fail("ResultPath", "ResultPath is a reference path such as $.a.b, or null")
            return (), "$"
        return path.simple, str(value)

    def limit(self, key: str, low: float, high: float, kind: Literal["integer", "float"] = "integer") -> Number | None:
        """A numeric field: a constant, a path in `<key>Path`, or JSONata text."""
        by_path = f"{key}Path"
        if key in self.spec and by_path in self.spec:
            self.fail(by_path, f"{key} and {by_path} exclude each other")
        if by_path in self.spec:
            value = self.expression(by_path)
            text, named = str(self.spec[by_path]), by_path
        elif key not in self.spec:
            return None
        elif self.jsonata and isinstance(self.spec[key], str):
            value, text, named = self.template(key), str(self.spec[key]), key
        else:
            number = self.number(key, low, high, whole=kind == "integer")
            value, text, named = None if number is None else constant(number), str(number), key
        if value is None:
            return None
        return Number(field=named, value=value, text=text, kind=kind, low=low, high=high)

    def errors(self, last: bool) -> frozenset[str]:
        """ErrorEquals of a retrier or catcher; States.ALL stands alone and in the last one."""
        value = self.spec.get("ErrorEquals")
        if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
            self.fail("ErrorEquals", "ErrorEquals is a list of error names that is not empty")
            return frozenset()
        if "States.ALL" in value and (len(value) > 1 or not last):
            self.fail("ErrorEquals", "States.ALL stands alone, and only in the last entry")
        for name in value:
            if name.startswith("States.") and name not in ERROR_NAMES:
                message = f"{name!r} is no error name of the language; States. is reserved for those"
                self.faults.lint(member(self.path, "ErrorEquals"), message)
        return frozenset(value)

    def entries(self, key: str) -> list[Reader]:
        """The objects of a list field, each with a reader."""
        if key not in self.spec:
            return []
        value = self.spec[key]
        if not isinstance(value, list):
            self.fail(key, f"{key} is a list")
            return []
        readers = []
        for index, item in enumerate(value):
            where = f"{member(self.path, key)}[{index}]"
            if isinstance(item, dict):
                readers.append(Reader(item, where, self.faults, self.jsonata))
            else:
                self.faults.report(where, "an object is needed here")
        return readers

    def retriers(self) -> tuple[Retrier, ...]:
        """The compiled Retry."""
        readers = self.entries("Retry")
        return tuple(_retrier(reader, reader is readers[-1]) for reader in readers)

    def catchers(self) -> tuple[Catcher, ...]:
        """The compiled Catch."""
        readers = self.entries("Catch")
        return tuple(_catcher(reader, reader is readers[-1]) for reader in readers)


def _retrier(reader: Reader, last: bool) -> Retrier:
    reader.unknown(fields.RETRIER, "Retry")
    jitter = reader.spec.get("JitterStrategy", "NONE")
    if jitter not in ("FULL", "NONE"):
        reader.fail("JitterStrategy", "JitterStrategy is FULL or NONE")
    interval = reader.number("IntervalSeconds", 1, 99_999_999, default=1)
    max_delay = reader.number("MaxDelaySeconds", 1, 31_622_399)
    if max_delay is not None and interval is not None and max_delay <= interval and "IntervalSeconds" in reader.spec:
        reader.fail("MaxDelaySeconds", "MaxDelaySeconds is greater than IntervalSeconds")
    return Retrier(
        errors=reader.errors(last),
        interval=interval or 1,
        attempts=int(reader.number("MaxAttempts", 0, 99_999_999, default=3) or 0),
        backoff=reader.number("BackoffRate", 1, 1e9, whole=False, default=2.0) or 2.0,
        max_delay=max_delay,
        jitter=jitter == "FULL",
    )


def _catcher(reader: Reader, last: bool) -> Catcher:
    reader.unknown(fields.CATCHER_JSONATA if reader.jsonata else fields.CATCHER_JSONPATH, "Catch")
    keys, text = ((), "$") if reader.jsonata else reader.result_path()
    return Catcher(
        errors=reader.errors(last),
        next=reader.text("Next", required=True) or "",
        result_keys=keys,
        result_text=text,
        output=reader.template("Output") if reader.jsonata else None,
        assign=reader.assign(),
    )
