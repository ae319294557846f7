"""Writes tables and partitions to the Glue Data Catalog: `metadata_sync = "direct"`, where no crawl is paid for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from lakehead.catalog.targets import CrawlTarget, crawl_targets, processed_spec, raw_spec
from lakehead.contract import Contract
from lakehead.errors import StorageUnavailable
from lakehead.etl.base import CommitRecord
from lakehead.model import Zone
from lakehead.storage.base import ObjectStore
from lakehead.storage.layout import INGEST_PARTITION

BATCH = 100
"""The most partitions that one BatchCreatePartition takes."""
TRIES = 5
"""How often a table is looked at anew where another job made or changed it meanwhile."""

HIVE = "org.apache.hadoop.hive"
PARQUET = (
    f"{HIVE}.ql.io.parquet.MapredParquetInputFormat",
    f"{HIVE}.ql.io.parquet.MapredParquetOutputFormat",
    f"{HIVE}.ql.io.parquet.serde.ParquetHiveSerDe",
)
CSV = (
    "org.apache.hadoop.mapred.TextInputFormat",
    f"{HIVE}.ql.io.HiveIgnoreKeyTextOutputFormat",
    f"{HIVE}.serde2.OpenCSVSerde",
)


@dataclass(frozen=True, slots=True)
class GlueTable:
    """A table as it should be. `csv` are the serde's parameters, None for Parquet. Partition keys are strings."""

    database: str
    table: str
    location: str
    columns: tuple[tuple[str, str], ...]
    partition_keys: tuple[str, ...]
    partitions: tuple[str, ...]
    """Their paths below the location, `day=2025-01-01/shop=a%2Fb`."""
    csv: dict[str, str] | None = None
    header: bool = False

    def descriptor(self, location: str) -> dict[str, Any]:
        """The storage descriptor of the table, or of one of its partitions."""
        reader, writer, serde = CSV if self.csv is not None else PARQUET
        return {
            "Columns": [{"Name": name, "Type": kind} for name, kind in self.columns],
            "Location": location,
            "InputFormat": reader,
            "OutputFormat": writer,
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": self.csv or {}},
        }

    def table_input(self) -> dict[str, Any]:
        """What CreateTable and UpdateTable take."""
        parameters = {"EXTERNAL": "TRUE", "classification": "parquet" if self.csv is None else "csv"}
        if self.header:
            parameters["skip.header.line.count"] = "1"
        return {
            "Name": self.table,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": parameters,
            "PartitionKeys": [{"Name": name, "Type": "string"} for name in self.partition_keys],
            "StorageDescriptor": self.descriptor(self.location),
        }


def register(
    glue: Any,
    store: ObjectStore,
    contract: Contract,
    record: CommitRecord,
    *,
    environment: str,
    database: str,
    raw_bucket: str,
    processed_bucket: str,
) -> None:
    """Do what the two crawls would: the raw and the processed table, and the partitions that a commit touched.

    `glue` is a boto3 client. Raises StorageUnavailable where a partition is refused.
    """
    landed = [part for part in record.source.key.split("/") if part.startswith(f"{INGEST_PARTITION}=")]
    touched = {Zone.RAW: landed, Zone.PROCESSED: [file.partition for file in record.files]}
    targets = crawl_targets(environment, [contract], raw_bucket=raw_bucket, processed_bucket=processed_bucket)
    for target in targets:
        paths = dict.fromkeys(path for path in touched[target.zone] if path)
        sync(glue, _table(target, store, database, tuple(paths)))


def _table(target: CrawlTarget, store: ObjectStore, database: str, paths: tuple[str, ...]) -> GlueTable:
    raw, dialect = target.zone is Zone.RAW, target.contract.dialect
    spec = raw_spec(target, store) if raw else processed_spec(target, store)
    return GlueTable(
        database=database,
        table=spec.name,
        location=spec.location,
        columns=tuple((one.name, one.type) for one in spec.columns),
        partition_keys=tuple(one.name for one in spec.partition_keys),
        partitions=paths,
        csv={"separatorChar": dialect.delimiter, "quoteChar": dialect.quote} if raw else None,
        header=raw and dialect.header,
    )


def sync(glue: Any, found: GlueTable) -> None:
    """Make or update the table, and register partitions: those that are there already are given the table's columns.

    Jobs that end together do this together. Raises StorageUnavailable where the catalog refuses.
    """
    _sync_table(glue, found)
    for start in range(0, len(found.partitions), BATCH):
        some = [_partition_input(found, path) for path in found.partitions[start : start + BATCH]]
        where = {"DatabaseName": found.database, "TableName": found.table}
        answer = glue.batch_create_partition(**where, PartitionInputList=some)
        there = _refused(answer, found, "PartitionValues", but="AlreadyExistsException")
        if stale := _stale(glue, found, [one for one in some if one["Values"] in there]):
            entries = [{"PartitionValueList": one["Values"], "PartitionInput": one} for one in stale]
            _refused(glue.batch_update_partition(**where, Entries=entries), found, "PartitionValueList")


def _sync_table(glue: Any, found: GlueTable) -> None:
    wanted = found.table_input()
    for left in reversed(range(TRIES)):
        try:
            have = glue.get_table(DatabaseName=found.database, Name=found.table)["Table"]
        except glue.exceptions.EntityNotFoundException:
            have = None
        try:
            if have is None:
                glue.create_table(DatabaseName=found.database, TableInput=wanted)
            elif _differs(have, wanted):
                glue.update_table(DatabaseName=found.database, TableInput=wanted)
            return
        except (glue.exceptions.AlreadyExistsException, glue.exceptions.ConcurrentModificationException):
            if not left:
                raise


def _differs(have: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return any(have.get(name) != value for name, value in wanted.items() if name != "StorageDescriptor") or (
        have["StorageDescriptor"]["Columns"] != wanted["StorageDescriptor"]["Columns"]
    )


def _stale(glue: Any, found: GlueTable, there: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the partitions that are there, those that were registered with other columns than the table now has."""
    if not there:
        return []
    answer = glue.batch_get_partition(
        DatabaseName=found.database,
        TableName=found.table,
        PartitionsToGet=[{"Values": one["Values"]} for one in there],
    )
    columns = {tuple(one["Values"]): one["StorageDescriptor"]["Columns"] for one in answer["Partitions"]}
    return [one for one in there if columns.get(tuple(one["Values"])) != one["StorageDescriptor"]["Columns"]]


def _partition_input(found: GlueTable, path: str) -> dict[str, Any]:
    values = [unquote(part.partition("=")[2]) for part in path.split("/")]
    return {"Values": values, "StorageDescriptor": found.descriptor(f"{found.location}{path}/")}


def _refused(answer: dict[str, Any], found: GlueTable, values: str, but: str = "") -> list[list[str]]:
    """The partitions that were refused for the reason `but`. Raises StorageUnavailable where one was for another."""
    refused = [one for one in answer["Errors"] if one["ErrorDetail"]["ErrorCode"] != but]
    if refused:
        raise StorageUnavailable(
            f"the catalog refused {len(refused)} partitions: {refused[0]['ErrorDetail'].get('ErrorMessage', '')}",
            hint="The rows are committed. Redrive the execution; the same rows are not loaded twice.",
            table=found.table,
            code=refused[0]["ErrorDetail"]["ErrorCode"],
        )
    return [one[values] for one in answer["Errors"]]
