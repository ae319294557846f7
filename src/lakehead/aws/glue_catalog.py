"""Writes tables and partitions to the Glue Data Catalog: `metadata_sync = "direct"`, where no crawl is paid for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lakehead.catalog.targets import CrawlTarget, crawl_targets, processed_spec, raw_spec
from lakehead.contract import Contract
from lakehead.errors import StorageUnavailable
from lakehead.etl.base import CommitRecord
from lakehead.model import Zone
from lakehead.storage.base import ObjectStore
from lakehead.storage.layout import INGEST_PARTITION

BATCH = 100
"""The most partitions that one BatchCreatePartition takes."""

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
    partitions: tuple[tuple[str, ...], ...]
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
        partitions=tuple(tuple(part.partition("=")[2] for part in path.split("/")) for path in paths),
        csv={"separatorChar": dialect.delimiter, "quoteChar": dialect.quote} if raw else None,
        header=raw and dialect.header,
    )


def sync(glue: Any, found: GlueTable) -> None:
    """Make or update the table, and register partitions that it lacks: one that is there already is no error."""
    wanted = found.table_input()
    try:
        have = glue.get_table(DatabaseName=found.database, Name=found.table)["Table"]
    except glue.exceptions.EntityNotFoundException:
        glue.create_table(DatabaseName=found.database, TableInput=wanted)
    else:
        if any(have.get(name) != value for name, value in wanted.items() if name != "StorageDescriptor") or (
            have["StorageDescriptor"]["Columns"] != wanted["StorageDescriptor"]["Columns"]
        ):
            glue.update_table(DatabaseName=found.database, TableInput=wanted)
    for start in range(0, len(found.partitions), BATCH):
        answer = glue.batch_create_partition(
            DatabaseName=found.database,
            TableName=found.table,
            PartitionInputList=[
                {"Values": list(values), "StorageDescriptor": found.descriptor(found.location + _path(found, values))}
                for values in found.partitions[start : start + BATCH]
            ],
        )
        refused = [one for one in answer["Errors"] if one["ErrorDetail"]["ErrorCode"] != "AlreadyExistsException"]
        if refused:
            raise StorageUnavailable(
                f"the catalog refused {len(refused)} partitions: {refused[0]['ErrorDetail'].get('ErrorMessage', '')}",
                hint="The rows are committed. Redrive the execution; the same rows are not loaded twice.",
                table=found.table,
                code=refused[0]["ErrorDetail"]["ErrorCode"],
            )


def _path(found: GlueTable, values: tuple[str, ...]) -> str:
    return "".join(f"{name}={value}/" for name, value in zip(found.partition_keys, values, strict=True))
