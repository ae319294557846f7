"""Stands in for the packaged Glue job: takes its arguments, loads by its contract, with DuckDB in place of Spark.

Deployed by the tests as the job's script, with lakehead's wheel as its bundle, so everything around it is real.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import boto3

from lakehead.catalog.targets import crawl_targets, processed_spec, raw_spec
from lakehead.contract import Contract, load_contract
from lakehead.errors import LakeheadError
from lakehead.etl.base import CommitRecord
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.etl.job import run_job
from lakehead.model import Zone
from lakehead.services import job_request
from lakehead.storage import S3Store
from lakehead.storage.layout import INGEST_PARTITION
from support.emulator.tables import Found, sync


def main(arguments: dict[str, str]) -> None:
    """Load the object version that the arguments name."""
    request = job_request(arguments, attempt=arguments["--JOB_RUN_ID"])
    with tempfile.TemporaryDirectory() as folder:
        store = S3Store(
            endpoint_url=os.environ["AWS_ENDPOINT_URL"],
            region=os.environ["AWS_REGION"],
            staging=Path(folder) / "staging",
        )
        contract = fetch_contract(store, arguments["--contract"], Path(folder), request.dataset)
        outcome = run_job(
            request,
            contract=contract,
            engine=DuckDBEngine(threads=1),
            raw=store,
            processed=store,
            processed_bucket=arguments["--processed_bucket"],
        )
        if arguments["--metadata_sync"] == "direct":
            register(store, contract, outcome.record, arguments)
    sys.stdout.write(f"{outcome.outcome}: {outcome.record.rows_committed} rows\n")


def fetch_contract(store: S3Store, address: str, folder: Path, dataset: str) -> Contract:
    """The contract at an s3:// address, under the dataset's name."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    path = folder / "contracts" / f"{dataset}.odcs.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(store.get(bucket, key))
    return load_contract(path, root=folder / "contracts")


def register(store: S3Store, contract: Contract, record: CommitRecord, arguments: dict[str, str]) -> None:
    """Do what a crawl would: the raw and the processed table, and the partitions of what this run touched."""
    raw, processed = crawl_targets(
        arguments["--environment"],
        [contract],
        raw_bucket=arguments["--source_bucket"],
        processed_bucket=arguments["--processed_bucket"],
    )
    landed = [part for part in record.source.key.split("/") if part.startswith(f"{INGEST_PARTITION}=")]
    touched = {Zone.RAW: landed, Zone.PROCESSED: [file.partition for file in record.files]}
    client = boto3.client("glue")
    for target, spec in ((raw, raw_spec(raw, store)), (processed, processed_spec(processed, store))):
        paths = dict.fromkeys(path for path in touched[target.zone] if path)
        dialect = contract.dialect
        csv = {"separatorChar": dialect.delimiter, "quoteChar": dialect.quote} if target.zone is Zone.RAW else None
        sync(
            client,
            Found(
                database=arguments["--database"],
                table=spec.name,
                location=spec.location,
                columns=tuple((one.name, one.type) for one in spec.columns),
                partition_keys=tuple(one.name for one in spec.partition_keys),
                partitions=tuple(tuple(part.partition("=")[2] for part in path.split("/")) for path in paths),
                csv=csv,
                header=bool(csv) and dialect.header,
            ),
        )


if __name__ == "__main__":
    try:
        main(dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True)))
    except LakeheadError as error:
        sys.exit(f"Lakehead.{type(error).__name__}: {error}")
