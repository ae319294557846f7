"""From a file to a Contract: read, held against the standard, and refused where it asks for what cannot be run."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

from lakehead.contract.document import Document, Place, shown
from lakehead.contract.model import Column, Contract, Kind
from lakehead.contract.properties import read_columns
from lakehead.contract.quality import QualityReader
from lakehead.contract.settings import dialect, read_settings
from lakehead.contract.standard import check
from lakehead.errors import ContractError, UnsupportedContract

ENDINGS = (".odcs.yaml", ".odcs.yml", ".odcs.json", ".yaml", ".yml")
DATASET_PART = r"[a-z][a-z0-9_-]{0,62}"
"""What stands between the slashes of a dataset's name."""
_PARTITION_KINDS = (Kind.STRING, Kind.INTEGER, Kind.BOOLEAN, Kind.DATE)


def load_contracts(directory: Path) -> dict[str, Contract]:
    """Every contract below a directory, by its dataset (`sales/orders` for `sales/orders.odcs.yaml`).

    Raises ContractError, also where the directory does not exist or two files describe one dataset.
    """
    if not directory.is_dir():
        raise ContractError("there is no such folder of contracts", file=str(directory))
    found: dict[str, Contract] = {}
    for path in sorted(directory.rglob("*")):
        if path.name.endswith(ENDINGS) and not path.name.startswith(".") and path.is_file():
            contract = load_contract(path, root=directory)
            if contract.dataset in found:
                raise ContractError(f"two files describe the dataset {contract.dataset}", file=str(path))
            found[contract.dataset] = contract
    return found


def contract_file(directory: Path, dataset: str) -> Path:
    """The file below a directory that describes a dataset. Raises ContractError where there is none."""
    for ending in ENDINGS:
        path = directory / f"{dataset}{ending}"
        if path.is_file():
            return path
    raise ContractError("the dataset's contract is gone", dataset=dataset, file=str(directory / dataset))


def load_contract(path: Path, *, root: Path | None = None) -> Contract:
    """The contract in one file. Its dataset is its path below `root` (default: the nearest folder named `contracts`).

    Raises ContractError for a document that is no ODCS contract, UnsupportedContract for one that cannot be run.
    """
    dataset = _dataset(path, root)
    document = Document(path)
    check(document)
    return _Reader(document, dataset).read()


def _dataset(path: Path, root: Path | None) -> str:
    if root is None:
        root = next(
            (parent for parent in path.absolute().parents if parent.name == "contracts"), path.absolute().parent
        )
    relative = path.absolute().relative_to(root.absolute()).as_posix()
    ending = next((ending for ending in ENDINGS if relative.endswith(ending)), "")
    dataset = relative.removesuffix(ending)
    if not all(re.fullmatch(DATASET_PART, part) for part in dataset.split("/")):
        hint = "A dataset is named by the path of its contract: small letters, digits, hyphens, underscores."
        raise UnsupportedContract(f"{shown(dataset)} cannot name a dataset", hint=hint, file=str(path))
    return dataset


