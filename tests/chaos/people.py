"""What people do with a lake while things go wrong: query it, run `up`. Called by name in forked processes."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lakehead.config import load_config
from lakehead.lake import Lake
from lakehead.model import Json

SQL = (
    "SELECT CAST(floor(order_id / 1000) AS integer), count(*), sum(quantity), CAST(sum(total_amount) AS varchar)"
    " FROM processed_orders GROUP BY 1 ORDER BY 1"
)
"""A file's order ids share their thousands, so this tells what is there of each file."""

PAUSE = 0.05
UP_SECONDS = 50.0


BY_DAY = (
    "SELECT CAST(order_date AS varchar), count(*), sum(quantity), CAST(sum(total_amount) AS varchar)"
    " FROM processed_orders GROUP BY 1"
)
"""The same for the real sales, where a file holds a day."""


def ask(lake: Lake, sql: str = SQL) -> list[list[Any]]:
    """What the lake holds of each file."""
    if "processed_orders" not in {table.name for table in lake.tables()}:
        return []  # nothing has been loaded yet
    return [list(row) for row in lake.query(sql).rows]


def look(root: str) -> int:
    """Ask once, and print the answer as JSON."""
    with Lake.open(load_config(Path(root))) as lake:
        sys.stdout.write(json.dumps(ask(lake)))
    return 0


def watch(root: str, until: str, sql: str = SQL) -> int:
    """Ask every 50 ms until a file is there; print each row that was not in the answer before, and last a count."""
    before: list[list[Any]] = []
    count = 0
    with Lake.open(load_config(Path(root))) as lake:
        while not Path(until).exists():
            answer, count = ask(lake, sql), count + 1
            for row in answer:
                if row not in before:
                    sys.stdout.write(json.dumps(row) + "\n")
            before = answer
            time.sleep(PAUSE)
    sys.stdout.write(json.dumps(count))
    return 0


def up_until_idle(root: str) -> int:
    """Run `up` until all that has landed is loaded."""
    stop, ready = threading.Event(), threading.Event()
    with Lake.open(load_config(Path(root))) as lake:

        def end() -> None:
            deadline = time.monotonic() + UP_SECONDS
            while not (ready.is_set() and _idle(lake)) and time.monotonic() < deadline:
                time.sleep(PAUSE)
            stop.set()

        ender = threading.Thread(target=end)
        ender.start()
        try:
            lake.up(stop, on_ready=ready.set)
        finally:
            stop.set()
            ready.set()
            ender.join()
    return 0


def _idle(lake: Lake) -> bool:
    seen = {event.object.key for event in lake.recorded_events()}
    landed = {info.key for info in lake.store.list(lake.config.raw_bucket)}
    counts = lake.events.counts()
    return landed <= seen and not counts["pending"] and not counts["started"] and not lake.count_runs("RUNNING")


def deliver(root: str, events: list[Json]) -> int:
    """Hand events to the lake, as a queue would."""
    with Lake.open(load_config(Path(root))) as lake:
        for event in events:
            lake.deliver(event)
    return 0
