"""One crawl's look at a zone: what each landed object contributes to the tables, as a plan that changes nothing yet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lakehead.catalog.athena_types import athena_type
from lakehead.catalog.changes import Changes, FoundFile, FoundObject, Schema
from lakehead.catalog.header import UnreadableHeader, column_names, read_header
from lakehead.catalog.targets import CrawlTarget, processed_spec, quarantine_columns, quarantine_spec, raw_spec
from lakehead.catalog.types import ColumnType, Quarantined
from lakehead.errors import CorruptRecord, ObjectNotFound
from lakehead.etl.base import CommitRecord
from lakehead.etl.commit import read_commit, scan_commits
from lakehead.model import Zone, iso, object_id
from lakehead.storage import layout
from lakehead.storage.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Someone stopped the crawl."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a crawl has to look at.

    `keys` are the landed objects to look at, or None for all. `known` tells the version of every object that the
    tables hold, so that a full crawl reads only what changed. `goes_on` raises Cancelled.
    """

    target: CrawlTarget
    store: ObjectStore
    datasets: tuple[str, ...]
    keys: tuple[str, ...] | None
    known: Mapping[str, str] = field(default_factory=dict)
    goes_on: Callable[[], None] = lambda: None

    def changes(self) -> Changes:
        """Look. Raises StorageUnavailable, BucketNotFound and Cancelled; no object alone makes it fail."""
        return _look_raw(self) if self.target.zone is Zone.RAW else _look_processed(self)


def _look_raw(look: Look) -> Changes:
    target, found, removed = look.target, [], set()
    unchanged, unreadable, objects = set(), 0, 0
    for key, info in _landed(look):
        look.goes_on()
        objects += 1
        identity = object_id(key)
        one = _landed_object(look, info) if info is not None and look.known.get(identity) != info.fingerprint else None
        if one is not None:
            found.append(one)
            unreadable += any(file.problem for file in one.files)
        elif info is not None and look.known.get(identity) == info.fingerprint:
            unchanged.add(identity)
        else:
            removed.add(identity)
    return Changes(
        tables=(raw_spec(target, look.store),),
        found=tuple(found),
        removed=frozenset(removed),
        unchanged=frozenset(unchanged),
        full=look.keys is None,
        objects=objects,
        unreadable=unreadable,
    )


def _landed(look: Look) -> Iterator[tuple[str, ObjectInfo | None]]:
    """The landed objects to look at, None for one that is gone."""
    if look.keys is None:
        for info in look.store.list(look.target.bucket, look.target.prefix):
            if _is_table_data(look, info.key):
                yield info.key, info
        return
    # One listing of a folder answers for all of its noted objects, and reads none of them.
    folders: dict[str, set[str]] = {}
    for key in look.keys:
        if _is_table_data(look, key):
            folders.setdefault(key.rpartition("/")[0] + "/", set()).add(key)
    for folder, keys in folders.items():
        listed = {info.key: info for info in _list_folder(look, folder, keys)}
        for key in sorted(keys):
            yield key, listed.get(key)


def _list_folder(look: Look, folder: str, keys: set[str]) -> Iterator[ObjectInfo]:
    if len(keys) == 1:
        folder = next(iter(keys))
    for info in look.store.list(look.target.bucket, folder):
        if info.key in keys:
            yield info
            if len(keys) == 1:
                return


def _is_table_data(look: Look, key: str) -> bool:
    """Whether the raw table shows this object: a CSV file of this dataset whose path has no hidden name."""
    if layout.dataset_of(key, look.datasets) != look.target.dataset or not key.lower().endswith((".csv", ".csv.gz")):
        return False
    return not any(segment.startswith(("_", ".")) for segment in key.split("/"))


