"""Runs: the list with its filters, and one run with its graph, timeline, events, log and rows."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from lakehead.console.context import console_of
from lakehead.console.pages.parameters import moment, one_of, text, whole
from lakehead.console.rendering import page
from lakehead.console.wording import address, kind
from lakehead.errors import ExecutionNotFound, NotFound
from lakehead.inspection.runs import run_summary
from lakehead.lake import Lake
from lakehead.model import Json, utc_now
from lakehead.results import Loaded, RunGraph, RunSummary, StateVisit

PAGE = 50
EVENTS = 200
LOG_LINES = 500
STATUSES = {
    "": "All",
    "RUNNING": "Running",
    "SUCCEEDED": "Succeeded",
    "FAILED": "Failed",
    "TIMED_OUT": "Timed out",
    "ABORTED": "Aborted",
}
TABS = ("events", "input", "logs", "rows")
_FILTERS = ("status", "dataset", "key", "since", "until", "after")
_SHORTEST_BAR = 4.0
"""Of a thousand: what lasted no time can be seen as well."""


def runs(request: Request) -> Response:
    """The runs that fit the filters, newest first."""
    lake = console_of(request).lake
    filters = {name: text(request, name) for name in _FILTERS}
    filters["status"] = one_of(request, "status", tuple(STATUSES), "")
    found = _found(lake, filters, moment(request, "since"), moment(request, "until"))
    shown = found[:PAGE]

    def link(**changes: str) -> str:
        return address("/runs", **{**filters, **changes})

    return page(
        request,
        "runs.html",
        here="runs",
        runs=shown,
        older=shown[-1].name if len(found) > PAGE else "",
        filters=filters,
        filtered=any(filters.values()),
        link=link,
        statuses=STATUSES,
        counts=lake.run_counts(),
        datasets=sorted(lake.contracts),
    )


def _found(lake: Lake, filters: Mapping[str, str], since: datetime | None, until: datetime | None) -> list[RunSummary]:
    """One run more than a page has, where there is one. A key that is none, but names a run, finds that run."""
    found = lake.runs(
        status=filters["status"] or None,
        dataset=filters["dataset"] or None,
        key=filters["key"] or None,
        since=since,
        until=until,
        limit=PAGE + 1,
        after=filters["after"] or None,
    )
    if found or not filters["key"] or "/" in filters["key"]:
        return found
    try:
        return [run_summary(lake.journal.describe(filters["key"]))]
    except ExecutionNotFound:
        return []


def run(request: Request) -> Response:
    """One run. Of a file that has just landed, it may still wait for its turn: such links say `new`."""
    lake, name = console_of(request).lake, request.path_params["name"]
    tab = one_of(request, "tab", TABS, "events")
    try:
        execution = lake.journal.describe(name)
    except ExecutionNotFound:
        if not text(request, "new"):
            raise
        return page(request, "run_waiting.html", here="runs", name=name)
    summary = run_summary(execution)
    graph, timeline = lake.run_course(name)
    return page(
        request,
        "run.html",
        here="runs",
        api=f"/api/v1/runs/{quote(name, safe='')}",
        input=execution.input,
        output=execution.output,
        run=summary,
        graph=graph_json(graph),
        told=graph_told(graph),
        timeline=bars(timeline, summary.started, summary.ended or utc_now()),
        tab=tab,
        **_of_tab(request, lake, summary, tab),
    )


def _of_tab(request: Request, lake: Lake, run: RunSummary, tab: str) -> dict[str, Any]:
    if tab == "events":
        after = whole(request, "after", 0)
        found = lake.run_history(run.name, after, EVENTS + 1)
        shown = [_event(event, run.started) for event in found[:EVENTS]]
        return {"events": shown, "events_after": after, "events_next": shown[-1].id if len(found) > EVENTS else 0}
    if tab == "logs" and request.headers.get("hx-request"):
        newest = list(deque(lake.run_logs(run.name), maxlen=LOG_LINES + 1))
        return {"logs": [_line(line) for line in newest[-LOG_LINES:]], "logs_cut": len(newest) > LOG_LINES}
    if tab == "rows":
        return {"loaded": _loaded(lake, run)}
    return {}


def _loaded(lake: Lake, run: RunSummary) -> Loaded | None:
    """None also where the dataset has no contract any more."""
    try:
        return lake.loaded(run.dataset, run.key) if run.dataset and run.key else None
    except NotFound:
        return None


def event(request: Request) -> Response:
    """One event of a run's history, with all that it carries."""
    name, number = request.path_params["name"], request.path_params["number"]
    found = console_of(request).lake.run_history(name, number - 1, 1)
    if not found or found[0]["id"] != number:
        raise NotFound("the run has no such event", run=name, event=number)
    link = address(f"/api/v1/runs/{quote(name, safe='')}/history", after=number - 1, limit=1)
    return page(request, "run_event.html", parts=list(_parts(found[0])), link=link)


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event in brief. `after` counts seconds since the run began; `details` names what it carries."""

    id: int
    type: str
    name: str
    at: datetime
    after: float
    details: tuple[str, ...]

    @property
    def bad(self) -> bool:
        """Whether it tells that something went wrong."""
        return self.type.endswith(("Failed", "TimedOut", "Aborted"))


def _event(event: Mapping[str, Json], started: datetime) -> EventRow:
    details = _details(event)
    at = datetime.fromisoformat(str(event["timestamp"]))
    name = details.get("name") or details.get("resource") or ""
    names = tuple(name for name, _ in _parts(event))
    return EventRow(int(event["id"]), str(event["type"]), str(name), at, (at - started).total_seconds(), names)


def _details(event: Mapping[str, Json]) -> Mapping[str, Json]:
    return next((value for name, value in event.items() if name.endswith("EventDetails")), None) or {}


def _parts(event: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """What an event carries, without its name and how much of it was cut."""
    for name, value in _details(event).items():
        if name not in ("name", "roleArn") and not name.endswith("Details") and value not in (None, ""):
            yield name, value


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log line; `more` has the fields that are not shown in a column of their own."""

    time: str
    level: str
    message: str
    logger: str
    more: Mapping[str, Json]


