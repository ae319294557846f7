"""Proves one commit record against the files it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from lakehead.errors import ObjectNotFound
from lakehead.etl.base import CommitRecord, CommittedFile
from lakehead.etl.staged import remote_row_count, row_counts
from lakehead.storage import layout
from lakehead.storage.base import ObjectInfo, ObjectStore
from lakehead.storage.etags import sha256_file

Fault: TypeAlias = tuple[str, str, str]
"""The kind of the finding, the place, and what is wrong there."""


class RecordProof:
    """Looks at the files of records. `listed` are the files of a listing that was made before the records were read."""

    def __init__(
        self, store: ObjectStore, bucket: str, dataset: str, listed: Mapping[str, ObjectInfo], *, deep: bool = False
    ) -> None:
        self._store, self._bucket, self._dataset = store, bucket, dataset
        self._listed, self._deep = listed, deep

    def faults(self, record: CommitRecord) -> list[Fault]:
        """What is wrong with a record; empty where it holds."""
        place = layout.commit_key(record.dataset, record.object_id)
        found = [("rows_unaccounted", place, detail) for detail in _sums(record)]
        present: list[tuple[CommittedFile, ObjectInfo]] = []
        for file in (*record.files, *record.quarantine):
            info = self._info(file.key)
            if info is None:
                found.append(("missing_file", file.key, f"the record names it, with {file.rows} rows"))
            elif info.size != file.bytes:
                found.append(("wrong_size", file.key, f"{file.bytes} bytes were committed, {info.size} are there"))
            else:
                present.append((file, info))
        found += [("misplaced_file", file.key, "not in its partition") for file in record.files if self._astray(file)]
        return found + self._rows(present) + (self._bytes(present) if self._deep else [])

    def _info(self, key: str) -> ObjectInfo | None:
        found = self._listed.get(key)
        if found is not None:
            return found
        try:
            return self._store.head(self._bucket, key)
        except ObjectNotFound:
            return None

    def _astray(self, file: CommittedFile) -> bool:
        folder = f"{self._dataset}/{file.partition}" if file.partition else self._dataset
        return file.key.rpartition("/")[0] != folder

    def _rows(self, present: list[tuple[CommittedFile, ObjectInfo]]) -> list[Fault]:
        paths = [self._store.local_path(self._bucket, file.key) for file, _ in present]
        local = [path for path in paths if path is not None]
        if len(local) == len(paths):
            counted = row_counts(local)
        else:
            counted = [remote_row_count(self._store, self._bucket, info.key, info.size) for _, info in present]
        return [
            ("wrong_rows", file.key, f"{file.rows} rows were committed, {_told(rows)} there")
            for (file, _), rows in zip(present, counted, strict=True)
            if rows != file.rows
        ]

    def _bytes(self, present: list[tuple[CommittedFile, ObjectInfo]]) -> list[Fault]:
        found: list[Fault] = []
        for file, _ in present:
            with self._store.open(self._bucket, file.key) as stream:
                if file.sha256 and sha256_file(stream) != file.sha256:
                    found.append(("wrong_bytes", file.key, "other bytes than were committed"))
        return found


def _told(rows: int | None) -> str:
    return "no Parquet file is" if rows is None else f"{rows} are"


def _sums(record: CommitRecord) -> list[str]:
    """Where counts do not add up: rows read, the sum of the partitions, the quarantine, the versions of an append."""
    sums = [
        (
            "rows read and rows committed + quarantined",
            record.rows_read,
            record.rows_committed + record.rows_quarantined,
        ),
        ("rows committed and the sum of its files", record.rows_committed, sum(file.rows for file in record.files)),
        ("rows quarantined and its files", record.rows_quarantined, sum(file.rows for file in record.quarantine)),
    ]
    if record.portions:
        told = sum(portion.rows_read for portion in record.portions)
        sums.append(("rows read and the sum of its versions", record.rows_read, told))
    return [f"{what} differ: {one} and {other}" for what, one, other in sums if one != other]
