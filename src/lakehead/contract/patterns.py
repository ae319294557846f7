"""Regular expressions of a contract, written so that RE2 (DuckDB) and Java (Spark, Athena) read them alike.

The standard asks for ECMA-262's syntax. This takes the part of it on which all engines agree once it is spelled out:
`\\d \\w \\s` are their ASCII characters, `.` is anything but a line feed, and a pattern matches the whole value.
Refused are look-around, back references, word boundaries, possessive repetition, Unicode classes and flags.
"""

from __future__ import annotations

import re
import warnings

_CLASSES = {
    "d": "0-9",
    "w": "0-9A-Za-z_",
    "s": r"\t\n\x0B\f\r ",
}
_CONTROL = {"t": r"\t", "n": r"\n", "r": r"\r", "f": r"\f", "v": r"\x0B"}
_SPECIAL = set(r"\.^$|?*+()[]{}")
_REPEAT = re.compile(r"\{([0-9]{1,4})(?:,([0-9]{0,4}))?\}")
MAX_REPEAT = 1000
"""RE2's limit of a counted repetition."""


class BadPattern(ValueError):
    """A pattern that the engines would not read alike; the text says why."""


def portable(pattern: str) -> str:
    """The same pattern in the engines' common language, unanchored. Raises BadPattern."""
    reader = _Reader(pattern)
    written = reader.read()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(written)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        raise BadPattern(str(error)) from error
    return written


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0

    def read(self) -> str:
        if len(self.pattern) > 1000:
            raise BadPattern("it is longer than 1000 characters")
        written, product = [], 1
        while self.position < len(self.pattern):
            if counted := _REPEAT.match(self.pattern, self.position):
                product *= max(int(counted[1]), int(counted[2] or 1), 1)
                if product > MAX_REPEAT:
                    raise BadPattern(f"it repeats more than {MAX_REPEAT} times")
            written.append(self._next())
        return "".join(written)

    def _take(self) -> str:
        if self.position >= len(self.pattern):
            raise BadPattern("it ends in the middle")
        character = self.pattern[self.position]
        self.position += 1
        return character

    def _next(self) -> str:
        character = self._take()
        if character == "\\":
            return self._escape(inside=False)
        if character == "[":
            return self._class()
        if character == "(":
            return self._group()
        if character == ".":
            return r"[^\n]"
        if character == "{":
            return self._counted()
        if character in "?*+":
            if self.pattern[self.position : self.position + 1] == "+":
                raise BadPattern("possessive repetition is not supported")
            return character
        if character in "]}":
            return "\\" + character
        return _literal(character)

    def _counted(self) -> str:
        counted = _REPEAT.match(self.pattern, self.position - 1)
        if counted is None:
            return r"\{"
        self.position = counted.end()
        if self.pattern[self.position : self.position + 1] == "+":
            raise BadPattern("possessive repetition is not supported")
        return counted[0]

    def _group(self) -> str:
        if self.pattern[self.position : self.position + 1] != "?":
            return "(?:"
        if self.pattern[self.position : self.position + 2] == "?:":
            self.position += 2
            return "(?:"
        raise BadPattern("look-around, named groups and flags, (?...), are not supported")

    def _class(self) -> str:
        opening = "["
        if self.pattern[self.position : self.position + 1] == "^":
            self.position += 1
            opening = "[^"
        written: list[str] = []
        low = False  # whether the last item may begin a range
        while (character := self._take()) != "]":
            if character == "-" and low and self.pattern[self.position : self.position + 1] != "]":
                item = self._class_item(self._take())
                if item in _CLASSES.values():
                    raise BadPattern("a range ends with a class")
                written.append("-" + item)
                low = False
            else:
                written.append(self._class_item(character))
                low = written[-1] not in _CLASSES.values()
        if not written:
            raise BadPattern("a class is empty")
        return opening + "".join(written) + "]"

    def _class_item(self, character: str) -> str:
        if character == "\\":
            return self._escape(inside=True)
        return "\\" + character if character in "[&~^|-" else _literal(character)

    def _escape(self, *, inside: bool) -> str:
        letter = self._take()
        if letter in _CLASSES:
            return _CLASSES[letter] if inside else f"[{_CLASSES[letter]}]"
        if letter.lower() in _CLASSES and not inside:
            return f"[^{_CLASSES[letter.lower()]}]"
        if letter in _CONTROL:
            return _CONTROL[letter]
        if ord(letter) < 128 and not letter.isalnum():
            return "\\" + letter if letter in _SPECIAL or letter in "-&~" else _literal(letter)
        raise BadPattern(f"\\{letter} is not supported")


def _literal(character: str) -> str:
    return {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\f": r"\f", "\v": r"\x0B"}.get(character, character)
