"""What `lakehead delete` deletes, and how the rooms of an embedded lake forget it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lakehead.catalog import Catalog
from lakehead.config import LakeConfig
from lakehead.contract import Contract
from lakehead.errors import Busy, CorruptRecord, NotFound, ObjectNotFound
from lakehead.etl.base import CommitRecord
from lakehead.etl.commit import read_commit, scan_commits
from lakehead.etl.deletion import Deletion, Eraser, Forget, Request, skipped_for
from lakehead.events import EventStore
from lakehead.landing import datasets_named
from lakehead.model import Zone, object_id
from lakehead.notify import Notifier
from lakehead.results import Deletable, Deleted
from lakehead.storage import ObjectStore, layout
from lakehead.workflow.execution import RUNNING
from lakehead.workflow.journal import Journal

PAGE = 1_000
SETTLE_SECONDS = 60.0
"""How long executions of a deleted object may take to find out and end."""


def deletable(
    config: LakeConfig,
    contracts: Mapping[str, Contract],
    store: ObjectStore,
    events: EventStore | None,
    *,
    keys: Sequence[str] = (),
    prefix: str | None = None,
    dataset: str | None = None,
) -> list[Deletable]:
    """What deleting these keys, or all keys that begin so, would take away: in the raw zone or only as rows.

    Raises NotFound for a dataset that the lake does not have, and for a key that nothing is known of.
    """
    chosen = datasets_named(contracts, dataset)
    look = _Look(config, store, events, _eraser(config, store))
    found: dict[str, Deletable] = {}
    for key in keys:
        name = layout.dataset_of(key, contracts)
        one = look.at(name, key) if name in chosen else None
        if name is None or one is None:
            hint = "lakehead runs ls --key KEY shows whether it was ever there; keys begin with their dataset."
            raise NotFound("nothing is known of this object", bucket=config.raw_bucket, key=key, hint=hint)
        found[key] = one
    if prefix is not None:
        for name in chosen:
            for key in look.keys(name, prefix, contracts):
                one = look.at(name, key)
                if one is not None:
                    found[key] = one
    return [found[key] for key in sorted(found)]


class _Look:
    def __init__(self, config: LakeConfig, store: ObjectStore, events: EventStore | None, eraser: Eraser) -> None:
        self.config, self.store, self.events, self.eraser = config, store, events, eraser

    def keys(self, dataset: str, prefix: str, contracts: Mapping[str, Contract]) -> set[str]:
        """The keys of a dataset that begin so: landed, committed, or left by a deletion that was cut short."""
        landed = (info.key for info in self.store.list(self.config.raw_bucket, prefix))
        found = {key for key in landed if layout.dataset_of(key, contracts) == dataset}
        records = scan_commits(self.store, self.config.processed_bucket, dataset)
        found |= {one.source.key for _, one in records if isinstance(one, CommitRecord)}
        found |= {one.landed_key for one in self.eraser.unfinished(dataset)}
        return {key for key in found if key.startswith(prefix)}

    def at(self, dataset: str, key: str) -> Deletable | None:
        """What there is of one object; None where nothing ever was."""
        identity = object_id(key)
        try:
            landed = bool(self.store.head(self.config.raw_bucket, key))
        except ObjectNotFound:
            landed = False
        try:
            record = read_commit(self.store, self.config.processed_bucket, dataset, identity)
            damaged = False
        except CorruptRecord:
            record, damaged = None, True
        known = self.events is not None and bool(self.events.sequencer_of(self.config.raw_bucket, key))
        before = list(self.eraser.recorded(dataset, identity))
        if not (landed or record or damaged or known or before):
            return None
        done = not (landed or record or damaged or known) and all(one.finished_at for one in before)
        rows = (record.rows_committed, record.rows_quarantined) if record else (0, 0)
        return Deletable(dataset, key, landed, *rows, deleted=done)


class Forgetting:
    """How the rooms of an embedded lake forget deleted objects. `alone`: no process works for the lake meanwhile."""

    def __init__(
        self,
        config: LakeConfig,
        events: EventStore,
        journal: Journal,
        catalog: Catalog,
        notifier: Notifier,
        *,
        alone: bool,
    ) -> None:
        self.config, self.events, self.journal, self.alone = config, events, journal, alone
        self.catalog, self.notifier = catalog, notifier

    def forget(self, deletion: Deletion) -> None:
        """Forget one object: its events, its executions with their histories and notifications, copies of its files.

        Tables are noted to be crawled. Raises Busy where an execution of it does not end.
        """
        key, bucket = deletion.landed_key, self.config.raw_bucket
        self.events.forget(bucket, key, deletion.sequencer)
        self._wait(key)
        # Those first whose names the executions tell.
        self.notifier.forget("execution", self._executions(key))
        self.journal.forget("key", key)
        _drop_copies(self.config.state_dir / "cache", bucket, deletion)
        zones = (Zone.RAW, Zone.PROCESSED)
        self.catalog.note_all_changed([(deletion.dataset, zone, key) for zone in zones])

    def _executions(self, key: str) -> set[str]:
        names: list[str] = []
        while page := self.journal.executions(labels={"key": key}, limit=PAGE, after=names[-1] if names else None):
            names += [execution.name for execution in page]
        return set(names)

    def _wait(self, key: str) -> None:
        """Let executions that are under way find out that their object is gone; stop those that nobody works on."""
        for execution in self.journal.executions(status=RUNNING, labels={"key": key}, limit=PAGE):
            if self.alone:
                self.journal.stop(execution.name, error="Deleted", cause="the object was deleted")
                continue
            try:
                self.journal.wait_for(execution.name, SETTLE_SECONDS)
            except Busy as error:
                raise Busy(
                    "an execution of the deleted object is still under way",
                    hint="Run the command again when it has ended; lakehead runs ls shows it.",
                    execution=execution.name,
                ) from error


def delete(
    config: LakeConfig,
    store: ObjectStore,
    events: EventStore | None,
    chosen: Iterable[Deletable],
    *,
    by: str,
    reason: str,
    keep_key: bool,
    forget: Forget,
) -> list[Deleted]:
    """Delete objects for good and tell what was recorded of it."""
    requests = [
        Request(
            one.dataset,
            one.key,
            by,
            reason,
            keep_key,
            events.sequencer_of(config.raw_bucket, one.key) if events is not None else "",
        )
        for one in chosen
    ]
    return [_told(config, done) for done in _eraser(config, store).delete(requests, forget)]


def left_behind(
    config: LakeConfig, contracts: Mapping[str, Contract], store: ObjectStore, deletions: Iterable[Deletion]
) -> list[tuple[str, str]]:
    """The dataset and key of objects whose rows were those of a deleted one, because they have the same bytes."""
    return [
        (one.dataset, key)
        for one in deletions
        if contracts[one.dataset].on_duplicate_content == "skip"
        for key in skipped_for(store, config.processed_bucket, one.dataset, one.landed_key)
    ]


def _eraser(config: LakeConfig, store: ObjectStore) -> Eraser:
    return Eraser(raw=store, processed=store, raw_bucket=config.raw_bucket, bucket=config.processed_bucket)


def _told(config: LakeConfig, done: Deletion) -> Deleted:
    return Deleted(
        done.dataset,
        done.object_id,
        done.key,
        done.finished_at,
        done.by,
        done.reason,
        done.rows_committed,
        done.rows_quarantined,
        done.files,
        f"{config.processed_bucket}/{done.place}",
    )


def _drop_copies(cache: Path, bucket: str, deletion: Deletion) -> None:
    """Delete what queries downloaded of the object."""
    if not cache.is_dir():
        return
    for path in cache.rglob(f"{deletion.object_id[:20]}-*.parquet"):
        path.unlink(missing_ok=True)
    for version in (cache / bucket).glob("*"):
        (version / deletion.landed_key).unlink(missing_ok=True)
