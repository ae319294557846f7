"""What no emulator answers: Step Functions' redrive, Athena's types and time, and AWS's refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError

from lakehead.aws import health
from lakehead.aws.api import Aws, Expected, explained
from lakehead.aws.executions import Executions, execution_arn
from lakehead.aws.loglines import job_runs
from lakehead.aws.queries import Athena
from lakehead.config import load_config
from lakehead.errors import ConfigError, NotFound, NotRedrivable, QueryError, StorageUnavailable
from lakehead.landing import lake_contracts
from lakehead.storage import open_store

ORDERS = "arn:aws:states:eu-central-1:123456789012:stateMachine:sales-prod-sales-orders-ingest"
RETURNS = ORDERS.replace("orders", "returns")
START = datetime(2025, 1, 3, 8, tzinfo=UTC)


class Scripted:
    """AWS with answers that the test gives: by method, a value or what makes it of the arguments."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.identity = self.region = ""
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, service: str, method: str, *, expected: tuple[str, ...] = (), **arguments: Any) -> Any:
        self.asked.append((method, arguments))
        answer = self.answers[method]
        found = answer(**arguments) if callable(answer) else answer
        if isinstance(found, Expected) and found.code in expected:
            raise found
        return found

    def pages(self, service: str, method: str, **arguments: Any) -> Iterator[Any]:
        yield from self.call(service, method, **arguments)

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]


def aws(**answers: Any) -> tuple[Aws, Scripted]:
    scripted = Scripted(**answers)
    return cast(Aws, scripted), scripted


def told(name: str, status: str, *, machine: str = ORDERS, minutes: int = 0) -> dict[str, Any]:
    """What DescribeExecution says."""
    return {
        "name": name,
        "status": status,
        "executionArn": execution_arn(machine, name),
        "stateMachineArn": machine,
        "startDate": START + timedelta(minutes=minutes),
        **({} if status == "RUNNING" else {"stopDate": START + timedelta(minutes=minutes, seconds=90)}),
        "input": json.dumps({"detail": {"object": {"key": f"sales/orders/{name}.csv"}}}),
        "output": json.dumps({"rows_read": 3, "rows_committed": 2, "rows_quarantined": 1}),
    }


def history(*types: str) -> dict[str, Any]:
    return {"events": [{"type": one} for one in types]}


def test_an_execution_that_timed_out_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehead.aws.executions.LOOK_SECONDS", 0)
    redriven = {"redriveDate": START + timedelta(days=1)}
    before = told("one", "TIMED_OUT")  # what DescribeExecution may say for a while after the redrive, too
    seen = iter([before, before, told("one", "RUNNING") | redriven, told("one", "SUCCEEDED") | redriven])
    asked, scripted = aws(
        describe_execution=lambda **_: next(seen),
        get_execution_history=history("ExecutionTimedOut", "TaskStateEntered"),
        redrive_execution=redriven,
    )
    executions = Executions(asked, {"sales/orders": ORDERS})
    assert executions.redrive("one")
    assert ("redrive_execution", {"executionArn": execution_arn(ORDERS, "one")}) in scripted.asked
    assert executions.ended("one").status == "SUCCEEDED"


def test_one_that_told_its_failure_is_not_redriven_in_place() -> None:
    asked, scripted = aws(
        describe_execution=told("one", "FAILED"),
        get_execution_history=history("ExecutionFailed", "FailStateEntered"),
    )
    assert not Executions(asked, {"sales/orders": ORDERS}).redrive("one")
    assert "redrive_execution" not in scripted.methods


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
def test_only_what_failed_is_redriven(status: str) -> None:
    asked, _ = aws(describe_execution=told("one", status))
    with pytest.raises(NotRedrivable, match=status):
        Executions(asked, {"sales/orders": ORDERS}).redrive("one")


def test_what_aws_does_not_redrive_names_the_replay() -> None:
    asked, _ = aws(
        describe_execution=told("one", "ABORTED"),
        get_execution_history=history("ExecutionAborted", "TaskStateEntered"),
        redrive_execution=Expected("ExecutionNotRedrivable", "it is too old"),
    )
    with pytest.raises(NotRedrivable, match="too old") as caught:
        Executions(asked, {"sales/orders": ORDERS}).redrive("one")
    assert "lakehead replay --key sales/orders/one.csv" in caught.value.hint


