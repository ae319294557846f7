"""Tells listeners what changes in a lake, whether this process does it or another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial

from lakehead.catalog import Catalog
from lakehead.errors import LakeheadError
from lakehead.listeners import Listeners
from lakehead.notify import Notifier
from lakehead.results import Changed
from lakehead.workflow.execution import Change
from lakehead.workflow.journal import Journal

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""How often the files are asked whether another process wrote to them, while somebody listens."""

Listener = Callable[[Changed], None]


class Changes:
    """The changes of a lake's runs, tables and notifications. Safe from several threads."""

    def __init__(self, journal: Journal, catalog: Catalog, notifier: Notifier) -> None:
        self._journal, self._catalog, self._notifier = journal, catalog, notifier
        self._guard = threading.Lock()
        self._listeners = Listeners[Changed]()
        self._watch: _Watch | None = None

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each change, from whatever thread notices it. Returns how to end that."""
        with self._guard:
            end = self._listeners.add(listener)
            if self._watch is None:
                self._watch = self._begin()
        return partial(self._forget, end)

    def close(self) -> None:
        """Tell nobody any more."""
        with self._guard:
            self._listeners.clear()
            watch, self._watch = self._watch, None
        if watch is not None:
            watch.end()

    def _forget(self, end: Callable[[], None]) -> None:
        with self._guard:
            end()
            watch = None if self._listeners else self._watch
            self._watch = self._watch if self._listeners else None
        if watch is not None:
            watch.end()

    def _begin(self) -> _Watch:
        versions = {
            "runs": self._journal.database.version,
            "tables": self._catalog.version,
            "notifications": self._notifier.version,
        }
        heard = (
            self._journal.on_change(self._of_run),
            self._catalog.on_change(lambda dataset, table: self._listeners.tell(Changed("tables", dataset, table))),
            self._notifier.on_change(self._of_notification),
        )
        return _Watch(versions, heard, self._listeners.tell)

    def _of_run(self, change: Change) -> None:
        self._listeners.tell(Changed("runs", change.labels.get("dataset", ""), change.name))

    def _of_notification(self, attributes: Mapping[str, str]) -> None:
        self._listeners.tell(Changed("notifications", attributes.get("dataset", ""), attributes.get("execution", "")))


class _Watch:
    """A thread that asks the files of a lake whether another process wrote to them."""

    def __init__(
        self,
        versions: Mapping[str, Callable[[], int]],
        unsubscribe: tuple[Callable[[], None], ...],
        tell: Listener,
    ) -> None:
        self._versions, self._unsubscribe, self._tell = versions, unsubscribe, tell
        self._seen = {topic: version() for topic, version in versions.items()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lake-changes", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop, unless it is this very thread that asks for it: then it stops by itself."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                self._look()
            except LakeheadError as error:
                log.warning("changes by other processes cannot be seen: %s", error)

    def _look(self) -> None:
        for topic, version in self._versions.items():
            now = version()
            if now != self._seen[topic]:
                self._seen[topic] = now
                self._tell(Changed(topic))
