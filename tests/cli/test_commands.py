"""What each command asks of the lake and makes of the answer. This lake only answers; test_whole.py has a real one."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lakehead import results
from lakehead.cli.session import Session
from lakehead.config import load_config
from lakehead.model import ObjectVersion

Call = Callable[..., tuple[int, str, str]]
AT = datetime(2025, 1, 3, 8, 0, 5, tzinfo=UTC)
GOOD = results.RunSummary("run-1", "SUCCEEDED", "sales/orders", "sales/orders/a.csv", AT, AT, 0.25, 6, 4, 2)
BAD = results.RunSummary(
    "run-2",
    "FAILED",
    "sales/orders",
    "sales/orders/b.csv",
    AT,
    AT,
    0.1,
    error="Lakehead.HeaderMismatch",
    cause="no price",
)


class StandIn:
    """Answers every method with what was put under its name, and remembers how it was asked."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def method(*given: Any, **named: Any) -> Any:
            self.asked.append((name, given, {k: v for k, v in named.items() if k not in ("progress", "on_run")}))
            answer = self.answers[name]
            return answer(*given, **named) if callable(answer) else answer

        return method


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch, sales: Path) -> StandIn:
    stand_in = StandIn(load_config(sales))

    @contextlib.contextmanager
    def opened(_: Session) -> Iterator[StandIn]:
        yield stand_in

    monkeypatch.setattr(Session, "open", opened)
    return stand_in


def ingested(*runs: results.RunSummary, found: int = 2) -> results.IngestSummary:
    failed = sum(run.failed for run in runs)
    return results.IngestSummary(found, len(runs), len(runs) - failed, failed, 1, 6, 4, 2, runs, 0.5)


