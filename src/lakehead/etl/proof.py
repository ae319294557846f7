"""Proves commit records against the files they name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

from lakehead.errors import ObjectNotFound
from lakehead.etl.base import CommitRecord, CommittedFile
from lakehead.etl.staged import remote_row_count, row_counts
from lakehead.storage import layout
from lakehead.storage.base import ObjectStore
from lakehead.storage.etags import sha256_file

Fault: TypeAlias = tuple[str, str, str]
"""The kind of the finding, the place, and what is wrong there."""

AT_ONCE = 16
"""How many objects of a store elsewhere are read at a time."""

A = TypeVar("A")
B = TypeVar("B")


class Prover:
    """Looks at the files of records. `size_of` tells the size of a file, None where there is none."""

    def __init__(self, store: ObjectStore, bucket: str, size_of: Callable[[str], int | None]) -> None:
        self._store, self._bucket, self._size_of = store, bucket, size_of
        self.remote = store.local_path(bucket, "x") is None

    def faults(self, records: Sequence[CommitRecord], *, deep: bool = False) -> list[list[Fault]]:
        """What is wrong with each record; empty where it holds. With `deep` bytes are compared too."""
        sizes = {file.key: self._size_of(file.key) for record in records for file in _files(record)}
        present = [file for record in records for file in _files(record) if sizes[file.key] == file.bytes]
        counted = dict(zip((file.key for file in present), self._rows(present), strict=True))
        changed = {file.key for file in present if not self._same_bytes(file)} if deep else set()
        return [
            [
                *_sums(record),
                *(fault for file in _files(record) for fault in _fault(record, file, sizes, counted, changed)),
            ]
            for record in records
        ]

    def each(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """`map`, many at a time where the store is elsewhere."""
        if not self.remote:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(work, items)

    def _rows(self, files: Sequence[CommittedFile]) -> list[int | None]:
        paths = [self._store.local_path(self._bucket, file.key) for file in files]
        local = [path for path in paths if path is not None]
        if len(local) == len(paths):
            return row_counts(local)
        return list(self.each(self._remote_rows, files))

    def _remote_rows(self, file: CommittedFile) -> int | None:
        try:
            return remote_row_count(self._store, self._bucket, file.key, file.bytes)
        except ObjectNotFound:  # since it was listed
            return None

    def _same_bytes(self, file: CommittedFile) -> bool:
        try:
            with self._store.open(self._bucket, file.key) as stream:
                return not file.sha256 or sha256_file(stream) == file.sha256
        except ObjectNotFound:
            return False


def misplaced(record: CommitRecord, dataset: str, identity: str) -> str:
    """What is wrong with a record being where it is; empty where that is its place."""
    if record.dataset != dataset or record.object_id != identity or record.source.id != identity:
        return f"the record is about another object: {record.dataset} {record.source.key}"
    return ""


def _files(record: CommitRecord) -> tuple[CommittedFile, ...]:
    return (*record.files, *record.quarantine)


def _fault(
    record: CommitRecord,
    file: CommittedFile,
    sizes: dict[str, int | None],
    counted: dict[str, int | None],
    changed: set[str],
) -> Iterator[Fault]:
    size, place = sizes[file.key], file.key
    if size is None:
        yield "missing_file", place, f"the record names it, with {file.rows} rows"
    elif size != file.bytes:
        yield "wrong_size", place, f"{file.bytes} bytes were committed, {size} are there"
    elif counted[file.key] != file.rows:
        yield "wrong_rows", place, f"{file.rows} rows were committed, {_told(counted[file.key])} there"
    elif file.key in changed:
        yield "wrong_bytes", place, "other bytes than were committed"
    if file in record.files and _astray(record.dataset, file):
        yield "misplaced_file", place, "not in its partition"


def _astray(dataset: str, file: CommittedFile) -> bool:
    folder = f"{dataset}/{file.partition}" if file.partition else dataset
    return file.key.rpartition("/")[0] != folder


def _told(rows: int | None) -> str:
    return "no Parquet file is" if rows is None else f"{rows} are"


def _sums(record: CommitRecord) -> list[Fault]:
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
    place = layout.commit_key(record.dataset, record.object_id)
    return [
        ("rows_unaccounted", place, f"{what} differ: {one} and {other}") for what, one, other in sums if one != other
    ]
