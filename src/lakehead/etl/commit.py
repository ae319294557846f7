"""Commit records in a store: reading them, and carrying out a plan to publish an object's rows.

The record is the one truth. Files that it does not name do not count, so they are moved into place before it is put and
deleted after it was replaced; a crash at any instruction leaves the old record or the new one, each with its files.
Whoever comes next finishes what a crash left: the record names the files that it replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from lakehead.errors import CommitConflict, CorruptRecord, LakeheadError, ObjectNotFound, PreconditionFailed
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
    and its files are removed again. Raises what stores raise.
    """
    (told,) = publish_all([plan], store)
    if isinstance(told, LakeheadError):
        raise told
    return told


def publish_all(plans: Sequence[PublishPlan], store: ObjectStore) -> list[JobOutcome | LakeheadError]:
    """Carry out the plans for different objects of one bucket, each as by `publish`; they share waits for the disk.

    For each its outcome, or what `publish` raises. After an error other than CommitConflict the plan may have been
    carried out or not, and its job is to be run again: only then its record is made durable, if it is there.
    """
    faults: dict[int, LakeheadError] = {}
    for step in (_delete_leftovers, _move_files, _put_records, _make_durable):
        going = {number: plan for number, plan in enumerate(plans) if number not in faults}
        faults |= step(going, store)
    return [faults.get(number) or _finish(plan, store) for number, plan in enumerate(plans)]


_Plans: TypeAlias = Mapping[int, PublishPlan]
_Faults: TypeAlias = dict[int, LakeheadError]


def _delete_leftovers(plans: _Plans, store: ObjectStore) -> _Faults:
    faults: _Faults = {}
    for number, plan in plans.items():
        try:
            for key in plan.leftovers:
                store.delete(plan.bucket, key)
        except LakeheadError as error:
            faults[number] = error
    return faults


def _move_files(plans: _Plans, store: ObjectStore) -> _Faults:
    moves = [(number, move) for number, plan in plans.items() for move in plan.moves]
    numbers = [number for number, _ in moves]
    return _told(numbers, lambda: store.move_files(_bucket(plans), [move for _, move in moves]))


def _put_records(plans: _Plans, store: ObjectStore) -> _Faults:
    puts = {
        number: Put(plan.commit_key, plan.document, plan.if_match)
        for number, plan in plans.items()
        if plan.document is not None
    }
    faults = _told(list(puts), lambda: store.put_all(_bucket(plans), list(puts.values())))
    for number, fault in faults.items():
        if isinstance(fault, PreconditionFailed):
            faults[number] = _conflict(plans[number], store, fault)
    return faults


def _make_durable(plans: _Plans, store: ObjectStore) -> _Faults:
    """What is told to be there already may have been left by an attempt that failed before it was durable."""
    there = {number: plan.commit_key for number, plan in plans.items() if plan.document is None}

    def make_durable() -> Sequence[None]:
        store.make_durable(_bucket(plans), list(there.values()))
        return [None] * len(there)

    return _told(list(there), make_durable)


def _bucket(plans: _Plans) -> str:
    return next(iter(plans.values())).bucket


def _told(numbers: Sequence[int], work: Callable[[], Sequence[LakeheadError | None]]) -> _Faults:
    """What work that is shared tells of each number, or raises for all of them; nothing is done for none."""
    if not numbers:
        return {}
    try:
        return {number: error for number, error in zip(numbers, work(), strict=True) if error is not None}
    except LakeheadError as error:
        return dict.fromkeys(numbers, error)


def _conflict(plan: PublishPlan, store: ObjectStore, refused: PreconditionFailed) -> LakeheadError:
    """Another attempt was first: then this one's files are removed again."""
    try:
        _withdraw(plan, store)
    except LakeheadError as error:
        return error
    conflict = CommitConflict(
        "another attempt wrote the object's commit record in between",
        hint="Run the job again.",
        bucket=plan.bucket,
        key=plan.commit_key,
    )
    conflict.__cause__ = refused
    return conflict


def _finish(plan: PublishPlan, store: ObjectStore) -> JobOutcome | LakeheadError:
    """Delete what the record replaced. Where that fails, the job is run again and deletes it as leftovers."""
    record = plan.record
    with log_context(execution=record.execution, object=str(record.source), dataset=record.dataset):
        try:
            for key in plan.deletions:
                store.delete(plan.bucket, key)
        except LakeheadError as error:
            return error
        _log.info("%s: %d rows committed, %d quarantined", plan.outcome, record.rows_committed, record.rows_quarantined)
    return JobOutcome(str(plan.outcome), record, plan.commit_key)


def _withdraw(plan: PublishPlan, store: ObjectStore) -> None:
    winner = read_commit(store, plan.bucket, plan.record.dataset, plan.record.object_id)
    needed = set(winner.keys) if winner else set()
    for move in plan.moves:
        if move.key not in needed:
            store.delete(plan.bucket, move.key)
