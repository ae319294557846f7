"""What a repair does: removes what nobody owns, sets aside what nobody can read, and leaves alone what is worked on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lakehead.contract import Contract
from lakehead.errors import CorruptRecord, ObjectNotFound, PreconditionFailed
from lakehead.etl.base import CommitRecord
from lakehead.etl.commit import list_object_commits, read_commit
from lakehead.etl.deletion import nothing_committed
from lakehead.etl.job import object_lock
from lakehead.etl.proof import misplaced
from lakehead.etl.proven import RecordRow
from lakehead.etl.record import decode, encode
from lakehead.model import utc_now
from lakehead.storage import layout
from lakehead.storage.base import ObjectInfo, ObjectStore

REPAIR = "lakehead verify --repair"


@dataclass(frozen=True, slots=True)
class Mender:
    """Mends a lake where `repair` is set; else says what there is to mend."""

    contracts: Mapping[str, Contract]
    raw: ObjectStore
    processed: ObjectStore
    raw_bucket: str
    bucket: str
    repair: bool
    stale_after: timedelta

    def set_aside(self, row: RecordRow) -> bool:
        """Put a damaged record where it harms nobody. Whether the way is free now.

        It is read once more, for somebody may have mended it meanwhile, and replaced only as it was read.
        """
        if not self.repair:
            return False
        place = layout.commit_key(row.dataset, row.object_id)
        with self.processed.lock(self.bucket, object_lock(row.object_id)):
            try:
                data, etag = self.processed.get_with_etag(self.bucket, place)
                record, _ = decode(data, bucket=self.bucket, key=place)
                if record.deleted or not misplaced(record, row.dataset, row.object_id):
                    return True
            except ObjectNotFound:
                return True
            except CorruptRecord:
                pass
            aside = layout.damaged_key(row.dataset, row.object_id, f"{utc_now():%Y%m%dT%H%M%S}")
            self.processed.put(self.bucket, aside, data)
            nothing = encode(nothing_committed(row.dataset, row.object_id, self.raw_bucket))
            try:
                self.processed.put(self.bucket, place, nothing, if_match=etag)
            except PreconditionFailed:
                self.processed.delete(self.bucket, aside)
            return True

    def remove_orphan(self, key: str, ids_like: Callable[[str, str], list[str]]) -> bool:
        """Whether no record names a file, so that it is left over; with `repair` it is removed.

        What the objects of damaged records own is left alone: their files may be all that is left of them. `ids_like`
        tells the ids of records that are known of, for listing them takes its time.
        """
        owner = layout.owner_of(key)
        assert owner is not None
        with self.processed.lock(self.bucket, object_lock(owner)):
            if not self._is_left_over(key, owner, ids_like):
                return False
            if self.repair:
                self.processed.delete(self.bucket, key)
            return True

    def _may_be_at_work(self, info: ObjectInfo) -> bool:
        """Whether somebody may be about to commit it: where nothing keeps others out, for as long as it is young."""
        return not self.processed.excludes and utc_now() - info.last_modified < self.stale_after

    def _is_left_over(self, key: str, owner: str, ids_like: Callable[[str, str], list[str]]) -> bool:
        try:
            now = self.processed.head(self.bucket, key)
        except ObjectNotFound:
            return False
        if self._may_be_at_work(now):
            return False  # perhaps written again, under the same name, since it was listed
        for dataset in self.contracts:
            if key.startswith((layout.dataset_prefix(dataset), layout.quarantine_prefix(dataset))):
                for record in self._records(dataset, owner, ids_like(dataset, owner)):
                    if not isinstance(record, CommitRecord) or key in record.keys:
                        return False
        return True

    def _records(self, dataset: str, owner: str, known: list[str]) -> Iterator[CommitRecord | CorruptRecord]:
        """The records of the objects whose id begins so."""
        if not known:
            yield from list_object_commits(self.processed, self.bucket, dataset, owner)
        for identity in known:
            try:
                record = read_commit(self.processed, self.bucket, dataset, identity)
            except CorruptRecord as error:
                yield error
                continue
            if record is None:
                continue
            wrong = misplaced(record, dataset, identity)
            yield CorruptRecord(wrong) if wrong else record

    def stale_staging(self) -> Iterator[Path]:
        """What attempts that never ended left, removed with `repair`."""
        for path in self.processed.stale_staging(self.bucket, self.stale_after):
            if self.repair:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            yield path

    def drop_markers(self, is_held: Callable[[str, str], bool]) -> None:
        """Drop content markers of rows that were replaced since. They do no harm, so they are no finding.

        `is_held` tells whether a record of a dataset has a content.
        """
        for dataset in self.contracts:
            prefix = layout.content_prefix(dataset)
            for info in self.processed.list(self.bucket, prefix):
                content = info.key.removeprefix(prefix).removesuffix(".json")
                if "/" in content or utc_now() - info.last_modified < self.stale_after:
                    continue
                if not is_held(dataset, content):
                    self.processed.delete(self.bucket, info.key)