def test_only_what_runs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehead.aws.executions.LOOK_SECONDS", 0)
    seen = iter(["RUNNING", "RUNNING", "ABORTED"])
    asked, scripted = aws(describe_execution=lambda **_: told("one", next(seen, "ABORTED")), stop_execution={})
    executions = Executions(asked, {"sales/orders": ORDERS})
    assert executions.stop("one", error="Stopped", cause="mine").status == "ABORTED"
    given = {"executionArn": execution_arn(ORDERS, "one"), "error": "Stopped", "cause": "mine"}
    assert [arguments for method, arguments in scripted.asked if method == "stop_execution"] == [given]
    assert executions.stop("one", error="Stopped", cause="again").status == "ABORTED"
    assert scripted.methods.count("stop_execution") == 1


def test_executions_of_all_datasets_are_merged_and_paged() -> None:
    all_of_them = {
        ORDERS: [told("e", "SUCCEEDED", minutes=5), told("c", "FAILED", minutes=3), told("a", "SUCCEEDED", minutes=1)],
        RETURNS: [told("d", "SUCCEEDED", machine=RETURNS, minutes=3), told("b", "FAILED", machine=RETURNS, minutes=2)],
    }
    by_arn = {one["executionArn"]: one for group in all_of_them.values() for one in group}

    def described(executionArn: str) -> Any:
        return by_arn.get(executionArn) or Expected("ExecutionDoesNotExist", "")

    def listed(stateMachineArn: str, statusFilter: str = "") -> Any:
        found = [one for one in all_of_them[stateMachineArn] if statusFilter in ("", one["status"])]
        return [{"executions": found[:1]}, {"executions": found[1:]}]

    asked, _ = aws(describe_execution=described, list_executions=listed)
    executions = Executions(asked, {"sales/orders": ORDERS, "sales/returns": RETURNS})
    whole = executions.listed(limit=10)
    assert [run.name for run in whole] == ["e", "c", "d", "b", "a"]
    assert [run.dataset for run in whole[:3]] == ["sales/orders", "sales/orders", "sales/returns"]
    assert [run.name for run in executions.listed(limit=2)] == ["e", "c"]
    assert [run.name for run in executions.listed(limit=2, after="c")] == ["d", "b"]
    assert [run.name for run in executions.listed(limit=9, status="FAILED", since=START + timedelta(minutes=3))] == [
        "c"
    ]
    assert [run.name for run in executions.listed(limit=9, key="sales/orders/b.csv")] == ["b"]
    assert (whole[0].duration_seconds, whole[0].rows_committed) == (90.0, 2)


def test_no_more_run_at_a_time_than_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehead.aws.executions.LOOK_SECONDS", 0)
    running: dict[str, int] = {}
    most = 0

    def begin(name: str) -> None:
        nonlocal most
        running[name] = 3
        most = max(most, sum(left > 0 for left in running.values()))
        executions.start("sales/orders", name, {})

    def described(executionArn: str) -> Any:
        name = executionArn.rpartition(":")[2]
        running[name] -= 1
        if name == "n0" and running[name] == 2:
            return Expected("ExecutionDoesNotExist", "")  # AWS may not know yet of one that it just began
        return told(name, "RUNNING" if running[name] > 0 else "SUCCEEDED")

    asked, _ = aws(describe_execution=described, start_execution={})
    executions = Executions(asked, {"sales/orders": ORDERS})
    names = [f"n{number}" for number in range(7)]
    assert sorted(run.name for run in executions.ends(names, begin, at_once=3)) == names
    assert most == 3


def test_job_runs_are_those_that_the_history_tells_of() -> None:
    details = {"resourceType": "glue", "resource": "startJobRun.sync"}
    events: list[dict[str, Any]] = [
        {"type": "ExecutionStarted", "executionStartedEventDetails": {"input": '{"key": "jr_00"}'}},
        {"type": "TaskSubmitted", "taskSubmittedEventDetails": {**details, "output": '{"JobRunId":"jr_0a"}'}},
        {"type": "TaskFailed", "taskFailedEventDetails": {**details, "cause": '{"Id":"jr_0a"}'}},
        {"type": "TaskSubmitted", "taskSubmittedEventDetails": {**details, "output": '{"JobRunId":"jr_0b"}'}},
    ]
    assert job_runs(events) == ["jr_0a", "jr_0b"]


