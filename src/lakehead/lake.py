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

from lakehead import replays
from lakehead.asking import look_at_sandbox, open_query_engine
from lakehead.catalog import Catalog
from lakehead.config import LakeConfig
from lakehead.contract import Contract
from lakehead.errors import Busy, LakeheadError, NotFound
from lakehead.etl.base import CommitRecord
from lakehead.etl.verify import VerifyReport as Verification
from lakehead.etl.verify import verify
from lakehead.events import DatasetRule, EventStore, ZoneWatcher, dataset_of, reconcile
from lakehead.following import Follower
from lakehead.inspection import datasets, loads, overview, proof, quarantine, runs, tables
from lakehead.inspection.changes import Changes
from lakehead.inspection.health import health
from lakehead.inspection.loglines import log_lines
from lakehead.inspection.notices import notification
from lakehead.landing import dataset_named, datasets_named, lake_contracts, put_files
from lakehead.model import Json, ObjectCreated, ObjectVersion, utc_now
from lakehead.notify import Notifier
from lakehead.pipeline import Pipeline, execution_name, load_document
from lakehead.results import (
    Changed,
    CrawlSummary,
    DatasetDetail,
    DatasetSummary,
    DoctorCheck,
    IngestProgress,
    IngestSummary,
    Landed,
    Loaded,
    NamedQuery,
    NotificationSummary,
    Overview,
    QuarantineReason,
    QuarantineRow,
    QuarantineSummary,
    RunDetail,
    RunGraph,
    RunSummary,
    StateVisit,
    TableDetail,
    TablePartition,
    TableSummary,
    VerifyReport,
)
from lakehead.running import Work, open_crawlers, worker_lock, working
from lakehead.storage import ObjectStore, layout, open_store
from lakehead.workflow.journal import Journal

if TYPE_CHECKING:
    from lakehead.query import QueryEngine, QueryResult

FLUSH_SECONDS = 30.0
"""How long a one-shot command waits for its notifications to be delivered before it leaves them to the next one."""

