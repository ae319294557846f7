"""Crawlers: Glue's states and answers, crawls shared and incremental, and no note lost to a crash."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.room import HEADER, Room, orders

from lakehead.catalog import Crawl, Crawlers, crawl_targets
from lakehead.catalog import crawl as crawl_module
from lakehead.errors import CrawlerNotFound, CrawlerRunning, StorageUnavailable, UsageError
from lakehead.etl.commit import read_commit
from lakehead.model import Zone, iso, utc_now
from lakehead.storage import LocalStore, layout

RAW, PROCESSED = "dev-sales-orders-raw", "dev-sales-orders-processed"
DAY = "sales/orders/ingest_date=2025-01-01"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Holds crawls back inside their look, until it is opened; counts them."""

    class Gate:
        opened, entered, looks = threading.Event(), threading.Semaphore(0), 0

    look = crawl_module.Look.changes

    def held(self: crawl_module.Look) -> Any:
        Gate.looks += 1
        Gate.entered.release()
        while not Gate.opened.wait(0.005):
            self.goes_on()
        return look(self)

    monkeypatch.setattr(crawl_module.Look, "changes", held)
    yield Gate
    Gate.opened.set()


def test_states_and_the_answer_of_get_crawler(room: Room, gate: Any) -> None:
    before = room.crawlers.get(RAW)["Crawler"]
    assert (before["Name"], before["State"], "LastCrawl" in before) == (RAW, "READY", False)
    assert room.crawlers.wait(RAW).done()
    room.crawlers.start(RAW)
    assert gate.entered.acquire(timeout=10)
    assert room.crawlers.get(RAW)["Crawler"]["State"] == "RUNNING"
    with pytest.raises(CrawlerRunning):
        room.crawlers.start(RAW)
    ready = room.crawlers.wait(RAW)
    assert not ready.done()
    gate.opened.set()
    ready.result(10)
    after = room.crawlers.get(RAW)
    assert after["Crawler"]["State"] == "READY"
    assert after["Crawler"]["LastCrawl"]["Status"] == "SUCCEEDED"
    json.dumps(after)
    for name in ("get", "start", "wait", "run", "stop"):
        with pytest.raises(CrawlerNotFound, match="nothing"):
            getattr(room.crawlers, name)("nothing")


def test_the_start_time_proves_that_a_crawl_began_after(room: Room) -> None:
    moment = utc_now()
    crawl = room.crawlers.run(RAW)
    told = datetime.fromisoformat(room.crawlers.get(RAW)["Crawler"]["LastCrawl"]["StartTime"])
    assert crawl.started - timedelta(milliseconds=1) == told
    assert crawl.started >= moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    # A crawl that began in the same millisecond may have begun before: it must not count.
    ready = datetime.fromisoformat(iso(crawl.started))
    assert not told >= ready


def test_a_crawl_that_began_later_than_now_proves_nothing(room: Room) -> None:
    room.crawlers.run(RAW)
    with room.catalog.write() as connection:
        connection.execute("UPDATE crawls SET started = ?", (iso(utc_now() + timedelta(seconds=30)),))
    assert "LastCrawl" not in room.crawlers.get(RAW)["Crawler"]
    room.crawlers.run(RAW)
    assert room.crawlers.get(RAW)["Crawler"]["LastCrawl"]["Status"] == "SUCCEEDED"


def test_a_landed_file_becomes_a_row_of_the_raw_table(room: Room) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00"), (2, "bad", 1, "1.00")))
    raw, processed = room.crawlers.run(RAW), room.crawlers.run(PROCESSED)
    assert (raw.table, raw.report.objects, raw.report.files_added, raw.report.tables_added) == ("raw_orders", 1, 1, 1)
    assert (processed.report.files_added, processed.report.tables_added, processed.report.partitions_added) == (2, 2, 1)
    table = room.catalog.table("raw_orders")
    assert {column.type for column in table.columns} == {"string"}
    assert [key.name for key in table.partition_keys] == ["ingest_date"]
    assert (table.rows, table.files) == (None, 1)
    assert (room.catalog.table("processed_orders").rows, room.catalog.table("quarantine_orders").rows) == (1, 1)
    assert room.catalog.pending("sales/orders", "raw") == []
    assert room.crawlers.run(RAW).report.changes == 0


