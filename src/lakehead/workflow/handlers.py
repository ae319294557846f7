"""Runs task handlers in thread pools and turns what they do into events."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from lakehead.errors import LakeheadError, UsageError
from lakehead.logs import log_context
from lakehead.model import Json
from lakehead.workflow.execution import encode
from lakehead.workflow.outbox import ClaimedTask
from lakehead.workflow.types import GroupHandler, TaskError, TaskFailed, TaskHandler, TaskRequest, TaskSucceeded

log = logging.getLogger(__name__)

AHEAD_SECONDS = 0.02
"""A pool takes what it works off in this time beyond its free threads, so that it is not idle during a commit."""
MAX_AHEAD = 64
GROUP_AHEAD_SECONDS = 1.0
"""The same for tasks that can share a run: the more wait, the more they share."""

# A label of such a name would overwrite what the log record itself holds.
_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"execution", "message", "asctime"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a task. No event: its handler has returned and the task goes on until someone reports."""

    task: ClaimedTask
    event: TaskSucceeded | TaskFailed | None


Place: TypeAlias = tuple[str, str, Hashable]
"""Where tasks wait that may share a run: their pool, what their resource is bound to, and their handler's key."""


class Routes:
    """Finds what is bound to a resource: exactly, or by the longest prefix."""

    def __init__(self, bound: Mapping[str, str]) -> None:
        self._bound = dict(bound)

    def of(self, resource: str) -> str | None:
        """What is bound to this resource."""
        found = max((key for key in self._bound if resource.startswith(key)), key=len, default=None)
        return None if found is None else self._bound[found]