ALL = 1 << 31
FAILURES = 10
"""How many of the newest failures and notifications an overview tells."""
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
        self._changes = Changes(self.journal, self.catalog, self.notifier)
        self._ends = overview.Ends(self.journal)

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
        for room in (self._changes, self.notifier, self.catalog, self.journal, self.events):
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

    def land(self, file: Path, *, dataset: str | None = None, ingest_date: date | None = None) -> Landed:
        """Move a file into the raw zone, whole or not at all, and record it at once, so that `up` loads it now.

        Raises UsageError for a dataset or a kind of file that the lake does not know.
        """
        name, bucket = self._dataset(dataset), self.config.raw_bucket
        day = ingest_date or utc_now().date()
        before = self.events.newest(bucket, layout.raw_key(name, day, file.name))
        (landed,) = put_files(self.store, bucket, name, day, [file], move=True)
        # The store's own word: a file that was moved has no etag yet.
        info = self.store.head(bucket, landed.key)
        # The watcher may have been quicker; then this adds nothing.
        self.events.observe([(info, name)])
        event = self.events.newest(bucket, landed.key)
        if event is None:
            raise NotFound("the object has gone again", bucket=bucket, key=landed.key)
        execution = event.execution or execution_name(name, event.event.object, event.replay)
        new = before is None or before.number != event.number
        return Landed(bucket, info.key, info.etag, info.size, execution, new)

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
        """Load again what is in the raw zone: all of it, a dataset, one key, a prefix of keys, or one ingest date.

        Returns when it is done. Raises NotFound.
        """

        def choose() -> int:
            skipped = self._discover()
            self.request_replay(dataset=dataset, key=key, prefix=prefix, date=date)
            return skipped

        return self._follow(choose, progress, None)

    def request_replay(
        self, *, dataset: str | None = None, key: str | None = None, prefix: str | None = None, date: date | None = None
    ) -> int:
        """Have loaded again what `replay` would, but do not wait; returns how many objects. Raises NotFound."""
        return replays.request_replay(
            self.config, self.contracts, self.events, dataset=dataset, key=key, prefix=prefix, date=date
        )

    def redrive(self, name: str) -> RunSummary:
        """Run a failed execution again, as by `request_redrive`, and return when it has ended."""
        pipeline = self._pipeline()
        with self._working_unless_another_does(pipeline) as work:
            follower = Follower([self.request_redrive(name)], None)
            pipeline.on_end(follower.note)
            pipeline.dispatch()
            # It may have ended before somebody listened.
            follower.wait(self.journal, here=False, timeout=REDRIVE_SECONDS)
            if work is not None:
                self.notifier.flush(FLUSH_SECONDS)
        return follower.summary(skipped=0, seconds=0).executions[0]

    def request_redrive(self, name: str) -> str:
        """Have a failed execution run again, but do not wait; the name of the execution that does.

        That is a new one where the execution ended in a Fail state. Raises ExecutionNotFound, NotRedrivable, NotFound.
        """
        return replays.request_redrive(self.config, self.events, self.journal, name)

    def stop(self, name: str, cause: str = "") -> RunSummary:
        """Stop a running execution; it ends as ABORTED. What it had committed stays."""
        return runs.run_summary(self.journal.stop(name, error="Stopped", cause=cause))

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
            pipeline.on_end(lambda execution: on_run(runs.run_summary(execution)))
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
        return open_query_engine(self.config, self.catalog, self.store)

    def overview(self, window_seconds: int = 3600) -> Overview:
        """The lake at a glance. It reads only what ended since the last look, and of a long window a part at a time."""
        return overview.overview(
            self._ends,
            window_seconds,
            datasets=self.datasets(),
            failures=overview.newest_failures(self.journal, FAILURES),
            notifications=self.notifications(FAILURES),
        )

    def runs(
        self,
        *,
        status: str | None = None,
        dataset: str | None = None,
        key: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[RunSummary]:
        """Executions that started from `since` on and before `until`, newest first.

        The next page comes `after` the name of the last one.
        """
        labels = {name: value for name, value in (("dataset", dataset), ("key", key)) if value}
        found = self.journal.executions(
            status=status, labels=labels, since=since, until=until, limit=limit, after=after
        )
        return [runs.run_summary(execution) for execution in found]

    def run_counts(self) -> dict[str, int]:
        """How many executions have each status."""
        return self.journal.counts()

    def run(self, name: str) -> RunDetail:
        """One execution with its history. Raises ExecutionNotFound."""
        execution = self.journal.describe(name)
        history = tuple(self.journal.history(name))
        return RunDetail(runs.run_summary(execution), execution.input, execution.output, history)

    def run_document(self, name: str) -> dict[str, Json]:
        """The workflow document that an execution runs. Raises ExecutionNotFound."""
        return self.journal.definition(name)

    def run_graph(self, name: str) -> RunGraph:
        """That document as a graph, with the path that the execution took. Raises ExecutionNotFound."""
        return runs.run_graph(self.journal, name)

    def run_timeline(self, name: str) -> tuple[StateVisit, ...]:
        """Every stay of the execution in a state, in the order in which they began. Raises ExecutionNotFound."""
        return runs.run_timeline(self.journal, name)

    def run_history(self, name: str, after: int = 0, limit: int = 200) -> list[dict[str, Json]]:
        """The execution's events (Step Functions'), those beyond the event id `after`. Raises ExecutionNotFound."""
        return self.journal.history(name, after=after, limit=limit)

    def run_logs(self, name: str) -> Iterator[dict[str, Json]]:
        """The log lines of one execution, oldest first. Raises ExecutionNotFound."""
        self.journal.describe(name)
        return log_lines(self.config.log_file, name)

    def count_runs(self, status: str) -> int:
        """How many executions have this status."""
        return self.journal.count(status)

    def loaded(self, dataset: str, key: str) -> Loaded | None:
        """What the lake holds of a landed object, by its commit record. Raises NotFound and CorruptRecord."""
        return loads.loaded(self.store, self.config.processed_bucket, self._dataset(dataset), key)

    def datasets(self) -> list[DatasetSummary]:
        """Every dataset in brief, by name."""
        return datasets.dataset_summaries(self.contracts, self.catalog, self.events, self.journal)

    def dataset(self, name: str) -> DatasetDetail:
        """A dataset as its contract describes it. Raises NotFound and ContractError."""
        contract = self.contracts[self._dataset(name)]
        (summary,) = datasets.dataset_summaries({name: contract}, self.catalog, self.events, self.journal)
        return datasets.dataset_detail(contract, summary, self.config.contracts_dir)

    def tables(self) -> list[TableSummary]:
        """The catalog's tables."""
        return [tables.table_summary(table) for table in self.catalog.tables()]

    def table(self, name: str) -> TableDetail:
        """A table with its columns and partitions. Raises TableNotFound."""
        return tables.table_detail(self.catalog, name)

    def partitions(
        self, table: str, limit: int = 100, after: str = "", *, newest_first: bool = False
    ) -> list[TablePartition]:
        """A table's partitions by path, those beyond the path `after`. Raises TableNotFound."""
        return tables.partition_page(self.catalog, table, limit, after, newest_first)

    def sample(self, table: str, limit: int = 20) -> QueryResult:
        """Some rows of a table, from one of its newest files. Raises TableNotFound."""
        return self.query(f'SELECT * FROM "{self.catalog.table(table).name}" LIMIT {int(limit)}')

    def crawl(self, name: str | None = None, *, full: bool = False) -> list[CrawlSummary]:
        """Run one crawler, or all; a full crawl lists everything instead of what was noted as new."""
        crawlers = open_crawlers(self.config, self.contracts, self.store, self.catalog, self.journal)
        names = [name] if name else crawlers.names
        return [tables.crawl_summary(crawlers.run(one, full=full)) for one in names]

    def crawls(self, dataset: str | None = None, limit: int = 20) -> list[CrawlSummary]:
        """The newest crawls, newest first. Raises NotFound."""
        return tables.newest_crawls(self.catalog, self.contracts, dataset and self._dataset(dataset), limit)

    def commits(self, dataset: str) -> Iterator[CommitRecord]:
        """The commit records of a dataset: what is loaded, by the one truth."""
        return loads.readable_commits(self.store, self.config.processed_bucket, self._dataset(dataset))

    def quarantine_reasons(self, dataset: str, key: str | None = None, limit: int = 50) -> list[QuarantineReason]:
        """Why rows of a dataset (or of one object) are quarantined, the commonest reason first. Raises NotFound."""
        return quarantine.ranked_reasons(self.commits(dataset), key, limit)

    def quarantine_files(
        self, *, dataset: str | None = None, reason: str | None = None, limit: int = 50, after: str | None = None
    ) -> list[QuarantineSummary]:
        """Objects that have quarantined rows, those with most first; the next page comes `after` the last one's key."""
        names = datasets_named(self.contracts, dataset)
        records = (record for name in names for record in self.commits(name) if reason in (None, *record.reasons))
        found = quarantine.quarantined(records, 1 << 31)
        begin = next((n + 1 for n, one in enumerate(found) if one.key == after), 0)
        return found[begin : begin + limit]

    def quarantine_rows(
        self,
        *,
        dataset: str | None = None,
        key: str | None = None,
        reason: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[QuarantineRow]:
        """Quarantined rows by key and line, of one object or with one reason where these are given."""
        names = datasets_named(self.contracts, dataset)
        known = {table.name for table in self.catalog.tables()}
        found: list[QuarantineRow] = []
        for name in names:
            table = self.contracts[name].quarantine_table
            if table in known and len(found) < limit + offset:
                sql = quarantine.quarantine_sql(table, key, reason, limit + offset - len(found))
                found += [QuarantineRow(name, row[0], row[1], row[2], tuple(row[3])) for row in self.query(sql).rows]
        return found[offset:]

    def notifications(self, limit: int = 50) -> list[NotificationSummary]:
        """What was announced, newest first, and how far each delivery is."""
        return [notification(item) for item in self.notifier.feed(limit)]

    def on_change(self, listener: Callable[[Changed], None]) -> Callable[[], None]:
        """Call `listener` with whatever changes, also by other processes. Returns how to end that.

        It is called from the thread that notices, so it must not take long; what it raises is logged.
        """
        return self._changes.on_change(listener)

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
        stale = proof.stale_tables(self.catalog, self.contracts, self.store, self.config.processed_bucket)
        if repair and (report.findings or stale):
            self.crawl(full=True)
        return proof.verified(report, stale, repaired=repair)

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
        checks = [self._look_at_contracts(), look_at_sandbox(self.config, self.store), *subscriptions]
        return health(self.config, self.store, checks)

    def _look_at_contracts(self) -> DoctorCheck:
        try:
            names = ", ".join(sorted(self.contracts))
        except LakeheadError as error:
            return DoctorCheck("contracts", False, str(error), error.hint)
        return DoctorCheck("contracts", True, names)
