"""The datasets that a lake has, and how files come into their raw zone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

from lakehead.config import LakeConfig
from lakehead.contract import Contract, load_contracts
from lakehead.errors import ConfigError, InvalidKey, NotFound, UsageError
from lakehead.model import ObjectVersion
from lakehead.storage import ObjectStore, layout


def lake_contracts(config: LakeConfig) -> Mapping[str, Contract]:
    """The contract of every dataset. Raises ContractError, and ConfigError where there is none."""
    contracts = load_contracts(config.contracts_dir)
    if not contracts:
        raise ConfigError(
            "the lake has no contract",
            hint="Write contracts/<folder>/<dataset>.odcs.yaml, or start from: lakehead init",
            path=str(config.contracts_dir),
        )
    return contracts


def dataset_named(contracts: Mapping[str, Contract], name: str | None) -> str:
    """The dataset of this name; without one the lake's only dataset. Raises UsageError and NotFound."""
    if name is None and len(contracts) == 1:
        return next(iter(contracts))
    if name is None:
        raise UsageError("the lake has several datasets", hint=f"Name one: {', '.join(sorted(contracts))}")
    if name not in contracts:
        raise NotFound("no contract describes this dataset", dataset=name, hint=f"Known: {', '.join(contracts)}")
    return name


def datasets_named(contracts: Mapping[str, Contract], name: str | None) -> list[str]:
    """The dataset of this name; without one all of them, in order. Raises NotFound."""
    return [dataset_named(contracts, name)] if name else sorted(contracts)


def check_name(name: str) -> str:
    """The name of a file that may land. Raises UsageError for a kind that no lake loads, and InvalidKey."""
    if not name.endswith((".csv", ".csv.gz")):
        raise UsageError("only .csv and .csv.gz files are loaded", file=name)
    if name.startswith((".", "_")):
        raise InvalidKey("names that begin with a dot or an underscore are invisible in a lake", file=name)
    if "/" in name or not name.isprintable():
        raise InvalidKey("a file's name has no slash and no control character", file=name)
    return name


def put_files(
    store: ObjectStore,
    bucket: str,
    dataset: str,
    day: date,
    files: Sequence[Path],
    progress: Callable[[Path], None] | None = None,
    *,
    move: bool = False,
) -> list[ObjectVersion]:
    """Copy files into the raw zone, each whole or not at all; none where one of them could not be loaded.

    With `move` the files are gone afterwards. Raises what `check_name` and the store raise.
    """
    for path in files:
        check_name(path.name)
    landed = []
    for path in files:
        found = store.put_file(bucket, layout.raw_key(dataset, day, path.name), path, move=move)
        landed.append(ObjectVersion(found.bucket, found.key, found.etag, found.size, found.sequencer, found.version_id))
        if progress:
            progress(path)
    return landed
