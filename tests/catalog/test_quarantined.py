"""The index of quarantined rows: always what the commit records say, and there in a catalog that is older than it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.room import HEADER, Room, open_room

from lakehead.catalog import Catalog, Quarantined
from lakehead.catalog.schema import MIGRATIONS
from lakehead.etl.base import CommitRecord
from lakehead.etl.commit import list_commits
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.model import Zone, object_id
from lakehead.sqlite import migrate
from lakehead.storage import layout

TABLE, DATASET = "quarantine_orders", "sales/orders"
PROCESSED = "dev-sales-orders-processed"
GOOD = "1,C1,Thing,1,1.00,2025-01-01\n"
BAD = {
    "no id": ",C1,Thing,1,1.00,2025-01-01\n",
    "price": "2,C1,Thing,1,-1,2025-01-01\n",
    "both": ",C1,Thing,1,-1,2025-01-01\n",
}


def records(room: Room) -> list[CommitRecord]:
    return list(list_commits(room.store, "processed", DATASET))


def assert_index(catalog: Catalog, committed: list[CommitRecord]) -> None:
    """The index says what the commit records say, whichever way it is asked."""
    expected = {
        record.source.key: Quarantined(
            record.source.key,
            record.rows_quarantined,
            datetime.fromisoformat(record.committed_at),
            record.execution,
            dict(record.reasons),
        )
        for record in committed
        if record.rows_quarantined
    }
    ranked: Counter[str] = Counter()
    for record in committed:
        ranked.update(record.reasons)
    with catalog.snapshot() as seen:
        index = seen.quarantined
        assert {one.key: one for one in index.objects(TABLE, None, 1000, None)} == expected
        assert {reason: rows for reason, rows, _ in index.reasons(TABLE, None, 1000)} == ranked
        by_rows = [one.key for one in index.objects(TABLE, None, 1000, None)]
        assert by_rows == sorted(expected, key=lambda key: (-expected[key].rows, key))
        assert list(index.counts(TABLE, None, None)) == [(object_id(k), expected[k].rows) for k in sorted(expected)]
        for reason in ranked:
            mine = {key: one.reasons[reason] for key, one in expected.items() if reason in one.reasons}
            found = index.objects(TABLE, reason, 1000, None)
            assert [one.key for one in found] == sorted(mine, key=lambda key: (-mine[key], key))
            assert list(index.counts(TABLE, None, reason)) == [(object_id(key), mine[key]) for key in sorted(mine)]


def file_of(rows: list[str]) -> str:
    return HEADER + GOOD + "".join(BAD[row] for row in rows)


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("land"), st.integers(0, 3), st.lists(st.sampled_from(sorted(BAD)), max_size=4)),
        st.tuples(st.just("replay"), st.integers(0, 3), st.just([])),
        st.tuples(st.just("remove"), st.integers(0, 3), st.just([])),
        st.tuples(st.just("crawl"), st.sampled_from([0, 1]), st.just([])),
    ),
    min_size=3,
    max_size=10,
)


@given(CHANGES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_index_is_what_the_commit_records_say(
    tmp_path_factory: pytest.TempPathFactory, loader: DuckDBEngine, changes: list[tuple[str, int, list[str]]]
) -> None:
    with open_room(tmp_path_factory.mktemp("index"), loader) as room:
        for what, number, rows in changes:
            key = f"sales/orders/ingest_date=2025-01-01/{number}.csv"
            if what == "land":
                room.load(f"{number}.csv", file_of(rows))
            elif what == "replay" and any(info.key == key for info in room.store.list("raw", key)):
                room.job(key, force=True)
                room.catalog.note_changed(DATASET, Zone.PROCESSED, key)
            elif what == "remove":
                room.store.delete("processed", layout.commit_key(DATASET, object_id(key)))
                room.catalog.note_changed(DATASET, Zone.PROCESSED, key)
            elif what == "crawl":
                room.crawl(full=bool(number))
                assert_index(room.catalog, records(room))
        room.crawl()
        assert_index(room.catalog, records(room))
        room.crawl(full=True)
        assert_index(room.catalog, records(room))


def test_pages_go_on_after_any_place(room: Room) -> None:
    for number, count in enumerate((2, 4, 2, 1)):
        room.load(f"{number}.csv", file_of(["price"] * count + ["both"]))
    room.crawl()
    with room.catalog.snapshot() as seen:
        index = seen.quarantined
        for reason in (None, index.reasons(TABLE, None, 1)[0][0]):
            whole = [one.key for one in index.objects(TABLE, reason, 100, None)]
            assert [key[-5] for key in whole] == ["1", "0", "2", "3"]
            pages, place = [], None
            while page := index.objects(TABLE, reason, 1, place):
                pages += [one.key for one in page]
                place = index.place(TABLE, reason, page[-1].key)
            assert pages == whole
        assert index.place(TABLE, None, "none") is None and index.object(TABLE, "none") is None


@pytest.mark.parametrize("reason", [None, "any"])
def test_a_page_walks_an_index(room: Room, reason: str | None) -> None:
    """However many objects there are: neither a sort nor a scan."""
    plans: list[str] = []
    connection = sqlite3.connect(room.catalog.path)
    connection.row_factory = sqlite3.Row

    class Explaining:
        def execute(self, sql: str, values: Any) -> Any:
            plans.extend(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))
            return connection.execute(sql, values)

    with room.catalog.snapshot() as seen:
        index = seen.quarantined
        monkey: Any = index
        monkey._connection = Explaining()
        index.objects(TABLE, reason, 10, (-1, "k"))
        list(index.counts(TABLE, "k", reason))
        list(index.counts(TABLE, None, reason))
        index.place(TABLE, reason, "k")
    connection.close()
    assert plans and all(plan.startswith("SEARCH") for plan in plans), plans


@pytest.fixture
def old(tmp_path: Path, loader: DuckDBEngine) -> Iterator[Room]:
    """A lake whose catalog is of the schema before the index, with everything crawled."""
    with open_room(tmp_path, loader) as room:
        room.load("a.csv", file_of(["price", "both"]))
        room.load("b.csv", file_of(["no id"]))
        room.crawl()
        path = room.catalog.path
    older = sqlite3.connect(path.with_name("older.db"), isolation_level=None)
    migrate(older, MIGRATIONS[:1], path)
    older.execute("ATTACH ? AS newest", (str(path),))
    for (table,) in older.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
        if not table.startswith("sqlite_"):
            older.execute(f"INSERT INTO main.{table} SELECT * FROM newest.{table}")
    older.close()
    path.with_name("older.db").rename(path)
    with open_room(tmp_path, loader) as room:
        yield room


def test_an_older_catalog_gets_the_index_by_its_next_crawl(old: Room) -> None:
    with old.catalog.snapshot() as seen:
        assert seen.quarantined.objects(TABLE, None, 10, None) == []
    assert old.crawlers.outdated() == [PROCESSED]
    old.load("c.csv", file_of(["price"]))
    crawl = old.crawlers.run(PROCESSED)
    assert crawl.full and crawl.status == "SUCCEEDED"
    assert_index(old.catalog, records(old))
    assert old.crawlers.outdated() == []
    assert not old.crawlers.run(PROCESSED).full


def test_an_older_catalog_catches_up_without_anything_new(old: Room) -> None:
    before = old.catalog.files(TABLE)
    old.crawlers.catch_up()
    assert_index(old.catalog, records(old))
    assert old.catalog.files(TABLE) == before
    assert old.rows(f"SELECT count(*) FROM {TABLE}") == [(3,)]
