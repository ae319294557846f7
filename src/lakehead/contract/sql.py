"""Writing SQL text: the one place that quotes names and text."""

from __future__ import annotations


def name(text: str) -> str:
    """An identifier in double quotes."""
    return '"' + text.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text literal in single quotes."""
    return "'" + value.replace("'", "''") + "'"


def indent(lines: str) -> str:
    """Move a block of SQL two spaces to the right."""
    return "\n".join("  " + line for line in lines.splitlines())