def _line(line: Mapping[str, Json]) -> LogLine:
    known = ("timestamp", "level", "message", "logger", "execution")
    more = {name: value for name, value in line.items() if name not in known and value is not None}
    told = [str(line.get(name) or "") for name in known[:4]]
    return LogLine(told[0][:23].replace("T", " "), told[1], told[2], told[3], more)


@dataclass(frozen=True, slots=True)
class Bar:
    """A stay in a state as a bar: `x` and `width` are thousandths of the run's time."""

    visit: StateVisit
    x: float
    width: float
    offset: float
    seconds: float


def bars(visits: Sequence[StateVisit], started: datetime, ended: datetime) -> list[Bar]:
    """The stays as bars, from the run's start to its end."""
    whole_time = max((ended - started) / timedelta(seconds=1), 0.001)
    found = []
    for visit in visits:
        offset = (visit.entered - started) / timedelta(seconds=1)
        seconds = max(0.0, ((visit.exited or ended) - visit.entered) / timedelta(seconds=1))
        width = min(1000.0, max(_SHORTEST_BAR, 1000 * seconds / whole_time))
        x = min(max(0.0, 1000 * offset / whole_time), 1000 - width)
        found.append(Bar(visit, round(x, 1), round(width, 1), offset, seconds))
    return found


def graph_json(graph: RunGraph) -> str:
    """What the script draws. A node's `kind` chooses its colour and sign."""
    nodes = [{**asdict(node), "kind": kind(node.status) if node.status else ""} for node in graph.nodes]
    return json.dumps({"nodes": nodes, "edges": [asdict(edge) for edge in graph.edges]}, separators=(",", ":"))


def graph_told(graph: RunGraph) -> str:
    """The graph in words, for who cannot see it."""
    states = [node for node in graph.nodes if node.type not in ("Start", "End", "Join")]
    entered: dict[str, list[str]] = {}
    for node in states:
        if node.status:
            entered.setdefault(node.status, []).append(node.name)
    parts = [f"{status.lower()}: {', '.join(names)}" for status, names in entered.items()]
    untouched = sum(not node.status for node in states)
    return f"The workflow has {len(states)} states; " + "; ".join([*parts, f"{untouched} were not entered"]) + "."
