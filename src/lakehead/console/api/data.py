"""Datasets, tables, crawls, quarantine, and files that land."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from lakehead.console import uploads
from lakehead.console.api.endpoint import Endpoint
from lakehead.console.api.inputs import Dataset, Day, Limit, Offset, ReplayRequest, SampleLimit, Text
from lakehead.console.context import Console
from lakehead.inspection.tables import table_columns, table_summary
from lakehead.model import Json
from lakehead.results import (
    CrawlSummary,
    DatasetDetail,
    DatasetSummary,
    Landed,
    QuarantineReason,
    QuarantineRow,
    QuarantineSummary,
    TableColumn,
    TablePartition,
    TableSummary,
)


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table with its columns; its partitions are listed apart, because there may be many."""

    summary: TableSummary
    location: str
    columns: tuple[TableColumn, ...]


@dataclass(frozen=True, slots=True)
class PartitionPage:
    """Partitions by path. `next` is what the next page comes `after`; null on the last one."""

    partitions: tuple[TablePartition, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class QuarantinePage:
    """Objects with quarantined rows. `next` is what the next page comes `after`; null on the last one."""

    objects: tuple[QuarantineSummary, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows of a table. `columns` are names and Athena types."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Json, ...], ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many objects will be loaded again."""

    objects: int


def list_datasets(console: Console) -> list[DatasetSummary]:
    """Every dataset in brief, by name."""
    return console.lake.datasets()


def show_dataset(console: Console, *, dataset: Dataset) -> DatasetDetail:
    """A dataset as its contract describes it."""
    return console.lake.dataset(dataset)


async def land_file(
    console: Console, request: Request, *, dataset: Dataset, filename: Text, ingest_date: Day | None = None
) -> Landed:
    """Land a file, and tell the execution that loads it.

    A file of the same name and day is replaced. The file is there whole once this answers, and not at all where it
    fails. The day of its folder is today (UTC) unless told.
    """
    return await uploads.receive(console, request, dataset=dataset, filename=filename, ingest_date=ingest_date)


def list_crawls(console: Console, *, dataset: Text | None = None, limit: Limit = 20) -> list[CrawlSummary]:
    """The newest crawls, newest first."""
    return console.lake.crawls(dataset, limit)


def list_tables(console: Console) -> list[TableSummary]:
    """The catalog's tables."""
    return console.lake.tables()


def show_table(console: Console, *, table: Text) -> TableShape:
    """A table with its columns."""
    found = console.lake.catalog.table(table)
    return TableShape(table_summary(found), found.location, table_columns(found))


def list_partitions(
    console: Console, *, table: Text, limit: Limit = 100, after: Text = "", newest_first: bool = False
) -> PartitionPage:
    """A table's partitions by path, with their rows, files and bytes."""
    found = console.lake.partitions(table, limit, after, newest_first=newest_first)
    return PartitionPage(tuple(found), found[-1].path if len(found) == limit else None)


def sample_table(console: Console, *, table: Text, limit: SampleLimit = 20) -> Sample:
    """Some rows of a table, from one of its newest files."""
    with console.lake.sample(table, limit) as found:
        return Sample(tuple(found.columns), tuple(found.rows))


def quarantine_reasons(
    console: Console, *, dataset: Text, key: Text | None = None, limit: Limit = 50
) -> list[QuarantineReason]:
    """Why rows of a dataset, or of one object, are quarantined, the commonest reason first."""
    return console.lake.quarantine_reasons(dataset, key, limit)


def quarantine_files(
    console: Console,
    *,
    dataset: Text | None = None,
    reason: Text | None = None,
    limit: Limit = 50,
    after: Text | None = None,
) -> QuarantinePage:
    """Objects that have quarantined rows, those with most rows first."""
    found = console.lake.quarantine_files(dataset=dataset, reason=reason, limit=limit, after=after)
    return QuarantinePage(tuple(found), found[-1].key if len(found) == limit else None)


def quarantine_rows(
    console: Console,
    *,
    dataset: Text | None = None,
    key: Text | None = None,
    reason: Text | None = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> list[QuarantineRow]:
    """Quarantined rows by key and line, with their text and every reason."""
    return console.lake.quarantine_rows(dataset=dataset, key=key, reason=reason, limit=limit, offset=offset)


def replay(console: Console, *, body: ReplayRequest) -> Replayed:
    """Load objects of the raw zone again: all of them, a dataset's, one, those with a prefix, or those of a day."""
    objects = console.lake.request_replay(dataset=body.dataset, key=body.key, prefix=body.prefix, date=body.date)
    return Replayed(objects)


ENDPOINTS = (
    Endpoint("GET", "/datasets", list_datasets),
    Endpoint(
        "PUT",
        "/datasets/{dataset:dataset}/files/{filename}",
        land_file,
        errors=(404, 408, 413, 415),
        status=201,
        receives=("text/csv", "application/gzip", "application/octet-stream"),
    ),
    Endpoint("GET", "/datasets/{dataset:dataset}", show_dataset, errors=(404,)),
    Endpoint("GET", "/crawls", list_crawls, errors=(404,)),
    Endpoint("GET", "/tables", list_tables),
    Endpoint("GET", "/tables/{table}", show_table, errors=(404,)),
    Endpoint("GET", "/tables/{table}/partitions", list_partitions, errors=(404,)),
    Endpoint("GET", "/tables/{table}/sample", sample_table, errors=(404, 422)),
    Endpoint("GET", "/quarantine/reasons", quarantine_reasons, errors=(404,)),
    Endpoint("GET", "/quarantine/files", quarantine_files, errors=(404,)),
    Endpoint("GET", "/quarantine/rows", quarantine_rows, errors=(404,)),
    Endpoint("POST", "/replays", replay, errors=(404,), status=202),
)
