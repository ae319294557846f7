"""Lakes to measure: a fresh one, one that holds many objects already, and `lakehead up` at work on it."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psutil

from lakehead.config import LakeConfig, load_config
from lakehead.etl.base import CommitRecord, CommittedFile
from lakehead.etl.record import encode
from lakehead.examples import write_example
from lakehead.lake import Lake
from lakehead.model import ObjectVersion, iso, object_id, utc_now
from lakehead.storage import layout
from lakehead.workflow.journal import Journal, Start

DATASET = "sales/orders"
FIRST_DAY = date(2025, 1, 1)
PRODUCTS = ("Laptop", "Mouse", "Keyboard", "Monitor", "Headset", "Webcam", "Desk lamp", "Docking station")
HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
ENDED = {
    "StartAt": "Done",
    "States": {"Done": {"Type": "Pass", "End": True}},
}


def csv_text(number: int, rows: int) -> str:
    """Orders of one day, 1.3% of them dirty. The same number gives the same text."""
    chance = random.Random(number)
    day = FIRST_DAY + timedelta(number % 365)
    lines = [HEADER]
    for row in range(number * rows, (number + 1) * rows):
        quantity = "abc" if chance.random() < 0.013 else str(1 + row % 20)
        price = f"{chance.randrange(100, 9_999_999) / 100:.2f}"
        lines.append(f"{row + 1},C{row % 100_000:05},{PRODUCTS[row % 8]},{quantity},{price},{day}\n")
    return "".join(lines)


def write_files(folder: Path, count: int, rows: int, *, first: int = 0) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"orders-{number:06}.csv" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        path.write_text(csv_text(number, rows), encoding="utf-8")
    return paths


def new_lake(folder: Path) -> LakeConfig:
    write_example("sales", folder)
    config = load_config(folder)
    with Lake.open(config):
        pass
    return config


def landing_folder(config: LakeConfig) -> Path:
    """Where today's files land."""
    folder = config.root / "data" / config.raw_bucket / layout.raw_prefix(DATASET, utc_now().date())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Up:
    """A `lakehead up` in a process of its own."""

    def __init__(self, config: LakeConfig, *flags: str) -> None:
        command = [sys.executable, "-m", "lakehead", "--lake", str(config.root), "up", *flags]
        self.config = config
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.process = psutil.Process(self._process.pid)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.startswith("Watching"):
                break
        else:
            raise SystemExit("lakehead up did not start")
        # Its stderr must not fill up.
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    def cpu(self) -> float:
        """CPU seconds so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def megabytes(self) -> float:
        return float(self.process.memory_info().rss) / 1e6

    def close(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)


@contextmanager
def up(config: LakeConfig, *flags: str) -> Iterator[Up]:
    running = Up(config, *flags)
    try:
        yield running
    finally:
        running.close()


class Watch:
    """Looks at a lake's databases from outside, cheaply."""

    def __init__(self, config: LakeConfig) -> None:
        state = config.state_dir
        self._catalog, self._notify = (
            sqlite3.connect(f"file:{state / name}?mode=ro", uri=True) for name in ("catalog.db", "notify.db")
        )

    def queryable(self, key: str) -> bool:
        """Whether a query that begins now sees the rows of this landed object."""
        sql = "SELECT 1 FROM files WHERE table_name = 'processed_orders' AND object_id = ?"
        return self._catalog.execute(sql, (object_id(key),)).fetchone() is not None

    def announced(self) -> int:
        return int(self._notify.execute("SELECT count(*) FROM notifications").fetchone()[0])

    def last_number(self) -> int:
        return int(self._notify.execute("SELECT coalesce(max(number), 0) FROM notifications").fetchone()[0])

    def close(self) -> None:
        self._catalog.close()
        self._notify.close()


def wait_until(condition: Any, timeout: float, pause: float) -> None:
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("the lake does not get on")
        time.sleep(pause)


