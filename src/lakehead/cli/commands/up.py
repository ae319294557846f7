"""`lakehead up`."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import click

from lakehead.cli.commands.views import RUN_FIELDS, run_line
from lakehead.cli.lazy import Command
from lakehead.cli.render import json_text, printable
from lakehead.cli.session import Session, current

if TYPE_CHECKING:
    from lakehead.results import RunSummary


@click.command("up", cls=Command)
def command() -> None:
    """Watch the raw zone and load what lands, until Ctrl-C or SIGTERM.

    Prints one line for every execution that ends. What is under way at the stop goes on at the next start.
    """
    session = current()
    stop = threading.Event()
    before = {number: signal.signal(number, _stopper(stop)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with session.open() as lake:
            watching = f"Watching {lake.config.raw_bucket} of {lake.config.root}. Ctrl-C stops."
            lake.up(stop, on_run=_printer(session, stop), on_ready=lambda: session.say(watching))
        session.say("Stopped.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopper(stop: threading.Event) -> Any:
    """The first signal asks for an orderly stop; a second one ends the wait."""

    def asked(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    return asked


def _printer(session: Session, stop: threading.Event) -> Any:
    lock = threading.Lock()

    def show(run: RunSummary) -> None:
        line = printable(run_line(run))
        if session.output == "json":
            line = json_text({name: getattr(run, name) for name in RUN_FIELDS})
        try:
            with lock:
                click.echo(line)
        except BrokenPipeError:
            stop.set()

    return show
