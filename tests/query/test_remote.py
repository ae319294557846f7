"""Where the store is remote, files are read through a cache: complete, current, and of limited size."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest
from support.room import Room, orders

from lakehead.catalog import Crawlers, crawl_targets
from lakehead.errors import QueryError
from lakehead.model import Zone
from lakehead.query import QueryEngine
from lakehead.storage import LocalStore


class Remote(LocalStore):
    """Objects that are not on this machine, as far as anybody can tell."""

    downloads: list[str]

    def local_path(self, bucket: str, key: str) -> Path | None:
        return None

    def open(self, bucket: str, key: str, *, version_id: str = "", if_match: str = "") -> BinaryIO:
        self.downloads.append(key)
        return super().open(bucket, key, version_id=version_id, if_match=if_match)


@pytest.fixture
def remote(sales: Room) -> QueryEngine:
    store = Remote(sales.root / "data")
    store.downloads = []
    return QueryEngine(sales.catalog, store, cache_dir=sales.root / "cache", threads=1)


def downloads(engine: QueryEngine) -> list[str]:
    store = engine._store
    assert isinstance(store, Remote)
    found, store.downloads = store.downloads, []
    return found


def test_files_are_downloaded_once(remote: QueryEngine) -> None:
    sql = "SELECT sum(order_id), max(order_date) FROM processed_orders"
    first = list(remote.run(sql).rows)
    assert first[0][0] == 10
    assert len(downloads(remote)) == 4
    assert list(remote.run(sql).rows) == first
    assert downloads(remote) == []


def test_only_the_chosen_partitions_are_downloaded(remote: QueryEngine) -> None:
    remote.run("SELECT * FROM processed_orders WHERE order_date = '2025-01-01'").close()
    assert len(downloads(remote)) == 1


def test_a_landed_file_that_changed_is_downloaded_again(sales: Room, remote: QueryEngine) -> None:
    sql = "SELECT count(*) FROM raw_orders"
    assert list(remote.run(sql).rows) == [(5,)]
    key = "sales/orders/ingest_date=2025-01-01/a.csv"
    sales.store.put("raw", key, orders((1, "2025-01-01", 1, "1.00")).encode())
    sales.catalog.note_changed("sales/orders", Zone.RAW, key)
    sales.crawl()
    assert list(remote.run(sql).rows) == [(3,)]


def test_the_cache_stays_within_its_limit(sales: Room) -> None:
    store = Remote(sales.root / "data")
    store.downloads = []
    largest = max(file.bytes for file in sales.catalog.files("processed_orders"))
    cache = sales.root / "cache"
    engine = QueryEngine(sales.catalog, store, cache_dir=cache, threads=1, cache_bytes=largest * 2)
    for day in ("2025-01-01", "2025-02-01", "2025-01-02", "2025-01-01"):
        engine.run(f"SELECT * FROM processed_orders WHERE order_date = '{day}'").close()
        assert sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) <= largest * 2
    with pytest.raises(QueryError, match="cache"):
        engine.run("SELECT * FROM processed_orders")


def test_a_replaced_object_is_found_through_its_record(sales: Room, remote: QueryEngine) -> None:
    remote.run("SELECT * FROM processed_orders WHERE order_date = '2025-02-01'").close()
    sales.load("a.csv", orders((1, "2025-01-01", 9, "1.00")))
    assert list(remote.run("SELECT order_id, quantity FROM processed_orders ORDER BY 1").rows) == [(1, 9), (4, 1)]


def test_remote_zones_are_crawled_alike(sales: Room) -> None:
    store = Remote(sales.root / "data")
    store.downloads = []
    targets = crawl_targets("dev", [sales.contract], raw_bucket="raw", processed_bucket="processed")
    crawlers = Crawlers(sales.catalog, store, targets, min_interval=0)
    for name in crawlers.names:
        report = crawlers.run(name, full=True).report
        assert (report.changes, report.unreadable) == (0, 0)
