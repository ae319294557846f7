"""What `infra/terraform` calls things, so that a deployed environment is found without Terraform's outputs."""

from __future__ import annotations

from lakehead.aws.api import Aws
from lakehead.config import LakeConfig


def prefix(config: LakeConfig) -> str:
    """What the names of an environment begin with, `sales-prod`; the name of its Athena workgroup, too."""
    return f"{config.name}-{config.environment}"


def state_machine(config: LakeConfig, dataset: str) -> str:
    """The name of a dataset's state machine."""
    return f"{prefix(config)}-{dataset.replace('/', '-')}-ingest"


def job_log_group(config: LakeConfig) -> str:
    """Where the ETL job's own log lines are, a stream for each run."""
    return f"/lakehead/{prefix(config)}/etl/output"


def arn(aws: Aws, state_machine: str) -> str:
    """The ARN of a state machine by its name."""
    return f"arn:{aws.partition}:states:{aws.region}:{aws.account}:stateMachine:{state_machine}"
