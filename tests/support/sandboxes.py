"""A sandbox over a room, and queries in it that are watched."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from lakehead.errors import LakeheadError
from lakehead.query.job import Ground, Limits, QueryAnswer
from lakehead.query.sandbox import COMMAND, Sandbox

_TESTS = str(Path(__file__).parents[1])
RAW_COMMAND = (
    *(sys.executable, "-P", "-c"),
    f"import sys; sys.path.append({_TESTS!r}); from support.raw_child import main; main()",
)


@dataclass(frozen=True)
class Ended:
    """What came of a query, in how many seconds, and the most memory that its process had (bytes, resident)."""

    folder: Path
    seconds: float
    memory: int
    answer: QueryAnswer | None = None
    error: LakeheadError | None = None

    @property
    def told(self) -> str:
        """All that the person who asked gets to see."""
        return repr(self.answer) if self.error is None else str(self.error)


def ground_of(root: Path) -> Ground:
    """What a query needs of a room's lake."""
    return Ground(
        catalog=str(root / "state/catalog.db"),
        database="sales_dev",
        address=str(root / "data"),
        buckets=("raw", "processed"),
        cache_dir=str(root / "cache"),
    )


def open_room_sandbox(root: Path, limits: Limits, command: Sequence[str] = COMMAND) -> Sandbox:
    return Sandbox(lambda: ground_of(root), limits, command=command)


def ask(sandbox: Sandbox, sql: str, jobs: Path) -> Ended:
    """Run a query in a folder of its own below `jobs`."""
    jobs.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=jobs))
    begun = time.monotonic()
    running = sandbox.start(sql, folder)
    with _Memory(running.pid) as memory:
        try:
            answer, error = running.answer(), None
        except LakeheadError as found:
            answer, error = None, found
    return Ended(folder, time.monotonic() - begun, memory.most, answer, error)


class _Memory:
    """Looks again and again how much memory a process has."""

    def __init__(self, pid: int) -> None:
        self.most = 0
        self._pid, self._done = pid, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        with suppress(psutil.Error):
            process = psutil.Process(self._pid)
            while not self._done.wait(0.01):
                self.most = max(self.most, process.memory_info().rss)
