"""A big lake for the console's benchmark, made in minutes.

A few files are loaded for real. The many others are copies of what that made: Parquet files and commit records with
names of their own, and executions with their whole histories, moved to other times. Then the real crawlers list it all.
Most executions are of a shorter document than the shipped one: 100,000 histories of that would be 15 GB.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from lakehead.config import load_config
from lakehead.etl.base import CommitRecord
from lakehead.etl.commit import read_commit
from lakehead.etl.record import encode
from lakehead.examples import write_example
from lakehead.lake import Lake
from lakehead.model import ObjectCreated, ObjectVersion, object_id
from lakehead.pipeline import execution_name, topic_arn
from lakehead.storage import layout
from lakehead.workflow.execution import micros, position

DATASET = "sales/orders"
HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
DONE = "benchmark.json"
CLEAN_ROWS = 20
SPAN = timedelta(days=30)
BATCH = 2_000
LOG_FILES = 6
SHORT: dict[str, Any] = {
    "StartAt": "Readable",
    "States": {
        "Readable": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.detail.reason", "StringEquals": "Broken", "Next": "Refused"}],
            "Default": "Loaded",
        },
        "Loaded": {
            "Type": "Pass",
            "Result": {"rows_read": CLEAN_ROWS, "rows_committed": CLEAN_ROWS, "rows_quarantined": 0},
            "End": True,
        },
        "Refused": {"Type": "Fail", "Error": "Lakehead.HeaderMismatch", "Cause": "the header misses order_id"},
    },
}
"""The document of most executions: what it does takes no task."""


@dataclass(frozen=True)
class Size:
    """How much the lake holds. There is one object, and one file, for each partition."""

    executions: int = 100_000
    partitions: int = 10_000
    quarantined_rows: int = 1_000_000
    quarantined_objects: int = 2_000
    log_bytes: int = 200 << 20
    whole_histories: int = 20_000

    @property
    def rows_each(self) -> int:
        """Quarantined rows of each object that has some."""
        return self.quarantined_rows // self.quarantined_objects


def ensure(root: Path, size: Size) -> None:
    """Make the lake at `root`, unless one of this size is there."""
    told = {"size": vars(size), "made": datetime.now(UTC).isoformat()}
    if (root / DONE).is_file() and json.loads((root / DONE).read_text())["size"] == vars(size):
        return
    if root.exists() and any(root.iterdir()) and not (root / DONE).is_file():
        raise SystemExit(f"{root} holds something else; name another folder")
    shutil.rmtree(root, ignore_errors=True)
    started = time.monotonic()
    root.mkdir(parents=True)
    (root / DONE).write_text("{}")
    write_example("sales", root / "lake")
    _Maker(root / "lake", size).make()
    (root / DONE).write_text(json.dumps({**told, "seconds": round(time.monotonic() - started)}))
    print(f"made a lake at {root} in {time.monotonic() - started:.0f} s")


@dataclass(frozen=True)
class Template:
    """An execution that ran for real, and what is its own in its texts."""

    row: Mapping[str, Any]
    history: tuple[tuple[int, str], ...]
    state: str | None
    minute: str
    version: ObjectVersion

    def moved(self, version: ObjectVersion, name: str, to: datetime) -> Clone:
        """The same, of another object at another time."""
        mine = self.version
        swaps = (
            (self.minute, to.strftime("%Y-%m-%dT%H:%M:")),
            (self.row["name"], name),
            (mine.key, version.key),
            (mine.id, version.id),
            (mine.etag, version.etag),
            (mine.sequencer, version.sequencer),
        )
        began = datetime.fromisoformat(f"{self.minute}00+00:00")
        shift = micros(to.replace(second=0, microsecond=0)) - micros(began)
        return Clone(self, name, version, swaps, shift)


@dataclass(frozen=True)
class Clone:
    """An execution that is made of a template."""

    template: Template
    name: str
    version: ObjectVersion
    swaps: tuple[tuple[str, str], ...]
    shift: int

    def text(self, written: str | None) -> str | None:
        """A text of the template in which the names and times are this one's."""
        if written is None:
            return None
        for old, new in self.swaps:
            written = written.replace(old, new)
        return written


