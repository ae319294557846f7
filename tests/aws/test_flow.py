"""Files land, and what the lake promises holds: through events, executions, crawls, the job, the catalog and Athena."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.aws import until
from support.deployed import HEADER, Deployment
from support.terraform import SALES

from lakehead.model import object_id

DAY = "2031-05-{:02}"


def orders(deployment: Deployment, first: int, last: int) -> list[int]:
    """The order ids between two numbers that Athena finds."""
    sql = f"SELECT order_id FROM processed_orders WHERE order_id BETWEEN {first} AND {last} ORDER BY order_id"
    return [int(row[0] or 0) for row in deployment.query(sql)]


def test_a_landed_file_is_told_of_once_its_rows_can_be_queried(deployment: Deployment) -> None:
    _ = deployment.mailbox
    sample = (SALES / "samples" / "orders-2025-01-03.csv").read_text(encoding="utf-8")
    key = deployment.land(sample)

    assert deployment.loaded(key) == {"rows_read": 6, "rows_committed": 3, "rows_quarantined": 3}
    (message,) = deployment.told(key)
    assert message["Subject"] == "[test] sales/orders: new rows can be queried"
    assert "3 rows can be queried, 3 were quarantined, 6 were read." in message["Message"]
    assert message["MessageAttributes"]["outcome"]["Value"] == "success"

    (record,) = deployment.files(f"_lakehead/commits/sales/orders/{object_id(key)}.json")
    body = deployment.emulator.s3.get_object(Bucket=deployment.processed, Key=record)["Body"].read()
    assert {row["rows"] for row in json.loads(body[1024:])["quarantine"]} == {3}
    bad = deployment.query(f"SELECT line FROM quarantine_orders WHERE source_key = '{key}' ORDER BY line")
    assert bad == [["3"], ["4"], ["6"]]


def test_the_catalog_knows_columns_and_partitions(deployment: Deployment) -> None:
    key = deployment.land(HEADER + f"500,C1,Pen,3,1.50,{DAY.format(1)}\n")
    deployment.loaded(key)
    database, glue = deployment.lake["database"], deployment.emulator.glue
    table = glue.get_table(DatabaseName=database, Name="processed_orders")["Table"]
    types = {one["Name"]: one["Type"] for one in table["StorageDescriptor"]["Columns"]}
    assert types["price"] == "decimal(12,2)" and types["order_id"] == "bigint" and "order_date" not in types
    assert table["PartitionKeys"] == [{"Name": "order_date", "Type": "string"}]
    asked = {"DatabaseName": database, "TableName": "processed_orders"}
    partition = glue.get_partition(**asked, PartitionValues=[DAY.format(1)])["Partition"]
    assert partition["StorageDescriptor"]["Location"].endswith(f"/sales/orders/order_date={DAY.format(1)}/")
    raw = glue.get_table(DatabaseName=database, Name="raw_orders")["Table"]
    assert {one["Type"] for one in raw["StorageDescriptor"]["Columns"]} == {"string"}
    assert raw["PartitionKeys"] == [{"Name": "ingest_date", "Type": "string"}]


def test_named_queries_answer(deployment: Deployment) -> None:
    key = deployment.land(HEADER + f"510,C1,Gold bar,1000,9999999.99,{DAY.format(2)}\n")
    deployment.loaded(key)
    best = deployment.query((SALES / "queries" / "top_products.sql").read_text(encoding="utf-8"))
    assert best[0] == ["Gold bar", "1000", "9999999990.00"]
    days = deployment.query((SALES / "queries" / "daily_revenue.sql").read_text(encoding="utf-8"))
    assert [DAY.format(2), "1", "9999999990.00"] in [row[:3] for row in days]


def test_a_second_dataset_needs_only_its_contract(deployment: Deployment) -> None:
    text = "return_id;amount;returned_on\n1;9.50;2031-06-01\n2;x;2031-06-01\n"
    key = deployment.land(text, dataset="sales/returns")
    loaded = deployment.loaded(key, "sales/returns")
    assert loaded == {"rows_read": 2, "rows_committed": 1, "rows_quarantined": 1}
    assert deployment.query("SELECT return_id, amount FROM clean_returns") == [["1", "9.50"]]
    assert deployment.executions(key, "sales/orders") == []


def test_a_duplicate_event_changes_nothing(deployment: Deployment) -> None:
    key = deployment.land(HEADER + f"520,C1,Pen,1,1.50,{DAY.format(3)}\n")
    deployment.loaded(key)
    (execution,) = deployment.executions(key)
    before = deployment.files("sales/orders/")
    machine = deployment.lake["state_machines"]["sales/orders"]
    deployment.emulator.states.start_execution(stateMachineArn=machine, input=execution["input"])
    _, second = deployment.ended(key, 2)
    assert second["status"] == "SUCCEEDED"
    assert deployment.states(second)[-1] == "AlreadyCommitted"
    assert deployment.files("sales/orders/") == before
    assert len(deployment.job_runs(key)) == 1


def test_two_events_of_one_version_at_once_load_it_once(deployment: Deployment) -> None:
    key = deployment.land(HEADER + f"530,C1,Pen,1,1.50,{DAY.format(4)}\n")
    (execution,) = until("the event", lambda: deployment.executions(key) or None)
    machine = deployment.lake["state_machines"]["sales/orders"]
    deployment.emulator.states.start_execution(stateMachineArn=machine, input=execution["input"])
    assert {one["status"] for one in deployment.ended(key, 2)} == {"SUCCEEDED"}
    assert orders(deployment, 530, 530) == [530]
    assert len(deployment.told(key)) == 1


def test_files_that_land_together_are_all_loaded_and_share_crawls(deployment: Deployment) -> None:
    _ = deployment.mailbox
    seen = len(deployment.emulator.calls)
    texts = [HEADER + f"{number},C1,Pen,1,1.50,{DAY.format(5)}\n" for number in range(540, 544)]
    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(deployment.land, texts))
    for key in keys:
        assert deployment.loaded(key)["rows_committed"] == 1
        assert len(deployment.told(key)) == 1
    assert orders(deployment, 540, 543) == [540, 541, 542, 543]
    looked = [call for call in deployment.emulator.calls[seen:] if call["action"] == "s3:ListBucket"]
    crawls = [call for call in looked if call["resource"].endswith(deployment.processed)]
    assert 1 <= len(crawls) < len(keys)


def test_a_file_that_comes_again_replaces_its_rows(deployment: Deployment) -> None:
    key = deployment.land(HEADER + f"550,C1,Pen,1,1.50,{DAY.format(6)}\n")
    deployment.loaded(key)
    deployment.land(HEADER + f"551,C1,Pen,1,1.50,{DAY.format(6)}\n", key=key)
    assert {one["status"] for one in deployment.ended(key, 2)} == {"SUCCEEDED"}
    assert orders(deployment, 550, 551) == [551]


def test_an_older_event_that_comes_late_changes_nothing(deployment: Deployment) -> None:
    key = deployment.land(HEADER + f"560,C1,Pen,1,1.50,{DAY.format(7)}\n")
    (first,) = deployment.ended(key)
    deployment.land(HEADER + f"561,C1,Pen,1,1.50,{DAY.format(7)}\n", key=key)
    deployment.ended(key, 2)
    machine = deployment.lake["state_machines"]["sales/orders"]
    deployment.emulator.states.start_execution(stateMachineArn=machine, input=first["input"])
    late = deployment.ended(key, 3)[-1]
    assert (late["status"], deployment.states(late)[-1]) == ("SUCCEEDED", "CommittedElsewhere")
    assert orders(deployment, 560, 561) == [561]


def test_a_file_that_cannot_be_loaded_fails_and_is_told(deployment: Deployment) -> None:
    _ = deployment.mailbox
    key = deployment.land("order_id,customer_id,product,quantity,order_date\n570,C1,Pen,1,2031-05-08\n")
    (execution,) = deployment.ended(key)
    assert execution["status"] == "FAILED"
    assert "HeaderMismatch" in execution["cause"] and "price" in execution["cause"]
    (message,) = deployment.told(key)
    assert message["MessageAttributes"]["outcome"]["Value"] == "failure"
    assert "lakehead --env test runs redrive" in message["Message"]
    assert len(deployment.job_runs(key)) == 1, "what is broken is not run again for money"
    assert orders(deployment, 570, 570) == []


@pytest.mark.parametrize("error", ["Glue.InternalServiceException", "Glue.ConcurrentRunsExceededException"])
def test_a_job_that_runs_twice_lands_its_rows_once(deployment: Deployment, error: str) -> None:
    number = 580 + len(error) % 10
    deployment.emulator.lose_the_next_answer(error)
    key = deployment.land(HEADER + f"{number},C1,Pen,1,1.50,{DAY.format(9)}\n")
    assert deployment.loaded(key)["rows_committed"] == 1
    assert len(deployment.job_runs(key)) == 2
    assert orders(deployment, number, number) == [number]
    assert len(deployment.told(key)) == 1


def test_a_half_written_file_is_left_alone(deployment: Deployment) -> None:
    key = deployment.land(HEADER + "590,C1,Pen,1,1.50,2031-05-10\n", key="sales/orders/_tmp/part.csv")
    (execution,) = deployment.ended(key)
    assert (execution["status"], deployment.states(execution)[-1]) == ("SUCCEEDED", "Hidden")
    assert deployment.job_runs(key) == []


def test_other_files_start_nothing(deployment: Deployment) -> None:
    for key in ("sales/orders/readme.txt", "sales/other/orders.csv"):
        deployment.land("x\n", key=key)
    marker = deployment.land(HEADER + f"595,C1,Pen,1,1.50,{DAY.format(11)}\n")
    deployment.loaded(marker)
    assert deployment.executions("sales/orders/readme.txt") == deployment.executions("sales/other/orders.csv") == []


def test_the_raw_zone_is_all_that_counts(deployment: Deployment) -> None:
    """Every commit record's object is in the raw zone, and every data file is named by a record."""
    deployment.loaded(deployment.land(HEADER + f"599,C1,Pen,1,1.50,{DAY.format(12)}\n"))
    named: set[str] = set()
    for key in deployment.files("_lakehead/commits/"):
        body = deployment.emulator.s3.get_object(Bucket=deployment.processed, Key=key)["Body"].read()
        record = json.loads(body[1024:])
        named |= {one["key"] for one in (*record["files"], *record["quarantine"])}
        deployment.emulator.s3.head_object(Bucket=deployment.raw, Key=record["source"]["key"])
    data = {key for prefix in ("sales/", "quarantine/") for key in deployment.files(prefix)}
    assert data == named and data
    assert all(Path(key).suffix == ".parquet" for key in data)
