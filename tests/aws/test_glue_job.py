"""The packaged job, started as Glue starts it, against an S3 server: exactly one object version, once."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.glue import GlueMachine

from lakehead.aws.glue_job import NAMES, main, one_line, parsed_arguments, persistently
from lakehead.errors import ObjectNotFound, StorageUnavailable
from lakehead.etl.base import CommitRecord
from lakehead.etl.commit import read_commit
from lakehead.model import object_id
from lakehead.storage import S3Store

DATASET = "sales/orders"
KEY = "sales/orders/ingest_date=2025-01-03/orders day=3.csv"
HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
ROWS = HEADER + '1,C1,"Mouse, grey",2,500,2025-01-01\n2,C1,Mouse,x,500,2025-01-02\n3,C2,Desk,1,99.50,2025-01-02\n'


@dataclass
class Job:
    """A lake's two buckets and its contracts on the S3 server, and the job that loads into them."""

    machine: GlueMachine
    store: S3Store
    address: str
    raw: str = field(default_factory=lambda: f"raw-{uuid.uuid4().hex[:8]}")
    processed: str = field(default_factory=lambda: f"processed-{uuid.uuid4().hex[:8]}")

    def put(self, text: str) -> dict[str, str]:
        """Land a file; the arguments by which the workflow would ask for that version of it."""
        info = self.store.put(self.raw, KEY, text.encode())
        return {
            "--source_bucket": self.raw,
            "--source_key": KEY,
            "--source_etag": info.etag,
            "--source_version_id": info.version_id or "-",
            "--sequencer": info.sequencer,
        }

    def run(self, source: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run(
            {
                "--dataset": DATASET,
                "--environment": "dev",
                "--execution": "run-1",
                "--reason": "PutObject",
                "--processed_bucket": self.processed,
                "--contract": f"s3://{self.raw}/_contracts/orders.odcs.yaml",
                **source,
                **{f"--{name}": value for name, value in more.items()},
            },
            AWS_ENDPOINT_URL=self.address,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_DEFAULT_REGION="us-east-1",
        )

    def record(self) -> CommitRecord | None:
        return read_commit(self.store, self.processed, DATASET, object_id(KEY))

    def data_keys(self) -> list[str]:
        return [info.key for info in self.store.list(self.processed) if not info.key.startswith("_")]


@pytest.fixture
def job(glue_machine: GlueMachine, s3_client_store: S3Store, s3_address: str) -> Iterator[Job]:
    job = Job(glue_machine, s3_client_store, s3_address)
    for bucket in (job.raw, job.processed):
        job.store.create_bucket(bucket)
    contract = files("lakehead.examples") / "sales/contracts/sales/orders.odcs.yaml"
    job.store.put(job.raw, "_contracts/orders.odcs.yaml", contract.read_bytes())
    yield job


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_version_is_loaded_once_however_often_its_job_runs(job: Job) -> None:
    source = job.put(ROWS)
    done = job.run(source)
    assert done.returncode == 0, done.stderr
    assert {line["execution"] for line in lines(done)} == {"run-1"}
    assert {line["object"] for line in lines(done)} == {f"s3://{job.raw}/{KEY}"}
    told = lines(done)[-1]
    assert (told["rows_read"], told["rows_committed"], told["rows_quarantined"]) == (3, 2, 1)
    record = job.record()
    assert record is not None and (record.engine, record.execution) == ("spark", "run-1")
    keys = job.data_keys()
    assert len(keys) == 3, "two partitions and the quarantine"

    again = job.run(source)
    assert again.returncode == 0 and "unchanged" in str(lines(again)[-1]["message"])
    assert job.data_keys() == keys and job.record() == record

    replayed = job.run(source, reason="Replay")
    assert replayed.returncode == 0 and job.data_keys() == keys, "the same bytes give the same names"
    left = [info.key for info in job.store.list(job.processed, "_lakehead/staging/")]
    assert left == []


def test_what_is_committed_is_what_duckdb_reads(job: Job, tmp_path: Path) -> None:
    assert job.run(job.put(ROWS)).returncode == 0
    record = job.record()
    assert record is not None
    found = []
    with duckdb.connect() as reader:
        for number, file in enumerate((*record.files, *record.quarantine)):
            path = tmp_path / f"{number}.parquet"
            path.write_bytes(job.store.get(job.processed, file.key))
            found.append(reader.execute(f"FROM read_parquet('{path}', hive_partitioning=false)").fetchall())
    assert [str(row) for rows in found[:2] for row in rows] == [
        "(1, 'C1', 'Mouse, grey', 2, Decimal('500.00'), Decimal('1000.00'))",
        "(3, 'C2', 'Desk', 1, Decimal('99.50'), Decimal('99.50'))",
    ]
    assert [(row[3], row[5]) for row in found[2]] == [(3, ["quantity: not an integer"])]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda job, source: job.put(ROWS + "4,C1,Mouse,1,1,2025-01-01\n") and source, "Lakehead.ObjectChanged: "),
        (lambda job, _: job.put(ROWS.replace("price", "cost", 1)), "Lakehead.HeaderMismatch: "),
        (lambda _, source: {**source, "--contract": "s3://nobody/orders.odcs.yaml"}, "Lakehead.BucketNotFound: "),
    ],
    ids=["changed", "broken", "no contract"],
)
def test_a_job_that_cannot_load_ends_with_one_line_and_commits_nothing(
    job: Job, change: Callable[[Job, dict[str, str]], dict[str, str]], cause: str
) -> None:
    done = job.run(change(job, job.put(ROWS)))
    assert done.returncode == 1
    # spark-submit passes both streams of the job on as one.
    last = done.stdout.splitlines()[-1]
    assert last.startswith(cause) and "Traceback" not in done.stdout + done.stderr
    assert job.record() is None and job.data_keys() == []


