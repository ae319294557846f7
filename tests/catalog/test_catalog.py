"""The catalog by itself: notes, snapshots, migrations, and what a change to an object does to its tables."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehead.catalog import Catalog, CatalogReader, ColumnType
from lakehead.catalog.changes import Changes, FoundFile, FoundObject, TableSpec, apply_changes, partition_values
from lakehead.catalog.schema import MIGRATIONS
from lakehead.errors import ConfigError, StorageUnavailable, TableNotFound
from lakehead.model import Zone, utc_now

ID, DAY = ColumnType("id", "bigint"), ColumnType("day", "date")
SPEC = TableSpec("t", "sales/orders", "processed", "b", "/lake/b/sales/orders/", "parquet", (ID,), (DAY,))


def found(
    object_id: str, *files: tuple[str, int], version: str = "1", schema: tuple[ColumnType, ...] = (ID,)
) -> FoundObject:
    made = tuple(
        FoundFile(f"{object_id}-{version}-{day}.parquet", f"day={day}", rows, rows * 10) for day, rows in files
    )
    return FoundObject("t", object_id, version, f"2025-01-0{version}", schema, made)


def apply(catalog: Catalog, *objects: FoundObject, removed: frozenset[str] = frozenset(), full: bool = False) -> Any:
    with catalog.write() as connection:
        return apply_changes(connection, Changes((SPEC,), objects, removed, full=full), utc_now())


@pytest.fixture
def catalog(tmp_path: Path) -> Any:
    catalog = Catalog(tmp_path / "catalog.db", database="lake_dev")
    yield catalog
    catalog.close()


def test_an_objects_files_partitions_and_counts(catalog: Catalog) -> None:
    report = apply(catalog, found("a", ("01", 3), ("02", 4)), found("b", ("02", 5)))
    assert (report.files_added, report.partitions_added, report.tables_added) == (3, 2, 1)
    table = catalog.table("t")
    assert (table.rows, table.bytes, table.files, table.partitions) == (12, 120, 3, 2)
    assert (table.database, table.columns, table.partition_keys) == ("lake_dev", (ID,), (DAY,))
    first, second = catalog.partitions("t")
    assert (first.values, first.rows, second.rows, second.files) == ({"day": "01"}, 3, 9, 2)
    assert first.location == "/lake/b/sales/orders/day=01/"
    assert [one.name for one in catalog.databases()] == ["lake_dev"]
    assert [file.key for file in catalog.files("t", lambda values: values["day"] == "02")] == [
        "a-1-02.parquet",
        "b-1-02.parquet",
    ]

    report = apply(catalog, found("a", ("02", 1), version="2"))
    assert (report.files_added, report.files_removed, report.partitions_removed) == (1, 2, 1)
    assert [(one.path, one.rows) for one in catalog.partitions("t")] == [("day=02", 6)]
    assert apply(catalog, found("a", ("02", 1), version="2")).changes == 0

    report = apply(catalog, removed=frozenset({"a", "never-seen"}))
    assert (report.files_removed, catalog.table("t").rows) == (1, 5)
    assert apply(catalog, full=True).files_removed == 1
    assert (catalog.table("t").rows, catalog.table("t").files) == (0, 0)


def test_columns_are_the_union_of_what_objects_hold(catalog: Catalog) -> None:
    price, wide = ColumnType("price", "decimal(12,2)"), ColumnType("price", "decimal(12,3)")
    apply(catalog, found("a", ("01", 1), schema=(ID, price)))
    apply(catalog, found("b", ("01", 1), version="2", schema=(ID, wide, ColumnType("note", "string"))))
    assert [(one.name, one.type) for one in catalog.table("t").columns] == [
        ("id", "bigint"),
        ("price", "decimal(13,3)"),
        ("note", "string"),
    ]
    apply(catalog, found("b", ("01", 1), version="3", schema=(ID, price)))
    assert catalog.table("t").columns == (ID, price)


def test_an_object_without_files_still_has_a_schema(catalog: Catalog) -> None:
    apply(catalog, found("a", schema=(ID, ColumnType("x", "string"))))
    table = catalog.table("t")
    assert ([one.name for one in table.columns], table.rows, table.files) == (["id", "x"], 0, 0)


def test_an_unknown_table_has_a_nearest_name(catalog: Catalog) -> None:
    with pytest.raises(TableNotFound) as caught:
        catalog.table("t")
    assert "empty" in caught.value.hint
    apply(catalog)
    with pytest.raises(TableNotFound) as caught:
        catalog.files("tt")
    assert caught.value.hint == 'Did you mean "t"?'


def test_a_reader_sees_one_state(catalog: Catalog) -> None:
    apply(catalog, found("a", ("01", 1)))
    with catalog.snapshot() as seen:
        before = seen.table("t")
        apply(catalog, found("a", ("02", 2), version="2"), found("b", ("03", 3)))
        assert seen.table("t") == before
        assert [file.key for file in seen.files("t")] == ["a-1-01.parquet"]
    assert catalog.table("t").rows == 5


def test_all_files_of_a_change_come_together(catalog: Catalog) -> None:
    """A reader that looks all the time never finds a table between two versions of an object."""
    stop, faults = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            with catalog.snapshot() as seen:
                files = seen.files("t")
                if len(files) != 4 or len({file.key.split("-")[1] for file in files}) != 1:
                    faults.append(files)

    days = (("01", 1), ("02", 1), ("03", 1), ("04", 1))
    apply(catalog, found("a", *days))
    thread = threading.Thread(target=look)
    thread.start()
    for version in range(2, 40):
        apply(catalog, found("a", *days, version=str(version)))
    stop.set()
    thread.join()
    assert not faults


def test_a_change_that_fails_leaves_nothing(catalog: Catalog) -> None:
    apply(catalog, found("a", ("01", 1)))
    with pytest.raises(ZeroDivisionError), catalog.write() as connection:
        apply_changes(connection, Changes((SPEC,), (found("b", ("02", 1)),)), utc_now())
        raise ZeroDivisionError
    assert [file.object_id for file in catalog.files("t")] == ["a"]


def test_notes_are_kept_once_and_in_order(catalog: Catalog) -> None:
    for key in ("a", "b", "a"):
        catalog.note_changed("sales/orders", Zone.RAW, key)
    catalog.note_changed("sales/orders", Zone.PROCESSED, "a")
    assert [note.key for note in catalog.pending("sales/orders", "raw")] == ["b", "a"]
    assert [note.key for note in catalog.pending("sales/orders", Zone.PROCESSED)] == ["a"]
    assert catalog.pending("sales/returns", Zone.RAW) == []


NOTING = """
import sys
from pathlib import Path
from lakehead.catalog import Catalog
catalog = Catalog(Path(sys.argv[1]))
for number in range(20):
    catalog.note_changed("d", "raw", f"{sys.argv[2]}-{number}")
