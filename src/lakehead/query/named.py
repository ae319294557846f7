"""Named queries: the .sql files of a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Named:
    """A query with a name. `description` is the comment that it begins with."""

    name: str
    description: str
    sql: str
    path: Path


def named_queries(folder: Path) -> list[Named]:
    """The queries of a folder, by name: `daily_revenue.sql` is `daily_revenue`. None where there is no such folder."""
    paths = sorted(path for path in folder.glob("*.sql") if path.is_file()) if folder.is_dir() else []
    return [_read(path) for path in paths]


def _read(path: Path) -> Named:
    sql = path.read_text(encoding="utf-8-sig")
    return Named(path.stem, " ".join(_leading_comment(sql)), sql, path)


def _leading_comment(sql: str) -> Iterator[str]:
    block = re.match(r"\s*/\*(.*?)\*/", sql, re.DOTALL)
    if block:
        yield from (line.strip(" *") for line in block[1].splitlines() if line.strip(" *"))
        return
    for line in sql.lstrip().splitlines():
        if not line.startswith("--"):
            return
        if text := line.lstrip("-").strip():
            yield text