class _Maker:
    def __init__(self, root: Path, size: Size) -> None:
        self.root, self.size = root, size
        self.config = load_config(root, env="dev")
        self.now = datetime.now(UTC)
        self.objects = [
            f"{DATASET}/ingest_date={date(2025, 1, 1) + timedelta(days=n % 365)}/orders-{n:06}.csv"
            for n in range(size.partitions)
        ]

    def make(self) -> None:
        for step in (self.templates, self.copies, self.executions, self.notifications, self.logs, self.crawl):
            started = time.monotonic()
            step()
            print(f"  {step.__name__:<14} {time.monotonic() - started:6.1f} s", flush=True)

    # What runs for real

    def templates(self) -> None:
        """Load one file of each kind, all within one minute of the clock."""
        raw = self.config.storage_path / self.config.raw_bucket / DATASET / "ingest_date=2024-12-31"
        raw.mkdir(parents=True)
        texts = {"clean": self._text(0), "mixed": self._text(self.size.rows_each), "broken": "a,b\n1,2\n"}
        for name, text in texts.items():
            (raw / f"{name}.csv").write_text(text)
        time.sleep(max(0.0, 61.0 - time.time() % 60) if time.time() % 60 > 40 else 0.0)
        with Lake.open(self.config) as lake:
            lake.ingest()
            versions = {name: _newest(lake, self._key(name)) for name in texts}
            for name in ("clean", "broken"):
                versions[f"short-{name}"] = self._run_short(lake, name, versions[name])
            self.kinds = {name: self._template(lake, version) for name, version in versions.items()}
            store, bucket = lake.store, self.config.processed_bucket
            self.records = {
                name: read_commit(store, bucket, DATASET, object_id(self._key(name))) for name in ("clean", "mixed")
            }

    def _run_short(self, lake: Lake, name: str, like: ObjectVersion) -> ObjectVersion:
        version = replace(like, key=self._key(f"short-{name}"))
        given = ObjectCreated.of(version).to_eventbridge()
        given["detail"]["reason"] = "Broken" if name == "broken" else "PutObject"
        labels = {"dataset": DATASET, "key": version.key}
        lake.journal.start_execution(f"sales-orders-short-{name}", SHORT, given, labels=labels)
        return version

    def _text(self, bad: int) -> str:
        rows = [f"{n},C{n % 50},Mouse,{1 + n % 9},5.00,2000-01-01\n" for n in range(CLEAN_ROWS)]
        broken = (
            ",C1,Mouse,1,5.00,2000-01-01\n",
            "1,C1,Mouse,1,-5.00,2000-01-01\n",
            "1,C1,Mouse,one,5.00,2000-01-01\n",
            "1,C1,Mouse,1,5.00,1999-01-01\n",
            "1,,Mouse,1,five,2000-01-01\n",
        )
        return HEADER + "".join(rows) + "".join(broken[n % len(broken)] for n in range(bad))

    def _key(self, name: str) -> str:
        return f"{DATASET}/ingest_date=2024-12-31/{name}.csv"

    def _template(self, lake: Lake, version: ObjectVersion) -> Template:
        (run,) = lake.runs(key=version.key)
        connection = sqlite3.connect(lake.journal.database.path)
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("SELECT * FROM executions WHERE name = ?", (run.name,)).fetchone())
        bounds = position(row["number"], 0), position(row["number"] + 1, 0)
        found = connection.execute("SELECT * FROM history WHERE position > ? AND position < ?", bounds).fetchall()
        state = connection.execute("SELECT state FROM states WHERE execution = ?", (row["number"],)).fetchone()
        connection.close()
        steps = tuple((one["position"] & 0xFFFFF, one["events"]) for one in found)
        minute = run.started.strftime("%Y-%m-%dT%H:%M:")
        return Template(row, steps, state and state["state"], minute, version)

    # Files and commit records

    def copies(self) -> None:
        """A raw file, a Parquet file and a commit record for each object, and quarantine files for some."""
        raw = self.config.storage_path / self.config.raw_bucket
        processed = self.config.storage_path / self.config.processed_bucket
        self.versions: list[ObjectVersion] = []
        for number, key in enumerate(self.objects):
            kind = self._kind(number)
            record = self.records[kind]
            assert record is not None
            day = date(2000, 1, 1) + timedelta(days=number)
            data = self._text(self.size.rows_each if kind == "mixed" else 0).replace("2000-01-01", day.isoformat())
            _write(raw / key, data.encode())
            etag = hashlib.sha256(data.encode()).hexdigest()
            version = ObjectVersion(self.config.raw_bucket, key, etag, len(data), f"{number + 1:016x}")
            self.versions.append(version)
            self._copy(record, version, day, processed)

    def _kind(self, number: int) -> str:
        return "mixed" if number < self.size.quarantined_objects else "clean"

    def _copy(self, record: CommitRecord, version: ObjectVersion, day: date, bucket: Path) -> None:
        mark = layout.version_digest(version.etag, str(day))
        partition = f"order_date={day}"
        data = layout.data_key(DATASET, partition, version.id, mark, 0)
        _write(bucket / data, (bucket / record.files[0].key).read_bytes())
        files = (replace(record.files[0], key=data, partition=partition),)
        quarantine = ()
        if record.quarantine:
            key = f"{layout.quarantine_prefix(DATASET)}{version.id[:20]}-{mark}.parquet"
            quarantine = (
                replace(record.quarantine[0], key=key, bytes=self._quarantine(record, version, bucket / key)),
            )
        ended = self.now - SPAN * (1 - (len(self.versions) - 1) / self.size.partitions)
        made = replace(
            record,
            object_id=version.id,
            source=version,
            content_sha256=version.etag,
            execution=execution_name(DATASET, version),
            committed_at=ended.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            files=files,
            quarantine=quarantine,
        )
        _write(bucket / layout.commit_key(DATASET, version.id), encode(made))

    def _quarantine(self, record: CommitRecord, version: ObjectVersion, target: Path) -> int:
        target.parent.mkdir(parents=True, exist_ok=True)
        source = self.config.storage_path / self.config.processed_bucket / record.quarantine[0].key
        if not hasattr(self, "_duckdb"):
            self._duckdb = duckdb.connect(config={"threads": 1})
            self._duckdb.execute(f"CREATE TABLE bad AS FROM '{source}'")
        self._duckdb.execute(
            f"COPY (SELECT * REPLACE ('{version.key}' AS source_key, '{version.etag}' AS source_etag) FROM bad)"
            f" TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )
        return target.stat().st_size

    # Executions, with events and histories

    def executions(self) -> None:
        """The newest executions loaded the objects as they are; the older ones loaded earlier versions, or failed."""
        journal = sqlite3.connect(self.config.state_dir / "workflow.db", isolation_level=None)
        events = sqlite3.connect(self.config.state_dir / "events.db", isolation_level=None)
        for connection in (journal, events):
            for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-200000"):
                connection.execute(f"PRAGMA {pragma}")
        clones = self._clones()
        number = journal.execute("SELECT max(number) FROM executions").fetchone()[0]
        while batch := list(islice(clones, BATCH)):
            for connection in (journal, events):
                connection.execute("BEGIN")
            for clone in batch:
                number += 1
                _insert_execution(journal, number, clone)
                _insert_event(events, clone)
            for connection in (journal, events):
                connection.execute("COMMIT")
        events.executemany(
            "INSERT INTO objects (bucket, key, etag, sequencer, fingerprint) VALUES (?, ?, ?, ?, '')",
            [(one.bucket, one.key, one.etag, one.sequencer) for one in self.versions],
        )
        for connection in (journal, events):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.close()

    def _clones(self) -> Iterator[Clone]:
        count, objects = self.size.executions, len(self.versions)
        for number in range(count):
            version = self.versions[number % objects]
            kind = self._kind(number % objects)
            if number < count - objects:
                etag = hashlib.sha256(f"{number}".encode()).hexdigest()
                version = replace(version, etag=etag, sequencer=f"{1 + number // objects:08x}")
                kind = "broken" if number % 19 == 0 else kind
            else:
                version = replace(version, sequencer=f"{1 + number // objects:08x}{version.sequencer[-8:]}")
            kind = kind if count - number <= self.size.whole_histories else f"short-{kind.replace('mixed', 'clean')}"
            to = self.now - SPAN * (1 - (number + 1) / count) - timedelta(minutes=1)
            yield self.kinds[kind].moved(version, execution_name(DATASET, version), to)

    def notifications(self) -> None:
        """One for each of the executions."""
        connection = sqlite3.connect(self.config.state_dir / "notify.db", isolation_level=None)
        connection.execute("PRAGMA synchronous=OFF")
        topic = topic_arn("dev")
        connection.execute("BEGIN")
        for number in range(self.size.executions):
            at = self.now - SPAN * (1 - (number + 1) / self.size.executions)
            subject = f"[dev] {DATASET}: orders-{number % self.size.partitions:06}.csv can be queried"
            attributes = {"outcome": "success", "dataset": DATASET, "execution": f"run-{number}"}
            connection.execute(
                "INSERT INTO notifications (message_id, token, topic, subject, body, attributes, published_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (f"m{number}", f"t{number}", topic, subject, subject, json.dumps(attributes), at.isoformat()),
            )
        connection.execute("COMMIT")
        connection.close()

    def logs(self) -> None:
        """Lines in the shape of the log, over the files of a rotation."""
        log = self.config.log_file
        log.parent.mkdir(parents=True, exist_ok=True)
        count, clones = self.size.executions, self._clones()
        each, wanted = count // LOG_FILES + 1, self.size.log_bytes // count
        for file in range(LOG_FILES - 1, -1, -1):
            path = log.with_name(f"{log.name}.{file}") if file else log
            with path.open("w", encoding="utf-8") as lines:
                for clone in islice(clones, each):
                    line = _log_line(clone)
                    lines.write(line * (wanted // len(line)))
                    last = clone
            # As if it had been written then: searches pass over files that are too old.
            at = (last.template.row["ended"] + last.shift) / 1e6
            os.utime(path, (at, at))

    def crawl(self) -> None:
        """Both crawlers list everything."""
        with Lake.open(self.config) as lake:
            for crawl in lake.crawl(full=True):
                if crawl.status != "SUCCEEDED":
                    raise SystemExit(f"a crawl failed: {crawl.error}")


def _newest(lake: Lake, key: str) -> ObjectVersion:
    event = lake.events.newest(lake.config.raw_bucket, key)
    assert event is not None
    return event.event.object


def _insert_execution(connection: sqlite3.Connection, number: int, clone: Clone) -> None:
    row = clone.template.row
    labels = {"dataset": DATASET, "key": clone.version.key}
    created = row["created"] + clone.shift
    connection.execute(
        "INSERT INTO executions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        (
            number,
            clone.name,
            row["machine"],
            row["definition"],
            row["status"],
            *(clone.text(row[name]) for name in ("input", "output", "error", "cause")),
            json.dumps(labels),
            created,
            row["ended"] + clone.shift,
        ),
    )
    connection.executemany(
        "INSERT INTO labels VALUES (?, ?, ?, ?, ?)",
        [(number, name, value, row["status"], created) for name, value in labels.items()],
    )
    connection.executemany(
        "INSERT INTO history VALUES (?, ?)",
        [(position(number, last), clone.text(text)) for last, text in clone.template.history],
    )
    if clone.template.state is not None:
        state = clone.text(clone.template.state)
        connection.execute("INSERT INTO states VALUES (?, ?, ?)", (number, state, row["ended"] + clone.shift))


def _insert_event(connection: sqlite3.Connection, clone: Clone) -> None:
    from lakehead.events.schema import INSERT_EVENT, to_row

    state = "done" if clone.template.row["status"] == "SUCCEEDED" else "failed"
    at = datetime.fromtimestamp((clone.template.row["created"] + clone.shift) / 1e6, UTC)
    event = ObjectCreated.of(clone.version, time=at)
    connection.execute(INSERT_EVENT, to_row(event, DATASET, state, 0, at)).fetchone()
    connection.execute(
        "UPDATE events SET execution = ? WHERE number = last_insert_rowid()",
        (clone.name,),
    )


def _log_line(clone: Clone) -> str:
    at = datetime.fromtimestamp((clone.template.row["created"] + clone.shift) / 1e6, UTC)
    fields = {
        "level": "INFO",
        "logger": "lakehead.etl.commit",
        "message": f"committed: {CLEAN_ROWS} rows committed, 0 quarantined",
        "execution": clone.name,
        "object": str(clone.version),
        "dataset": DATASET,
        "timestamp": at.isoformat(timespec="milliseconds"),
    }
    return json.dumps(fields) + "\n"


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
