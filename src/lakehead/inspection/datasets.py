"""Datasets: how fresh they are, what waits, and what their contracts say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from lakehead.catalog import Catalog, Table
from lakehead.contract import Contract, contract_file, load_contract
from lakehead.contract.document import Document
from lakehead.contract.sentences import column_rules, contract_checks
from lakehead.contract.settings import read_settings
from lakehead.events import EventStore
from lakehead.results import ContractColumn, DatasetDetail, DatasetSummary
from lakehead.workflow.execution import RUNNING
from lakehead.workflow.journal import Journal


def dataset_summaries(
    contracts: Mapping[str, Contract], catalog: Catalog, events: EventStore, journal: Journal
) -> list[DatasetSummary]:
    """Every dataset in brief, by name."""
    with catalog.snapshot() as seen:
        tables = {table.name: table for table in seen.tables()}
    waiting = events.waiting()
    return [
        _summary(contracts[name], tables, events.landed(name), waiting.get(name, 0), journal)
        for name in sorted(contracts)
    ]


def _summary(
    contract: Contract, tables: Mapping[str, Table], landed: datetime | None, waiting: int, journal: Journal
) -> DatasetSummary:
    processed, quarantine = tables.get(contract.processed_table), tables.get(contract.quarantine_table)
    return DatasetSummary(
        name=contract.dataset,
        title=contract.name,
        processed_table=contract.processed_table,
        quarantine_table=contract.quarantine_table,
        rows=(processed.rows or 0) if processed else 0,
        files=processed.files if processed else 0,
        bytes=processed.bytes if processed else 0,
        partitions=processed.partitions if processed else 0,
        rows_quarantined=(quarantine.rows or 0) if quarantine else 0,
        landed=landed,
        loaded=journal.newest_end("SUCCEEDED", "dataset", contract.dataset),
        waiting=waiting,
        running=journal.count(RUNNING, labels={"dataset": contract.dataset}),
    )


def dataset_detail(contract: Contract, summary: DatasetSummary, contracts: Path) -> DatasetDetail:
    """A dataset as its contract in the folder `contracts` describes it now.

    Raises ContractError where the file was changed since the lake was opened, and is no contract any more.
    """
    path = contract_file(contracts, contract.dataset)
    document = Document(path)
    if document.sha256 != contract.sha256:
        contract = load_contract(path, root=contracts)
    return DatasetDetail(
        summary=summary,
        version=contract.version,
        status=str(document.data.get("status", "")),
        description=contract.description,
        file=path.relative_to(contracts.parent).as_posix(),
        document=path.read_text(encoding="utf-8-sig"),
        columns=_columns(contract),
        settings=read_settings(document),
        quality=contract_checks(contract),
    )


def _columns(contract: Contract) -> tuple[ContractColumn, ...]:
    return tuple(
        ContractColumn(
            name=column.name,
            type=column.type.sql,
            required=column.never_null,
            unique=(column.name,) in contract.unique_keys,
            partition_key=column.name in contract.partitions,
            expression=column.expression or "",
            description=column.description,
            rules=column_rules(column),
        )
        for column in contract.columns
    )
