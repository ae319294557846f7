"""What the fault sweeps of tests/chaos found, each told directly."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from support.lakedir import LakeDir, rows

from lakehead.catalog import Crawlers
from lakehead.errors import StorageUnavailable
from lakehead.events import EventStore
from lakehead.lake import Lake
from lakehead.model import ObjectCreated, ObjectVersion, Zone, iso, utc_now
from lakehead.services import Services
from lakehead.workflow.journal import Journal

LakeMaker = Callable[[str], LakeDir]
HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
FILE = HEADER + "1,C1,Mouse,2,500,2025-01-01\n2,C1,Mouse,1,500,2025-01-02\n"
COUNT = "SELECT count(*) FROM processed_orders"
WAIT = 60.0
HOLD_THE_WORK = """
import sys, time
from pathlib import Path
from lakehead.running import worker_lock

with worker_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def fails_once(real: Callable[..., Any], *, when: Callable[..., bool] = lambda *_: True) -> Callable[..., Any]:
    """Raises at the first call for which `when` holds."""
    failed = threading.Event()

    def call(*arguments: Any) -> Any:
        if when(*arguments) and not failed.is_set():
            failed.set()
            raise StorageUnavailable("the disk is full")
        return real(*arguments)

    return call


def test_an_end_that_could_not_be_noted_is_noted_later(lake_dir: LakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FILE)
    with where.open() as lake:
        monkeypatch.setattr(EventStore, "mark_all_finished", fails_once(EventStore.mark_all_finished))
        assert lake.ingest(timeout=WAIT).succeeded == 1
        assert lake.events.counts()["done"] == 1


