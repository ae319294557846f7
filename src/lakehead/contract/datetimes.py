"""Date and timestamp formats in JDK DateTimeFormatter letters, as a strict grammar and a way to ISO 8601.

No engine's own format parser is used, for each has its own leniency. A format becomes a regular expression that only
exact texts match, and SQL that puts the parts of a matching text together as ISO 8601, which the engine then casts;
that cast knows the calendar and refuses February 30th. Supported letters:

    yyyy uuuu yy    year 0001..9999; yy is 2000..2099        H HH     hour 0..23
    M MM MMM        month; MMM is Jan..Dec                    h hh a   hour 1..12 with AM or PM
    d dd            day of the month                          m mm     minute
    S .. SSSSSS     fraction of a second                      s ss     second
    X XX XXX x xx xxx   offset from UTC, at the end; X also reads Z
    'text' and punctuation stand for themselves

A single letter reads one or two digits. Where offsets are read, the value is converted to UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from lakehead.contract import sql

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_TWO_DIGITS = {
    "M": "(?:0[1-9]|1[0-2])",
    "d": "(?:0[1-9]|[12][0-9]|3[01])",
    "H": "(?:[01][0-9]|2[0-3])",
    "h": "(?:0[1-9]|1[0-2])",
    "m": "[0-5][0-9]",
    "s": "[0-5][0-9]",
}
_ONE_OR_TWO = {
    "M": "(?:0?[1-9]|1[0-2])",
    "d": "(?:0?[1-9]|[12][0-9]|3[01])",
    "H": "(?:[01]?[0-9]|2[0-3])",
    "h": "(?:0?[1-9]|1[0-2])",
    "m": "[0-5]?[0-9]",
    "s": "[0-5]?[0-9]",
}
_OFFSETS = {
    "x": "[+-](?:0[0-9]|1[0-8])",
    "xx": "[+-](?:(?:0[0-9]|1[0-7])[0-5][0-9]|1800)",
    "xxx": "[+-](?:(?:0[0-9]|1[0-7]):[0-5][0-9]|18:00)",
}
_TOKEN = re.compile(r"'((?:[^']|'')*)'|(([A-Za-z])\3*)|([^A-Za-z'\[\]{}#])")
_ISO_OFFSET = "(?:Z|[+-](?:(?:0[0-9]|1[0-7])(?::?[0-5][0-9])?|18(?::?00)?))"
_FIRST = "CAST('0001-01-02 00:00:00' AS TIMESTAMP)"
_LAST = "CAST('9999-12-30 23:59:59.999999' AS TIMESTAMP)"
_ISO_DATE = f"{YEAR}-{_TWO_DIGITS['M']}-{_TWO_DIGITS['d']}"
_ISO_TIME = f"{_TWO_DIGITS['H']}:[0-5][0-9]:[0-5][0-9](?:[.][0-9]{{1,6}})?"


class BadFormat(ValueError):
    """A format that cannot be read exactly; the text says why."""


@dataclass(frozen=True, slots=True)
class _Part:
    letter: str  # "" for a literal
    text: str  # the letters, or the literal's text
    grammar: str
    width: int  # in characters; 0 where it varies


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How a date or timestamp is written. `grammar` is unanchored; `shown` names the format in reasons.

    `canonical` is the length of the texts that the engine writes for such a value (0 where they are others): a text
    of that length which is equal to its own value's text needs no closer look.
    """

    grammar: str
    shown: str
    parts: tuple[_Part, ...] = ()
    has_offset: bool = False
    canonical: int = 0

    def value(self, text: str, sql_type: str) -> str:
        """SQL for the value of `text`, a SQL expression whose value matches the grammar; null for no real date."""
        if not self.parts and not self.has_offset:
            return f"TRY_CAST({text} AS {sql_type})"
        if not self.parts:
            ending = sql.text(_ISO_OFFSET + r"\z")
            local = f"TRY_CAST(REGEXP_REPLACE({text}, {ending}, '') AS {sql_type})"
            offset = f"REGEXP_EXTRACT({text}, {ending}, 0)"
            return f"CASE WHEN {text} LIKE '%Z' OR {offset} = '' THEN {local} ELSE {_to_utc(local, offset)} END"
        pieces = self._pieces(text)
        iso = _iso(pieces)
        local = f"TRY_CAST({iso} AS {sql_type})"
        if not self.has_offset:
            return local
        return f"CASE WHEN {text} LIKE '%Z' THEN {local} ELSE {_to_utc(local, pieces['X'])} END"

    def _pieces(self, text: str) -> dict[str, str]:
        """SQL for the text of each part, by its letter."""
        found: dict[str, str] = {}
        position, group, fixed = 1, 0, all(part.width for part in self.parts if part.letter != "X")
        grouped = "^" + "".join(f"({p.grammar})" if p.letter else p.grammar for p in self.parts) + r"\z"
        for part in self.parts:
            group += bool(part.letter)
            if part.letter and fixed:
                length = f", {part.width}" if part.width else ""
                found[part.letter] = f"SUBSTR({text}, {position}{length})"
            elif part.letter:
                found[part.letter] = f"REGEXP_EXTRACT({text}, {sql.text(grouped)}, {group})"
            if part.letter in _ONE_OR_TWO and not part.width:
                found[part.letter] = f"LPAD({found[part.letter]}, 2, '0')"
            if part.text == "yy":
                found["y"] = f"'20' || {found['y']}"
            if part.text == "MMM":
                found["M"] = _month_number(found["M"])
            position += part.width
        return found


