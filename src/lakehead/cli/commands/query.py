"""`lakehead query`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from lakehead.cli.lazy import Command
from lakehead.cli.render import Listing
from lakehead.cli.session import Session, current

if TYPE_CHECKING:
    from lakehead.cli.lakes import AnyLake
    from lakehead.query import QueryResult


@click.command("query", cls=Command)
@click.argument("sql", required=False)
@click.option("--named", metavar="NAME", help="A query of the lake's queries/ folder.")
@click.option("--file", "file", type=click.File("r", encoding="utf-8"), help="SQL from a file; - is stdin.")
@click.option("--list", "listing", is_flag=True, help="List the named queries.")
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="The file to write with --output parquet.")
def command(sql: str | None, named: str | None, file: IO[str] | None, listing: bool, to: Path | None) -> None:
    """Run one SELECT in Athena SQL over the lake's committed rows."""
    if sum((sql is not None, named is not None, file is not None, listing)) != 1:
        raise click.UsageError("give one of: SQL, --named NAME, --file FILE, --list")
    session = current()
    with session.open() as lake:
        if listing:
            session.show(_named_queries(lake))
        elif named is not None:
            _answer(session, lake, _named_sql(lake, named), to)
        else:
            _answer(session, lake, file.read() if file is not None else str(sql), to)


def _answer(session: Session, lake: AnyLake, sql: str, to: Path | None) -> None:
    if session.output != "parquet" and to is not None:
        raise click.UsageError("--to is for --output parquet; redirect stdout for the others")
    if session.output == "parquet" and to is None and sys.stdout.isatty():
        raise click.UsageError("parquet is no text for a terminal: name a file with --to FILE, or redirect stdout")
    with lake.query(sql) as result:
        if session.output == "parquet":
            _parquet(result, to)
        else:
            session.show(Listing([name for name, _ in result.columns], result.rows, empty="No rows."))
        if result.truncated:
            session.say("The answer was cut: there are more rows than a query may give. Narrow it, or aggregate.")


def _parquet(result: QueryResult, to: Path | None) -> None:
    if to is not None:
        result.write_parquet(to)
        return
    with tempfile.TemporaryDirectory(prefix="lakehead-") as folder:
        file = Path(folder) / "result.parquet"
        result.write_parquet(file)
        with file.open("rb") as written:
            shutil.copyfileobj(written, sys.stdout.buffer)


def _named_queries(lake: AnyLake) -> Listing:
    rows = [(query.name, query.description) for query in lake.named_queries()]
    return Listing(("name", "description"), rows, empty="The lake has no named queries.")


def _named_sql(lake: AnyLake, name: str) -> str:
    from lakehead.config.document import nearest
    from lakehead.errors import NotFound

    queries: dict[str, str] = {query.name: query.sql for query in lake.named_queries()}
    if name not in queries:
        raise NotFound(f'no query is named "{name}"', hint=nearest(name, queries), path=str(lake.config.queries_dir))
    return queries[name]
