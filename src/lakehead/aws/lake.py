"""A lake that AWS runs, with the methods and the answers of the embedded `Lake`.

It needs the lake's files, credentials and the names that `infra/terraform` gives; no Terraform and no state.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from lakehead import deleting
from lakehead.aws import health, names
from lakehead.aws.api import Aws
from lakehead.aws.executions import Executions
from lakehead.aws.loglines import run_lines
from lakehead.config import LakeConfig
from lakehead.contract import Contract
from lakehead.errors import NotFound, ObjectNotFound, UsageError
from lakehead.etl.deletion import Deletion
from lakehead.etl.verify import STALE_AFTER, Reload, verify
from lakehead.etl.verify import VerifyReport as Verification
from lakehead.following import Follower
from lakehead.inspection.loads import readable_commits
from lakehead.inspection.proof import verified
from lakehead.inspection.quarantine import held_back, quarantine_sql, quarantined, replayed
from lakehead.landing import dataset_named, datasets_named, lake_contracts, put_files
from lakehead.model import REPLAY, Json, ObjectCreated, ObjectVersion, utc_now
from lakehead.results import (
    CrawlSummary,
    Deletable,
    Deleted,
    DoctorCheck,
    IngestProgress,
    IngestSummary,
    NamedQuery,
    NotificationSummary,
    QuarantineReplay,
    QuarantineRow,
    QuarantineSummary,
    RunDetail,
    RunSummary,
    TableDetail,
    TableSummary,
    Undelivered,
    VerifyFinding,
    VerifyReport,
)
from lakehead.storage import ObjectStore, layout, open_store
from lakehead.storage.base import ObjectInfo

if TYPE_CHECKING:
    from lakehead.aws.queries import Athena
    from lakehead.query import QueryResult

AT_ONCE = 20
"""How many replays run at the same time: as many as a deployed job runs unless told otherwise."""


class AwsLake:
    """One deployed environment of a lake. Open it as a context manager."""

    def __init__(self, config: LakeConfig, store: ObjectStore, aws: Aws) -> None:
        self.config = config
        self.store = store
        self._aws = aws

    @classmethod
    def open(cls, config: LakeConfig) -> AwsLake:
        """The environment of this configuration. AWS is not asked before the first method is. Raises ConfigError."""
        store = open_store(config.store_address, region=config.region, profile=config.profile)
        return cls(config, store, Aws(config))

    def __enter__(self) -> AwsLake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @cached_property
    def contracts(self) -> Mapping[str, Contract]:
        """The contract of every dataset, as the lake's folder has them; a deployment may be older."""
        return lake_contracts(self.config)

    @cached_property
    def _executions(self) -> Executions:
        machines = {name: names.state_machine(self.config, name) for name in self.contracts}
        return Executions(self._aws, {name: names.arn(self._aws, machine) for name, machine in machines.items()})

    # Loading -----------------------------------------------------------------------------------------------------

    def put(
        self,
        files: Sequence[Path],
        *,
        dataset: str | None = None,
        ingest_date: date | None = None,
        progress: Callable[[Path], None] | None = None,
    ) -> list[ObjectVersion]:
        """Copy files into the raw bucket, whose events have AWS load them. Raises UsageError."""
        day, name = ingest_date or utc_now().date(), dataset_named(self.contracts, dataset)
        return put_files(self.store, self.config.raw_bucket, name, day, files, progress)

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

        Waits for the ends. Executions that were begun go on when the wait is interrupted. Raises NotFound and Busy.
        """
        chosen: list[tuple[str, ObjectInfo]] = []
        for name in datasets_named(self.contracts, dataset):
            begin = layout.raw_prefix(name, date) if date else key or prefix or layout.dataset_prefix(name)
            chosen += [(name, info) for info in self._landed(name, begin) if key in (None, info.key)]
        if key and not chosen:
            raise NotFound("no such object in the raw zone", bucket=self.config.raw_bucket, key=key)
        return self._replayed(chosen, progress)

    def _landed(self, dataset: str, prefix: str) -> Iterator[ObjectInfo]:
        """The dataset's files in the raw zone whose keys begin so."""
        for info in self.store.list(self.config.raw_bucket, prefix):
            if layout.dataset_of(info.key, self.contracts) == dataset and layout.is_source(info.key):
                yield info

    def _replayed(
        self, chosen: Sequence[tuple[str, ObjectInfo]], progress: Callable[[IngestProgress], None] | None
    ) -> IngestSummary:
        started = time.monotonic()
        jobs = {f"replay-{uuid.uuid4().hex}": one for one in chosen}
        follower = Follower(jobs, progress)

        def begin(name: str) -> None:
            dataset, info = jobs[name]
            self._executions.start(dataset, name, self._event(info).to_eventbridge())

        for run in self._executions.ends(jobs, begin, at_once=AT_ONCE):
            follower.note_run(run)
        return follower.summary(skipped=0, seconds=time.monotonic() - started)

    def _event(self, info: ObjectInfo) -> ObjectCreated:
        """The event that loads an object again, as it is now.

        Without a sequencer: S3 tells it in events only, and the job takes what has none for as new as what it knows.
        """
        version = ObjectVersion(info.bucket, info.key, info.etag, info.size)
        region, account = self._aws.region, self._aws.account
        return ObjectCreated(version, str(uuid.uuid4()), utc_now(), region, account, REPLAY)

    def replay_quarantine(
        self,
        *,
        dataset: str | None = None,
        key: str | None = None,
        reason: str | None = None,
        progress: Callable[[IngestProgress], None] | None = None,
    ) -> QuarantineReplay:
        """Load again just the objects that have quarantined rows (for a reason), as after a change of the contract."""
        names = datasets_named(self.contracts, dataset)

        def held() -> dict[str, dict[str, int]]:
            bucket = self.config.processed_bucket
            return {n: held_back(readable_commits(self.store, bucket, n), key, reason) for n in names}

        before = held()
        chosen = [
            (name, info)
            for name in names
            for wanted in before[name]
            for info in self._landed(name, wanted)
            if info.key == wanted
        ]
        summary = self._replayed(chosen, progress)
        return replayed(before, held(), summary, self.store, self.config.raw_bucket)

    def redrive(self, name: str) -> RunSummary:
        """Run a failed execution again, and return when it has ended, as `Lake.redrive` does."""
        if self._executions.redrive(name):
            return self._executions.ended(name)
        run = self._executions.summary(self._executions.found(name))
        return self.replay(dataset=run.dataset, key=run.key).executions[-1]

    def stop(self, name: str, cause: str = "") -> RunSummary:
        """Stop a running execution; it ends as ABORTED. What it had committed stays."""
        return self._executions.stop(name, error="Stopped", cause=cause)

    # Looking -----------------------------------------------------------------------------------------------------

    def query(self, sql: str) -> QueryResult:
        """Answer SQL by Athena, in the environment's workgroup. Raises QueryError."""
        return self._athena.run(sql, timeout_seconds=self.config.query_seconds)

    @cached_property
    def _athena(self) -> Athena:
        from lakehead.aws.queries import Athena

        return Athena(self._aws, workgroup=names.prefix(self.config), database=self.config.database)

    def named_queries(self) -> list[NamedQuery]:
        """The queries of the lake's `queries/` folder."""
        from lakehead.query import named_queries

        return [NamedQuery(one.name, one.description, one.sql) for one in named_queries(self.config.queries_dir)]

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
        name = dataset_named(self.contracts, dataset) if dataset else None
        return self._executions.listed(status=status, dataset=name, key=key, since=since, limit=limit, after=after)

    def run(self, name: str) -> RunDetail:
        """One execution with its history. Raises ExecutionNotFound."""
        return self._executions.detail(name)

    def run_document(self, name: str) -> dict[str, Json]:
        """The workflow document that an execution runs. Raises ExecutionNotFound."""
        return self._executions.document(name)

    def run_logs(self, name: str) -> Iterator[dict[str, Json]]:
        """What one execution did and its job runs logged, oldest first. Raises ExecutionNotFound."""
        return iter(run_lines(self._aws, names.job_log_group(self.config), self.run(name)))

    def quarantine_files(self, *, dataset: str | None = None, limit: int = 50) -> list[QuarantineSummary]:
        """Objects that have quarantined rows, those with most rows first."""
        bucket = self.config.processed_bucket
        chosen = datasets_named(self.contracts, dataset)
        records = (one for name in chosen for one in readable_commits(self.store, bucket, name))
        return quarantined(records, limit)

    def quarantine_rows(
        self, *, dataset: str | None = None, key: str | None = None, reason: str | None = None, limit: int = 100
    ) -> list[QuarantineRow]:
        """Quarantined rows, of one object or with one reason where these are given."""
        found: list[QuarantineRow] = []
        for name in datasets_named(self.contracts, dataset):
            if len(found) < limit:
                table, left = self.contracts[name].quarantine_table, limit - len(found)
                rows = self.query(quarantine_sql(table, key, reason, left)).rows
                found += [QuarantineRow(name, row[0], row[1], row[2], tuple(json.loads(row[3]))) for row in rows]
        return found

    def deletable(
        self, keys: Sequence[str] = (), *, prefix: str | None = None, dataset: str | None = None
    ) -> list[Deletable]:
        """What `delete` would take away of these keys, or of all that begin so. Raises NotFound."""
        return deleting.deletable(
            self.config, self.contracts, self.store, None, keys=keys, prefix=prefix, dataset=dataset
        )

    def delete(self, chosen: Sequence[Deletable], *, by: str, reason: str = "", keep_key: bool = True) -> list[Deleted]:
        """Delete landed objects for good, with all versions and every row; see `Lake.delete`.

        What Step Functions and CloudWatch keep of its executions stays there until they forget it by themselves.
        """

        def forget(deletions: Sequence[Deletion]) -> None:
            left = deleting.left_behind(self.config, self.contracts, self.store, deletions)
            self._reloaded([Reload(*one) for one in left])

        return deleting.delete(
            self.config, self.store, None, chosen, by=by, reason=reason, keep_key=keep_key, forget=forget
        )

    def verify(
        self, *, repair: bool = False, full: bool = False, progress: Callable[[str], None] | None = None
    ) -> VerifyReport:
        """Prove the invariants over the whole lake; with `repair`, remove what is left over and replay what is broken.

        What nobody has touched for an hour counts as left over: executions may be at work meanwhile.
        """
        report = self._verify(repair, full, progress)
        if not repair or not report.findings:
            return verified(report, [])
        failed = self._reloaded(report.reload)
        return verified(report, [], verified(self._verify(False, False, progress), failed))

    def _verify(self, repair: bool, full: bool, progress: Callable[[str], None] | None) -> Verification:
        return verify(
            contracts=self.contracts,
            raw=self.store,
            processed=self.store,
            raw_bucket=self.config.raw_bucket,
            processed_bucket=self.config.processed_bucket,
            repair=repair,
            full=full,
            proofs=self.config.proofs_file,
            stale_after=STALE_AFTER,
            progress=progress or (lambda _: None),
        )

    def _reloaded(self, wanted: Sequence[Reload]) -> list[VerifyFinding]:
        """Load objects again; those for which that failed."""
        chosen, failed = [], []
        for one in wanted:
            try:
                chosen.append((one.dataset, self.store.head(self.config.raw_bucket, one.key)))
            except ObjectNotFound:
                failed.append((one.key, "the landed object is gone"))
        runs = self._replayed(chosen, None).executions
        failed += [(run.key, f"{run.name}: {run.status}") for run in runs if run.failed]
        hint = "lakehead runs show NAME tells why; then lakehead replay --key KEY"
        return [VerifyFinding("not_reloaded", key, f"could not be loaded again: {why}", hint) for key, why in failed]

    def doctor(self) -> list[DoctorCheck]:
        """Look at the settings, the credentials and the deployment, one thing at a time; changes nothing."""
        return health.checks(self.config, self._aws, self.store, lambda: self.contracts)

    # What has no meaning here --------------------------------------------------------------------------------------

    def ingest(
        self, *, progress: Callable[[IngestProgress], None] | None = None, timeout: float | None = None
    ) -> IngestSummary:
        """Refused: AWS loads what lands."""
        del progress, timeout
        self._refuse("AWS loads files when they land", "runs ls", "put FILE...")

    def up(
        self,
        stop: Event,
        *,
        on_run: Callable[[RunSummary], None] | None = None,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        """Refused: AWS watches the raw bucket."""
        del stop, on_run, on_ready
        self._refuse("AWS watches the raw bucket by itself", "runs ls")

    def tables(self) -> list[TableSummary]:
        """Refused: the catalog is Glue's."""
        self._refuse("the catalog of this environment is Glue's", 'query "SHOW TABLES"')

    def table(self, name: str) -> TableDetail:
        """Refused: the catalog is Glue's."""
        self._refuse("the catalog of this environment is Glue's", f'query "DESCRIBE {name}"')

    def crawl(self, name: str | None = None, *, full: bool = False) -> list[CrawlSummary]:
        """Refused: executions have Glue crawl what they changed."""
        del name, full
        self._refuse("executions have Glue crawl what they change", "replay --key KEY")

    def notifications(self, limit: int = 50) -> list[NotificationSummary]:
        """Refused: SNS keeps no feed."""
        del limit
        self._refuse("SNS tells people, and keeps no list of what it told", "runs ls")

    def retry_notifications(self) -> Undelivered:
        """Refused: SNS retries by itself."""
        self._refuse("SNS delivers again by itself", "runs ls")

    def _refuse(self, why: str, *instead: str) -> NoReturn:
        commands = ", ".join(f"lakehead --env {self.config.environment} {one}" for one in instead)
        raise UsageError(f"not for an environment that AWS runs: {why}", hint=f"Use: {commands}")
