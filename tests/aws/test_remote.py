"""The commands against a deployed environment: through the command line, on the emulator, beside the embedded lake."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.aws import ACCOUNT, REGION, until
from support.deployed import HEADER, Deployment

from lakehead.aws.lake import AwsLake
from lakehead.cli.app import main
from lakehead.config import load_config
from lakehead.model import object_id
from lakehead.storage import layout

DAY = "2033-02-{:02}"


@dataclass
class Remote:
    """The lake's folder with an environment that AWS runs, and the command line on it."""

    folder: Path
    deployment: Deployment
    read: Callable[[], tuple[str, str]]

    def run(self, *command: str, env: str = "test", code: int = 0) -> str:
        """What a command prints to stdout; where it prints nothing there, what it says on stderr."""
        self.read()
        ended = main(["--lake", str(self.folder), "--env", env, *command])
        out, err = self.read()
        assert ended == code, f"{command} ends with {ended}\n{out}\n{err}"
        return out or err

    def json(self, *command: str, env: str = "test", code: int = 0) -> Any:
        """What a command tells as JSON."""
        return json.loads(self.run("-o", "json", *command, env=env, code=code))

    def put(self, text: str, *, name: str = "", env: str = "test") -> str:
        """Land a file by the command; its key."""
        path = self.folder / (name or f"{uuid.uuid4().hex}.csv")
        path.write_text(text, encoding="utf-8")
        command = ("put", str(path), "--dataset", "sales/orders", "--ingest-date", "2033-02-01")
        (landed,) = self.json(*command, env=env)
        return str(landed["key"])

    def ended(self, key: str, count: int = 1) -> list[dict[str, Any]]:
        """The executions of a key, newest first, once so many have ended."""

        def ask() -> list[dict[str, Any]] | None:
            runs: list[dict[str, Any]] = self.json("runs", "ls", "--key", key)
            return runs if len(runs) >= count and all(run["status"] != "RUNNING" for run in runs) else None

        return until(f"{count} executions of {key}", ask, seconds=120)


