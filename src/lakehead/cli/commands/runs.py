"""`lakehead runs`."""

from __future__ import annotations

from datetime import datetime

import click

from lakehead.cli.commands.options import Since, dataset_option, key_option, limit_option
from lakehead.cli.commands.views import run_failure, run_listing, run_table
from lakehead.cli.lazy import Group
from lakehead.cli.render import Answer, Listing, json_text
from lakehead.cli.session import current
from lakehead.results import RunDetail, RunSummary

STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


@click.group("runs", cls=Group)
def command() -> None:
    """Executions: one for every object version that landed."""


@command.command("ls")
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), help="Only these.")
@dataset_option
@key_option
@click.option("--since", type=Since(), help="Only those started since: 24h, 7d, or an ISO date.")
@click.option("--after", metavar="NAME", help="Go on after this execution (for the next page).")
@limit_option(50)
def ls(
    status: str | None, dataset: str | None, key: str | None, since: datetime | None, after: str | None, limit: int
) -> None:
    """List executions, newest first."""
    session = current()
    with session.open() as lake:
        runs = lake.runs(status=status, dataset=dataset, key=key, since=since, limit=limit, after=after)
    more = f"More: lakehead runs ls --after {runs[-1].name}" if len(runs) == limit else ""
    session.show(run_table(runs, footer=more) if session.output == "table" else run_listing(runs))


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show one execution: input, output, and its history step by step."""
    session = current()
    with session.open() as lake:
        session.show(_detail(lake.run(name)))


@command.command("logs")
@click.argument("name")
def logs(name: str) -> None:
    """Print an execution's log lines, oldest first."""
    session = current()
    with session.open() as lake:
        lines = lake.run_logs(name)
        if session.output == "table":
            for line in lines:
                click.echo(_log_line(line))
        else:
            wanted = ("timestamp", "level", "logger", "message", "execution", "object")
            session.show(Listing(wanted, ([line.get(field) for field in wanted] for line in lines)))


@command.command("redrive")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def redrive(names: tuple[str, ...]) -> None:
    """Go on with failed executions from the state that failed. Ends with 1 where one fails again."""
    session = current()
    with session.open() as lake:
        runs = [lake.redrive(name) for name in names]
    _show_ended(runs)
    if any(run.failed for run in runs):
        raise click.exceptions.Exit(1)


@command.command("stop")
@click.argument("name")
@click.option("--cause", default="", help="Why; it is kept in the history.")
def stop(name: str, cause: str) -> None:
    """Stop a running execution; it ends as ABORTED."""
    session = current()
    with session.open() as lake:
        run = lake.stop(name, cause=cause)
    _show_ended([run])


def _show_ended(runs: list[RunSummary]) -> None:
    session = current()
    if session.output != "table":
        session.show(run_listing(runs))
        return
    session.show(Answer(runs, [run_table(runs), *(run_failure(run) for run in runs if run.failed)]))


def _detail(detail: RunDetail) -> Answer:
    run = detail.summary
    facts = [
        ("status", run.status),
        ("dataset", run.dataset),
        ("key", run.key),
        ("started", run.started),
        ("ended", run.ended),
        ("seconds", run.duration_seconds),
        ("rows read", run.rows_read),
        ("rows committed", run.rows_committed),
        ("rows quarantined", run.rows_quarantined),
        ("error", run.error),
        ("cause", run.cause),
        ("input", json_text(detail.input)),
        ("output", None if detail.output is None else json_text(detail.output)),
    ]
    told = Listing(("execution", run.name), [fact for fact in facts if fact[1] is not None])
    events = [
        (event.get("id"), event.get("timestamp"), event.get("type"), _state_of(event)) for event in detail.history
    ]
    history = Listing(("id", "time", "event", "about"), events, title="\nHistory")
    failure = [f"\nOnce it is mended: lakehead runs redrive {run.name}"] if run.failed else []
    return Answer(detail, [told, history, *failure])


def _state_of(event: dict[str, object]) -> str:
    """The state's name, or the error, that an event's details hold."""
    for value in event.values():
        if isinstance(value, dict):
            about = [value.get("name"), value.get("resource"), value.get("error"), value.get("cause")]
            return " ".join(str(entry) for entry in about if entry)[:200]
    return ""


def _log_line(line: dict[str, object]) -> str:
    from lakehead.cli.render import printable

    known = ("timestamp", "level", "logger", "message", "execution", "taskName")
    more = " ".join(f"{name}={value}" for name, value in line.items() if name not in known and value is not None)
    return printable(f"{line.get('timestamp', '')} {line.get('level', '')} {line.get('message', '')} {more}".strip())
