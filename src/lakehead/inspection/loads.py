"""What is loaded, by the commit records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from lakehead.etl.base import CommitRecord, CommittedFile
from lakehead.etl.commit import read_commit, scan_commits
from lakehead.model import object_id
from lakehead.results import Loaded, LoadedFile
from lakehead.storage import ObjectStore


def readable_commits(store: ObjectStore, bucket: str, dataset: str) -> Iterator[CommitRecord]:
    """A dataset's commit records, without damaged ones: those are for `verify` to tell of."""
    return (found for _, found in scan_commits(store, bucket, dataset) if isinstance(found, CommitRecord))


def loaded(store: ObjectStore, bucket: str, dataset: str, key: str) -> Loaded | None:
    """What the lake holds of the landed object `key`; None where nothing of it was committed. Raises CorruptRecord."""
    record = read_commit(store, bucket, dataset, object_id(key))
    if record is None:
        return None
    source = record.source
    return Loaded(
        dataset=record.dataset,
        bucket=source.bucket,
        key=source.key,
        etag=source.etag,
        size=source.size,
        committed_at=datetime.fromisoformat(record.committed_at),
        execution=record.execution,
        contract_version=record.contract_version,
        engine=record.engine,
        rows_read=record.rows_read,
        rows_committed=record.rows_committed,
        rows_quarantined=record.rows_quarantined,
        reasons=dict(record.reasons),
        files=_files(record.files),
        quarantine=_files(record.quarantine),
    )


def _files(files: Iterable[CommittedFile]) -> tuple[LoadedFile, ...]:
    return tuple(LoadedFile(one.key, one.partition, one.rows, one.bytes) for one in files)
