"""The composition root: a configuration becomes a Lake that ingests, queries, replays and verifies."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date, timedelta
from functools import cached_property, partial
from pathlib import Path

from lakehead import deleting, replays
from lakehead.catalog import crawler_name
from lakehead.errors import Busy, NotFound
from lakehead.etl.commit import read_commit
from lakehead.etl.deletion import Deletion
from lakehead.etl.verify import VerifyReport as Verification
from lakehead.etl.verify import about, verify
from lakehead.events import DatasetRule, ZoneWatcher, dataset_of, reconcile
from lakehead.following import Follower
from lakehead.inspection import proof, quarantine, runs, tables
from lakehead.landing import datasets_named, put_files
from lakehead.model import Json, ObjectCreated, ObjectVersion, Zone, object_id, utc_now
from lakehead.pipeline import Pipeline, execution_name, load_document
from lakehead.reader import LakeReader
from lakehead.results import (
    CrawlSummary,
    Deletable,
    Deleted,
    IngestProgress,
    IngestSummary,
    Landed,
    QuarantineReplay,
    RunSummary,
    Undelivered,
    VerifyFinding,
    VerifyReport,
)
from lakehead.running import Work, worker_lock, working
from lakehead.storage import layout

FLUSH_SECONDS = 30.0
"""How long a one-shot command waits for its notifications to be delivered before it leaves them to the next one."""

ALL = 1 << 31
IDLE_SECONDS = 1.0
REDRIVE_SECONDS = 3600.0
PRUNE_SECONDS = 3600.0
"""How often `up` forgets executions that are older than the lake keeps them."""


class Lake(LakeReader):
    """One environment of a lake, to look at and to work with. Open it as a context manager; any thread may use it."""

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

    # Loading -----------------------------------------------------------------------------------------------------

    def ingest(
        self, *, progress: Callable[[IngestProgress], None] | None = None, timeout: float | None = None
    ) -> IngestSummary:
        """Load what is new or changed in the raw zone, and return when it is done.

        Where `lakehead up` runs on this lake, that does the work and this waits for it. Raises Busy after `timeout`
        seconds; what was begun goes on with the next command.
        """
        return self._follow(partial(self._load, self._discover), progress, timeout)

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

        return self._follow(partial(self._load, choose), progress, None)

    def request_replay(
        self, *, dataset: str | None = None, key: str | None = None, prefix: str | None = None, date: date | None = None
    ) -> int:
        """Have loaded again what `replay` would, but do not wait; returns how many objects. Raises NotFound."""
        return replays.request_replay(
            self.config, self.contracts, self.events, dataset=dataset, key=key, prefix=prefix, date=date
        )

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
            return {name: quarantine.held_back(self.commits(name), key, reason) for name in names}

        before = held()
        chosen = [(name, one) for name in names for one in before[name]]
        summary = self._load_again(chosen, progress)
        return quarantine.replayed(before, held(), summary, self.store, self.config.raw_bucket)

    def redrive(self, name: str) -> RunSummary:
        """Run a failed execution again, as by `request_redrive`, and return when it has ended."""
        return self._follow(lambda: ([self.request_redrive(name)], 0), None, REDRIVE_SECONDS).executions[0]

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
        self,
        begin: Callable[[], tuple[list[str], int]],
        progress: Callable[[IngestProgress], None] | None,
        timeout: float | None,
    ) -> IngestSummary:
        """Begin executions, and return when they have ended: worked on here, or by whichever process does that.

        `begin` returns their names, and how many objects it left out. Where the process that works ends before its
        time, this one takes over.
        """
        started, pipeline = time.monotonic(), self._pipeline()
        follower: Follower | None = None
        while True:
            with self._working_unless_another_does(pipeline) as work:
                if follower is None:
                    names, skipped = begin()
                    follower = Follower(names, progress, timeout=timeout)
                    pipeline.on_end(follower.note)
                    pipeline.dispatch()
                if self._wait(follower, work):
                    return follower.summary(skipped=skipped, seconds=time.monotonic() - started)

    def _wait(self, follower: Follower, work: Work | None) -> bool:
        """Whether all have ended. Waits for that where this process works, and a moment where another does."""
        follower.look(self.journal)  # also for what ended before somebody listened
        ended = follower.wait()
        while work is not None and not ended:
            work.check()
            ended = follower.wait()
        if work is not None:
            self.notifier.flush(FLUSH_SECONDS)
        return ended

    def _load(self, choose: Callable[[], int]) -> tuple[list[str], int]:
        """Make events pending; `choose` returns what it left out. The names of all executions that are to end."""
        skipped = choose()
        pending = self.events.pending(limit=ALL, datasets=self.contracts)
        names = [execution_name(one.dataset, one.event.object, one.replay) for one in pending]
        return [*dict.fromkeys([*self.events.started(), *names])], skipped

    def retry_notifications(self) -> Undelivered:
        """Send now what is still to be delivered, and what was given up. Returns what is left of it."""
        self.notifier.retry()
        self.notifier.flush(FLUSH_SECONDS)
        left = self.notifier.counts()
        return Undelivered(left["pending"], left["dead"])

    def crawl(self, name: str | None = None, *, full: bool = False) -> list[CrawlSummary]:
        """Run one crawler, or all; a full crawl lists everything instead of what was noted as new."""
        crawlers = self._crawlers()
        names = [name] if name else crawlers.names
        return [tables.crawl_summary(crawlers.run(one, full=full)) for one in names]

    # Deleting for good -------------------------------------------------------------------------------------------

    def deletable(
        self, keys: Sequence[str] = (), *, prefix: str | None = None, dataset: str | None = None
    ) -> list[Deletable]:
        """What `delete` would take away of these keys, or of all that begin so. Raises NotFound."""
        return deleting.deletable(
            self.config, self.contracts, self.store, self.events, keys=keys, prefix=prefix, dataset=dataset
        )

    def delete(self, chosen: Sequence[Deletable], *, by: str, reason: str = "", keep_key: bool = True) -> list[Deleted]:
        """Delete landed objects for good, with every row that came from them. Returns the records that are kept of it.

        Safe to repeat, and beside a process that works for the lake. Objects whose rows were left to a deleted one are
        loaded now. Raises Busy where an execution of an object does not end, and StorageUnavailable where the tables
        cannot be crawled; then the deletion is unfinished, and is finished by saying it again.
        """

        def forget(deletions: Sequence[Deletion]) -> None:
            self._forget(deletions)
            self._load_again(deleting.left_behind(self.config, self.contracts, self.store, deletions))

        return deleting.delete(
            self.config, self.store, self.events, chosen, by=by, reason=reason, keep_key=keep_key, forget=forget
        )

    def _forget(self, deletions: Sequence[Deletion]) -> None:
        """Have the lake forget deleted objects, and its tables their rows."""
        with ExitStack() as stack:
            try:
                stack.enter_context(worker_lock(self.config.state_dir))
                alone = True
            except Busy:
                alone = False
            rooms = (self.events, self.journal, self.catalog, self.notifier)
            forgetting = deleting.Forgetting(self.config, *rooms, alone=alone)
            self.catalog.overwrite_deleted()
            for deletion in deletions:
                forgetting.forget(deletion)
            touched = itertools.product(sorted({one.dataset for one in deletions}), Zone)
            names = [crawler_name(self.config.environment, *one) for one in touched]
            self._crawlers().catch_up(*names, hint="Say it again, or: lakehead verify --repair")
            self.catalog.forget_schemas()

    def _load_again(
        self, objects: Sequence[tuple[str, str]], progress: Callable[[IngestProgress], None] | None = None
    ) -> IngestSummary:
        """Load objects again, by dataset and key, and wait for it; nothing at all is done for none."""
        if not objects:
            return IngestSummary(0, 0, 0, 0, 0, 0, 0, 0)

        def choose() -> int:
            skipped = self._discover()
            for dataset, key in objects:
                self.events.requeue(bucket=self.config.raw_bucket, dataset=dataset, key=key)
            return skipped

        return self._follow(partial(self._load, choose), progress, None)

    # Proving -----------------------------------------------------------------------------------------------------

    def verify(
        self, *, repair: bool = False, full: bool = False, progress: Callable[[str], None] | None = None
    ) -> VerifyReport:
        """Prove the invariants over the whole lake; with `repair`, mend what a crash or a person left, and prove again.

        What was proven before and looks unchanged is not read again, unless `full`. Raises Busy where another process
        verifies the lake.
        """
        report = self._verify(repair, full, progress)
        stale = self._stale_tables()
        if not repair or not (report.findings or stale):
            return proof.verified(report, stale)
        self._load_again([(one.dataset, one.key) for one in report.reload])
        self.crawl(full=True)
        after = proof.verified(self._verify(False, False, progress), self._stale_tables())
        return proof.verified(report, stale, after)

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
            forget=self._forget,
            lost=self._lost,
            progress=progress or (lambda _: None),
        )

    def _lost(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that were loaded once, by their events, and have no commit record any more."""
        bucket = self.config.processed_bucket
        # Asked again: it may have been committed since it was looked at.
        done = self.events.done(keys)
        return {key for dataset, key in done if read_commit(self.store, bucket, dataset, object_id(key)) is None}

    def _stale_tables(self) -> list[VerifyFinding]:
        subject = about(self.config.raw_bucket, self.config.processed_bucket, self.contracts)
        return proof.stale_tables(self.catalog, self.contracts, self.config.proofs_file, subject)
