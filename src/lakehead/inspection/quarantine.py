"""Quarantined rows and their reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from lakehead.catalog import Catalog, CatalogFile, Quarantined, Snapshot, Table
from lakehead.contract import Contract, sql
from lakehead.errors import NotFound, ObjectNotFound
from lakehead.etl.base import CommitRecord
from lakehead.results import IngestSummary, QuarantineReason, QuarantineReplay, QuarantineRow, QuarantineSummary
from lakehead.storage import ObjectStore

if TYPE_CHECKING:
    from lakehead.query.peek import Peek


def quarantined(records: Iterable[CommitRecord], limit: int) -> list[QuarantineSummary]:
    """The objects with quarantined rows, those with most first."""
    found = [
        QuarantineSummary(
            record.dataset,
            record.source.key,
            record.rows_quarantined,
            dict(sorted(record.reasons.items(), key=lambda item: (-item[1], item[0]))),
            datetime.fromisoformat(record.committed_at),
            record.execution,
        )
        for record in records
        if record.rows_quarantined
    ]
    return sorted(found, key=lambda one: (-one.rows, one.key))[:limit]


def quarantine_sql(table: str, key: str | None, reason: str | None, limit: int) -> str:
    """Athena SQL for quarantined rows: key, line, text, and the reasons as JSON.

    Athena writes an array as text that cannot be read back.
    """
    conditions = [f"source_key = {sql.text(key)}"] if key else []
    if reason:
        conditions.append(f"contains(reasons, {sql.text(reason)})")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    selected = f"SELECT source_key, line, text, CAST(reasons AS JSON) FROM {sql.name(table)}"
    return f"{selected}{where} ORDER BY source_key, line LIMIT {limit}"


def ranked_reasons(catalog: Catalog, contract: Contract, key: str | None, limit: int) -> list[QuarantineReason]:
    """Why rows of a dataset, or of one object, are quarantined, the commonest reason first."""
    with catalog.snapshot() as seen:
        found = seen.quarantined.reasons(contract.quarantine_table, key, limit)
    return [QuarantineReason(reason, rows, objects) for reason, rows, objects in found]


def quarantined_objects(
    catalog: Catalog, contracts: Sequence[Contract], *, reason: str | None, limit: int, after: str | None
) -> list[QuarantineSummary]:
    """The objects with most quarantined rows (of a reason), over several datasets; those after the one of this key.

    Raises NotFound where that one has none any more.
    """
    with catalog.snapshot() as seen:
        index, place = seen.quarantined, None
        if after is not None:
            places = (index.place(one.quarantine_table, reason, after) for one in contracts)
            place = next((found for found in places if found), None)
            if place is None:
                raise NotFound("nothing of this object is quarantined, so no page goes on after it", key=after)
        found = [
            (held.reasons.get(reason, 0) if reason else held.rows, QuarantineSummary(one.dataset, *_told(held)))
            for one in contracts
            for held in index.objects(one.quarantine_table, reason, limit, place)
        ]
    found.sort(key=lambda item: (-item[0], item[1].key))
    return [summary for _, summary in found[:limit]]


def _told(held: Quarantined) -> tuple[str, int, Mapping[str, int], datetime, str]:
    return held.key, held.rows, held.reasons, held.committed_at, held.execution


def quarantined_rows(
    catalog: Catalog,
    peek: Peek,
    contracts: Sequence[Contract],
    *,
    key: str | None,
    reason: str | None,
    limit: int,
    offset: int,
) -> list[QuarantineRow]:
    """Quarantined rows by dataset, key and line. Only objects that hold wanted ones, by the index, are read."""
    found: list[QuarantineRow] = []
    where, values = ("WHERE list_contains(reasons, ?) ", [reason]) if reason is not None else ("", [])
    select = f"SELECT source_key, line, text, reasons FROM _rows {where}ORDER BY source_key, line LIMIT ? OFFSET ?"
    for contract in contracts:
        left = limit - len(found)
        with catalog.snapshot() as seen:
            counts = seen.quarantined.counts(contract.quarantine_table, key, reason)
            objects, offset = _span(counts, offset, left)
        if objects:
            rows = peek.rows(contract.quarantine_table, partial(_files_of, objects), select, [*values, left, offset])
            found += [QuarantineRow(contract.dataset, row[0], row[1], row[2], tuple(row[3])) for row in rows]
            offset = 0
        if len(found) >= limit:
            break
    return found


def _files_of(objects: Sequence[str], seen: Snapshot, table: Table) -> list[CatalogFile]:
    return seen.files_of_objects(table.name, objects)


def _span(counts: Iterable[tuple[str, int]], offset: int, limit: int) -> tuple[list[str], int]:
    """The objects that hold the rows from `offset` on, and how many rows of the first one come before."""
    objects: list[str] = []
    wanted = limit
    for object_id, count in counts:
        if not objects and offset >= count:
            offset -= count
            continue
        wanted -= count - (0 if objects else offset)
        objects.append(object_id)
        if wanted <= 0:
            break
    return objects, offset


def held_back(records: Iterable[CommitRecord], key: str | None, reason: str | None) -> dict[str, int]:
    """How many rows of each object are quarantined (for a reason), by the commit records; none that has none."""
    found = {}
    for record in records:
        rows = record.reasons.get(reason, 0) if reason else record.rows_quarantined
        if rows and key in (None, record.source.key):
            found[record.source.key] = rows
    return found


def replayed(
    before: Mapping[str, Mapping[str, int]],
    after: Mapping[str, Mapping[str, int]],
    summary: IngestSummary,
    store: ObjectStore,
    bucket: str,
) -> QuarantineReplay:
    """What a replay of objects with quarantined rows changed; both by dataset and key."""
    keys = sorted(key for objects in before.values() for key in objects)
    sums = [sum(rows for objects in held.values() for rows in objects.values()) for held in (before, after)]
    gone = tuple(key for key in keys if not _is_there(store, bucket, key))
    return QuarantineReplay(len(keys), sums[0], sums[1], summary, gone)


def _is_there(store: ObjectStore, bucket: str, key: str) -> bool:
    try:
        return bool(store.head(bucket, key))
    except ObjectNotFound:
        return False
