"""Opens the store that an address names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from lakehead.errors import ConfigError
from lakehead.storage.base import ObjectStore
from lakehead.storage.local import LocalStore
from lakehead.storage.s3 import S3Store


def open_store(address: str | Path, *, region: str = "", profile: str = "") -> ObjectStore:
    """The store at an address.

    A path is a directory of buckets; `s3://` is S3 with the credentials that boto3 finds; `http(s)://host:port` is an
    S3-compatible service. Raises ConfigError for any other address.
    """
    if isinstance(address, Path):
        return LocalStore(address)
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        return S3Store(endpoint_url=address, region=region, profile=profile)
    if address == "s3://":
        return S3Store(region=region, profile=profile)
    if "://" in address:
        hint = "Use a directory, s3:// for AWS, or the http(s):// address of an S3-compatible service."
        raise ConfigError("not the address of an object store", hint=hint, received=address)
    return LocalStore(Path(address))
