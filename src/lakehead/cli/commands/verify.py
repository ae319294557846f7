"""`lakehead verify`."""

from __future__ import annotations

import click

from lakehead.cli.lazy import Command
from lakehead.cli.render import Answer, Listing
from lakehead.cli.session import current
from lakehead.results import VerifyReport

BASE = 4
"""The first counts of a report are of what was checked: objects, records, files, rows."""


@click.command("verify", cls=Command)
@click.option("--repair", is_flag=True, help="Mend what can be mended.")
@click.option("--full", is_flag=True, help="Read everything again, also what has not changed since it was proven.")
def command(repair: bool, full: bool) -> None:
    """Prove over the whole lake that every row is accounted for. Ends with 1 where something is wrong."""
    session = current()
    with session.open() as lake, session.progress() as bar:
        task = bar.add_task("Verifying", total=None, note="")

        def looked(what: str) -> None:
            bar.update(task, advance=1, note=what)

        report = lake.verify(repair=repair, full=full, progress=looked)
    rows = [(f.kind, f.place, f.detail, f.fix, f.repaired) for f in report.findings]
    listing = Listing(
        ("finding", "place", "detail", "fix", "repaired"), rows, empty=_sound(report), footer=_advice(report, repair)
    )
    data = {
        "ok": report.ok,
        "findings": report.findings,
        "checked": report.checked,
        "read": report.read,
        "totals": report.totals,
    }
    session.show(Answer(data, [listing]))
    if not report.ok:
        raise click.exceptions.Exit(1)


def _sound(report: VerifyReport) -> str:
    counted = [f"{count:,} {what}" for what, count in report.checked.items()]
    base, more = counted[:BASE], counted[BASE:]
    told = f"The lake is sound: {', '.join(base)} checked"
    if report.read < report.checked.get("records", 0):
        told += f"; {report.read:,} records read, the others are as they were when they were proven"
    return f"{told}. {', '.join(more).capitalize()}." if more else f"{told}."


def _advice(report: VerifyReport, repair: bool) -> str:
    told = sum(report.totals.values())
    more = f"{told - len(report.findings):,} more are not told. " if told > len(report.findings) else ""
    return more + ("" if report.ok or repair else "Mend it with: lakehead verify --repair")