def iso_date() -> TimeFormat:
    """`2025-01-31`."""
    return TimeFormat(_ISO_DATE, "yyyy-MM-dd", canonical=10)


def iso_timestamp(zone: bool | None) -> TimeFormat:
    """`2025-01-31T08:00:00`, with a space or a T, a fraction of up to six digits, and an offset as `zone` says."""
    grammar = f"{_ISO_DATE}[T ]{_ISO_TIME}"
    if zone is None:
        return TimeFormat(f"{grammar}{_ISO_OFFSET}?", "ISO 8601", has_offset=True, canonical=19)
    if zone:
        return TimeFormat(grammar + _ISO_OFFSET, "ISO 8601 with offset", has_offset=True)
    return TimeFormat(grammar, "ISO 8601 without offset", canonical=19)


def read_format(written: str) -> TimeFormat:
    """Read a format. Raises BadFormat for one that cannot be read exactly."""
    parts = tuple(_parts(written))
    letters = [part.letter for part in parts if part.letter]
    for letter in letters:
        if letters.count(letter) > 1:
            raise BadFormat(f"{letter} occurs twice")
    missing = [name for letter, name in (("y", "a year"), ("M", "a month"), ("d", "a day")) if letter not in letters]
    if missing:
        raise BadFormat(f"it has no {missing[0].split()[1]}: a date needs yyyy, MM and dd")
    _check_time(letters)
    if "X" in letters and parts[-1].letter != "X":
        raise BadFormat("an offset is only read at the end")
    for first, second in pairwise(parts):
        if not first.width and (second.letter or second.text[:1].isdigit()):
            raise BadFormat(f"{first.text} reads one or two digits, so it needs punctuation behind it")
    grammar = "".join(part.grammar for part in parts)
    canonical = {"yyyy-MM-dd": 10, "yyyy-MM-dd HH:mm:ss": 19}.get(written.replace("u", "y"), 0)
    return TimeFormat(grammar, written, parts, "X" in letters, canonical)


def has_time(found: TimeFormat) -> bool:
    """Whether a format reads a time of day."""
    return any(part.letter in "HhmsSaX" for part in found.parts if part.letter)


def _parts(written: str) -> list[_Part]:
    found: list[_Part] = []
    position = 0
    while position < len(written):
        token = _TOKEN.match(written, position)
        if token is None:
            raise BadFormat(f"{written[position]!r} at position {position + 1} is not supported")
        position = token.end()
        if token[2]:
            found.append(_field(token[2]))
        else:
            literal = token[4] or token[1].replace("''", "'") or "'"
            found.append(_Part("", literal, "".join(map(_escape, literal)), len(literal)))
    return found


