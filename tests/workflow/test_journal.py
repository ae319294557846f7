from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.journals import EVERYTHING, WORK, Clock, chain, clock, running, task, types

from lakehead.errors import (
    Busy,
    DefinitionError,
    ExecutionAlreadyExists,
    ExecutionNotFound,
    NotFound,
    NotRedrivable,
    StorageUnavailable,
    UsageError,
)
from lakehead.workflow import machine
from lakehead.workflow.database import Database
from lakehead.workflow.journal import Change, Journal, Start
from lakehead.workflow.types import TaskError
from lakehead.workflow.worker import Worker

__all__ = ["clock"]

PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    with Journal(tmp_path / "deep" / "workflow.db", clock=clock) as journal:
        yield journal


def fail(request: Any) -> Any:
    raise TaskError("Bad", "it is bad")


class TestStarting:
    def test_an_execution_is_stored_with_all_that_was_given(self, journal: Journal, clock: Clock) -> None:
        started = journal.start_execution("one", task(), {"a": [1, None]}, labels={"dataset": "a/b", "key": "k"})
        assert started == journal.find("one") == journal.describe("one")
        assert (started.status, started.input, started.output) == ("RUNNING", {"a": [1, None]}, None)
        assert started.labels == {"dataset": "a/b", "key": "k"}
        assert started.started == started.updated == clock.now
        assert started.ended is None
        assert journal.definition("one") == task()
        assert journal.history("one")[0]["type"] == "ExecutionStarted"

    def test_one_without_tasks_ends_at_once(self, journal: Journal) -> None:
        ended = journal.start_execution("one", PASS, {"x": "\ud800"})
        assert (ended.status, ended.output) == ("SUCCEEDED", {"x": "\ud800"})
        assert ended.ended is not None

    def test_one_that_ends_at_once_is_found_by_label_and_status(self, journal: Journal) -> None:
        ended = journal.start_execution("one", PASS, 1, labels={"key": "k"})
        assert journal.executions(labels={"key": "k"}, status="SUCCEEDED") == [ended]
        assert journal.counts(labels={"key": "k"}) == {"SUCCEEDED": 1}

    def test_the_same_name_and_input_is_the_same_execution(self, journal: Journal, clock: Clock) -> None:
        first = journal.start_execution("one", task(), {"a": 1, "b": 2})
        assert journal.start_execution("one", task(), {"b": 2, "a": 1}) == first
        clock.forward(days=365)
        assert journal.start_execution("one", task(), {"a": 1, "b": 2}) == first
        assert journal.count() == 1

    @pytest.mark.parametrize("definition", [task(), PASS], ids=["stopped", "succeeded"])
    def test_the_name_of_an_execution_that_has_ended_is_taken(
        self, journal: Journal, clock: Clock, definition: dict[str, Any]
    ) -> None:
        journal.start_execution("one", definition, 1)
        journal.stop("one")
        clock.forward(days=89)
        with pytest.raises(ExecutionAlreadyExists, match="that has ended"):
            journal.start_execution("one", definition, 1)
        assert journal.count() == 1

    @pytest.mark.parametrize("other", [{"a": 2}, {"a": True}, {"a": 1.0}, None])
    def test_the_same_name_with_another_input_is_refused(self, journal: Journal, other: Any) -> None:
        journal.start_execution("one", task(), {"a": 1})
        with pytest.raises(ExecutionAlreadyExists):
            journal.start_execution("one", task(), other)

    def test_a_name_is_free_again_after_90_days(self, journal: Journal, clock: Clock) -> None:
        journal.start_execution("one", PASS, 1, labels={"key": "old"})
        clock.forward(days=90)
        assert journal.start_execution("one", PASS, 2).input == 2
        assert journal.count() == 1
        assert journal.executions(labels={"key": "old"}) == []
        assert types(journal, "one")["ExecutionStarted"] == 1

    def test_a_running_execution_keeps_its_name_for_ever(self, journal: Journal, clock: Clock) -> None:
        journal.start_execution("one", task(), 1)
        clock.forward(days=365)
        with pytest.raises(ExecutionAlreadyExists):
            journal.start_execution("one", task(), 2)

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 81, "a\n"])
    def test_a_bad_name_is_refused(self, journal: Journal, name: str) -> None:
        with pytest.raises(UsageError):
            journal.start_execution(name, PASS, 1)

    @pytest.mark.parametrize("labels", [{"Bad": "x"}, {"a-b": "x"}, {"a": 1}])
    def test_a_bad_label_is_refused(self, journal: Journal, labels: Any) -> None:
        with pytest.raises(UsageError):
            journal.start_execution("one", PASS, 1, labels=labels)

    @pytest.mark.parametrize("given", [float("nan"), {1, 2}, "x" * 262_145, "€" * 87_382])
    def test_an_input_that_is_no_json_or_too_large_is_refused(self, journal: Journal, given: Any) -> None:
        with pytest.raises(UsageError):
            journal.start_execution("one", PASS, given)

    def test_an_input_is_measured_in_utf_8(self, journal: Journal) -> None:
        assert journal.start_execution("one", PASS, "€" * 87_380).status == "SUCCEEDED"

    def test_a_bad_definition_is_refused_and_leaves_nothing(self, journal: Journal) -> None:
        with pytest.raises(DefinitionError):
            journal.start_execution("one", {"StartAt": "X", "States": {}}, 1)
        assert journal.find("one") is None

    def test_what_the_caller_changes_later_changes_nothing(self, journal: Journal) -> None:
        document, given = task(), {"a": 1}
        journal.start_execution("one", document, given)
        document["States"]["Work"]["Resource"] = "arn:other"
        given["a"] = 2
        assert journal.describe("one").input == {"a": 1}
        assert journal.definition("one") == task()

    def test_a_group_starts_as_a_whole_or_not_at_all(self, journal: Journal) -> None:
        journal.start_execution("taken", task(), 1)
        with pytest.raises(ExecutionAlreadyExists):
            journal.start_executions([Start("new", task(), 1), Start("taken", task(), 2)])
        assert journal.find("new") is None
        found = journal.start_executions([Start("new", task(), 1), Start("taken", task(), 1), Start("new", task(), 1)])
        assert [each.name for each in found] == ["new", "taken", "new"]

    def test_many_threads_may_start_the_same_execution(self, journal: Journal) -> None:
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda i: journal.start_execution(f"e{i % 10}", task(), i % 10), range(200)))
        assert journal.count() == 10
        assert all(each.input == int(each.name[1:]) for each in found)


