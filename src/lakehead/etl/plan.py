"""Decides what an attempt does to an object's commit record. Pure: a plan is made before any file is touched."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from lakehead.errors import RewriteRefused
from lakehead.etl.base import CommitRecord, CommittedFile, EngineResult, JobRequest, Portion, StagedFile
from lakehead.etl.record import encode, store_form
from lakehead.model import Json, ObjectVersion, sequencer_order
from lakehead.storage import layout
from lakehead.storage.base import Move

if TYPE_CHECKING:
    from lakehead.contract import Contract


class Outcome(StrEnum):
    """What becomes of an attempt."""

    COMMITTED = "committed"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Stored:
    """A commit record as it was read: with the etag to replace it by, and what this version does not know of it."""

    record: CommitRecord
    etag: str
    document: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What an attempt would commit. `request.source` is resolved: etag, size and sequencer are the version's own.

    Every staged file has its `sha256`. `duplicate_of` is set where another key's rows stand for this object's.
    """

    request: JobRequest
    contract: Contract
    content_sha256: str
    engine: str
    result: EngineResult
    committed_at: str
    duplicate_of: str = ""


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """What to do, in this order: delete `leftovers`, move files, put the record, delete what it replaced.

    `document` is the record to put (None: nothing changes) over the one with etag `if_match` (empty: where none is).
    """

    outcome: Outcome
    bucket: str
    commit_key: str
    record: CommitRecord
    leftovers: tuple[str, ...] = ()
    moves: tuple[Move, ...] = ()
    document: bytes | None = None
    if_match: str = ""
    deletions: tuple[str, ...] = ()


def decide(
    current: CommitRecord | None, source: ObjectVersion, content_sha256: str, contract: Contract, *, force: bool = False
) -> Outcome:
    """What a version of an object is to its record.

    - A version that was deleted for good: superseded, whatever `force` says; a later one is committed.
    - The same bytes under the same contract: unchanged, unless `force` loads them again.
    - Other bytes with an older sequencer: superseded.
    - Other bytes that are newer: committed as the contract's onRewrite says; `reject` raises RewriteRefused.
    - The same bytes under another contract: committed, whatever the sequencer and onRewrite.
    """
    if current is None:
        return Outcome.COMMITTED
    if current.deleted:
        newer = sequencer_order(source.sequencer) > sequencer_order(current.source.sequencer)
        return Outcome.COMMITTED if newer else Outcome.SUPERSEDED
    held = next((one for one in portions_of(current) if one.content_sha256 == content_sha256), None)
    if held is not None:
        same = held.contract_sha256 == contract.sha256 and not force
        return Outcome.UNCHANGED if same else Outcome.COMMITTED
    if sequencer_order(source.sequencer) < sequencer_order(current.source.sequencer):
        return Outcome.SUPERSEDED
    if contract.on_rewrite == "reject":
        raise RewriteRefused(
            "the object was rewritten, and the contract says onRewrite: reject; its first rows stay",
            hint="Land the file under another key, or set onRewrite to replace or append.",
            dataset=current.dataset,
            bucket=source.bucket,
            key=source.key,
            committed=current.content_sha256,
            received=content_sha256,
        )
    return Outcome.COMMITTED


def portions_of(record: CommitRecord) -> tuple[Portion, ...]:
    """What each version contributed; one portion where the record holds a single version."""
    return record.portions or (
        Portion(
            record.content_sha256,
            record.contract_sha256,
            record.rows_read,
            record.rows_committed,
            record.rows_quarantined,
            record.keys,
            record.reasons,
        ),
    )


def plan_publish(
    current: Stored | None, candidate: Candidate, *, bucket: str, force: bool | None = None
) -> PublishPlan:
    """The plan for a candidate over the record as it is. `force` stands in for the request's. Raises RewriteRefused."""
    request = candidate.request
    commit_key = layout.commit_key(request.dataset, request.source.id)
    again = request.force if force is None else force
    outcome = decide(
        current.record if current else None,
        request.source,
        candidate.content_sha256,
        candidate.contract,
        force=again,
    )
    if current is not None and outcome is not Outcome.COMMITTED:
        return plan_nothing(outcome, current, request.source, bucket=bucket)
    record, moves = _commit(current.record if current else None, candidate)
    return PublishPlan(
        outcome,
        bucket,
        commit_key,
        record,
        leftovers=_leftovers(current),
        moves=moves,
        document=encode(record),
        if_match=current.etag if current else "",
        deletions=record.replaced,
    )


def plan_nothing(outcome: Outcome, current: Stored, source: ObjectVersion, *, bucket: str) -> PublishPlan:
    """The plan for a version whose rows are there already, or are too old.

    A newer sequencer of the same bytes is noted in the record, so that an event in between cannot win later.
    """
    record, document = current.record, None
    newer = sequencer_order(source.sequencer) > sequencer_order(record.source.sequencer)
    if outcome is Outcome.UNCHANGED and newer:
        record = replace(record, source=source)
        told = {name: getattr(source, name) for name in ("bucket", "key", "etag", "size", "sequencer", "version_id")}
        document = store_form({**current.document, "source": {**current.document.get("source", {}), **told}}, record)
    commit_key = layout.commit_key(record.dataset, record.object_id)
    leftovers = _leftovers(current) if outcome is Outcome.UNCHANGED else ()
    return PublishPlan(outcome, bucket, commit_key, record, leftovers, document=document, if_match=current.etag)


