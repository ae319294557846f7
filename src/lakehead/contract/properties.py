"""From the standard's properties to columns."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from lakehead.contract import datetimes, expressions, patterns
from lakehead.contract.document import Document, Place, shown
from lakehead.contract.model import Bound, Column, ColumnType, Kind, Length, MultipleOf, Pattern, Rule
from lakehead.contract.settings import refuse_settings
from lakehead.contract.types import column_type

_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
_INTEGER_RANGES = {
    **{f"i{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"u{bits}": (0, 2**bits - 1) for bits in (8, 16, 32)},
}


def read_columns(document: Document, owner: Place, entries: list[dict[str, Any]]) -> tuple[Column, ...]:
    """The columns in document order, without the rules that `quality` adds."""
    names = [entry["name"] for entry in entries]
    for number, name in enumerate(names):
        _check_name(document, (*owner, number, "name"), name, names[:number])
    types = {entry["name"]: column_type(document, (*owner, number), entry) for number, entry in enumerate(entries)}
    columns = tuple(_Property(document, (*owner, number), entry, types).read() for number, entry in enumerate(entries))
    _check_sources(document, owner, columns)
    _check_cycles(document, owner, columns)
    return columns


def _check_name(document: Document, place: Place, name: str, before: list[str]) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,126}", name):
        snake = re.sub(r"[^a-z0-9]+", "_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()).strip("_")
        hint = f"Write name: {snake or 'a_name'} with transformLogic: '\"{name}\"' for the column of the file."
        raise document.unsupported(
            place, f"{shown(name)}: a column name is small letters, digits and underscores", hint
        )
    if name in before:
        raise document.invalid(place, f'two properties are named "{name}"')


class _Property:
    def __init__(self, document: Document, place: Place, entry: dict[str, Any], types: dict[str, ColumnType]) -> None:
        self.document, self.place, self.entry, self.types = document, place, entry, types
        self.name: str = entry["name"]
        self.type = types[self.name]
        self.options: dict[str, Any] = entry.get("logicalTypeOptions", {})

    def read(self) -> Column:
        entry = self.entry
        if entry.get("physicalName") not in (None, self.name):
            hint = f"For a source column of another name write transformLogic: {entry['physicalName']}"
            raise self.document.unsupported((*self.place, "physicalName"), "physicalName differs from name", hint)
        refuse_settings(self.document, self.place, entry.get("customProperties", []))
        source, expression, inputs = self._origin()
        return Column(
            name=self.name,
            type=self.type,
            required=bool(entry.get("required") or entry.get("primaryKey")),
            partitioned=bool(entry.get("partitioned")),
            source=source,
            expression=expression,
            inputs=inputs,
            format=self._format(source),
            zone=self._zone(),
            rules=tuple(self._rules()),
            description=entry.get("description", ""),
        )

    def _origin(self) -> tuple[str | None, str | None, tuple[str, ...]]:
        logic = self.entry.get("transformLogic")
        if logic is None:
            return self.name, None, ()
        place = (*self.place, "transformLogic")
        try:
            tree = expressions.parse(logic)
            bare = expressions.bare_name(tree)
            if bare is not None and (bare[0] not in self.types or bare[0] == self.name):
                return self._source(place, *bare), None, ()
            found = expressions.typed(tree, {name: kind for name, kind in self.types.items() if name != self.name})
            expressions.fits(found, self.type)
            return None, found.sql, expressions.inputs(tree)
        except expressions.BadExpression as error:
            raise self.document.unsupported(place, f"{shown(logic)}: {error}", error.hint) from error

    def _source(self, place: Place, name: str, quoted: bool) -> str:
        namesake = [other for other in self.types if other != self.name and other.lower() == name.lower()]
        if namesake and not quoted:
            message = f'{name} may mean the property "{namesake[0]}" or a column of the file'
            raise self.document.unsupported(place, message, f"For the column of the file write '\"{name}\"'.")
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise self.document.unsupported(place, "the name of a source column is printable text")
        if re.fullmatch(r"_line|_extra[0-9]+", name, re.IGNORECASE):
            hint = "Rename the column in the files."
            raise self.document.unsupported(place, f"Lakehead has its own use for the name {name}", hint)
        return name

    def _format(self, source: str | None) -> str:
        written = self.options.get("format")
        if self.type.kind is Kind.STRING and written not in (None, "password"):
            hint = "Write a pattern; a format is not checked."
            raise self.document.unsupported(self._option("format"), f"format {shown(written)} is not supported", hint)
        if self.entry.get("logicalType") == "number" and (written == "f32" or (written and self.type.exact)):
            message = f"format {written} does not go with {self.type.sql}"
            raise self.document.unsupported(self._option("format"), message)
        if self.type.kind not in (Kind.DATE, Kind.TIMESTAMP) or written is None:
            return ""
        if source is None:
            raise self.document.unsupported(self._option("format"), "a computed column is not read from text")
        try:
            found = datetimes.read_format(written)
        except datetimes.BadFormat as error:
            hint = "Letters are those of the JDK's DateTimeFormatter, such as yyyy-MM-dd or dd/MM/yyyy HH:mm."
            raise self.document.unsupported(self._option("format"), f"{shown(written)}: {error}", hint) from error
        if self.type.kind is Kind.DATE and datetimes.has_time(found):
            hint = "Make it a timestamp, and a date of its own with transformLogic: CAST(... AS DATE)."
            raise self.document.unsupported(self._option("format"), "a date's format has a time of day", hint)
        if self.options.get("timezone", found.has_offset) != found.has_offset:
            hint = "XXX reads an offset such as +02:00 or Z."
            raise self.document.unsupported(self._option("timezone"), "timezone and format contradict each other", hint)
        return str(written)

    def _zone(self) -> bool | None:
        default = self.options.get("defaultTimezone", "UTC")
        if default not in ("UTC", "Etc/UTC", "GMT", "Z"):
            hint = "Timestamps without an offset are UTC. Let the file give offsets, or convert it before it lands."
            raise self.document.unsupported(self._option("defaultTimezone"), f"{shown(default)} is not supported", hint)
        zone: bool | None = self.options.get("timezone")
        return zone

    def _rules(self) -> list[Rule]:
        found: list[Rule] = []
        least, most = self.options.get("minLength"), self.options.get("maxLength")
        if self.type.length is not None:
            most = min(self.type.length, most if most is not None else self.type.length)
        if least is not None or most is not None:
            found.append(Length(least, most))
        if "pattern" in self.options:
            found.append(read_pattern(self.document, self._option("pattern"), self.options["pattern"]))
        for key, operator in _BOUNDS.items():
            if key in self.options:
                found.append(Bound(operator, self._limit(key, self.options[key])))
        found += self._integer_range()
        if "multipleOf" in self.options:
            if not self.type.exact:
                raise self.document.unsupported(self._option("multipleOf"), "a double has no exact multiples")
            found.append(MultipleOf(Decimal(self.options["multipleOf"])))
        return found

    def _integer_range(self) -> list[Rule]:
        written = self.options.get("format")
        if self.entry.get("logicalType") != "integer" or written is None or written in ("i128", "u128", "u64"):
            if written in ("i128", "u128", "u64") and self.type.exact:
                hint = "Say physicalType: decimal(38,0) with a minimum and a maximum."
                raise self.document.unsupported(self._option("format"), f"format {written} is not supported", hint)
            return []
        least, most = _INTEGER_RANGES[written]
        return [Bound(">=", Decimal(least)), Bound("<=", Decimal(most))]

    def _limit(self, key: str, value: Any) -> Decimal | str:
        if self.type.kind in (Kind.DATE, Kind.TIMESTAMP):
            moment = iso_moment(str(value), self.type.kind)
            if moment is None:
                message = f"{key}: {shown(value)} is no {self.type.kind} as ISO 8601 writes it"
                raise self.document.invalid(self._option(key), message, "For example '2025-01-31'.")
            return moment
        return Decimal(value)

    def _option(self, key: str) -> Place:
        return (*self.place, "logicalTypeOptions", key)


def read_pattern(document: Document, place: Place, written: Any) -> Pattern:
    """A pattern in the engines' common language, or UnsupportedContract."""
    try:
        return Pattern(patterns.portable(str(written)), str(written))
    except patterns.BadPattern as error:
        raise document.unsupported(place, f"pattern {shown(written)}: {error}") from error


