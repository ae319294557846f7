"""Parquet footers of Spark: the one thing in them that differs between processes is put in order."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
from etl.conftest import HEADER

from lakehead.contract import Contract
from lakehead.etl.base import Engine
from lakehead.etl.spark.footer import sort_encodings
from lakehead.model import ObjectVersion


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """A file with many row groups, deep columns, long statistics and values that look like lists of encodings."""
    path = tmp_path / "a.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"""COPY (SELECT i, i % 7 AS few, repeat('x', i % 50) AS text, [i, i + 1] AS list, i % 2 = 0 AS flag,
                {{'a': i, 'b': '\x15\x04\x195\x00\x08\x06'}} AS deep, DATE '2025-01-01' + i::INT AS day,
                i::DECIMAL(12, 2) AS price FROM range(300000) t(i)) TO '{path}' (ROW_GROUP_SIZE 20480)"""
        )
    return path


def encodings(path: Path) -> list[tuple[str, ...]]:
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT encodings FROM parquet_metadata('{path}')").fetchall()
    return [tuple(part.strip() for part in row[0].split(",")) for row in rows]


def content(path: Path) -> object:
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT count(*), sum(hash(t)) FROM '{path}' t").fetchone()


def test_sorting_changes_nothing_but_the_order_of_encodings(parquet: Path) -> None:
    before, told, size = encodings(parquet), content(parquet), parquet.stat().st_size
    sort_encodings(parquet)
    assert parquet.stat().st_size == size and content(parquet) == told
    after = encodings(parquet)
    assert len(after) > 100 and [sorted(one) for one in after] == [sorted(one) for one in before]
    once = parquet.read_bytes()
    sort_encodings(parquet)
    assert parquet.read_bytes() == once


def test_files_that_differ_in_that_order_only_become_the_same(
    engines: dict[str, Engine], orders: Contract, tmp_path: Path
) -> None:
    """Two processes of Spark wrote the lists (0, 8, 6) and (6, 0, 8) for one column."""
    pytest.importorskip("pyspark", reason="needs the extra lakehead[spark]")
    source = tmp_path / "a.csv"
    source.write_text(f"{HEADER}\n1,C1,Mouse,1,1,2025-01-01\n", encoding="utf-8")
    staged = engines["spark"].load(source, orders, origin=ObjectVersion("raw", "a.csv"), staging=tmp_path / "staging")
    path = staged.files[0].path
    sorted_once, other = path.read_bytes(), bytearray(path.read_bytes())
    start = len(other) - 8 - int.from_bytes(other[-8:-4], "little")
    places = [found.start() + 2 for found in re.finditer(rb"\x19\x35", other) if found.start() > start]
    assert len(places) >= 5, "three encodings for each column"
    for place in places:
        other[place : place + 3] = other[place : place + 3][::-1]
    assert other != sorted_once
    path.write_bytes(other)
    sort_encodings(path)
    assert path.read_bytes() == sorted_once
