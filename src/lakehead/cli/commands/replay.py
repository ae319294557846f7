"""`lakehead replay`."""

from __future__ import annotations

from datetime import date

import click

from lakehead.cli.commands.ingest import follow
from lakehead.cli.commands.options import Day, dataset_option, key_option
from lakehead.cli.commands.views import ingest_answer
from lakehead.cli.lazy import Command
from lakehead.cli.session import current


@click.command("replay", cls=Command)
@dataset_option
@key_option
@click.option("--prefix", metavar="PREFIX", help="Only objects whose key begins so.")
@click.option("--date", "day", type=Day(), help="Only objects that landed on this ingest_date.")
@click.option("--all", "everything", is_flag=True, help="Every object of the lake.")
def command(dataset: str | None, key: str | None, prefix: str | None, day: date | None, everything: bool) -> None:
    """Load objects of the raw zone again, as their contract now says. Running it twice changes nothing more."""
    chosen = any(choice is not None for choice in (dataset, key, prefix, day))
    if chosen == everything:
        raise click.UsageError("say which objects: --dataset, --key, --prefix, --date, or --all")
    session = current()
    with session.open() as lake, session.progress() as bar:
        summary = lake.replay(dataset=dataset, key=key, prefix=prefix, date=day, progress=follow(bar, "Replaying"))
    session.show(ingest_answer(summary))
    if summary.failed:
        raise click.exceptions.Exit(1)
