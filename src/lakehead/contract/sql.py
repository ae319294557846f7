"""Writing SQL text: the one place that quotes names and text."""

from __future__ import annotations


def name(text: str) -> str:
    """An identifier in double quotes."""
    return '"' + text.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text literal in single quotes."""
    return "'" + value.replace("'", "''") + "'"
