"""The composition root: a configuration becomes a Lake that ingests, queries, replays and verifies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lakehead import inspection
from lakehead.catalog import Catalog
from lakehead.config import LakeConfig
from lakehead.contract import Contract
from lakehead.errors import Busy, LakeheadError, NotFound, NotRedrivable
from lakehead.etl.base import CommitRecord
from lakehead.etl.verify import VerifyReport as Verification
from lakehead.etl.verify import verify
from lakehead.events import DatasetRule, EventStore, ZoneWatcher, dataset_of, reconcile
from lakehead.following import Follower
from lakehead.landing import dataset_named, datasets_named, lake_contracts, put_files
from lakehead.model import Json, ObjectCreated, ObjectVersion, utc_now
from lakehead.notify import Notifier
from lakehead.pipeline import Pipeline, execution_name, load_document
from lakehead.results import (
    CrawlSummary,
    DoctorCheck,
    IngestProgress,
    IngestSummary,
    NamedQuery,
    NotificationSummary,
    QuarantineRow,
    QuarantineSummary,
    RunDetail,
    RunSummary,
    TableDetail,
    TableSummary,
    VerifyReport,
)
from lakehead.running import Work, open_crawlers, worker_lock, working
from lakehead.storage import ObjectStore, layout, open_store
from lakehead.workflow.execution import RUNNING
from lakehead.workflow.journal import Journal

if TYPE_CHECKING:
    from lakehead.query import QueryEngine, QueryResult

FLUSH_SECONDS = 30.0
"""How long a one-shot command waits for its notifications to be delivered before it leaves them to the next one."""

ALL = 1 << 31
IDLE_SECONDS = 1.0
REDRIVE_SECONDS = 3600.0
PRUNE_SECONDS = 3600.0
"""How often `up` forgets executions that are older than the lake keeps them."""


class Lake:
    """One environment of a lake. Open it as a context manager; safe to use from several threads."""

    def __init__(self, config: LakeConfig, store: ObjectStore) -> None:
        self.config = config
        self.store = store
        state = config.state_dir
        self.events = EventStore(state / "events.db")
        self.journal = Journal(state / "workflow.db")
        self.catalog = Catalog(state / "catalog.db", database=config.database)
        self.notifier = Notifier(state / "notify.db", config.notify)

    @classmethod
    def open(cls, config: LakeConfig) -> Lake:
        """The lake of this configuration, its buckets made where they are local and missing.

        Raises ConfigError and StorageUnavailable.
        """
        store = open_store(config.store_address, region=config.region, profile=config.profile)
        for bucket in (config.raw_bucket, config.processed_bucket):
            if config.storage == "local":
                store.create_bucket(bucket)
        return cls(config, store)

    @cached_property
    def contracts(self) -> Mapping[str, Contract]:
        """The contract of every dataset. Read on first use: what only looks needs none. Raises ContractError."""
        return lake_contracts(self.config)

    def __enter__(self) -> Lake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the databases. What is under way goes on when the lake is opened again."""
        for room in (self.notifier, self.catalog, self.journal, self.events):
            room.close()

    # Landing files -----------------------------------------------------------------------------------------------

    def put(
        self,
        files: Sequence[Path],
        *,
        dataset: str | None = None,
        ingest_date: date | None = None,
        progress: Callable[[Path], None] | None = None,
    ) -> list[ObjectVersion]:
        """Copy files into the raw zone, each whole or not at all. A file of the same name and day is replaced.

        Raises UsageError for a dataset or a kind of file that the lake does not know.
        """
        day = ingest_date or utc_now().date()
        return put_files(self.store, self.config.raw_bucket, self._dataset(dataset), day, files, progress)

    def _dataset(self, name: str | None) -> str:
        return dataset_named(self.contracts, name)

    # Loading -----------------------------------------------------------------------------------------------------

    def ingest(
        self, *, progress: Callable[[IngestProgress], None] | None = None, timeout: float | None = None
    ) -> IngestSummary:
        """Load what is new or changed in the raw zone, and return when it is done.

        Where `lakehead up` runs on this lake, that does the work and this waits for it. Raises Busy after `timeout`
        seconds; what was begun goes on with the next command.
        """
        return self._follow(self._discover, progress, timeout)

    def deliver(self, event: Json | ObjectCreated) -> bool:
        """Record an event that came from elsewhere. False where this version was recorded before.

        Raises UsageError for what is no such event, NotFound where no dataset is fed by its object.
        """
        decoded = event if isinstance(event, ObjectCreated) else ObjectCreated.from_eventbridge(event)
        dataset = dataset_of(self._rules, decoded.object.bucket, decoded.object.key)
        if dataset is None:
            raise NotFound("no dataset is fed by this object", bucket=decoded.object.bucket, key=decoded.object.key)
        return self.events.record(decoded, dataset).new

    def recorded_events(self) -> list[ObjectCreated]:
        """Every event that the lake has recorded, oldest first."""
        return [recorded.event for recorded in self.events.all()]

    def replay(
        self,
        *,
        dataset: str | None = None,
        key: str | None = None,
        prefix: str | None = None,
        date: date | None = None,
        progress: Callable[[IngestProgress], None] | None = None,
    ) -> IngestSummary:
        """Load again what is in the raw zone: all of it, a dataset, one key, a prefix of keys, or one ingest date."""

        names = datasets_named(self.contracts, dataset)

        def choose() -> int:
            skipped = self._discover()
            begin = {name: layout.raw_prefix(name, date) if date else prefix for name in names}
            chosen = [self.events.requeue(dataset=name, key=key, prefix=begin[name]) for name in names]
            if key and not any(chosen) and not self._is_open(key):
                raise NotFound("no such object in the raw zone", bucket=self.config.raw_bucket, key=key)
            return skipped

        return self._follow(choose, progress, None)

    def redrive(self, name: str) -> RunSummary:
        """Run a failed execution again, and return when it has ended.

        It goes on where it failed, timed out or was stopped. One that ended in a Fail state, where the shipped workflow
        ends every failure that it told, would only enter that again: then a new execution loads the object.
        """
        execution = self.journal.describe(name)
        if execution.running or execution.status == "SUCCEEDED":
            hint = "Only one that failed can be redriven."
            raise NotRedrivable(f"the execution is {execution.status}", hint=hint, name=name)
        newest = self.journal.history(name, limit=2, newest_first=True)
        if not any(event["type"] == "FailStateEntered" for event in newest):
            with self._working_unless_another_does(self._pipeline()):
                self.journal.redrive(name)
                return inspection.run_summary(self.journal.wait_for(name, REDRIVE_SECONDS))
        dataset, key = execution.labels["dataset"], execution.labels["key"]
        return self.replay(dataset=dataset, key=key).executions[-1]

    def stop(self, name: str, cause: str = "") -> RunSummary:
        """Stop a running execution; it ends as ABORTED. What it had committed stays."""
        return inspection.run_summary(self.journal.stop(name, error="Stopped", cause=cause))

    def up(
        self,
        stop: threading.Event,
        *,
        on_run: Callable[[RunSummary], None] | None = None,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        """Watch the raw zone and load what lands, until `stop` is set. Raises Busy where another `up` runs."""
        pipeline = self._pipeline()
        if on_run:
            pipeline.on_end(lambda execution: on_run(inspection.run_summary(execution)))
        with worker_lock(self.config.state_dir), self._working(pipeline) as work, self._watcher():
            self.prune()
            if on_ready:
                on_ready()
            prune_at = time.monotonic() + PRUNE_SECONDS
            while not stop.is_set():
                work.check()
                if time.monotonic() >= prune_at:
                    self.prune()
                    prune_at += PRUNE_SECONDS
                if self.events.wait_for_pending(IDLE_SECONDS) and not pipeline.dispatch():
                    stop.wait(IDLE_SECONDS)

    def prune(self) -> int:
        """Forget executions that ended longer ago than `retention_days`, with their histories. Returns how many.

        What they loaded stays, and the event store still knows which versions were loaded.
        """
        return self.journal.prune(self.journal.clock() - timedelta(days=self.config.retention_days))

    def _pipeline(self) -> Pipeline:
        return Pipeline(
            self.config,
            self.contracts,
            load_document(self.config),
            events=self.events,
            journal=self.journal,
            catalog=self.catalog,
            notifier=self.notifier,
        )

    @cached_property
    def _rules(self) -> list[DatasetRule]:
        return [DatasetRule(name, self.config.raw_bucket) for name in self.contracts]

    def _discover(self) -> int:
        """List the raw zone and record what is new or changed. Returns how many objects were known already."""
        found = reconcile(
            self.store,
            self.config.raw_bucket,
            self._rules,
            self.events,
            settle_seconds=self.config.complete_seconds,
        )
        return found.listed - len(found.recorded)

    def _watcher(self) -> ZoneWatcher:
        return ZoneWatcher(
            self.store,
            self.config.raw_bucket,
            self._rules,
            self.events,
            settle_seconds=self.config.complete_seconds,
            reconcile_seconds=self.config.reconcile_seconds,
        )

    def _working(self, pipeline: Pipeline) -> AbstractContextManager[Work]:
        return working(
            self.config,
            self.contracts,
            store=self.store,
            catalog=self.catalog,
            journal=self.journal,
            notifier=self.notifier,
            pipeline=pipeline,
        )

    @contextmanager
    def _working_unless_another_does(self, pipeline: Pipeline) -> Iterator[Work | None]:
        """Work for the length of the block, or leave the work to the process that does it already."""
        with ExitStack() as stack:
            try:
                stack.enter_context(worker_lock(self.config.state_dir))
            except Busy:
                yield None
                return
            self.prune()
            yield stack.enter_context(self._working(pipeline))

    def _follow(
        self, choose: Callable[[], int], progress: Callable[[IngestProgress], None] | None, timeout: float | None
    ) -> IngestSummary:
        """Make events pending, and return when their executions have ended. `choose` returns what it left out."""
        started = time.monotonic()
        pipeline = self._pipeline()
        with self._working_unless_another_does(pipeline) as work:
            skipped = choose()
            pending = self.events.pending(limit=ALL)
            names = [execution_name(one.dataset, one.event.object, one.replay) for one in pending]
            names = [*dict.fromkeys([*self.events.started(), *names])]
            follower = Follower(names, progress)
            pipeline.on_end(follower.note)
            pipeline.dispatch()
            follower.wait(self.journal, here=work is not None, timeout=timeout)
            if work is not None:
                self.notifier.flush(FLUSH_SECONDS)
        return follower.summary(skipped=skipped, seconds=time.monotonic() - started)

    def _is_open(self, key: str) -> bool:
        """Whether the object waits for an execution or has one under way."""
        running = self.journal.executions(status=RUNNING, labels={"key": key}, limit=1)
        return bool(running) or any(one.event.object.key == key for one in self.events.pending(limit=ALL))

    # Looking -----------------------------------------------------------------------------------------------------

    def query(self, sql: str) -> QueryResult:
        """Answer Athena SQL over committed files. Raises QueryError."""
        return self._queries.run(sql, timeout_seconds=self.config.query_seconds)

    def named_queries(self) -> list[NamedQuery]:
        """The queries of the lake's `queries/` folder."""
        from lakehead.query import named_queries

        return [NamedQuery(one.name, one.description, one.sql) for one in named_queries(self.config.queries_dir)]

    @cached_property
    def _queries(self) -> QueryEngine:
        from lakehead.query import QueryEngine

        return QueryEngine(
            self.catalog,
            self.store,
            cache_dir=self.config.state_dir / "cache",
            memory_limit=self.config.memory_limit,
            threads=self.config.threads or None,
        )

    def runs(
        self,
        *,
        status: str | None = None,
        dataset: str | None = None,
        key: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[RunSummary]:
        """Executions, newest first; the next page comes `after` the name of the last one."""
        labels = {name: value for name, value in (("dataset", dataset), ("key", key)) if value}
        found = self.journal.executions(status=status, labels=labels, since=since, limit=limit, after=after)
        return [inspection.run_summary(execution) for execution in found]

    def run(self, name: str) -> RunDetail:
        """One execution with its history. Raises ExecutionNotFound."""
        execution = self.journal.describe(name)
        history = tuple(self.journal.history(name))
        return RunDetail(inspection.run_summary(execution), execution.input, execution.output, history)

    def run_document(self, name: str) -> dict[str, Json]:
        """The workflow document that an execution runs. Raises ExecutionNotFound."""
        return self.journal.definition(name)

    def run_logs(self, name: str) -> Iterator[dict[str, Json]]:
        """The log lines of one execution, oldest first. Raises ExecutionNotFound."""
        self.journal.describe(name)
        return inspection.log_lines(self.config.log_file, name)

    def count_runs(self, status: str) -> int:
        """How many executions have this status."""
        return self.journal.count(status)

    def tables(self) -> list[TableSummary]:
        """The catalog's tables."""
        return [inspection.table_summary(table) for table in self.catalog.tables()]

    def table(self, name: str) -> TableDetail:
        """A table with its columns and partitions. Raises TableNotFound."""
        return inspection.table_detail(self.catalog, name)

    def crawl(self, name: str | None = None, *, full: bool = False) -> list[CrawlSummary]:
        """Run one crawler, or all; a full crawl lists everything instead of what was noted as new."""
        crawlers = open_crawlers(self.config, self.contracts, self.store, self.catalog, self.journal)
        names = [name] if name else crawlers.names
        return [inspection.crawl_summary(crawlers.run(one, full=full)) for one in names]

    def commits(self, dataset: str) -> Iterator[CommitRecord]:
        """The commit records of a dataset: what is loaded, by the one truth."""
        return inspection.readable_commits(self.store, self.config.processed_bucket, self._dataset(dataset))

    def quarantine_files(self, *, dataset: str | None = None, limit: int = 50) -> list[QuarantineSummary]:
        """Objects that have quarantined rows, those with most rows first."""
        names = datasets_named(self.contracts, dataset)
        records = (record for name in names for record in self.commits(name))
        return inspection.quarantined(records, limit)

    def quarantine_rows(
        self, *, dataset: str | None = None, key: str | None = None, reason: str | None = None, limit: int = 100
    ) -> list[QuarantineRow]:
        """Quarantined rows, of one object or with one reason where these are given."""
        names = datasets_named(self.contracts, dataset)
        known = {table.name for table in self.catalog.tables()}
        found: list[QuarantineRow] = []
        for name in names:
            table = self.contracts[name].quarantine_table
            if table in known and len(found) < limit:
                sql = inspection.quarantine_sql(table, key, reason, limit - len(found))
                found += [QuarantineRow(name, row[0], row[1], row[2], tuple(row[3])) for row in self.query(sql).rows]
        return found

    def notifications(self, limit: int = 50) -> list[NotificationSummary]:
        """What was announced, newest first, and how far each delivery is."""
        return [inspection.notification(item) for item in self.notifier.feed(limit)]

    def retry_notifications(self) -> int:
        """Send now what is still to be delivered, and what was given up. Returns how many were sent."""
        self.notifier.retry()
        before = self.notifier.counts()["sent"]
        self.notifier.flush(FLUSH_SECONDS)
        return self.notifier.counts()["sent"] - before

    def verify(self, *, repair: bool = False, progress: Callable[[str], None] | None = None) -> VerifyReport:
        """Prove the invariants over the whole lake; with `repair`, mend what a crash left."""
        report = self._verify(repair, progress)
        if repair and report.reload:
            for one in report.reload:
                self.events.requeue(dataset=one.dataset, key=one.key)
            self._follow(self._discover, None, None)
        stale = inspection.stale_tables(self.catalog, self.contracts, self.store, self.config.processed_bucket)
        if repair and (report.findings or stale):
            self.crawl(full=True)
        return inspection.verified(report, stale, repaired=repair)

    def _verify(self, repair: bool, progress: Callable[[str], None] | None) -> Verification:
        return verify(
            contracts=self.contracts,
            raw=self.store,
            processed=self.store,
            raw_bucket=self.config.raw_bucket,
            processed_bucket=self.config.processed_bucket,
            repair=repair,
            progress=progress or (lambda _: None),
        )

    def doctor(self) -> list[DoctorCheck]:
        """Look at the machine and the lake, one thing at a time."""
        wrong = self.notifier.check()
        subscriptions = [
            DoctorCheck(f"notify {one.name}", one.name not in wrong, wrong.get(one.name, "address can be used"))
            for one in self.config.notify
        ]
        return inspection.health(self.config, self.store, [self._look_at_contracts(), *subscriptions])

    def _look_at_contracts(self) -> DoctorCheck:
        try:
            names = ", ".join(sorted(self.contracts))
        except LakeheadError as error:
            return DoctorCheck("contracts", False, str(error), error.hint)
        return DoctorCheck("contracts", True, names)
