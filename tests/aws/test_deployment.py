"""What an apply makes, that a second plan changes nothing, and that a destroy leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support import aws
from support.deployed import Deployment
from support.terraform import SALES
from test_ingest_workflow import lint

from lakehead.catalog.targets import QUARANTINE_COLUMNS
from lakehead.config import load_config
from lakehead.contract import Contract, load_contracts
from lakehead.events import DatasetRule
from lakehead.pipeline import configure_values, configured, load_document
from lakehead.storage import layout

ENVIRONMENT = '[lake]\nname = "sales"\n[env.test]\nstorage = "s3"\npoll_seconds = 1\nsettle_seconds = 2\n'

UNFILLABLE = '{"States": {"Configure": {"Type": "Pass", "Comment": "{}", "Result": {"dataset": "x"}}}}'


@pytest.fixture(scope="session")
def contracts(lake_dir: Path) -> dict[str, Contract]:
    return load_contracts(lake_dir / "contracts")


def definition(deployment: Deployment, dataset: str) -> str:
    machine = deployment.lake["state_machines"][dataset]
    return str(deployment.emulator.states.describe_state_machine(stateMachineArn=machine)["definition"])


def test_a_second_plan_is_empty(deployment: Deployment) -> None:
    changes = deployment.terraform.plan()["resource_changes"]
    assert len(changes) > 60
    different = [change for change in changes if change["change"]["actions"] not in (["no-op"], ["read"])]
    assert not different, [(one["address"], one["change"]["before"], one["change"]["after"]) for one in different]


def test_names_are_those_of_the_embedded_lake(
    deployment: Deployment, tmp_path: Path, contracts: dict[str, Contract]
) -> None:
    (tmp_path / "lakehead.toml").write_text(ENVIRONMENT, encoding="utf-8")
    config = load_config(tmp_path, env="test")
    lake = deployment.lake
    assert (lake["buckets"]["raw"], lake["buckets"]["processed"]) == (config.raw_bucket, config.processed_bucket)
    assert lake["database"] == config.database
    assert set(lake["state_machines"]) == set(contracts) == {"sales/orders", "sales/returns"}


def test_only_configures_result_differs_from_the_shipped_document(
    deployment: Deployment, tmp_path: Path, contracts: dict[str, Contract]
) -> None:
    (tmp_path / "lakehead.toml").write_text(ENVIRONMENT, encoding="utf-8")
    config = load_config(tmp_path, env="test")
    shipped = (SALES / "workflow" / "ingest.asl.json").read_text(encoding="utf-8")
    for dataset in contracts:
        rendered = definition(deployment, dataset)
        result = json.loads(rendered)["States"]["Configure"]["Result"]
        expected = {**configure_values(config, dataset), "topic_arn": deployment.lake["topic_arn"]}
        assert result == expected
        assert json.loads(rendered) == configured(load_document(config), expected)
        # Byte for byte, outside of the Result:
        before, after = (
            shipped.split('"Result": {\n        "environment"')[0],
            shipped.partition('"ResultPath": "$.config"')[2],
        )
        assert rendered.startswith(before) and rendered.endswith(after)


def test_cfn_lint_finds_nothing_in_any_datasets_definition(
    deployment: Deployment, tmp_path: Path, contracts: dict[str, Contract]
) -> None:
    for dataset in contracts:
        clean = lint(json.loads(definition(deployment, dataset)), tmp_path)
        assert clean.returncode == 0, clean.stdout + clean.stderr


def test_rules_match_what_the_embedded_rules_match(deployment: Deployment, contracts: dict[str, Contract]) -> None:
    client = deployment.emulator.client("events")
    for dataset in contracts:
        name = deployment.lake["rules"][dataset]
        assert (
            json.loads(client.describe_rule(Name=name)["EventPattern"])
            == DatasetRule(dataset, deployment.raw).pattern()
        )
        (target,) = client.list_targets_by_rule(Rule=name)["Targets"]
        assert target["Arn"] == deployment.lake["state_machines"][dataset]
        assert target["RetryPolicy"] == {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400}
        assert target["DeadLetterConfig"]["Arn"].endswith(":sales-test-dead-letters")


def test_crawlers_keep_to_the_contracts_tables(deployment: Deployment, contracts: dict[str, Contract]) -> None:
    for dataset, contract in contracts.items():
        names = deployment.lake["crawlers"][dataset]
        raw = deployment.emulator.glue.get_crawler(Name=names["raw"])["Crawler"]
        processed = deployment.emulator.glue.get_crawler(Name=names["processed"])["Crawler"]
        assert raw["TablePrefix"] + contract.table == contract.raw_table
        assert processed["TablePrefix"] + contract.table == contract.processed_table
        settings = json.loads(processed["Configuration"])
        assert settings["CrawlerOutput"]["Partitions"] == {"AddOrUpdateBehavior": "InheritFromTable"}
        assert settings["Grouping"]["TableLevelConfiguration"] == 3
        (classifier,) = raw["Classifiers"]
        found = deployment.emulator.glue.get_classifier(Name=classifier)["Classifier"]["CsvClassifier"]
        assert (found["Delimiter"], found["QuoteSymbol"]) == (contract.dialect.delimiter, contract.dialect.quote)


def test_the_quarantine_table_has_the_columns_that_quarantine_files_have(
    deployment: Deployment, contracts: dict[str, Contract]
) -> None:
    for contract in contracts.values():
        asked = {"DatabaseName": deployment.lake["database"], "Name": contract.quarantine_table}
        columns = deployment.emulator.glue.get_table(**asked)["Table"]["StorageDescriptor"]["Columns"]
        assert tuple((one["Name"], one["Type"]) for one in columns) == QUARANTINE_COLUMNS


def test_named_queries_are_the_lakes_files(deployment: Deployment) -> None:
    client = deployment.emulator.client("athena")
    files = {path.stem: path.read_text(encoding="utf-8") for path in (SALES / "queries").glob("*.sql")}
    assert set(deployment.lake["named_queries"]) == set(files)
    for name, found in deployment.lake["named_queries"].items():
        query = client.get_named_query(NamedQueryId=found)["NamedQuery"]
        assert (query["QueryString"], query["Database"]) == (files[name], deployment.lake["database"])


def test_every_bucket_is_closed(deployment: Deployment) -> None:
    s3 = deployment.emulator.s3
    for bucket in deployment.lake["buckets"].values():
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
        (owner,) = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        assert owner["ObjectOwnership"] == "BucketOwnerEnforced"
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        rules = {one["ID"]: one for one in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}
        assert rules["replaced-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
        assert rules["replaced-versions"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
        if bucket == deployment.processed:
            assert rules["staged-files"]["Filter"] == {"Prefix": f"{layout.SYSTEM}staging/"}
            assert rules["staged-files"]["Expiration"] == {"Days": 7}


def test_without_tls_nobody_but_root_reads(deployment: Deployment) -> None:
    iam, name = deployment.emulator.client("iam"), "reads-all"
    iam.create_user(UserName=name)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(everything))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    key = (made["AccessKeyId"], made["SecretAccessKey"])
    deployment.emulator.client("s3", key).list_objects_v2(Bucket=deployment.raw)
    with pytest.raises(ClientError, match="AccessDenied"):
        deployment.emulator.client("s3", key, url=deployment.emulator.http).list_objects_v2(Bucket=deployment.raw)


def test_alarms_tell_the_topic(deployment: Deployment) -> None:
    alarms = deployment.emulator.client("cloudwatch").describe_alarms()["MetricAlarms"]
    found = {one["AlarmName"] for one in alarms}
    each = {"executions-failed", "executions-timed-out", "executions-aborted", "job-failed", "stale"}
    expected = {f"sales-test-sales-{dataset}-{what}" for dataset in ("orders", "returns") for what in each}
    assert found == expected | {"sales-test-dead-letters"}
    for alarm in alarms:
        assert alarm["AlarmActions"] == [deployment.lake["topic_arn"]]
        stale = alarm["AlarmName"].endswith("-stale")
        assert alarm["TreatMissingData"] == ("breaching" if stale else "notBreaching")
        if stale:
            assert alarm["Period"] * alarm["EvaluationPeriods"] == 26 * 3600


def test_log_groups_forget(deployment: Deployment) -> None:
    groups = deployment.emulator.client("logs").describe_log_groups()["logGroups"]
    kept = {one["logGroupName"]: one.get("retentionInDays") for one in groups if "sales-test" in one["logGroupName"]}
    assert kept == {
        "/lakehead/sales-test/etl/output": 365,
        "/lakehead/sales-test/etl/error": 365,
        "/aws/vendedlogs/states/sales-test-sales-orders-ingest": 365,
        "/aws/vendedlogs/states/sales-test-sales-returns-ingest": 365,
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"contracts/sales/orders/north.odcs.yaml": "id: north\n"}, "lies in the folder of another"),
        ({"contracts/eu/orders.odcs.yaml": "id: eu\n"}, "Two tables would have one name"),
        ({"contracts/sales/extra.yaml": "id: extra\n"}, "ends in .odcs.yaml"),
        ({"workflow/ingest.asl.json": UNFILLABLE}, "compare it with the shipped one"),
    ],
)
def test_a_lake_that_cannot_be_deployed_is_refused(
    deployment: Deployment, lake_dir: Path, tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    refused = aws.with_files(lake_dir, tmp_path / "lake", change)
    options = ("plan", "-input=false", "-no-color", "-refresh=false", "-lock=false", f"-var=lake_dir={refused}")
    told = deployment.terraform.run(*options, code=1, with_errors=True)
    assert reason in " ".join(told.replace("│", " ").split())


def listed(emulator: aws.Emulator) -> dict[str, list[Any]]:
    """What is left in the account of every kind of resource that the modules make."""
    names = {
        "buckets": emulator.s3.list_buckets()["Buckets"],
        "machines": emulator.states.list_state_machines()["stateMachines"],
        "crawlers": emulator.glue.get_crawlers()["Crawlers"],
        "jobs": emulator.glue.get_jobs()["Jobs"],
        "databases": emulator.glue.get_databases()["DatabaseList"],
        "classifiers": emulator.glue.get_classifiers()["Classifiers"],
        "rules": emulator.client("events").list_rules()["Rules"],
        "topics": emulator.client("sns").list_topics()["Topics"],
        "roles": emulator.client("iam").list_roles()["Roles"],
        "policies": emulator.client("iam").list_policies(Scope="Local")["Policies"],
        "alarms": emulator.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "dashboards": emulator.client("cloudwatch").list_dashboards()["DashboardEntries"],
        "groups": emulator.client("logs").describe_log_groups()["logGroups"],
        "workgroups": emulator.client("athena").list_work_groups()["WorkGroups"],
        "queues": emulator.client("sqs").list_queues(QueueNamePrefix="sales-test").get("QueueUrls", []),
    }
    return {kind: [one for one in found if "sales" in json.dumps(one, default=str)] for kind, found in names.items()}


@pytest.mark.last
def test_a_destroy_leaves_nothing(deployment: Deployment) -> None:
    there = listed(deployment.emulator)
    assert all(there.values()), {kind for kind, found in there.items() if not found}
    deployment.destroy()
    assert deployment.terraform.state() == []
    left = {kind: found for kind, found in listed(deployment.emulator).items() if found}
    assert not left
