"""`lakehead notifications`."""

from __future__ import annotations

import click

from lakehead.cli.commands.options import limit_option
from lakehead.cli.lazy import Group
from lakehead.cli.render import Listing
from lakehead.cli.session import current


@click.group("notifications", cls=Group)
def command() -> None:
    """What was announced, and to whom it was delivered."""


@command.command("ls")
@limit_option(50)
def ls(limit: int) -> None:
    """List notifications, newest first."""
    session = current()
    with session.open() as lake:
        found = lake.notifications(limit)
    if session.output == "table":
        told = [
            (n.published, n.outcome, n.subject, ", ".join(f"{d.subscription} {d.status}" for d in n.deliveries))
            for n in found
        ]
        names = ("published (UTC)", "outcome", "subject", "deliveries")
        session.show(Listing(names, told, empty="Nothing was announced yet."))
    else:
        fields = ("id", "published", "outcome", "subject", "message", "execution", "deliveries")
        session.show(Listing(fields, [[getattr(n, field) for field in fields] for n in found]))


@command.command("retry")
def retry() -> None:
    """Send now what is still to be delivered, and what was given up. Ends with 1 where something is given up again."""
    session = current()
    with session.open() as lake:
        left = lake.retry_notifications()
    if left.pending:
        session.say(f"{left.pending} still to be delivered.")
    if left.given_up:
        session.say(f"{left.given_up} given up. Why: lakehead notifications ls --output json")
        raise click.exceptions.Exit(1)
    if not left.pending:
        session.say("Everything is delivered.")
