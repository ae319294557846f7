"""A lake to ask: the sales contract, a local store, files loaded by the real job, tables kept by the real crawlers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lakehead.catalog import Catalog, Crawlers, crawl_targets
from lakehead.contract import Contract, load_contract
from lakehead.etl.base import JobOutcome, JobRequest
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.etl.job import run_job
from lakehead.model import ObjectVersion, Zone
from lakehead.query import QueryEngine
from lakehead.storage import LocalStore

CONTRACTS = Path(__file__).resolve().parents[2] / "src/lakehead/examples/sales/contracts"
HEADER = "order_id,customer_id,product,quantity,price,order_date\n"


@dataclass
class Room:
    """A lake without workflow: what lands is loaded and crawled when told."""

    root: Path
    contract: Contract
    store: LocalStore
    catalog: Catalog
    crawlers: Crawlers
    engine: QueryEngine
    loader: DuckDBEngine
    loads: int = 0

    def load(self, name: str, text: str, *, day: str = "2025-01-01", contract: Contract | None = None) -> JobOutcome:
        """Land a file and run its job; the catalog is told, but nothing is crawled."""
        key = f"sales/orders/ingest_date={day}/{name}"
        self.store.put("raw", key, text.encode())
        self.catalog.note_changed("sales/orders", Zone.RAW, key)
        outcome = self.job(key, contract=contract)
        self.catalog.note_changed("sales/orders", Zone.PROCESSED, key)
        return outcome

    def job(self, key: str, *, contract: Contract | None = None) -> JobOutcome:
        info = self.store.head("raw", key)
        self.loads += 1
        version = ObjectVersion("raw", key, info.etag, info.size, info.sequencer)
        request = JobRequest("sales/orders", version, "execution", f"attempt-{self.loads}")
        return run_job(
            request,
            contract=contract or self.contract,
            engine=self.loader,
            raw=self.store,
            processed=self.store,
            processed_bucket="processed",
        )

    def crawl(self, *, full: bool = False) -> None:
        for name in self.crawlers.names:
            assert self.crawlers.run(name, full=full).status == "SUCCEEDED"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return list(self.engine.run(sql).rows)


@pytest.fixture(scope="session")
def loader() -> Iterator[DuckDBEngine]:
    engine = DuckDBEngine(threads=1)
    yield engine
    engine.close()


@pytest.fixture
def room(tmp_path: Path, loader: DuckDBEngine) -> Iterator[Room]:
    contract = load_contract(CONTRACTS / "sales/orders.odcs.yaml", root=CONTRACTS)
    store = LocalStore(tmp_path / "data")
    store.create_bucket("raw")
    store.create_bucket("processed")
    catalog = Catalog(tmp_path / "state/catalog.db", database="sales_dev")
    targets = crawl_targets("dev", [contract], raw_bucket="raw", processed_bucket="processed")
    crawlers = Crawlers(catalog, store, targets, min_interval=0)
    engine = QueryEngine(catalog, store, cache_dir=tmp_path / "cache", threads=2)
    yield Room(tmp_path, contract, store, catalog, crawlers, engine, loader)
    crawlers.close()
    catalog.close()


@pytest.fixture(scope="session")
def bare_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryEngine]:
    """An engine over a lake with nothing in it."""
    root = tmp_path_factory.mktemp("bare")
    catalog = Catalog(root / "catalog.db")
    yield QueryEngine(catalog, LocalStore(root / "data"), cache_dir=root / "cache", threads=1)
    catalog.close()


@pytest.fixture
def line() -> Any:
    """One CSV line of an order."""

    def make(number: int, day: str = "2025-01-01", *, quantity: int = 1, price: str = "10.00") -> str:
        return f"{number},C{number},Thing,{quantity},{price},{day}\n"

    return make


__all__ = ["HEADER", "replace"]
