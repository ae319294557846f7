"""What the standard has no word for: Lakehead's customProperties, listed in the package's docstring."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from lakehead.contract.document import Document, Place, nearest, shown
from lakehead.contract.model import WHITESPACE, Dialect

_ENCODINGS = {
    "utf-8": ("utf8", "utf-8-sig"),
    "utf-16": ("utf16",),
    "latin-1": ("latin1", "iso-8859-1", "iso8859-1"),
    "cp1252": ("windows-1252",),
}


class _Unfit(Exception):
    """A value is not what a setting takes; the text says what it takes."""


def _one_character(value: Any) -> str:
    if isinstance(value, str) and len(value) == 1 and value not in "\r\n\0\ufeff" and ord(value) < 128:
        return value
    raise _Unfit("one ASCII character, such as ';' (in double quotes \"\\t\" is a tab)")


def _encoding(value: Any) -> str:
    for name, others in _ENCODINGS.items():
        if str(value).lower().replace("_", "-") in (name, *others):
            return name
    raise _Unfit(f"one of {', '.join(_ENCODINGS)}")


def _stray_quotes(value: Any) -> bool:
    if value in ("keep", "quarantine"):
        return bool(value == "keep")
    raise _Unfit("quarantine or keep")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _Unfit("true or false")


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(dict.fromkeys(item.strip(WHITESPACE) for item in value if item.strip(WHITESPACE)))
    raise _Unfit("a list of texts, such as ['N/A', '-'] (in quotes)")


def _share(value: Any) -> float:
    if not isinstance(value, bool) and isinstance(value, int | float | Decimal) and 0 <= value <= 1:
        return float(value)
    raise _Unfit("a number from 0 to 1, such as 0.05")


def _prefix(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_]{0,99}", value):
        return value
    raise _Unfit("small letters, digits and underscores, such as raw_")


def _one_of(*names: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value in names:
            return str(value)
        raise _Unfit(f"one of {', '.join(names)}")

    return read


SETTINGS: dict[str, Callable[[Any], Any]] = {
    "csvDelimiter": _one_character,
    "csvQuote": _one_character,
    "csvEncoding": _encoding,
    "csvHeader": _boolean,
    "csvNullTexts": _texts,
    "csvStrayQuotes": _stray_quotes,
    "onRewrite": _one_of("replace", "reject", "append"),
    "onDuplicateContent": _one_of("load", "skip", "refuse"),
    "maxQuarantinedShare": _share,
    "rawTablePrefix": _prefix,
    "processedTablePrefix": _prefix,
    "quarantineTablePrefix": _prefix,
}


def read_settings(document: Document) -> dict[str, Any]:
    """The settings among the customProperties of the document and of its schema object, checked.

    Properties of other tools are left alone, unless their name looks like one of ours misspelt.
    """
    found: dict[str, Any] = {}
    schema = document.data.get("schema") or [{}]
    owners: list[tuple[Place, dict[str, Any]]] = [((), document.data), (("schema", 0), schema[0])]
    for owner, holder in owners:
        for number, entry in enumerate(holder.get("customProperties", [])):
            name, place = entry["property"], (*owner, "customProperties", number)
            if not _ours(document, place, name):
                continue
            if name in found:
                raise document.invalid(place, f"{name} is set twice")
            try:
                found[name] = SETTINGS[name](entry["value"])
            except _Unfit as error:
                message = f"{name}: expected {error}, received {shown(entry['value'])}"
                raise document.invalid((*place, "value"), message) from None
    return found


def refuse_settings(document: Document, owner: Place, entries: list[dict[str, Any]]) -> None:
    """Refuse our settings where they have no meaning: at a single property or quality check."""
    for number, entry in enumerate(entries):
        place = (*owner, "customProperties", number)
        if _ours(document, place, entry["property"]):
            hint = "Move it to the customProperties of the document."
            raise document.unsupported(place, f"{entry['property']} is a setting of the whole dataset", hint)


def dialect(settings: dict[str, Any], document: Document) -> Dialect:
    """The CSV dialect among the settings."""
    names = {
        "csvDelimiter": "delimiter",
        "csvQuote": "quote",
        "csvEncoding": "encoding",
        "csvHeader": "header",
        "csvNullTexts": "null_texts",
        "csvStrayQuotes": "stray_quotes",
    }
    found = Dialect(**{field: settings[name] for name, field in names.items() if name in settings})
    if found.delimiter == found.quote:
        raise document.invalid((), "csvDelimiter and csvQuote are the same character")
    return found


def _ours(document: Document, place: Place, name: str) -> bool:
    if name in SETTINGS:
        return True
    lowered = [known.lower() for known in SETTINGS]
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.85)
    if near or re.match(r"csv|lakehead", name, re.IGNORECASE):
        raise document.unsupported((*place, "property"), f'unknown setting "{name}"', nearest(name, SETTINGS))
    return False
