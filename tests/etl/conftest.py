"""Engines, and files loaded by them: one behaviour suite holds every engine and both ways of reading."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pytest
from support.jobs import JobScene
from support.stores import s3_address, s3_client_store, store

from lakehead.contract import Contract, load_contract
from lakehead.etl.base import Engine, EngineResult
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.etl.spark.engine import SparkEngine
from lakehead.model import ObjectVersion
from lakehead.storage import ObjectStore

__all__ = ["s3_address", "s3_client_store", "store"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """PySpark leaves the sockets by which it fetches results to the garbage collector."""
    for item in items:
        if "spark" in item.nodeid:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


class Whole(DuckDBEngine):
    """Loads small files as it does large ones."""

    def _small(self, *_: Any) -> None:
        return None


HEAD = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "t", "version": "1.0.0", "status": "active"}
ORDER: list[dict[str, Any]] = [
    {"name": "order_id", "logicalType": "integer", "physicalType": "bigint", "required": True},
    {"name": "customer_id", "logicalType": "string", "required": True},
    {"name": "product", "logicalType": "string"},
    {"name": "quantity", "logicalType": "integer", "physicalType": "integer", "required": True},
    {"name": "price", "logicalType": "number", "physicalType": "decimal(12,2)", "required": True},
    {"name": "order_date", "logicalType": "date", "required": True, "partitioned": True, "partitionKeyPosition": 1},
    {
        "name": "total_amount",
        "logicalType": "number",
        "physicalType": "decimal(14,2)",
        "transformLogic": "quantity * price",
    },
]
HEADER = "order_id,customer_id,product,quantity,price,order_date"


@dataclass(frozen=True)
class Loaded:
    """What a load left: its result, the rows of the data files in the order of folders and lines, the quarantine."""

    result: EngineResult
    staging: Path
    rows: list[tuple[Any, ...]]
    quarantine: list[tuple[int, str, list[str]]]

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.result.rows_read, self.result.rows_committed, self.result.rows_quarantined

    @property
    def digest(self) -> str:
        """One hash over every staged file and its name."""
        found = hashlib.sha256()
        for path in sorted(self.staging.rglob("*.parquet")):
            found.update(str(path.relative_to(self.staging)).encode() + path.read_bytes())
        return found.hexdigest()


class Load(Protocol):
    def __call__(
        self,
        data: bytes | str | Path,
        contract: Contract | None = None,
        *,
        key: str = ...,
        engine: Engine | None = None,
    ) -> Loaded: ...


@pytest.fixture(scope="session")
def make_contract(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Contract]:
    """A contract of these properties; keyword arguments are its customProperties, `schema` adds to its object."""
    folder = tmp_path_factory.mktemp("made") / "contracts" / "sales"
    folder.mkdir(parents=True)

    def write(*properties: dict[str, Any], schema: dict[str, Any] | None = None, **custom: Any) -> Contract:
        document = {**HEAD, "schema": [{"name": "orders", "properties": list(properties), **(schema or {})}]}
        document["customProperties"] = [{"property": key, "value": value} for key, value in custom.items()]
        file = folder / "orders.odcs.yaml"
        file.write_text(json.dumps(document), encoding="utf-8")
        return load_contract(file)

    return write


@pytest.fixture(scope="session")
def orders(make_contract: Callable[..., Contract]) -> Contract:
    return make_contract(*ORDER)


@pytest.fixture(scope="session")
def text_contract(make_contract: Callable[..., Contract]) -> Contract:
    return make_contract(
        {"name": "n", "logicalType": "integer", "physicalType": "bigint", "required": True},
        {"name": "a", "logicalType": "string"},
        {"name": "b", "logicalType": "string"},
    )


@pytest.fixture
def scene(store: ObjectStore, tmp_path: Path) -> JobScene:
    """Jobs in each store in turn, in buckets of their own."""
    mark = uuid.uuid4().hex[:10]
    made = JobScene(store, raw_bucket=f"raw-{mark}", bucket=f"processed-{mark}", folder=tmp_path)
    for name in (made.raw_bucket, made.bucket):
        store.create_bucket(name)
    return made


@pytest.fixture(scope="session")
def retail_year(retail_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """UCI Online Retail, 305 files as one."""
    path = tmp_path_factory.mktemp("retail") / "year.csv"
    with path.open("wb") as file:
        for number, day in enumerate(retail_files):
            header, _, rows = day.read_bytes().partition(b"\n")
            file.write(rows if number else header + b"\n" + rows)
    return path


@pytest.fixture(scope="session")
def engines() -> Iterator[dict[str, Engine]]:
    found: dict[str, DuckDBEngine | SparkEngine] = {
        "duckdb": Whole(threads=2),
        "duckdb-together": DuckDBEngine(threads=2),
        "duckdb-careful": DuckDBEngine(threads=2, fast=False),
        "spark": SparkEngine(master="local[2]", plain_from=0),
    }
    yield dict(found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # see pytest_collection_modifyitems
        for engine in found.values():
            engine.close()


@pytest.fixture(params=["duckdb", "duckdb-together", "duckdb-careful", "spark"])
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    """Each engine in turn; a further one joins the behaviour suite here."""
    if request.param.startswith("spark"):
        pytest.importorskip("pyspark", reason="needs the extra lakehead[spark]")
    return engines[request.param]


@pytest.fixture(scope="session")
def reader() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET threads=1")
        yield connection


@pytest.fixture
def load(engine: Engine, orders: Contract, tmp_path: Path, reader: duckdb.DuckDBPyConnection) -> Load:
    """Load bytes or text, and read back what was staged. What must hold of every load is checked here."""
    number = itertools.count()
    default_engine = engine

    def run(
        data: bytes | str | Path,
        contract: Contract | None = None,
        *,
        key: str = "sales/orders/orders.csv",
        engine: Engine | None = None,
    ) -> Loaded:
        contract = contract or orders
        folder = tmp_path / str(next(number))
        folder.mkdir()
        source, staging = folder / "source", folder / "staging"
        if isinstance(data, Path):
            source = data
        else:
            source.write_bytes(data.encode() if isinstance(data, str) else data)
        before = source.stat()
        origin = ObjectVersion("raw", key, "etag-1")
        result = (engine or default_engine).load(source, contract, origin=origin, staging=staging)
        assert source.stat().st_mtime_ns == before.st_mtime_ns
        return check(Loaded(result, staging, _rows(result, reader), _quarantine(result, reader)), contract, reader)

    return run


def check(loaded: Loaded, contract: Contract, reader: duckdb.DuckDBPyConnection) -> Loaded:
    """Every row is accounted for, every file holds what is said of it, and nothing else lies in staging."""
    result = loaded.result
    assert result.rows_read == result.rows_committed + result.rows_quarantined
    assert result.rows_committed == len(loaded.rows) == sum(file.rows for file in result.files)
    assert result.rows_quarantined == len(loaded.quarantine)
    assert sum(result.reasons.values()) == sum(len(reasons) for _, _, reasons in loaded.quarantine)
    assert [line for line, _, _ in loaded.quarantine] == sorted(line for line, _, _ in loaded.quarantine)
    staged = [file.path for file in (*result.files, *([result.quarantine] if result.quarantine else []))]
    assert sorted(path for path in loaded.staging.rglob("*") if path.is_file()) == sorted(staged)
    stored = [column.name for column in contract.columns if not column.partitioned]
    for file in result.files:
        assert file.path.parent.relative_to(loaded.staging / "data").as_posix() == (file.partition or ".")
        assert file.path.stat().st_size == file.bytes
        described = reader.execute(f"DESCRIBE FROM read_parquet('{file.path}', hive_partitioning=false)").fetchall()
        assert [row[0] for row in described] == stored
        assert reader.execute(f"SELECT count(*) FROM '{file.path}'").fetchone() == (file.rows,)
    return loaded


def _rows(result: EngineResult, reader: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    found = []
    for file in result.files:
        query = f"SELECT * FROM read_parquet('{file.path}', hive_partitioning=false)"
        found += [(file.partition, *row) if file.partition else row for row in reader.execute(query).fetchall()]
    return found


def _quarantine(result: EngineResult, reader: duckdb.DuckDBPyConnection) -> list[tuple[int, str, list[str]]]:
    if result.quarantine is None:
        return []
    assert result.quarantine.partition == "" and result.quarantine.rows == result.rows_quarantined
    query = f"SELECT line, text, reasons FROM '{result.quarantine.path}'"
    return reader.execute(query).fetchall()
