"""`lakehead delete`."""

from __future__ import annotations

import getpass

import click

from lakehead.cli.commands.options import dataset_option
from lakehead.cli.lazy import Command
from lakehead.cli.render import Answer, Listing
from lakehead.cli.session import current
from lakehead.results import Deletable, Deleted


@click.command("delete", cls=Command)
@click.argument("keys", nargs=-1, metavar="KEY...")
@dataset_option
@click.option("--prefix", metavar="PREFIX", help="Every object whose key begins so.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the record that is kept.")
@click.option("--by", metavar="NAME", help="Who, for the record; the user of this machine unless told.")
@click.option("--forget-key", is_flag=True, help="Keep only the hash of the key in the record.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def command(
    keys: tuple[str, ...],
    dataset: str | None,
    prefix: str | None,
    reason: str,
    by: str | None,
    forget_key: bool,
    yes: bool,
) -> None:
    """Delete landed objects for good, with every row that came from them, and keep a record that it was done.

    A file that lands again under the same KEY is loaded as a new one. Safe to repeat after a crash.
    """
    if not keys and prefix is None:
        raise click.UsageError("say which objects: KEY..., or --prefix")
    session = current()
    with session.open() as lake:
        chosen = lake.deletable(keys, prefix=prefix, dataset=dataset)
        left = [one for one in chosen if not one.deleted]
        if left and not yes:
            session.say(_told(left))
            click.confirm("Delete them for good?", abort=True, err=True)
        done = lake.delete(chosen, by=by or getpass.getuser(), reason=reason, keep_key=not forget_key)
    session.show(_answer(done))


def _told(left: list[Deletable]) -> str:
    committed, quarantined = sum(one.rows_committed for one in left), sum(one.rows_quarantined for one in left)
    some = "".join(f"  {one.key}\n" for one in left[:10]) + ("  ...\n" if len(left) > 10 else "")
    return f"{len(left):,} objects with {committed:,} rows and {quarantined:,} quarantined ones:\n{some}".rstrip()


def _answer(done: list[Deleted]) -> Answer:
    rows = [
        (one.dataset, one.key or one.object_id, one.rows_committed, one.rows_quarantined, one.files, one.record)
        for one in done
    ]
    names = ("dataset", "object", "rows", "quarantined", "files", "record")
    return Answer(done, [Listing(names, rows, empty="Nothing left to delete.")])
