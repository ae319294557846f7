"""Whether a deployed environment can be worked with: credentials, buckets, state machines, workgroup. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

from lakehead.aws import names
from lakehead.aws.api import Aws
from lakehead.config import LakeConfig
from lakehead.contract import Contract
from lakehead.errors import LakeheadError
from lakehead.results import DoctorCheck
from lakehead.storage import ObjectStore


def checks(
    config: LakeConfig, aws: Aws, store: ObjectStore, contracts: Callable[[], Mapping[str, Contract]]
) -> list[DoctorCheck]:
    """One check for each thing that the commands need."""
    datasets: list[str] = []

    def read() -> str:
        datasets.extend(sorted(contracts()))
        return ", ".join(datasets)

    def lists(bucket: str) -> Callable[[], str]:
        def look() -> str:
            return "has objects" if list(islice(store.list(bucket), 1)) else "is empty"

        return look

    def machine(dataset: str) -> Callable[[], str]:
        def look() -> str:
            arn = names.arn(aws, names.state_machine(config, dataset))
            return str(aws.call("stepfunctions", "describe_state_machine", stateMachineArn=arn)["status"])

        return look

    def workgroup() -> str:
        found = aws.call("athena", "get_work_group", WorkGroup=names.prefix(config))["WorkGroup"]
        return str(found.get("State", "ENABLED"))

    found = [_check("contracts", read)]
    looks: dict[str, Callable[[], str]] = {
        "settings": lambda: f"{config.file}, environment {config.environment}",
        "credentials": lambda: f"{aws.identity} in {aws.region}",
        f"bucket {config.raw_bucket}": lists(config.raw_bucket),
        f"bucket {config.processed_bucket}": lists(config.processed_bucket),
        **{f"state machine of {dataset}": machine(dataset) for dataset in datasets},
        f"workgroup {names.prefix(config)}": workgroup,
    }
    return [*found, *(_check(name, look) for name, look in looks.items())]


def _check(name: str, look: Callable[[], str]) -> DoctorCheck:
    try:
        return DoctorCheck(name, True, look())
    except LakeheadError as error:
        return DoctorCheck(name, False, error.message, error.hint)
