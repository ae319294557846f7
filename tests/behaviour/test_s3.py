"""The same lake on S3: a real server process, buckets with versions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from support.lakedir import LakeDir, rows
from support.stores import s3_address

from lakehead.aws.lake import AwsLake
from lakehead.config import load_config
from lakehead.console.desk import QueryDesk
from lakehead.lake import Lake

__all__ = ["s3_address"]

HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
SECONDS = 60.0
ALL = "SELECT order_id, total_amount FROM processed_orders ORDER BY order_id"


def test_a_lake_on_s3_loads_rewrites_and_answers(
    lake_dir: Callable[[str], LakeDir], s3_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    where = lake_dir("sales")
    settings = where.root / "lakehead.toml"
    text = settings.read_text().replace("poll_seconds = 20", "poll_seconds = 0")
    text = text.replace("settle_seconds = 2", "settle_seconds = 0").replace("eu-central-1", "us-east-1")
    settings.write_text(text.replace('# endpoint_url = "http://localhost:9000"', f'endpoint_url = "{s3_address}"'))
    source = where.root / "a.csv"
    source.write_text(HEADER + "1,C1,Mouse,2,500,2025-01-01\n2,C1,Mouse,x,500,2025-01-02\n")

    with Lake.open(load_config(where.root, env="prod")) as lake:
        for bucket in (lake.config.raw_bucket, lake.config.processed_bucket):
            lake.store.create_bucket(bucket)
        lake.put([source])
        summary = lake.ingest()
        assert (summary.succeeded, summary.rows_committed, summary.rows_quarantined) == (1, 1, 1)
        assert rows(lake, ALL) == [(1, Decimal("1000.00"))]
        assert lake.ingest().started == 0
        source.write_text(HEADER + "1,C1,Mouse,3,500,2025-01-01\n")
        lake.put([source])
        assert lake.ingest().succeeded == 1
        assert rows(lake, ALL) == [(1, Decimal("1500.00"))]
        assert lake.quarantine_rows() == []
        assert lake.verify().ok
        ask_at_the_desk(lake)
        land_by_moving(lake, source)


def land_by_moving(lake: Lake, file: Path) -> None:
    """As the console does with what it was sent: uploaded whole, and recorded at once under its execution's name."""
    text = HEADER + "3,C1,Mouse,1,500,2025-01-03\n"
    for new in (True, False):
        file.write_text(text)
        landed = lake.land(file)
        assert (landed.new, landed.size) == (new, len(text)) and not file.exists()
        lake.ingest()
        assert lake.run(landed.execution).summary.status == "SUCCEEDED"
    assert (3, Decimal("500.00")) in rows(lake, ALL)


def ask_at_the_desk(lake: Lake) -> None:
    """A process that may read no file but its own has the credentials of its parent, and downloads to the cache."""
    for file in (lake.config.state_dir / "cache").rglob("*.parquet"):
        file.unlink()
    with closing(QueryDesk(lake)) as desk:
        state = desk.wait(desk.submit(ALL).id, SECONDS)
        assert (state.status, state.files) == ("SUCCEEDED", 1), state
        assert desk.page(state.id).rows == ((1, "1500.00"),)
        refused = desk.wait(desk.submit("SELECT * FROM read_text('/etc/passwd')").id, SECONDS)
        assert refused.status == "FAILED"


def test_an_environment_that_aws_runs_forgets_what_is_deleted(
    lake_dir: Callable[[str], LakeDir], s3_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands need nothing but the buckets for it; here a lake of this machine has loaded what is in them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    where = lake_dir("sales")
    settings = where.root / "lakehead.toml"
    text = settings.read_text().replace("eu-central-1", "us-east-1").replace('name = "sales"', 'name = "forgets"')
    text = text.replace("poll_seconds = 20", "poll_seconds = 0").replace("settle_seconds = 2", "settle_seconds = 0")
    settings.write_text(text.replace('# endpoint_url = "http://localhost:9000"', f'endpoint_url = "{s3_address}"'))
    with Lake.open(load_config(where.root, env="prod")) as lake:
        for bucket in (lake.config.raw_bucket, lake.config.processed_bucket):
            lake.store.create_bucket(bucket)
        for name in ("kept", "goes"):
            source = where.root / f"{name}.csv"
            source.write_text(HEADER + f"{len(name)},{name},Mouse,2,500,2025-01-01\n7,{name},Mouse,x,5,2025-01-02\n")
            lake.put([source])
        lake.ingest()
    config = load_config(where.root, env="prod", overrides={"runtime": "aws"})
    with AwsLake.open(config) as aws:
        key = next(info.key for info in aws.store.list(config.raw_bucket) if info.key.endswith("goes.csv"))
        (done,) = aws.delete(aws.deletable([key]), by="me", keep_key=False)
        assert (done.rows_committed, done.rows_quarantined, done.files, done.key) == (1, 1, 2, "")
        assert [one.deleted for one in aws.deletable([key])] == [True]
        assert aws.delete(aws.deletable([key]), by="me") == []
        assert (aws.verify().ok, aws.verify().read) == (True, 0)
        for bucket in (config.raw_bucket, config.processed_bucket):
            assert not any(b"goes" in aws.store.get(bucket, info.key) for info in aws.store.list(bucket))
