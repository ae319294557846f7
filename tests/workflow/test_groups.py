"""Handlers that answer several tasks at once: those that wait share a run, and none waits for others to come."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.waiting import until

from lakehead.errors import StorageUnavailable
from lakehead.workflow.journal import Journal
from lakehead.workflow.types import GroupHandler, TaskError, TaskRequest
from lakehead.workflow.worker import Worker

WORK = "arn:aws:states:::lakehead:work"
MACHINE = {
    "StartAt": "Work",
    "States": {"Work": {"Type": "Task", "Resource": WORK, "Parameters": {"n.$": "$.n"}, "End": True}},
}
SECONDS = 30


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "workflow.db") as opened:
        yield opened


class Gate:
    """A handler that notes who came together, and lets them through once it is open."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.came, self.open = threading.Event(), threading.Event()

    def __call__(self, requests: Sequence[TaskRequest]) -> list[Any]:
        self.groups.append([request.arguments["n"] for request in requests])
        self.came.set()
        assert self.open.wait(SECONDS)
        return [{"n": request.arguments["n"]} for request in requests]


@contextmanager
def working(journal: Journal, handler: GroupHandler, size: int = 1) -> Iterator[None]:
    stop = threading.Event()
    worker = Worker(journal, {WORK: handler}, pools={"default": size})
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        worker.wake()
        thread.join(SECONDS)
        assert not thread.is_alive()


def start(journal: Journal, *numbers: int) -> None:
    for number in numbers:
        journal.start_execution(f"run-{number}", MACHINE, {"n": number})


def outputs(journal: Journal, *numbers: int) -> list[Any]:
    return [journal.wait_for(f"run-{number}", SECONDS).output for number in numbers]


def together(_: TaskRequest) -> str:
    return "all"


def test_a_lone_task_does_not_wait_and_those_that_do_share_a_run(journal: Journal) -> None:
    gate = Gate()
    start(journal, *range(6))
    with working(journal, GroupHandler(gate, together, 100), size=6):
        gate.open.set()
        assert outputs(journal, *range(6)) == [{"n": number} for number in range(6)]
        assert sorted(number for group in gate.groups for number in group) == list(range(6))
        assert len(gate.groups) < 6
        groups = len(gate.groups)
        start(journal, 7)
        assert outputs(journal, 7) == [{"n": 7}]
        assert gate.groups[groups:] == [[7]]


def test_no_more_than_may_share_a_run_do(journal: Journal) -> None:
    gate = Gate()
    gate.open.set()
    start(journal, *range(8))
    with working(journal, GroupHandler(gate, together, 2), size=8):
        outputs(journal, *range(8))
    assert [len(group) for group in gate.groups] == [2] * 4


def test_only_tasks_of_one_key_share_a_run(journal: Journal) -> None:
    gate = Gate()
    gate.open.set()
    start(journal, *range(9))
    with working(journal, GroupHandler(gate, lambda request: [None, 1, 2][request.arguments["n"] % 3], 100), size=9):
        outputs(journal, *range(9))
    assert all(len({number % 3 for number in group}) == 1 for group in gate.groups)
    assert all(len(group) == 1 for group in gate.groups if group[0] % 3 == 0)


def test_each_task_has_its_own_answer(journal: Journal) -> None:
    def handle(requests: Sequence[TaskRequest]) -> list[Any]:
        return [TaskError("Odd", "it is") if one.arguments["n"] % 2 else one.arguments["n"] for one in requests]

    start(journal, *range(4))
    with working(journal, GroupHandler(handle, together, 100), size=4):
        ended = [journal.wait_for(f"run-{number}", SECONDS) for number in range(4)]
    assert [(one.output, one.error) for one in ended] == [(0, None), (None, "Odd"), (2, None), (None, "Odd")]


@pytest.mark.parametrize("forgets", [True, False])
def test_one_that_cannot_share_a_run_spoils_no_other(journal: Journal, forgets: bool) -> None:
    def handle(requests: Sequence[TaskRequest]) -> list[Any]:
        if any(request.arguments["n"] == 1 for request in requests):
            if forgets:
                return []
            raise RuntimeError("injected")
        return [request.arguments["n"] for request in requests]

    start(journal, 0, 1, 2)
    with working(journal, GroupHandler(handle, together, 100), size=3):
        ended = [journal.wait_for(f"run-{number}", SECONDS) for number in range(3)]
    assert [(one.output, one.error) for one in ended] == [(0, None), (None, "States.TaskFailed"), (2, None)]


@pytest.mark.parametrize("error", [KeyError("--dataset"), StorageUnavailable("the disk does not answer")])
def test_a_task_for_which_no_key_is_found_goes_alone(journal: Journal, error: Exception) -> None:
    """It must end by its own error, and not take the worker, or a claim, with it."""
    gate = Gate()
    gate.open.set()

    def key(request: TaskRequest) -> str:
        if request.arguments["n"] == 1:
            raise error
        return "all"

    start(journal, *range(4))
    with working(journal, GroupHandler(gate, key, 100), size=4):
        outputs(journal, *range(4))
    assert [1] in gate.groups


def test_tasks_that_go_alone_wait_where_their_time_does_not_run_out(journal: Journal) -> None:
    """After many short tasks a worker takes more than it has threads, but not of those that share no run."""
    gate = Gate()
    gate.open.set()

    def key(request: TaskRequest) -> str | None:
        return "all" if request.arguments["n"] < 1_000 else None

    with working(journal, GroupHandler(gate, key, 100), size=2):
        start(journal, *range(200))
        outputs(journal, *range(200))
        short = len(gate.groups)
        gate.came.clear()
        gate.open.clear()
        start(journal, *range(1_000, 1_030))
        assert gate.came.wait(SECONDS)
        until(lambda: pending(journal) == 28)
        gate.open.set()
        outputs(journal, *range(1_000, 1_030))
    assert sorted(gate.groups[short:]) == [[number] for number in range(1_000, 1_030)]


def pending(journal: Journal) -> int:
    with journal.database.read() as connection:
        (count,) = connection.execute("SELECT count(*) FROM tasks WHERE phase = 0").fetchone()
    return int(count)


def test_a_task_whose_worker_died_goes_alone(journal: Journal) -> None:
    """It may be what killed the worker, and must not take others along again and again."""
    gate = Gate()
    gate.open.set()
    start(journal, *range(4))

    def as_if_its_worker_had_died(connection: Any) -> None:
        connection.execute(
            "UPDATE tasks SET runs = 1 WHERE execution IN (SELECT number FROM executions WHERE name = 'run-2')"
        )

    journal.database.write(as_if_its_worker_had_died)
    with working(journal, GroupHandler(gate, together, 100), size=4):
        outputs(journal, *range(4))
    assert [2] in gate.groups