def _field(text: str) -> _Part:
    letter, width = text[0], len(text)
    if text in ("yyyy", "uuuu"):
        return _Part("y", text, YEAR, 4)
    if text in ("yy", "uu"):
        return _Part("y", "yy", "[0-9]{2}", 2)
    if text == "MMM":
        return _Part("M", text, f"(?:{'|'.join(MONTHS)})", 3)
    if letter in _TWO_DIGITS and width <= 2:
        return _Part(letter, text, (_TWO_DIGITS if width == 2 else _ONE_OR_TWO)[letter], 2 if width == 2 else 0)
    if letter == "S" and width <= 6:
        return _Part(letter, text, f"[0-9]{{{width}}}", width)
    if text == "a":
        return _Part(letter, text, "(?:AM|PM|am|pm)", 2)
    if letter in "Xx" and width <= 3:
        grammar = _OFFSETS[text.lower()]
        return _Part("X", text, f"(?:Z|{grammar})" if letter == "X" else grammar, 0)
    hint = {"Y": " (did you mean yyyy?)", "D": " (did you mean dd?)", "Z": " (did you mean xx?)"}.get(letter, "")
    raise BadFormat(f"{text} is not supported{hint}")


def _check_time(letters: list[str]) -> None:
    if "H" in letters and ("h" in letters or "a" in letters):
        raise BadFormat("HH, the hour from 0 to 23, does not go with hh or a")
    if ("h" in letters) != ("a" in letters):
        raise BadFormat("hh, the hour from 1 to 12, and a, AM or PM, need each other")
    hour = "H" in letters or "h" in letters
    for finer, coarser in (("S", "s"), ("s", "m"), ("X", "m")):
        if finer in letters and coarser not in letters:
            raise BadFormat(f"{finer} needs {coarser}")
    if hour != ("m" in letters):
        raise BadFormat("hours and minutes need each other")


def _iso(pieces: dict[str, str]) -> str:
    date = f"{pieces['y']} || '-' || {pieces['M']} || '-' || {pieces['d']}"
    if "m" not in pieces:
        return date
    hour = pieces["H"] if "H" in pieces else _hour_of_day(pieces["h"], pieces["a"])
    second = pieces.get("s", "'00'") + (f" || '.' || {pieces['S']}" if "S" in pieces else "")
    return f"{date} || ' ' || {hour} || ':' || {pieces['m']} || ':' || {second}"


def _hour_of_day(hour: str, half: str) -> str:
    number = f"TRY_CAST({hour} AS INTEGER) % 12 + CASE WHEN UPPER({half}) = 'PM' THEN 12 ELSE 0 END"
    return f"LPAD(CAST({number} AS VARCHAR), 2, '0')"


def _month_number(text: str) -> str:
    cases = " ".join(f"WHEN '{name}' THEN '{number:02}'" for number, name in enumerate(MONTHS, 1))
    return f"CASE {text} {cases} END"


def _to_utc(local: str, offset: str) -> str:
    digits = f"REPLACE({offset}, ':', '')"
    hours = f"TRY_CAST(SUBSTR({digits}, 2, 2) AS INTEGER)"
    minutes = f"COALESCE(TRY_CAST(SUBSTR({digits}, 4, 2) AS INTEGER), 0)"
    sign = f"CASE WHEN {offset} LIKE '-%' THEN 1 ELSE -1 END"
    shifted = f"{local} + (({hours} * 60 + {minutes}) * {sign}) * INTERVAL '1' MINUTE"
    # On the first and the last day of the calendar an offset could lead out of it.
    return f"CASE WHEN {local} BETWEEN {_FIRST} AND {_LAST} THEN {shifted} END"


def _escape(character: str) -> str:
    return f"\\{character}" if character in "\\.^$|?*+()" else character
