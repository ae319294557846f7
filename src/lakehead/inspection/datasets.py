"""Datasets: how fresh they are, what waits, and what their contracts say."""

from __future__ import annotations

from collections.abc import Mapping
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
        committed = {name: seen.newest_change(contract.processed_table) for name, contract in contracts.items()}
    waiting = events.waiting()
    return [
        DatasetSummary(
            name=name,
            title=contracts[name].name,
            processed_table=contracts[name].processed_table,
            quarantine_table=contracts[name].quarantine_table,
            **_counts(tables.get(contracts[name].processed_table)),
            rows_quarantined=_rows(tables.get(contracts[name].quarantine_table)),
            landed=events.landed(name),
            # Executions are forgotten some day; what they committed is not.
            loaded=journal.newest_end("SUCCEEDED", "dataset", name) or committed[name],
            waiting=waiting.get(name, 0),
            running=journal.count(RUNNING, labels={"dataset": name}),
        )
        for name in sorted(contracts)
    ]


def _counts(table: Table | None) -> dict[str, int]:
    if table is None:
        return {}
    return {"rows": _rows(table), "files": table.files, "bytes": table.bytes, "partitions": table.partitions}


def _rows(table: Table | None) -> int:
    return (table.rows or 0) if table else 0


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
        columns=_columns(contract, document),
        settings=read_settings(document),
        quality=contract_checks(contract),
    )


def _columns(contract: Contract, document: Document) -> tuple[ContractColumn, ...]:
    # As it is written there: what runs has casts around everything.
    logic = {one["name"]: one.get("transformLogic", "") for one in document.data["schema"][0]["properties"]}
    return tuple(
        ContractColumn(
            name=column.name,
            type=column.type.sql,
            required=column.never_null,
            unique=(column.name,) in contract.unique_keys,
            partition_key=column.name in contract.partitions,
            expression=logic[column.name] if column.expression else "",
            description=column.description,
            rules=column_rules(column),
        )
        for column in contract.columns
    )