@pytest.fixture
def remote(
    deployment: Deployment,
    lake_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Remote:
    """The deployed lake from the command line, and an embedded one (`dev`) of the same files."""
    folder = tmp_path / "lake"
    shutil.copytree(lake_dir, folder)
    emulator = deployment.emulator
    settings = f"""[lake]
name = "sales"
[env.dev]
[env.test]
storage = "s3"
runtime = "aws"
region = "{REGION}"
endpoint_url = "{emulator.https}"
"""
    (folder / "lakehead.toml").write_text(settings, encoding="utf-8")
    for name, value in {
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CA_BUNDLE": str(emulator.folder / "ca.pem"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where staging is looked for: nobody else's

    def read() -> tuple[str, str]:
        found = capsys.readouterr()
        return found.out, found.err

    return Remote(folder, deployment, read)


def keys(value: Any) -> Any:
    """The shape of a JSON answer: the names in it, and the types of what is no object."""
    if isinstance(value, dict):
        return {name: keys(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [keys(value[0])] if value else []
    return type(value).__name__


def test_a_file_from_put_to_quarantine_as_embedded(remote: Remote) -> None:
    """One file, loaded by both: the answers differ in nothing but names and times."""
    lines = (f"700,C1,Pen,2,1.50,{DAY.format(1)}", f"701,,Pen,x,1.50,{DAY.format(1)}", "702,C1,Pen,1,1.50,2033-02-30")
    text = HEADER + "\n".join(lines) + "\n"
    key = remote.put(text, name="both.csv")
    assert remote.put(text, name="both.csv", env="dev") == key
    (run,) = remote.ended(key)
    counted = {
        "status": "SUCCEEDED",
        "rows_read": 3,
        "rows_committed": 1,
        "rows_quarantined": 2,
        "dataset": "sales/orders",
    }
    assert counted.items() <= run.items()
    remote.run("ingest", env="dev")
    (embedded,) = remote.json("runs", "ls", "--key", key, env="dev")
    assert keys(run) == keys(embedded)
    assert (
        keys(remote.json("runs", "show", run["name"])).keys()
        == keys(remote.json("runs", "show", embedded["name"], env="dev")).keys()
    )

    sql = "SELECT order_id, product, price, quantity, customer_id FROM processed_orders WHERE order_id = 700"
    assert remote.json("query", sql) == remote.json("query", sql, env="dev")
    assert remote.run("-o", "csv", "query", sql) == remote.run("-o", "csv", "query", sql, env="dev")
    shown = remote.json("quarantine", "show", key)
    assert shown == remote.json("quarantine", "show", key, env="dev")
    assert [row["line"] for row in shown] == [3, 4]
    assert {row["line"] for row in remote.json("quarantine", "show", key, "--reason", "quantity: not an integer")} == {
        3
    }
    mine = [one for one in remote.json("quarantine", "ls", "--dataset", "sales/orders") if one["key"] == key]
    (theirs,) = remote.json("quarantine", "ls", env="dev")
    assert mine[0]["reasons"] == theirs["reasons"] and mine[0]["execution"] == run["name"]
    assert keys(mine[0]) == keys(theirs)

    summary = remote.json("replay", "--key", key)
    assert (summary["found"], summary["succeeded"], summary["rows_committed"]) == (1, 1, 1)
    assert keys(summary) == keys(remote.json("replay", "--key", key, env="dev"))
    first, second = remote.ended(key, 2)
    assert first["name"] == summary["executions"][0]["name"] and second == run
    assert remote.json("runs", "ls", "--key", key, "--limit", "1") == [first]
    assert remote.json("runs", "ls", "--key", key, "--after", first["name"]) == [second]
    assert remote.json("runs", "ls", "--key", key, "--status", "FAILED") == []
    assert remote.json("runs", "ls", "--key", key, "--since", "2100-01-01") == []
    assert remote.json("query", "SELECT count(*) AS n FROM processed_orders WHERE order_id = 700") == [{"n": 1}]


def test_a_broken_file_is_told_of_and_redriven(remote: Remote) -> None:
    key = remote.put("order_id,customer_id,product,quantity,order_date\n710,C1,Pen,1,2033-02-02\n")
    (run,) = remote.ended(key)
    assert run["status"] == "FAILED" and "HeaderMismatch" in run["cause"]
    assert remote.json("runs", "ls", "--status", "FAILED", "--dataset", "sales/orders", "--since", "1h")[0] == run
    shown = remote.run("runs", "show", run["name"])
    assert "HeaderMismatch" in shown and f"lakehead runs redrive {run['name']}" in shown
    lines = remote.json("runs", "logs", run["name"])
    assert {line["execution"] for line in lines} == {run["name"]} and {line["object"] for line in lines} == {key}
    assert any(line["level"] == "ERROR" and "HeaderMismatch" in line["message"] for line in lines)
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)

    (again,) = remote.json("runs", "redrive", run["name"], code=1)
    assert (again["status"], again["key"]) == ("FAILED", key) and again["name"] != run["name"]
    path = remote.folder / key.rpartition("/")[2]
    mended = remote.put(HEADER + f"710,C1,Pen,1,1.50,{DAY.format(2)}\n", name=path.name)
    assert mended == key and remote.ended(key, 3)[0]["status"] == "SUCCEEDED"
    (redriven,) = remote.json("runs", "redrive", run["name"])
    assert redriven["status"] == "SUCCEEDED" and redriven["rows_committed"] == 1
    remote.run("runs", "redrive", redriven["name"], code=1)


def test_the_jobs_own_lines_are_among_the_logs(remote: Remote) -> None:
    key = remote.put(HEADER + f"720,C1,Pen,1,1.50,{DAY.format(3)}\n")
    (run,) = remote.ended(key)
    (job_run,) = remote.deployment.job_runs(key)
    logs, group = remote.deployment.emulator.client("logs"), "/lakehead/sales-test/etl/output"
    moment = int(job_run["StartedOn"].timestamp() * 1000)
    logged = {"timestamp": job_run["StartedOn"].isoformat(), "level": "WARNING", "logger": "x", "message": "odd rows"}
    events = [{"timestamp": moment, "message": json.dumps(logged)}, {"timestamp": moment + 1, "message": "plain text"}]
    logs.create_log_stream(logGroupName=group, logStreamName=job_run["Id"])
    logs.put_log_events(logGroupName=group, logStreamName=job_run["Id"], logEvents=events)
    lines = remote.json("runs", "logs", run["name"])
    assert [line["message"] for line in lines if line["logger"] != "stepfunctions"] == ["odd rows", "plain text"]
    assert {line["execution"] for line in lines} == {run["name"]}


def test_verify_finds_and_mends(remote: Remote) -> None:
    key = remote.put(HEADER + f"730,C1,Pen,1,1.50,{DAY.format(4)}\n")
    remote.ended(key)
    sound = remote.json("verify")
    assert sound["ok"] and sound["checked"]["records"] >= 1
    files = remote.deployment.files(f"sales/orders/order_date={DAY.format(4)}/")
    remote.deployment.emulator.s3.delete_object(Bucket=remote.deployment.processed, Key=files[0])
    broken = remote.json("verify", code=1)
    assert [finding["place"] for finding in broken["findings"]] == files
    remote.run("verify", "--repair")
    assert remote.json("verify")["ok"]
    assert remote.json("query", "SELECT count(*) AS n FROM processed_orders WHERE order_id = 730") == [{"n": 1}]


def test_an_orphan_is_removed_once_it_is_old(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = object_id("sales/orders/ingest_date=2033-02-05/gone.csv")
    orphan = layout.data_key("sales/orders", f"order_date={DAY.format(5)}", owner, "0" * 12, 0)
    remote.deployment.emulator.s3.put_object(Bucket=remote.deployment.processed, Key=orphan, Body=b"PAR1")
    assert remote.json("verify")["ok"], "an execution may be about to commit it"
    monkeypatch.setattr("lakehead.aws.lake.STALE_AFTER", timedelta(0))
    (finding,) = remote.json("verify", code=1)["findings"]
    assert (finding["kind"], finding["place"]) == ("orphan_file", orphan)
    assert remote.json("verify", "--repair")["findings"][0]["repaired"]
    assert orphan not in remote.deployment.files(f"sales/orders/order_date={DAY.format(5)}/")


def test_queries_give_pythons_types_and_say_what_is_wrong(remote: Remote) -> None:
    with AwsLake.open(load_config(remote.folder, "test")) as lake:
        sql = (
            "SELECT 1 AS i, CAST(2 AS BIGINT) AS b, CAST('1.50' AS DECIMAL(12,2)) AS d, DATE '2033-02-01' AS day, "
            "true AS yes, 1.5e0 AS f, CAST(NULL AS INTEGER) AS nothing, 'i' AS t"
        )
        with lake.query(sql) as result:
            assert [name for name, _ in result.columns] == ["i", "b", "d", "day", "yes", "f", "nothing", "t"]
            assert list(result.rows) == [(1, 2, Decimal("1.50"), date(2033, 2, 1), True, 1.5, None, "i")]
    assert "no_such_table" in remote.run("query", "SELECT * FROM no_such_table", code=1)
    listed = remote.json("query", "--list")
    assert {"daily_revenue", "top_products"} <= {one["name"] for one in listed}
    (remote.folder / "queries" / "few.sql").write_text("SELECT 1 AS one", encoding="utf-8")
    assert remote.json("query", "--named", "few") == [{"one": 1}]


def test_doctor_looks_at_the_deployment(remote: Remote) -> None:
    checks = remote.json("doctor")
    assert all(check["ok"] for check in checks)
    assert f"bucket {remote.deployment.raw}" in {check["check"] for check in checks}
    found = remote.json("--set", "raw_bucket=no-such-bucket-of-ours", "doctor", code=1)
    assert [check["check"] for check in found if not check["ok"]] == ["bucket no-such-bucket-of-ours"]


@pytest.mark.parametrize("command", ["ingest", "up", "catalog ls", "catalog crawl", "notifications ls"])
def test_what_has_no_meaning_names_the_command_to_use(remote: Remote, command: str) -> None:
    told = remote.run(*command.split(), code=2)
    assert "not for an environment that AWS runs" in told and "lakehead --env test " in told


def test_what_is_not_there_is_told(remote: Remote) -> None:
    assert "no such execution" in remote.run("runs", "show", "nobody", code=2)
    assert "no such object" in remote.run("replay", "--key", "sales/orders/none.csv", code=2)
    assert "no contract" in remote.run("runs", "ls", "--dataset", "sales/other", code=2)
