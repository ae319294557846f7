"""Runs people's SQL in processes of their own, one for each query, which can be killed at any time.

Such a process has walls around it (see `walls`) before it looks at the SQL. What the SQL makes it do hits nobody else.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from lakehead import errors
from lakehead.errors import LakeheadError, QueryError, StorageUnavailable
from lakehead.query.job import Ground, Limits, QueryAnswer, QueryJob
from lakehead.query.walls import environment

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-P", "-m", "lakehead.query.child")
GRACE_SECONDS = 1.0
"""How much longer than its time a query may take to stop by itself, which tells it better."""

_IMPROPER = "the query's process gave no proper answer"
_LONGER = "Select fewer partitions, or give it longer: query_seconds in lakehead.toml."
_ANSWER_BYTES = 16 << 20
_TOLD_BYTES = 64 << 10
_CHUNK = 1 << 16


class Cancelled(Exception):
    """The query was stopped because somebody asked for it."""


class Sandbox:
    """Starts processes for queries. After the first one there is always another ready, so that nobody waits for it.

    `command` starts such a process; the number of this one is appended.
    """

    def __init__(self, ground: Callable[[], Ground], limits: Limits, *, command: Sequence[str] = COMMAND) -> None:
        self.limits = limits
        self._ground = ground
        self._starter = _Starter(command)

    def start(self, sql: str, folder: Path) -> Running:
        """Begin a query. `folder` is there, empty, and the query's own. Raises StorageUnavailable and ConfigError."""
        job = QueryJob(sql, str(folder.resolve()), self._ground(), self.limits)
        return Running(job, self._starter.take(remote=job.ground.remote))

    def close(self) -> None:
        """Kill every process, also those of queries under way."""
        self._starter.close()


class Running:
    """A query under way. `cancel` may be called by any thread, `answer` once."""

    def __init__(self, job: QueryJob, child: _Child) -> None:
        self._job, self._child = job, child
        self._cancelled = False
        self._deadline = time.monotonic() + job.limits.seconds + GRACE_SECONDS

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._child.pid

    def cancel(self) -> None:
        """Stop it at once."""
        self._cancelled = True
        self._child.kill()

    def answer(self) -> QueryAnswer:
        """Wait for the answer, no longer than its time. The process is gone when this returns or raises.

        Raises Cancelled, what the engine raised, and QueryError where the process had to be killed or broke down.
        """
        try:
            line = self._child.exchange(json.dumps(self._job.to_json()).encode() + b"\n", self._deadline)
        except TimeoutError:
            self._child.kill()
            raise QueryError("the query took too long and was stopped", hint=_LONGER) from None
        finally:
            code, told = self._child.end()
        if self._cancelled:
            raise Cancelled
        if not line.endswith(b"\n"):
            raise _broken_down(code, told)
        return _read(line)


def _read(line: bytes) -> QueryAnswer:
    """The answer. The process that sent it ran people's SQL, so nothing in it is taken for granted."""
    try:
        told = json.loads(line)
        if "answer" in told:
            return QueryAnswer.from_json(told["answer"])
        error = _told_error(told["error"])
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise QueryError(_IMPROPER) from fault
    raise error


def _told_error(told: Any) -> LakeheadError:
    kind = getattr(errors, str(told["error"]).removeprefix("Lakehead."), None)
    if not (isinstance(kind, type) and issubclass(kind, LakeheadError)):
        kind = QueryError
    where = {str(name): value for name, value in dict(told["where"]).items() if name not in ("message", "hint")}
    return kind(str(told["message"]), hint=str(told["hint"]), **where)


def _broken_down(code: int | None, told: str) -> QueryError:
    """Explain a process that ended without an answer."""
    log.error("a query's process ended with %s without an answer", code, extra={"told": told})
    if code is None:
        return QueryError(_IMPROPER)
    if code == -signal.SIGKILL or "MemoryError" in told or "bad_alloc" in told:
        return QueryError("the query needs more memory than it may have", hint="Select less, or group by less.")
    if code in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS):
        return QueryError("the query exhausted its process, which broke down", hint="Make the query simpler.")
    if code == -signal.SIGXCPU:
        return QueryError("the query took too long and was stopped", hint=_LONGER)
    return QueryError("the query's process failed", hint="The log tells why.", code=code)


