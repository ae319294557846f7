"""The rows of a table's files as DuckDB's SQL, and where those files are on this machine."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lakehead.catalog import CatalogFile, ColumnType, Table
from lakehead.catalog.changes import NULL_PARTITION
from lakehead.errors import QueryError
from lakehead.model import Zone
from lakehead.private import make_folder
from lakehead.query.bound import name_sql, text_sql
from lakehead.query.types import from_glue
from lakehead.storage.base import ObjectStore

CACHE_BYTES = 10 << 30
_NO_HIVE = ", hive_partitioning = false"
_FROM_PATH = ", hive_partitioning = false, filename = '_path'"
_CSV_ENCODINGS = {"utf-8": "utf-8", "utf-16": "utf-16", "latin-1": "latin-1"}

Describe = Callable[[list[Path]], tuple[ColumnType, ...]]
"""The columns of Parquet files whose schema nobody noted."""


class Files:
    """Finds the files of objects: where they lie, or downloaded into a cache of limited size.

    Names in the processed zone never change their content; a landed object's copy is kept under its etag.
    """

    def __init__(self, store: ObjectStore, cache: Path, *, limit: int = CACHE_BYTES) -> None:
        self._store, self._cache, self._limit = store, cache, limit

    def paths(self, files: Iterable[CatalogFile], zone: str) -> dict[str, Path]:
        """A path for each key. Raises ObjectNotFound for a file that is gone from a remote store."""
        found, needed = {}, 0
        for file in files:
            path = self._store.local_path(file.bucket, file.key)
            if path is None:
                needed += file.bytes
                if needed > self._limit:
                    raise QueryError(
                        "the query reads more than the cache of downloaded files may hold",
                        hint="Select fewer partitions.",
                        limit=self._limit,
                    )
                path = self._download(file, zone)
            found[file.key] = path
        return found

    def _download(self, file: CatalogFile, zone: str) -> Path:
        place = self._cache / file.bucket
        if zone == Zone.RAW:
            place /= self._store.head(file.bucket, file.key).etag
        target = place / file.key
        if target.exists():
            target.touch()
            return target
        self._make_room(file.bytes)
        make_folder(target.parent)
        # The cache may be lost at any time, so nothing is synced to disk.
        handle, name = tempfile.mkstemp(dir=self._cache, prefix=".part-")
        try:
            with os.fdopen(handle, "wb") as copy, self._store.open(file.bucket, file.key) as source:
                shutil.copyfileobj(source, copy, 1 << 20)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return target

    def _make_room(self, size: int) -> None:
        make_folder(self._cache)
        kept = []
        for path in self._cache.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    kept.append((path.stat().st_mtime, path.stat().st_size, path))
        total = sum(one[1] for one in kept) + size
        for _, length, path in sorted(kept):
            if total <= self._limit:
                return
            path.unlink(missing_ok=True)
            total -= length


def scan_sql(table: Table, files: list[CatalogFile], paths: Mapping[str, Path], describe: Describe) -> str:
    """All rows of these files, with the table's columns and types.

    Files of one schema are read together, so that one footer tells for all of them; what a schema lacks is null.
    """
    groups: dict[tuple[str, bool], list[CatalogFile]] = {}
    for file in files:
        if not file.problem and (file.schema or table.classification == "parquet"):
            groups.setdefault((file.fingerprint, bool(file.partition)), []).append(file)
    parts = []
    for (_, partitioned), group in sorted(groups.items()):
        chosen = [paths[file.key] for file in group]
        schema = group[0].schema or describe(chosen)
        ambiguous = partitioned and _names_keys_twice(table, group[0], chosen[0])
        options = _FROM_PATH if ambiguous else _hive(table) if partitioned else _NO_HIVE
        if table.classification == "csv":
            read = f"read_csv({_list(chosen)}, {_csv_options(table, schema)}{options})"
        else:
            mixed = "" if group[0].schema else ", union_by_name = true"
            read = f"read_parquet({_list(chosen)}{mixed}{options})"
        keys = [_key_column(key, partitioned=partitioned, ambiguous=ambiguous) for key in table.partition_keys]
        parts.append(f"SELECT {', '.join([*_columns(table, schema), *keys])} FROM {read}")
    if not parts:
        keys = [_key_column(key, partitioned=False, ambiguous=False) for key in table.partition_keys]
        return f"SELECT {', '.join([*_columns(table, ()), *keys])} WHERE false"
    return " UNION ALL ".join(parts)


def _columns(table: Table, schema: tuple[ColumnType, ...]) -> list[str]:
    held = {column.name: column.type for column in schema}
    found = []
    for column in table.columns:
        name, kind = name_sql(column.name), from_glue(column.type).duckdb
        if column.name not in held:
            found.append(f"CAST(NULL AS {kind}) AS {name}")
        elif held[column.name] == column.type:
            found.append(name)
        else:
            found.append(f"CAST({name} AS {kind}) AS {name}")
    return found


def _names_keys_twice(table: Table, file: CatalogFile, path: Path) -> bool:
    """Whether the lake itself lies below a folder like `order_date=x`, which DuckDB would take for the partition."""
    above = str(path).removesuffix(file.key).lower()
    return any(f"/{key.name}=" in above for key in table.partition_keys)


def _key_column(key: ColumnType, *, partitioned: bool, ambiguous: bool) -> str:
    name, kind = name_sql(key.name), from_glue(key.type).duckdb
    if not partitioned:
        return f"CAST(NULL AS {kind}) AS {name}"
    if not ambiguous:
        return name
    # The last folder of that name is the partition.
    value = f"url_decode(regexp_extract(_path, {text_sql(f'(?i).*/{re.escape(key.name)}=([^/]*)/')}, 1))"
    return f"CAST(nullif({value}, {text_sql(NULL_PARTITION)}) AS {kind}) AS {name}"


def _hive(table: Table) -> str:
    types = ", ".join(f"{text_sql(key.name)}: {from_glue(key.type).duckdb}" for key in table.partition_keys)
    return f", hive_partitioning = true, hive_types = {{{types}}}"


def _csv_options(table: Table, schema: tuple[ColumnType, ...]) -> str:
    """Text as OpenCSVSerDe reads it: every value a string, missing ones null, and what nobody can read left out."""
    dialect = table.dialect
    columns = ", ".join(f"{text_sql(column.name)}: 'VARCHAR'" for column in schema)
    options = {
        "columns": f"{{{columns}}}",
        "auto_detect": "false",
        "header": "true" if dialect["header"] else "false",
        "delim": text_sql(str(dialect["delimiter"])),
        "quote": text_sql(str(dialect["quote"])),
        "escape": text_sql(str(dialect["quote"])),
        "encoding": text_sql(_CSV_ENCODINGS.get(str(dialect["encoding"]), "latin-1")),
        "strict_mode": "false",
        "null_padding": "true",
        "ignore_errors": "true",
        # Quoted line breaks and padding do not go together in parallel.
        "parallel": "false",
        "allow_quoted_nulls": "false",
        # An empty value is an empty text in Athena; no file holds this one.
        "nullstr": text_sql("\x01"),
        "max_line_size": "33554432",
    }
    return ", ".join(f"{name} = {value}" for name, value in options.items())


def _list(paths: list[Path]) -> str:
    return f"[{', '.join(text_sql(str(path)) for path in paths)}]"
