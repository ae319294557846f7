"""Real sales, whole: 305 files, 541,909 rows, revenue exact to the third decimal, whatever happens on the way."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psutil
import pytest
from support.lakedir import EXPECTED, FILES, READ, LakeDir, rows, totals
from support.waiting import until

pytestmark = pytest.mark.shared
LakeMaker = Callable[[str], LakeDir]


def test_every_row_is_accounted_for_and_nothing_changes_afterwards(
    lake_dir: LakeMaker, retail_files: list[Path]
) -> None:
    where = lake_dir("retail")
    for source in retail_files:
        where.land(source)
    with where.open() as lake:
        summary = lake.ingest()
        assert (summary.found, summary.succeeded, summary.failed) == (FILES, FILES, 0)
        assert (summary.rows_read, summary.rows_committed, summary.rows_quarantined) == (
            READ,
            *list(EXPECTED.values())[::2],
        )
        assert totals(lake) == EXPECTED
        assert rows(
            lake,
            "SELECT product, sum(quantity) AS units FROM processed_orders GROUP BY product ORDER BY units DESC LIMIT 1",
        ) == [("WORLD WAR 2 GLIDERS ASSTD DESIGNS", 53_215)]
        ((day, revenue),) = rows(
            lake,
            "SELECT CAST(order_date AS varchar), sum(total_amount) AS revenue FROM processed_orders "
            "GROUP BY 1 ORDER BY revenue DESC LIMIT 1",
        )
        assert (day, revenue.quantize(Decimal("0.01"))) == ("2011-09-20", Decimal("103385.26"))

        notified = len(lake.notifications(limit=1000))
        assert notified == FILES
        again = lake.ingest()
        assert (again.found, again.started) == (0, 0)

        events = [event for event in lake.recorded_events() for _ in range(3)]
        random.Random(7).shuffle(events)
        assert sum(lake.deliver(event) for event in events) == 0
        assert lake.ingest().started == 0
        assert totals(lake) == EXPECTED
        assert len(lake.notifications(limit=1000)) == notified
        assert lake.verify().ok


def finished_runs(where: LakeDir) -> int:
    with where.open() as lake:
        return lake.count_runs("SUCCEEDED")


def test_a_burst_while_up_runs_shares_crawls_and_keeps_memory_low(
    lake_dir: LakeMaker, retail_files: list[Path]
) -> None:
    where = lake_dir("retail")
    daemon = where.start_up()
    try:
        for source in retail_files:
            where.land(source)
        peak = 0

        def done() -> bool:
            nonlocal peak
            peak = max(peak, psutil.Process(daemon.pid).memory_info().rss)
            assert daemon.poll() is None, (where.root / "up.stderr").read_text()
            return finished_runs(where) >= FILES

        until(done, seconds=180, pause=0.1)
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0
    with where.open() as lake:
        assert totals(lake) == EXPECTED
        assert lake.count_runs("FAILED") == 0
        assert len(lake.notifications(limit=1000)) == FILES
        for crawler in ("dev-sales-orders-raw", "dev-sales-orders-processed"):
            assert 0 < len(lake.catalog.crawls(crawler, limit=FILES)) < FILES / 3
        assert lake.verify().ok
    assert peak < 1_000_000_000


def test_killed_twenty_times_in_the_burst_it_ends_the_same(lake_dir: LakeMaker, retail_files: list[Path]) -> None:
    where = lake_dir("retail")
    for source in retail_files:
        where.land(source)
    dice, pause, killed, midway = random.Random(20), threading.Event(), 0, 0
    for _ in range(20):
        daemon = where.start_up()
        pause.wait(dice.uniform(0.7, 2.2))
        daemon.kill()
        killed += daemon.wait(30) == -9
        with where.open() as lake:
            midway += lake.count_runs("RUNNING") > 0
    assert killed == 20
    assert midway > 3, "the kills came before or after the work"
    where.run("ingest")
    with where.open() as lake:
        assert totals(lake) == EXPECTED
        assert lake.count_runs("FAILED") == 0
        assert len(lake.notifications(limit=1000)) == FILES
        assert lake.verify().ok