class TaskRunner:
    """Thread pools with a bounded number of threads each. A handler that answers with a Future holds no thread.

    `wake` is called whenever an answer has come or a thread is free again.
    """

    def __init__(
        self,
        handlers: Mapping[str, TaskHandler | GroupHandler],
        pools: Mapping[str, int],
        routes: Mapping[str, str],
        wake: Callable[[], None],
    ) -> None:
        if not pools or any(size < 1 for size in pools.values()):
            raise UsageError("a worker has at least one pool, and a pool at least one thread", received=dict(pools))
        unknown = set(routes.values()) - set(pools)
        if unknown:
            raise UsageError("a route leads to a pool that does not exist", received=sorted(unknown))
        self._handlers = dict(handlers)
        self._names = Routes({resource: resource for resource in handlers})
        self._pools = dict(pools)
        self._routes = Routes(routes)
        self._default = next(iter(pools))
        self._wake = wake
        self._lock = threading.Lock()
        self._running = dict.fromkeys(pools, 0)
        self._alone = dict.fromkeys(pools, 0)
        grouped = {self.pool_of(name) for name, bound in handlers.items() if isinstance(bound, GroupHandler)}
        self._ahead_seconds = {name: GROUP_AHEAD_SECONDS if name in grouped else AHEAD_SECONDS for name in pools}
        self._seconds = dict(self._ahead_seconds)
        self._seconds_alone = dict.fromkeys(pools, AHEAD_SECONDS)
        self._waiting: dict[Place, deque[tuple[ClaimedTask, TaskRequest]]] = {}
        self._answers: deque[Answer] = deque()
        self._executors: dict[str, ThreadPoolExecutor] = {}

    def open(self) -> None:
        """Make the pools."""
        self._running, self._alone = dict.fromkeys(self._pools, 0), dict.fromkeys(self._pools, 0)
        self._waiting = {}
        self._executors = {
            name: ThreadPoolExecutor(size, thread_name_prefix=f"lakehead-{name}") for name, size in self._pools.items()
        }

    def close(self) -> None:
        """Let go of the pools. Handlers that still run go on, and what they answer is dropped by the journal."""
        for executor in self._executors.values():
            executor.shutdown(wait=False, cancel_futures=True)
        self._executors = {}

    def pool_of(self, resource: str) -> str:
        """The pool in which tasks of a resource run; the first one unless a route says otherwise."""
        return self._routes.of(resource) or self._default

    def room(self) -> dict[str, int]:
        """How many more tasks each pool can take: its free threads, and a little ahead where its tasks are short."""
        with self._lock:
            return {
                name: size + _ahead(size, self._ahead_seconds[name], self._seconds[name]) - self._running[name]
                for name, size in self._pools.items()
            }

    def answers(self) -> list[Answer]:
        """Take the answers that have come, oldest first."""
        found = []
        while self._answers:
            found.append(self._answers.popleft())
        return found

    def put_back(self, answers: list[Answer]) -> None:
        """Return answers that could not be stored; they come first the next time."""
        self._answers.extendleft(reversed(answers))

    def submit(self, tasks: Sequence[ClaimedTask]) -> list[ClaimedTask]:
        """Run the tasks' handlers. Returns those that are not run: they share no run, and all threads are busy.

        Such a task had better wait where its time does not run out, and where another worker may take it.
        """
        work: list[tuple[str, Callable[[], None]]] = []
        refused = []
        for task in tasks:
            pool = self.pool_of(task.resource)
            place, request = self._place(pool, task)
            with self._lock:
                if place is None and not self._takes_alone(pool):
                    refused.append(task)
                    continue
                self._running[pool] += 1
                if place is None:
                    self._alone[pool] += 1
                    work.append((pool, partial(self._run, pool, task)))
                else:
                    self._waiting.setdefault(place, deque()).append((task, request))
                    work.append((pool, partial(self._run_group, place)))
        # Only now, so that those who came together are there when the first thread takes them.
        for pool, run in work:
            self._executors[pool].submit(run)
        return refused

    def _place(self, pool: str, task: ClaimedTask) -> tuple[Place | None, TaskRequest]:
        """Where a task waits that may share a run with others; None for one that goes alone."""
        request = _request(task)
        bound = self._names.of(task.resource)
        handler = None if bound is None else self._handlers[bound]
        # One whose worker died may be the cause, and must not take others along.
        if bound is None or not isinstance(handler, GroupHandler) or task.runs > 1:
            return None, request
        try:
            key = handler.key(request)
        except Exception as error:
            # What is wrong with the task is told where it runs. Here it would end the worker, and all tasks with it.
            log.debug("a task of %s goes alone: %s", task.resource, error)
            return None, request
        return None if key is None else (pool, bound, key), request

    def _takes_alone(self, pool: str) -> bool:
        """Whether one more task that goes alone starts soon. In a pool without groups `room` has seen to that."""
        size = self._pools[pool]
        if self._ahead_seconds[pool] == AHEAD_SECONDS:
            return True
        if self._alone[pool] < size + _ahead(size, AHEAD_SECONDS, self._seconds_alone[pool]):
            return True
        self._seconds[pool] = self._ahead_seconds[pool]  # takes no more than it has threads, until runs are short
        return False

    def reject(self, task: ClaimedTask, error: str, cause: str) -> None:
        """Fail a task without running it."""
        self._answer(task, TaskFailed(task.task, error, cause))

    def _answer(self, task: ClaimedTask, event: TaskSucceeded | TaskFailed | None) -> None:
        self._answers.append(Answer(task, event))
        self._wake()

    def _run(self, pool: str, task: ClaimedTask) -> None:
        began = time.monotonic()
        try:
            with log_context(**_fields(task)):
                self._handle(task)
        finally:
            self._note_run(pool, 1, time.monotonic() - began, alone=True)

    def _run_group(self, place: Place) -> None:
        """Run what waits in a place. It was submitted once for every task, so often there is nothing left."""
        pool, bound, _ = place
        handler = self._handlers[bound]
        assert isinstance(handler, GroupHandler)
        with self._lock:
            waiting = self._waiting.get(place, deque())
            group = [waiting.popleft() for _ in range(min(len(waiting), handler.most))]
            if not waiting:
                self._waiting.pop(place, None)
        if not group:
            return
        began = time.monotonic()
        try:
            self._handle_group(handler, [task for task, _ in group], [request for _, request in group])
        finally:
            self._note_run(pool, len(group), time.monotonic() - began)

    def _note_run(self, pool: str, tasks: int, seconds: float, *, alone: bool = False) -> None:
        """Some tasks took so long, together. One long task counts at once, several short ones have to agree."""
        each = seconds / tasks
        with self._lock:
            self._running[pool] -= tasks
            self._seconds[pool] = _average(self._seconds[pool], tasks, each, self._ahead_seconds[pool])
            if alone:
                self._alone[pool] -= 1
                self._seconds_alone[pool] = _average(self._seconds_alone[pool], 1, seconds, AHEAD_SECONDS)
        self._wake()

    def _handle_group(self, handler: GroupHandler, tasks: list[ClaimedTask], requests: list[TaskRequest]) -> None:
        try:
            results = list(zip(tasks, handler.handle(requests), strict=True))
        except BaseException as error:
            if len(tasks) > 1:
                log.warning("%d tasks cannot share a run, so each has its own: %s", len(tasks), error)
                for task, request in zip(tasks, requests, strict=True):
                    self._handle_group(handler, [task], [request])
                return
            results = [(task, error) for task in tasks]
        for task, result in results:
            with log_context(**_fields(task)):
                self._told(task, result)

    def _handle(self, task: ClaimedTask) -> None:
        bound = self._names.of(task.resource)
        if bound is None:
            cause = f"no handler is bound to the resource {task.resource}"
            self.reject(task, "Lakehead.ConfigError", cause)
            return
        handler = self._handlers[bound]
        if isinstance(handler, GroupHandler):
            self._handle_group(handler, [task], [_request(task)])
            return
        try:
            result = handler(_request(task))
        except BaseException as error:
            # SystemExit and the like end the task too: nobody else would ever report it.
            result = error
        self._told(task, result)

    def _told(self, task: ClaimedTask, result: Any) -> None:
        """A handler has returned a result, or raised it."""
        if isinstance(result, BaseException):
            self._answer(task, _failed(task, result))
        elif isinstance(result, Future):
            result.add_done_callback(partial(self._done, task))
        else:
            self._answer(task, _returned(task, result))

    def _done(self, task: ClaimedTask, future: Future[Json]) -> None:
        with log_context(**_fields(task)):
            try:
                result = future.result()
            except BaseException as error:
                self._answer(task, _failed(task, error))
            else:
                self._answer(task, _returned(task, result))


