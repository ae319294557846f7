"""A YAML document as plain values, with the line of every value, so that every complaint names its place.

Scalars are read by YAML 1.2's core schema: `no` and `2025-01-01` are texts, where YAML 1.1 has a boolean and a date.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

from lakehead.errors import ContractError, UnsupportedContract

Place: TypeAlias = tuple[str | int, ...]
"""Where a value is: `("schema", 0, "properties", 3)`."""

MAX_BYTES = 1_000_000
MAX_VALUES = 100_000
MAX_DEPTH = 60


class Document:
    """One file: `data` (dicts, lists, str, int, Decimal, bool, None) and where each value stands.

    Making one raises ContractError for a file that cannot be read, is no YAML, repeats a key or is oversized.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        content = _read(file)
        self.sha256 = hashlib.sha256(content).hexdigest()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ContractError(f"{file.name} is not UTF-8 text", file=str(file), byte=error.start) from error
        self._lines: dict[Place, int] = {}
        self._values = 0
        self.data: Any = self._load(text)

    def line(self, place: Place) -> int | None:
        """The line (from 1) of a value, or of the nearest value around it."""
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place)

    def invalid(self, place: Place, message: str, hint: str = "") -> ContractError:
        """The document is not a valid contract, for a reason at `place`."""
        return ContractError(message, hint=hint, file=str(self.file), path=dotted(place), line=self.line(place))

    def unsupported(self, place: Place, message: str, hint: str = "") -> UnsupportedContract:
        """The contract asks at `place` for what cannot be run."""
        return UnsupportedContract(message, hint=hint, file=str(self.file), path=dotted(place), line=self.line(place))

    def _load(self, text: str) -> Any:
        import yaml

        try:
            # Events, not yaml.load or yaml.compose: those recurse in C and die of a deeply nested document.
            events: Iterator[Any] = yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
            next(events), next(events)
            first = next(events, None)
            data = None if first is None or isinstance(first, yaml.StreamEndEvent) else self._build(first, events, ())
            if any(isinstance(event, yaml.DocumentStartEvent) for event in events):
                raise self.invalid((), "the file holds more than one YAML document", "Write one contract to a file.")
            return data
        except StopIteration:
            return None
        except yaml.MarkedYAMLError as error:
            mark: Any = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else None
            problem = error.problem or error.context or "it cannot be parsed"
            raise ContractError(
                f"{self.file.name} is no valid YAML: {problem}", file=str(self.file), line=line
            ) from error
        except yaml.YAMLError as error:
            problem = " ".join(str(error).split())
            raise ContractError(f"{self.file.name} is no valid YAML: {problem[:200]}", file=str(self.file)) from error

    def _build(self, event: Any, events: Iterator[Any], place: Place) -> Any:
        import yaml

        self._values += 1
        self._lines.setdefault(place, event.start_mark.line + 1)
        if len(place) > MAX_DEPTH or self._values > MAX_VALUES:
            raise self.invalid(place[:6], "the document is nested too deeply or too large to be a contract")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self.invalid(place, "YAML anchors and aliases are not supported", "Write the value out.")
        if event.tag not in (None, "!"):
            raise self.invalid(place, f"the tag {event.tag} is not supported", "Write the value without a tag.")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, place)
        if isinstance(event, yaml.SequenceStartEvent):
            ended = itertools.takewhile(lambda item: not isinstance(item, yaml.SequenceEndEvent), events)
            return [self._build(item, events, (*place, number)) for number, item in enumerate(ended)]
        return event.value if event.style else _plain(event.value)

    def _mapping(self, events: Iterator[Any], place: Place) -> dict[str, Any]:
        import yaml

        found: dict[str, Any] = {}
        for event in events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                raise self.invalid(place, "a key is a list, a mapping or an alias")
            key: str = event.value
            repeated = key in found
            self._lines[(*place, key)] = line
            if repeated:
                raise self.invalid((*place, key), f'the key "{key}" is there twice')
            found[key] = self._build(next(events), events, (*place, key))
        return found


def _plain(written: str) -> Any:
    """An unquoted scalar by YAML 1.2's core schema. A number out of all proportion stays text."""
    if re.fullmatch(r"~|null|Null|NULL|", written):
        return None
    if re.fullmatch(r"true|True|TRUE|false|False|FALSE", written):
        return written.lower() == "true"
    if re.fullmatch(r"[-+]?[0-9]{1,100}", written):
        return int(written)
    if re.fullmatch(r"[-+]?([.][0-9]{1,50}|[0-9]{1,50}([.][0-9]{0,50})?)([eE][-+]?[0-9]{1,2})?", written):
        return Decimal(written)
    return written


def dotted(place: Place) -> str:
    """A place as people write it: `schema[0].properties[3].name`."""
    written = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place)
    return written.removeprefix(".") or "(document)"


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint that names the nearest valid name, or all of them where none is near."""
    names = sorted(allowed)
    lowered = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), list(lowered), n=1)
    if near:
        return f'Did you mean "{lowered[near[0]]}"?'
    return f"Known: {', '.join(names)}." if names else ""


def shown(value: Any) -> str:
    """A value of the document, short enough for a message."""
    written = str(value).lower() if isinstance(value, bool) else str(value)
    written = f'"{written}"' if isinstance(value, str) else written
    return written if len(written) <= 60 else written[:57] + "..."


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ContractError(f"{file.name} is larger than a contract can be (1 MB)", file=str(file))
        return file.read_bytes()
    except OSError as error:
        raise ContractError(f"cannot read {file.name}: {error.strerror}", file=str(file)) from error
