"""The pages of the console: what a browser opens. A plain function runs in a thread; an async one must not block."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from lakehead.console.pages.datasets import dataset, datasets
from lakehead.console.pages.overview import notifications, overview
from lakehead.console.pages.quarantine import quarantine
from lakehead.console.pages.query import query
from lakehead.console.pages.runs import event, run, runs

routes: list[BaseRoute] = [
    Route("/", overview, name="overview"),
    Route("/runs", runs, name="runs"),
    Route("/runs/{name}", run, name="run"),
    Route("/runs/{name}/events/{number:int}", event, name="event"),
    Route("/datasets", datasets, name="datasets"),
    Route("/datasets/{name:path}", dataset, name="dataset"),
    Route("/quarantine", quarantine, name="quarantine"),
    Route("/query", query, name="query"),
    Route("/notifications", notifications, name="notifications"),
]
