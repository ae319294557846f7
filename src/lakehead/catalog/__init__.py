"""Databases, tables, partitions and files of a lake, and the crawlers that keep them in step with what is stored."""

from lakehead.catalog.catalog import Catalog, CatalogReader, Snapshot
from lakehead.catalog.crawlers import Crawlers
from lakehead.catalog.targets import CrawlTarget, crawl_targets, crawler_name
from lakehead.catalog.types import (
    CatalogFile,
    ColumnType,
    Crawl,
    CrawlReport,
    Database,
    Partition,
    PartitionPredicate,
    PartitionValues,
    Quarantined,
    Table,
)

__all__ = [
    "Catalog",
    "CatalogFile",
    "CatalogReader",
    "ColumnType",
    "Crawl",
    "CrawlReport",
    "CrawlTarget",
    "Crawlers",
    "Database",
    "Partition",
    "PartitionPredicate",
    "PartitionValues",
    "Quarantined",
    "Snapshot",
    "Table",
    "crawl_targets",
    "crawler_name",
]
