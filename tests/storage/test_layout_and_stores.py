"""The keys that a lake uses, and which store an address opens."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from lakehead.errors import ConfigError
from lakehead.storage import LocalStore, S3Store, layout, open_store

OBJECT = "ab" * 32


def test_the_keys_of_a_lake() -> None:
    day = date(2025, 1, 3)
    assert layout.raw_key("sales/orders", day, "orders.csv") == "sales/orders/ingest_date=2025-01-03/orders.csv"
    digest = layout.version_digest("content", "contract")
    data = layout.data_key("sales/orders", "order_date=2025-01-01", OBJECT, digest, 0)
    assert data == f"sales/orders/order_date=2025-01-01/{OBJECT[:20]}-{digest}-0.parquet"
    assert layout.data_key("sales/orders", "", OBJECT, digest, 3) == f"sales/orders/{OBJECT[:20]}-{digest}-3.parquet"
    quarantined = layout.quarantine_key("sales/orders", OBJECT, digest)
    assert quarantined == f"quarantine/sales/orders/{OBJECT[:20]}-{digest}.parquet"
    assert layout.commit_key("sales/orders", OBJECT) == f"_lakehead/commits/sales/orders/{OBJECT}.json"
    assert layout.content_key("sales/orders", "cd" * 32) == f"_lakehead/content/sales/orders/{'cd' * 32}.json"
    assert layout.owner_of(data) == layout.owner_of(quarantined) == OBJECT[:20]
    assert layout.owner_of("sales/orders/notes.parquet") is None


def test_version_digests_keep_their_parts_apart() -> None:
    assert layout.version_digest("a", "bc") != layout.version_digest("ab", "c")
    assert len(layout.version_digest("a")) == 12


def test_a_key_belongs_to_the_longest_dataset() -> None:
    datasets = ["sales/orders", "sales/orders/returns", "sales"]
    assert layout.dataset_of("sales/orders/returns/x.csv", datasets) == "sales/orders/returns"
    assert layout.dataset_of("sales/orders/x.csv", datasets) == "sales/orders"
    assert layout.dataset_of("sales/ordersx/x.csv", datasets) == "sales"
    assert layout.dataset_of("other/x.csv", datasets) is None


@pytest.mark.parametrize(
    ("key", "expected"),
    [("a/b.csv", True), ("a/B.CSV.GZ", True), ("a/.b.csv", False), ("_a/b.csv", False), ("a/b.parquet", False)],
)
def test_what_counts_as_a_landed_file(key: str, expected: bool) -> None:
    assert layout.is_source(key) is expected


def test_an_address_opens_its_store(tmp_path: Path) -> None:
    assert isinstance(open_store(tmp_path), LocalStore)
    assert isinstance(open_store(str(tmp_path)), LocalStore)
    assert isinstance(open_store("s3://"), S3Store)
    assert isinstance(open_store("http://127.0.0.1:9000"), S3Store)
    for address in ("ftp://host", "s3://bucket/prefix"):
        with pytest.raises(ConfigError, match="address"):
            open_store(address)


def test_opening_a_local_store_imports_no_heavy_library() -> None:
    script = (
        "import sys, pathlib; from lakehead.storage import open_store; open_store(pathlib.Path('x'));"
        "sys.exit(bool({'boto3', 'botocore', 'duckdb', 'filelock'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