class TestEnding:
    def test_stop_ends_it_as_aborted(self, journal: Journal) -> None:
        journal.start_execution("one", EVERYTHING, {"items": []}, labels={"key": "k"})
        stopped = journal.stop("one", error="Enough", cause="I say so")
        assert (stopped.status, stopped.error, stopped.cause) == ("ABORTED", "Enough", "I say so")
        assert journal.history("one")[-1]["type"] == "ExecutionAborted"
        assert journal.executions(labels={"key": "k"}, status="ABORTED") == [stopped]
        assert Worker(journal, {WORK: fail}).run_until_idle(5)

    def test_stopping_what_has_ended_changes_nothing(self, journal: Journal) -> None:
        ended = journal.start_execution("one", PASS, 1)
        assert journal.stop("one") == ended

    @pytest.mark.parametrize("method", ["stop", "redrive", "describe", "definition", "history"])
    def test_an_unknown_name(self, journal: Journal, method: str) -> None:
        with pytest.raises(ExecutionNotFound):
            getattr(journal, method)("nobody")

    def test_redrive_goes_on_from_where_it_failed(self, journal: Journal) -> None:
        runs: list[str] = []
        broken = [True]

        def work(request: Any) -> Any:
            runs.append(request.token)
            if request.state_name == "T1" and broken:
                raise TaskError("Bad")
            return request.arguments

        journal.start_execution("one", chain(3), 7, labels={"key": "k"})
        worker = Worker(journal, {WORK: work})
        assert worker.run_until_idle(10)
        failed = journal.describe("one")
        assert (failed.status, failed.error, failed.redrives) == ("FAILED", "Bad", 0)
        broken.clear()
        running = journal.redrive("one")
        assert (running.status, running.error, running.ended, running.redrives) == ("RUNNING", None, None, 1)
        assert journal.executions(labels={"key": "k"}, status="RUNNING") == [running]
        assert worker.run_until_idle(10)
        assert (journal.describe("one").status, journal.describe("one").output) == ("SUCCEEDED", 7)
        assert types(journal, "one") == {
            "ExecutionStarted": 1, "TaskStateEntered": 3, "TaskScheduled": 4, "TaskStarted": 4, "TaskSucceeded": 3,
            "TaskStateExited": 3, "TaskFailed": 1, "ExecutionFailed": 1, "ExecutionRedriven": 1,
            "ExecutionSucceeded": 1,
        }  # fmt: skip
        assert len(runs) == len(set(runs)) == 4

    def test_an_execution_can_be_redriven_for_14_days(self, journal: Journal, clock: Clock) -> None:
        journal.start_execution("one", task(), 1)
        journal.stop("one")
        clock.forward(days=14)
        assert journal.redrive("one").running
        journal.stop("one")
        clock.forward(days=14, seconds=1)
        before = journal.describe("one")
        with pytest.raises(NotRedrivable, match="14 days"):
            journal.redrive("one")
        assert journal.describe("one") == before

    def test_only_what_failed_can_be_redriven(self, journal: Journal) -> None:
        journal.start_execution("running", task(), 1)
        journal.start_execution("succeeded", PASS, 1)
        for name in ("running", "succeeded"):
            before = journal.describe(name)
            with pytest.raises(NotRedrivable) as caught:
                journal.redrive(name)
            assert caught.value.where == {"name": name} and name.upper() in str(caught.value)
            assert journal.describe(name) == before

    def test_wait_for_ends_with_the_execution(self, journal: Journal) -> None:
        journal.start_execution("one", task(), 1)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(journal.wait_for, "one", 30)
            journal.stop("one")
            assert waiting.result(30).status == "ABORTED"

    def test_wait_for_is_bounded(self, journal: Journal) -> None:
        journal.start_execution("one", task(), 1)
        with pytest.raises(Busy, match="has not ended"):
            journal.wait_for("one", 0)