def _leftovers(current: Stored | None) -> tuple[str, ...]:
    """Files that a crash may have kept from being deleted."""
    if current is None:
        return ()
    return tuple(key for key in _own(current.record, current.record.replaced) if key not in current.record.keys)


def _own(record: CommitRecord, keys: tuple[str, ...]) -> tuple[str, ...]:
    """The keys whose names say that they are the record's object's: a damaged record never deletes another's files."""
    return tuple(key for key in keys if layout.owner_of(key) == record.object_id[:20])


def _commit(current: CommitRecord | None, candidate: Candidate) -> tuple[CommitRecord, tuple[Move, ...]]:
    request, contract, result = candidate.request, candidate.contract, candidate.result
    files, quarantine, moves = _named(current, candidate)
    kept = _kept_portions(current, candidate)
    kept_keys = {key for portion in kept for key in portion.keys}
    own = Portion(
        candidate.content_sha256,
        contract.sha256,
        result.rows_read,
        result.rows_committed,
        result.rows_quarantined,
        tuple(file.key for file in (*files, *quarantine)),
        dict(result.reasons),
    )
    portions = (*kept, own)
    newest = current is None or sequencer_order(request.source.sequencer) >= sequencer_order(current.source.sequencer)
    record = CommitRecord(
        dataset=request.dataset,
        object_id=request.source.id,
        source=request.source if newest or current is None else current.source,
        content_sha256=candidate.content_sha256 if newest or current is None else current.content_sha256,
        contract_version=contract.version,
        contract_sha256=contract.sha256,
        engine=candidate.engine,
        execution=request.execution,
        attempt=request.attempt,
        committed_at=candidate.committed_at,
        rows_read=sum(portion.rows_read for portion in portions),
        rows_committed=sum(portion.rows_committed for portion in portions),
        rows_quarantined=sum(portion.rows_quarantined for portion in portions),
        files=(*(file for file in (current.files if current else ()) if file.key in kept_keys), *files),
        quarantine=(*(file for file in (current.quarantine if current else ()) if file.key in kept_keys), *quarantine),
        # A partition column lies in the names of the folders, not in the files.
        schema=tuple((c.name, c.type.sql) for c in contract.columns if c.name not in contract.partitions),
        reasons=_sum_reasons(portions),
        warnings=result.warnings,
        portions=portions if contract.on_rewrite == "append" else (),
        duplicate_of=candidate.duplicate_of,
    )
    gone = tuple(key for key in _own(record, current.keys if current else ()) if key not in record.keys)
    return replace(record, replaced=gone), moves


def _kept_portions(current: CommitRecord | None, candidate: Candidate) -> tuple[Portion, ...]:
    if current is None or current.deleted or candidate.contract.on_rewrite != "append":
        return ()
    return tuple(one for one in portions_of(current) if one.content_sha256 != candidate.content_sha256)


def _named(
    current: CommitRecord | None, candidate: Candidate
) -> tuple[tuple[CommittedFile, ...], tuple[CommittedFile, ...], tuple[Move, ...]]:
    """Final names: a function of the source's bytes, the contract and the files' bytes, so a rerun gives the same.

    The files' bytes are in the name because then two attempts can never write different bytes under one name. A name
    whose deletion may still be under way in another process is passed over.
    """
    request, result = candidate.request, candidate.result
    staged = (*result.files, *((result.quarantine,) if result.quarantine else ()))
    taken = set(current.replaced) if current else set()
    for salt in itertools.count():
        digest = layout.version_digest(
            candidate.content_sha256,
            candidate.contract.sha256,
            *(file.sha256 for file in staged),
            *[str(salt)] * bool(salt),
        )
        keys = [
            layout.data_key(request.dataset, file.partition, request.source.id, digest, number)
            for number, file in enumerate(result.files)
        ]
        if result.quarantine:
            keys.append(layout.quarantine_key(request.dataset, request.source.id, digest))
        if taken.isdisjoint(keys):
            break
    files = tuple(_committed(file, key) for file, key in zip(staged, keys, strict=True))
    moves = tuple(Move(file.path, key) for file, key in zip(staged, keys, strict=True))
    count = len(result.files)
    return files[:count], files[count:], moves


def _committed(file: StagedFile, key: str) -> CommittedFile:
    return CommittedFile(key, file.partition, file.rows, file.bytes, file.sha256)


def _sum_reasons(portions: tuple[Portion, ...]) -> dict[str, int]:
    total: dict[str, int] = {}
    for portion in portions:
        for reason, rows in portion.reasons.items():
            total[reason] = total.get(reason, 0) + rows
    return total