def test_what_could_not_be_started_when_there_was_room_is_started_later(
    lake_dir: LakeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = lake_dir("sales")
    settings = where.root / "lakehead.toml"
    settings.write_text(settings.read_text().replace('memory_limit = "1GB"', "concurrency = 1"))
    monkeypatch.setattr("lakehead.pipeline.EXECUTIONS_PER_TASK", 1)
    starts: list[int] = []

    def second(*_: object) -> bool:
        starts.append(1)
        return len(starts) == 2

    for number in range(3):
        where.land_text(f"{number}.csv", FILE.replace("C1", f"C{number}"))
    with where.open() as lake:
        monkeypatch.setattr(Journal, "start_missing", fails_once(Journal.start_missing, when=second))
        assert lake.ingest(timeout=WAIT).succeeded == 3
        assert len(starts) == 4, "the second start failed and was made again"


def hold_the_work(lake: Lake) -> subprocess.Popen[str]:
    """Another process that works for the lake, or says so."""
    command = [sys.executable, "-c", HOLD_THE_WORK, str(lake.config.state_dir)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout as told:
        assert told.readline() == "held\n"
    return holder


def test_who_waits_for_a_process_that_dies_takes_over(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FILE)
    with where.open() as lake:
        holder = hold_the_work(lake)
        # Progress is first told when the work of others is being waited for.
        summary = lake.ingest(timeout=WAIT, progress=lambda _: holder.kill())
        assert holder.wait(WAIT) == -9
        assert summary.succeeded == 1
        assert rows(lake, COUNT) == [(2,)]


def test_a_redrive_takes_over_too(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FILE)
    with where.open() as lake:
        lake.deliver(_event(lake, "sales/orders/ingest_date=2025-01-01/a.csv"))
        lake._pipeline().dispatch()
        (run,) = lake.runs()
        assert lake.stop(run.name).status == "ABORTED"
        holder = hold_the_work(lake)
        killer = threading.Timer(1.0, holder.kill)
        killer.start()
        assert lake.redrive(run.name).status == "SUCCEEDED"
        assert holder.wait(WAIT) == -9


def _event(lake: Lake, key: str) -> dict[str, Any]:
    info = lake.store.head(lake.config.raw_bucket, key)
    return ObjectCreated.of(ObjectVersion(info.bucket, key, info.etag, info.size, info.sequencer)).to_eventbridge()


def test_an_event_whose_contract_was_taken_away_holds_nobody_up(
    lake_dir: LakeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = lake_dir("sales")
    orders = where.root / "contracts/sales/orders.odcs.yaml"
    returns = orders.with_name("returns.odcs.yaml")
    returns.write_text(
        orders.read_text().replace("- name: orders", "- name: returns").replace("sales-orders", "sales-returns")
    )
    monkeypatch.setattr("lakehead.pipeline.EXECUTIONS_PER_TASK", 1)
    with where.open() as lake:
        for number in range(6):  # more than may run at a time
            key = f"sales/returns/ingest_date=2025-01-01/{number}.csv"
            lake.store.put(lake.config.raw_bucket, key, FILE.encode())
            assert lake.deliver(_event(lake, key))
    returns.unlink()
    where.land_text("a.csv", FILE)
    with where.open() as lake:
        assert lake.ingest(timeout=WAIT).succeeded == 1
        assert lake.events.counts()["pending"] == 6


def test_executions_that_fail_as_they_start_are_told_and_leave_room(
    lake_dir: LakeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = lake_dir("sales")
    document = where.root / "workflow/ingest.asl.json"
    states = json.loads(document.read_text())
    states["States"]["Identify"]["Parameters"]["bucket.$"] = "$.no.such.field"
    document.write_text(json.dumps(states))
    monkeypatch.setattr("lakehead.pipeline.EXECUTIONS_PER_TASK", 1)
    for number in range(6):
        where.land_text(f"{number}.csv", FILE)
    with where.open() as lake:
        summary = lake.ingest(timeout=WAIT)
        assert (summary.failed, summary.succeeded) == (6, 0)
        assert lake.events.counts()["failed"] == 6
        assert [one.outcome for one in lake.notifications()] == ["failure"] * 6


def test_a_failure_is_redriven_before_whoever_works_has_noted_it(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", "no,such,header\n1,2,3\n")
    with where.open() as lake:
        (failed,) = lake.ingest(timeout=WAIT).executions
        with closing(sqlite3.connect(lake.config.state_dir / "events.db")) as events, events:
            assert events.execute("UPDATE events SET state = 'started' WHERE state = 'failed'").rowcount == 1
        again = lake.request_redrive(failed.name)
        assert again != failed.name
        assert [one.name for one in lake.ingest(timeout=WAIT).executions] == [again]


def test_a_job_without_an_argument_fails_and_is_told(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    document = where.root / "workflow/ingest.asl.json"
    text = document.read_text()
    document.write_text(re.sub(r'"--source_key[^,]*,', "", text))
    assert document.read_text() != text
    for number in range(3):
        where.land_text(f"{number}.csv", FILE)
    with where.open() as lake:
        summary = lake.ingest(timeout=WAIT)
        assert (summary.failed, summary.succeeded) == (3, 0)
        assert [one.outcome for one in lake.notifications()] == ["failure"] * 3


def test_a_repair_that_was_killed_before_it_loaded_again_is_made_again(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FILE)
    with where.open() as lake:
        lake.ingest()
        (record,) = lake.store.list(lake.config.processed_bucket, "_lakehead/commits/")
        lake.store.delete(lake.config.processed_bucket, record.key)  # set aside, and then the process was killed
        report = lake.verify()
        assert not report.ok and "lost_record" in {finding.kind for finding in report.findings}
        assert lake.verify(repair=True).ok
        assert lake.verify().findings == ()
        assert rows(lake, COUNT) == [(2,)]
    where.land_text("b.csv", "nothing that the contract knows\n1\n")
    with where.open() as lake:
        assert lake.ingest().failed == 1
        assert lake.verify().ok, "what never could be loaded is not lost"


def test_a_crawl_before_the_clock_was_set_back_does_not_count(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FILE)
    with where.open() as lake:
        lake.ingest()
        path = lake.catalog.path
    with closing(sqlite3.connect(path)) as catalog, catalog:
        catalog.execute("UPDATE crawls SET started = ?", (iso(utc_now() + timedelta(hours=1)),))
    where.land_text("b.csv", FILE.replace("C1", "C2"))
    with where.open() as lake:
        before = len(lake.catalog.crawls())
        assert lake.ingest(timeout=WAIT).succeeded == 1
        assert rows(lake, COUNT) == [(4,)], "announced before it could be queried"
        assert len(lake.catalog.crawls()) - before < 10, "crawled until the clock had caught up"


def test_a_deletion_that_was_killed_before_its_crawl_is_made_again(
    lake_dir: LakeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FILE)
    with where.open() as lake:
        lake.ingest()
        chosen = lake.deletable(["sales/orders/ingest_date=2025-01-01/a.csv"])

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Crawlers, "run", killed)
            lake.delete(chosen, by="me")
        assert lake.catalog.table("processed_orders").rows == 2
        lake.delete(lake.deletable(["sales/orders/ingest_date=2025-01-01/a.csv"]), by="me")
        assert lake.catalog.table("processed_orders").rows == 0
        assert lake.verify().ok


def test_a_file_that_could_not_be_loaded_may_land_again(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    landed = where.land_text("a.csv", FILE)
    with where.open() as lake:
        lake._discover()
        landed.unlink()  # before anybody came to load it
        assert lake.ingest(timeout=WAIT).failed == 1
        where.land_text("a.csv", FILE)
        assert lake.ingest(timeout=WAIT).succeeded == 1
        assert rows(lake, COUNT) == [(2,)]
        assert lake.ingest(timeout=WAIT).found == 0


def test_a_file_whose_rows_were_not_crawled_may_land_again(
    lake_dir: LakeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FILE)
    look = Crawlers._look_and_apply

    def processed(_: Crawlers, run: Any, *__: object) -> bool:
        return bool(run.target.zone is Zone.PROCESSED)

    with where.open() as lake:
        with monkeypatch.context() as patch:
            patch.setattr(Crawlers, "_look_and_apply", fails_once(look, when=processed))
            assert lake.ingest(timeout=WAIT).failed == 1
        where.land_text("a.csv", FILE)
        assert lake.ingest(timeout=WAIT).succeeded == 1
        assert rows(lake, COUNT) == [(2,)]
        assert [one.outcome for one in lake.notifications()] == ["success", "failure"]
        where.land_text("a.csv", FILE)
        assert lake.ingest(timeout=WAIT).found == 0, "now it is loaded"


def test_a_file_that_lands_again_while_its_load_fails_is_loaded(
    lake_dir: LakeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = lake_dir("sales")
    landed = where.land_text("a.csv", FILE)
    load, met = Services.start_job_runs, threading.Event()

    def in_the_gap(services: Services, requests: Any) -> Any:
        """The job comes between `rm` and `cp`, and the copy is seen before the job's failure is."""
        if met.is_set():
            return load(services, requests)
        met.set()
        landed.unlink()
        answers = load(services, requests)
        where.land_text("a.csv", FILE)
        with where.open() as watcher:
            watcher._discover()
        return answers

    monkeypatch.setattr(Services, "start_job_runs", in_the_gap)
    monkeypatch.setattr("lakehead.events.zone.TICK_NS", 0)  # as if the copy had been seen a while later
    with where.open() as lake:
        assert lake.ingest(timeout=WAIT).failed == 1
        lake.ingest(timeout=WAIT)
        assert rows(lake, COUNT) == [(2,)]
        assert [one.outcome for one in lake.notifications()] == ["success", "failure"]
        assert lake.ingest(timeout=WAIT).found == 0
