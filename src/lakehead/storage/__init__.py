"""Where objects are: buckets of them in a local directory or in S3, behind one protocol."""

from lakehead.storage.base import Move, ObjectInfo, ObjectStore, Put
from lakehead.storage.local import LocalStore
from lakehead.storage.s3 import S3Store
from lakehead.storage.stores import open_store

__all__ = ["LocalStore", "Move", "ObjectInfo", "ObjectStore", "Put", "S3Store", "open_store"]
