"""The log, searched for one execution."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lakehead.model import Json
from lakehead.workflow.journal import Execution

SLACK = timedelta(minutes=5)
"""How far the times of the log and of the journal may be apart: clocks are set, and lines come late."""


def log_lines(log_file: Path, execution: Execution) -> Iterator[dict[str, Json]]:
    """The log lines of one execution, oldest first, over the files that rotation left.

    Files that were written before it began or begun after it ended are passed over.
    """
    rotated = sorted(log_file.parent.glob(log_file.name + ".*"), key=lambda path: int(path.suffix[1:]), reverse=True)
    for path in (*rotated, log_file):
        try:
            yield from _lines_of(path, execution)
        except FileNotFoundError:
            continue  # nothing was logged, or it was rotated away meanwhile


def _lines_of(path: Path, execution: Execution) -> Iterator[dict[str, Json]]:
    with path.open("rb") as file:
        state = path.stat()
        written = datetime.fromtimestamp(state.st_mtime, UTC)
        if not state.st_size or written < execution.started - SLACK or _begins_later(file.readline(), execution):
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            for line in _lines_with(text, execution.name.encode()):
                found = _decoded(line)
                if found is not None and found.get("execution") == execution.name:
                    yield found


def _lines_with(text: mmap.mmap, wanted: bytes) -> Iterator[bytes]:
    """The lines that hold some bytes. JSON writes a name as it is, so most lines need no decoding."""
    found = text.find(wanted)
    while found >= 0:
        end = text.find(b"\n", found)
        end = len(text) if end < 0 else end
        yield text[text.rfind(b"\n", 0, found) + 1 : end]
        found = text.find(wanted, end)


def _begins_later(first: bytes, execution: Execution) -> bool:
    line = _decoded(first)
    if line is None or execution.ended is None:
        return False
    try:
        return datetime.fromisoformat(line["timestamp"]) > execution.ended + SLACK
    except (KeyError, TypeError, ValueError):
        return False


def _decoded(line: bytes) -> dict[str, Json] | None:
    """A line's fields; None for one that a crash cut short."""
    try:
        decoded = json.loads(line)
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) else None
