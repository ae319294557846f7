"""`lakehead verify`."""

from __future__ import annotations

import click

from lakehead.cli.lazy import Command
from lakehead.cli.render import Answer, Listing
from lakehead.cli.session import current


@click.command("verify", cls=Command)
@click.option("--repair", is_flag=True, help="Mend what can be mended.")
def command(repair: bool) -> None:
    """Prove over the whole lake that every row is accounted for. Ends with 1 where something is wrong."""
    session = current()
    with session.open() as lake, session.progress() as bar:
        task = bar.add_task("Verifying", total=None, note="")

        def looked(what: str) -> None:
            bar.update(task, advance=1, note=what)

        report = lake.verify(repair=repair, progress=looked)
    rows = [(f.kind, f.place, f.detail, f.fix, f.repaired) for f in report.findings]
    counted = ", ".join(f"{count:,} {what}" for what, count in report.checked.items())
    listing = Listing(
        ("finding", "place", "detail", "fix", "repaired"),
        rows,
        empty=f"The lake is sound: {counted} checked.",
        footer="" if report.ok or repair else "Mend it with: lakehead verify --repair",
    )
    data = {"ok": report.ok, "findings": report.findings, "checked": report.checked}
    session.show(Answer(data, [listing]))
    if not report.ok:
        raise click.exceptions.Exit(1)