def test_put(lake: StandIn, call: Call, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.touch()
    lake.answers["put"] = [ObjectVersion("raw", "sales/orders/ingest_date=2025-01-03/a.csv", size=7)]
    code, out, _ = call("put", str(file), "--dataset", "sales/orders", "--ingest-date", "2025-01-03", "-o", "json")
    assert code == 0
    assert json.loads(out) == [{"bucket": "raw", "key": "sales/orders/ingest_date=2025-01-03/a.csv", "bytes": 7}]
    assert lake.asked == [("put", ((file,),), {"dataset": "sales/orders", "ingest_date": date(2025, 1, 3)})]


def test_ingest_tells_the_counts(lake: StandIn, call: Call) -> None:
    def answer(progress: Any, timeout: Any) -> Any:
        progress(results.IngestProgress(2, 1))
        return ingested(GOOD)

    lake.answers["ingest"] = answer
    code, out, err = call("ingest")
    assert (code, err) == (0, "")
    assert "2 found, 1 loaded, 0 failed, 1 unchanged" in out
    assert "6 rows read = 4 committed + 2 quarantined" in out


def test_a_failed_execution_makes_ingest_fail_and_says_how_to_redrive(lake: StandIn, call: Call) -> None:
    lake.answers["ingest"] = ingested(GOOD, BAD)
    code, out, _ = call("ingest")
    assert code == 1
    assert "FAILED sales/orders/b.csv\n  Lakehead.HeaderMismatch: no price\n" in out
    assert "lakehead runs redrive run-2" in out
    code, out, _ = call("ingest", "-o", "json")
    assert code == 1 and json.loads(out)["executions"][1]["cause"] == "no price"


def test_ingest_with_files_lands_them_first(lake: StandIn, call: Call, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.touch()
    lake.answers.update(put=[], ingest=ingested(found=0))
    code, out, _ = call("ingest", str(file))
    assert code == 0 and "Nothing new" in out
    assert [name for name, _, _ in lake.asked] == ["put", "ingest"]


def test_up_prints_a_line_for_each_execution_and_stops_on_a_signal(lake: StandIn, call: Call) -> None:
    def answer(stop: threading.Event, on_run: Any, on_ready: Any) -> None:
        on_ready()
        on_run(GOOD)
        on_run(BAD)
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()

    lake.answers["up"] = answer
    before = signal.getsignal(signal.SIGTERM)
    code, out, err = call("up")
    assert code == 0 and signal.getsignal(signal.SIGTERM) == before
    good, bad = out.splitlines()
    assert good == "SUCCEEDED sales/orders/a.csv in 0.25 s: 4 rows, 2 quarantined"
    assert "no price" in bad and "lakehead runs redrive run-2" in bad
    assert "Watching" in err and "Stopped." in err
    code, out, err = call("up", "-q", "-o", "json")
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["run-1", "run-2"] and not err


def test_a_second_signal_does_not_wait(lake: StandIn, call: Call) -> None:
    def answer(stop: threading.Event, on_run: Any, on_ready: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    lake.answers["up"] = answer
    assert call("up")[0] == 130


def query_result(*, truncated: bool = False) -> Any:
    columns = [("day", "date"), ("revenue", "decimal(38,2)")]

    def write(path: Path) -> None:
        path.write_bytes(b"PAR1")

    rows = iter([(date(2025, 1, 1), Decimal("76000.00"))])
    return contextlib.nullcontext(SimpleNamespace(columns=columns, rows=rows, write_parquet=write, truncated=truncated))


def test_query(lake: StandIn, call: Call, tmp_path: Path) -> None:
    lake.answers["query"] = lambda sql: query_result()
    assert call("query", "SELECT 1", "-o", "csv") == (0, "day,revenue\n2025-01-01,76000.00\n", "")
    file = tmp_path / "q.sql"
    file.write_text("SELECT 2", encoding="utf-8")
    assert call("query", "--file", str(file), "-o", "json")[1] == '[{"day": "2025-01-01", "revenue": 76000.00}]\n'
    assert [given for name, given, _ in lake.asked] == [("SELECT 1",), ("SELECT 2",)]


def test_an_answer_that_was_cut_says_so(lake: StandIn, call: Call) -> None:
    lake.answers["query"] = lambda sql: query_result(truncated=True)
    code, out, err = call("query", "SELECT 1", "-o", "csv")
    assert code == 0 and "cut" in err and "cut" not in out


def test_query_to_parquet(lake: StandIn, call: Call, tmp_path: Path) -> None:
    lake.answers["query"] = lambda sql: query_result()
    target = tmp_path / "x.parquet"
    assert call("query", "SELECT 1", "-o", "parquet", "--to", str(target))[0] == 0
    assert target.read_bytes() == b"PAR1"
    assert call("query", "SELECT 1", "--to", str(target))[0] == 2


def test_named_queries(lake: StandIn, call: Call) -> None:
    lake.answers["named_queries"] = [results.NamedQuery("daily_revenue", "Revenue of each day", "SELECT 3")]
    lake.answers["query"] = lambda sql: query_result()
    assert "Revenue of each day" in call("query", "--list")[1]
    assert call("query", "--named", "daily_revenue")[0] == 0 and lake.asked[-1][1] == ("SELECT 3",)
    code, _, err = call("query", "--named", "daily_revnue")
    assert code == 2 and 'Did you mean "daily_revenue"?' in err


def test_runs(lake: StandIn, call: Call) -> None:
    lake.answers["runs"] = [BAD, GOOD]
    code, out, _ = call("runs", "ls", "--status", "failed", "--since", "2025-01-01", "--limit", "2")
    assert code == 0 and "More: lakehead runs ls --after run-1" in out
    (asked,) = lake.asked
    assert asked[2] == {
        "status": "FAILED", "dataset": None, "key": None, "limit": 2, "after": None,
        "since": datetime(2025, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    assert [row["status"] for row in json.loads(call("runs", "ls", "-o", "json")[1])] == ["FAILED", "SUCCEEDED"]


def test_a_run(lake: StandIn, call: Call) -> None:
    history = ({"id": 1, "timestamp": "2025-01-03T08:00:05Z", "type": "TaskStateEntered",
                "stateEnteredEventDetails": {"name": "ReadCommit"}},)  # fmt: skip
    lake.answers["run"] = results.RunDetail(BAD, {"detail": {"price": Decimal("1.50")}}, None, history)
    code, out, _ = call("runs", "show", "run-2")
    assert code == 0 and "ReadCommit" in out and "no price" in out and "redrive run-2" in out
    assert json.loads(call("runs", "show", "run-2", "-o", "json")[1])["history"][0]["id"] == 1


def test_a_runs_logs(lake: StandIn, call: Call) -> None:
    lake.answers["run_logs"] = lambda name: iter([{"timestamp": "t", "level": "INFO", "message": "hi", "rows": 3}])
    assert call("runs", "logs", "run-1") == (0, "t INFO hi rows=3\n", "")
    assert json.loads(call("runs", "logs", "run-1", "-o", "json")[1])[0]["message"] == "hi"


def test_redrive_and_stop(lake: StandIn, call: Call) -> None:
    lake.answers.update(redrive=lambda name: BAD if name == "run-2" else GOOD, stop=BAD)
    assert call("runs", "redrive", "run-1")[0] == 0
    code, out, _ = call("runs", "redrive", "run-1", "run-2")
    assert code == 1 and "no price" in out
    assert call("runs", "stop", "run-2", "--cause", "why")[0] == 0
    assert lake.asked[-1] == ("stop", ("run-2",), {"cause": "why"})


def test_catalog(lake: StandIn, call: Call) -> None:
    table = results.TableSummary("processed_orders", "sales_dev", 12, 3, 4096, 2, AT)
    column = results.TableColumn("order_date", "date", True)
    partition = results.TablePartition({"order_date": "2025-01-01"}, 5, 1, 2048)
    lake.answers["tables"] = [table]
    lake.answers["table"] = results.TableDetail(table, "s3://p/sales/orders/", (column,), (partition,))
    lake.answers["crawl"] = [results.CrawlSummary("dev-raw", "raw_orders", "FAILED", AT, 0.1, 0, "no bucket")]
    assert "processed_orders" in call("catalog", "ls")[1]
    shown = call("catalog", "show", "processed_orders")[1]
    assert "order_date=2025-01-01" in shown and "\n\nPartitions\n" in shown
    code, out, _ = call("catalog", "crawl", "dev-raw", "--full")
    assert code == 1 and "no bucket" in out and lake.asked[-1] == ("crawl", ("dev-raw",), {"full": True})


def test_quarantine(lake: StandIn, call: Call) -> None:
    lake.answers["quarantine_files"] = [
        results.QuarantineSummary("sales/orders", "k", 2, {"missing customer_id": 2}, AT)
    ]
    lake.answers["quarantine_rows"] = [
        results.QuarantineRow("sales/orders", "k", 3, "1007,,\x1b", ("missing customer_id",))
    ]
    assert "missing customer_id 2" in call("quarantine", "ls")[1]
    code, out, _ = call("quarantine", "show", "k", "--reason", "missing", "--limit", "1")
    assert code == 0 and "1007,,\\x1b" in out and "Only the first 1;" in out
    assert lake.asked[-1][2] == {"dataset": None, "key": "k", "reason": "missing", "limit": 1}
    assert json.loads(call("quarantine", "show", "-o", "json")[1])[0]["reasons"] == ["missing customer_id"]


def test_replay(lake: StandIn, call: Call) -> None:
    lake.answers["replay"] = ingested(BAD)
    assert call("replay", "--date", "2025-01-03")[0] == 1
    assert lake.asked[-1][2] == {"dataset": None, "key": None, "prefix": None, "date": date(2025, 1, 3)}


def test_verify(lake: StandIn, call: Call) -> None:
    lake.answers["verify"] = results.VerifyReport((), {"objects": 4, "rows": 21})
    code, out, _ = call("verify")
    assert (code, out) == (0, "The lake is sound: 4 objects, 21 rows checked.\n")
    finding = results.VerifyFinding("orphan", "x.parquet", "no record names it", "delete it")
    lake.answers["verify"] = results.VerifyReport((finding,))
    code, out, _ = call("verify")
    assert code == 1 and "orphan" in out and "verify --repair" in out
    assert json.loads(call("verify", "-o", "json")[1])["ok"] is False


def test_doctor(lake: StandIn, call: Call) -> None:
    lake.answers["doctor"] = [results.DoctorCheck("disk", False, "1 MB free", "Make room.")]
    code, out, _ = call("doctor")
    assert code == 1 and "Make room." in out


def test_notifications(lake: StandIn, call: Call) -> None:
    delivery = results.NotificationDelivery("mail", "failed", 3, "refused")
    lake.answers["notifications"] = [
        results.NotificationSummary("m1", AT, "success", "new rows", "text", "run-1", (delivery,))
    ]
    assert "mail failed" in call("notifications", "ls")[1]
    assert json.loads(call("notifications", "ls", "-o", "json")[1])[0]["deliveries"][0]["error"] == "refused"
    lake.answers["retry_notifications"] = results.Undelivered(2, 0)
    assert call("notifications", "retry") == (0, "", "2 still to be delivered.\n")
    lake.answers["retry_notifications"] = results.Undelivered(2, 1)
    code, _, err = call("notifications", "retry")
    assert code == 1 and err.startswith("2 still to be delivered.\n1 given up.")
