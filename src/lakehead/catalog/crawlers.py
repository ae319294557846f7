"""Crawlers with Glue's behaviour: READY, RUNNING or STOPPING, one run at a time, and a LastCrawl that tells the end.

A crawler runs while somebody holds its lock file. The operating system lets go of the lock of a process that dies, so
no crawler stays RUNNING for ever, and no state has to be mended after a crash.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from lakehead.catalog.catalog import Catalog, crawl_of
from lakehead.catalog.changes import apply_changes
from lakehead.catalog.crawl import Cancelled, Look
from lakehead.catalog.targets import CrawlTarget
from lakehead.catalog.types import Crawl, CrawlReport
from lakehead.errors import Busy, CrawlerNotFound, CrawlerRunning, LakeheadError, StorageUnavailable, UsageError
from lakehead.locks import is_held
from lakehead.model import Json, Zone, iso, utc_now
from lakehead.private import make_folder
from lakehead.storage.base import ObjectStore

log = logging.getLogger(__name__)

MIN_INTERVAL = 0.2
_KEPT_CRAWLS = 1000
_PROBE_SECONDS = 0.05
_POLL_SECONDS = 0.05


@dataclass(slots=True)
class _Run:
    """A crawl that goes on in this process."""

    target: CrawlTarget
    full: bool
    lock: FileLock
    interval: float
    stop: threading.Event = field(default_factory=threading.Event)
    done: Future[Crawl] = field(default_factory=Future)
    told: dict[str, Json] | None = None

    def goes_on(self) -> None:
        if self.stop.is_set():
            raise Cancelled


class Crawlers:
    """The crawlers of a lake. Safe from several threads and processes.

    A crawl begins at once, unless the one before it began less than `min_interval` seconds ago (a number, or what
    tells one when a crawl is started): then it waits until that has passed, and only then looks. So in a burst one
    crawl serves many, and its StartTime tells truly from when on everything noted before is in it. That is told by
    `clock`, in UTC, as are the moments that it is compared with.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: ObjectStore,
        targets: Iterable[CrawlTarget],
        *,
        min_interval: float | Callable[[], float] = MIN_INTERVAL,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._catalog, self._store, self._clock = catalog, store, clock
        self._min_interval = min_interval if callable(min_interval) else lambda: min_interval
        self._targets = {target.crawler: target for target in targets}
        self._datasets = tuple({target.dataset for target in self._targets.values()})
        self._locks = catalog.path.parent / "locks"
        make_folder(self._locks)
        self._guard = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._began: dict[str, float] = {}
        self._unstored: dict[str, Crawl] = {}

    @property
    def names(self) -> list[str]:
        """All crawlers."""
        return list(self._targets)

    def outdated(self) -> list[str]:
        """The crawlers whose next crawl is a full one, whoever starts it: the catalog is of an older Lakehead."""
        with self._catalog.snapshot() as seen:
            tables = seen.outdated()
        return [name for name, target in self._targets.items() if target.table in tables]

    def catch_up(self, *names: str, hint: str = "Try again with: lakehead catalog crawl --full") -> None:
        """Run these crawlers; those that are `outdated` where none is named. Raises Busy, StorageUnavailable."""
        for name in names or self.outdated():
            crawl = self.run(name)
            if crawl.status != "SUCCEEDED":
                message = f"the catalog cannot be brought up to date: {crawl.error or crawl.status}"
                raise StorageUnavailable(message, hint=hint, crawler=name)

    def start(self, name: str, *, full: bool = False) -> None:
        """Begin a crawl and return. Raises CrawlerRunning and CrawlerNotFound."""
        self._start(name, full=full)

    def run(self, name: str, *, full: bool = False, timeout_seconds: float = 3600) -> Crawl:
        """Crawl and return how it ended; a crawl that goes on is waited for first. Raises Busy after the time."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                return self._start(name, full=full).result(max(0.0, deadline - time.monotonic()))
            except CrawlerRunning:
                try:
                    self.wait(name).result(max(0.0, deadline - time.monotonic()))
                except TimeoutError as error:
                    raise Busy("the crawler is still running", crawler=name) from error
            except TimeoutError as error:
                raise Busy("the crawl takes longer than that", crawler=name, seconds=timeout_seconds) from error

    def stop(self, name: str) -> None:
        """Ask the running crawl to end as CANCELLED. Raises UsageError where this process runs none."""
        self._target(name)
        with self._guard:
            run = self._runs.get(name)
        if run is None:
            raise UsageError("the crawler is not running here", crawler=name)
        run.stop.set()

    def wait(self, name: str) -> Future[dict[str, Json]]:
        """What `get` tells when the crawler is next READY: at once, if it is. Not to be changed: many may share it."""
        self._target(name)
        ready: Future[dict[str, Json]] = Future()
        with self._guard:
            run = self._runs.get(name)
        if run is not None:
            run.done.add_done_callback(lambda _: self._tell(run, ready))
            return ready
        described = self.get(name)
        if described["Crawler"]["State"] == "READY":
            ready.set_result(described)
        else:
            threading.Thread(target=self._watch, args=(name, ready), daemon=True).start()
        return ready

    def get(self, name: str) -> dict[str, Json]:
        """The crawler as a workflow's GetCrawler answers it: `{"Crawler": {"Name", "State", "LastCrawl", ...}}`.

        LastCrawl is absent before the first crawl. Its StartTime is the moment the listing began, cut to milliseconds,
        less one: so `StartTime >= t` proves that the crawl began after `t`, for a `t` in milliseconds. A crawl that
        began later than now, by a clock that was set back since, proves nothing and is left out.
        """
        target = self._target(name)
        with self._guard:
            state, last = self._state(name), self._last(name)
        return self._described(target, state, last)

    def _described(self, target: CrawlTarget, state: str, last: Crawl | None) -> dict[str, Json]:
        zone = target.contract.raw_table_prefix if target.zone is Zone.RAW else target.contract.processed_table_prefix
        described: dict[str, Json] = {
            "Name": target.crawler,
            "State": state,
            "DatabaseName": self._catalog.database,
            "TablePrefix": zone,
            "Targets": {"S3Targets": [{"Path": f"s3://{target.bucket}/{target.prefix}", "Exclusions": ["_*/**"]}]},
            "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVENT_MODE"},
            "SchemaChangePolicy": {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DELETE_FROM_DATABASE"},
        }
        if last is not None and last.started <= self._clock():
            told = {"Status": last.status, "StartTime": iso(last.started - timedelta(milliseconds=1))}
            described["LastCrawl"] = {**told, "ErrorMessage": last.error} if last.error else told
        return {"Crawler": described}

    def close(self, timeout_seconds: float = 30) -> None:
        """Stop what runs here and wait for its end."""
        with self._guard:
            runs = list(self._runs.values())
        for run in runs:
            run.stop.set()
        for run in runs:
            run.done.result(timeout_seconds)

    def _target(self, name: str) -> CrawlTarget:
        if name not in self._targets:
            raise CrawlerNotFound(
                f'no crawler is named "{name}"', hint=f"The crawlers are {', '.join(self._targets)}.", crawler=name
            )
        return self._targets[name]

    def _lock_file(self, name: str) -> Path:
        return self._locks / f"crawl-{re.sub(r'[^0-9A-Za-z_-]+', '-', name)}.lock"

    def _state(self, name: str) -> str:
        run = self._runs.get(name)
        if run is not None:
            return "STOPPING" if run.stop.is_set() else "RUNNING"
        return "RUNNING" if is_held(self._lock_file(name)) else "READY"

    def _last(self, name: str) -> Crawl | None:
        stored = next(iter(self._catalog.crawls(name, 1)), None)
        unstored = self._unstored.get(name)
        return max((one for one in (stored, unstored) if one), key=lambda one: one.started, default=None)

    def _tell(self, run: _Run, ready: Future[dict[str, Json]]) -> None:
        """Tell one who waited for a crawl of this process how it ended; described once for all who did."""
        try:
            if run.told is None:
                run.told = self._described(run.target, "READY", run.done.result())
            ready.set_result(run.told)
        except BaseException as error:  # whatever ended the crawl: who waits has to be told
            ready.set_exception(error)

    def _watch(self, name: str, ready: Future[dict[str, Json]]) -> None:
        pause = threading.Event()
        try:
            while is_held(self._lock_file(name)):
                pause.wait(_POLL_SECONDS)
            ready.set_result(self.get(name))
        except BaseException as error:
            ready.set_exception(error)

    def _start(self, name: str, *, full: bool) -> Future[Crawl]:
        target, interval = self._target(name), self._min_interval()
        with self._guard:
            if name in self._runs:
                raise CrawlerRunning(f'the crawler "{name}" runs already', crawler=name)
            lock = FileLock(self._lock_file(name), thread_local=False)
            try:
                # Another process may only be looking whether the lock is free.
                lock.acquire(timeout=_PROBE_SECONDS, poll_interval=0.005)
            except Timeout as error:
                raise CrawlerRunning(f'the crawler "{name}" runs already in another process', crawler=name) from error
            run = self._runs[name] = _Run(target, full, lock, interval)
        threading.Thread(target=self._carry_out, args=(run,), name=f"crawl-{name}", daemon=True).start()
        return run.done

    def _carry_out(self, run: _Run) -> None:
        """The crawl's own thread: whatever happens, the lock is let go and everyone who waits is told."""
        name = run.target.crawler
        earliest = self._began.get(name, float("-inf")) + run.interval
        run.stop.wait(max(0.0, min(run.interval, earliest - time.monotonic())))
        self._began[name] = time.monotonic()
        try:
            crawl = self._crawl(run, self._clock())
        except BaseException as error:
            self._let_go(run)
            run.done.set_exception(error)
            raise
        self._let_go(run)
        run.done.set_result(crawl)
        self._catalog.tell(run.target.dataset, run.target.table)

    def _let_go(self, run: _Run) -> None:
        with self._guard:
            run.lock.release()
            del self._runs[run.target.crawler]

    def _crawl(self, run: _Run, started: datetime) -> Crawl:
        # Cut to what is stored, so that a crawl reads back as it was.
        started = started.replace(microsecond=started.microsecond // 1000 * 1000)
        try:
            return self._look_and_apply(run, started)
        except Cancelled:
            return self._ended(run, started, "CANCELLED", "")
        except LakeheadError as error:
            log.warning("crawl %s failed: %s", run.target.crawler, error)
            return self._ended(run, started, "FAILED", str(error))
        except Exception as error:
            log.exception("crawl %s failed", run.target.crawler)
            return self._ended(run, started, "FAILED", f"{type(error).__name__}: {error}")

    def _look_and_apply(self, run: _Run, started: datetime) -> Crawl:
        target = run.target
        notes = self._catalog.pending(target.dataset, target.zone)
        run.full = run.full or run.target.crawler in self.outdated()
        look = Look(
            target=target,
            store=self._store,
            datasets=self._datasets,
            keys=None if run.full else tuple(note.key for note in notes),
            known=self._catalog.versions(target.table) if target.zone is Zone.RAW and run.full else {},
            goes_on=run.goes_on,
        )
        changes = look.changes()
        run.goes_on()
        with self._catalog.write() as connection:
            now = utc_now()
            report = apply_changes(connection, changes, now)
            connection.executemany("DELETE FROM notes WHERE id=?", [(note.id,) for note in notes])
            names = [(spec.name,) for spec in changes.tables]
            if run.full:
                connection.execute("DELETE FROM outdated WHERE table_name=?", (target.table,))
            connection.executemany("UPDATE tables SET crawls = crawls + 1 WHERE name=?", names)
            return self._store_crawl(connection, run, started, "SUCCEEDED", report, "")

    def _ended(self, run: _Run, started: datetime, status: str, error: str) -> Crawl:
        try:
            with self._catalog.write() as connection:
                return self._store_crawl(connection, run, started, status, CrawlReport(), error)
        except LakeheadError as why:
            # The catalog cannot be written, and that is what people have to be told: keep it here.
            log.error("the end of crawl %s cannot be stored: %s", run.target.crawler, why)
            name = run.target.crawler
            crawl = Crawl(0, name, run.target.table, status, run.full, started, self._clock(), CrawlReport(), error)
            self._unstored[name] = crawl
            return crawl

    def _store_crawl(
        self, connection: sqlite3.Connection, run: _Run, started: datetime, status: str, report: CrawlReport, error: str
    ) -> Crawl:
        name, ended = run.target.crawler, self._clock()
        values = (name, run.target.table, status, int(run.full), iso(started), iso(ended))
        row = connection.execute(
            "INSERT INTO crawls (crawler, table_name, status, full, started, ended, report, error)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
            (*values, json.dumps(asdict(report)), error),
        ).fetchone()
        connection.execute("DELETE FROM crawls WHERE crawler=? AND id <= ? - ?", (name, row["id"], _KEPT_CRAWLS))
        return crawl_of(row)