def _landed_object(look: Look, info: ObjectInfo) -> FoundObject | None:
    contract, problem, schema = look.target.contract, "", Schema()
    if not contract.dialect.header:
        schema = _strings(one.name for one in contract.source_columns)
    elif info.size:
        try:
            with look.store.open(look.target.bucket, info.key) as stream:
                dialect = {"delimiter": contract.dialect.delimiter, "quote": contract.dialect.quote}
                compressed = info.key.lower().endswith(".gz")
                names = read_header(stream, {**dialect, "encoding": contract.dialect.encoding}, compressed=compressed)
            schema = _strings(names)
        except ObjectNotFound:
            return None
        except UnreadableHeader as error:
            problem = str(error)
            log.warning(
                "a landed file cannot be read, so its table leaves it out: %s", problem, extra={"key": info.key}
            )
    partition = "/".join(
        segment for segment in info.key.split("/")[:-1] if segment.partition("=")[0].lower() == layout.INGEST_PARTITION
    )
    return FoundObject(
        table=contract.raw_table,
        object_id=object_id(info.key),
        version=info.fingerprint,
        changed_at=iso(info.last_modified),
        schema=schema,
        files=(FoundFile(info.key, partition, None, info.size, problem),),
    )


def _look_processed(look: Look) -> Changes:
    target = look.target
    found: list[FoundObject] = []
    removed, unchanged, objects, unreadable = set(), set(), 0, 0
    for identity, record in _records(look):
        look.goes_on()
        objects += 1
        if isinstance(record, CorruptRecord):
            # What the tables hold of it stays; `lakehead verify` finds and mends the record.
            log.warning("a commit record cannot be read: %s", record, extra={"object_id": identity})
            unreadable += 1
            unchanged.add(identity)
        elif record is None:
            removed.add(identity)
        else:
            found += committed_objects(target, record)
    return Changes(
        tables=(
            processed_spec(target, look.store),
            quarantine_spec(target, look.store, quarantine_columns()),
        ),
        found=tuple(found),
        removed=frozenset(removed),
        unchanged=frozenset(unchanged),
        full=look.keys is None,
        objects=objects,
        unreadable=unreadable,
    )


def _records(look: Look) -> Iterator[tuple[str, CommitRecord | CorruptRecord | None]]:
    bucket, dataset = look.target.bucket, look.target.dataset
    if look.keys is None:
        yield from scan_commits(look.store, bucket, dataset)
        return
    for key in look.keys:
        identity = object_id(key)
        try:
            yield identity, read_commit(look.store, bucket, dataset, identity)
        except CorruptRecord as error:
            yield identity, error


def committed_objects(target: CrawlTarget, record: CommitRecord) -> tuple[FoundObject, FoundObject]:
    """What a commit record says of the processed and of the quarantine table."""
    version = f"{record.attempt}@{record.committed_at}"

    def of(table: str, *, quarantine: bool) -> FoundObject:
        schema, files = contribution(record, quarantine=quarantine)
        held = _held(record) if quarantine else None
        return FoundObject(table, record.object_id, version, record.committed_at, schema, files, held)

    return (
        of(target.contract.processed_table, quarantine=False),
        of(target.contract.quarantine_table, quarantine=True),
    )


def _held(record: CommitRecord) -> Quarantined:
    return Quarantined(
        record.source.key,
        record.rows_quarantined,
        datetime.fromisoformat(record.committed_at),
        record.execution,
        record.reasons,
    )


def contribution(record: CommitRecord, *, quarantine: bool) -> tuple[Schema, tuple[FoundFile, ...]]:
    """The schema and the files that a record brings to the processed (or the quarantine) table."""
    if quarantine:
        return quarantine_columns(), tuple(FoundFile(one.key, "", one.rows, one.bytes) for one in record.quarantine)
    schema = tuple(ColumnType(name.lower(), athena_type(kind)) for name, kind in record.schema)
    # With onRewrite: append, older files may come from an older contract, whose columns the record does not tell.
    older = {key for one in record.portions if one.contract_sha256 != record.contract_sha256 for key in one.keys}
    return schema, tuple(
        FoundFile(one.key, one.partition, one.rows, one.bytes, schema=() if one.key in older else None)
        for one in record.files
    )


def _strings(names: Iterable[str]) -> Schema:
    return tuple(ColumnType(name, "string") for name in column_names(names))
