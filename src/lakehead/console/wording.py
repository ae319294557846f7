"""How values are told to people: numbers, sizes, times, statuses, and text that hides nothing."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from lakehead.model import Json, iso, utc_now

NOTHING = "\N{EN DASH}"
"""What stands where there is no value."""
MAX_JSON = 12_000
"""Characters of a JSON value that a page shows; the API has the rest."""

KINDS = {
    "SUCCEEDED": "ok",
    "CAUGHT": "warn",
    "FAILED": "fail",
    "TIMED_OUT": "fail",
    "RUNNING": "run",
    "PENDING": "idle",
    "ABORTED": "warn",
    "CANCELLED": "warn",
    "success": "ok",
    "failure": "fail",
    "delivered": "ok",
    "sent": "ok",
    "pending": "run",
    "failed": "fail",
}
"""What a status stands for: ok, fail, run, warn or idle. It chooses the colour and the sign."""
WORDS = {"TIMED_OUT": "Timed out"}


def kind(status: str) -> str:
    """The kind of a status; idle where it is not known."""
    return KINDS.get(status, "idle")


def word(status: str) -> str:
    """A status as people say it: `Timed out`."""
    return WORDS.get(status, status.replace("_", " ").capitalize())


def number(value: int | float | Decimal | None) -> str:
    """1234567 as `1,234,567`; a dash for None."""
    return NOTHING if value is None else f"{value:,}"


def compact(value: float | None) -> str:
    """A number that needs little room: `950`, `12.4k`, `3.1M`."""
    if value is None:
        return NOTHING
    for limit, unit in ((1_000_000_000, "B"), (1_000_000, "M"), (10_000, "k")):
        if abs(value) >= limit:
            return f"{value / (1000 if unit == 'k' else limit):.1f}".removesuffix(".0") + unit
    return f"{value:,.0f}"


def size(value: float | None) -> str:
    """Bytes as `950 B`, `1.5 kB`, `24 MB`."""
    if value is None:
        return NOTHING
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.1f} {unit}" if unit != "B" and value < 10 else f"{value:,.0f} {unit}"


def duration(seconds: float | None) -> str:
    """Seconds as `85 ms`, `1.24 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`."""
    if seconds is None:
        return NOTHING
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    whole = round(seconds)
    for large, small, names in ((86_400, 3_600, ("d", "h")), (3_600, 60, ("h", "min")), (60, 1, ("min", "s"))):
        if whole >= large:
            return f"{whole // large} {names[0]} {whole % large // small} {names[1]}"
    return f"{whole} s"


def since(moment: datetime) -> str:
    """How long something lasts that began then."""
    return duration((utc_now() - moment) / timedelta(seconds=1))


def percent(share: float | None) -> str:
    """A share from 0 to 1; never `100%` where something is missing."""
    if share is None:
        return NOTHING
    if 0.999 <= share < 1:
        return "99.9%"
    return f"{share * 100:.1f}".removesuffix(".0") + "%"


def instant(moment: datetime) -> str:
    """`2025-01-03 10:22:05 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso_instant(moment: datetime) -> str:
    """For machines: `2025-01-03T10:22:05.123Z`."""
    return iso(moment)


def ago(moment: datetime, now: datetime | None = None) -> str:
    """How long ago that was: `3 min ago`; the browser goes on with it."""
    passed = ((now or utc_now()) - moment) / timedelta(seconds=1)
    distance = abs(passed)
    if distance < 5:
        return "just now"
    steps = ((60, 1, "s"), (3_600, 60, "min"), (86_400, 3_600, "h"), (86_400 * 60, 86_400, "d"))
    later = ((86_400 * 730, 86_400 * 30.44, "months"), (float("inf"), 86_400 * 365.25, "years"))
    size_, unit = next((size_, unit) for limit, size_, unit in (*steps, *later) if distance < limit)
    told = f"{int(distance / size_)} {unit}"
    return f"in {told}" if passed < 0 else f"{told} ago"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text. `name` tells what a character is that could not be seen as it stands; else it is empty."""

    text: str
    name: str = ""


_SIGNS = {"\t": "→", "\n": "↵", "\r": "␍", "\0": "␀", "\x1b": "␛", "\x7f": "␡", "\xa0": "⍽", "\xad": "-"}
_NAMES = {"\t": "tab", "\n": "line feed", "\r": "carriage return", "\0": "null", "\x1b": "escape", "\x7f": "delete"}


def visible(text: str, limit: int = 4_000) -> list[Piece]:
    """A text in pieces, so that control characters, odd spaces, marks of direction and spaces at its ends are seen."""
    pieces = [Piece(*one) for one in _merged(_seen(text[:limit]))]
    if len(text) > limit:
        pieces.append(Piece(f"… {len(text) - limit:,} more", f"the text has {len(text):,} characters"))
    return pieces


def _seen(text: str) -> Iterator[tuple[str, str]]:
    inner = len(text) - len(text.lstrip(" ")), len(text.rstrip(" "))
    for place, char in enumerate(text):
        if char == " ":
            at_end = not inner[0] <= place < inner[1]
            yield ("·", "space") if at_end or text[place - 1 : place] == " " else (" ", "")
        elif char in _SIGNS or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"):
            told = _NAMES.get(char) or unicodedata.name(char, "character").lower()
            sign = _SIGNS.get(char, f"U+{ord(char):04X}")
            yield sign, f"{told}, U+{ord(char):04X}"
        else:
            yield char, ""


def _merged(pieces: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    text = ""
    for one, name in pieces:
        if not name:
            text += one
            continue
        if text:
            yield text, ""
        text = ""
        yield one, name
    if text:
        yield text, ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A JSON value as it is shown. `more` counts the characters that were left out."""

    text: str
    more: int = 0


def pretty(value: Json, limit: int = MAX_JSON) -> Shown:
    """A JSON value, or the text of one, indented for people."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return Shown(value[:limit], max(0, len(value) - limit))
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return Shown(text[:limit], max(0, len(text) - limit))


def file_name(key: str) -> str:
    """The last part of a key."""
    return key.rpartition("/")[2]


def folder(key: str) -> str:
    """What stands before the last part of a key."""
    return key.rpartition("/")[0]


def plural(count: int, one: str, many: str = "") -> str:
    """`1 file`, `3,000 files`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def address(path: str, /, **parameters: Any) -> str:
    """A page's address with those parameters that are given: `/runs?status=FAILED`."""
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    return path + ("?" + urlencode(given) if given else "")


def run_path(name: str) -> str:
    """The address of a run's page."""
    return "/runs/" + quote(name, safe="")


def dataset_path(name: str, **parameters: Any) -> str:
    """The address of a dataset's page."""
    return address("/datasets/" + quote(name, safe="/"), **parameters)


def values_of(mapping: Mapping[str, str]) -> str:
    """A partition as its folder names it: `order_date=2025-01-01`."""
    return "/".join(f"{name}={value}" for name, value in mapping.items())


def first_lines(text: str, count: int) -> str:
    """The first lines of a text."""
    return "\n".join(text.splitlines()[:count])


def path_quoted(name: str) -> str:
    """A name as a part of an address; slashes stay."""
    return quote(name, safe="/")


def as_json(value: Json) -> str:
    """JSON in one line, for an attribute that a script reads."""
    return json.dumps(value, ensure_ascii=False)


FILTERS = {
    "ago": ago,
    "compact": compact,
    "duration": duration,
    "file_name": file_name,
    "first_lines": first_lines,
    "folder": folder,
    "instant": instant,
    "iso": iso_instant,
    "json": as_json,
    "kind": kind,
    "number": number,
    "percent": percent,
    "path": path_quoted,
    "plural": plural,
    "pretty": pretty,
    "since": since,
    "size": size,
    "values_of": values_of,
    "visible": visible,
    "word": word,
}
GLOBALS = {"address": address, "dataset_path": dataset_path, "run_path": run_path, "NOTHING": NOTHING}
