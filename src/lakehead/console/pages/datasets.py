"""Datasets: all of them, and one with its contract, partitions, crawls and sample rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lakehead.console.context import console_of
from lakehead.console.encoding import plain
from lakehead.console.pages.parameters import one_of, text
from lakehead.console.rendering import page
from lakehead.errors import TableNotFound
from lakehead.inspection.tables import table_columns
from lakehead.lake import Lake
from lakehead.query.bound import name_sql, text_sql
from lakehead.results import DatasetDetail

TABS = ("contract", "partitions", "sample", "crawls", "document")
PARTITIONS = 100
SAMPLE = 20
CRAWLS = 50


def datasets(request: Request) -> Response:
    """Every dataset in brief."""
    return page(request, "datasets.html", here="datasets", datasets=console_of(request).lake.datasets())


def dataset(request: Request) -> Response:
    """One dataset."""
    lake, tab = console_of(request).lake, one_of(request, "tab", TABS, "contract")
    found = lake.dataset(request.path_params["name"])
    return page(
        request,
        "dataset.html",
        here="datasets",
        dataset=found,
        tab=tab,
        partition_sql=partition_sql,
        **_of_tab(request, lake, found, tab),
    )


def _of_tab(request: Request, lake: Lake, dataset: DatasetDetail, tab: str) -> dict[str, Any]:
    summary = dataset.summary
    if tab == "partitions":
        return _partitions(lake, summary.processed_table, text(request, "after"))
    if tab == "sample":
        return {"sample": _sample(lake, summary.processed_table)}
    if tab == "crawls":
        return {"crawls": lake.crawls(summary.name, CRAWLS)}
    return {}


def _partitions(lake: Lake, table: str, after: str) -> dict[str, Any]:
    """The newest partitions first: folders are named by day, and people look for the latest."""
    try:
        found = lake.partitions(table, PARTITIONS + 1, after, newest_first=True)
        schema = table_columns(lake.catalog.table(table))
    except TableNotFound:
        found, schema = [], ()
    shown = found[:PARTITIONS]
    return {
        "partitions": shown,
        "partitions_after": after,
        "partitions_next": shown[-1].path if len(found) > PARTITIONS else "",
        "schema": schema,
    }


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows, as texts."""

    columns: list[tuple[str, str]]
    rows: list[list[str | None]]


def _sample(lake: Lake, table: str) -> Sample | None:
    try:
        with lake.sample(table, SAMPLE) as answer:
            rows = [[_cell(value) for value in row] for row in answer.rows]
            return Sample(answer.columns, rows) if rows else None
    except TableNotFound:
        return None


def _cell(value: Any) -> str | None:
    return None if value is None else str(plain(value))


def partition_sql(table: str, values: Mapping[str, str]) -> str:
    """SQL that shows a partition's rows."""
    conditions = [f"{name_sql(name)} = {text_sql(value)}" for name, value in values.items()]
    where = f"\nWHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT *\nFROM {name_sql(table)}{where}\nLIMIT 100"
