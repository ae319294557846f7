"""Tables, their partitions, and the crawls that keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakehead.catalog import Catalog, CatalogFile, Crawl, Partition, Snapshot, Table
from lakehead.contract import Contract
from lakehead.results import CrawlSummary, TableColumn, TableDetail, TablePartition, TableSummary

if TYPE_CHECKING:
    from lakehead.query import QueryResult
    from lakehead.query.peek import Peek


def table_summary(table: Table) -> TableSummary:
    """A table in brief."""
    return TableSummary(
        table.name, table.database, table.rows, table.files, table.bytes, table.partitions, table.updated
    )


def table_detail(catalog: Catalog, name: str) -> TableDetail:
    """A table with its columns and partitions, from one moment. Raises TableNotFound."""
    with catalog.snapshot() as snapshot:
        table = snapshot.table(name)
        partitions = snapshot.partitions(name)
    parts = tuple(_partition(part) for part in partitions if part.path)
    return TableDetail(table_summary(table), table.location, table_columns(table), parts)


def table_columns(table: Table) -> tuple[TableColumn, ...]:
    """A table's columns, those of its partitions last."""
    keys = {key.name for key in table.partition_keys}
    return tuple(
        TableColumn(column.name, column.type, column.name in keys, column.comment)
        for column in (*table.columns, *table.partition_keys)
    )


def partition_page(catalog: Catalog, name: str, limit: int, after: str, newest_first: bool) -> list[TablePartition]:
    """A table's partitions by path, those beyond the path `after`. Raises TableNotFound."""
    with catalog.snapshot() as snapshot:
        found = snapshot.partition_page(name, limit, after, descending=newest_first)
    return [_partition(part) for part in found]


def _partition(part: Partition) -> TablePartition:
    values = {key: value or "" for key, value in part.values.items()}
    return TablePartition(values, part.rows, part.files, part.bytes, part.path)


def crawl_summary(crawl: Crawl) -> CrawlSummary:
    """A crawl in brief."""
    return CrawlSummary(
        crawl.crawler, crawl.table, crawl.status, crawl.started, crawl.seconds, crawl.report.changes, crawl.error
    )


def newest_crawls(
    catalog: Catalog, contracts: Mapping[str, Contract], dataset: str | None, limit: int
) -> list[CrawlSummary]:
    """The newest crawls of all crawlers, or of a dataset's two, newest first."""
    with catalog.snapshot() as snapshot:
        if dataset is None:
            found = snapshot.crawls(limit=limit)
        else:
            tables = (contracts[dataset].raw_table, contracts[dataset].processed_table)
            found = [crawl for table in tables for crawl in snapshot.crawls_of(table, limit)]
    found.sort(key=lambda crawl: crawl.id, reverse=True)
    return [crawl_summary(crawl) for crawl in found[:limit]]


def sample(catalog: Catalog, peek: Peek, name: str, limit: int) -> QueryResult:
    """Some rows of a table, from one of its newest files. Raises TableNotFound."""
    from lakehead.query import QueryResult
    from lakehead.query.types import from_glue

    table = catalog.table(name)
    rows = peek.rows(name, _newest_file, "FROM _rows LIMIT ?", [limit])
    columns = [(one.name, from_glue(one.type).athena) for one in (*table.columns, *table.partition_keys)]
    return QueryResult(columns, iter(rows), len(rows))


def _newest_file(seen: Snapshot, table: Table) -> list[CatalogFile]:
    newest = seen.newest_file(table.name)
    return [newest] if newest else []
