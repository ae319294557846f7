"""`lakehead catalog`."""

from __future__ import annotations

import click

from lakehead.cli.lazy import Group
from lakehead.cli.render import Answer, Listing
from lakehead.cli.session import current
from lakehead.results import TableDetail


@click.group("catalog", cls=Group)
def command() -> None:
    """Tables: what the crawlers found in the raw and the processed zone."""


@command.command("ls")
def ls() -> None:
    """List the tables."""
    session = current()
    with session.open() as lake:
        tables = lake.tables()
    rows = [(t.name, t.database, t.rows, t.files, t.bytes, t.partitions, t.updated) for t in tables]
    names = ("table", "database", "rows", "files", "bytes", "partitions", "updated")
    session.show(Listing(names, rows, empty="No tables yet: nothing was loaded."))


@command.command("show")
@click.argument("table")
def show(table: str) -> None:
    """Show a table's columns and partitions."""
    session = current()
    with session.open() as lake:
        session.show(_detail(lake.table(table)))


@command.command("crawl")
@click.argument("crawler", required=False)
@click.option("--full", is_flag=True, help="List everything, not only what is noted as new.")
def crawl(crawler: str | None, full: bool) -> None:
    """Run one crawler, or all of them."""
    session = current()
    with session.open() as lake:
        crawls = lake.crawl(crawler, full=full)
    rows = [(c.crawler, c.table, c.status, c.started, round(c.seconds, 3), c.changes, c.error) for c in crawls]
    names = ("crawler", "table", "status", "started", "seconds", "changes", "error")
    session.show(Listing(names, rows, empty="There are no crawlers."))
    if any(c.status != "SUCCEEDED" for c in crawls):
        raise click.exceptions.Exit(1)


def _detail(detail: TableDetail) -> Answer:
    table = detail.summary
    columns = Listing(
        ("column", "type", "partition key", "comment"),
        [(c.name, c.type, c.partition_key, c.comment) for c in detail.columns],
    )
    partitions = Listing(
        ("partition", "rows", "files", "bytes"),
        [("/".join(f"{k}={v}" for k, v in p.values.items()), p.rows, p.files, p.bytes) for p in detail.partitions],
        title="\nPartitions",
        empty="None.",
    )
    head = f"{table.database}.{table.name} at {detail.location}"
    return Answer(detail, [head, columns, partitions])
