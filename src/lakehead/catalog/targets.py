"""What a crawler looks at, and the tables it keeps: made from a contract."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lakehead.catalog.athena_types import athena_type
from lakehead.catalog.changes import TableSpec
from lakehead.catalog.types import ColumnType
from lakehead.contract import Contract
from lakehead.model import Zone
from lakehead.storage import layout
from lakehead.storage.base import ObjectStore

QUARANTINE = "quarantine"
QUARANTINE_COLUMNS = (
    ("source_bucket", "string"),
    ("source_key", "string"),
    ("source_etag", "string"),
    ("line", "bigint"),
    ("text", "string"),
    ("reasons", "array<string>"),
    ("dataset", "string"),
)


@dataclass(frozen=True, slots=True)
class CrawlTarget:
    """One crawler: a dataset's zone in a bucket. It keeps the raw table, or the processed and the quarantine table."""

    crawler: str
    zone: Zone
    contract: Contract
    bucket: str

    @property
    def dataset(self) -> str:
        """The dataset, `sales/orders`."""
        return self.contract.dataset

    @property
    def prefix(self) -> str:
        """What the keys of its objects begin with."""
        return layout.dataset_prefix(self.dataset)

    @property
    def table(self) -> str:
        """The crawler's main table."""
        return self.contract.raw_table if self.zone is Zone.RAW else self.contract.processed_table


def crawler_name(environment: str, dataset: str, zone: Zone) -> str:
    """`dev-sales-orders-raw`."""
    return f"{environment}-{dataset.replace('/', '-')}-{zone}"


def crawl_targets(
    environment: str, contracts: Iterable[Contract], *, raw_bucket: str, processed_bucket: str
) -> tuple[CrawlTarget, ...]:
    """The two crawlers of every contract."""
    return tuple(
        CrawlTarget(crawler_name(environment, contract.dataset, zone), zone, contract, bucket)
        for contract in contracts
        for zone, bucket in ((Zone.RAW, raw_bucket), (Zone.PROCESSED, processed_bucket))
    )


def raw_spec(target: CrawlTarget, store: ObjectStore) -> TableSpec:
    """The raw table: every column a string, one partition per day of landing."""
    contract, dialect = target.contract, target.contract.dialect
    return TableSpec(
        name=contract.raw_table,
        dataset=contract.dataset,
        zone=Zone.RAW,
        bucket=target.bucket,
        location=_location(store, target.bucket, target.prefix),
        classification="csv",
        columns=tuple(ColumnType(one.name.strip().lower(), "string") for one in contract.source_columns),
        partition_keys=(ColumnType(layout.INGEST_PARTITION, "string"),),
        parameters={
            "classification": "csv",
            "delimiter": dialect.delimiter,
            "quoteChar": dialect.quote,
            "skip.header.line.count": "1" if dialect.header else "0",
        },
        dialect={
            "delimiter": dialect.delimiter,
            "quote": dialect.quote,
            "encoding": dialect.encoding,
            "header": dialect.header,
        },
    )


def processed_spec(target: CrawlTarget, store: ObjectStore) -> TableSpec:
    """The table of accepted rows.

    A partition key keeps the contract's type here, so a date is a DATE and compares as one. AWS's crawlers make such
    keys strings; the query engine therefore also answers what is asked of them as strings.
    """
    contract = target.contract
    columns = tuple(ColumnType(one.name, athena_type(one.type.sql), one.description) for one in contract.columns)
    return TableSpec(
        name=contract.processed_table,
        dataset=contract.dataset,
        zone=Zone.PROCESSED,
        bucket=target.bucket,
        location=_location(store, target.bucket, target.prefix),
        classification="parquet",
        columns=tuple(one for one in columns if one.name not in contract.partitions),
        partition_keys=tuple(next(one for one in columns if one.name == name) for name in contract.partitions),
        parameters={"classification": "parquet", "compressionType": "zstd"},
    )


def quarantine_columns() -> tuple[ColumnType, ...]:
    """The columns of every quarantine file."""
    return tuple(ColumnType(name, kind) for name, kind in QUARANTINE_COLUMNS)


def quarantine_spec(target: CrawlTarget, store: ObjectStore, columns: tuple[ColumnType, ...]) -> TableSpec:
    """The table of quarantined rows."""
    contract = target.contract
    return TableSpec(
        name=contract.quarantine_table,
        dataset=contract.dataset,
        zone=QUARANTINE,
        bucket=target.bucket,
        location=_location(store, target.bucket, layout.quarantine_prefix(contract.dataset)),
        classification="parquet",
        columns=columns,
        partition_keys=(),
        parameters={"classification": "parquet", "compressionType": "zstd"},
    )


def _location(store: ObjectStore, bucket: str, prefix: str) -> str:
    return store.uri(bucket, prefix.rstrip("/")) + "/"
