"""The whole command line over a real lake. What only reads is called in this process; the rest runs in its own."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lakehead.cli import main
from lakehead.examples import write_example
from lakehead.examples.demo import MARK

HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
GOOD = HEADER + "2001,C001,Mouse,2,500,2025-02-01\n"
NO_PRICE = "order_id,customer_id,product,quantity,order_date\n2001,C001,Mouse,2,2025-02-01\n"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sales lake with its samples ingested. Tests that use it only read."""
    root = tmp_path_factory.mktemp("loaded") / "lake"
    write_example("sales", root)
    done = command(root, "ingest", *(str(path) for path in sorted((root / "samples").glob("*.csv"))))
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def command(root: Path, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lakehead", *words], cwd=root, capture_output=True, text=True, timeout=120, **more
    )


def within(root: Path, *words: str) -> tuple[int, str, str]:
    """A command in this process, which is quicker: (exit code, stdout, stderr)."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = main(["--lake", str(root), *words])
    return code, out.getvalue(), err.getvalue()


def answer(root: Path, *words: str) -> Any:
    code, out, err = within(root, *words, "--output", "json")
    assert (code, err) == (0, ""), out + err
    return json.loads(out)


def test_the_samples_become_rows_and_quarantine(loaded: Path) -> None:
    (counts,) = answer(loaded, "query", "SELECT count(*) AS n, sum(total_amount) AS revenue FROM processed_orders")
    assert counts["n"] == 16
    rows = answer(loaded, "quarantine", "show")
    assert sorted(row["text"].split(",")[0] for row in rows) == ["1007", "1008", "1010", "1013", "1014"]
    assert all(row["reasons"] and row["line"] > 1 for row in rows)
    assert sum(entry["rows"] for entry in answer(loaded, "quarantine", "ls")) == 5


def test_ingest_again_changes_nothing(loaded: Path) -> None:
    before = answer(loaded, "runs", "ls")
    summary = answer(loaded, "ingest")
    assert (summary["started"], summary["failed"], summary["rows_read"]) == (0, 0, 0)
    assert answer(loaded, "runs", "ls") == before


def test_runs(loaded: Path) -> None:
    runs = answer(loaded, "runs", "ls")
    assert [run["status"] for run in runs] == ["SUCCEEDED"] * 4
    assert sum(run["rows_read"] for run in runs) == 21
    assert sum(run["rows_committed"] + run["rows_quarantined"] for run in runs) == 21
    first, second = answer(loaded, "runs", "ls", "--limit", "2")
    assert [first, second] == runs[:2]
    assert answer(loaded, "runs", "ls", "--after", second["name"]) == runs[2:]
    assert answer(loaded, "runs", "ls", "--status", "FAILED") == []
    detail = answer(loaded, "runs", "show", first["name"])
    types = [event["type"] for event in detail["history"]]
    assert types[0] == "ExecutionStarted" and types[-1] == "ExecutionSucceeded"
    logs = answer(loaded, "runs", "logs", first["name"])
    assert logs and all(line["execution"] == first["name"] for line in logs)
    code, told, _ = within(loaded, "runs", "show", first["name"])
    assert code == 0 and "ExecutionSucceeded" in told


def test_catalog(loaded: Path) -> None:
    tables = {table["table"]: table for table in answer(loaded, "catalog", "ls")}
    assert set(tables) == {"raw_orders", "processed_orders", "quarantine_orders"}
    assert tables["processed_orders"]["rows"] == 16
    columns = {column["name"]: column for column in answer(loaded, "catalog", "show", "processed_orders")["columns"]}
    assert columns["order_date"]["partition_key"] and columns["total_amount"]["type"].startswith("decimal(")
    crawls = answer(loaded, "catalog", "crawl", "--full")
    assert crawls and {crawl["status"] for crawl in crawls} == {"SUCCEEDED"}


def test_named_queries_answer(loaded: Path) -> None:
    names = {query["name"] for query in answer(loaded, "query", "--list")}
    assert {"daily_revenue", "top_products", "average_order_value"} <= names
    for name in names:
        assert answer(loaded, "query", "--named", name), name
    assert "daily_revenue" in within(loaded, "query", "--named", "daily")[2]


def test_every_output_holds_the_same_rows(loaded: Path, tmp_path: Path) -> None:
    sql = "SELECT order_id, product, total_amount FROM processed_orders ORDER BY order_id"
    told = answer(loaded, "query", sql)
    rows = list(csv.DictReader(io.StringIO(within(loaded, "query", sql, "-o", "csv")[1])))
    assert [row["product"] for row in rows] == [row["product"] for row in told]
    target = tmp_path / "out.parquet"
    assert within(loaded, "query", sql, "-o", "parquet", "--to", str(target)) == (0, "", "")
    parquet = duckdb.connect().execute("SELECT product FROM read_parquet(?) ORDER BY order_id", [str(target)])
    assert [row[0] for row in parquet.fetchall()] == [row["product"] for row in told]
    assert "Laptop" in within(loaded, "query", sql)[1]


def test_wrong_sql_is_told_without_a_traceback(loaded: Path) -> None:
    for sql in ("SELEC 1", "SELECT nothing FROM processed_orders", "SELECT * FROM no_table", "DROP TABLE raw_orders"):
        code, out, err = within(loaded, "query", sql)
        assert code in (1, 2), (sql, code, err)
        assert err.startswith("Error: ") and "Traceback" not in err and not out


def test_verify_doctor_and_notifications(loaded: Path) -> None:
    assert answer(loaded, "verify")["ok"] is True
    assert all(check["ok"] for check in answer(loaded, "doctor"))
    announced = answer(loaded, "notifications", "ls")
    assert [entry["outcome"] for entry in announced] == ["success"] * 4
    assert within(loaded, "notifications", "retry") == (0, "", "Everything is delivered.\n")


def test_replay_changes_no_row(loaded: Path) -> None:
    sql = "SELECT * FROM processed_orders ORDER BY order_id"
    before = answer(loaded, "query", sql)
    summary = answer(loaded, "replay", "--prefix", "sales/orders/")
    assert (summary["failed"], summary["rows_read"]) == (0, 21)
    assert answer(loaded, "query", sql) == before


def test_the_workflow_document(loaded: Path) -> None:
    assert answer(loaded, "workflow", "validate")["valid"] is True
    assert within(loaded, "workflow", "graph")[1].startswith("stateDiagram-v2\n")


def test_a_failed_execution_is_told_and_redriven(sales: Path) -> None:
    (sales / "bad.csv").write_text(NO_PRICE, encoding="utf-8")
    (sales / "good.csv").write_text(GOOD, encoding="utf-8")
    done = command(sales, "ingest", "good.csv", "bad.csv")
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "price" in done.stdout and "bad.csv" in done.stdout
    redrive = next(line for line in done.stdout.splitlines() if "lakehead runs redrive" in line).split()
    name = redrive[-1]
    (failed,) = answer(sales, "runs", "ls", "--status", "FAILED")
    assert failed["name"] == name and "HeaderMismatch" in failed["error"]
    assert answer(sales, "query", "SELECT count(*) AS n FROM processed_orders") == [{"n": 1}]
    code, out, _ = within(sales, "runs", "redrive", name)
    assert code == 1 and "price" in out
    assert [entry["outcome"] for entry in answer(sales, "notifications", "ls")].count("success") == 1
    assert within(sales, "runs", "redrive", "no-such-run")[0] == 2
    assert within(sales, "ingest")[0] == 0, "a file that failed is not tried again by itself"


@contextmanager
def watching(root: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "lakehead", "up", "--console-port", "0"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert "Watching" in process.stderr.readline()
        assert process.stderr.readline().startswith("Console: http://127.0.0.1:")
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_loads_what_lands_and_stops_when_asked(sales: Path, number: signal.Signals) -> None:
    with watching(sales) as process:
        (sales / "good.csv").write_text(GOOD, encoding="utf-8")
        assert within(sales, "put", str(sales / "good.csv"))[0] == 0
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("SUCCEEDED sales/orders/") and "1 rows, 0 quarantined" in line
        assert answer(sales, "query", "SELECT count(*) AS n FROM processed_orders") == [{"n": 1}]
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "")
        assert err == "Stopped.\n"


def test_put_refuses_what_it_cannot_place(sales: Path) -> None:
    (sales / "a.csv").write_text(GOOD, encoding="utf-8")
    file = str(sales / "a.csv")
    code, _, err = within(sales, "put", file, "--dataset", "sales/ordres")
    assert code == 2 and "sales/orders" in err
    assert (
        answer(sales, "put", file, "--ingest-date", "2025-01-03")[0]["key"]
        == "sales/orders/ingest_date=2025-01-03/a.csv"
    )


def test_the_demo_runs_where_one_ran_before(tmp_path: Path) -> None:
    old = tmp_path / "demo-lake" / "data" / "of an earlier demo"
    old.mkdir(parents=True)
    (tmp_path / "demo-lake" / MARK).touch()
    done = subprocess.run(
        [sys.executable, "-m", "lakehead.examples.demo"], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "" and not old.exists()
    for told in ("$ lakehead init demo-lake", "21 rows read = 16 committed + 5 quarantined", "Nothing new", "is sound"):
        assert told in done.stdout


def test_a_second_up_is_told_that_one_runs(sales: Path) -> None:
    (sales / "good.csv").write_text(GOOD, encoding="utf-8")
    with watching(sales) as process:
        assert within(sales, "put", str(sales / "good.csv"))[0] == 0
        assert process.stdout is not None and process.stdout.readline().startswith("SUCCEEDED")
        code, out, err = within(sales, "up")
        assert (code, out) == (75, "") and "Error: " in err
        assert within(sales, "runs", "ls")[0] == 0, "reading goes on meanwhile"


def test_a_retry_of_notifications_says_what_is_given_up_again(sales: Path, refusing: str) -> None:
    settings = (sales / "lakehead.toml").read_text()

    def subscribe(name: str, url: str) -> None:
        told = f'\n[[notify]]\nname = "{name}"\nurl = "{url}"\n' if name else ""
        (sales / "lakehead.toml").write_text(settings + told)

    subscribe("hook", f"http://{refusing}/?status=401")
    assert within(sales, "ingest", str(sales / "samples/orders-2025-01-01.csv"))[0] == 0
    given_up = "1 given up. Why: lakehead notifications ls --output json\n"
    assert within(sales, "notifications", "retry") == (1, "", given_up)
    ((delivery,),) = [one["deliveries"] for one in answer(sales, "notifications", "ls")]
    assert delivery["status"] == "dead" and "refuses" in delivery["error"]
    subscribe("hook", f"http://{refusing}/?status=500")
    assert within(sales, "notifications", "retry") == (0, "", "1 still to be delivered.\n")
    subscribe("", "")  # nobody is owed anything any more
    assert within(sales, "notifications", "retry") == (0, "", "Everything is delivered.\n")
    subscribe("hook", "console:")
    assert within(sales, "notifications", "retry") == (0, "", "Everything is delivered.\n")
    assert answer(sales, "notifications", "ls")[0]["deliveries"][0]["status"] == "sent"