ARGUMENTS = [f"--{name}" for name in NAMES] + ["--processed_bucket", "--contract"]


@pytest.mark.parametrize(
    ("argv", "cause"),
    [
        ([], "required: --dataset"),
        ([part for name in ARGUMENTS[:-1] for part in (name, "x")], "required: --contract"),
        (
            [part for name in ARGUMENTS for part in (name, "x")] + ["--metadata_sync", "never"],
            "invalid choice: 'never'",
        ),
    ],
    ids=["none", "one missing", "unknown choice"],
)
def test_wrong_arguments_end_with_one_line(argv: list[str], cause: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert isinstance(ended.value.code, str), "which Python ends with 1, and tells on stderr"
    assert ended.value.code.startswith("Lakehead.UsageError: ") and cause in ended.value.code
    assert "\n" not in ended.value.code


@given(st.lists(st.text(min_size=1), min_size=len(ARGUMENTS), max_size=len(ARGUMENTS)))
@example(["-weird.csv"] * len(ARGUMENTS))
@example(["--source_key"] * len(ARGUMENTS))
@example(["--JOB_RUN_ID=7"] * len(ARGUMENTS))
def test_a_value_is_taken_as_it_is(values: list[str]) -> None:
    given_by_glue = ["--TempDir", "s3://t/", "--enable-metrics", "true"]
    pairs = [part for pair in zip(ARGUMENTS, values, strict=True) for part in pair]
    parsed = parsed_arguments([*given_by_glue, *pairs])
    assert [getattr(parsed, name.removeprefix("--")) for name in ARGUMENTS] == values


@pytest.mark.parametrize(("failures", "waited"), [(0, []), (2, [5.0, 30.0])])
def test_what_passes_by_itself_is_waited_for(
    failures: int, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("lakehead.aws.glue_job.time.sleep", waits.append)
    answers = iter([StorageUnavailable("S3 asks to slow down")] * failures + ["loaded"])

    def load() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert persistently(load) == "loaded" and waits == waited


@pytest.mark.parametrize(("error", "tries"), [(StorageUnavailable("no disk"), 3), (ObjectNotFound("gone"), 1)])
def test_what_does_not_pass_ends_the_job(error: Exception, tries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehead.aws.glue_job.time.sleep", lambda _: None)
    tried: list[int] = []

    def load() -> None:
        tried.append(1)
        raise error

    with pytest.raises(type(error)):
        persistently(load)
    assert len(tried) == tries


def test_a_message_is_one_line() -> None:
    assert one_line("a\n  b\r\n\tc") == "a b c"
    assert len(one_line("x" * 5000)) == 1000