def column(name: str, kind: str, precision: int = 0, scale: int = 0) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "Precision": precision, "Scale": scale}


def page(columns: list[dict[str, Any]], *rows: list[str | None]) -> dict[str, Any]:
    cells = [{"Data": [{} if text is None else {"VarCharValue": text} for text in row]} for row in rows]
    return {"ResultSet": {"ResultSetMetadata": {"ColumnInfo": columns}, "Rows": cells}}


def athena(pages: list[Any], statement: str = "DML") -> tuple[Athena, Scripted]:
    done = {"QueryExecution": {"Status": {"State": "SUCCEEDED"}, "StatementType": statement}}
    asked, scripted = aws(
        start_query_execution={"QueryExecutionId": "q"}, get_query_execution=done, get_query_results=pages
    )
    return Athena(asked, workgroup="sales-prod", database="sales_prod"), scripted


COLUMNS = [
    column("n", "bigint"),
    column("price", "decimal", 12, 2),
    column("at", "timestamp"),
    column("zoned", "timestamp with time zone"),
    column("day", "date"),
    column("raw", "varbinary"),
    column("list", "array"),
]
HEADER: list[str | None] = [one["Name"] for one in COLUMNS]
FIRST: list[str | None] = ["1", "1.50", "2025-01-03 08:00:00.000", "2025-01-03 09:00:00.000 Europe/Berlin",
                           "2025-01-03", "6c 68", "[a, b]"]  # fmt: skip
SECOND: list[str | None] = ["2", None, None, "2025-01-03 09:00:00.000 +01:00", None, None, None]


def test_athenas_text_becomes_pythons_values_over_all_pages() -> None:
    asked, scripted = athena([page(COLUMNS, HEADER, FIRST), page(COLUMNS, SECOND)])
    result = asked.run("SELECT ...", timeout_seconds=5)
    assert dict(result.columns)["price"] == "decimal(12,2)"
    moment = datetime(2025, 1, 3, 8, tzinfo=UTC)
    assert list(result.rows) == [
        (1, Decimal("1.50"), moment, moment, date(2025, 1, 3), b"lh", "[a, b]"),
        (2, None, None, moment, None, None, None),
    ]
    asked_for = scripted.asked[0][1]
    assert asked_for["WorkGroup"] == "sales-prod" and asked_for["QueryExecutionContext"] == {"Database": "sales_prod"}


def test_a_show_has_no_line_of_names() -> None:
    asked, _ = athena([page([column("tab_name", "string")], ["processed_orders"])], "UTILITY")
    assert list(asked.run("SHOW TABLES", timeout_seconds=5).rows) == [("processed_orders",)]


def test_a_describe_comes_as_one_text_a_row() -> None:
    columns = [column(name, "string") for name in ("col_name", "data_type", "comment")]
    asked, _ = athena([page(columns, ["order_id            \tbigint              \t  "], ["day\tstring"])], "UTILITY")
    rows = list(asked.run("DESCRIBE processed_orders", timeout_seconds=5).rows)
    assert rows == [("order_id", "bigint", None), ("day", "string", None)]


def test_an_answer_is_written_as_parquet(tmp_path: Path) -> None:
    import duckdb

    columns = [column("n", "bigint"), column("price", "decimal", 12, 2), column("n", "date")]
    asked, _ = athena([page(columns, ["n", "price", "n"], ["1", "1.50", "2025-01-03"])])
    asked.run("SELECT ...", timeout_seconds=5).write_parquet(tmp_path / "out.parquet")
    with duckdb.connect() as session:
        found = session.execute(f"SELECT * FROM '{tmp_path / 'out.parquet'}'")
        assert [one[0] for one in found.description or ()] == ["n", "price", "n_3"]
        assert found.fetchall() == [(1, Decimal("1.50"), date(2025, 1, 3))]