def iso_moment(written: str, kind: Kind) -> str | None:
    """A date or UTC timestamp in one normal form, `2025-01-31` or `2025-01-31 08:00:00`; None where it is neither."""
    day = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    try:
        if kind is Kind.DATE:
            return date.fromisoformat(written).isoformat() if re.fullmatch(day, written) else None
        if not re.fullmatch(day + r"([T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?Z?)?", written):
            return None
        return datetime.fromisoformat(written).replace(tzinfo=None).isoformat(sep=" ")
    except ValueError:
        return None


def _check_sources(document: Document, owner: Place, columns: tuple[Column, ...]) -> None:
    seen: dict[str, str] = {}
    for number, column in enumerate(columns):
        if column.source is not None:
            other = seen.setdefault(column.source.lower(), column.source)
            if other != column.source:
                message = f'the source columns "{other}" and "{column.source}" differ only in case'
                raise document.unsupported((*owner, number), message)
    if not seen:
        raise document.unsupported(owner, "no property is read from the file")


def _check_cycles(document: Document, owner: Place, columns: tuple[Column, ...]) -> None:
    waiting = {column.name: set(column.inputs) for column in columns}
    while ready := [name for name, inputs in waiting.items() if not inputs & waiting.keys()]:
        for name in ready:
            del waiting[name]
    for number, column in enumerate(columns):
        if column.name in waiting:
            circle = ", ".join(waiting)
            raise document.unsupported((*owner, number, "transformLogic"), f"{circle} are computed from each other")
