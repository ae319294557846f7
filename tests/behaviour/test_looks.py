"""What a lake tells about itself: the values that the console and the command line show."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.lakedir import LakeDir

from lakehead.errors import ExecutionNotFound, NotFound, QueryError, TableNotFound
from lakehead.results import Changed

LakeMaker = Callable[[str], LakeDir]
HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
GOOD = HEADER + "1,C1,Mouse,2,500,2025-01-01\n2,C1,Mouse,1,500,2025-01-02\n"
MIXED = HEADER + "3,C1,Mouse,2,500,2025-01-02\nx,C1,Mouse,1,500,2025-01-02\n4,C1,Mouse,1,-1,2025-01-03\n"
BROKEN = "order_id,customer_id,product\n1,C1,Mouse\n"
KEY = "sales/orders/ingest_date=2025-01-01/"


def test_a_run_in_every_view(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("mixed.csv", MIXED)
    with where.open() as lake:
        lake.ingest()
        (run,) = lake.runs()
        assert lake.run_counts() == {"SUCCEEDED": 1}
        assert lake.runs(until=run.started) == [] and len(lake.runs(since=run.started)) == 1

        graph = lake.run_graph(run.name)
        ids = [node.id for node in graph.nodes]
        assert len(ids) == len(set(ids)) and {"start", "end"} <= set(ids)
        assert all(edge.source in ids and edge.target in ids for edge in graph.edges)
        assert all(node.parent in ("", *ids) for node in graph.nodes)
        by_name = {node.name: node for node in graph.nodes}
        assert by_name["Configure"].status == "SUCCEEDED" and by_name["Configure"].parent == ""
        assert any(node.parent for node in graph.nodes)
        assert any(edge.source == "start" and edge.taken for edge in graph.edges)
        assert any(edge.target == "end" and edge.taken for edge in graph.edges)
        assert any(not edge.taken for edge in graph.edges)

        timeline = lake.run_timeline(run.name)
        assert timeline[0].name in {node.name for node in graph.nodes}
        assert [visit.entered for visit in timeline] == sorted(visit.entered for visit in timeline)
        assert all(visit.exited and visit.exited >= visit.entered for visit in timeline)
        assert {visit.attempts for visit in timeline if visit.type == "Task"} == {1}
        assert {visit.depth for visit in timeline} > {0}

        history = lake.run_history(run.name, limit=5)
        rest = lake.run_history(run.name, after=history[-1]["id"], limit=10_000)
        assert (*history, *rest) == lake.run(run.name).history
        assert list(lake.run_logs(run.name)) == []
        for look in (lake.run_graph, lake.run_timeline, lake.run_history, lake.run_logs):
            with pytest.raises(ExecutionNotFound):
                look("none")


def test_what_was_loaded_of_an_object(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("mixed.csv", MIXED)
    with where.open() as lake:
        lake.ingest()
        (run,) = lake.runs()
        found = lake.loaded("sales/orders", KEY + "mixed.csv")
        assert found is not None and found.execution == run.name
        assert (found.rows_read, found.rows_committed, found.rows_quarantined) == (3, 1, 2)
        assert [(file.partition, file.rows) for file in found.files] == [("order_date=2025-01-02", 1)]
        assert sum(file.rows for file in found.quarantine) == 2 and sum(found.reasons.values()) == 2
        assert lake.loaded("sales/orders", KEY + "none.csv") is None
        with pytest.raises(NotFound):
            lake.loaded("sales/none", KEY)


def test_a_dataset_and_its_tables(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", GOOD)
    where.land_text("mixed.csv", MIXED)
    with where.open() as lake:
        (before,) = lake.datasets()
        assert (before.rows, before.landed, before.loaded, before.waiting) == (0, None, None, 0)
        lake.ingest()
        (summary,) = lake.datasets()
        assert (summary.rows, summary.files, summary.partitions, summary.rows_quarantined) == (3, 3, 2, 2)
        assert summary.landed and summary.loaded == max(run.ended for run in lake.runs() if run.ended)
        assert (summary.waiting, summary.running) == (0, 0)

        detail = lake.dataset("sales/orders")
        assert detail.summary == summary and detail.status == "active" and detail.file.startswith("contracts/")
        columns = {column.name: column for column in detail.columns}
        assert columns["price"].rules == ("at least 0",)
        assert columns["order_date"].partition_key and "written as yyyy-MM-dd" in columns["order_date"].rules
        assert columns["total_amount"].expression == "quantity * price"
        assert columns["customer_id"].rules == ("at most 40 characters long",)
        assert detail.quality == ("rowCount must be less than 100000000",)
        assert detail.settings["onRewrite"] == "replace" and "apiVersion" in detail.document

        first, second = lake.partitions("processed_orders")
        assert (first.values, first.rows, second.rows) == ({"order_date": "2025-01-01"}, 1, 2)
        assert lake.partitions("processed_orders", limit=1) == [first]
        assert lake.partitions("processed_orders", after=first.path) == [second]
        assert lake.partitions("processed_orders", limit=1, newest_first=True) == [second]
        assert lake.partitions("processed_orders", after=second.path, newest_first=True) == [first]
        assert {crawl.table for crawl in lake.crawls()} == {"raw_orders", "processed_orders"}
        assert len(lake.crawls("sales/orders", limit=1)) == 1

        sample = lake.sample("processed_orders", 1)
        assert [name for name, _ in sample.columns][-1] == "order_date" and len(list(sample.rows)) == 1
        for look in (lake.sample, lake.partitions):
            with pytest.raises(TableNotFound):
                look("none")


def test_the_quarantine(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", MIXED)
    where.land_text("b.csv", MIXED + "5,C1,Mouse,1,-2,2025-01-03\n")
    with where.open() as lake:
        lake.ingest()
        most, other = lake.quarantine_reasons("sales/orders")
        assert (most.rows, most.objects, other.rows, other.objects) == (3, 2, 2, 2)
        assert [one.rows for one in lake.quarantine_reasons("sales/orders", KEY + "a.csv")] == [1, 1]
        assert lake.quarantine_reasons("sales/orders", limit=1) == [most]

        b, a = lake.quarantine_files()
        assert (a.key, a.rows, b.key, b.rows) == (KEY + "a.csv", 2, KEY + "b.csv", 3)
        assert lake.quarantine_files(limit=1) == [b] and lake.quarantine_files(after=b.key) == [a]
        assert lake.quarantine_files(reason="none") == [] and len(lake.quarantine_files(reason=other.reason)) == 2

        rows = lake.quarantine_rows()
        assert [(row.key[-5:], row.line) for row in rows] == [
            ("a.csv", 3), ("a.csv", 4), ("b.csv", 3), ("b.csv", 4), ("b.csv", 5),
        ]  # fmt: skip
        assert lake.quarantine_rows(limit=2, offset=1) == rows[1:3]
        assert lake.quarantine_rows(reason=most.reason) == [rows[1], *rows[3:]]
        assert lake.quarantine_rows(key=KEY + "b.csv", reason=most.reason, offset=1) == [rows[4]]


def test_only_files_that_hold_wanted_rows_are_read(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    for name in ("a.csv", "b.csv"):
        where.land_text(name, MIXED)
    with where.open() as lake:
        lake.ingest()
        whole = lake.quarantine_rows()
        found = lake.loaded("sales/orders", KEY + "b.csv")
        assert found is not None
        path = lake.store.local_path(lake.config.processed_bucket, found.quarantine[0].key)
        assert path is not None
        path.write_bytes(b"no parquet")
        assert lake.quarantine_rows(key=KEY + "a.csv") == lake.quarantine_rows(limit=2) == whole[:2]
        assert lake.quarantine_rows(limit=1, offset=1) == whole[1:2]
        with pytest.raises(QueryError):
            lake.quarantine_rows(limit=1, offset=2)
        with pytest.raises(NotFound, match="no page"):
            lake.quarantine_files(after=KEY + "none.csv")


def test_an_overview(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", GOOD)
    where.land_text("mixed.csv", MIXED)
    where.land_text("broken.csv", BROKEN)
    with where.open() as lake:
        assert lake.overview().success_rate is None
        lake.ingest()
        found = lake.overview()
        assert (found.succeeded, found.failed, found.rows_committed, found.rows_quarantined) == (2, 1, 3, 2)
        assert found.success_rate == 2 / 3 and found.complete
        assert found.p50_seconds is not None and found.p95_seconds is not None
        assert found.p50_seconds <= found.p95_seconds
        assert sum(minute.succeeded for minute in found.minutes) == 2
        (failure,) = found.failures
        assert failure.key == KEY + "broken.csv" and failure.cause
        assert len(found.notifications) == 3 and len(found.datasets) == 1


def test_what_is_asked_for_without_waiting(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", GOOD)
    broken = where.land_text("broken.csv", BROKEN)
    with where.open() as lake:
        lake.ingest()
        (failed,) = lake.runs(status="FAILED")
        broken.write_text(GOOD.replace("1,C1", "11,C1").replace("2,C1", "12,C1"), encoding="utf-8")
        again = lake.request_redrive(failed.name)
        assert again != failed.name and lake.request_redrive(failed.name) == again
        lake.ingest()
        assert lake.run(again).summary.status in ("SUCCEEDED", "FAILED")

        assert lake.request_replay(key=KEY + "a.csv") == 1
        assert lake.request_replay(key=KEY + "a.csv") == 0, "it waits already"
        assert lake.datasets()[0].waiting == 1
        with pytest.raises(NotFound):
            lake.request_replay(key=KEY + "none.csv")
        assert lake.ingest().succeeded == 1


def test_listeners_hear_of_runs_tables_and_notifications(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", GOOD)
    heard: list[Changed] = []
    with where.open() as lake:
        end = lake.on_change(heard.append)
        lake.ingest()
        (run,) = lake.runs()
        assert {change.topic for change in heard} == {"runs", "tables", "notifications"}
        assert {change.dataset for change in heard} == {"sales/orders"}
        assert {change.name for change in heard if change.topic == "runs"} == {run.name}
        end()
        count = len(heard)
        lake.replay()
        assert len(heard) == count
