"""The ground in a bucket: a Spark that sees only the bucket loads the same rows as one that sees the disk."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import TypeAlias

import duckdb
import pytest
from support.stores import local_store

from lakehead.aws.ground import bucket_ground
from lakehead.contract import Contract, load_contract
from lakehead.errors import StorageUnavailable
from lakehead.etl.base import EngineResult
from lakehead.etl.spark.engine import SparkEngine
from lakehead.model import ObjectVersion
from lakehead.storage import LocalStore

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # of PySpark, left to the collector
pytest.importorskip("pyspark", reason="needs the extra lakehead[spark]")

HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
FILES = {
    "plain": HEADER + "1,C1,Mouse,2,500,2025-01-01\n2,C1,Mouse,x,500,2025-01-02\n3,C2,Desk,1,99.50,2025-01-02\n",
    "quoted": HEADER + '1,C1,"Mouse\n""grey""",2,500,2025-01-01\nshort,row\n3,C2,Desk,1,99.50,2025-01-02\n',
}


Load: TypeAlias = Callable[[SparkEngine, str], tuple[EngineResult, list[object]]]


@pytest.fixture(scope="module")
def contract() -> Iterator[Contract]:
    with as_file(files("lakehead.examples") / "sales/contracts") as folder:
        yield load_contract(folder / "sales/orders.odcs.yaml", root=folder)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = local_store(tmp_path)
    store.create_bucket("processed")
    return store


@pytest.fixture(scope="module")
def near() -> Iterator[SparkEngine]:
    """An engine on this machine's disk; while it is open, the others of this module share its Spark."""
    engine = SparkEngine(master="local[2]", plain_from=0)
    yield engine
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        engine.close()


@pytest.fixture
def load(contract: Contract, tmp_path: Path) -> Iterator[Load]:
    number, reader = itertools.count(), duckdb.connect()

    def run(engine: SparkEngine, text: str) -> tuple[EngineResult, list[object]]:
        folder = tmp_path / str(next(number))
        folder.mkdir()
        (folder / "source.csv").write_text(text, encoding="utf-8", newline="")
        origin = ObjectVersion("raw", "sales/orders/a.csv", "etag")
        result = engine.load(folder / "source.csv", contract, origin=origin, staging=folder / "staging")
        staged = [*result.files, *([result.quarantine] if result.quarantine else [])]
        rows = [reader.execute(f"FROM '{file.path}'").fetchall() for file in staged]
        return result, [(file.partition, file.rows, found) for file, found in zip(staged, rows, strict=True)]

    yield run
    reader.close()


@pytest.mark.parametrize("name", FILES)
def test_the_same_rows_go_through_a_bucket(
    name: str, store: LocalStore, tmp_path: Path, load: Load, near: SparkEngine
) -> None:
    # Spark here reaches a local store's buckets by file: addresses, as Glue's reaches S3 by s3: ones.
    ground = bucket_ground(store, "processed", "attempt-1", scheme=f"file://{tmp_path}/data/")
    remote = load(SparkEngine(master="local[2]", plain_from=0, ground=ground), FILES[name])
    expected = load(near, FILES[name])
    assert remote[1] == expected[1] and remote[0].rows_read == 3
    assert [info.key for info in store.list("processed")] == [], "nothing is left in staging"


def test_what_cannot_be_removed_fails_no_load(
    store: LocalStore, tmp_path: Path, load: Load, near: SparkEngine,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def refuse(*_: object) -> None:
        raise StorageUnavailable("not now")

    monkeypatch.setattr(store, "delete", refuse)
    ground = bucket_ground(store, "processed", "attempt-2", scheme=f"file://{tmp_path}/data/")
    assert near.plain_from == 0, "the Spark that all share is open"
    result, _ = load(SparkEngine(master="local[2]", ground=ground), FILES["plain"])
    assert result.rows_committed == 2 and "left behind" in caplog.text
    # The next try has the same name, and what the first one left must be nothing to it.
    assert list(store.list("processed", "_lakehead/staging/attempt-2/"))
    again, _ = load(SparkEngine(master="local[2]", ground=ground), FILES["plain"])
    assert again.rows_committed == 2
    monkeypatch.undo()
    load(SparkEngine(master="local[2]", ground=ground), FILES["plain"])
    assert [info.key for info in store.list("processed")] == [], "a try that can removes what the others left"


def test_a_fault_while_fetching_is_told_and_leaves_nothing(
    store: LocalStore, tmp_path: Path, load: Load, near: SparkEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageUnavailable("not now")

    monkeypatch.setattr(store, "open", refuse)
    ground = bucket_ground(store, "processed", "attempt-3", scheme=f"file://{tmp_path}/data/")
    assert near.plain_from == 0, "the Spark that all share is open"
    with pytest.raises(StorageUnavailable, match="not now"):
        load(SparkEngine(master="local[2]", ground=ground), FILES["plain"])
    assert [info.key for info in store.list("processed")] == []