"""


def test_notes_from_threads_and_processes_all_arrive(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    processes = [subprocess.Popen([sys.executable, "-c", NOTING, str(path), f"p{number}"]) for number in range(2)]
    catalog = Catalog(path)

    def note(name: str) -> None:
        for number in range(20):
            catalog.note_changed("d", "raw", f"{name}-{number}")

    threads = [threading.Thread(target=note, args=(name,)) for name in ("t1", "t2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(catalog.pending("d", "raw")) == 80
    catalog.close()


def test_notes_are_on_disk_when_the_call_returns(catalog: Catalog) -> None:
    """synchronous=FULL is 2; NORMAL lost every acknowledged commit in a power-loss simulation."""
    with catalog.write() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_newer_catalog_and_a_damaged_one_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    Catalog(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(ConfigError, match="newer Lakehead"):
        Catalog(path)
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageUnavailable, match="damaged") as caught:
        Catalog(damaged)
    assert "full crawl" in caught.value.hint


def test_partition_values_are_read_as_hive_writes_them() -> None:
    assert partition_values("day=2025-01-01/shop=a%2Fb%3Dc") == {"day": "2025-01-01", "shop": "a/b=c"}
    assert partition_values("day=__HIVE_DEFAULT_PARTITION__") == {"day": None}
    assert partition_values("") == {}


steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from(["01", "02", "03"]), unique=True, max_size=3)),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(steps=steps)
def test_whatever_the_order_the_tables_follow_from_the_objects(
    tmp_path_factory: pytest.TempPathFactory, steps: Any
) -> None:
    """Changes one by one end where one full listing ends."""
    step_by_step = Catalog(tmp_path_factory.mktemp("steps") / "catalog.db")
    at_once = Catalog(tmp_path_factory.mktemp("once") / "catalog.db")
    last: dict[str, FoundObject] = {}
    for number, (name, days) in enumerate(steps):
        schema = (ID, ColumnType("x", "string")) if number % 2 else (ID,)
        one = found(name, *((day, number + 1) for day in days), version=str(number % 9 + 1), schema=schema)
        one = FoundObject(one.table, one.object_id, f"v{number}", f"2025-{number:03d}", one.schema, one.files)
        if days:
            last[name] = one
            apply(step_by_step, one)
        else:
            last.pop(name, None)
            apply(step_by_step, removed=frozenset({name}))
    apply(at_once, *last.values(), full=True)
    apply(step_by_step)

    def state(catalog: Catalog) -> Any:
        table = catalog.table("t")
        return table.columns, table.rows, table.files, catalog.partitions("t"), catalog.files("t")

    assert state(step_by_step) == state(at_once)
    step_by_step.close()
    at_once.close()


def test_a_reader_sees_what_is_committed_and_writes_nothing(catalog: Catalog) -> None:
    reader = CatalogReader(catalog.path, database="lake_dev")
    apply(catalog, found("a", ("01", 3)))
    assert (reader.table("t"), reader.files("t")) == (catalog.table("t"), catalog.files("t"))
    with reader.snapshot() as seen:
        before = seen.files("t")
        apply(catalog, found("b", ("01", 3)))
        assert seen.files("t") == before
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            seen._connection.execute("DELETE FROM files")
    assert len(reader.files("t")) == 2


def test_a_reader_keeps_up_with_a_writer_that_starts_its_log_anew(catalog: Catalog) -> None:
    reader, stop = CatalogReader(catalog.path), threading.Event()

    def read() -> list[int]:
        counts = []
        while not stop.is_set():
            with reader.snapshot() as snapshot:
                counts.append(snapshot.table("t").files)
                assert len(snapshot.files("t")) == counts[-1]
        return counts

    apply(catalog, found("first", ("01", 1)))
    with ThreadPoolExecutor() as threads:
        reading = [threads.submit(read) for _ in range(2)]
        for number in range(120):
            apply(catalog, found(f"o{number}", ("01", 1)))
            if number % 10 == 0:
                catalog._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        stop.set()
        for counts in (one.result() for one in reading):
            assert counts and counts == sorted(counts)
    assert reader.table("t").files == 121
