"""The journal's SQLite file: one writer that commits for all who wait, and a connection for every reader."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from lakehead import sqlite
from lakehead.errors import StorageUnavailable
from lakehead.sqlite import explained
from lakehead.workflow.migrations import MIGRATIONS

T = TypeVar("T")
Work: TypeAlias = Callable[[sqlite3.Connection], Any]

MAX_GROUP = 64
"""At most so many writes share a transaction, which bounds how long one waits for the others."""


class Database:
    """WAL with `synchronous=FULL`: what was written is on the disk when `write` returns. Safe from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._queue: deque[tuple[Work, Future[Any]]] = deque()
        self._readers_lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._closed = False
        self._writer = sqlite.open_file(path, MIGRATIONS)

    def close(self) -> None:
        """Close every connection. Reads that are under way end first."""
        with self._lock, self._readers_lock:
            self._closed = True
            self._writer.close()
            for connection in self._readers:
                connection.close()
            self._readers.clear()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for one or more SELECTs."""
        with explained(self.path):
            with self._readers_lock:
                if self._closed:
                    raise StorageUnavailable("the journal is closed", path=str(self.path))
                connection = self._readers.pop() if self._readers else None
            connection = connection or sqlite.connect(self.path)
            try:
                yield connection
            finally:
                self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._readers_lock:
            if self._closed:
                connection.close()
            else:
                self._readers.append(connection)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction and return its result once that is on the disk.

        Threads that come while another one commits share the next transaction. So `work` may be run twice, and must
        do nothing but read, compute and write to this connection. What it raises is the caller's alone and undoes
        only its own writes. Raises Busy and StorageUnavailable.
        """
        answer: Future[T] = Future()
        self._queue.append((work, answer))
        with explained(self.path), self._lock:
            if self._closed:
                raise StorageUnavailable("the journal is closed", path=str(self.path))
            while not answer.done():
                self._commit_group(answer)
            return answer.result()

    def version(self) -> int:
        """A number that changes when another process has written."""
        with explained(self.path), self._lock:
            if self._closed:
                raise StorageUnavailable("the journal is closed", path=str(self.path))
            return sqlite.data_version(self._writer)

    def _commit_group(self, own: Future[Any]) -> None:
        group = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_GROUP))]
        try:
            self._transact(group)
        except sqlite3.Error as error:
            if len(group) == 1:
                group[0][1].set_exception(error)
                return
            # One may have spoilt it for all. Alone, only the guilty one hears of it.
            for member in group:
                try:
                    self._transact([member])
                except sqlite3.Error as its:
                    member[1].set_exception(its)
        except BaseException:
            # An interrupt is the leading thread's; the others' work is taken up by whoever comes next.
            self._queue.extendleft(
                member for member in reversed(group) if member[1] is not own and not member[1].done()
            )
            raise

    def _transact(self, group: list[tuple[Work, Future[Any]]]) -> None:
        results: list[Callable[[], None]] = []
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            for work, answer in group:
                self._writer.execute("SAVEPOINT work")
                try:
                    results.append(partial(answer.set_result, work(self._writer)))
                except sqlite3.Error:
                    raise
                except Exception as error:
                    self._writer.execute("ROLLBACK TO work")
                    results.append(partial(answer.set_exception, error))
                self._writer.execute("RELEASE work")
            self._commit()
        except BaseException:
            # A full disk may have rolled back already.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        for tell in results:
            tell()

    def _commit(self) -> None:
        self._writer.execute("COMMIT")
