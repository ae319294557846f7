"""The overview, and what was announced."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from lakehead.console.context import console_of
from lakehead.console.figures import overview_figures
from lakehead.console.pages.parameters import one_of
from lakehead.console.rendering import page

WINDOWS = {3_600: "hour", 6 * 3_600: "6 hours", 86_400: "day", 7 * 86_400: "week"}
FEED = 100


def overview(request: Request) -> Response:
    """The lake at a glance."""
    lake = console_of(request).lake
    window = int(one_of(request, "window", tuple(map(str, WINDOWS)), "3600"))
    seen = lake.overview(window)
    return page(
        request,
        "overview.html",
        here="overview",
        seen_now=seen,
        charts=overview_figures(seen),
        window=window,
        windows=WINDOWS,
        datasets=sorted(lake.contracts),
        headers={name: [column.name for column in one.source_columns] for name, one in sorted(lake.contracts.items())},
    )


def notifications(request: Request) -> Response:
    """What was announced."""
    found = console_of(request).lake.notifications(FEED)
    return page(request, "notifications.html", here="notifications", notifications=found)
