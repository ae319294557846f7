"""A look into a few files: the table's columns and no others, whatever became of the files since the last crawl."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.room import Room, open_room, orders

from lakehead.catalog import CatalogFile, Snapshot, Table
from lakehead.errors import Busy, QueryError, TableNotFound
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.inspection.tables import sample
from lakehead.query.peek import Peek


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    engine = DuckDBEngine(threads=1)
    with open_room(tmp_path, engine) as room:
        yield room
    engine.close()


@pytest.fixture
def peek(room: Room) -> Iterator[Peek]:
    peek = Peek(room.catalog, room.store, cache_dir=room.root / "cache", memory_limit="500MB")
    yield peek
    peek.close()


def everything(seen: Snapshot, table: Table) -> list[CatalogFile]:
    return seen.files(table.name)


def test_a_sample_is_of_the_newest_file(room: Room, peek: Peek) -> None:
    room.load("old.csv", orders((1, "2025-01-01", 1, "1.00")))
    room.load("new.csv", orders((2, "2025-01-02", 3, "2.50"), (3, "bad", 1, "1.00")))
    room.crawl()
    processed = sample(room.catalog, peek, "processed_orders", 10)
    assert processed.columns == [
        ("order_id", "bigint"),
        ("customer_id", "varchar"),
        ("product", "varchar"),
        ("quantity", "integer"),
        ("price", "decimal(12,2)"),
        ("total_amount", "decimal(14,2)"),
        ("order_date", "date"),
    ]
    assert list(processed.rows) == [(2, "C1", "Thing 2", 3, Decimal("2.50"), Decimal("7.50"), date(2025, 1, 2))]
    assert processed.columns == room.engine.run("SELECT * FROM processed_orders").columns
    raw = sample(room.catalog, peek, "raw_orders", 1)
    assert [row[0] for row in raw.rows] == ["2"] and raw.columns[-1] == ("ingest_date", "varchar")
    quarantine = sample(room.catalog, peek, "quarantine_orders", 10)
    assert [row[3] for row in quarantine.rows] == [3]


def test_what_has_no_rows_is_passed_over(room: Room, peek: Peek) -> None:
    room.load("some.csv", orders((1, "2025-01-01", 1, "1.00"), (2, "bad", 1, "1")))
    for number in range(120):
        room.catalog.note_changed("sales/orders", "processed", f"none-{number}")
    room.load("none.csv", orders((3, "2025-01-01", 1, "1.00")))
    room.crawl()
    assert len(list(sample(room.catalog, peek, "quarantine_orders", 10).rows)) == 1
    with pytest.raises(TableNotFound):
        sample(room.catalog, peek, "none", 10)


def test_an_empty_table_has_columns_and_no_rows(room: Room, peek: Peek) -> None:
    room.crawl()
    found = sample(room.catalog, peek, "processed_orders", 10)
    assert list(found.rows) == [] and found.columns[0] == ("order_id", "bigint")


def test_a_file_that_was_replaced_since_the_crawl(room: Room, peek: Peek) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00")))
    room.load("b.csv", orders((2, "2025-01-01", 1, "1.00")))
    room.crawl()
    assert peek.rows("processed_orders", everything, "SELECT order_id FROM _rows ORDER BY 1") == [(1,), (2,)]
    room.load("a.csv", orders((3, "2025-01-01", 1, "1.00")))
    assert peek.rows("processed_orders", everything, "SELECT order_id FROM _rows ORDER BY 1") == [(2,), (3,)]
    where = "SELECT order_id FROM _rows WHERE order_id > ? LIMIT ?"
    assert peek.rows("processed_orders", everything, where, [2, 5]) == [(3,)]


def test_a_file_that_keeps_going_away(room: Room, peek: Peek, monkeypatch: pytest.MonkeyPatch) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00")))
    room.crawl()
    (path,) = (room.root / "data/processed/sales").rglob("*.parquet")
    path.unlink()
    with pytest.raises(Busy, match="replaced"):
        peek.rows("processed_orders", everything, "FROM _rows")
    path.write_bytes(b"no parquet")
    with pytest.raises(QueryError, match="Parquet"):
        peek.rows("processed_orders", everything, "FROM _rows")


def test_several_threads_share_a_session(room: Room, peek: Peek) -> None:
    room.load("a.csv", orders(*((number, "2025-01-01", 1, "1.00") for number in range(200))))
    room.crawl()

    def look(number: int) -> Any:
        return peek.rows("processed_orders", everything, "SELECT order_id FROM _rows WHERE order_id = ?", [number])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(look, range(200))) == [[(number,)] for number in range(200)]