def test_a_crawl_costs_what_is_new(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        room.load(f"{number}.csv", orders((number, "2025-01-01", 1, "1.00")), day=f"2025-01-0{number + 1}")
    room.crawl()
    opened: list[str] = []
    read: list[str] = []
    opening, reading = LocalStore.open, read_commit

    def note_open(self: LocalStore, bucket: str, key: str, **options: Any) -> Any:
        opened.append(key)
        return opening(self, bucket, key, **options)

    def note_read(store: Any, bucket: str, dataset: str, identity: str) -> Any:
        read.append(identity)
        return reading(store, bucket, dataset, identity)

    monkeypatch.setattr(LocalStore, "open", note_open)
    monkeypatch.setattr(crawl_module, "read_commit", note_read)
    room.catalog.note_changed("sales/orders", Zone.RAW, "sales/orders/ingest_date=2025-01-03/2.csv")
    room.catalog.note_changed("sales/orders", Zone.PROCESSED, "sales/orders/ingest_date=2025-01-03/2.csv")
    assert room.crawlers.run(RAW).report.objects == 1
    assert opened == ["sales/orders/ingest_date=2025-01-03/2.csv"]
    assert room.crawlers.run(PROCESSED).report.objects == 1
    assert len(read) == 1
    # Even a full crawl of the raw zone reads no header that it knows.
    opened.clear()
    assert room.crawlers.run(RAW, full=True).report.objects == 5
    assert opened == []


def test_what_changes_and_what_goes_is_followed(room: Room) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00"), (2, "2025-01-02", 1, "1.00")))
    room.crawl()
    old = {file.key for file in room.catalog.files("processed_orders")}
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00"), (2, "2025-01-03", 1, "1.00")))
    assert room.crawlers.run(RAW).report.files_updated == 1
    crawl = room.crawlers.run(PROCESSED)
    assert (crawl.report.files_added, crawl.report.files_removed) == (2, 2)
    assert not old & {file.key for file in room.catalog.files("processed_orders")}
    assert [one.path for one in room.catalog.partitions("processed_orders")] == [
        "order_date=2025-01-01",
        "order_date=2025-01-03",
    ]
    room.store.delete("raw", f"{DAY}/a.csv")
    room.catalog.note_changed("sales/orders", Zone.RAW, f"{DAY}/a.csv")
    assert room.crawlers.run(RAW).report.files_removed == 1
    for info in list(room.store.list("processed", layout.COMMITS)):
        room.store.delete("processed", info.key)
    assert room.crawlers.run(PROCESSED).report.files_removed == 0
    assert room.crawlers.run(PROCESSED, full=True).report.files_removed == 2
    assert room.catalog.table("processed_orders").rows == 0


def test_a_full_crawl_finds_what_nobody_noted(room: Room) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00")))
    room.crawl()
    step_by_step = [room.catalog.files(table.name) for table in room.catalog.tables()]
    (room.root / "state/catalog.db").unlink()
    for name in ("catalog.db-wal", "catalog.db-shm"):
        (room.root / "state" / name).unlink(missing_ok=True)
    from lakehead.catalog import Catalog

    catalog = Catalog(room.root / "state/catalog.db")
    targets = crawl_targets("dev", [room.contract], raw_bucket="raw", processed_bucket="processed")
    crawlers = Crawlers(catalog, room.store, targets, min_interval=0)
    for name in crawlers.names:
        assert crawlers.run(name, full=True).status == "SUCCEEDED"
    assert [catalog.files(table.name) for table in catalog.tables()] == step_by_step
    catalog.close()


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("binary.csv", b"\x00\x01\x02" * 50, "NUL"),
        ("latin.csv", "caf\u00e9,b\n".encode("latin-1"), "utf-8"),
        ("cut.csv.gz", gzip.compress(HEADER.encode() * 50)[:20], "unpacked"),
        ("none.csv.gz", b"this is no archive", "unpacked"),
        ("endless.csv", b"a" * (2 << 20), "1 MiB"),
    ],
)
def test_an_unreadable_file_is_counted_and_fails_nothing(room: Room, name: str, data: bytes, problem: str) -> None:
    room.store.put("raw", f"{DAY}/{name}", data)
    room.store.put("raw", f"{DAY}/good.csv", b"a,b\n1,2\n")
    for key in (f"{DAY}/{name}", f"{DAY}/good.csv"):
        room.catalog.note_changed("sales/orders", Zone.RAW, key)
    crawl = room.crawlers.run(RAW)
    assert (crawl.status, crawl.report.objects, crawl.report.unreadable) == ("SUCCEEDED", 2, 1)
    problems = {file.key: file.problem for file in room.catalog.files("raw_orders")}
    assert problem in problems[f"{DAY}/{name}"] and problems[f"{DAY}/good.csv"] == ""
    assert room.rows("SELECT a, b FROM raw_orders") == [("1", "2")]


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"\xef\xbb\xbfID, Name ,,id\n1,2,3,4\n", ["id", "name", "col2", "id_2"]),
        (b'\n\n"a ""b""","c\nd"\r\n', ['a "b"', "c\nd"]),
        (b"", None),
        (b"\n\n", None),
        (b"only", ["only"]),
    ],
)
def test_headers_as_people_write_them(room: Room, data: bytes, names: list[str] | None) -> None:
    room.store.put("raw", f"{DAY}/a.csv", data)
    room.catalog.note_changed("sales/orders", Zone.RAW, f"{DAY}/a.csv")
    assert room.crawlers.run(RAW).report.unreadable == 0
    (file,) = room.catalog.files("raw_orders")
    assert [column.name for column in file.schema] == (names or [])
    assert room.engine.run("SELECT * FROM raw_orders").files == 1


