"""What the commit records say of a table's files, where the catalog's view of them is out of date."""

from __future__ import annotations

from collections.abc import Iterator

from lakehead.catalog import CatalogFile, Table
from lakehead.catalog.changes import fingerprint
from lakehead.catalog.crawl import contribution
from lakehead.catalog.targets import QUARANTINE
from lakehead.errors import ObjectNotFound
from lakehead.etl.commit import read_commit
from lakehead.model import Zone
from lakehead.storage.base import ObjectStore


def committed_files(store: ObjectStore, table: Table, files: list[CatalogFile]) -> list[CatalogFile]:
    """The files, with those of every object of which one is gone replaced by what its commit record names now.

    Between a commit and the crawl that follows it the catalog still names files that the commit deleted.
    """
    stale = {file.object_id for file in files if not _is_there(store, file)}
    found = [file for file in files if file.object_id not in stale]
    if table.zone != Zone.RAW:
        for object_id in sorted(stale):
            found += _of_record(store, table, object_id)
    return found


def _of_record(store: ObjectStore, table: Table, object_id: str) -> Iterator[CatalogFile]:
    record = read_commit(store, table.bucket, table.dataset, object_id)
    if record is None:
        return
    schema, files = contribution(record, quarantine=table.zone == QUARANTINE)
    for file in files:
        held = schema if file.schema is None else file.schema
        yield CatalogFile(
            bucket=table.bucket,
            key=file.key,
            partition=file.partition,
            rows=file.rows,
            bytes=file.bytes,
            object_id=object_id,
            fingerprint=fingerprint(held),
            schema=held,
        )


def _is_there(store: ObjectStore, file: CatalogFile) -> bool:
    path = store.local_path(file.bucket, file.key)
    if path is not None:
        return path.exists()
    try:
        store.head(file.bucket, file.key)
    except ObjectNotFound:
        return False
    return True
