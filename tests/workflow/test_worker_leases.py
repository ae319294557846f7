"""Who owns a task, when its worker is late, frozen or gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

from support.journals import WORK, Clock, chain, clock, journal, running, task, types

from lakehead.workflow import leases
from lakehead.workflow.execution import micros
from lakehead.workflow.journal import Journal, Start
from lakehead.workflow.leases import Process
from lakehead.workflow.types import TaskRequest
from lakehead.workflow.worker import Worker

__all__ = ["clock", "journal"]

LEASE = timedelta(seconds=30)


def claimed_by(journal: Journal, process: Process, clock: Clock) -> int:
    """Let a worker of another process claim everything."""

    def work(connection: Any) -> int:
        worker = leases.register(connection, process, clock.now, LEASE)
        connection.execute("UPDATE tasks SET phase = 1, owner = ?, runs = runs + 1", (worker,))
        return worker

    return journal.database.write(work)


def gone() -> Process:
    """A process of this machine that has ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = leases._born(child.pid)
    child.communicate(b"\n")
    return replace(Process.current(), pid=child.pid, born=born)


class TestProcess:
    def test_this_one_lives(self) -> None:
        here = Process.current()
        assert not here.surely_dead(here)

    def test_one_that_has_ended(self) -> None:
        assert gone().surely_dead(Process.current())

    def test_one_that_has_ended_but_was_not_reaped(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", ""])
        born = leases._born(child.pid)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert replace(Process.current(), pid=child.pid, born=born).surely_dead(Process.current())
        child.wait()

    def test_another_that_got_its_number(self) -> None:
        here = Process.current()
        assert replace(here, born="1").surely_dead(here)

    def test_one_before_the_machine_was_started_anew(self) -> None:
        here = Process.current()
        assert replace(here, boot="another").surely_dead(here)

    def test_nothing_is_said_of_other_machines(self) -> None:
        here = Process.current()
        assert not replace(here, host="another", pid=1 << 22).surely_dead(here)

    def test_where_the_system_does_not_tell_when_it_was_started_it_lives(self) -> None:
        here = Process.current()
        assert not replace(here, born="").surely_dead(here)


class TestTakingOver:
    def test_at_once_where_the_process_is_gone(self, journal: Journal, clock: Clock) -> None:
        tokens = []

        def work(request: TaskRequest) -> Any:
            tokens.append(request.token)
            return 2

        journal.start_execution("one", task(), 1)
        dead = claimed_by(journal, gone(), clock)
        assert Worker(journal, {WORK: work}).run_until_idle(20)
        assert journal.describe("one").output == 2
        assert tokens == ["one/" + tokens[0].split("/")[1]]
        with journal.database.read() as connection:
            assert connection.execute("SELECT 1 FROM workers WHERE id = ?", (dead,)).fetchone() is None

    def test_when_the_lease_ends_where_that_cannot_be_told(self, journal: Journal, clock: Clock) -> None:
        journal.start_execution("one", task(), 1)
        claimed_by(journal, replace(Process.current(), host="another"), clock)
        worker = Worker(journal, {WORK: lambda request: 2})
        clock.forward(seconds=30)
        assert not worker.run_until_idle(0.05)
        clock.forward(seconds=0.001)
        assert worker.run_until_idle(20)
        assert journal.describe("one").output == 2

    def test_tasks_of_a_worker_that_nobody_knows(self, journal: Journal) -> None:
        journal.start_execution("one", task(), 1)
        journal.database.write(lambda connection: connection.execute("UPDATE tasks SET phase = 1, owner = 99"))
        assert Worker(journal, {WORK: lambda request: 2}).run_until_idle(20)
        assert journal.describe("one").output == 2

    def test_a_task_that_waits_for_its_token_is_left_alone(self, journal: Journal, clock: Clock) -> None:
        journal.start_execution(
            "one", task(resource=f"{WORK}.waitForTaskToken", Parameters={"t.$": "$$.Task.Token"}), 1
        )
        tokens: list[str] = []
        with Journal(journal.database.path, clock=clock) as other:
            Worker(other, {WORK: lambda request: tokens.append(request.task_token)}).run_until_idle(20)
        clock.forward(days=3)
        assert Worker(journal, {WORK: lambda request: tokens.append("again")}).run_until_idle(20)
        journal.send_task_success(tokens[0], 3)
        assert (journal.describe("one").output, len(tokens)) == (3, 1)

    def test_a_task_that_kills_its_workers_fails_in_the_end(self, journal: Journal, clock: Clock) -> None:
        journal.start_execution("one", task(), 1)
        runs: list[str] = []
        for _ in range(3):
            claimed_by(journal, gone(), clock)
            journal.database.write(
                lambda c: [leases.bury(c, w) for (w,) in c.execute("SELECT id FROM workers").fetchall()]
            )
        assert Worker(journal, {WORK: lambda request: runs.append("run")}, max_runs=3).run_until_idle(20)
        found = journal.describe("one")
        assert (found.status, found.error, runs) == ("FAILED", "Lakehead.WorkerLost", [])
        assert "3 workers died" in (found.cause or "")


def test_a_worker_keeps_its_lease_while_it_works(journal: Journal, clock: Clock) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(request: TaskRequest) -> Any:
        begun.set()
        assert go_on.wait(60)
        return "first"

    journal.start_execution("one", task(), 1)
    with running(Worker(journal, {WORK: work}, poll_seconds=0.01)):
        assert begun.wait(20)
        for _ in range(6):
            clock.forward(seconds=20)
            while True:
                with journal.database.read() as connection:
                    (expires,) = connection.execute("SELECT expires FROM workers").fetchone()
                if expires == micros(clock.now + LEASE):
                    break
        go_on.set()
        assert journal.wait_for("one", 20).output == "first"


def test_a_worker_that_was_taken_for_dead_cannot_answer_any_more(journal: Journal, clock: Clock) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(request: TaskRequest) -> Any:
        if request.state_name == "T0":
            begun.set()
            assert go_on.wait(60)
        return "frozen"

    journal.start_execution("one", chain(1), 1)

    def take_over(connection: Any) -> None:
        # Its row goes as if its lease had ended; another worker takes the task.
        connection.execute("DELETE FROM workers")
        connection.execute("INSERT INTO workers VALUES (77, 'x', 'x', 1, '', ?)", (1 << 62,))
        connection.execute("UPDATE tasks SET owner = 77")

    with running(Worker(journal, {WORK: slow}, poll_seconds=0.01)):
        assert begun.wait(20)
        journal.database.write(take_over)
        go_on.set()
        journal.start_execution("next", chain(1), 1)
        assert journal.wait_for("next", 20).output == "frozen"
        assert journal.describe("one").running
    journal.database.write(lambda c: c.execute("UPDATE workers SET expires = 0"))
    assert Worker(journal, {WORK: lambda request: "second"}).run_until_idle(20)
    assert journal.describe("one").output == "second"
    assert types(journal, "one")["TaskSucceeded"] == 1


def test_a_task_whose_claim_nobody_saw_is_given_back(journal: Journal, clock: Clock) -> None:
    # As if the disk had failed after the transaction that claimed it was already safe.
    with running(Worker(journal, {WORK: lambda request: 2}, poll_seconds=0.01)):
        journal.start_execution("first", task(), 1)
        journal.wait_for("first", 20)

        def lose(connection: Any) -> None:
            (me,) = connection.execute("SELECT id FROM workers").fetchone()
            connection.execute("UPDATE tasks SET phase = 1, owner = ?, runs = 1", (me,))

        def start_and_lose(steps: Any) -> None:
            journal._start(journal._prepared([Start("one", task(), 1)])[0], steps)
            lose(steps.connection)

        journal.transact(start_and_lose)
        clock.forward(seconds=11)
        assert journal.wait_for("one", 20).output == 2
