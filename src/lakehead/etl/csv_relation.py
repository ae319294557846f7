"""How DuckDB is told to read a CSV file: nothing is left for it to detect, and no row to be mended or left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lakehead.contract import Dialect, sql

TEXT = "VARCHAR"
_NEW_LINE = r", new_line = '\n'"


def read_csv(
    path: Path,
    dialect: Dialect,
    columns: Mapping[str, str],
    *,
    longest: int,
    skip: int = 0,
    parallel: bool = True,
    all_lf: bool = False,
) -> str:
    """A relation of a file's rows. `columns` are names and types, `longest` is a row's length in bytes.

    DuckDB 2.0 reads no rows at all from a CRLF file when new_line is given, and takes a CR within quotes for a line end
    when it is not: so a file that may have either is read with `all_lf`, and has to be so.
    """
    named = ", ".join(f"{sql.text(name)}: {sql.text(kind)}" for name, kind in columns.items())
    quote = sql.text(dialect.quote)
    return (
        f"read_csv({sql.text(str(path))}, columns = {{{named}}}, auto_detect = false, hive_partitioning = false, "
        f"header = false, skip = {skip}, delim = {sql.text(dialect.delimiter)}, quote = {quote}, escape = {quote}, "
        "comment = '', strict_mode = true, null_padding = false, ignore_errors = false, "
        f"parallel = {str(parallel).lower()}, max_line_size = {longest}{_NEW_LINE if all_lf else ''})"
    )
