"""Every setting of a lake in one table: its name, kind, default and meaning, and how its value is checked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

ENV_PREFIX = "LAKEHEAD_"
LOG_LEVELS = ("debug", "info", "warning", "error")


class Unfit(Exception):
    """A value that its setting cannot take. `expected` completes the sentence "expected ..."."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `read` turns a value of the file (or an environment variable's text) into the setting's value.

    A default of None means that the value is made from others (see `config.defaults_for`).
    """

    name: str
    read: Callable[[Any], Any]
    default: Any
    doc: str
    table: str = "env"

    @property
    def variable(self) -> str:
        """The environment variable that overrides the file, `LAKEHEAD_THREADS`."""
        return ENV_PREFIX + ("ENV" if self.name == "environment" else self.name.upper())


def text(value: Any) -> str:
    """Text without control characters."""
    if not isinstance(value, str):
        raise Unfit("text")
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise Unfit("text without control characters")
    return value


def whole(minimum: int, maximum: int) -> Callable[[Any], int]:
    """A whole number in a range, or its digits as text."""
    expected = f"a whole number from {minimum:,} to {maximum:,}"

    def read(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise Unfit(expected)
        return value

    return read


def seconds(maximum: float = 86_400) -> Callable[[Any], float]:
    """A number of seconds from 0 to `maximum`."""
    expected = f"a number of seconds from 0 to {maximum:,.0f}"

    def read(value: Any) -> float:
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise Unfit(expected) from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unfit(expected)
        if not 0 <= value <= maximum or math.isnan(value):
            raise Unfit(expected)
        return float(value)

    return read


def one_of(*choices: str) -> Callable[[Any], str]:
    """One of a few words, in any case."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value.lower() not in choices:
            raise Unfit("one of " + ", ".join(f'"{choice}"' for choice in choices))
        return value.lower()

    return read


def memory(value: Any) -> str:
    """An amount of memory as DuckDB writes it, `1GB`, `512MiB`."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?\s?[KMGT]i?B", value):
        raise Unfit('an amount of memory such as "512MB" or "2GB"')
    if float(re.sub(r"[^0-9.]", "", value)) == 0:
        raise Unfit("an amount of memory above zero")
    return value


def bucket(value: Any) -> str:
    """A bucket name by S3's rules."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value) or ".." in value:
        raise Unfit("a bucket name: 3 to 63 of a-z, 0-9, hyphen and dot, beginning and ending with a letter or digit")
    return value


def slug(value: Any) -> str:
    """A short name that becomes part of buckets, databases and crawlers."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?", value):
        raise Unfit("a name of at most 20 of a-z, 0-9 and hyphen")
    return value


def url(value: Any) -> str:
    """An http or https address without user and password, or nothing."""
    if not isinstance(value, str) or (value and not re.fullmatch(r"https?://[^\s/?#@]+(/\S*)?", value)):
        raise Unfit("an address such as http://localhost:9000")
    return text(value)


def flag(value: Any) -> bool:
    """True or false, or one of these words as text."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        value = value.lower() == "true"
    if not isinstance(value, bool):
        raise Unfit("true or false")
    return value


HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z]([0-9a-z.-]*[0-9a-z])?)(:[0-9]{1,5})?")


def host(value: Any) -> str:
    """A name or an address of this machine, without a port. IPv6 as it is, `::1`."""
    name = value.lower() if isinstance(value, str) else ""
    if ":" in name:
        try:
            return str(IPv6Address(name))
        except ValueError:
            name = ""
    if not HOST.fullmatch(name):
        raise Unfit("a host such as 127.0.0.1, without a port")
    return name


def hosts(value: Any) -> str:
    """Names as a browser's Host header has them, with or without a port, separated by commas; or nothing."""
    names = [name.strip().lower() for name in value.split(",")] if isinstance(value, str) and value.strip() else []
    if not isinstance(value, str) or not all(HOST.fullmatch(name) for name in names):
        raise Unfit("host names separated by commas, such as lake.example.com, lake.example.com:8443")
    return ",".join(names)


def path(value: Any) -> str:
    """A path, relative to the lake's folder unless absolute."""
    if not text(value).strip():
        raise Unfit("a path")
    return text(value)


SETTINGS = (
    Setting("name", slug, None, "The lake's name; the start of its buckets' and databases' names.", "lake"),
    Setting("environment", slug, "dev", "The environment that commands use unless told otherwise.", "lake"),
    Setting("storage", one_of("local", "s3"), "local", "Where objects are: a folder of buckets, or S3."),
    Setting("runtime", one_of("embedded", "aws"), "embedded", "What runs the lake: this machine, or AWS as deployed."),
    Setting("storage_path", path, "data", "The folder of buckets, for storage = local."),
    Setting("region", text, "", "The AWS region, for storage = s3."),
    Setting(
        "endpoint_url",
        url,
        "",
        "Another S3-compatible server's address, for storage = s3; all of AWS's, for runtime = aws.",
    ),
    Setting("profile", text, "", "The AWS profile whose credentials to use, for storage = s3."),
    Setting("raw_bucket", bucket, None, "The bucket that files land in."),
    Setting("processed_bucket", bucket, None, "The bucket of Parquet files, commit records and quarantine."),
    Setting("engine", one_of("duckdb", "spark"), "duckdb", "What runs the ETL job."),
    Setting("master", text, "", "Spark's master, for engine = spark; empty: this machine, with `threads`."),
    Setting("memory_limit", memory, "1GB", "Memory of the engine: DuckDB's for one file, Spark's heap for all."),
    Setting("threads", whole(0, 1024), 0, "Threads of the engine; 0 takes every core."),
    Setting("concurrency", whole(1, 256), 4, "How many tasks run at the same time."),
    Setting("poll_seconds", seconds(), 0.0, "Pause between two looks at a running crawl."),
    Setting("settle_seconds", seconds(), 0.0, "Pause before the first look at a crawl (on AWS: 2)."),
    Setting("reconcile_seconds", seconds(), 60.0, "How often `up` lists the raw zone for what the watcher missed."),
    Setting("complete_seconds", seconds(3600), 1.0, "How long a landed file must lie unchanged to count as complete."),
    Setting("query_seconds", seconds(), 60.0, "How long a query may run."),
    Setting("retention_days", whole(14, 36_500), 90, "How long an execution is kept after its end."),
    Setting("console", flag, True, "Whether `up` serves the web console."),
    Setting("console_host", host, "127.0.0.1", "The address that the console listens at."),
    Setting("console_port", whole(0, 65_535), 8470, "Its port, 0 for any; unless stated, the next one that is free."),
    Setting(
        "console_token", flag, True, "Whether the console wants to be opened by a link of `lakehead console link`."
    ),
    Setting("console_hosts", hosts, "", "Other names that the console is reached by, as behind a proxy."),
    Setting("upload_bytes", whole(1, 1 << 50), 5_000_000_000, "The largest file that can be landed by the console."),
    Setting("log_level", one_of(*LOG_LEVELS), "info", "What is written to the log file."),
)
"""The settings, in the order in which `lakehead config show` tells them."""

BY_NAME = {setting.name: setting for setting in SETTINGS}
