"""Runs task handlers in thread pools and turns what they do into events."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from lakehead.errors import LakeheadError, UsageError
from lakehead.logs import log_context
from lakehead.model import Json
from lakehead.workflow.execution import encode
from lakehead.workflow.outbox import ClaimedTask
from lakehead.workflow.types import TaskError, TaskFailed, TaskHandler, TaskRequest, TaskSucceeded

log = logging.getLogger(__name__)

AHEAD_SECONDS = 0.02
"""A pool takes what it works off in this time beyond its free threads, so that it is not idle during a commit."""
MAX_AHEAD = 64

# A label of such a name would overwrite what the log record itself holds.
_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"execution", "message", "asctime"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a task. No event: its handler has returned and the task goes on until someone reports."""

    task: ClaimedTask
    event: TaskSucceeded | TaskFailed | None


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
        handlers: Mapping[str, TaskHandler],
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
        self._seconds = dict.fromkeys(pools, AHEAD_SECONDS)
        self._answers: deque[Answer] = deque()
        self._executors: dict[str, ThreadPoolExecutor] = {}

    def open(self) -> None:
        """Make the pools."""
        self._running = dict.fromkeys(self._pools, 0)
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
            return {name: size + self._ahead(name, size) - self._running[name] for name, size in self._pools.items()}

    def _ahead(self, pool: str, size: int) -> int:
        return min(MAX_AHEAD, int(size * AHEAD_SECONDS / max(self._seconds[pool], 1e-6)) - size)

    def answers(self) -> list[Answer]:
        """Take the answers that have come, oldest first."""
        found = []
        while self._answers:
            found.append(self._answers.popleft())
        return found

    def put_back(self, answers: list[Answer]) -> None:
        """Return answers that could not be stored; they come first the next time."""
        self._answers.extendleft(reversed(answers))

    def submit(self, task: ClaimedTask) -> None:
        """Run a task's handler."""
        pool = self.pool_of(task.resource)
        with self._lock:
            self._running[pool] += 1
        self._executors[pool].submit(self._run, pool, task)

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
            seconds = time.monotonic() - began
            with self._lock:
                self._running[pool] -= 1
                # One long task counts at once, several short ones have to agree.
                self._seconds[pool] = min(AHEAD_SECONDS, max(seconds, 0.9 * self._seconds[pool] + 0.1 * seconds))
            self._wake()

    def _handle(self, task: ClaimedTask) -> None:
        bound = self._names.of(task.resource)
        if bound is None:
            cause = f"no handler is bound to the resource {task.resource}"
            self.reject(task, "Lakehead.ConfigError", cause)
            return
        try:
            result = self._handlers[bound](_request(task))
        except BaseException as error:
            # SystemExit and the like end the task too: nobody else would ever report it.
            self._answer(task, _failed(task, error))
            return
        if isinstance(result, Future):
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
