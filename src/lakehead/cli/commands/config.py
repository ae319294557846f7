"""`lakehead config`."""

from __future__ import annotations

import click

from lakehead.cli.lazy import Group
from lakehead.cli.render import Listing
from lakehead.cli.session import current


@click.group("config", cls=Group)
def command() -> None:
    """The settings that hold, and where each comes from."""


@command.command("show")
def show() -> None:
    """Show every setting, its value, and what gave it: a flag, a variable, a line of the file, or the default."""
    from lakehead.config import explain

    session = current()
    config = session.config()
    listing = Listing(("setting", "value", "from"), explain(config), title=f"{config.file}")
    session.show(listing)


@command.command("keys")
def keys() -> None:
    """List every setting there is, its default, its variable and its meaning."""
    from lakehead.config.settings import SETTINGS

    rows = [(s.name, "[lake]" if s.table == "lake" else "[env.NAME]", s.default, s.variable, s.doc) for s in SETTINGS]
    current().show(Listing(("setting", "table", "default", "variable", "meaning"), rows))
