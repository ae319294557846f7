from __future__ import annotations

import json
import logging
import sqlite3
import threading
from concurrent.futures import Future
from typing import Any

import pytest
from support.journals import WORK, Clock, chain, clock, journal, running, task, types, wait

from lakehead.errors import HeaderMismatch, UsageError
from lakehead.logs import json_handler
from lakehead.workflow import worker as worker_module
from lakehead.workflow.journal import Change, Journal, Start
from lakehead.workflow.types import TaskError, TaskRequest
from lakehead.workflow.worker import Worker

__all__ = ["clock", "journal"]


def run_one(journal: Journal, handler: Any, definition: dict[str, Any] | None = None, **options: Any) -> Any:
    journal.start_execution("one", definition or task(), {"a": 1}, labels={"dataset": "a/b", "name": "n"})
    assert Worker(journal, {WORK: handler}, **options).run_until_idle(20)
    return journal.describe("one")


class TestHandlers:
    def test_it_is_given_what_the_workflow_says(self, journal: Journal) -> None:
        seen: list[TaskRequest] = []

        def work(request: TaskRequest) -> Any:
            seen.append(request)
            return {"ok": True}

        assert run_one(journal, work).output == {"ok": True}
        assert [(r.execution, r.state_name, r.resource, r.arguments) for r in seen] == [("one", "Work", WORK, {"a": 1})]
        assert seen[0].token.startswith("one/")

    @pytest.mark.parametrize(
        ("raised", "error", "cause"),
        [
            (TaskError("My.Error", "why"), "My.Error", "why"),
            (HeaderMismatch("no header", line=1), "Lakehead.HeaderMismatch", "no header [line=1]"),
            (ValueError("oh"), "States.TaskFailed", "ValueError: oh"),
            (SystemExit(3), "States.TaskFailed", "SystemExit: 3"),
        ],
    )
    @pytest.mark.parametrize("in_future", [False, True])
    def test_what_it_raises_fails_the_task(
        self, journal: Journal, raised: BaseException, error: str, cause: str, in_future: bool
    ) -> None:
        def work(request: TaskRequest) -> Any:
            if in_future:
                future: Future[None] = Future()
                future.set_exception(raised)
                return future
            raise raised

        found = run_one(journal, work)
        assert (found.status, found.error, found.cause) == ("FAILED", error, cause)

    def test_only_an_unexpected_error_is_logged_with_its_traceback(
        self, journal: Journal, caplog: pytest.LogCaptureFixture
    ) -> None:
        def work(request: TaskRequest) -> Any:
            raise (TaskError("Known") if request.state_name == "T0" else ValueError("unknown"))

        definition = chain(2)
        definition["States"]["T0"]["Catch"] = [{"ErrorEquals": ["Known"], "Next": "T1"}]
        caplog.set_level(logging.INFO, logger="lakehead.workflow.handlers")
        run_one(journal, work, definition)
        assert [bool(record.exc_info) for record in caplog.records] == [False, True]

    @pytest.mark.parametrize("answer", [{1, 2}, float("nan"), object(), {"a": b"x"}])
    def test_an_answer_that_is_no_json_fails_the_task(self, journal: Journal, answer: Any) -> None:
        found = run_one(journal, lambda request: answer)
        assert (found.status, found.error) == ("FAILED", "States.TaskFailed")
        assert "no JSON" in (found.cause or "")

    def test_an_answer_is_what_json_makes_of_it(self, journal: Journal) -> None:
        assert run_one(journal, lambda request: {1: (2, 3)}).output == {"1": [2, 3]}

    def test_the_longest_prefix_is_bound(self, journal: Journal) -> None:
        handlers = {"arn:": lambda r: "far", WORK: lambda r: "near", f"{WORK}/other": lambda r: "other"}
        journal.start_execution("near", task(resource=f"{WORK}/x"), 1)
        journal.start_execution("far", task(resource="arn:aws:lambda:x"), 1)
        assert Worker(journal, handlers).run_until_idle(20)
        assert [journal.describe(name).output for name in ("near", "far")] == ["near", "far"]

    def test_a_resource_without_a_handler_fails_the_task(self, journal: Journal) -> None:
        found = run_one(journal, None, task(resource="arn:aws:states:::nothing:here"))
        assert (found.status, found.error) == ("FAILED", "Lakehead.ConfigError")
        assert "arn:aws:states:::nothing:here" in (found.cause or "")

    def test_a_future_holds_no_thread(self, journal: Journal) -> None:
        futures: list[Future[int]] = []
        all_there = threading.Event()

        def work(request: TaskRequest) -> Any:
            futures.append(Future())
            if len(futures) == 20:
                all_there.set()
            return futures[-1]

        journal.start_executions(Start(f"e{i}", task(), 1) for i in range(20))
        with running(Worker(journal, {WORK: work}, pools={"default": 1})):
            assert all_there.wait(20)
            for number, future in enumerate(futures):
                future.set_result(number)
            outputs = {journal.wait_for(f"e{i}", 20).output for i in range(20)}
        assert outputs == set(range(20))

    def test_a_cancelled_future_fails_the_task(self, journal: Journal) -> None:
        def work(request: TaskRequest) -> Any:
            future: Future[int] = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

        assert run_one(journal, work).error == "States.TaskFailed"

    def test_its_log_lines_name_the_execution_and_its_labels(
        self, journal: Journal, capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler = json_handler(logging.StreamHandler())
        logger = logging.getLogger("lakehead.test")
        logger.addHandler(handler)

        def work(request: TaskRequest) -> Any:
            logger.warning("here")

        try:
            run_one(journal, work)
        finally:
            logger.removeHandler(handler)
        line = json.loads(capsys.readouterr().err.splitlines()[0])
        assert (line["execution"], line["dataset"], line["logger"]) == ("one", "a/b", "lakehead.test")


class TestPools:
    def test_each_pool_is_bounded_and_does_not_hold_up_the_others(self, journal: Journal) -> None:
        slow, busy, most = threading.Event(), [0], [0]
        lock = threading.Lock()

        def work(request: TaskRequest) -> Any:
            if request.resource == WORK:
                return "light"
            with lock:
                busy[0] += 1
                most[0] = max(most[0], busy[0])
            assert slow.wait(60)
            with lock:
                busy[0] -= 1
            return "heavy"

        journal.start_executions(Start(f"heavy{i}", task(resource=f"{WORK}/etl"), 1) for i in range(6))
        journal.start_executions(Start(f"light{i}", task(), 1) for i in range(6))
        worker = Worker(journal, {WORK: work}, pools={"light": 3, "etl": 2}, routes={f"{WORK}/etl": "etl"})
        with running(worker):
            for i in range(6):
                assert journal.wait_for(f"light{i}", 20).output == "light"
            assert journal.count("RUNNING") == 6
            slow.set()
            for i in range(6):
                assert journal.wait_for(f"heavy{i}", 20).output == "heavy"
        assert most[0] == 2

    @pytest.mark.parametrize("options", [{"pools": {"a": 0}}, {"routes": {"x": "nowhere"}}])
    def test_pools_that_cannot_be(self, journal: Journal, options: Any) -> None:
        with pytest.raises(UsageError):
            Worker(journal, {}, **options)

    def test_a_worker_runs_once_at_a_time(self, journal: Journal) -> None:
        worker = Worker(journal, {})
        journal.start_execution("one", wait(60), 1)
        with running(worker), pytest.raises(UsageError):
            while True:
                worker.run_until_idle(0)


class TestTime:
    def test_a_timer_fires_when_it_is_due_and_once(self, journal: Journal, clock: Clock) -> None:
        journal.start_execution("one", wait(10), 1)
        worker = Worker(journal, {})
        assert not worker.run_until_idle(0.05)
        clock.forward(seconds=9.999)
        assert not worker.run_until_idle(0.05)
        clock.forward(seconds=0.001)
        assert worker.run_until_idle(20)
        assert types(journal, "one")["WaitStateExited"] == 1

    def test_a_task_that_runs_too_long_times_out_and_its_answer_is_dropped(
        self, journal: Journal, clock: Clock
    ) -> None:
        late, begun = threading.Event(), threading.Event()

        def work(request: TaskRequest) -> Any:
            begun.set()
            assert late.wait(60)
            return "too late"

        journal.start_execution("one", task(TimeoutSeconds=30), 1)
        with running(Worker(journal, {WORK: work})):
            assert begun.wait(20)
            clock.forward(seconds=30)
            found = journal.wait_for("one", 20)
            late.set()
        assert (found.status, found.error) == ("FAILED", "States.Timeout")
        assert types(journal, "one")["TaskSucceeded"] == 0

    def test_the_time_that_a_task_waits_for_a_worker_does_not_count(self, journal: Journal, clock: Clock) -> None:
        journal.start_execution("one", task(TimeoutSeconds=30), 1)
        clock.forward(days=1)
        assert Worker(journal, {WORK: lambda request: 2}).run_until_idle(20)
        assert journal.describe("one").output == 2

    def test_a_heartbeat_keeps_a_task_alive(self, journal: Journal, clock: Clock) -> None:
        steps, done = threading.Semaphore(0), threading.Semaphore(0)

        def work(request: TaskRequest) -> Any:
            for _ in range(3):
                assert steps.acquire(timeout=60)
                journal.send_task_heartbeat(request.token)
                done.release()
            assert steps.acquire(timeout=60)
            return "alive"

        journal.start_execution("one", task(HeartbeatSeconds=10, TimeoutSeconds=100), 1)
        with running(Worker(journal, {WORK: work})):
            for _ in range(3):
                steps.release()
                assert done.acquire(timeout=20)
                clock.forward(seconds=9)
            steps.release()
            assert journal.wait_for("one", 20).output == "alive"

    def test_the_machines_own_timeout(self, journal: Journal, clock: Clock) -> None:
        journal.start_execution("one", {**wait(100), "TimeoutSeconds": 5}, 1)
        clock.forward(seconds=5)
        assert Worker(journal, {}).run_until_idle(20)
        assert journal.describe("one").status == "TIMED_OUT"

    def test_hundreds_of_timers_that_are_due_together(self, journal: Journal, clock: Clock) -> None:
        journal.start_executions(Start(f"e{i}", wait(5), 1) for i in range(500))
        clock.forward(seconds=5)
        assert Worker(journal, {}).run_until_idle(60)
        assert journal.counts() == {"SUCCEEDED": 500}


class TestStopping:
    def test_running_handlers_may_finish(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def work(request: TaskRequest) -> Any:
            begun.set()
            assert go_on.wait(60)
            return "finished"

        journal.start_execution("one", task(), 1)
        worker = Worker(journal, {WORK: work})
        owned = worker._owned

        def leaving() -> bool:
            go_on.set()
            return owned()

        # The handler ends only when the worker has begun to leave.
        monkeypatch.setattr(worker, "_owned", leaving)
        with running(worker):
            assert begun.wait(20)
        assert journal.describe("one").output == "finished"

    def test_those_that_do_not_finish_are_given_back(self, journal: Journal) -> None:
        begun, go_on, tokens = threading.Event(), threading.Event(), []

        def work(request: TaskRequest) -> Any:
            tokens.append(request.token)
            begun.set()
            assert go_on.wait(60)
            return "first"

        def again(request: TaskRequest) -> Any:
            tokens.append(request.token)
            return "second"

        journal.start_execution("one", task(), 1)
        with running(Worker(journal, {WORK: work}, grace_seconds=0)):
            assert begun.wait(20)
        assert journal.describe("one").running
        # A run that was given back in good order is not held against the task.
        assert Worker(journal, {WORK: again}, max_runs=1).run_until_idle(20)
        go_on.set()
        assert journal.describe("one").output == "second"
        assert tokens[0] == tokens[1]

    def test_what_is_to_do_next_is_left_to_the_next_worker(self, journal: Journal) -> None:
        stop = threading.Event()

        def work(request: TaskRequest) -> Any:
            stop.set()
            return request.state_name

        journal.start_execution("one", chain(2), 1)
        worker = Worker(journal, {WORK: work})
        worker.run(stop)
        assert journal.describe("one").running
        assert worker.run_until_idle(20)
        assert journal.describe("one").output == "T1"

    def test_a_stopped_executions_answer_is_dropped(self, journal: Journal) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def work(request: TaskRequest) -> Any:
            begun.set()
            assert go_on.wait(60)

        journal.start_execution("one", chain(2), 1)
        with running(Worker(journal, {WORK: work})):
            assert begun.wait(20)
            journal.stop("one")
            go_on.set()
        assert types(journal, "one")["TaskScheduled"] == 1


def test_the_worker_wakes_for_a_start_in_its_process(journal: Journal) -> None:
    with running(Worker(journal, {WORK: lambda request: 2}, poll_seconds=30)):
        for i in range(5):
            journal.start_execution(f"e{i}", chain(2), 1)
            assert journal.wait_for(f"e{i}", 20).output == 2


def test_the_worker_notices_what_another_process_started(journal: Journal) -> None:
    with running(Worker(journal, {WORK: lambda request: 2})), Journal(journal.database.path) as other:
        other.start_execution("one", chain(2), 1)
        assert other.wait_for("one", 20).output == 2


def test_progress_is_told_while_the_worker_runs(journal: Journal) -> None:
    heard: list[Change] = []
    journal.start_execution("one", chain(2), 1)
    assert Worker(journal, {WORK: lambda request: 2}, on_change=heard.append).run_until_idle(20)
    assert heard == [Change("one", "RUNNING", ("T1",)), Change("one", "SUCCEEDED", ())]
    journal.start_execution("two", chain(2), 1)
    assert len(heard) == 2


def test_answers_outlast_a_disk_that_is_full_for_a_while(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_module, "RETRY_SECONDS", 0.01)
    runs: list[str] = []
    really, failures = journal.database._commit, [3]

    def commit() -> None:
        if runs and failures[0]:
            failures[0] -= 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        really()

    monkeypatch.setattr(journal.database, "_commit", commit)

    def work(request: TaskRequest) -> Any:
        runs.append(request.token)
        return len(runs)

    journal.start_execution("one", task(), 1)
    assert Worker(journal, {WORK: work}).run_until_idle(20)
    assert (journal.describe("one").output, len(runs)) == (1, 1)
    assert failures == [0]
    assert "disk is full" in caplog.text