def _ahead(size: int, ahead_seconds: float, seconds: float) -> int:
    """How many tasks of so many seconds `size` threads work off beyond their first ones in `ahead_seconds`."""
    return max(0, min(MAX_AHEAD, int(size * ahead_seconds / max(seconds, 1e-6)) - size))


def _average(before: float, tasks: int, each: float, most: float) -> float:
    return min(most, max(each, 0.9**tasks * before + (1 - 0.9**tasks) * each))


def _fields(task: ClaimedTask) -> dict[str, str]:
    labels = {name: value for name, value in json.loads(task.labels).items() if name not in _RESERVED}
    return {**labels, "execution": task.name}


def _request(task: ClaimedTask) -> TaskRequest:
    return TaskRequest(
        execution=task.name,
        state_name=task.state_name,
        resource=task.resource,
        arguments=json.loads(task.request),
        token=task.token,
        task_token=task.task_token,
    )


def _returned(task: ClaimedTask, result: Json) -> TaskSucceeded | TaskFailed | None:
    if task.wait_for_token:
        return None
    try:
        # What the execution goes on with now is what it would read from the journal after a crash.
        return TaskSucceeded(task.task, json.loads(encode(result)))
    except (TypeError, ValueError, RecursionError) as error:
        log.error("the handler of %s answered with something that is no JSON: %s", task.resource, error)
        return TaskFailed(task.task, "States.TaskFailed", f"the handler's answer is no JSON: {error}")


def _failed(task: ClaimedTask, error: BaseException) -> TaskFailed:
    if isinstance(error, TaskError):
        name, cause = error.error, error.cause
    elif isinstance(error, LakeheadError):
        name, cause = error.name, str(error)
    else:
        log.error("the handler of %s failed", task.resource, exc_info=error)
        return TaskFailed(task.task, "States.TaskFailed", f"{type(error).__name__}: {error}")
    # What a service answers by name is what Retry and Catch are for; an error of our own is worth a look.
    level = logging.INFO if isinstance(error, TaskError) else logging.WARNING
    log.log(level, "%s failed: %s: %s", task.state_name, name, cause)
    return TaskFailed(task.task, name, cause)
