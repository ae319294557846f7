"""`lakehead console`."""

from __future__ import annotations

import click

from lakehead.cli.lazy import Group
from lakehead.cli.render import Answer
from lakehead.cli.session import current


@click.group("console", cls=Group)
def command() -> None:
    """The web console that `lakehead up` serves: links that open it, and the token for its API."""


@command.command("link")
def link() -> None:
    """Print a link that opens the running console in a browser, once, within ten minutes."""
    from lakehead.console.address import fresh_link

    session = current()
    url = fresh_link(session.config())
    session.show(Answer({"url": url}, [url]))


@command.command("open")
def open_it() -> None:
    """Open the running console in this machine's browser."""
    import webbrowser

    from lakehead.console.address import fresh_link

    session = current()
    url = fresh_link(session.config())
    if not webbrowser.open(url):
        session.say("No browser could be opened here. Open this link in one:")
        session.show(Answer({"url": url}, [url]))


@command.command("token")
def token() -> None:
    """Print the token that programs send to the API: Authorization: Bearer TOKEN. Keep it as a password."""
    from lakehead.console.address import console_token

    session = current()
    found = console_token(session.config())
    session.show(Answer({"token": found}, [found]))