class TestTokens:
    resource = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"

    @pytest.fixture
    def token(self, journal: Journal) -> str:
        sent: list[str] = []
        definition = task(resource=self.resource, Parameters={"t.$": "$$.Task.Token"}, HeartbeatSeconds=60)
        journal.start_execution("one", definition, {})
        worker = Worker(journal, {"arn:aws:states:::sqs": lambda request: sent.append(request.arguments["t"])})
        assert worker.run_until_idle(10)
        assert journal.describe("one").running
        return sent[0]

    def test_success(self, journal: Journal, token: str) -> None:
        journal.send_task_success(token, {"ok": 1})
        assert journal.describe("one").output == {"ok": 1}
        with pytest.raises(NotFound):
            journal.send_task_success(token, {"ok": 1})

    def test_failure(self, journal: Journal, token: str) -> None:
        journal.send_task_failure(token, "Refused", "no")
        assert (journal.describe("one").status, journal.describe("one").error) == ("FAILED", "Refused")

    def test_silence(self, journal: Journal, clock: Clock, token: str) -> None:
        worker = Worker(journal, {})
        clock.forward(seconds=59)
        journal.send_task_heartbeat(token)
        clock.forward(seconds=59)
        assert worker.run_until_idle(5)
        assert journal.describe("one").running
        clock.forward(seconds=2)
        with running(worker):
            assert journal.wait_for("one", 20).error == "States.HeartbeatTimeout"
        with pytest.raises(NotFound):
            journal.send_task_heartbeat(token)

    @pytest.mark.parametrize("token", ["", "nobody", "one/x", "one/99"])
    def test_an_unknown_token(self, journal: Journal, token: str) -> None:
        journal.start_execution("one", task(), {})
        for report in (journal.send_task_heartbeat, lambda t: journal.send_task_success(t, 1)):
            with pytest.raises(NotFound):
                report(token)


