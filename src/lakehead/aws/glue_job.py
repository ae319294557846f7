"""The Glue job: loads exactly one version of one object by its contract, and commits its rows.

Glue starts it as `spark-submit <script> --name value ...`, with arguments of its own among ours. It needs no awsglue.
Logs are JSON lines on stdout, with the execution in every line; a failure ends the process with one line on stderr,
which Glue gives as the job run's ErrorMessage, and so as the cause of the workflow's States.TaskFailed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from lakehead.aws.glue_catalog import register
from lakehead.aws.ground import bucket_ground
from lakehead.contract import Contract, load_contract
from lakehead.errors import CommitConflict, LakeheadError, StorageUnavailable, UsageError
from lakehead.etl.base import CommitRecord, JobOutcome, JobRequest
from lakehead.etl.job import run_job
from lakehead.etl.request import job_request
from lakehead.etl.spark.engine import SparkEngine
from lakehead.etl.spark.ground import local_ground
from lakehead.logs import json_handler, log_context
from lakehead.storage.base import ObjectStore
from lakehead.storage.s3 import S3Store

log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

WAITS = (5.0, 30.0)
"""Seconds before a load is tried again. Glue tells the workflow of every failure as States.TaskFailed, so what passes
by itself is waited for here."""
NAMES = (
    "dataset", "environment", "execution", "reason", "sequencer", "source_bucket", "source_etag", "source_key",
    "source_version_id",
)  # fmt: skip
"""The arguments that the workflow gives (`ingest.asl.json`, RunJob)."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job, and end the process: with 0, or with 1 and a one-line cause on stderr."""
    handler = json_handler(logging.StreamHandler(sys.stdout))
    logger = logging.getLogger("lakehead")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        arguments = parsed_arguments(sys.argv[1:] if argv is None else argv)
        where = {"execution": arguments.execution, "dataset": arguments.dataset}
        with log_context(**where, object=f"s3://{arguments.source_bucket}/{arguments.source_key}"):
            _run(arguments)
    except LakeheadError as error:
        sys.exit(f"{error.name}: {one_line(str(error))}")
    except Exception as error:
        log.exception("the job failed")
        sys.exit(f"{type(error).__name__}: {one_line(str(error))}")
    finally:
        logger.removeHandler(handler)


def one_line(text: str) -> str:
    """A message without line breaks, no longer than a job run's ErrorMessage is of use."""
    return " ".join(text.split())[:1000]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"the job's arguments: {message}", hint="The workflow's RunJob and the Glue job give them.")


def parsed_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The job's arguments; those that Glue itself passes (`--JOB_NAME`, `--TempDir`, `--enable-metrics`) are left."""
    parser = _Parser(prog="lakehead-glue-job", allow_abbrev=False, add_help=False)
    add = parser.add_argument
    options = [
        *(add(f"--{name}", required=True) for name in NAMES),
        add("--processed_bucket", required=True),
        add("--contract", required=True, help="the s3:// address of the dataset's contract"),
        add("--metadata_sync", choices=("crawler", "direct"), default="crawler"),
        add("--database", default="", help="the Glue database, for metadata_sync direct"),
        add("--JOB_RUN_ID", default=""),
        add("--master", default="", help="Spark's master where nobody submitted the job"),
        add("--memory_limit", default="2GB", help="Spark's heap, there"),
    ]
    names = {name for option in options for name in option.option_strings}
    known, _ = parser.parse_known_args(_joined(argv, names))
    return known


def _joined(argv: Sequence[str], names: Collection[str]) -> list[str]:
    """`--name value` as `--name=value`, for a value may begin with a dash: a key named `-.csv`."""
    words, joined = iter(argv), []
    for word in words:
        value = next(words, None) if word in names else None
        joined.append(word if value is None else f"{word}={value}")
    return joined


def _run(arguments: argparse.Namespace) -> None:
    # The AWS tools' own variable for another server; boto3 knows it too, but not that such servers want paths.
    store = S3Store(endpoint_url=os.environ.get("AWS_ENDPOINT_URL", ""))
    given = {f"--{name}": getattr(arguments, name) for name in NAMES}
    request = job_request(given, attempt=_attempt(arguments))
    contract = persistently(lambda: _contract(store, arguments.contract, request.dataset))
    with closing(_engine(arguments, store, request)) as engine:

        def load() -> JobOutcome:
            return run_job(
                request,
                contract=contract,
                engine=engine,
                raw=store,
                processed=store,
                processed_bucket=arguments.processed_bucket,
            )

        outcome = persistently(load)
    record = outcome.record
    for warning in record.warnings:
        log.warning("%s", warning)
    if arguments.metadata_sync == "direct":
        persistently(lambda: _register(arguments, store, contract, record))
    counts = {name: getattr(record, name) for name in ("rows_read", "rows_committed", "rows_quarantined")}
    log.info("the job is done: %s", outcome.outcome, extra={"commit_key": outcome.commit_key, **counts})


def persistently(do: Callable[[], _Result]) -> _Result:
    """Do it, and again after each of WAITS where storage or another commit was in the way."""
    for wait in WAITS:
        try:
            return do()
        except (StorageUnavailable, CommitConflict) as error:
            log.warning("tried again in %s s: %s", wait, one_line(str(error)))
            time.sleep(wait)
    return do()


def _register(arguments: argparse.Namespace, store: ObjectStore, contract: Contract, record: CommitRecord) -> None:
    """Before the job ends as SUCCEEDED: with no crawl to wait for, its rows are announced at once."""
    import boto3

    register(
        boto3.client("glue"),
        store,
        contract,
        record,
        environment=arguments.environment,
        database=arguments.database,
        raw_bucket=arguments.source_bucket,
        processed_bucket=arguments.processed_bucket,
    )


def _attempt(arguments: argparse.Namespace) -> str:
    """A name for this try's staged files: the run's, or one that nobody else has."""
    run = arguments.JOB_RUN_ID or f"{os.getpid()}-{os.urandom(4).hex()}"
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in run)[:80]


def _engine(arguments: argparse.Namespace, store: ObjectStore, request: JobRequest) -> SparkEngine:
    """Spark as it was submitted, or one of our own on this machine, which sees this machine's disk."""
    from lakehead.etl.spark.runtime import SUBMITTED, submitted_master

    master = submitted_master()
    if master is None:
        return SparkEngine(master=arguments.master or "local[*]", memory_limit=arguments.memory_limit)
    if master.startswith("local"):
        return SparkEngine(master=SUBMITTED, ground=local_ground)
    ground = bucket_ground(store, arguments.processed_bucket, request.attempt)
    return SparkEngine(master=SUBMITTED, ground=ground)


def _contract(store: ObjectStore, address: str, dataset: str) -> Contract:
    """The dataset's contract, from its s3:// address."""
    parts = urlsplit(address)
    if parts.scheme != "s3" or not parts.netloc:
        raise UsageError("--contract is an address such as s3://bucket/orders.odcs.yaml", received=address)
    with tempfile.TemporaryDirectory(prefix="lakehead-contract-") as folder:
        path = Path(folder) / f"{dataset}.odcs.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(parts.netloc, parts.path.lstrip("/")))
        return load_contract(path, root=Path(folder))
