"""Who listens to a lake hears what this process and others do to it, and `up` does what was asked for meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from support.lakedir import LakeDir
from support.waiting import until

from lakehead.lake import Lake
from lakehead.results import Changed

LakeMaker = Callable[[str], LakeDir]
HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
GOOD = HEADER + "1,C1,Mouse,2,500,2025-01-01\n"
KEY = "sales/orders/ingest_date=2025-01-01/"


@contextmanager
def at_work(lake: Lake) -> Iterator[None]:
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=lake.up, args=(stop,), kwargs={"on_ready": ready.set})
    thread.start()
    try:
        assert ready.wait(60)
        yield
    finally:
        stop.set()
        thread.join(60)


def watching() -> bool:
    return any(thread.name == "lake-changes" for thread in threading.enumerate())


def test_what_another_process_does_is_heard(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", GOOD)
    heard: list[Changed] = []
    with where.open() as lake:
        assert not watching()
        end = lake.on_change(heard.append)
        assert watching()
        where.run("ingest")
        until(lambda: {change.topic for change in heard} == {"runs", "tables", "notifications"})
        assert {(change.dataset, change.name) for change in heard} == {("", "")}, "this process did none of it"
        end()
        end()
        assert not watching(), "nothing is asked while nobody listens"
        lake.on_change(heard.append)
    assert not watching(), "a lake that is closed listens no more"


def test_a_listener_that_fails_keeps_nothing_from_the_others(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", GOOD)
    heard: list[Changed] = []

    def fails(_: Changed) -> None:
        raise ValueError("not today")

    with where.open() as lake:
        first = lake.on_change(fails)
        lake.on_change(heard.append)
        first()
        lake.on_change(fails)
        assert lake.ingest().succeeded == 1
        assert heard


def test_a_listener_may_end_itself(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", GOOD)
    ends: list[Callable[[], None]] = []
    with where.open() as lake:
        ends.append(lake.on_change(lambda _: ends[0]()))
        where.run("ingest")
        until(lambda: not watching())


def test_up_does_at_once_what_is_asked_for(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", GOOD)
    broken = where.land_text("b.csv", "order_id\n1\n")
    with where.open() as lake:
        lake.ingest()
        (failed,) = lake.runs(status="FAILED")
        with at_work(lake):
            assert lake.request_replay(dataset="sales/orders", key=KEY + "a.csv") == 1
            until(lambda: lake.run_counts().get("SUCCEEDED") == 2)
            again = lake.request_redrive(failed.name)
            assert again != failed.name
            until(lambda: lake.journal.find(again) is not None and not lake.journal.describe(again).running)
            assert lake.run(again).summary.status == "FAILED"
            broken.write_text(GOOD, encoding="utf-8")
            until(lambda: lake.run_counts().get("SUCCEEDED") == 3)


def test_what_was_stopped_goes_on_as_itself(lake_dir: LakeMaker) -> None:
    where = lake_dir("sales")
    where.land_text("a.csv", GOOD)
    with where.open() as lake:
        lake.ingest()
        (run,) = lake.runs()
        labels = {"dataset": run.dataset, "key": run.key}
        document, given = lake.run_document(run.name), lake.run(run.name).input
        lake.journal.start_execution("stopped", document, given, labels=labels)
        lake.stop("stopped")
        with at_work(lake):
            assert lake.request_redrive("stopped") == "stopped"
            until(lambda: lake.run("stopped").summary.status == "SUCCEEDED")
