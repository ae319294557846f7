"""Commit records in a store: reading them, and carrying out a plan to publish an object's rows.

The record is the one truth. Files that it does not name do not count, so they are moved into place before it is put and
deleted after it was replaced; a crash at any instruction leaves the old record or the new one, each with its files.
Whoever comes next finishes what a crash left: the record names the files that it replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from lakehead.errors import CommitConflict, CorruptRecord, ObjectNotFound, PreconditionFailed
from lakehead.etl.base import CommitRecord, JobOutcome
from lakehead.etl.plan import Candidate, Outcome, PublishPlan, Stored, decide, plan_nothing, plan_publish, portions_of
from lakehead.etl.record import decode
from lakehead.logs import log_context
from lakehead.storage import layout
from lakehead.storage.base import ObjectStore, Put

__all__ = [
    "Candidate",
    "Outcome",
    "PublishPlan",
    "Stored",
    "decide",
    "list_commits",
    "list_object_commits",
    "plan_nothing",
    "plan_publish",
    "portions_of",
    "publish",
    "publish_all",
    "read_commit",
    "read_stored",
    "scan_commits",
]

_log = logging.getLogger(__name__)


def read_commit(store: ObjectStore, bucket: str, dataset: str, object_id: str) -> CommitRecord | None:
    """An object's commit record, None where nothing of it is committed. Raises CorruptRecord."""
    stored = read_stored(store, bucket, dataset, object_id)
    return stored.record if stored and not stored.record.deleted else None


def read_stored(store: ObjectStore, bucket: str, dataset: str, object_id: str) -> Stored | None:
    """An object's commit record, or its tombstone, with the etag to replace it by. Raises CorruptRecord."""
    key = layout.commit_key(dataset, object_id)
    try:
        data, etag = store.get_with_etag(bucket, key)
    except ObjectNotFound:
        return None
    record, document = decode(data, bucket=bucket, key=key)
    return Stored(record, etag, document)


def list_commits(store: ObjectStore, bucket: str, dataset: str) -> Iterator[CommitRecord]:
    """A dataset's commit records in the order of their object ids. Raises CorruptRecord at one that cannot be read."""
    for _, found in scan_commits(store, bucket, dataset):
        if isinstance(found, CorruptRecord):
            raise found
        yield found


def scan_commits(store: ObjectStore, bucket: str, dataset: str) -> Iterator[tuple[str, CommitRecord | CorruptRecord]]:
    """Object ids with their commit records, or with the error of one that cannot be read."""
    yield from _scan(store, bucket, dataset, "")


def list_object_commits(
    store: ObjectStore, bucket: str, dataset: str, beginning: str
) -> Iterator[CommitRecord | CorruptRecord]:
    """The records of the objects whose id begins so."""
    for _, found in _scan(store, bucket, dataset, beginning):
        yield found


def _scan(
    store: ObjectStore, bucket: str, dataset: str, beginning: str
) -> Iterator[tuple[str, CommitRecord | CorruptRecord]]:
    prefix = layout.commit_prefix(dataset)
    for info in store.list(bucket, prefix + beginning):
        name = info.key.removeprefix(prefix)
        if "/" in name or not name.endswith(".json"):
            continue  # of a dataset below this one, `sales/orders/returns`
        object_id = name.removesuffix(".json")
        try:
            record = read_commit(store, bucket, dataset, object_id)
        except CorruptRecord as error:
            yield object_id, error
        else:
            if record is not None:
                yield object_id, record


def publish(plan: PublishPlan, store: ObjectStore) -> JobOutcome:
    """Carry out a plan. Its staged files are consumed.

    Raises CommitConflict when the record is not the one that the plan was made over: then nothing of the plan counts,
    and its files are removed again.
    """
    (told,) = publish_all([plan], store)
    if isinstance(told, CommitConflict):
        raise told
    return told


def publish_all(plans: Sequence[PublishPlan], store: ObjectStore) -> list[JobOutcome | CommitConflict]:
    """Carry out the plans for different objects of one bucket, each as by `publish`; they share waits for the disk.

    Raises what stores raise: then each plan may have been carried out or not, and its job is to be run again.
    """
    for plan in plans:
        for key in plan.leftovers:
            store.delete(plan.bucket, key)
    moves = [move for plan in plans for move in plan.moves]
    if moves:
        store.move_files(plans[0].bucket, moves)
    refused = _put_records(plans, store)
    return [_finish(plan, store, refused.get(plan.commit_key)) for plan in plans]


def _put_records(plans: Sequence[PublishPlan], store: ObjectStore) -> dict[str, PreconditionFailed]:
    """Put the records. Returns what kept one from being put, by its key."""
    puts = [Put(plan.commit_key, plan.document, plan.if_match) for plan in plans if plan.document is not None]
    refused = store.put_all(plans[0].bucket, puts) if puts else ()
    return {put.key: error for put, error in zip(puts, refused, strict=True) if error is not None}


def _finish(plan: PublishPlan, store: ObjectStore, refused: PreconditionFailed | None) -> JobOutcome | CommitConflict:
    if refused is not None:
        _withdraw(plan, store)
        conflict = CommitConflict(
            "another attempt wrote the object's commit record in between",
            hint="Run the job again.",
            bucket=plan.bucket,
            key=plan.commit_key,
        )
        conflict.__cause__ = refused
        return conflict
    for key in plan.deletions:
        store.delete(plan.bucket, key)
    record = plan.record
    with log_context(execution=record.execution, object=str(record.source), dataset=record.dataset):
        _log.info("%s: %d rows committed, %d quarantined", plan.outcome, record.rows_committed, record.rows_quarantined)
    return JobOutcome(str(plan.outcome), record, plan.commit_key)


def _withdraw(plan: PublishPlan, store: ObjectStore) -> None:
    winner = read_commit(store, plan.bucket, plan.record.dataset, plan.record.object_id)
    needed = set(winner.keys) if winner else set()
    for move in plan.moves:
        if move.key not in needed:
            store.delete(plan.bucket, move.key)
