"""`lakehead package`."""

from __future__ import annotations

from pathlib import Path

import click

from lakehead.cli.lazy import Group
from lakehead.cli.render import Answer
from lakehead.cli.session import current


@click.group("package", cls=Group)
def command() -> None:
    """What a deployment uploads."""


@command.command("glue")
@click.option(
    "--target", type=click.Path(path_type=Path, file_okay=False), default="dist", show_default=True,
    help="The folder to write to.",
)  # fmt: skip
def glue(target: Path) -> None:
    """Build the Glue job's bundle: a zip of wheels and the entry script. The same input gives the same bytes."""
    from lakehead.aws.package import build

    session = current()
    session.say("Collecting the wheels for Glue 5 (Python 3.11, x86_64) ...")
    bundle = build(target)
    told = {"wheels": str(bundle.wheels), "script": str(bundle.script), "sha256": bundle.sha256}
    size = bundle.wheels.stat().st_size / 1_000_000
    lines = [f"{bundle.wheels} ({size:.1f} MB)", f"{bundle.script}", f"sha256 {bundle.sha256}"]
    session.show(Answer(told, lines))
