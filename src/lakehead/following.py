"""Follows executions to their end, whoever runs them: this process, or a `lakehead up` beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from lakehead.errors import Busy
from lakehead.inspection.runs import run_summary
from lakehead.results import IngestProgress, IngestSummary, RunSummary
from lakehead.workflow.journal import Execution, Journal

LOOK_SECONDS = 0.5
"""How often executions of another process are looked at."""


class Follower:
    """Counts how many of the named executions have ended, and what they did."""

    def __init__(
        self,
        names: Iterable[str],
        progress: Callable[[IngestProgress], None] | None,
        *,
        timeout: float | None = None,
    ) -> None:
        self._began, self._timeout = time.monotonic(), timeout
        self._names = dict.fromkeys(names)
        self._ended: dict[str, RunSummary] = {}
        self._changed = threading.Condition()
        self._progress = progress
        self._failed = self._committed = self._quarantined = 0
        self._tell()

    def note(self, execution: Execution) -> None:
        """An execution ended. Others than the named ones are left alone."""
        self.note_run(run_summary(execution))

    def note_run(self, run: RunSummary) -> None:
        """The same, for an execution that some other engine ran."""
        with self._changed:
            if run.name in self._names and run.name not in self._ended:
                self._ended[run.name] = run
                self._failed += run.failed
                self._committed += run.rows_committed or 0
                self._quarantined += run.rows_quarantined or 0
                self._tell()
                self._changed.notify_all()

    def wait(self) -> bool:
        """Wait until all have ended, but not longer than a moment. Whether they have. Raises Busy after `timeout`."""
        with self._changed:
            if len(self._ended) == len(self._names):
                return True
            spent = time.monotonic() - self._began
            left = LOOK_SECONDS if self._timeout is None else min(LOOK_SECONDS, self._timeout - spent)
            if left <= 0:
                raise Busy(
                    f"{len(self._names) - len(self._ended)} executions have not ended yet",
                    hint="They go on with the next `lakehead ingest` or `lakehead up`.",
                    seconds=self._timeout,
                )
            self._changed.wait(left)
            return len(self._ended) == len(self._names)

    def summary(self, *, skipped: int, seconds: float) -> IngestSummary:
        """What became of them, in the order in which they were named."""
        runs = [self._ended[name] for name in self._names if name in self._ended]
        return IngestSummary(
            found=len(self._names),
            started=len(runs),
            succeeded=sum(not run.failed for run in runs),
            failed=sum(run.failed for run in runs),
            skipped=skipped,
            rows_read=sum(run.rows_read or 0 for run in runs),
            rows_committed=sum(run.rows_committed or 0 for run in runs),
            rows_quarantined=sum(run.rows_quarantined or 0 for run in runs),
            executions=tuple(runs),
            seconds=seconds,
        )

    def look(self, journal: Journal) -> None:
        """Note what has ended, in whichever process."""
        for name in [name for name in self._names if name not in self._ended]:
            execution = journal.find(name)
            if execution is not None and not execution.running:
                self.note(execution)

    def _tell(self) -> None:
        if self._progress:
            found, done = len(self._names), len(self._ended)
            self._progress(IngestProgress(found, done, self._failed, self._committed, self._quarantined))
