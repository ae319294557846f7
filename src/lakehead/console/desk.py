"""The query desk: takes people's SQL, runs it in processes of its own, keeps the answers a while."""

from __future__ import annotations

import logging
import secrets
import shutil
import stat
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from lakehead.asking import open_sandbox
from lakehead.console.address import LOCK_FILE
from lakehead.console.answers import Kept, Reader
from lakehead.console.cells import cut
from lakehead.console.charts import chart
from lakehead.console.history import History
from lakehead.errors import Busy, LakeheadError, NotFound, QueryError
from lakehead.lake import Lake
from lakehead.model import utc_now
from lakehead.private import make_folder
from lakehead.query.job import RESULT, Limits, QueryAnswer
from lakehead.query.parse import MAX_SQL
from lakehead.query.sandbox import Cancelled, Running
from lakehead.results import ChartData, QueryPage, QueryState

log = logging.getLogger(__name__)

AT_ONCE = 2
WAITING = 16
KEPT_ANSWERS = 50
KEPT_BYTES = 2 << 30

Listener = Callable[[QueryState], None]


@dataclass(slots=True)
class _Query:
    """A query that runs, or whose answer is kept. Its desk's lock guards it."""

    state: QueryState
    folder: Path
    running: Running | None = None
    cancelled: bool = False
    kept: Kept | None = None
    readers: int = 0