class TestChanges:
    def test_listeners_hear_of_each_change(self, journal: Journal) -> None:
        heard: list[Change] = []
        end = journal.on_change(heard.append)
        journal.start_execution("one", chain(2), 1)
        journal.stop("one")
        end()
        journal.start_execution("two", PASS, 1)
        assert heard == [Change("one", "RUNNING", ("T0",)), Change("one", "ABORTED", ())]
        assert [change.ended for change in heard] == [False, True]

    def test_a_listener_may_start_executions_and_fail(self, journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
        def listener(change: Change) -> None:
            if change.name == "one":
                journal.start_execution("two", PASS, 1)
            raise ValueError("mine")

        journal.on_change(listener)
        journal.start_execution("one", PASS, 1)
        assert journal.count("SUCCEEDED") == 2
        assert "a listener failed" in caplog.text


class TestFaults:
    def test_a_fault_of_the_interpreter_fails_that_execution_only(
        self, journal: Journal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        really = machine.advance

        def advance(definition: Any, state: Any, event: Any, now: Any) -> Any:
            step = really(definition, state, event, now)
            if state["info"]["name"] == "bad":
                raise ZeroDivisionError("a bug")
            return step

        monkeypatch.setattr(machine, "advance", advance)
        journal.start_executions(Start(name, chain(2), 1) for name in ("good", "bad"))
        assert Worker(journal, {WORK: lambda request: 2}).run_until_idle(10)
        assert journal.describe("good").output == 2
        bad = journal.describe("bad")
        assert (bad.status, bad.error) == ("FAILED", "States.Runtime")
        assert "a bug" in (bad.cause or "")
        assert types(journal, "bad")["ExecutionFailed"] == 1
        monkeypatch.undo()
        journal.redrive("bad")
        assert Worker(journal, {WORK: lambda request: 3}).run_until_idle(10)
        assert journal.describe("bad").output == 3

    def test_text_that_is_no_unicode_is_kept_as_well_as_can_be(self, journal: Journal) -> None:
        def work(request: Any) -> Any:
            raise TaskError("Bad\ud800", "\udfff")

        journal.start_execution("one", task(), 1)
        assert Worker(journal, {WORK: work}).run_until_idle(10)
        assert journal.describe("one").error == "Bad?"

    def test_a_failing_write_is_the_callers_alone(self, journal: Journal) -> None:
        database, gate, entered = journal.database, threading.Event(), threading.Event()

        def hold(connection: sqlite3.Connection) -> None:
            entered.set()
            gate.wait(20)

        def fail(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO timers VALUES (1, 1, 1)")
            raise KeyError("mine")

        def spoil(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO timers VALUES (2, 2, 2)")
            connection.execute("INSERT INTO timers VALUES (2, 2, 2)")

        def write(connection: sqlite3.Connection) -> int:
            return connection.execute("INSERT INTO timers VALUES (3, 3, 3)").rowcount

        with ThreadPoolExecutor(4) as pool:
            held = pool.submit(database.write, hold)
            assert entered.wait(20)
            others = [pool.submit(database.write, work) for work in (fail, spoil, write)]
            while len(database._queue) < 3:
                threading.Event().wait(0.001)
            gate.set()
            held.result(20)
            assert isinstance(others[0].exception(20), KeyError)
            assert isinstance(others[1].exception(20), sqlite3.IntegrityError)
            assert others[2].result(20) == 1
        with database.read() as connection:
            assert connection.execute("SELECT execution FROM timers").fetchall() == [(3,)]

    def test_a_full_disk_is_explained_and_nothing_is_half_done(self, journal: Journal) -> None:
        with journal.database.read() as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
        journal.database._writer.execute(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(StorageUnavailable, match="full"):
            journal.start_execution("one", PASS, "x" * 100_000)
        assert journal.find("one") is None
        journal.database._writer.execute("PRAGMA max_page_count=1000000")
        assert journal.start_execution("one", PASS, 1).status == "SUCCEEDED"

    def test_a_locked_file_is_busy(self, journal: Journal) -> None:
        journal.database._writer.execute("PRAGMA busy_timeout=1")
        other = sqlite3.connect(journal.database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy):
            journal.start_execution("one", PASS, 1)
        other.execute("ROLLBACK")
        other.close()
        assert journal.start_execution("one", PASS, 1).status == "SUCCEEDED"

    def test_a_damaged_file_is_explained(self, tmp_path: Path) -> None:
        (tmp_path / "bad.db").write_text("this is no database" * 100)
        with pytest.raises(StorageUnavailable, match="damaged"):
            Journal(tmp_path / "bad.db")

    def test_a_closed_journal_says_so(self, journal: Journal) -> None:
        journal.close()
        for call in (
            lambda: journal.start_execution("one", PASS, 1),
            lambda: journal.find("one"),
            journal.database.version,
        ):
            with pytest.raises(StorageUnavailable, match="closed"):
                call()

    def test_every_commit_is_synced(self, journal: Journal) -> None:
        connection = journal.database._writer
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert isinstance(journal.database, Database)


def test_an_endless_loop_without_waits_ends_at_the_limit_of_events(journal: Journal) -> None:
    again = {"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "E"}], "Default": "W"}
    states = {"W": {"Type": "Wait", "Seconds": 0, "Next": "C"}, "C": again, "E": {"Type": "Succeed"}}
    ended = journal.start_execution("one", {"StartAt": "W", "States": states}, 1)
    assert (ended.status, ended.error) == ("FAILED", "States.Runtime")
    assert types(journal, "one").total() == 25_000
