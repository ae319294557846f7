"""The fixtures of both stores."""

from support.stores import bucket, s3_address, store

__all__ = ["bucket", "s3_address", "store"]
