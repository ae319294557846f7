"""The fixtures of both stores."""

from support.stores import bucket, s3_address, s3_client_store, store

__all__ = ["bucket", "s3_address", "s3_client_store", "store"]
