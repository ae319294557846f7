"""Writes a table and its partitions to the Glue Data Catalog, for a crawl and for a job with metadata_sync direct."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Found:
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


def sync(glue: Any, found: Found) -> None:
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
            raise RuntimeError(f"partitions were refused: {refused}")


def _path(found: Found, values: tuple[str, ...]) -> str:
    return "".join(f"{name}={value}/" for name, value in zip(found.partition_keys, values, strict=True))
