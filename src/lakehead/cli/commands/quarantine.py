"""`lakehead quarantine`."""

from __future__ import annotations

import click

from lakehead.cli.commands.ingest import follow
from lakehead.cli.commands.options import dataset_option, key_option, limit_option
from lakehead.cli.commands.views import run_failure
from lakehead.cli.lazy import Group
from lakehead.cli.render import Answer, Listing
from lakehead.cli.session import current
from lakehead.results import QuarantineReplay


@click.group("quarantine", cls=Group)
def command() -> None:
    """Rows that broke their contract, with their text, line and reasons."""


@command.command("ls")
@dataset_option
@limit_option(50)
def ls(dataset: str | None, limit: int) -> None:
    """List the objects that have quarantined rows."""
    session = current()
    with session.open() as lake:
        found = lake.quarantine_files(dataset=dataset, limit=limit)
    if session.output == "table":
        told = [(q.dataset, q.key, q.rows, ", ".join(f"{why} {n}" for why, n in q.reasons.items())) for q in found]
        footer = "See the rows with: lakehead quarantine show" if told else ""
        names = ("dataset", "key", "rows", "reasons")
        session.show(Listing(names, told, empty="Nothing is quarantined.", footer=footer))
    else:
        rows = [(q.dataset, q.key, q.rows, q.reasons, q.committed_at, q.execution) for q in found]
        session.show(Listing(("dataset", "key", "rows", "reasons", "committed_at", "execution"), rows))


@command.command("show")
@click.argument("key", required=False)
@dataset_option
@click.option("--reason", metavar="TEXT", help="Only rows with this reason.")
@limit_option(100)
def show(key: str | None, dataset: str | None, reason: str | None, limit: int) -> None:
    """Show quarantined rows, of one object's KEY or of all."""
    session = current()
    with session.open() as lake:
        found = lake.quarantine_rows(dataset=dataset, key=key, reason=reason, limit=limit)
    footer = f"Only the first {limit:,}; more with --limit." if len(found) == limit else ""
    if session.output == "table":
        told = [(row.key, row.line, row.text, ", ".join(row.reasons)) for row in found]
        session.show(Listing(("key", "line", "text", "reasons"), told, empty="No such rows.", footer=footer))
    else:
        rows = [(row.dataset, row.key, row.line, row.text, row.reasons) for row in found]
        session.show(Listing(("dataset", "key", "line", "text", "reasons"), rows))


@command.command("replay")
@dataset_option
@key_option
@click.option("--reason", metavar="TEXT", help="Only objects with rows that have this reason; count those.")
def replay(dataset: str | None, key: str | None, reason: str | None) -> None:
    """Load again the objects that have quarantined rows, after a change of the contract.

    Ends with 1 where an object could not be loaded.
    """
    session = current()
    with session.open() as lake, session.progress() as bar:
        done = lake.replay_quarantine(dataset=dataset, key=key, reason=reason, progress=follow(bar, "Replaying"))
    session.show(Answer(done, [_told(done)]))
    if done.summary.failed:
        raise click.exceptions.Exit(1)


def _told(done: QuarantineReplay) -> str:
    if not done.objects:
        return "Nothing of that kind is quarantined."
    lines = [
        f"{done.rows_before:,} quarantined rows of {done.objects:,} objects before, {done.rows_after:,} after, "
        f"in {done.summary.seconds:.2f} s"
    ]
    if done.gone:
        lines.append(f"{len(done.gone):,} of the objects are no longer in the raw zone, so they stay as they are:")
        lines += [f"  {key}" for key in done.gone[:10]]
    lines += [f"\n{run_failure(run)}" for run in done.summary.executions if run.failed]
    return "\n".join(lines)
