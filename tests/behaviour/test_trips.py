"""Whole trips of small files: rewritten, late, broken, mended, announced."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from support.lakedir import LakeDir, rows

from lakehead.errors import ExecutionNotFound, NotFound, NotRedrivable
from lakehead.events import EventStore
from lakehead.model import ObjectCreated

LakeMaker = Callable[[str], LakeDir]
HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
FIRST = HEADER + "1,C1,Mouse,2,500,2025-01-01\n2,C1,Mouse,1,500,2025-01-02\n"
SECOND = HEADER + "1,C1,Mouse,3,500,2025-01-01\n"
ALL = "SELECT order_id, quantity, total_amount FROM processed_orders ORDER BY order_id"


def test_a_file_rewritten_under_its_key_replaces_its_rows(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FIRST)
    with where.open() as lake:
        lake.ingest()
        assert rows(lake, ALL) == [(1, 2, Decimal("1000.00")), (2, 1, Decimal("500.00"))]
        where.land_text("a.csv", SECOND)
        lake.ingest()
        assert rows(lake, ALL) == [(1, 3, Decimal("1500.00"))]
        where.land_text("a.csv", FIRST)
        lake.ingest()
        assert rows(lake, ALL) == [(1, 2, Decimal("1000.00")), (2, 1, Decimal("500.00"))]
        assert lake.verify().ok


def test_a_lost_list_of_events_is_made_again_and_nothing_is_loaded_twice(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FIRST)
    with where.open() as lake:
        lake.ingest()
        before = rows(lake, ALL)
        state = lake.config.state_dir
    for path in state.glob("events.db*"):
        path.unlink()
    with where.open() as lake:
        assert not lake.ingest().failed
        assert rows(lake, ALL) == before
        assert (lake.count_runs("SUCCEEDED"), len(lake.notifications())) == (1, 1)
        assert lake.ingest().found == 0, "the event is finished"


def test_old_executions_are_forgotten_and_what_they_loaded_is_not(
    lake_dir: LakeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FIRST)
    with where.open() as lake:
        lake.ingest()
        (run,) = lake.runs()
        clock = lake.journal.clock
        monkeypatch.setattr(lake.journal, "clock", lambda: clock() + timedelta(days=89))
        assert lake.prune() == 0 and lake.run(run.name).history
        monkeypatch.setattr(lake.journal, "clock", lambda: clock() + timedelta(days=91))
        assert lake.ingest().found == 0
        assert lake.runs() == [] and len(rows(lake, ALL)) == 2
        (summary,) = lake.datasets()
        assert summary.loaded and run.ended and run.started < summary.loaded <= run.ended, "by the commit, now"
        with pytest.raises(ExecutionNotFound):
            lake.run(run.name)
        monkeypatch.setattr(lake.journal, "clock", clock)
        assert lake.replay().succeeded == 1
        assert len(rows(lake, ALL)) == 2


def test_a_crash_between_an_execution_and_its_note(lake_dir: LakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FIRST)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with where.open() as lake:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(EventStore, "mark_all_started", crash)
            lake.ingest()
        assert len(lake.runs()) == 1
        assert lake.ingest().succeeded == 1
        assert (lake.count_runs("SUCCEEDED"), len(rows(lake, ALL))) == (1, 2)
        assert lake.ingest().found == 0


def test_an_execution_that_ends_before_its_event_is_noted_as_started(
    lake_dir: LakeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FIRST)
    really = EventStore.mark_all_started
    with where.open() as lake:

        def late(store: EventStore, executions: Mapping[int, str]) -> None:
            for name in executions.values():
                lake.journal.wait_for(name, 60)
            really(store, executions)

        monkeypatch.setattr(EventStore, "mark_all_started", late)
        assert lake.ingest().succeeded == 1
        assert lake.events.started() == []


def test_an_older_version_that_arrives_late_does_nothing(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FIRST)
    with where.open() as lake:
        lake.ingest()
        (newest,) = lake.recorded_events()
        order = int(newest.object.sequencer, 16)
        late = replace(newest.object, sequencer=f"{order - 1:016x}", etag="0" * 64)
        before = rows(lake, ALL)
        assert not lake.deliver(ObjectCreated.of(late))
        assert lake.ingest().started == 0
        assert rows(lake, ALL) == before
        assert lake.count_runs("SUCCEEDED") == 1


def test_the_same_rows_touched_or_named_anew(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    path = where.land_text("a.csv", FIRST)
    with where.open() as lake:
        lake.ingest()
        path.touch()
        assert lake.ingest().started == 0
        where.land_text("b.csv", FIRST)
        assert lake.ingest().succeeded == 1
        assert len(rows(lake, ALL)) == 4  # loaded by default, and said: see the record's warning
        records = list(lake.commits("sales/orders"))
        assert [bool(record.warnings) for record in sorted(records, key=lambda one: one.source.key)] == [False, True]


def test_a_broken_file_fails_alone_and_is_redriven_once_mended(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("good.csv", FIRST)
    where.land_text("bad.csv", FIRST.replace("price", "cost"))
    with where.open() as lake:
        summary = lake.ingest()
        assert (summary.succeeded, summary.failed) == (1, 1)
        (failed,) = lake.runs(status="FAILED")
        assert failed.error == "Lakehead.HeaderMismatch"
        assert failed.cause and "price" in failed.cause and "bad.csv" in failed.cause
        told = [one for one in lake.notifications() if one.outcome == "failure"]
        assert len(told) == 1
        for part in ("bad.csv", "sales-datalake-raw-dev", failed.name, "runs redrive", "price"):
            assert part in told[0].message
        assert len(rows(lake, ALL)) == 2
        good = lake.runs(status="SUCCEEDED")[0]
        with pytest.raises(NotRedrivable):
            lake.redrive(good.name)
        assert lake.redrive(failed.name).status == "FAILED"

        contract = where.root / "contracts/sales/orders.odcs.yaml"
        mended = contract.read_text().replace(
            "      - name: price\n", "      - name: price\n        transformLogic: cost\n"
        )
        contract.write_text(mended)
    with where.open() as lake:
        done = lake.redrive(failed.name)
        assert (done.status, done.rows_committed) == ("SUCCEEDED", 2)
        assert len(rows(lake, ALL)) == 4


def test_replay_moves_quarantined_rows_over_and_is_idempotent(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FIRST + "3,C1,Mouse,1,-5,2025-01-02\n")
    with where.open() as lake:
        lake.ingest()
        (bad,) = lake.quarantine_rows()
        assert (bad.line, bad.text, bad.reasons) == (4, "3,C1,Mouse,1,-5,2025-01-02", ("price: less than 0",))
        with pytest.raises(NotFound):
            lake.replay(key="sales/orders/ingest_date=2025-01-01/none.csv")
        contract = where.root / "contracts/sales/orders.odcs.yaml"
        contract.write_text(contract.read_text().replace("          minimum: 0\n", "          minimum: -10\n"))
    with where.open() as lake:
        for _ in range(2):
            summary = lake.replay(prefix="sales/orders/ingest_date=2025-01")
            assert (summary.succeeded, summary.rows_committed, summary.rows_quarantined) == (1, 3, 0)
            assert len(rows(lake, ALL)) == 3
            assert lake.quarantine_rows() == []
        assert lake.verify().ok


def test_only_objects_with_quarantined_rows_are_replayed(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("good.csv", FIRST)
    where.land_text("cheap.csv", FIRST + "3,C1,Mouse,1,-5,2025-01-02\n4,C1,Mouse,1,-6,2025-01-02\n")
    where.land_text("word.csv", FIRST + "5,C1,Mouse,x,5,2025-01-02\n")
    gone = where.land_text("gone.csv", FIRST + "6,C1,Mouse,1,-7,2025-01-02\n")
    with where.open() as lake:
        lake.ingest()
        assert lake.replay_quarantine(reason="no such reason").objects == 0
        contract = where.root / "contracts/sales/orders.odcs.yaml"
        contract.write_text(contract.read_text().replace("          minimum: 0\n", "          minimum: -10\n"))
    gone.unlink()
    with where.open() as lake:
        done = lake.replay_quarantine(reason="price: less than 0")
        assert (done.objects, done.rows_before, done.rows_after) == (2, 3, 1)
        assert [run.key.rpartition("/")[2] for run in done.summary.executions] == ["cheap.csv"]
        assert [key.rpartition("/")[2] for key in done.gone] == ["gone.csv"]
        assert {row.text[0] for row in lake.quarantine_rows()} == {"5", "6"}
        assert lake.verify().ok
    told = where.run("quarantine", "replay", "--key", "sales/orders/ingest_date=2025-01-01/word.csv").stdout
    assert "1 quarantined rows of 1 objects before, 1 after" in told
    assert "Nothing of that kind is quarantined." in where.run("quarantine", "replay", "--reason", "none").stdout


def test_what_becomes_of_rows_whose_file_was_removed_by_hand(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    path = where.land_text("a.csv", FIRST)
    with where.open() as lake:
        lake.ingest()
        before = rows(lake, ALL)
        path.unlink()
        assert lake.ingest().started == 0
        lake.crawl()
        assert rows(lake, ALL) == before and rows(lake, "SELECT count(*) FROM raw_orders") == [(0,)]
        for _ in range(2):
            report = lake.verify(repair=True)
            assert report.ok and report.checked["landed files gone"] == 1
        assert rows(lake, ALL) == before
        (record,) = lake.commits("sales/orders")
        lake.store.delete(lake.config.processed_bucket, record.files[0].key)
        report = lake.verify(repair=True)
        assert not report.ok and "lakehead delete" in report.findings[0].fix
        where.land_text("a.csv", FIRST)
        assert lake.ingest().started == 0, "these bytes are known"
        assert lake.verify(repair=True).ok and rows(lake, ALL) == before


def test_empty_files_commit_zero_rows_and_say_so(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("empty.csv", "")
    where.land_text("header.csv", HEADER)
    with where.open() as lake:
        summary = lake.ingest()
        assert (summary.succeeded, summary.rows_read) == (2, 0)
        assert all(record.warnings for record in lake.commits("sales/orders"))
        assert all("0 rows can be queried" in one.message for one in lake.notifications())
        assert lake.verify().ok


def test_of_many_versions_the_newest_stays(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    with where.open() as lake:
        for quantity in range(1, 9):
            where.land_text("a.csv", HEADER + f"1,C1,Mouse,{quantity},500,2025-01-0{quantity}\n")
            lake.ingest()
        assert rows(lake, "SELECT quantity, CAST(order_date AS varchar) FROM processed_orders") == [(8, "2025-01-08")]
        assert lake.verify().ok


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A real HTTP server that keeps what it is sent."""
    received: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook?token=CANARY", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_execution_is_announced_once_and_no_secret_is_kept(
    lake_dir: LakeMaker, webhook: tuple[str, list[dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, received = webhook
    monkeypatch.setenv("HOOK", address)
    where = lake_dir("sales")
    settings = where.root / "lakehead.toml"
    settings.write_text(settings.read_text() + '\n[[notify]]\nname = "hook"\nurl = "env:HOOK"\n')
    where.land_text("good.csv", FIRST)
    where.land_text("bad.csv", "no,header\n1,2\n")
    with where.open() as lake:
        lake.ingest()
        lake.ingest()
    assert len(received) == 2
    assert sum("2 rows can be queried" in message["message"] for message in received) == 1
    assert sum("HeaderMismatch" in message["message"] for message in received) == 1
    for path in where.root.rglob("*"):
        assert not path.is_file() or b"CANARY" not in path.read_bytes(), path


def test_a_file_of_years_is_committed_and_announced_like_any_other(lake_dir: LakeMaker) -> None:
    """Its commit record is larger than what a workflow may carry (256 KiB)."""
    where = lake_dir("sales")
    days = [date(2015, 1, 1) + timedelta(days=number) for number in range(1_200)]
    where.land_text("years.csv", HEADER + "".join(f"{n},C1,Mouse,1,5,{day}\n" for n, day in enumerate(days)))
    with where.open() as lake:
        assert lake.ingest().succeeded == 1
        assert rows(lake, "SELECT count(*), count(DISTINCT order_date) FROM processed_orders") == [(1_200, 1_200)]
        (key,) = [one.key for one in lake.store.list(lake.config.processed_bucket, "_lakehead/commits/")]
        assert len(lake.store.get(lake.config.processed_bucket, key)) > 262_144


def test_what_a_crash_or_a_person_left_is_found_and_mended(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", FIRST)
    where.land_text("b.csv", SECOND.replace("1,C1", "9,C1"))
    with where.open() as lake:
        lake.ingest()
        whole = rows(lake, ALL)
        processed = lake.config.processed_bucket
        records = [one.key for one in lake.store.list(processed, "_lakehead/commits/")]
        files = [one.key for one in lake.store.list(processed, "sales/orders/")]
        lake.store.put(processed, records[0], b"{")
        survivor = next(iter(lake.commits("sales/orders")))
        lake.store.delete(processed, survivor.files[0].key)
        assert len(files) == 3 and lake.quarantine_files() == []

        report = lake.verify()
        assert not report.ok
        assert {"damaged_record", "missing_file"} <= {finding.kind for finding in report.findings}
        assert lake.verify(repair=True).ok, "what was loaded again is told as repaired"
        assert lake.verify().ok
        assert rows(lake, ALL) == whole


def test_a_folder_that_is_named_like_a_partition_says_nothing_about_rows(lake_dir: LakeMaker, tmp_path: Path) -> None:
    original = lake_dir("sales").root
    where = LakeDir(original.rename(tmp_path / "order_date=2024-01-01"))
    where.land_text("clean.csv", FIRST)
    where.land_text("quoted.csv", FIRST.replace("Mouse", '"Mouse"') + "3,C1,Mouse,x,5,2025-01-02\n")
    with where.open() as lake:
        summary = lake.ingest()
        assert (summary.succeeded, summary.rows_committed, summary.rows_quarantined) == (2, 4, 1)
        days = rows(lake, "SELECT DISTINCT CAST(order_date AS varchar) FROM processed_orders ORDER BY 1")
        assert days == [("2025-01-01",), ("2025-01-02",)]
        assert lake.verify().ok