def test_only_landed_csv_files_of_the_dataset_are_seen(room: Room) -> None:
    for name in ("a.csv", "b.CSV", "_c.csv", ".d.csv", "e.txt", "_tmp/f.csv", "g.csv.gz"):
        room.store.put("raw", f"{DAY}/{name}", gzip.compress(b"a\n") if name.endswith("gz") else b"a\n")
    room.store.put("raw", "sales/ordersX/a.csv", b"a\n")
    room.store.put("raw", "sales/orders/returns/ingest_date=2025-01-01/r.csv", b"a\n")
    other = replace(room.contract, dataset="sales/orders/returns")
    targets = crawl_targets("dev", [room.contract, other], raw_bucket="raw", processed_bucket="processed")
    crawlers = Crawlers(room.catalog, room.store, targets, min_interval=0)
    assert crawlers.run(RAW, full=True).report.files_added == 3
    assert crawlers.run("dev-sales-orders-returns-raw", full=True).report.files_added == 1
    names = {file.key.rpartition("/")[2] for file in room.catalog.files("raw_orders")}
    assert names == {"a.csv", "b.CSV", "g.csv.gz"}


def test_a_damaged_commit_record_is_counted_and_fails_nothing(room: Room) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00")))
    room.load("b.csv", orders((2, "2025-01-01", 1, "1.00")))
    room.crawl()
    key = next(room.store.list("processed", layout.COMMITS)).key
    room.store.put("processed", key, b"{")
    for name in ("a.csv", "b.csv"):
        room.catalog.note_changed("sales/orders", Zone.PROCESSED, f"{DAY}/{name}")
    for full in (False, True):
        crawl = room.crawlers.run(PROCESSED, full=full)
        assert (crawl.status, crawl.report.unreadable, crawl.report.changes) == ("SUCCEEDED", 1, 0)
    assert room.catalog.table("processed_orders").files == 2


