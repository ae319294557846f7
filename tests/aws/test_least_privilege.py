"""Each role may do what it did, nothing that it must not, and nothing that nobody can explain.

The emulator checks every call against the policies of the role that makes it, so a missing permission fails the flow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.aws import ACCOUNT, REGION
from support.deployed import HEADER, Deployment
from support.terraform import INFRA

ON_AWS_ONLY = {
    "crawler": {
        "glue:CreatePartitionIndex": "Glue's own crawler indexes partitions",
        "glue:GetDatabase": "Glue's own crawler looks for its database",
        "glue:GetPartition": "Glue's own crawler compares partitions by it",
        "glue:GetPartitionIndexes": "Glue's own crawler indexes partitions",
        "glue:GetPartitions": "Glue's own crawler compares partitions by it",
        "glue:GetTables": "Glue's own crawler looks for tables that it made",
        "glue:UpdatePartition": "Glue's own crawler carries a table's new columns to its partitions",
        "logs:CreateLogGroup": "the emulator's crawls write no logs",
        "logs:CreateLogStream": "the emulator's crawls write no logs",
        "logs:PutLogEvents": "the emulator's crawls write no logs",
    },
    "etl": {
        "cloudwatch:PutMetricData": "Glue writes a run's metrics",
        "logs:CreateLogStream": "Glue writes a run's logs",
        "logs:PutLogEvents": "Glue writes a run's logs",
        "s3:AbortMultipartUpload": "only for a large upload that fails half-way",
        "s3:ListBucket": "S3 says 403 instead of 404 without it; the emulator says 404",
    },
    "events": {},
    "states": {
        "glue:BatchStopJobRun": "Step Functions stops the run of an execution that is stopped",
        "glue:GetJobRuns": "Step Functions asks for it with .sync",
        "s3:ListBucket": "S3 says 403 instead of 404 without it; the emulator says 404",
        **dict.fromkeys(
            (
                "logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries",
                "logs:PutResourcePolicy", "logs:UpdateLogDelivery",
            ),
            "Step Functions delivers its log; the emulator does not",
        ),
        **dict.fromkeys(
            (
                "xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:PutTelemetryRecords", "xray:PutTraceSegments",
            ),
            "Step Functions sends traces; the emulator does not",
        ),
    },
    "analyst": {
        **dict.fromkeys(
            (
                "glue:BatchGetPartition", "glue:GetDatabase", "glue:GetDatabases", "glue:GetPartition",
                "glue:GetPartitions", "glue:GetTable", "glue:GetTables", "s3:AbortMultipartUpload",
                "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket", "s3:PutObject",
            ),
            "Athena reads catalog and data, and writes results, with the rights of who asks; the emulator with its own",
        ),
    },
}  # fmt: skip
"""What a policy allows and the flow on the emulator does not use, each with the reason why it is there."""

WILDCARDS = {
    ("etl", "WriteMetrics"): "PutMetricData knows no resources; a condition names the namespace",
    ("states", "DeliverLogs"): "log deliveries know no resources",
    ("states", "Trace"): "X-Ray's writes know no resources",
}
"""The statements whose resource is `*`: nothing narrower is to be had."""

FORBIDDEN = {
    "crawler": [
        ("s3:PutObject", "arn:aws:s3:::sales-datalake-processed-test/sales/orders/x.parquet"),
        ("s3:DeleteObject", "arn:aws:s3:::sales-datalake-raw-test/sales/orders/x.csv"),
        ("s3:GetObject", "arn:aws:s3:::sales-datalake-processed-test/_lakehead/commits/sales/orders/x.json"),
        ("s3:GetObject", "arn:aws:s3:::another-bucket/x"),
        ("glue:DeleteTable", "table/sales_test/raw_orders"),
        ("glue:UpdateTable", "table/sales_test/quarantine_orders"),
        ("glue:UpdateTable", "table/another/raw_orders"),
        ("sns:Publish", "topic"),
    ],
    "etl": [
        ("s3:PutObject", "arn:aws:s3:::sales-datalake-raw-test/sales/orders/x.csv"),
        ("s3:DeleteObject", "arn:aws:s3:::sales-datalake-raw-test/sales/orders/x.csv"),
        ("s3:GetObject", "arn:aws:s3:::sales-datalake-raw-test/other/x.csv"),
        ("s3:PutObject", "arn:aws:s3:::sales-datalake-artifacts-test/code/x"),
        ("s3:DeleteBucket", "arn:aws:s3:::sales-datalake-processed-test"),
        ("glue:UpdateTable", "table/sales_test/processed_orders"),
        ("glue:StartJobRun", "job/test-sales-orders-etl"),
        ("sns:Publish", "topic"),
    ],
    "events": [
        ("states:StartExecution", f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:another"),
        ("states:StopExecution", f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:sales-test-sales-orders-ingest"),
        ("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:sales-test-dead-letters"),
    ],
    "states": [
        ("s3:PutObject", "arn:aws:s3:::sales-datalake-processed-test/_lakehead/commits/sales/orders/x.json"),
        ("s3:GetObject", "arn:aws:s3:::sales-datalake-processed-test/sales/orders/x.parquet"),
        ("s3:GetObject", "arn:aws:s3:::sales-datalake-raw-test/sales/orders/x.csv"),
        ("glue:StartJobRun", "job/another"),
        ("glue:StartCrawler", "crawler/another"),
        ("sns:Publish", f"arn:aws:sns:{REGION}:{ACCOUNT}:another"),
    ],
    "analyst": [
        ("s3:PutObject", "arn:aws:s3:::sales-datalake-processed-test/sales/orders/x.parquet"),
        ("s3:DeleteObject", "arn:aws:s3:::sales-datalake-processed-test/sales/orders/x.parquet"),
        ("s3:GetObject", "arn:aws:s3:::sales-datalake-artifacts-test/code/x"),
        ("athena:StartQueryExecution", f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/primary"),
        ("glue:DeleteTable", "table/sales_test/processed_orders"),
        ("glue:GetTable", "table/another/orders"),
    ],
}


@pytest.fixture(scope="module")
def analyst(deployment: Deployment) -> Iterator[tuple[str, tuple[str, str]]]:
    """A user who may do what the analyst policy says, and nothing else: the ARN and the key."""
    iam = deployment.emulator.client("iam")
    user = iam.create_user(UserName="analyst")["User"]["Arn"]
    iam.attach_user_policy(UserName="analyst", PolicyArn=deployment.lake["analyst_policy_arn"])
    key = iam.create_access_key(UserName="analyst")["AccessKey"]
    yield user, (key["AccessKeyId"], key["SecretAccessKey"])
    iam.detach_user_policy(UserName="analyst", PolicyArn=deployment.lake["analyst_policy_arn"])


@pytest.fixture(scope="module")
def lived(deployment: Deployment, analyst: tuple[str, tuple[str, str]]) -> Deployment:
    """A deployment in which everything happened once: a load, one again, a wider file, a broken one, questions."""
    _ = deployment.mailbox
    key = deployment.land(HEADER + "700,C1,Pen,1,1.50,2033-01-01\n")
    deployment.loaded(key)
    deployment.land(HEADER + "701,C1,Pen,1,1.50,2033-01-02\n", key=key)
    deployment.ended(key, 2)
    wider = deployment.land(HEADER.strip() + ",channel\n702,C1,Pen,1,1.50,2033-01-03,web\n")
    deployment.ended(wider)
    deployment.ended(deployment.land("nonsense\n1\n"))
    athena = deployment.emulator.client("athena", analyst[1])
    group = deployment.lake["workgroup"]
    ids = athena.list_named_queries(WorkGroup=group)["NamedQueryIds"]
    athena.batch_get_named_query(NamedQueryIds=ids)
    athena.get_work_group(WorkGroup=group)
    text = athena.get_named_query(NamedQueryId=deployment.lake["named_queries"]["top_products"])["NamedQuery"]
    assert deployment.query(text["QueryString"], athena)
    started = athena.start_query_execution(QueryString="SELECT 1", WorkGroup=group)["QueryExecutionId"]
    athena.stop_query_execution(QueryExecutionId=started)
    return deployment


def statements(deployment: Deployment, who: str) -> list[dict[str, Any]]:
    iam = deployment.emulator.client("iam")
    if who == "analyst":
        arn = deployment.lake["analyst_policy_arn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        return list(document["Statement"])
    role = deployment.lake["roles"][who]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return list(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"])


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def calls(deployment: Deployment, who: str) -> list[dict[str, Any]]:
    name = "analyst" if who == "analyst" else deployment.lake["roles"][who]
    return [call for call in deployment.emulator.calls if call["principal"] == name]


@pytest.mark.parametrize("who", ON_AWS_ONLY)
def test_every_call_was_allowed(lived: Deployment, who: str) -> None:
    made = calls(lived, who)
    assert made
    assert [call for call in made if not call["allowed"]] == []


@pytest.mark.parametrize("who", ON_AWS_ONLY)
def test_every_allowed_action_is_used_or_explained(lived: Deployment, who: str) -> None:
    allowed = {action for one in statements(lived, who) for action in as_list(one["Action"])}
    assert not [action for action in allowed if "*" in action]
    # What another metadata_sync allows is looked at in test_direct.py.
    used = {call["action"] for call in calls(lived, who)} & allowed
    assert allowed - used == set(ON_AWS_ONLY[who])


@pytest.mark.parametrize("who", ON_AWS_ONLY)
def test_a_wildcard_resource_is_the_narrowest_there_is(lived: Deployment, who: str) -> None:
    wide = {(who, one["Sid"]) for one in statements(lived, who) if "*" in as_list(one["Resource"])}
    assert wide == {known for known in WILDCARDS if known[0] == who}
    for _, sid in wide:
        (file,) = [path for path in INFRA.rglob("main.tf") if f'"{sid}"' in path.read_text(encoding="utf-8")]
        assert "knows no resources" in file.read_text(encoding="utf-8") or "know no resources" in file.read_text(
            encoding="utf-8"
        )


@pytest.mark.parametrize("who", FORBIDDEN)
def test_what_a_role_must_not_do_is_denied(lived: Deployment, analyst: tuple[str, tuple[str, str]], who: str) -> None:
    iam = lived.emulator.client("iam")
    arn = analyst[0] if who == "analyst" else iam.get_role(RoleName=lived.lake["roles"][who])["Role"]["Arn"]

    def decision(action: str, resource: str) -> str:
        full = resource if resource.startswith("arn:") else f"arn:aws:glue:{REGION}:{ACCOUNT}:{resource}"
        full = lived.lake["topic_arn"] if resource == "topic" else full
        asked = {"PolicySourceArn": arn, "ActionNames": [action], "ResourceArns": [full]}
        return str(iam.simulate_principal_policy(**asked)["EvaluationResults"][0]["EvalDecision"])

    for action, resource in FORBIDDEN[who]:
        assert decision(action, resource) == "implicitDeny", (action, resource)
    # A simulated ListBucket has no prefix, so a condition on it does not hold.
    known = next(call for call in calls(lived, who) if call["action"] != "s3:ListBucket")
    assert decision(known["action"], known["resource"]) == "allowed", "the simulation would allow nothing at all"


def test_an_analyst_cannot_write(lived: Deployment, analyst: tuple[str, tuple[str, str]]) -> None:
    s3 = lived.emulator.client("s3", analyst[1])
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=lived.processed, Key="sales/orders/order_date=2033-01-01/x.parquet", Body=b"")


@pytest.mark.parametrize("who", ["crawler", "etl", "events", "states"])
def test_a_role_trusts_one_service_of_this_account(lived: Deployment, who: str) -> None:
    role = lived.emulator.client("iam").get_role(RoleName=lived.lake["roles"][who])["Role"]
    document = role["AssumeRolePolicyDocument"]
    (statement,) = (json.loads(document) if isinstance(document, str) else document)["Statement"]
    services = {"crawler": "glue", "etl": "glue", "events": "events", "states": "states"}
    assert statement["Principal"] == {"Service": f"{services[who]}.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
