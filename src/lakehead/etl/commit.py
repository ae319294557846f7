"""Commit records in a store: reading them, and carrying out a plan to publish an object's rows.

The record is the one truth. Files that it does not name do not count, so they are moved into place before it is put and
deleted after it was replaced; a crash at any instruction leaves the old record or the new one, each with its files.
Whoever comes next finishes what a crash left: the record names the files that it replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from lakehead.errors import CommitConflict, CorruptRecord, ObjectNotFound, PreconditionFailed
from lakehead.etl.base import CommitRecord, JobOutcome
from lakehead.etl.plan import Candidate, Outcome, PublishPlan, Stored, decide, plan_nothing, plan_publish, portions_of
from lakehead.etl.record import decode
from lakehead.storage import layout
from lakehead.storage.base import ObjectStore

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
    for key in plan.leftovers:
        store.delete(plan.bucket, key)
    if plan.moves:
        store.move_files(plan.bucket, plan.moves)
    if plan.document is not None:
        _put_record(plan, store, plan.document)
    for key in plan.deletions:
        store.delete(plan.bucket, key)
    record = plan.record
    _log.info("%s: %d rows committed, %d quarantined", plan.outcome, record.rows_committed, record.rows_quarantined)
    return JobOutcome(str(plan.outcome), record, plan.commit_key)


def _put_record(plan: PublishPlan, store: ObjectStore, document: bytes) -> None:
    try:
        store.put(plan.bucket, plan.commit_key, document, if_none_match=not plan.if_match, if_match=plan.if_match)
    except PreconditionFailed as error:
        _withdraw(plan, store)
        raise CommitConflict(
            "another attempt wrote the object's commit record in between",
            hint="Run the job again.",
            bucket=plan.bucket,
            key=plan.commit_key,
        ) from error


def _withdraw(plan: PublishPlan, store: ObjectStore) -> None:
    winner = read_commit(store, plan.bucket, plan.record.dataset, plan.record.object_id)
    needed = set(winner.keys) if winner else set()
    for move in plan.moves:
        if move.key not in needed:
            store.delete(plan.bucket, move.key)
