"""`lakehead init`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from lakehead.cli.lazy import Command
from lakehead.cli.render import Answer
from lakehead.cli.session import current


@click.command("init", cls=Command)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--example", type=click.Choice(["sales", "retail"]), default="sales", show_default=True)
def command(directory: Path, example: str) -> None:
    """Make a lake in DIRECTORY: settings, contract, queries, workflow and sample data. Overwrites nothing."""
    from lakehead.examples import write_example

    written = [str(path) for path in write_example(example, directory)]
    where = shlex.quote(str(directory))
    steps = ["Next:", f"  cd {where}"]
    if any(path.startswith("samples/") for path in written):
        steps.append("  lakehead put samples/*.csv")
    steps += ["  lakehead ingest", "  lakehead query --named daily_revenue"]
    listed = [f"  {path}" for path in written]
    text = "\n".join([f"Made a lake in {directory}:", *listed, "", *steps])
    current().show(Answer({"lake": str(directory), "files": written}, [text]))
