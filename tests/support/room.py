"""A lake without workflow: the sales contract, a local store, the real job, catalog, crawlers and query engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def job(self, key: str, *, contract: Contract | None = None, force: bool = False) -> JobOutcome:
        info = self.store.head("raw", key)
        self.loads += 1
        version = ObjectVersion("raw", key, info.etag, info.size, info.sequencer)
        request = JobRequest("sales/orders", version, "execution", f"attempt-{self.loads}", force)
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


@contextmanager
def open_room(root: Path, loader: DuckDBEngine) -> Iterator[Room]:
    """An empty lake below `root`."""
    contract = load_contract(CONTRACTS / "sales/orders.odcs.yaml", root=CONTRACTS)
    store = LocalStore(root / "data")
    store.create_bucket("raw")
    store.create_bucket("processed")
    catalog = Catalog(root / "state/catalog.db", database="sales_dev")
    targets = crawl_targets("dev", [contract], raw_bucket="raw", processed_bucket="processed")
    crawlers = Crawlers(catalog, store, targets, min_interval=0)
    engine = QueryEngine(catalog, store, cache_dir=root / "cache", threads=2)
    yield Room(root, contract, store, catalog, crawlers, engine, loader)
    crawlers.close()
    catalog.close()


def orders(*rows: tuple[int, str, int, str]) -> str:
    """A CSV file of (order_id, order_date, quantity, price)."""
    lines = (f"{number},C1,Thing {number % 3},{quantity},{price},{day}\n" for number, day, quantity, price in rows)
    return HEADER + "".join(lines)
