"""`lakehead ingest`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakehead.cli.commands.views import ingest_answer
from lakehead.cli.lazy import Command
from lakehead.cli.session import current

if TYPE_CHECKING:
    from rich.progress import Progress

    from lakehead.results import IngestProgress


@click.command("ingest", cls=Command)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dataset", metavar="NAME", help="The dataset of FILES; needed where the lake has several.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up waiting after so long.")
def command(files: tuple[Path, ...], dataset: str | None, timeout: float | None) -> None:
    """Load whatever is new or changed in the raw zone, once; with FILES, land those first.

    Ends with 1 where an execution failed.
    """
    session = current()
    with session.open() as lake, session.progress() as bar:
        if files:
            lake.put(files, dataset=dataset)
        summary = lake.ingest(progress=follow(bar, "Loading"), timeout=timeout)
    session.show(ingest_answer(summary))
    if summary.failed:
        raise click.exceptions.Exit(1)


def follow(bar: Progress, title: str) -> Callable[[IngestProgress], None]:
    """A callback that moves the bar along."""
    task = bar.add_task(title, total=None, note="")

    def moved(progress: IngestProgress) -> None:
        note = f"{progress.rows_committed:,} rows" + (f", {progress.failed} failed" if progress.failed else "")
        bar.update(task, total=progress.found, completed=progress.done, note=note)

    return moved