def test_a_failing_crawl_says_why_and_keeps_its_notes(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00")))

    def fail(*_: object, **__: object) -> Any:
        raise StorageUnavailable("the disk is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "list", fail)
        crawl = room.crawlers.run(RAW)
    assert crawl.status == "FAILED" and "on fire" in crawl.error
    last = room.crawlers.get(RAW)["Crawler"]["LastCrawl"]
    assert last["Status"] == "FAILED" and "on fire" in last["ErrorMessage"]
    assert len(room.catalog.pending("sales/orders", "raw")) == 1
    assert room.crawlers.run(RAW).report.files_added == 1
    assert "ErrorMessage" not in room.crawlers.get(RAW)["Crawler"]["LastCrawl"]


def test_a_catalog_that_cannot_be_written_is_told_as_a_failed_crawl(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00")))

    def full(*_: object) -> Any:
        raise StorageUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(room.catalog), "write", full)
        assert room.crawlers.run(RAW).status == "FAILED"
        assert room.crawlers.get(RAW)["Crawler"]["LastCrawl"]["Status"] == "FAILED"
    assert room.crawlers.run(RAW).status == "SUCCEEDED"
    assert room.crawlers.get(RAW)["Crawler"]["LastCrawl"]["Status"] == "SUCCEEDED"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_ends_a_crawl_ends_the_waiting(room: Room, gate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    look = crawl_module.Look.changes

    def leave(self: crawl_module.Look) -> None:
        look(self)
        raise SystemExit

    monkeypatch.setattr(crawl_module.Look, "changes", leave)
    room.crawlers.start(RAW)
    assert gate.entered.acquire(timeout=10)
    ready = room.crawlers.wait(RAW)
    (crawling,) = [thread for thread in threading.enumerate() if thread.name == f"crawl-{RAW}"]
    gate.opened.set()
    assert isinstance(ready.exception(10), SystemExit)
    crawling.join(10)


def test_a_stopped_crawl_is_cancelled_and_keeps_its_notes(room: Room, gate: Any) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00")))
    with pytest.raises(UsageError):
        room.crawlers.stop(RAW)
    room.crawlers.start(RAW)
    assert gate.entered.acquire(timeout=10)
    ready = room.crawlers.wait(RAW)
    room.crawlers.stop(RAW)
    ready.result(10)
    assert room.crawlers.get(RAW)["Crawler"]["LastCrawl"]["Status"] == "CANCELLED"
    assert len(room.catalog.pending("sales/orders", "raw")) == 1
    gate.opened.set()
    assert room.crawlers.run(RAW).report.files_added == 1


def test_a_note_made_while_a_crawl_looks_is_not_lost(room: Room, gate: Any) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00")))
    room.crawlers.start(RAW)
    assert gate.entered.acquire(timeout=10)
    room.catalog.note_changed("sales/orders", Zone.RAW, f"{DAY}/a.csv")
    ready = room.crawlers.wait(RAW)
    gate.opened.set()
    ready.result(10)
    assert [note.key for note in room.catalog.pending("sales/orders", "raw")] == [f"{DAY}/a.csv"]


def test_a_burst_shares_crawls_and_serves_everyone(room: Room) -> None:
    """Each asker does as the workflow does: note, then poll until a crawl that began later has succeeded."""
    askers = 40
    targets = crawl_targets("dev", [room.contract], raw_bucket="raw", processed_bucket="processed")
    crawlers = Crawlers(room.catalog, room.store, targets, min_interval=0.1)
    done: list[bool] = []

    def ask(number: int) -> None:
        key = f"{DAY}/{number}.csv"
        room.store.put("raw", key, f"a,b\n{number},2\n".encode())
        room.catalog.note_changed("sales/orders", Zone.RAW, key)
        ready = iso(utc_now())
        for _ in range(1000):
            crawler = crawlers.get(RAW)["Crawler"]
            last = crawler.get("LastCrawl")
            if crawler["State"] == "READY" and last and last["StartTime"] >= ready:
                done.append(last["Status"] == "SUCCEEDED")
                assert any(file.key == key for file in room.catalog.files("raw_orders"))
                return
            if crawler["State"] == "READY":
                with contextlib.suppress(CrawlerRunning):
                    crawlers.start(RAW)
            crawlers.wait(RAW).result(30)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(askers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == [True] * askers
    assert len(room.catalog.crawls(RAW)) < askers / 2


def test_a_lone_crawl_is_not_held_back_and_a_quick_second_one_is(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    targets = crawl_targets("dev", [room.contract], raw_bucket="raw", processed_bucket="processed")
    crawlers = Crawlers(room.catalog, room.store, targets, min_interval=0.05)
    wait = threading.Event.wait

    def note_wait(self: threading.Event, timeout: float | None = None) -> bool:
        waits.append(timeout or 0.0)
        return wait(self, timeout)

    monkeypatch.setattr(threading.Event, "wait", note_wait)
    first = crawlers.run(RAW)
    held = [one for one in waits if 0 < one <= 0.05]
    assert held == []
    second = crawlers.run(RAW)
    assert (second.started - first.started) >= timedelta(seconds=0.049)


def test_a_finished_crawl_can_be_started_again_from_its_waiters(room: Room, gate: Any) -> None:
    """The workflow asks and starts again in the callback of the future."""
    again: Future[Crawl | None] = Future()

    def start_again(_: object) -> None:
        assert room.crawlers.get(RAW)["Crawler"]["State"] == "READY"
        room.crawlers.start(RAW)
        again.set_result(None)

    room.crawlers.start(RAW)
    assert gate.entered.acquire(timeout=10)
    room.crawlers.wait(RAW).add_done_callback(start_again)
    gate.opened.set()
    again.result(10)
    room.crawlers.wait(RAW).result(10)
    assert len(room.catalog.crawls(RAW)) == 2


CHILD = """
import os, signal, sys
from pathlib import Path
from lakehead.catalog import Catalog, Crawlers, crawl, crawl_targets, crawlers
from lakehead.contract import load_contract
from lakehead.storage import LocalStore

root, contracts, where = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
contract = load_contract(contracts / "sales/orders.odcs.yaml", root=contracts)

def stop_here(name):
    def inside(*arguments, **named):
        print("here", flush=True)
        signal.pause()
    return inside

if where == "look":
    crawl.Look.changes = stop_here("look")
elif where == "apply":
    apply = crawlers.apply_changes
    crawlers.apply_changes = lambda *a: (apply(*a), stop_here("apply")())
targets = crawl_targets("dev", [contract], raw_bucket="raw", processed_bucket="processed")
catalog = Catalog(root / "state/catalog.db", database="sales_dev")
Crawlers(catalog, LocalStore(root / "data"), targets).run("dev-sales-orders-processed")
"""


@pytest.mark.parametrize("where", ["look", "apply"])
def test_killed_in_mid_crawl_nothing_is_lost_and_nothing_stays_running(room: Room, where: str) -> None:
    room.load("a.csv", orders((1, "2025-01-01", 1, "1.00")))
    contracts = Path(crawl_module.__file__).parents[1] / "examples/sales/contracts"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(room.root), str(contracts), where], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "here\n"
        assert room.crawlers.get(PROCESSED)["Crawler"]["State"] == "RUNNING"
        with pytest.raises(CrawlerRunning, match="another process"):
            room.crawlers.start(PROCESSED)
        ready = room.crawlers.wait(PROCESSED)
        assert not ready.done()
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait(10)
        if child.stdout is not None:
            child.stdout.close()
    ready.result(10)
    described = room.crawlers.get(PROCESSED)["Crawler"]
    assert (described["State"], "LastCrawl" in described) == ("READY", False)
    assert room.catalog.tables() == []
    assert len(room.catalog.pending("sales/orders", "processed")) == 1
    room.crawl()
    assert room.catalog.table("processed_orders").rows == 1
