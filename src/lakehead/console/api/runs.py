"""Executions and the overview."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from lakehead.console.api.endpoint import Endpoint
from lakehead.console.api.inputs import Instant, Limit, LogLimit, Offset, Seconds, Status, StopRequest, Text
from lakehead.console.context import Console
from lakehead.errors import NotFound
from lakehead.inspection.runs import run_summary
from lakehead.model import Json
from lakehead.results import Loaded, NotificationSummary, Overview, RunGraph, RunSummary, StateVisit


@dataclass(frozen=True, slots=True)
class RunPage:
    """Executions, newest first. `next` is what the next page comes `after`; null on the last one."""

    runs: tuple[RunSummary, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class OneRun:
    """An execution with its input and output."""

    summary: RunSummary
    input: Json
    output: Json


@dataclass(frozen=True, slots=True)
class Begun:
    """The execution that runs now."""

    execution: str


def overview(console: Console, *, window_seconds: Seconds = 3600) -> Overview:
    """The lake at a glance: what ended within the window, what waits, what failed, what was announced."""
    return console.lake.overview(window_seconds)


def list_runs(
    console: Console,
    *,
    status: Status | None = None,
    dataset: Text | None = None,
    key: Text | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    limit: Limit = 50,
    after: Text | None = None,
) -> RunPage:
    """Executions, newest first: those that started from `since` on and before `until`."""
    found = console.lake.runs(
        status=status, dataset=dataset, key=key, since=since, until=until, limit=limit, after=after
    )
    return RunPage(tuple(found), found[-1].name if len(found) == limit else None)


def run_counts(console: Console) -> dict[str, int]:
    """How many executions have each status."""
    return console.lake.run_counts()


def show_run(console: Console, *, name: Text) -> OneRun:
    """One execution."""
    execution = console.lake.journal.describe(name)
    return OneRun(run_summary(execution), execution.input, execution.output)


def run_graph(console: Console, *, name: Text) -> RunGraph:
    """The execution's workflow document as a graph, with the path that it took."""
    return console.lake.run_graph(name)


def run_timeline(console: Console, *, name: Text) -> tuple[StateVisit, ...]:
    """Every stay of the execution in a state, in the order in which they began."""
    return console.lake.run_timeline(name)


def run_history(console: Console, *, name: Text, after: Offset = 0, limit: Limit = 200) -> list[dict[str, Json]]:
    """The execution's events in Step Functions' form, those beyond the event id `after`."""
    return console.lake.run_history(name, after, limit)


def run_logs(console: Console, *, name: Text, limit: LogLimit = 1000) -> list[dict[str, Json]]:
    """The newest log lines of the execution, oldest first."""
    return list(deque(console.lake.run_logs(name), maxlen=limit))


def run_loaded(console: Console, *, name: Text) -> Loaded:
    """What the lake holds of the object that the execution was for, by its commit record."""
    labels = console.lake.journal.describe(name).labels
    found = console.lake.loaded(labels.get("dataset", ""), labels.get("key", ""))
    if found is None:
        raise NotFound("nothing of the object is committed", key=labels.get("key"))
    return found


def redrive_run(console: Console, *, name: Text) -> Begun:
    """Have a failed execution run again, and tell the one that does: itself, or a new one.

    A new one runs where the execution ended in a Fail state, as the shipped workflow ends what it told.
    """
    return Begun(console.lake.request_redrive(name))


def stop_run(console: Console, *, name: Text, body: StopRequest) -> RunSummary:
    """Stop a running execution: it ends as ABORTED. One that has ended stays as it is."""
    return console.lake.stop(name, body.cause)


def list_notifications(console: Console, *, limit: Limit = 50) -> list[NotificationSummary]:
    """What was announced, newest first, and how far each delivery is."""
    return console.lake.notifications(limit)


ENDPOINTS = (
    Endpoint("GET", "/overview", overview),
    Endpoint("GET", "/notifications", list_notifications),
    Endpoint("GET", "/run-counts", run_counts),
    Endpoint("GET", "/runs", list_runs, errors=(404,)),
    Endpoint("GET", "/runs/{name}", show_run, errors=(404,)),
    Endpoint("GET", "/runs/{name}/graph", run_graph, errors=(404,)),
    Endpoint("GET", "/runs/{name}/timeline", run_timeline, errors=(404,)),
    Endpoint("GET", "/runs/{name}/history", run_history, errors=(404,)),
    Endpoint("GET", "/runs/{name}/logs", run_logs, errors=(404,)),
    Endpoint("GET", "/runs/{name}/loaded", run_loaded, errors=(404,)),
    Endpoint("POST", "/runs/{name}/redrive", redrive_run, errors=(404, 409), status=202),
    Endpoint("POST", "/runs/{name}/stop", stop_run, errors=(404,)),
)