@pytest.mark.parametrize("outcome", ["time", "interrupt"])
def test_a_query_that_nobody_waits_for_is_stopped(outcome: str) -> None:
    running = {"QueryExecution": {"Status": {"State": "RUNNING"}}}

    def interrupted(**_: Any) -> Any:
        raise KeyboardInterrupt

    look: Any = running if outcome == "time" else interrupted
    asked, scripted = aws(
        start_query_execution={"QueryExecutionId": "q"}, get_query_execution=look, stop_query_execution={}
    )
    with pytest.raises((QueryError, KeyboardInterrupt)):
        Athena(asked, workgroup="w", database="d").run("SELECT 1", timeout_seconds=0)
    assert scripted.asked[-1] == ("stop_query_execution", {"QueryExecutionId": "q"})


def test_a_query_that_failed_tells_athenas_reason_and_is_not_stopped() -> None:
    failed = {"QueryExecution": {"Status": {"State": "FAILED", "StateChangeReason": "line 1:8: Column 'x'"}}}
    asked, scripted = aws(start_query_execution={"QueryExecutionId": "q"}, get_query_execution=failed)
    with pytest.raises(QueryError, match="line 1:8"):
        Athena(asked, workgroup="w", database="d").run("SELECT x", timeout_seconds=5)
    assert scripted.methods[-1] == "get_query_execution"


def test_sql_that_athena_does_not_take_is_a_query_error() -> None:
    asked, _ = aws(start_query_execution=Expected("InvalidRequestException", "line 1:1: mismatched input"))
    with pytest.raises(QueryError, match="mismatched input"):
        Athena(asked, workgroup="w", database="d").run("SELEC", timeout_seconds=5)


def refused(code: str, status: int = 400) -> Callable[[], None]:
    def ask() -> None:
        answer: Any = {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, "DescribeExecution")

    return ask


@pytest.mark.parametrize(
    ("code", "status", "kind", "hint"),
    [
        ("ExpiredTokenException", 400, ConfigError, "AWS_PROFILE"),
        ("AccessDeniedException", 400, ConfigError, "permission"),
        ("StateMachineDoesNotExist", 400, NotFound, "deployed"),
        ("ThrottlingException", 400, StorageUnavailable, "Try again"),
        ("InternalFailure", 500, StorageUnavailable, "Try again"),
    ],
)
def test_aws_refusals_say_what_to_do(code: str, status: int, kind: type[Exception], hint: str) -> None:
    with pytest.raises(kind) as caught, explained("stepfunctions"):
        refused(code, status)()
    assert hint in getattr(caught.value, "hint", "")


@pytest.mark.parametrize(("error", "hint"), [(NoCredentialsError(), "AWS_PROFILE"), (NoRegionError(), "region")])
def test_what_is_missing_on_this_machine_is_told(error: Exception, hint: str) -> None:
    with pytest.raises(ConfigError) as caught, explained("sts"):
        raise error
    assert hint in caught.value.hint


def test_doctor_tells_everything_that_is_wrong(tmp_path: Path) -> None:
    """One thing that is wrong hides no other."""
    text = '[lake]\nname = "sales"\n[env.prod]\nstorage = "s3"\nruntime = "aws"\nregion = "eu-central-1"\n'
    (tmp_path / "lakehead.toml").write_text(text, encoding="utf-8")
    config = load_config(tmp_path, "prod", environ={})
    (tmp_path / "data").mkdir()

    def denied(**_: Any) -> Any:
        raise ConfigError("athena answers AccessDeniedException", hint="Give this identity the permission.")

    asked, scripted = aws(get_work_group=denied)
    scripted.identity, scripted.region = "arn:aws:iam::123456789012:user/me", "eu-central-1"
    store = open_store(tmp_path / "data")
    store.create_bucket(config.raw_bucket)
    checks = health.checks(config, asked, store, lambda: lake_contracts(config))
    assert {check.name: check.ok for check in checks} == {
        "contracts": False,
        "settings": True,
        "credentials": True,
        "bucket sales-datalake-raw-prod": True,
        "bucket sales-datalake-processed-prod": False,
        "workgroup sales-prod": False,
    }
    assert checks[-1].hint == "Give this identity the permission."
