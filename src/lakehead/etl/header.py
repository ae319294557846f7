"""The header check: which CSV column feeds which column of the contract."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass

from lakehead.contract import Contract
from lakehead.errors import HeaderMismatch
from lakehead.etl.place import Place
from lakehead.etl.records import Record, RecordReader
from lakehead.etl.source import TextFile

_DELIMITERS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'", ":": "':'"}
_PREAMBLE = 50
"""How many lines below the first are searched for the header."""


@dataclass(frozen=True, slots=True)
class Columns:
    """How a file's columns are read. `names` has one name for each CSV column, in the file's order: the contract's
    name, or `_extra3` for one that the contract does not read. `absent` are optional columns that the file lacks."""

    names: tuple[str, ...]
    absent: frozenset[str] = frozenset()
    header: Record | None = None
    warnings: tuple[str, ...] = ()

    @property
    def first_line(self) -> int:
        """The line on which the first record can begin."""
        return self.header.end if self.header else 1


def read_columns(text: TextFile, contract: Contract, place: Place) -> Columns | None:
    """Read the header and hold it against the contract; None for a file of nothing but blank lines.

    A column is found by its exact name, else by its name without outer blanks and without regard to case, if that is
    unique. An optional column may be absent, but not where an unknown one stands in its place. Raises HeaderMismatch.
    Without a header the contract's order counts.
    """
    with text.open_text() as lines:
        record = RecordReader(lines, contract.dialect).next_record()
    if record is None:
        return None
    if not contract.dialect.header:
        return Columns(tuple(column.name for column in contract.source_columns))
    if record.fields is None:
        raise HeaderMismatch(
            f"the header cannot be read: {record.reason.removeprefix('record: ')}",
            hint="Mend the first line of the file.",
            **place.where,
            line=record.line,
            received=_cut(record.text),
        )
    return _match(record, text, contract, place)


def _match(record: Record, text: TextFile, contract: Contract, place: Place) -> Columns:
    found = [field.strip() for field in record.fields or ()]
    wanted = [column.name for column in contract.source_columns]
    at = {name: _find(name, found, wanted, record, contract, place) for name in wanted}
    for column in contract.source_columns:
        if column.required and at[column.name] is None:
            hint = _hint(record, text, contract)
            message = f"the header misses the required column {column.name!r}"
            raise _mismatch(message, record, contract, place, column.name, hint)
    absent = frozenset(name for name in wanted if at[name] is None)
    if len(absent) == len(wanted):
        hint = _hint(record, text, contract)
        raise _mismatch("the header names no column of the contract", record, contract, place, None, hint)
    taken = {index: name for name, index in at.items() if index is not None}
    _refuse_twins(found, taken, record, contract, place)
    _refuse_renamed(found, wanted, taken, record, contract, place)
    names = tuple(taken.get(index, f"_extra{index}") for index in range(len(found)))
    extra = [name or "(no name)" for index, name in enumerate(found) if index not in taken]
    warnings = [f"the optional column {name!r} is missing and counts as null" for name in wanted if name in absent]
    warnings += [f"columns the contract does not read: {', '.join(extra)}"] if extra else []
    return Columns(names, absent, record, tuple(warnings))


def _refuse_twins(found: list[str], taken: dict[int, str], record: Record, contract: Contract, place: Place) -> None:
    """Refuse a header that names a column twice; case counts only for columns that the contract does not read."""
    known = {name.strip().casefold() for name in taken.values()}
    names = Counter(name.casefold() if name.casefold() in known else name for name in found)
    for name, count in names.items():
        if count > 1 and name:
            message = f"the header names the column {name!r} {count} times"
            raise _mismatch(message, record, contract, place, name, "Rename one.")


def _refuse_renamed(
    found: list[str], wanted: list[str], taken: dict[int, str], record: Record, contract: Contract, place: Place
) -> None:
    """Refuse a header that has another name in the place of an optional column: its values would be dropped."""
    for index, name in enumerate(wanted):
        if name not in taken.values() and index < len(found) and index not in taken:
            other = repr(found[index]) if found[index] else "a column without a name"
            message = f"the header has {other} in the place of the optional column {name!r}"
            hint = f"Rename it, read it by transformLogic, or take {name!r} out of the contract."
            raise _mismatch(message, record, contract, place, name, hint)


def _find(
    name: str, found: list[str], wanted: list[str], record: Record, contract: Contract, place: Place
) -> int | None:
    if name in found:
        return found.index(name)
    alike = [i for i, other in enumerate(found) if other.casefold() == name.strip().casefold() and other not in wanted]
    if len(alike) > 1:
        names = " and ".join(repr(found[index]) for index in alike)
        raise _mismatch(f"both {names} could be the column {name!r}", record, contract, place, name, "Rename one.")
    return alike[0] if alike else None


def _mismatch(
    message: str, record: Record, contract: Contract, place: Place, column: str | None, hint: str
) -> HeaderMismatch:
    return HeaderMismatch(
        message,
        hint=hint,
        **place.where,
        line=record.line,
        column=column,
        expected=contract.dialect.delimiter.join(column.name for column in contract.source_columns),
        received=_cut(record.text),
    )


def _hint(record: Record, text: TextFile, contract: Contract) -> str:
    """What to do about a header that misses a column: another delimiter, lines above it, no header at all."""
    for delimiter, shown in _DELIMITERS.items():
        if delimiter != contract.dialect.delimiter and _fits(record.text, delimiter, contract):
            own = _DELIMITERS.get(contract.dialect.delimiter, repr(contract.dialect.delimiter))
            return f"The file is cut by {shown} but the contract says {own}; set csvDelimiter."
    with text.open_text() as lines:
        for number, line in enumerate(lines, 1):
            if number > record.line + _PREAMBLE:
                break
            if number > record.line and _fits(line, contract.dialect.delimiter, contract):
                return f"The header stands in line {number}; remove the lines above it."
    if len(record.fields or ()) == len(contract.source_columns):
        return "Mend the header, or set csvHeader to false if the file has none."
    return "Mend the header, or make the column optional in the contract."


def _fits(line: str, delimiter: str, contract: Contract) -> bool:
    """Whether a line, cut by this delimiter, names every required column."""
    try:
        fields = next(csv.reader([line], delimiter=delimiter, quotechar=contract.dialect.quote), [])
    except csv.Error:
        return False
    known = {field.strip().casefold() for field in fields}
    required = {column.name.casefold() for column in contract.source_columns if column.required}
    return bool(required) and required <= known


def _cut(text: str) -> str:
    return text if len(text) <= 300 else text[:300] + "..."