class _Child:
    """One process, from its start to its end."""

    def __init__(self, command: Sequence[str], *, remote: bool) -> None:
        self.remote = remote
        self._guard = threading.Lock()
        self._process = subprocess.Popen(
            [*command, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=environment(os.environ, remote=remote),
            process_group=0,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        with self._guard:
            return self._process.poll() is None

    def exchange(self, line: bytes, deadline: float) -> bytes:
        """Send a line, and return what comes back up to the process's end. Neither side can make the other wait.

        Raises TimeoutError at the deadline (of `time.monotonic`).
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        stdin, stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(stdin, False)
        left, found = memoryview(line), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            while len(found) <= _ANSWER_BYTES:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    if key.fd == stdout:
                        chunk = os.read(stdout, _CHUNK)
                        if not chunk:
                            return bytes(found)
                        found += chunk
                    elif not (left := _rest(stdin, left)):
                        selector.unregister(stdin)
        return b""

    def kill(self) -> None:
        """Kill it and whatever it started."""
        with self._guard:
            # Once it was waited for, its number may be another's.
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> tuple[int | None, str]:
        """Make sure that it is gone. Returns its exit code and what it told on stderr.

        The code is negative for a signal, None where it did not end by itself.
        """
        told, ended = self._last_words(time.monotonic() + GRACE_SECONDS)
        self.kill()
        with self._guard:
            code = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        return code if ended else None, told

    def _last_words(self, deadline: float) -> tuple[str, bool]:
        """The end of stderr, and whether there will be no more, because the process has ended."""
        assert self._process.stderr is not None
        found = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stderr, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                chunk = os.read(self._process.stderr.fileno(), _CHUNK)
                if not chunk:
                    return found.decode(errors="replace"), True
                found = (found + chunk)[-_TOLD_BYTES:]
        return found.decode(errors="replace"), False


def _rest(descriptor: int, line: memoryview) -> memoryview:
    """Write some of it. Returns what is left; nothing where nobody reads it any more, which its end tells better."""
    try:
        return line[os.write(descriptor, line[:_CHUNK]) :]
    except BrokenPipeError:
        return line[:0]


class _Starter:
    """Starts processes from one thread that lives as long as they may: the system kills them when that thread ends."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._asked: queue.SimpleQueue[tuple[bool, Future[_Child]] | None] = queue.SimpleQueue()
        self._children: weakref.WeakSet[_Child] = weakref.WeakSet()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def take(self, *, remote: bool) -> _Child:
        """A process that waits for its job. Raises StorageUnavailable."""
        asked: Future[_Child] = Future()
        with self._guard:
            if self._closed:
                raise StorageUnavailable("queries are no longer answered: the console is closing")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="query-starter", daemon=True)
                self._thread.start()
            self._asked.put((remote, asked))
        return asked.result()

    def close(self) -> None:
        with self._guard:
            self._closed = True
            thread = self._thread
            self._asked.put(None)
        for child in list(self._children):
            child.kill()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        spare: _Child | None = None
        while (asked := self._asked.get()) is not None:
            remote, promise = asked
            try:
                if spare is None or spare.remote != remote or not spare.alive():
                    _discard(spare)
                    spare = self._start(remote=remote)
                promise.set_result(spare)
                spare = None
                spare = self._start(remote=remote)
            except OSError as error:
                log.exception("a query's process cannot be started")
                if not promise.done():
                    hint = "Is the machine out of memory or processes?"
                    promise.set_exception(StorageUnavailable(f"a query cannot be started: {error}", hint=hint))
        _discard(spare)

    def _start(self, *, remote: bool) -> _Child:
        child = _Child(self._command, remote=remote)
        self._children.add(child)
        return child


def _discard(child: _Child | None) -> None:
    if child is not None:
        child.kill()
        child.end()
