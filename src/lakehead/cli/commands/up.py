"""`lakehead up`."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from lakehead.cli.commands.views import RUN_FIELDS, run_line
from lakehead.cli.lazy import Command
from lakehead.cli.render import json_text, printable
from lakehead.cli.session import Session, current

if TYPE_CHECKING:
    from lakehead.cli.lakes import AnyLake
    from lakehead.console.serve import ServedConsole
    from lakehead.results import RunSummary


@click.command("up", cls=Command)
@click.option("--console/--no-console", default=None, help="Serve the web console, or do not.")
@click.option(
    "--console-port", type=click.IntRange(0, 65_535), help="The console's port; 0 takes any.  [default: 8470]"
)
def command(console: bool | None, console_port: int | None) -> None:
    """Watch the raw zone and load what lands, until Ctrl-C or SIGTERM.

    Prints one line for every execution that ends, and on stderr a link that opens the web console once. What is under
    way at the stop goes on at the next start.
    """
    session = current()
    for name, value in (("console", console), ("console_port", console_port)):
        if value is not None:
            session.settings += (f"{name}={str(value).lower()}",)
    stop = threading.Event()
    before = {number: signal.signal(number, _stopper(stop)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with session.open() as lake, _console(session, lake) as served:

            def ready() -> None:
                session.say(f"Watching {lake.config.raw_bucket} of {lake.config.root}. Ctrl-C stops.")
                if served is not None:
                    served.start()
                    if served.other_port:
                        session.say(f"Port {lake.config.console_port} is taken: the console is at {served.other_port}.")
                    session.say(f"Console: {served.launch_url()}")

            lake.up(stop, on_run=_printer(session, stop), on_ready=ready)
        session.say("Stopped.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _console(session: Session, lake: AnyLake) -> Iterator[ServedConsole | None]:
    """The console of the lake, its port taken; None where none is wanted or can be had."""
    from lakehead.console import is_installed
    from lakehead.lake import Lake

    if not lake.config.console or not isinstance(lake, Lake):
        yield None
        return
    if not is_installed():
        session.say("The web console is not installed: pip install 'lakehead[console]'")
        yield None
        return
    from lakehead.console.serve import ServedConsole

    with ServedConsole(lake) as served:
        yield served


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
