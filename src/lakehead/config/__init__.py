"""A lake's settings: flag before environment variable before `lakehead.toml` before default, decided here only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakehead.config.document import Document, check_text, nearest
from lakehead.config.settings import BY_NAME, SETTINGS, Setting, Unfit, slug
from lakehead.errors import ConfigError
from lakehead.notify.message import Subscription

FILE_NAME = "lakehead.toml"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""What only this machine can reach."""

__all__ = ["FILE_NAME", "LOOPBACK", "LakeConfig", "Origin", "Subscription", "explain", "find_lake", "load_config"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from. `source`: flag, environment, file or default; `place`: the variable, or `file:line`."""

    source: str
    place: str = ""

    def __str__(self) -> str:
        return self.place or self.source


@dataclass(frozen=True, slots=True)
class LakeConfig:
    """One environment of one lake. Paths are absolute; `threads` 0 means every core; `*_seconds` are seconds."""

    root: Path
    name: str
    environment: str
    storage: str
    runtime: str
    storage_path: Path
    region: str
    endpoint_url: str
    profile: str
    raw_bucket: str
    processed_bucket: str
    engine: str
    master: str
    memory_limit: str
    threads: int
    concurrency: int
    poll_seconds: float
    settle_seconds: float
    reconcile_seconds: float
    complete_seconds: float
    query_seconds: float
    retention_days: int
    console: bool
    console_host: str
    console_port: int
    console_token: bool
    console_hosts: str
    upload_bytes: int
    log_level: str
    notify: tuple[Subscription, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)

    @property
    def file(self) -> Path:
        """The lake's `lakehead.toml`."""
        return self.root / FILE_NAME

    @property
    def store_address(self) -> Path | str:
        """What `storage.open_store` takes: the folder of buckets, an S3-compatible server's address, or `s3://`."""
        return self.storage_path if self.storage == "local" else self.endpoint_url or "s3://"

    @property
    def state_dir(self) -> Path:
        """The databases and logs of this environment."""
        return self.root / ".lakehead" / self.environment

    @property
    def log_file(self) -> Path:
        """The log, one JSON object per line."""
        return self.state_dir / "logs" / "lakehead.jsonl"

    @property
    def proofs_file(self) -> Path:
        """What was proven of the lake; may be deleted at any time."""
        return self.state_dir / "proofs.db"

    @property
    def contracts_dir(self) -> Path:
        """The folder of `<dataset>.odcs.yaml`."""
        return self.root / "contracts"

    @property
    def queries_dir(self) -> Path:
        """The folder of named queries."""
        return self.root / "queries"

    @property
    def workflow_file(self) -> Path:
        """The lake's workflow document."""
        return self.root / "workflow" / "ingest.asl.json"

    @property
    def database(self) -> str:
        """The catalog's database, `sales_dev`."""
        return re.sub(r"[^0-9a-z_]", "_", f"{self.name}_{self.environment}")


def load_config(
    start: Path | None = None,
    env: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> LakeConfig:
    """The settings of one environment of the lake at `start`.

    Without `start` the lake is the one that LAKEHEAD_LAKE names, or the nearest one at or above the current folder.
    `overrides` come from flags. Raises ConfigError.
    """
    variables = os.environ if environ is None else environ
    root = find_lake(start, environ=variables)
    document = Document(root / FILE_NAME)
    flags = {name: value for name, value in (overrides or {}).items() if value is not None}
    for name in flags:
        if name not in BY_NAME:
            raise ConfigError(f'unknown setting "{name}"', hint=nearest(name, BY_NAME), source="flag")
    environment, chosen_by = _environment(document, env, variables)
    stated = {**document.lake(), **document.environment(environment)}
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for setting in SETTINGS:
        values[setting.name], origins[setting.name] = _decide(setting, stated, flags, variables)
    values["environment"], origins["environment"] = environment, chosen_by
    if values["name"] is None:
        raise ConfigError(
            "the lake has no name", hint='Write name = "sales" below [lake].', file=str(document.file), key="name"
        )
    for zone in ("raw", "processed"):
        if values[f"{zone}_bucket"] is None:
            values[f"{zone}_bucket"] = f"{values['name']}-datalake-{zone}-{environment}"
    values["storage_path"] = _below(root, values["storage_path"])
    subscriptions = tuple(
        Subscription(entry["name"], entry["url"], entry["on"]) for entry in document.subscriptions(environment)
    )
    config = LakeConfig(root=root, notify=subscriptions, origins=origins, **values)
    _check_whole(config)
    return config


def find_lake(start: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Path:
    """The lake's folder: `start`, else LAKEHEAD_LAKE, else the nearest at or above the current folder."""
    variables = os.environ if environ is None else environ
    named = start or (Path(variables["LAKEHEAD_LAKE"]) if variables.get("LAKEHEAD_LAKE") else None)
    if named is not None:
        folder = named.parent if named.name == FILE_NAME else named
        if not (folder / FILE_NAME).is_file():
            raise ConfigError(
                f"there is no lake: {folder} holds no {FILE_NAME}",
                hint=f"Make one with: lakehead init {folder}",
                path=str(folder),
            )
        return folder.resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise ConfigError(
        f"no {FILE_NAME} in this folder or above it",
        hint="Go into a lake, name one with --lake DIR, or make one with: lakehead init DIR",
        path=str(here),
    )


def explain(config: LakeConfig) -> list[tuple[str, str, str]]:
    """Every setting as (name, value, where it came from), with file and line; secrets are left out."""
    document = Document(config.file)
    rows = []
    for setting in SETTINGS:
        origin = config.origins.get(setting.name, Origin("default"))
        place: tuple[str, ...] = ("lake",) if setting.table == "lake" else ("env", config.environment)
        where = str(origin)
        if origin.source == "file":
            line = document.line_of((*place, setting.name))
            where = f"{config.file.name}:{line}" if line else config.file.name
        rows.append((setting.name, _plain(getattr(config, setting.name)), where))
    for subscription in config.notify:
        rows.append((f"notify.{subscription.name}", f"{redacted(subscription.url)} on {subscription.on}", FILE_NAME))
    return rows


def redacted(url: str) -> str:
    """An address without anything that may be secret: an `env:` reference as it is, else its scheme only."""
    return url if url.startswith("env:") else url.partition(":")[0] + "://***"


def _environment(document: Document, flag: str | None, variables: Mapping[str, str]) -> tuple[str, Origin]:
    stated = document.lake().get("environment")
    if flag:
        name, origin = flag, Origin("flag", "--env")
    elif variables.get("LAKEHEAD_ENV"):
        name, origin = variables["LAKEHEAD_ENV"], Origin("environment", "LAKEHEAD_ENV")
    elif stated:
        name, origin = stated, Origin("file", document.file.name)
    else:
        name, origin = "dev", Origin("default")
    known = document.environments()
    if name not in known:
        hint = nearest(name, known) if known else f"Write a table [env.{_slug_or(name)}] into {document.file.name}."
        raise ConfigError(f'no environment "{name}" in {document.file.name}', hint=hint, file=str(document.file))
    return name, origin


def _decide(
    setting: Setting, stated: Mapping[str, Any], flags: Mapping[str, Any], variables: Mapping[str, str]
) -> tuple[Any, Origin]:
    """The value of one setting: flag, then environment variable, then file, then default."""
    if setting.name in flags:
        return check_text(setting, flags[setting.name], source=f"flag {setting.name}"), Origin("flag", "flag")
    if variables.get(setting.variable):
        value = check_text(setting, variables[setting.variable], source=setting.variable)
        return value, Origin("environment", setting.variable)
    if setting.name in stated:
        return stated[setting.name], Origin("file", FILE_NAME)
    return setting.default, Origin("default")


def _below(root: Path, stated: str) -> Path:
    """A path as the file states it, made absolute; `~` is the user's home."""
    try:
        return (root / Path(stated).expanduser()).resolve()
    except (RuntimeError, OSError, ValueError) as error:
        raise ConfigError(f"storage_path: {error}", key="storage_path", received=stated) from error


def _check_whole(config: LakeConfig) -> None:
    """What no single value can be blamed for."""
    if config.raw_bucket == config.processed_bucket:
        raise ConfigError(
            "raw_bucket and processed_bucket are the same: the lake would load its own output",
            file=str(config.file),
            received=config.raw_bucket,
        )
    if config.runtime == "aws" and config.storage != "s3":
        raise ConfigError(
            'runtime = "aws" needs storage = "s3": what AWS runs has its objects in S3',
            hint=f'Write storage = "s3" below [env.{config.environment}].',
            file=str(config.file),
            received=config.storage,
        )
    if config.console and not config.console_token and config.console_host not in LOOPBACK:
        raise ConfigError(
            "console_token = false lets everybody in who can reach console_host",
            hint="Leave console_token on, or let the console listen at 127.0.0.1.",
            file=str(config.file),
            received=config.console_host,
        )


def _slug_or(name: str) -> str:
    try:
        return slug(name)
    except Unfit:
        return "dev"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if not isinstance(value, float) else f"{value:g}"
