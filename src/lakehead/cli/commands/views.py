"""What people see of results that several commands answer with."""

from __future__ import annotations

from collections.abc import Iterable

from lakehead.cli.render import Answer, Listing
from lakehead.results import IngestSummary, RunSummary

RUN_FIELDS = (
    "name", "status", "dataset", "key", "started", "duration_seconds",
    "rows_read", "rows_committed", "rows_quarantined", "error", "cause",
)  # fmt: skip


def run_listing(runs: Iterable[RunSummary], *, footer: str = "") -> Listing:
    """Executions, every field, for JSON and CSV."""
    rows = [tuple(getattr(run, name) for name in RUN_FIELDS) for run in runs]
    return Listing(RUN_FIELDS, rows, footer=footer)


def run_table(runs: Iterable[RunSummary], *, footer: str = "", empty: str = "No executions.") -> Listing:
    """Executions as a person looks for them: what failed and why at the end of its line."""
    rows = [
        (
            run.name,
            run.status,
            run.key.rpartition("/")[2],
            run.started,
            None if run.duration_seconds is None else round(run.duration_seconds, 2),
            run.rows_committed,
            run.rows_quarantined,
            run.error,
        )
        for run in runs
    ]
    names = ("execution", "status", "file", "started (UTC)", "seconds", "rows", "quarantined", "error")
    return Listing(names, rows, empty=empty, footer=footer)


def ingest_answer(summary: IngestSummary) -> Answer:
    """What an ingest did; with each failed execution its cause and how to redrive it."""
    if summary.found == 0 and not summary.executions:
        return Answer(summary, ["Nothing new: every object in the raw zone is loaded."])
    lines = [
        f"{summary.found} found, {summary.succeeded} loaded, {summary.failed} failed, {summary.skipped} unchanged, "
        f"in {summary.seconds:.2f} s",
        f"{summary.rows_read:,} rows read = {summary.rows_committed:,} committed + "
        f"{summary.rows_quarantined:,} quarantined",
    ]
    if summary.rows_quarantined:
        lines.append("See why with: lakehead quarantine ls")
    for run in summary.executions:
        if run.failed:
            lines += ["", run_failure(run)]
    return Answer(summary, ["\n".join(lines)])


def run_failure(run: RunSummary) -> str:
    """A failed execution: the object, what happened, what to do."""
    return (
        f"{run.status} {run.key}\n  {run.error or 'no error name'}: {run.cause or 'no cause'}\n"
        f"  Once it is mended: lakehead runs redrive {run.name}"
    )


def run_line(run: RunSummary) -> str:
    """One finished execution on one line."""
    took = "" if run.duration_seconds is None else f" in {run.duration_seconds:.2f} s"
    if run.failed:
        return f"{run.status} {run.key}{took}: {run.error}: {run.cause} (lakehead runs redrive {run.name})"
    if run.rows_committed is None:
        return f"{run.status} {run.key}{took}: nothing new"
    return f"{run.status} {run.key}{took}: {run.rows_committed:,} rows, {run.rows_quarantined or 0:,} quarantined"
