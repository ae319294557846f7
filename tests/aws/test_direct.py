"""metadata_sync = "direct": no crawl is made, and rows can be queried all the same when they are announced."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.aws import Emulator
from support.deployed import HEADER, Deployment

from lakehead.aws.glue_catalog import GlueTable, sync


@pytest.fixture(scope="module")
def direct(deployment: Deployment) -> Iterator[Deployment]:
    """The same deployment, changed in place, and changed back."""
    deployment.terraform.set(metadata_sync="direct")
    deployment.terraform.apply()
    yield deployment
    deployment.terraform.set(metadata_sync="crawler")
    deployment.terraform.apply()


@pytest.mark.slow
def test_rows_can_be_queried_without_a_crawl(direct: Deployment) -> None:
    _ = direct.mailbox
    seen = len(direct.emulator.calls)
    key = direct.land(HEADER + "900,C1,Pen,2,1.50,2032-01-01\n901,C1,Pen,2,1.50,2032-01-02\n")
    assert direct.loaded(key)["rows_committed"] == 2
    assert len(direct.told(key)) == 1

    asked = {"DatabaseName": direct.lake["database"], "TableName": "processed_orders"}
    for day in ("2032-01-01", "2032-01-02"):
        direct.emulator.glue.get_partition(**asked, PartitionValues=[day])
    found = direct.query("SELECT order_id, total_amount FROM processed_orders WHERE order_id IN (900, 901) ORDER BY 1")
    assert found == [["900", "3.00"], ["901", "3.00"]]

    calls = direct.emulator.calls[seen:]
    assert not [call for call in calls if "Crawler" in call["action"] or call["principal"].endswith("-crawler")]
    assert all(call["allowed"] for call in calls)


@pytest.mark.slow
def test_registering_again_is_no_error(direct: Deployment) -> None:
    key = direct.land(HEADER + "910,C1,Pen,2,1.50,2032-01-03\n")
    direct.loaded(key)
    direct.emulator.lose_the_next_answer("Glue.InternalServiceException")
    direct.land(HEADER + "911,C1,Pen,2,1.50,2032-01-03\n", key=key)
    assert {one["status"] for one in direct.ended(key, 2)} == {"SUCCEEDED"}
    assert direct.query("SELECT order_id FROM processed_orders WHERE order_id IN (910, 911)") == [["911"]]


@pytest.mark.slow
def test_the_job_may_write_to_its_tables_only_now(direct: Deployment) -> None:
    iam = direct.emulator.client("iam")
    states = iam.get_role_policy(RoleName=direct.lake["roles"]["states"], PolicyName="ingest")["PolicyDocument"]
    job = iam.get_role_policy(RoleName=direct.lake["roles"]["etl"], PolicyName="load")["PolicyDocument"]
    assert not [one for one in states["Statement"] if one["Sid"] == "RunCrawlers"]
    (register,) = [one for one in job["Statement"] if one["Sid"] == "RegisterPartitions"]
    used = {call["action"] for call in direct.emulator.calls if call["principal"] == direct.lake["roles"]["etl"]}
    # These are for a contract that changed.
    assert set(register["Action"]) - used <= {"glue:BatchUpdatePartition", "glue:UpdateTable"}
    assert all("*" not in resource for resource in register["Resource"])


@pytest.fixture
def table(emulator: Emulator) -> GlueTable:
    """A table of a database that nobody else uses, not made yet."""
    database = f"direct_{uuid.uuid4().hex[:8]}"
    emulator.glue.create_database(DatabaseInput={"Name": database})
    return GlueTable(database, "sold", "s3://b/sold/", (("n", "bigint"),), ("shop",), ("shop=a%2Fb", "shop=c"))


def test_jobs_that_end_together_make_one_table(emulator: Emulator, table: GlueTable) -> None:
    shops = [replace(table, partitions=(f"shop={n}",)) for n in range(16)]
    with ThreadPoolExecutor(len(shops)) as pool:
        list(pool.map(lambda shop: sync(emulator.glue, shop), shops))
    found = emulator.glue.get_partitions(DatabaseName=table.database, TableName=table.table)["Partitions"]
    assert sorted(int(one["Values"][0]) for one in found) == list(range(16))


def test_values_are_registered_as_they_are_and_follow_the_contract(emulator: Emulator, table: GlueTable) -> None:
    sync(emulator.glue, table)
    wider = replace(table, columns=(*table.columns, ("m", "string")), partitions=("shop=a%2Fb", "shop=d"))
    sync(emulator.glue, wider)
    asked = {"DatabaseName": table.database, "TableName": table.table}
    found = {
        one["Values"][0]: (
            one["StorageDescriptor"]["Location"],
            [column["Name"] for column in one["StorageDescriptor"]["Columns"]],
        )
        for one in emulator.glue.get_partitions(**asked)["Partitions"]
    }
    assert found == {
        "a/b": ("s3://b/sold/shop=a%2Fb/", ["n", "m"]),
        "c": ("s3://b/sold/shop=c/", ["n"]),
        "d": ("s3://b/sold/shop=d/", ["n", "m"]),
    }
    columns = emulator.glue.get_table(DatabaseName=table.database, Name=table.table)["Table"]["StorageDescriptor"]
    assert [column["Name"] for column in columns["Columns"]] == ["n", "m"]
