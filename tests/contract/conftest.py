"""Contracts made from a few properties, and their query run through DuckDB over rows of text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lakehead.contract import Contract, load_contract, sql
from lakehead.contract.plan import column_plan

HEAD = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "t", "version": "1.0.0", "status": "active"}
Row = dict[str, str | None]


@dataclass(frozen=True)
class Judged:
    """A row as the plan's query returns it."""

    line: int
    values: dict[str, Any]
    reasons: list[str]


@pytest.fixture(scope="session")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET threads=1")
        connection.execute("SET disabled_optimizers='type_pushdown'")
        yield connection


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Contract]:
    """Load a contract of these properties; `schema`, `custom` and `root` add keys to its parts."""
    folder = tmp_path_factory.mktemp("made") / "contracts" / "sales"
    folder.mkdir(parents=True)

    def write(
        *properties: dict[str, Any],
        schema: dict[str, Any] | None = None,
        custom: dict[str, Any] | None = None,
        root: dict[str, Any] | None = None,
    ) -> Contract:
        document = {**HEAD, "schema": [{"name": "orders", "properties": list(properties), **(schema or {})}]}
        document["customProperties"] = [{"property": key, "value": value} for key, value in (custom or {}).items()]
        file = folder / "orders.odcs.yaml"
        file.write_text(json.dumps({**document, **(root or {})}), encoding="utf-8")
        return load_contract(file)

    return write


@pytest.fixture(scope="session")
def judge(db: duckdb.DuckDBPyConnection) -> Callable[..., list[Judged]]:
    """Run a contract's query over rows given as dicts of text; lines are numbered from 2."""

    def run(contract: Contract, rows: Sequence[Row], absent: frozenset[str] = frozenset()) -> list[Judged]:
        plan = column_plan(contract)
        names = [column.name for column in plan.source_columns if column.name not in absent]
        quoted = [sql.name(name) for name in names]
        db.execute(
            f"CREATE OR REPLACE TEMP TABLE raw (_line BIGINT, {', '.join(f'{name} VARCHAR' for name in quoted)})"
        )
        lists = [list(range(2, len(rows) + 2)), *([row.get(name) for row in rows] for name in names)]
        casts = ", ".join(["unnest(?::BIGINT[])", *["unnest(?::VARCHAR[])"] * len(names)])
        db.execute(f"INSERT INTO raw SELECT {casts}", lists)
        found = db.execute(f"SELECT * FROM ({plan.select_sql('raw', absent)}) ORDER BY _line")
        columns = [item[0] for item in found.description or ()]
        assert columns == ["_line", *(column.name for column in plan.output_columns), "_reasons"]
        return [Judged(row[0], dict(zip(columns[1:-1], row[1:-1], strict=True)), row[-1]) for row in found.fetchall()]

    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(__file__).resolve().parents[2] / "../shared/data/uci-online-retail"
    if not folder.is_dir():
        pytest.skip("the shared sales data is not beside the repository")
    return folder.resolve()
