"""The standard's `quality`: rules for each row, or metrics of a file held against a threshold."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lakehead.contract import queries
from lakehead.contract.document import Document, Place, nearest, shown
from lakehead.contract.model import WHITESPACE, Column, Kind, NotMissing, OneOf, QualityCheck, Rule, Threshold
from lakehead.contract.properties import iso_moment, read_pattern
from lakehead.contract.settings import refuse_settings

OPERATORS = (
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
)
_ARGUMENTS = {
    "nullValues": (),
    "missingValues": ("missingValues",),
    "invalidValues": ("validValues", "pattern"),
    "duplicateValues": ("properties",),
    "rowCount": (),
}


class QualityReader:
    """Reads `quality` entries. What they ask for is in `required`, `rules`, `unique` and `checks` afterwards."""

    def __init__(self, document: Document, columns: tuple[Column, ...], null_texts: tuple[str, ...]) -> None:
        self.document, self.null_texts = document, null_texts
        self.columns = {column.name: column for column in columns}
        self.required: set[str] = set()
        self.rules: dict[str, list[Rule]] = {}
        self.unique: list[tuple[str, ...]] = []
        self.checks: list[QualityCheck] = []

    def read(self, owner: Place, entries: list[dict[str, Any]], column: Column | None) -> None:
        """Read the entries of one property, or of the whole schema object where `column` is None."""
        for number, entry in enumerate(entries):
            place = (*owner, "quality", number)
            refuse_settings(self.document, place, entry.get("customProperties", []))
            kind = entry.get("type", "library")
            if kind == "custom":
                hint = "Write it as a library metric, as sql, or as text."
                raise self.document.unsupported(
                    place, f"quality of type custom ({entry['engine']}) cannot be run", hint
                )
            if kind == "library":
                self._library(place, entry, column)
            elif kind == "sql":
                self._sql(place, entry, column)

    def _library(self, place: Place, entry: dict[str, Any], column: Column | None) -> None:
        metric = entry.get("metric")
        if metric is None:
            raise self.document.invalid(place, "metric is missing", f"One of {', '.join(_ARGUMENTS)}.")
        arguments = self._arguments(place, metric, entry.get("arguments", {}))
        columns = self._columns(place, metric, arguments, column)
        rules = self._metric_rules(place, metric, arguments, column)
        threshold, percent = self._threshold(place, entry), self._percent(place, entry)
        severity = entry.get("severity", "error")
        by_row = metric != "rowCount" and threshold == Threshold("mustBe", (Decimal(0),)) and severity == "error"
        if by_row:
            self._by_row(metric, columns, rules)
            return
        name = entry.get("name") or " ".join(filter(None, (",".join(columns), metric)))
        self.checks.append(QualityCheck(name, metric, columns, threshold, percent, severity, rules))

    def _by_row(self, metric: str, columns: tuple[str, ...], rules: tuple[Rule, ...]) -> None:
        if metric == "nullValues":
            self.required.update(columns)
        elif metric == "duplicateValues":
            self.unique.append(columns)
        else:
            self.rules.setdefault(columns[0], []).extend(rules)

    def _arguments(self, place: Place, metric: str, arguments: dict[str, Any]) -> dict[str, Any]:
        for key in arguments:
            if key not in _ARGUMENTS[metric]:
                at = (*place, "arguments", key)
                raise self.document.unsupported(at, f"{metric} has no argument {key}", nearest(key, _ARGUMENTS[metric]))
        return arguments

    def _columns(self, place: Place, metric: str, arguments: dict[str, Any], column: Column | None) -> tuple[str, ...]:
        if metric == "rowCount":
            if column is not None:
                raise self.document.unsupported(place, "rowCount belongs to the schema object, not to a property")
            return ()
        named = arguments.get("properties")
        if named is None:
            if column is None:
                raise self.document.unsupported(place, f"{metric} belongs to a property", "Move it to the property.")
            return (column.name,)
        at = (*place, "arguments", "properties")
        if column is not None or not isinstance(named, list) or not named:
            raise self.document.unsupported(at, "properties is a list of names, at the schema object")
        for name in named:
            if name not in self.columns:
                raise self.document.invalid(at, f"{shown(name)} is no property", nearest(str(name), self.columns))
        return tuple(dict.fromkeys(named))

    def _metric_rules(
        self, place: Place, metric: str, arguments: dict[str, Any], column: Column | None
    ) -> tuple[Rule, ...]:
        if metric == "missingValues" and column is not None:
            return (self._not_missing((*place, "arguments", "missingValues"), arguments, column),)
        if metric != "invalidValues" or column is None:
            return ()
        found: list[Rule] = []
        if "validValues" in arguments:
            found.append(self._one_of((*place, "arguments", "validValues"), arguments["validValues"], column))
        if "pattern" in arguments:
            if column.type.kind is not Kind.STRING:
                raise self.document.unsupported((*place, "arguments", "pattern"), "a pattern is for strings")
            found.append(read_pattern(self.document, (*place, "arguments", "pattern"), arguments["pattern"]))
        if not found:
            raise self.document.invalid(place, "invalidValues needs the argument validValues or pattern")
        return tuple(found)

    def _not_missing(self, place: Place, arguments: dict[str, Any], column: Column) -> NotMissing:
        values = arguments.get("missingValues", [None])
        if not isinstance(values, list) or not all(value is None or isinstance(value, str) for value in values):
            raise self.document.unsupported(place, "missingValues is a list of texts and null", "Put texts in quotes.")
        texts = tuple(dict.fromkeys(value.strip(WHITESPACE) for value in values if value and value.strip(WHITESPACE)))
        if texts and column.type.kind is not Kind.STRING:
            hint = "For the whole file: csvNullTexts among the customProperties."
            raise self.document.unsupported(
                place, f"texts are missing values of a string, not of {column.type.sql}", hint
            )
        null = any(
            not value or not value.strip(WHITESPACE) or value.strip(WHITESPACE) in self.null_texts for value in values
        )
        return NotMissing(texts, null)

    def _one_of(self, place: Place, values: Any, column: Column) -> OneOf:
        if not isinstance(values, list) or not values:
            raise self.document.invalid(place, "validValues is a list of values")
        return OneOf(tuple(dict.fromkeys(self._valid_value(place, value, column) for value in values)))

    def _valid_value(self, place: Place, value: Any, column: Column) -> Decimal | str | bool:
        kind = column.type.kind
        if kind is Kind.STRING and isinstance(value, str):
            return value
        if column.type.exact and isinstance(value, int | Decimal) and not isinstance(value, bool):
            return Decimal(value)
        if kind is Kind.BOOLEAN and isinstance(value, bool):
            return value
        if kind in (Kind.DATE, Kind.TIMESTAMP) and (moment := iso_moment(str(value), kind)) is not None:
            return moment
        if kind is Kind.DOUBLE:
            raise self.document.unsupported(place, "a double cannot be compared exactly", "Use a decimal.")
        hint = "Put it in quotes." if kind is Kind.STRING else ""
        raise self.document.invalid(place, f"{shown(value)} is no {column.type.sql}", hint)

    def _threshold(self, place: Place, entry: dict[str, Any]) -> Threshold:
        operator = next(name for name in OPERATORS if name in entry)
        value = entry[operator]
        limits = value if isinstance(value, list) else [value]
        if not all(isinstance(limit, int | Decimal) and not isinstance(limit, bool) for limit in limits):
            raise self.document.unsupported((*place, operator), f"{operator}: {shown(value)} is no number")
        if len(limits) == 2 and limits[0] > limits[1]:
            raise self.document.invalid((*place, operator), f"{operator}: the smaller number comes first")
        return Threshold(operator, tuple(Decimal(limit) for limit in limits))

    def _percent(self, place: Place, entry: dict[str, Any]) -> bool:
        unit = entry.get("unit", "rows")
        if unit not in ("rows", "percent") or (unit == "percent" and entry.get("metric") == "rowCount"):
            raise self.document.unsupported((*place, "unit"), f"unit {shown(unit)} is not supported", "rows or percent")
        return bool(unit == "percent")

    def _sql(self, place: Place, entry: dict[str, Any], column: Column | None) -> None:
        try:
            types = {name: found.type for name, found in self.columns.items()}
            query = queries.check(entry["query"], types, column.name if column else None)
        except queries.BadQuery as error:
            raise self.document.unsupported((*place, "query"), f"{error}", error.hint) from error
        name = entry.get("name") or f"{column.name} sql" if column else entry.get("name") or "sql"
        threshold, severity = self._threshold(place, entry), entry.get("severity", "error")
        columns = (column.name,) if column else ()
        self.checks.append(QualityCheck(name, "sql", columns, threshold, severity=severity, query=query))
