"""Reads `lakehead.toml` into plain values, refusing what it does not know, and finds the line that a key stands on."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from lakehead.config.settings import BY_NAME, SETTINGS, Setting, Unfit, one_of, slug, text
from lakehead.errors import ConfigError

MAX_BYTES = 1 << 20
OUTCOMES = ("all", "success", "failure")
NOTIFY_KEYS = ("name", "url", "on")

Place: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the root of the document to a value."""


class Document:
    """A parsed `lakehead.toml`. Making one raises ConfigError for anything that is not understood."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.text = _read(file)
        try:
            self.data: dict[str, Any] = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            line = re.search(r"\(at line ([0-9]+)", str(error))
            raise ConfigError(
                f"{file.name} is no valid TOML: {error}", file=str(file), line=int(line[1]) if line else None
            ) from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{file.name} cannot be read as TOML: {error}", file=str(file)) from error
        self._check()

    def lake(self) -> dict[str, Any]:
        """What `[lake]` says, values checked."""
        return self._values(("lake",), self.data.get("lake", {}), "lake")

    def environments(self) -> list[str]:
        """The names of the `[env.NAME]` tables."""
        return list(self.data.get("env", {}))

    def environment(self, name: str) -> dict[str, Any]:
        """What `[env.NAME]` says, values checked."""
        return self._values(("env", name), self.data["env"][name], "env")

    def subscriptions(self, environment: str) -> list[dict[str, str]]:
        """`[[notify]]` and `[[env.NAME.notify]]` entries as `{"name", "url", "on"}`, values checked."""
        places: list[Place] = [("notify",), ("env", environment, "notify")]
        found: list[dict[str, str]] = []
        for place in places:
            entries: list[dict[str, Any]] = _at(self.data, place) or []
            found += [self._subscription((*place, number), entry) for number, entry in enumerate(entries)]
        names = [entry["name"] for entry in found]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f'two notify entries are named "{name}"', file=str(self.file), key="notify.name")
        return found

    def line_of(self, place: Place) -> int | None:
        """The line (from 1) where a key's value begins; None where it cannot be told.

        The document is parsed up to every line: a key begins on the line after the last prefix that lacks it. Only
        settings files are this short.
        """
        lines = self.text.splitlines(keepends=True)
        before = 0
        for count in range(1, len(lines) + 1) if len(lines) <= 2_000 else ():
            try:
                parsed = tomllib.loads("".join(lines[:count]))
            except (ValueError, RecursionError):
                continue
            if _at(parsed, place) is not None:
                return before + 1
            before = count
        return None

    def _check(self) -> None:
        self._only((), self.data, ("lake", "env", "notify"))
        lake = self._table(("lake",), self.data.get("lake", {}))
        self._only(("lake",), lake, [setting.name for setting in SETTINGS if setting.table == "lake"])
        allowed = [setting.name for setting in SETTINGS if setting.table == "env"] + ["notify"]
        for name, table in self._table(("env",), self.data.get("env", {})).items():
            self._fit(("env",), slug, name, key=f"env.{name}")
            self._only(("env", name), self._table(("env", name), table), allowed)
            self._entries(("env", name, "notify"), table.get("notify", []))
        self._entries(("notify",), self.data.get("notify", []))

    def _entries(self, place: Place, entries: Any) -> None:
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self.error(place, f"[[{_dotted(place)}]] tables", entries)
        for number, entry in enumerate(entries):
            self._only((*place, number), entry, NOTIFY_KEYS)

    def _subscription(self, place: Place, entry: Mapping[str, Any]) -> dict[str, str]:
        for key in ("name", "url"):
            if key not in entry:
                raise ConfigError(
                    f"[[{_dotted(place)}]] misses {key}", file=str(self.file), line=self.line_of(place), key=key
                )
        readers = {"name": slug, "url": _address, "on": one_of(*OUTCOMES)}
        return {
            key: self._fit((*place, key), read, entry.get(key, "all"), key=f"{_dotted(place)}.{key}")
            for key, read in readers.items()
        }

    def _values(self, place: Place, table: Mapping[str, Any], kind: str) -> dict[str, Any]:
        return {
            name: self._fit((*place, name), BY_NAME[name].read, value, key=name)
            for name, value in table.items()
            if name in BY_NAME and BY_NAME[name].table == kind
        }

    def _fit(self, place: Place, read: Any, value: Any, *, key: str) -> Any:
        try:
            return read(value)
        except Unfit as error:
            raise self.error(place, error.expected, value, key=key) from None

    def error(self, place: Place, expected: str, received: Any, *, key: str = "") -> ConfigError:
        """A ConfigError about the value at a place: what was expected and received, with file and line.

        What a notify entry says may be secret, so it is not repeated.
        """
        told = kind(received) if "notify" in place else shown(received)
        return ConfigError(
            f"{key or _dotted(place)}: expected {expected}, received {told}",
            file=str(self.file),
            line=self.line_of(place),
            key=key or _dotted(place),
        )

    def _table(self, place: Place, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.error(place, f"a table [{_dotted(place)}]", value)
        return value

    def _only(self, place: Place, table: Mapping[str, Any], allowed: Iterable[str]) -> None:
        for key in table:
            if key not in allowed:
                where = f" in [{_dotted(place)}]" if place else ""
                raise ConfigError(
                    f'unknown key "{key}"{where}',
                    hint=nearest(key, allowed),
                    file=str(self.file),
                    line=self.line_of((*place, key)),
                    key=key,
                )


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint that names the nearest valid name, or all of them where none is near."""
    names = list(allowed)
    near = difflib.get_close_matches(name.lower(), names, n=1)
    if near:
        return f'Did you mean "{near[0]}"?'
    return f"Known: {', '.join(names)}." if names else ""


def shown(value: Any) -> str:
    """A received value, short enough for a message, with the kind it is of; an address with a password is left out."""
    if isinstance(value, str) and re.search(r"://[^/]*@", value):
        return kind(value)
    written = repr(value) if not isinstance(value, bool) else str(value).lower()
    return f"{written if len(written) <= 60 else written[:57] + '...'} ({kind(value)})"


def kind(value: Any) -> str:
    """What TOML calls such a value, in words."""
    kinds = {bool: "true or false", int: "number", float: "number", str: "text", list: "list", dict: "table"}
    return kinds.get(type(value), type(value).__name__)


def check_text(setting: Setting, value: Any, *, source: str) -> Any:
    """A value from outside the file (a flag or an environment variable), checked; ConfigError names `source`."""
    try:
        return setting.read(value)
    except Unfit as error:
        raise ConfigError(
            f"{source}: expected {error.expected}, received {shown(value)}", key=setting.name, source=source
        ) from None


def _address(value: Any) -> str:
    """A subscription's address: `scheme:...`, or `env:NAME` for one that an environment variable holds."""
    address = text(value)
    if not re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*|(?!env:)[A-Za-z][A-Za-z0-9+.-]*:\S*", address):
        raise Unfit('an address such as "mailto://..." or "env:NAME" for one in an environment variable')
    return address


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{file.name} is larger than a settings file can be", file=str(file))
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file.name} is not UTF-8 text", file=str(file), byte=error.start) from error
    except OSError as error:
        raise ConfigError(f"cannot read {file.name}: {error.strerror}", file=str(file)) from error


def _at(data: Any, place: Place) -> Any:
    for key in place:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _dotted(place: Place) -> str:
    return ".".join(key for key in place if isinstance(key, str))
