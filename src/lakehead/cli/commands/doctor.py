"""`lakehead doctor`."""

from __future__ import annotations

import click

from lakehead.cli.lazy import Command
from lakehead.cli.render import Listing
from lakehead.cli.session import current


@click.command("doctor", cls=Command)
def command() -> None:
    """Check the machine and the lake, and say how to mend what is wrong. Ends with 1 where something is."""
    session = current()
    with session.open() as lake:
        checks = lake.doctor()
    rows = [(check.name, check.ok, check.detail, check.hint) for check in checks]
    session.show(Listing(("check", "ok", "detail", "hint"), rows))
    if not all(check.ok for check in checks):
        raise click.exceptions.Exit(1)
