"""The quarantine: why rows are kept back, in which files, and the rows themselves."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from lakehead.console.context import console_of
from lakehead.console.pages.parameters import text, whole
from lakehead.console.rendering import page
from lakehead.lake import Lake
from lakehead.results import DatasetSummary, QuarantineSummary

REASONS = 100
FILES = 50
ROWS = 50
FURTHEST = 1_000_000


def quarantine(request: Request) -> Response:
    """Quarantined rows of one dataset, of one file or with one reason where these are chosen."""
    lake = console_of(request).lake
    summaries = lake.datasets()
    dataset = text(request, "dataset") or _fullest(summaries)
    key, reason, after = text(request, "key"), text(request, "reason"), text(request, "files")
    offset = whole(request, "offset", 0, most=FURTHEST)
    reasons = lake.quarantine_reasons(dataset, key or None, REASONS) if dataset else []
    files = _files(lake, dataset, reason, after) if dataset else []
    rows = (
        lake.quarantine_rows(dataset=dataset, key=key or None, reason=reason or None, limit=ROWS + 1, offset=offset)
        if files
        else []
    )
    return page(
        request,
        "quarantine.html",
        here="quarantine",
        datasets=[one.name for one in summaries],
        dataset=dataset,
        key=key,
        reason=reason,
        reasons=reasons,
        most=max((one.rows for one in reasons), default=1),
        files=files[:FILES],
        files_after=after,
        files_next=files[FILES - 1].key if len(files) > FILES else "",
        rows=rows[:ROWS],
        offset=offset,
        page_size=ROWS,
        more_rows=len(rows) > ROWS,
    )


def _files(lake: Lake, dataset: str, reason: str, after: str) -> list[QuarantineSummary]:
    return lake.quarantine_files(dataset=dataset, reason=reason or None, limit=FILES + 1, after=after or None)


def _fullest(summaries: list[DatasetSummary]) -> str:
    """The dataset with most rows in quarantine; the first one where there are none."""
    return max(summaries, key=lambda one: one.rows_quarantined).name if summaries else ""
