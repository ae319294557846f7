"""The right to be forgotten, on a whole lake: what is deleted is in no file, comes back by no event, and lands anew."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.lakedir import LakeDir, rows

from lakehead.catalog import Catalog, Crawlers
from lakehead.deleting import Forgetting
from lakehead.errors import NotFound, StorageUnavailable
from lakehead.etl.deletion import Eraser
from lakehead.events import EventStore
from lakehead.lake import Lake
from lakehead.model import ObjectCreated, Zone
from lakehead.notify import Notifier
from lakehead.workflow.journal import Journal

LakeMaker = Callable[[str], LakeDir]
HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
KEPT = HEADER + "1,C1,Mouse,2,500,2025-01-01\n"
GOES = HEADER + "7,CANARY,Mouse,1,500,2025-01-01\n8,CANARY,Mouse,x,500,2025-01-02\n"
BROKEN = "CANARY,no,header,at,all,x\n1,2,3,4,5,6\n"
ALL = "SELECT order_id, total_amount FROM processed_orders ORDER BY order_id"
LEFT = [(1, Decimal("1000.00"))]
PREFIX = "sales/orders/ingest_date=2025-01-01/"


@pytest.fixture
def where(lake_dir: LakeMaker) -> LakeDir:
    made = lake_dir("sales")
    made.land_text("kept.csv", KEPT)
    made.land_text("canary-smith.csv", GOES)
    made.land_text("canary-broken.csv", BROKEN)
    with made.open() as lake:
        summary = lake.ingest()
        assert (summary.succeeded, summary.failed) == (2, 1)
    return made


def holding(root: Path, word: str) -> list[str]:
    """The files below a folder whose path or bytes hold a word, in any case."""
    found = []
    for path in root.rglob("*"):
        inside = path.is_file() and word.lower().encode() in path.read_bytes().lower()
        if inside or word.lower() in path.name.lower():
            found.append(str(path.relative_to(root)))
    return found


def test_nothing_of_what_was_deleted_is_left_but_log_lines(where: LakeDir) -> None:
    assert len(holding(where.root, "canary")) > 5
    with where.open() as lake:
        chosen = lake.deletable(prefix=PREFIX + "canary")
        assert [(one.landed, one.rows_committed, one.rows_quarantined) for one in chosen] == [
            (True, 0, 0),
            (True, 1, 1),
        ]
        done = lake.delete(chosen, by="privacy@example.org", reason="request 17", keep_key=False)
        assert sorted((one.key, one.rows_committed, one.files) for one in done) == [("", 0, 0), ("", 1, 2)]
        assert rows(lake, ALL) == LEFT and lake.quarantine_rows() == []
        assert [run.key for run in lake.runs()] == [PREFIX + "kept.csv"]
        assert len(lake.notifications()) == 1 and len(lake.recorded_events()) == 1
        report = lake.verify()
        assert report.ok and report.checked["objects"] == 1
    assert [path for path in holding(where.root, "canary") if not path.startswith(".lakehead/dev/logs/")] == []
    for record in where.root.rglob("_lakehead/deletions/**/*.json"):
        told = json.loads(record.read_text())
        assert (told["by"], told["reason"], told["key"], bool(told["finished_at"])) == (
            "privacy@example.org", "request 17", "", True,
        )  # fmt: skip


def test_no_late_event_brings_it_back_and_the_same_file_landed_again_is_loaded(where: LakeDir) -> None:
    key = PREFIX + "canary-smith.csv"
    with where.open() as lake:
        (event,) = [one for one in lake.recorded_events() if one.object.key == key]
        lake.delete(lake.deletable([key]), by="me")
        assert not lake.deliver(event), "it is known to be old"
        assert not lake.deliver(replace(event, object=replace(event.object, sequencer="1")))
        assert not lake.deliver(ObjectCreated.of(replace(event.object, sequencer="", version_id="x")))
        assert lake.ingest().started == 0
        assert rows(lake, ALL) == LEFT
        where.land_text("canary-smith.csv", GOES)
        assert lake.ingest().rows_committed == 1
        assert len(rows(lake, ALL)) == 2
        with pytest.raises(NotFound):
            lake.replay(key=PREFIX + "none.csv")
        assert lake.replay(key=key).rows_committed == 1
        assert lake.verify().ok


def test_a_lost_list_of_events_does_not_bring_it_back(where: LakeDir) -> None:
    with where.open() as lake:
        lake.delete(lake.deletable(prefix=PREFIX + "canary"), by="me")
        state = lake.config.state_dir
    for path in state.glob("events.db*"):
        path.unlink()
    with where.open() as lake:
        assert not lake.ingest().failed
        assert rows(lake, ALL) == LEFT


def test_rows_that_were_left_to_the_deleted_object_are_loaded(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    contract = where.root / "contracts/sales/orders.odcs.yaml"
    added = "customProperties:\n  - {property: onDuplicateContent, value: skip}\n"
    contract.write_text(contract.read_text().replace("customProperties:\n", added))
    where.land_text("a.csv", KEPT)
    with where.open() as lake:
        lake.ingest()
        where.land_text("b.csv", KEPT)
        lake.ingest()
        assert rows(lake, ALL) == LEFT
        (first,) = [one.source.key for one in lake.commits("sales/orders") if not one.duplicate_of]
        lake.delete(lake.deletable([first]), by="me")
        assert rows(lake, ALL) == LEFT
        (left,) = lake.commits("sales/orders")
        assert left.rows_committed == 1 and not left.duplicate_of
        assert lake.verify().ok


STEPS: dict[str, tuple[type[Any], str]] = {
    "events": (EventStore, "forget"),
    "executions": (Journal, "forget"),
    "notifications": (Notifier, "forget"),
    "tables": (Catalog, "note_all_changed"),
    "all of them": (Forgetting, "forget"),
    "crawl": (Lake, "_crawlers"),
    "the last record": (Eraser, "_finish"),
}


@pytest.mark.parametrize("end", ["command", "prefix", "repair"])
@pytest.mark.parametrize("step", STEPS)
def test_stopped_before_any_step_of_forgetting(
    where: LakeDir, monkeypatch: pytest.MonkeyPatch, step: str, end: str
) -> None:
    key = PREFIX + "canary-smith.csv"

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with where.open() as lake:
        chosen = lake.deletable([key])
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(*STEPS[step], stopped)
            lake.delete(chosen, by="me", keep_key=False)
        assert "unfinished_deletion" in {one.kind for one in lake.verify().findings}
    with where.open() as lake:
        if end == "command":
            lake.delete(lake.deletable([key]), by="me", keep_key=False)
        elif end == "prefix":
            lake.delete(lake.deletable(prefix=key[:-8]), by="me", keep_key=False)
        else:
            assert lake.verify(repair=True).ok
        assert rows(lake, ALL) == LEFT
        assert [lake.catalog.table(f"{name}_orders").rows for name in ("processed", "quarantine")] == [1, 0]
        assert key not in [file.key for file in lake.catalog.files("raw_orders")]
        assert lake.verify().ok
    left = [path for path in holding(where.root, "canary-smith") if "/logs/" not in path]
    assert left == []


def test_a_deletion_whose_crawl_fails_is_unfinished_and_says_so(
    where: LakeDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = PREFIX + "canary-smith.csv"

    def fail(*_: object) -> None:
        raise StorageUnavailable("the disk is full")

    with where.open() as lake:
        with monkeypatch.context() as patch:
            patch.setattr(Crawlers, "_look_and_apply", fail)
            with pytest.raises(StorageUnavailable, match=r"disk is full.* Say it again"):
                lake.delete(lake.deletable([key]), by="me")
        assert lake.catalog.table("processed_orders").rows == 2
        assert len(lake.delete(lake.deletable(prefix=PREFIX + "canary-s"), by="me")) == 1
        assert lake.catalog.table("processed_orders").rows == 1
        assert lake.verify().ok


def test_a_deletion_waits_for_no_crawler_of_another_dataset(where: LakeDir) -> None:
    """Beside a busy lake there is always one that crawls, and notes that no crawl has applied yet."""
    orders = where.root / "contracts/sales/orders.odcs.yaml"
    returns = orders.with_name("returns.odcs.yaml")
    returns.write_text(
        orders.read_text().replace("- name: orders", "- name: returns").replace("sales-orders", "sales-returns")
    )
    with where.open() as lake:
        lake.catalog.note_all_changed([("sales/returns", Zone.RAW, "sales/returns/ingest_date=2025-01-01/a.csv")])
        before = len(lake.catalog.crawls())
        lake.delete(lake.deletable([PREFIX + "canary-smith.csv"]), by="me")
        crawled = {crawl.table for crawl in lake.catalog.crawls()[: len(lake.catalog.crawls()) - before]}
        assert crawled == {"raw_orders", "processed_orders"}


def test_a_deletion_that_was_stopped_before_the_rows_left_to_it_were_loaded(
    lake_dir: LakeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = lake_dir("sales")
    contract = where.root / "contracts/sales/orders.odcs.yaml"
    added = "customProperties:\n  - {property: onDuplicateContent, value: skip}\n"
    contract.write_text(contract.read_text().replace("customProperties:\n", added))
    with where.open() as lake:
        for name in ("a.csv", "b.csv"):
            where.land_text(name, KEPT)
            lake.ingest()

        def stopped(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Lake, "_load_again", stopped)
            lake.delete(lake.deletable(prefix=PREFIX + "a"), by="me", keep_key=False)
        lake.delete(lake.deletable(prefix=PREFIX + "a"), by="me", keep_key=False)
        assert rows(lake, ALL) == LEFT
        assert lake.verify().ok


def test_the_command_asks_tells_and_may_be_said_again(where: LakeDir) -> None:
    key = PREFIX + "canary-smith.csv"
    asked = subprocess.run(
        ["lakehead", "delete", key],
        cwd=where.root,
        input="n\n",
        capture_output=True,
        text=True,
        timeout=60,
        env=_path(),
    )
    assert asked.returncode == 130 and "1 objects with 1 rows and 1 quarantined ones" in asked.stderr
    told = json.loads(where.run("delete", key, "--yes", "--reason", "asked", "--by", "me", "--output", "json").stdout)
    assert [(one["key"], one["rows_committed"], one["files"], one["by"]) for one in told] == [(key, 1, 2, "me")]
    assert (where.root / "data" / told[0]["record"]).is_file()
    assert "Nothing left to delete." in where.run("delete", key, "--yes").stdout
    assert "Nothing left to delete." in where.run("delete", "--prefix", PREFIX + "nothing", "--yes").stdout
    unknown = where.run("delete", PREFIX + "nobody.csv", "--yes", check=False)
    assert unknown.returncode == 2 and "nothing is known of this object" in unknown.stderr
    assert where.run("delete", check=False).returncode == 2


def _path() -> dict[str, str]:
    import os
    import sys

    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_beside_a_lake_at_work(where: LakeDir) -> None:
    """Files land, are loaded by `up`, and are deleted, some of them before or while they are loaded."""
    up = where.start_up("--no-console")
    try:
        for number in range(12):
            where.land_text(f"n{number}.csv", HEADER + f"{100 + number},C1,Mouse,1,5,2025-02-01\n", day="2025-02-01")
            if number % 2:
                _until_known(where, f"sales/orders/ingest_date=2025-02-01/n{number - number % 3}.csv")
                where.run("delete", f"sales/orders/ingest_date=2025-02-01/n{number}.csv", "--yes")
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
    with where.open() as lake:
        assert lake.ingest().failed == 0
        kept = [(100 + number, Decimal("5.00")) for number in range(0, 12, 2)]
        assert rows(lake, ALL) == [*LEFT, (7, Decimal("500.00")), *kept]
        assert lake.verify().ok


def _until_known(where: LakeDir, key: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with where.open() as lake:
            if any(event.object.key == key for event in lake.recorded_events()) or not lake.deletable([key])[0].landed:
                return
        time.sleep(0.05)
    raise AssertionError(f"{key} was not seen")