class QueryDesk:
    """Answers people's SQL. Safe from several threads; close it before its lake.

    `at_once` queries run at a time and `waiting` more may wait. Of the answers, the newest `kept_answers` are kept, and
    no more of them than fit into `kept_bytes`. One desk works for a lake's environment: another raises Busy.
    """

    def __init__(
        self,
        lake: Lake,
        *,
        at_once: int = AT_ONCE,
        waiting: int = WAITING,
        kept_answers: int = KEPT_ANSWERS,
        kept_bytes: int = KEPT_BYTES,
        limits: Limits | None = None,
    ) -> None:
        state_dir = lake.config.state_dir
        self._most, self._kept_answers, self._kept_bytes = at_once + waiting, kept_answers, kept_bytes
        self._mine = _claim(state_dir / LOCK_FILE)
        self._folder = _emptied(state_dir / "console")
        self._history = History(state_dir / "console.db")
        self._end_what_another_left()
        self._sandbox = open_sandbox(lake.config, lake.store, limits)
        self._reader = Reader(self._folder)
        self._queries: OrderedDict[str, _Query] = OrderedDict()
        self._changed = threading.Condition()
        self._listeners: list[Listener] = []
        self._closed = False
        self._workers = ThreadPoolExecutor(at_once, thread_name_prefix="query")

    def close(self) -> None:
        """Stop what runs, and remove the answers. The history stays."""
        with self._changed:
            self._closed = True
            running = [id for id, query in self._queries.items() if query.state.running]
        for id in running:
            self.cancel(id)
        self._workers.shutdown()
        self._sandbox.close()
        self._reader.close()
        self._history.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._mine.release()

    # Asking ------------------------------------------------------------------------------------------------------

    def submit(self, sql: str) -> QueryState:
        """Take a query. Returns at once, while it runs or waits for its turn.

        Raises QueryError for what is too long or no text, Busy where too many wait already.
        """
        _check(sql)
        id = secrets.token_urlsafe(16)
        query = _Query(QueryState(id, sql, "RUNNING", utc_now()), self._folder / id)
        with self._changed:
            if self._closed:
                raise Busy("queries are no longer taken: the console is closing")
            if sum(one.state.running for one in self._queries.values()) >= self._most:
                raise Busy(f"{self._most} queries run or wait already", hint="Cancel one, or wait for one to end.")
            self._history.note(query.state)
            self._queries[id] = query
            self._workers.submit(self._work, query)
        self._tell(query.state)
        return query.state

    def cancel(self, id: str) -> QueryState:
        """Stop a query at once; one that has ended stays as it is. Raises NotFound."""
        with self._changed:
            query = self._queries.get(id)
            if query is None or not query.state.running:
                return self._state(id)
            query.cancelled = True
            running = query.running
        if running is not None:
            running.cancel()
        else:
            self._end(query, replace(query.state, status="CANCELLED"))
        return self.state(id)

    def state(self, id: str) -> QueryState:
        """How a query is. Raises NotFound."""
        with self._changed:
            return self._state(id)

    def wait(self, id: str, seconds: float) -> QueryState:
        """How a query is when it has ended, or after so many seconds. Raises NotFound."""
        with self._changed:
            self._changed.wait_for(lambda: not self._state(id).running, seconds)
            return self._state(id)

    def history(self, limit: int = 50) -> list[QueryState]:
        """The newest queries, also those of earlier consoles, newest first."""
        found = self._history.newest(limit)
        with self._changed:
            return [self._queries[one.id].state if one.id in self._queries else one for one in found]

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call `listener`, from any thread, with every new state of a query. Returns what ends that."""
        with self._changed:
            self._listeners.append(listener)

        def end() -> None:
            with self._changed:
                self._listeners.remove(listener)

        return end

    # Reading answers ---------------------------------------------------------------------------------------------

    def page(self, id: str, offset: int = 0, limit: int = 100) -> QueryPage:
        """Rows of an answer. Raises NotFound where there is none, or no longer; Busy while the query runs."""
        with self._answer(id) as kept:
            return self._reader.page(kept, offset, limit)

    def chart(self, id: str) -> ChartData:
        """An answer as a chart, where its columns make one. Raises as `page`."""
        with self._answer(id) as kept:
            return chart(self._reader.rows, kept)

    def csv(self, id: str) -> Iterator[bytes]:
        """An answer as CSV, piece by piece. Raises as `page`, before the first piece."""
        query, kept = self._hold(id)
        pieces = self._reader.csv(kept)
        # Also where nobody ever asks for the first piece.
        weakref.finalize(pieces, self._let_go, query)
        return pieces

    def parquet(self, id: str) -> Path:
        """The file with an answer. It may go away when newer answers need its room. Raises as `page`."""
        with self._answer(id) as kept:
            return kept.path

    @contextmanager
    def _answer(self, id: str) -> Iterator[Kept]:
        query, kept = self._hold(id)
        try:
            yield kept
        finally:
            self._let_go(query)

    def _hold(self, id: str) -> tuple[_Query, Kept]:
        """An answer, which stays until it is let go."""
        with self._changed:
            state = self._state(id)
            if state.running:
                raise Busy("the query has not ended yet", hint="Wait for it.", query=id)
            if state.status != "SUCCEEDED":
                raise NotFound(f"the query has no answer: it is {state.status}", hint=state.error, query=id)
            query = self._queries.get(id)
            if query is None or query.kept is None:
                hint = "Run the query again."
                raise NotFound("the answer was removed to make room for newer ones", hint=hint, query=id)
            query.readers += 1
            return query, query.kept

    def _let_go(self, query: _Query) -> None:
        with self._changed:
            query.readers -= 1

    # Working -----------------------------------------------------------------------------------------------------

    def _work(self, query: _Query) -> None:
        with self._changed:
            if query.cancelled:
                return
            query.state = replace(query.state, started=utc_now())
        self._tell(query.state)
        try:
            query.folder.mkdir(mode=0o700)
            ended, query.kept = self._run(query)
        except Cancelled:
            ended = replace(query.state, status="CANCELLED")
        except LakeheadError as error:
            ended = _failed(query.state, error)
        except Exception:
            log.exception("a query failed in an unexpected way")
            hint = "The log tells why."
            ended = replace(query.state, status="FAILED", error="the query failed in an unexpected way", hint=hint)
        if query.kept is None:
            shutil.rmtree(query.folder, ignore_errors=True)
        self._end(query, ended)

    def _run(self, query: _Query) -> tuple[QueryState, Kept]:
        running = self._sandbox.start(query.state.sql, query.folder)
        with self._changed:
            query.running = running
            cancelled = query.cancelled
        if cancelled:
            running.cancel()
        answer = running.answer()
        path = query.folder / RESULT
        size = _size(path)
        return _succeeded(query.state, answer, size), Kept(path, answer.columns, answer.row_count, answer.widest_row)

    def _end(self, query: _Query, state: QueryState) -> None:
        now = utc_now()
        with self._changed:
            if not query.state.running:
                return
            begun = state.started or now
            query.state = replace(state, ended=now, seconds=(now - begun).total_seconds())
            query.running = None
            self._queries.move_to_end(state.id)
            self._make_room()
            self._changed.notify_all()
            try:
                self._history.note(query.state)
            except LakeheadError as error:
                log.error("the end of a query cannot be noted: %s", error)
        self._tell(query.state)

    def _make_room(self) -> None:
        """Forget the oldest answers, but never the newest one or one that is being read."""
        ended = [query for query in self._queries.values() if not query.state.running]
        kept = [query for query in ended if query.kept is not None]
        total = sum(query.state.result_bytes or 0 for query in kept)
        for query in kept[:-1]:
            if len(kept) <= self._kept_answers and total <= self._kept_bytes:
                break
            if query.readers:
                continue
            kept.remove(query)
            total -= query.state.result_bytes or 0
            query.kept = None
            query.state = replace(query.state, has_result=False)
            shutil.rmtree(query.folder, ignore_errors=True)
        for query in ended:
            if query.kept is None and len(self._queries) > self._most + self._kept_answers:
                del self._queries[query.state.id]

    def _state(self, id: str) -> QueryState:
        query = self._queries.get(id)
        found = query.state if query is not None else self._history.find(id)
        if found is None:
            raise NotFound("no such query", hint="The history holds the newest ones.", query=id)
        return found

    def _end_what_another_left(self) -> None:
        for state in self._history.unfinished():
            told = "the console ended before the query did"
            self._history.note(replace(state, status="FAILED", error=told, hint="Run it again."))

    def _tell(self, state: QueryState) -> None:
        with self._changed:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(state)
            except Exception:
                log.exception("somebody who listens to queries failed")


def _check(sql: str) -> None:
    try:
        size = len(sql.encode())
    except UnicodeEncodeError:
        raise QueryError("the SQL is no valid text: it holds half a character") from None
    if size > MAX_SQL:
        raise QueryError(f"the SQL is longer than {MAX_SQL} bytes, which is Athena's limit")


def _claim(path: Path) -> FileLock:
    make_folder(path.parent)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise Busy("another console answers queries for this lake", hint="Stop it first.", path=str(path)) from error
    return lock


def _emptied(folder: Path) -> Path:
    """A folder of this user's own, without what an earlier console left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def _size(path: Path) -> int:
    """The bytes of an answer, which must be a plain file: its process may have been made to leave something else."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise QueryError("the query's process left no proper answer")
    return found.st_size


def _failed(state: QueryState, error: LakeheadError) -> QueryState:
    """What went wrong; names in the SQL may make it as long as the SQL."""
    where = {name: value for name, value in error.where.items() if name in ("line", "column")}
    return replace(state, status="FAILED", error=cut(error.message), hint=cut(error.hint), where=where)


def _succeeded(state: QueryState, answer: QueryAnswer, size: int) -> QueryState:
    return replace(
        state,
        status="SUCCEEDED",
        row_count=answer.row_count,
        result_bytes=size,
        scanned_bytes=answer.scanned_bytes,
        files=answer.files,
        partitions=answer.partitions,
        truncated=answer.truncated,
        has_result=True,
    )
