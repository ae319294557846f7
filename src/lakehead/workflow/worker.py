"""Carries out what executions wait for: runs tasks, fires timers, and feeds what comes of them to the journal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from lakehead.errors import TransientError, UsageError
from lakehead.workflow import leases, outbox
from lakehead.workflow.execution import Change, Execution
from lakehead.workflow.handlers import Answer, TaskRunner
from lakehead.workflow.journal import POLL_SECONDS, Journal
from lakehead.workflow.outbox import ClaimedTask
from lakehead.workflow.steps import Delivery, Steps
from lakehead.workflow.types import GroupHandler, TaskHandler

log = logging.getLogger(__name__)

DEFAULT_POOLS = {"default": 8}
MAX_RUNS = 25
"""A task whose worker died so often is taken for the cause, and fails as `Lakehead.WorkerLost`."""
RETRY_SECONDS = 1.0
"""The pause after the journal could not be written."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a transaction found. `worker`: the id under which the tasks were claimed."""

    worker: int
    now: datetime
    claimed: list[ClaimedTask]
    next_due: datetime | None
    more: bool


class Worker:
    """Works for a journal, beside other workers of this and other processes.

    `handlers` are bound to resources or to prefixes of them. Each pool runs so many handlers at a time; `routes`
    leads resources (or prefixes) to pools, all others run in the first pool. `on_change` is called as by
    `Journal.on_change` while the worker runs. A dead worker's tasks are taken over at once where it ran on this
    machine, after `lease_seconds` otherwise; they run again with the same token. What other processes do, and a clock
    that was set, are noticed within `poll_seconds`.
    """

    def __init__(
        self,
        journal: Journal,
        handlers: Mapping[str, TaskHandler | GroupHandler],
        *,
        pools: Mapping[str, int] | None = None,
        routes: Mapping[str, str] | None = None,
        on_change: Callable[[Change], None] | None = None,
        lease_seconds: float = 30.0,
        grace_seconds: float = 30.0,
        poll_seconds: float = POLL_SECONDS,
        max_runs: int = MAX_RUNS,
    ) -> None:
        self.journal = journal
        self._lease = timedelta(seconds=lease_seconds)
        self._grace = grace_seconds
        self._poll = poll_seconds
        self._max_runs = max_runs
        self._listener = on_change
        self._woken = threading.Event()
        self._runner = TaskRunner(handlers, pools or DEFAULT_POOLS, routes or {}, self._woken.set)
        self._one_run = threading.Lock()
        self._process = leases.Process.current()
        self._id = 0
        self._mine: set[tuple[int, int]] = set()
        self._renew_at: datetime | None = None
        self._next_due: datetime | None = None
        self._version = -1

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Then running handlers get `grace_seconds` to finish; other tasks are given back."""
        with self._session():
            while not stop.is_set():
                self._cycle()

    def run_until_idle(self, timeout: float) -> bool:
        """Work until nothing is left to do: every execution has ended, or waits for someone to report.

        Returns False where there is something left after `timeout` seconds; running handlers are then waited for as
        by `run`.
        """
        end = time.monotonic() + timeout
        with self._session():
            woken = False
            while time.monotonic() < end:
                if not (woken and self._mine) and self._idle():
                    return True
                woken = self._cycle(end)
            return self._idle()

    def wait_for(self, name: str, timeout: float) -> Execution:
        """Wait until an execution has ended. Raises Busy after `timeout` seconds, ExecutionNotFound."""
        return self.journal.wait_for(name, timeout)

    def wake(self) -> None:
        """Let the worker look now whether there is something to do."""
        self._woken.set()

    # A session: from entering the list of workers to leaving it

    @contextmanager
    def _session(self) -> Iterator[None]:
        if not self._one_run.acquire(blocking=False):
            raise UsageError("this worker is running already")
        unsubscribe = [self.journal.on_work(self._woken.set)]
        if self._listener is not None:
            unsubscribe.append(self.journal.on_change(self._listener))
        self._mine.clear()
        self._next_due, self._version, self._id = None, -1, 0
        self._runner.open()
        try:
            yield
        finally:
            try:
                self._leave()
            finally:
                self._runner.close()
                for end in unsubscribe:
                    end()
                self._one_run.release()

    def _leave(self) -> None:
        end = time.monotonic() + self._grace
        while self._owned() and (rest := end - time.monotonic()) > 0:
            self._woken.wait(min(rest, self._poll))
            self._woken.clear()
            self._turn(claiming=False)
        self._turn(claiming=False)
        given_back = self.journal.transact(lambda steps: leases.retire(steps.connection, self._id))
        if given_back:
            log.warning("%d tasks were given back unfinished", given_back)

    def _owned(self) -> bool:
        with self.journal.database.read() as connection:
            return connection.execute("SELECT 1 FROM tasks WHERE owner = ?", (self._id,)).fetchone() is not None

    def _idle(self) -> bool:
        with self.journal.database.read() as connection:
            return outbox.is_idle(connection)

    # One cycle: wait, then store what has come and take what there is

    def _cycle(self, end: float | None = None) -> bool:
        """Returns whether something of this process woke the worker."""
        woken = self._woken.wait(self._patience(end))
        self._woken.clear()
        try:
            if woken or self._anything_new():
                self._turn()
        except TransientError as error:
            # The answers are kept, and nothing is claimed twice: the transaction was undone.
            log.error("the journal could not be written, trying again: %s", error)
            self._version = -1
            time.sleep(RETRY_SECONDS)
        return woken

    def _patience(self, end: float | None) -> float:
        """Seconds to wait for something to happen; a clock that was set is noticed within `poll_seconds`."""
        waits = [self._poll]
        if self._id == 0:
            return 0.0
        if self._next_due is not None:
            waits.append((self._next_due - self.journal.clock()).total_seconds())
        if end is not None:
            waits.append(end - time.monotonic())
        return max(0.0, min(waits))

    def _anything_new(self) -> bool:
        """Whether time or another process has brought work."""
        now = self.journal.clock()
        if self._id == 0 or self._renew_at is None or now >= self._renew_at:
            return True
        if self._next_due is not None and self._next_due <= now:
            return True
        if self.journal.database.version() != self._version:
            return True
        with self.journal.database.read() as connection:
            return bool(leases.dead_workers(connection, self._process, self._id, now))

    def _turn(self, *, claiming: bool = True) -> None:
        self._version = self.journal.database.version()
        answers = self._runner.answers()
        room = self._runner.room() if claiming else {}
        try:
            turn = self.journal.transact(lambda steps: self._work(steps, answers, room))
        except BaseException:
            self._runner.put_back(answers)
            raise
        self._mine.difference_update((answer.task.execution, answer.task.task) for answer in answers)
        self._id, self._next_due = turn.worker, turn.next_due
        self._renew_at = turn.now + self._lease / 3
        self._begin(turn.claimed)
        if turn.more:
            self._woken.set()

    def _begin(self, claimed: list[ClaimedTask]) -> None:
        self._mine.update((task.execution, task.task) for task in claimed)
        refused = self._runner.submit([task for task in claimed if task.runs <= self._max_runs])
        for task in claimed:
            if task.runs > self._max_runs:
                cause = f"{task.runs - 1} workers died while they ran this task; their logs may tell why"
                self._runner.reject(task, "Lakehead.WorkerLost", cause)
        if refused:
            # First here: should the journal fail now, the lease's next renewal gives them back.
            self._mine.difference_update((task.execution, task.task) for task in refused)
            self.journal.transact(lambda steps: self._give_back(steps, refused))

    def _give_back(self, steps: Steps, tasks: list[ClaimedTask]) -> None:
        for task in tasks:
            leases.release(steps.connection, task.owner, task.execution, task.task)

    def _work(self, steps: Steps, answers: list[Answer], room: Mapping[str, int]) -> _Turn:
        connection, now = steps.connection, steps.now
        worker = self._lease_of(steps)
        deliveries = []
        for answer in answers:
            task = answer.task
            if answer.event is None:
                outbox.await_token(connection, task.owner, task.execution, task.task)
            else:
                deliveries.append(Delivery(task.execution, answer.event, task.owner))
        steps.deliver(deliveries)
        due = outbox.due(connection, now)
        steps.deliver(due)
        for dead in leases.dead_workers(connection, self._process, worker, now):
            log.warning("taking over %d tasks of worker %d, which died", leases.bury(connection, dead), dead)
        claimed: list[ClaimedTask] = []
        if room:
            resources = outbox.pending_resources(connection)
            claimed = outbox.claim(connection, worker, resources, self._runner.pool_of, room, now)
        return _Turn(worker, now, claimed, outbox.next_due(connection), len(due) >= outbox.MAX_DUE)

    def _lease_of(self, steps: Steps) -> int:
        """The worker's id, its lease renewed; a new one at first, and where others took this worker for dead."""
        connection, now = steps.connection, steps.now
        worker = leases.renew(connection, self._id, now, self._lease)
        if not worker:
            return leases.register(connection, self._process, now, self._lease)
        if now >= (self._renew_at or now):
            for execution, task in leases.owned(connection, worker):
                # Claimed by a transaction whose end was not seen: nobody runs it.
                if (execution, task) not in self._mine:
                    leases.release(connection, worker, execution, task)
        return worker