class _Reader:
    def __init__(self, document: Document, dataset: str) -> None:
        self.document, self.dataset = document, dataset
        self.data: dict[str, Any] = document.data

    def read(self) -> Contract:
        entry = self._schema()
        settings = read_settings(self.document)
        found_dialect = dialect(settings, self.document)
        place: Place = ("schema", 0)
        entries = entry["properties"]
        columns = read_columns(self.document, (*place, "properties"), entries)
        quality = QualityReader(self.document, columns, found_dialect.null_texts)
        for number, (column, written) in enumerate(zip(columns, entries, strict=True)):
            quality.read((*place, "properties", number), written.get("quality", []), column)
        quality.read(place, entry.get("quality", []), None)
        columns = tuple(_with_quality(column, quality) for column in columns)
        contract = Contract(
            dataset=self.dataset,
            name=self.data.get("name") or entry["name"],
            version=self.data["version"],
            id=self.data["id"],
            sha256=self.document.sha256,
            columns=columns,
            dialect=found_dialect,
            unique_keys=_unique_keys(entries, quality),
            quality=tuple(quality.checks),
            partitions=self._partitions(columns, entries),
            on_rewrite=settings.get("onRewrite", "replace"),
            on_duplicate_content=settings.get("onDuplicateContent", "load"),
            max_quarantined_share=settings.get("maxQuarantinedShare", 1.0),
            raw_table_prefix=settings.get("rawTablePrefix", "raw_"),
            processed_table_prefix=settings.get("processedTablePrefix", "processed_"),
            quarantine_table_prefix=settings.get("quarantineTablePrefix", "quarantine_"),
            description=entry.get("description", ""),
        )
        self._check_names(contract, entry)
        return contract

    def _schema(self) -> dict[str, Any]:
        if not self.data["apiVersion"].startswith("v3."):
            hint = "Write apiVersion: v3.1.0 and what has changed since."
            message = f"apiVersion {self.data['apiVersion']} is not supported"
            raise self.document.unsupported(("apiVersion",), message, hint)
        objects = self.data.get("schema", [])
        if len(objects) != 1:
            place: Place = ("schema", 1) if objects else ("schema",)
            hint = "A contract describes one dataset: write one file for each."
            raise self.document.unsupported(place, f"expected one schema object, received {len(objects)}", hint)
        entry: dict[str, Any] = objects[0]
        if not entry.get("properties"):
            raise self.document.unsupported(("schema", 0), "the schema object has no properties")
        return entry

    def _partitions(self, columns: tuple[Column, ...], entries: list[dict[str, Any]]) -> tuple[str, ...]:
        found: list[tuple[int, str]] = []
        for number, (column, entry) in enumerate(zip(columns, entries, strict=True)):
            place = ("schema", 0, "properties", number)
            position = entry.get("partitionKeyPosition", -1)
            if not column.partitioned:
                if position > 0:
                    raise self.document.invalid(place, "partitionKeyPosition without partitioned: true")
                continue
            if not column.required:
                raise self.document.unsupported(place, "a partition column cannot be null", "Add required: true")
            if column.type.kind not in _PARTITION_KINDS:
                hint = "Partition by a date, an integer, a boolean or a short string."
                raise self.document.unsupported(place, f"a partition column of type {column.type.sql}", hint)
            found.append((position, column.name))
        positions = [position for position, _ in found]
        if any(position > 0 for position in positions) and sorted(positions) != list(range(1, len(found) + 1)):
            message = f"partitionKeyPosition: expected 1 to {len(found)}, each once, received {positions}"
            raise self.document.invalid(("schema", 0, "properties"), message)
        if len(found) == len(columns):
            raise self.document.unsupported(("schema", 0, "properties"), "every column is a partition column")
        return tuple(name for _, name in sorted(found, key=lambda item: item[0]))

    def _check_names(self, contract: Contract, entry: dict[str, Any]) -> None:
        tables = (contract.raw_table, contract.processed_table, contract.quarantine_table)
        if len(set(tables)) < 3:
            raise self.document.invalid(("customProperties",), f"two tables would be named alike: {', '.join(tables)}")
        physical = entry.get("physicalName")
        if physical not in (None, contract.dataset, contract.table, *tables):
            hint = f"It is named by the contract's path, {contract.dataset}; rename the file or leave physicalName out."
            raise self.document.unsupported(("schema", 0, "physicalName"), f"physicalName {shown(physical)}", hint)


def _with_quality(column: Column, quality: QualityReader) -> Column:
    required = column.required or column.name in quality.required
    rules = (*column.rules, *(rule for rule in quality.rules.get(column.name, []) if rule not in column.rules))
    return dataclasses.replace(column, required=required, rules=tuple(dict.fromkeys(rules)))


def _unique_keys(entries: list[dict[str, Any]], quality: QualityReader) -> tuple[tuple[str, ...], ...]:
    primary = [entry for entry in entries if entry.get("primaryKey")]
    primary.sort(key=lambda entry: entry.get("primaryKeyPosition", -1))
    keys = [tuple(entry["name"] for entry in primary)] if primary else []
    keys += [(entry["name"],) for entry in entries if entry.get("unique")]
    return tuple(dict.fromkeys([*keys, *quality.unique]))