def fill(config: LakeConfig, objects: int, rows: int = 20) -> None:
    """Make the lake hold so many objects that were loaded earlier, as it stands after a year of small files.

    Written straight into the zones and the state files, because loading them takes long: raw objects, data files,
    commit records, events, executions and notifications. Then a full crawl, as after a lost catalog.
    """
    day = date(2024, 12, 31)
    keys = [layout.raw_key(DATASET, day, f"old-{number:06}.csv") for number in range(objects)]
    with Lake.open(config) as lake:
        _fill_zones(lake, keys, rows)
        for one in lake.crawl(full=True):
            assert one.status == "SUCCEEDED", one
        _fill_events(lake)
        _fill_journal(lake.journal, objects)
    _fill_notifications(config.state_dir / "notify.db", objects)


def _templates(folder: Path, rows: int) -> list[bytes]:
    """A data file for each of 365 days."""
    folder.mkdir()
    made = []
    with duckdb.connect() as connection:
        for number in range(365):
            path = folder / f"{number}.parquet"
            connection.execute(
                f"""COPY (SELECT range + {number * rows} AS order_id, 'C' || range % 1000 AS customer_id,
                      {list(PRODUCTS)}[1 + range % 8] AS product, CAST(1 + range % 20 AS INTEGER) AS quantity,
                      CAST(range % 999 + 1 AS DECIMAL(12, 2)) AS price,
                      CAST((1 + range % 20) * (range % 999 + 1) AS DECIMAL(14, 2)) AS total_amount
                    FROM range({rows})) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"""
            )
            made.append(path.read_bytes())
    return made


def _fill_zones(lake: Lake, keys: Sequence[str], rows: int) -> None:
    config, contract = lake.config, lake.contracts[DATASET]
    raw, processed = (config.root / "data" / name for name in (config.raw_bucket, config.processed_bucket))
    templates = _templates(config.state_dir / "templates", rows)
    schema = tuple((one.name, one.type.sql) for one in contract.columns if one.name not in contract.partitions)
    (raw / keys[0]).parent.mkdir(parents=True, exist_ok=True)
    (processed / layout.commit_prefix(DATASET)).mkdir(parents=True, exist_ok=True)
    for number in range(365):
        (processed / DATASET / f"order_date={FIRST_DAY + timedelta(number)}").mkdir(parents=True, exist_ok=True)
    for number, key in enumerate(keys):
        (raw / key).write_text(HEADER + f"{number},C1,Mouse,1,1.00,2025-01-01\n", encoding="utf-8")
        data, identity = templates[number % 365], object_id(key)
        partition = f"order_date={FIRST_DAY + timedelta(number % 365)}"
        file = layout.data_key(DATASET, partition, identity, f"{number:012x}", 0)
        (processed / file).write_bytes(data)
        record = CommitRecord(
            dataset=DATASET,
            object_id=identity,
            source=ObjectVersion(config.raw_bucket, key, etag=f"{number:064x}", size=100, sequencer=f"{number:016x}"),
            content_sha256=f"{number:064x}",
            contract_version=contract.version,
            contract_sha256=contract.sha256,
            engine="duckdb",
            execution=f"old-{number}",
            attempt=f"old-{number}-1",
            committed_at=iso(datetime(2024, 12, 31, tzinfo=UTC)),
            rows_read=rows,
            rows_committed=rows,
            rows_quarantined=0,
            files=(CommittedFile(file, partition, rows, len(data), "0" * 64),),
            quarantine=(),
            schema=schema,
        )
        (processed / layout.commit_key(DATASET, identity)).write_bytes(encode(record))


def _fill_events(lake: Lake) -> None:
    lake._discover()
    with closing(sqlite3.connect(lake.config.state_dir / "events.db")) as connection, connection:
        connection.execute("UPDATE events SET state = 'done', execution = 'old-' || number")


def _fill_journal(journal: Journal, objects: int, at_once: int = 1_000) -> None:
    for first in range(0, objects, at_once):
        journal.start_executions(
            Start(f"old-{number}", ENDED, {"n": number}, {"dataset": DATASET, "key": f"old-{number:06}.csv"})
            for number in range(first, min(first + at_once, objects))
        )


def _fill_notifications(path: Path, objects: int) -> None:
    body, attributes = "x" * 200, json.dumps({"outcome": "success", "dataset": DATASET})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO notifications (message_id, token, topic, subject, body, attributes, published_at)"
            " VALUES (?, ?, 'topic', 'subject', ?, ?, '2024-12-31T00:00:00.000Z')",
            ((f"old-{number}", f"old-{number}", body, attributes) for number in range(objects)),
        )
