"""A lake to look at: its databases opened, and what the rooms below tell of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lakehead.asking import look_at_sandbox, open_peek, open_query_engine
from lakehead.catalog import Catalog, Crawlers
from lakehead.config import LakeConfig
from lakehead.contract import Contract
from lakehead.errors import LakeheadError
from lakehead.etl.base import CommitRecord
from lakehead.events import EventStore
from lakehead.inspection import datasets, loads, overview, quarantine, runs, tables
from lakehead.inspection.changes import Changes
from lakehead.inspection.health import health
from lakehead.inspection.loglines import log_lines
from lakehead.inspection.notices import notification
from lakehead.landing import dataset_named, datasets_named, lake_contracts
from lakehead.model import Json, SteadyClock
from lakehead.notify import Notifier
from lakehead.private import own_state
from lakehead.results import (
    Changed,
    CrawlSummary,
    DatasetDetail,
    DatasetSummary,
    DoctorCheck,
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
)
from lakehead.running import open_crawlers
from lakehead.storage import ObjectStore, open_store
from lakehead.workflow.journal import Journal

if TYPE_CHECKING:
    from lakehead.query import QueryEngine, QueryResult
    from lakehead.query.peek import Peek

FAILURES = 10
"""How many of the newest failures and notifications an overview tells."""


class LakeReader:
    """What one environment of a lake tells of itself. Safe to use from several threads."""

    def __init__(self, config: LakeConfig, store: ObjectStore) -> None:
        self.config = config
        self.store = store
        state, clock = config.state_dir, SteadyClock()
        self.events = EventStore(state / "events.db")
        self.journal = Journal(state / "workflow.db", clock=clock)
        self.catalog = Catalog(state / "catalog.db", database=config.database)
        # Executions compare their own moments with those of crawls, so a clock that was set back must not be seen.
        clock.not_before(self.journal.newest_step(), self.catalog.latest_crawl())
        self.notifier = Notifier(state / "notify.db", config.notify)
        self._opened = ExitStack()
        self._changes = Changes(self.journal, self.catalog, self.notifier)
        self._ends = overview.Ends(self.journal)

    @classmethod
    def open(cls, config: LakeConfig) -> Self:
        """The lake of this configuration, its buckets made where they are local and missing.

        Raises ConfigError and StorageUnavailable.
        """
        own_state(config.state_dir)
        store = open_store(config.store_address, region=config.region, profile=config.profile)
        for bucket in (config.raw_bucket, config.processed_bucket):
            if config.storage == "local":
                store.create_bucket(bucket)
        return cls(config, store)

    @cached_property
    def contracts(self) -> Mapping[str, Contract]:
        """The contract of every dataset. Read on first use: what only looks needs none. Raises ContractError."""
        return lake_contracts(self.config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the databases. What is under way goes on when the lake is opened again."""
        self._opened.close()
        for room in (self._changes, self.notifier, self.catalog, self.journal, self.events):
            room.close()

    def _dataset(self, name: str | None) -> str:
        return dataset_named(self.contracts, name)

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

    @cached_property
    def _peek(self) -> Peek:
        peek = open_peek(self.config, self.catalog, self.store)
        self._opened.callback(peek.close)
        return peek

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

    def run_course(self, name: str) -> tuple[RunGraph, tuple[StateVisit, ...]]:
        """Both the graph and the timeline, by one look into the journal. Raises ExecutionNotFound."""
        return runs.run_course(self.journal, name)

    def run_history(self, name: str, after: int = 0, limit: int = 200) -> list[dict[str, Json]]:
        """The execution's events (Step Functions'), those beyond the event id `after`. Raises ExecutionNotFound."""
        return self.journal.history(name, after=after, limit=limit)

    def run_logs(self, name: str) -> Iterator[dict[str, Json]]:
        """The log lines of one execution, oldest first. Raises ExecutionNotFound."""
        return log_lines(self.config.log_file, self.journal.describe(name))

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
        return tables.sample(self.catalog, self._peek, table, limit)

    def _crawlers(self) -> Crawlers:
        return open_crawlers(self.config, self.contracts, self.store, self.catalog, self.journal)

    def crawls(self, dataset: str | None = None, limit: int = 20) -> list[CrawlSummary]:
        """The newest crawls, newest first. Raises NotFound."""
        return tables.newest_crawls(self.catalog, self.contracts, dataset and self._dataset(dataset), limit)

    def commits(self, dataset: str) -> Iterator[CommitRecord]:
        """The commit records of a dataset: what is loaded, by the one truth."""
        return loads.readable_commits(self.store, self.config.processed_bucket, self._dataset(dataset))

    def quarantine_reasons(self, dataset: str, key: str | None = None, limit: int = 50) -> list[QuarantineReason]:
        """Why rows of a dataset (or of one object) are quarantined, the commonest reason first. Raises NotFound."""
        (contract,) = self._indexed(dataset)
        return quarantine.ranked_reasons(self.catalog, contract, key, limit)

    def quarantine_files(
        self, *, dataset: str | None = None, reason: str | None = None, limit: int = 50, after: str | None = None
    ) -> list[QuarantineSummary]:
        """Objects that have quarantined rows (of a reason), those with most first. Raises NotFound.

        The next page comes `after` the key of the last one.
        """
        contracts = self._indexed(dataset)
        return quarantine.quarantined_objects(self.catalog, contracts, reason=reason, limit=limit, after=after)

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
        contracts = self._indexed(dataset)
        return quarantine.quarantined_rows(
            self.catalog, self._peek, contracts, key=key, reason=reason, limit=limit, offset=offset
        )

    def _indexed(self, dataset: str | None) -> list[Contract]:
        """The contracts of a dataset or of all, once the catalog has its index of what they quarantined."""
        return [self._all_indexed[name] for name in datasets_named(self._all_indexed, dataset)]

    @cached_property
    def _all_indexed(self) -> Mapping[str, Contract]:
        """The same of every dataset. Only a catalog that is just opened may lack its index, so it is made once."""
        self._crawlers().catch_up()
        return self.contracts

    def notifications(self, limit: int = 50) -> list[NotificationSummary]:
        """What was announced, newest first, and how far each delivery is."""
        return [notification(item) for item in self.notifier.feed(limit)]

    def on_change(self, listener: Callable[[Changed], None]) -> Callable[[], None]:
        """Call `listener` with whatever changes, also by other processes. Returns how to end that.

        It is called from the thread that notices, so it must not take long; what it raises is logged.
        """
        return self._changes.on_change(listener)

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
