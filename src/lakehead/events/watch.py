"""Watches a raw bucket: what lands is recorded at once, and what was missed by listing now and then."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from lakehead.errors import LakeheadError
from lakehead.events.reconcile import Reconciled, reconcile
from lakehead.events.rules import DatasetRule
from lakehead.events.schema import RecordedEvent
from lakehead.events.store import EventStore
from lakehead.events.zone import Looked, RawZone
from lakehead.storage import ObjectStore
from lakehead.storage.keys import to_segment

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers.api import BaseObserver

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Files that are read before what they are is recorded, in one transaction."""

AFTER_TROUBLE_SECONDS = 5.0
"""How soon after trouble the zone is listed again."""

JOIN_SECONDS = 10.0

LINUX: bool = sys.platform.startswith("linux")


@dataclass(frozen=True, slots=True)
class _File:
    """`closed`: its writer closed it, or it was renamed into place. Otherwise it only appeared or was touched."""

    path: str
    closed: bool


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str


class _Wake:
    """Nothing happened in the bucket, but the watcher has to look up: stop, overflow, a wish for a listing."""


_Signal: TypeAlias = _File | _Folder | _Wake


class ZoneWatcher:
    """Records what lands in a raw bucket, in a thread of its own, from `start` to `stop` (or as a context manager).

    On Linux a file is taken when its writer closes it or when it is renamed into place; elsewhere when it lies
    unchanged for `settle_seconds`. Everything is listed at the start, every `reconcile_seconds`, and when the kernel
    dropped events. A bucket that is not local is listed only. `on_recorded` and `on_reconciled` are called in the
    watcher's thread. Problems are logged, and what they were about is found again by the next listing.
    """

    def __init__(
        self,
        store: ObjectStore,
        bucket: str,
        rules: Sequence[DatasetRule],
        events: EventStore,
        *,
        settle_seconds: float = 1.0,
        reconcile_seconds: float = 60.0,
        on_recorded: Callable[[list[RecordedEvent]], None] | None = None,
        on_reconciled: Callable[[Reconciled], None] | None = None,
    ) -> None:
        self._zone = RawZone(store, bucket, rules, events)
        self._settle_seconds, self._reconcile_seconds = settle_seconds, reconcile_seconds
        self._on_recorded, self._on_reconciled = on_recorded, on_reconciled
        self._signals: queue.SimpleQueue[_Signal] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._list_now = threading.Event()
        self._next_listing = 0.0
        self._settling: dict[str, tuple[float, object]] = {}
        self._told: dict[str, str] = {}
        self._observer: BaseObserver | None = None
        self._overflow = _OverflowListener(self.reconcile_now)
        self._thread = threading.Thread(target=self._work, name=f"watch-{bucket}", daemon=True)

    def __enter__(self) -> ZoneWatcher:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to watch, then list what is there already. Raises BucketNotFound."""
        logging.getLogger("watchdog.observers").addHandler(self._overflow)
        self._watch()
        self._thread.start()

    def stop(self) -> None:
        """End. What was not recorded yet is found by the next start."""
        self._stop.set()
        self._signals.put(_Wake())
        self._end_observer()
        logging.getLogger("watchdog.observers").removeHandler(self._overflow)
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)

    def reconcile_now(self) -> None:
        """Ask for a listing; it is made soon, in the watcher's thread."""
        self._list_now.set()
        self._signals.put(_Wake())

    # Watching

    def _watch(self) -> None:
        root = self._root()
        if root is None:
            return
        try:
            self._observer = _new_observer()
            self._observer.schedule(_handler(self._signals), str(root), recursive=True, event_filter=_event_types())
            self._observer.start()
        except OSError as error:
            self._end_observer()
            log.error(
                "cannot watch %s: %s; it is listed every %g s instead", root, error.strerror, self._reconcile_seconds
            )

    def _end_observer(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            if observer.is_alive():
                observer.join(JOIN_SECONDS)

    def _root(self) -> Path | None:
        # Any key lies in the bucket's directory; one segment gives the directory itself.
        path = self._zone.store.local_path(self._zone.bucket, "x")
        return None if path is None else path.parent

    def _key(self, path: str) -> str | None:
        root = self._root()
        try:
            parts = Path(path).relative_to(root).parts if root else ()
        except ValueError:
            return None
        segments = [to_segment(part, top=number == 0) for number, part in enumerate(parts)]
        return None if None in segments else "/".join(segment or "" for segment in segments)

    # Working

    def _work(self) -> None:
        while not self._stop.is_set():
            if self._list_now.is_set() or time.monotonic() >= self._next_listing:
                self._list_now.clear()
                self._next_listing = time.monotonic() + self._reconcile_seconds
                self._guarded(self._reconcile)
            self._guarded(self._take)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except LakeheadError as error:
            log.error("the watcher could not go on; it lists the zone again soon: %s", error)
            self._list_soon()
        except Exception:
            log.exception("the watcher stumbled; it lists the zone again soon")
            self._list_soon()

    def _list_soon(self) -> None:
        self._next_listing = min(self._next_listing, time.monotonic() + AFTER_TROUBLE_SECONDS)

    def _signals_now(self) -> list[_Signal]:
        """What happened, at most AT_ONCE signals; waits for the first until something else is due."""
        dues = [due for due, _ in self._settling.values()]
        wait = max(0.0, min([self._next_listing, *dues]) - time.monotonic())
        signals: list[_Signal] = []
        try:
            signals.append(self._signals.get(timeout=wait))
            while len(signals) < AT_ONCE:
                signals.append(self._signals.get_nowait())
        except queue.Empty:
            pass
        return signals

    def _take(self) -> None:
        ready: dict[str, None] = {}
        for signal in self._signals_now():
            match signal:
                case _File(path, closed):
                    key = self._key(path)
                    if key is not None and self._zone.dataset_of(key) is not None and self._is_ready(key, closed):
                        ready[key] = None
                case _Folder(path):
                    ready |= dict.fromkeys(self._in_folder(path))
                case _:
                    pass
        ready |= dict.fromkeys(self._settled())
        for key in ready:
            self._settling.pop(key, None)
        self._report(self._zone.look(ready))

    def _is_ready(self, key: str, closed: bool) -> bool:
        """Whether a file that something happened to can be read. Where only waiting can tell, it is put on a list."""
        if closed:
            return True
        state = self._zone.writer_state(key)
        status = self._status(key)
        # A file that was opened a moment ago may be empty because its writer has not begun.
        if state is False and status is not None and status[1] > 0:
            return True
        if status is not None and state is not True:
            self._settling[key] = (time.monotonic() + self._settle_seconds, status)
        return False

    def _in_folder(self, path: str) -> list[str]:
        """The complete files of a folder that appeared: what was in it before it was watched told nobody."""
        key = self._key(path)
        if not key:
            return []
        listed = self._zone.store.list(self._zone.bucket, f"{key}/")
        keys = [info.key for info in listed if self._zone.dataset_of(info.key) is not None]
        return [one for one in keys if self._is_ready(one, closed=False)]

    def _settled(self) -> list[str]:
        now, ready = time.monotonic(), []
        for key, (due, before) in list(self._settling.items()):
            if due > now:
                continue
            del self._settling[key]
            status = self._status(key)
            if status is None or self._zone.writer_state(key) is True:
                continue  # deleted, or its closing will tell
            if status == before:
                ready.append(key)
            else:
                self._settling[key] = (now + self._settle_seconds, status)
        return ready

    def _status(self, key: str) -> tuple[int, int, int, int] | None:
        path = self._zone.store.local_path(self._zone.bucket, key)
        try:
            status = path.lstat() if path else None
        except OSError:
            return None
        return status and (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def _reconcile(self) -> None:
        if self._observer is not None and not all(emitter.is_alive() for emitter in self._observer.emitters):
            log.warning("the watched folder was replaced; watching it anew")
            self._end_observer()
            self._watch()
        zone = self._zone
        result = reconcile(
            zone.store, zone.bucket, zone.rules, zone.events, settle_seconds=self._settle_seconds, stop=self._stop
        )
        self._report(result)
        if self._on_reconciled:
            self._on_reconciled(result)

    def _report(self, looked: Looked) -> None:
        for key, error in looked.problems.items():
            if self._told.get(key) != str(error):  # once, not at every listing
                log.error("%s cannot be read; it is tried again: %s", key, error)
            self._told[key] = str(error)
            if error.retryable:
                self._list_soon()
        if looked.recorded and self._on_recorded:
            self._on_recorded(looked.recorded)


def _new_observer() -> BaseObserver:
    from watchdog.observers import Observer

    if LINUX:
        from watchdog.observers.inotify import InotifyObserver

        # A folder whose making watchdog hears of twice is watched once; it need not be said.
        warnings.filterwarnings("ignore", "Callback with id .* already exists", RuntimeWarning)
        return InotifyObserver(generate_full_events=True)  # tells a move into the folder from a file's creation
    return Observer()


def _handler(signals: queue.SimpleQueue[_Signal]) -> FileSystemEventHandler:
    """Passes on what matters, without looking at files: it must keep up with the kernel's queue."""
    from watchdog.events import FileClosedEvent, FileMovedEvent, FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        def dispatch(self, event: FileSystemEvent) -> None:
            path = os.fsdecode(event.dest_path or ("" if isinstance(event, FileMovedEvent) else event.src_path))
            if path and event.is_directory:
                signals.put(_Folder(path))
            elif path:
                closed = LINUX and isinstance(event, FileClosedEvent | FileMovedEvent)
                signals.put(_File(path, closed))

    return Handler()


def _event_types() -> list[type[FileSystemEvent]]:
    from watchdog import events

    common: list[type[FileSystemEvent]] = [
        events.FileCreatedEvent,
        events.FileMovedEvent,
        events.DirCreatedEvent,
        events.DirMovedEvent,
    ]
    # Elsewhere no close is told, so every change restarts the wait.
    return [*common, events.FileClosedEvent if LINUX else events.FileModifiedEvent]


class _OverflowListener(logging.Handler):
    """Hears watchdog say that the kernel dropped events. It tells nobody else."""

    def __init__(self, heard: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        """Ask for a listing."""
        if "overflow" in record.getMessage().lower():
            self._heard()
