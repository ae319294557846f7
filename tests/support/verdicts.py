"""Loads polluted files by the real ETL job, and says of each whether it was loaded right, and if not, who was told."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from lakehead.contract import Contract, load_contract
from lakehead.errors import SourceError
from lakehead.etl.base import CommitRecord, Engine, JobRequest
from lakehead.etl.job import run_job
from lakehead.model import ObjectVersion
from lakehead.storage import LocalStore
from support.pollution import Row, Variant, mark_of

PROPERTIES: list[dict[str, Any]] = [
    {"name": "order_id", "logicalType": "integer", "physicalType": "bigint", "required": True},
    {"name": "customer", "logicalType": "string", "required": True},
    {"name": "quantity", "logicalType": "integer", "physicalType": "integer"},
    {"name": "amount", "logicalType": "number", "physicalType": "decimal(12,2)", "required": True},
    {"name": "note", "logicalType": "string"},
    {"name": "day", "logicalType": "date", "required": True},
]
TEXTS = [{"name": str(one["name"]), "logicalType": "string"} for one in PROPERTIES]
LAYOUTS = {"typed": PROPERTIES, "texts": TEXTS}
RIGHT, QUARANTINED, REFUSED, WRONG, LOST = "right", "quarantined", "refused", "silently wrong", "silently lost"
VERDICTS = (RIGHT, QUARANTINED, REFUSED, WRONG, LOST)


@dataclass(frozen=True)
class Judged:
    """What became of a file. `detail` is the error, or the rows that are wrong or lost."""

    variant: Variant
    verdict: str
    detail: str = ""
    error: SourceError | None = None

    @property
    def silent(self) -> bool:
        return self.verdict in (WRONG, LOST)


@dataclass
class Bench:
    """A store and an engine, and a contract for each set of settings."""

    root: Path
    engine: Engine
    bucket: str = "processed"
    store: LocalStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = LocalStore(self.root / "data")
        for name in ("raw", self.bucket):
            self.store.create_bucket(name)
        self.contract = cache(self._contract)

    def _contract(self, settings: tuple[tuple[str, Any], ...], layout: str = "typed") -> Contract:
        folder = self.root / "contracts" / "bad"
        folder.mkdir(parents=True, exist_ok=True)
        document = {
            "apiVersion": "v3.1.0", "kind": "DataContract", "id": "bad", "version": "1.0.0", "status": "active",
            "schema": [{"name": "orders", "properties": LAYOUTS[layout]}],
            "customProperties": [{"property": name, "value": value} for name, value in settings],
        }  # fmt: skip
        name = f"orders{len(list(folder.iterdir()))}"
        file = folder / f"{name}.odcs.yaml"
        file.write_text(json.dumps(document), encoding="utf-8")
        return load_contract(file, root=folder.parent)

    def load(self, key: str, data: bytes, contract: Contract) -> CommitRecord:
        """Land a file and run its job."""
        info = self.store.put("raw", key, data, durable=False)
        source = ObjectVersion(info.bucket, info.key, info.etag, info.size, info.sequencer)
        request = JobRequest(contract.dataset, source, "execution", "attempt")
        return run_job(
            request,
            contract=contract,
            engine=self.engine,
            raw=self.store,
            processed=self.store,
            processed_bucket=self.bucket,
        ).record

    def judge(self, variants: Iterable[Variant]) -> list[Judged]:
        """What became of each, in their order."""
        ended: list[tuple[Variant, CommitRecord | SourceError]] = []
        for number, variant in enumerate(variants):
            contract = self.contract(variant.settings, variant.layout)
            key = f"{contract.dataset}/{number:05}.csv" + (".gz" if variant.gz else "")
            try:
                ended.append((variant, self.load(key, variant.data, contract)))
            except SourceError as error:
                ended.append((variant, error))
        rows, texts = self._read([record for _, record in ended if isinstance(record, CommitRecord)])
        return [
            Judged(variant, REFUSED, str(end), end)
            if isinstance(end, SourceError)
            else judged(variant, rows[end.object_id], texts[end.object_id])
            for variant, end in ended
        ]

    def _read(self, records: list[CommitRecord]) -> tuple[Mapping[str, list[Row]], Mapping[str, str]]:
        """The loaded rows and the quarantined texts of each object."""
        rows: dict[str, list[Row]] = defaultdict(list)
        texts: dict[str, str] = defaultdict(str)
        owner = {
            str(self.store.local_path(self.bucket, file.key)): record.object_id
            for record in records
            for file in (*record.files, *record.quarantine)
        }
        with duckdb.connect(config={"threads": 2}) as connection:

            def read(what: str, keys: list[str]) -> list[tuple[Any, ...]]:
                paths = [str(self.store.local_path(self.bucket, key)) for key in keys]
                query = f"SELECT {what}, filename FROM read_parquet($paths, filename=true, hive_partitioning=false)"
                return connection.execute(query, {"paths": paths}).fetchall() if paths else []

            for schema in {record.schema for record in records}:  # files of one call have one schema
                alike = [record for record in records if record.schema == schema]
                for *row, name in read("* EXCLUDE (filename)", [file.key for one in alike for file in one.files]):
                    rows[owner[name]].append(tuple(row))
            for text, name in read("text", [file.key for one in records for file in one.quarantine]):
                texts[owner[name]] += text + "\n"
        return rows, texts


def judged(variant: Variant, rows: list[Row], quarantined: str) -> Judged:
    """A row that the truth has not is wrong. One that is missing is lost, unless a quarantined text has its mark."""
    loaded, truth = Counter(rows), Counter(variant.truth)
    wrong = loaded - truth
    if wrong:
        return Judged(variant, WRONG, f"{list(wrong)[:3]}")
    fragments = {row: text for text, row in variant.fragments}
    missing = [
        row
        for row in truth - loaded
        if mark_of(row) not in quarantined and fragments.get(row, str(row[0])) not in quarantined
    ]
    if missing:
        return Judged(variant, LOST, f"{missing[:3]}")
    return Judged(variant, QUARANTINED if truth - loaded else RIGHT)


def table(found: list[Judged]) -> str:
    """The verdicts on each class of pollution."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in found:
        counts[one.variant.pollution][one.verdict] += 1
        counts["all"][one.verdict] += 1
    lines = ["".join([f"{'pollution':<20}{'files':>7}", *(f"{verdict:>16}" for verdict in VERDICTS)])]
    for pollution in sorted(counts, key=lambda name: (name == "all", name)):
        told = counts[pollution]
        lines.append("".join([f"{pollution:<20}{told.total():>7}", *(f"{told[verdict]:>16}" for verdict in VERDICTS)]))
    return "\n".join(lines)
