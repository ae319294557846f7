"""Lakes to crawl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.room import Room, open_room

from lakehead.etl.duckdb_engine import DuckDBEngine


@pytest.fixture(scope="session")
def loader() -> Iterator[DuckDBEngine]:
    engine = DuckDBEngine(threads=1)
    yield engine
    engine.close()


@pytest.fixture
def room(tmp_path: Path, loader: DuckDBEngine) -> Iterator[Room]:
    """An empty lake."""
    with open_room(tmp_path, loader) as room:
        yield room
