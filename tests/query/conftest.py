"""Lakes to ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.room import Room, open_room, orders

from lakehead.catalog import Catalog
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.query import QueryEngine
from lakehead.storage import LocalStore


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


def _fill(room: Room) -> Room:
    room.load(
        "a.csv", orders((1, "2025-01-01", 2, "10.50"), (2, "2025-01-02", 1, "3.00"), (3, "2025-02-01", 4, "1.25"))
    )
    room.load("b.csv", orders((4, "2025-01-02", 1, "7.00"), (5, "", 1, "1.00")), day="2025-01-02")
    room.crawl()
    return room


@pytest.fixture
def sales(room: Room) -> Room:
    """Four orders and a quarantined row, to be changed."""
    return _fill(room)


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory, loader: DuckDBEngine) -> Iterator[Room]:
    """The same, only to be asked."""
    with open_room(tmp_path_factory.mktemp("asked"), loader) as room:
        yield _fill(room)


@pytest.fixture(scope="session")
def bare_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryEngine]:
    """An engine over a lake with nothing in it."""
    root = tmp_path_factory.mktemp("bare")
    catalog = Catalog(root / "catalog.db")
    yield QueryEngine(catalog, LocalStore(root / "data"), cache_dir=root / "cache", threads=1)
    catalog.close()
