"""The log, searched for one execution."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from lakehead.model import Json


def log_lines(log_file: Path, execution: str) -> Iterator[dict[str, Json]]:
    """The log lines of one execution, oldest first, over the files that rotation left."""
    rotated = sorted(log_file.parent.glob(log_file.name + ".*"), key=lambda path: int(path.suffix[1:]), reverse=True)
    for path in (*rotated, log_file):
        if not path.is_file():
            continue
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                # A crash may have cut the last line short; the search text also skips other executions' lines quickly.
                if execution in line and (found := _decoded(line)) and found.get("execution") == execution:
                    yield found


def _decoded(line: str) -> dict[str, Json] | None:
    try:
        decoded = json.loads(line)
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) else None
