"""`lakehead put`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from lakehead.cli.commands.options import Day
from lakehead.cli.lazy import Command
from lakehead.cli.render import Listing
from lakehead.cli.session import current


@click.command("put", cls=Command)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dataset", metavar="NAME", help="The dataset; needed where the lake has several.")
@click.option("--ingest-date", type=Day(), help="The day of the ingest_date folder; today (UTC) unless told.")
def command(files: tuple[Path, ...], dataset: str | None, ingest_date: date | None) -> None:
    """Land FILES in the raw zone, each whole or not at all."""
    session = current()
    with session.open() as lake, session.progress() as bar:
        task = bar.add_task("Landing", total=len(files), note="")

        def landed(path: Path) -> None:
            bar.update(task, advance=1, note=path.name)

        versions = lake.put(files, dataset=dataset, ingest_date=ingest_date, progress=landed)
    rows = [(version.bucket, version.key, version.size) for version in versions]
    runs = f"AWS loads them now; follow it with: lakehead --env {lake.config.environment} runs ls"
    footer = runs if lake.config.runtime == "aws" else "Load them with: lakehead ingest"
    session.show(Listing(("bucket", "key", "bytes"), rows, footer=footer))
