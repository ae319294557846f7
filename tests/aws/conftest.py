"""One deployment for all tests here: applied once to the emulator, destroyed at the end, and looked at after that."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import aws
from support.deployed import Deployment
from support.terraform import ROOT, SALES, Terraform, terraform_in


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the deployment down comes last."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


RETURNS = """apiVersion: v3.1.0
kind: DataContract
id: sales-returns
name: Returns
version: 1.0.0
status: active
schema:
  - name: returns
    logicalType: object
    properties:
      - {name: return_id, logicalType: integer, physicalType: bigint, required: true}
      - {name: amount, logicalType: number, physicalType: 'decimal(12,2)', required: true}
      - name: returned_on
        logicalType: date
        required: true
        partitioned: true
        partitionKeyPosition: 1
customProperties:
  - {property: csvDelimiter, value: ;}
  - {property: processedTablePrefix, value: clean_}
"""


@pytest.fixture(scope="session")
def lake_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sales lake with a second dataset: a contract more is all that it takes."""
    folder = tmp_path_factory.mktemp("lake") / "sales"
    shutil.copytree(SALES, folder)
    (folder / "contracts" / "sales" / "returns.odcs.yaml").write_text(RETURNS, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lakehead's wheel in a zip of wheels. The packaged bundle takes its place here, and its script below."""
    folder = tmp_path_factory.mktemp("bundle")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    path = folder / "lakehead.gluewheels.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(wheel, wheel.name)
    return path


@pytest.fixture(scope="session")
def script() -> Path:
    """The job's script."""
    return ROOT / "tests" / "support" / "duckdb_job.py"


@pytest.fixture(scope="session")
def job_python() -> Path:
    """The interpreter that stands for Glue's."""
    return aws.PYTHON


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory, lake_dir: Path, script: Path, bundle: Path) -> Terraform:
    """The sales example of the deployment, its variables set. Nothing is applied yet."""
    found = terraform_in(tmp_path_factory.mktemp("infra"))
    found.init()
    found.set(
        lake_dir=str(lake_dir),
        region=aws.REGION,
        environment="test",
        script=str(script),
        bundle=str(bundle),
        poll_seconds=1,
        force_destroy=True,
        notification_emails=["people@example.org"],
    )
    return found


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory, job_python: Path) -> Iterator[aws.Emulator]:
    """The emulator, with all of its state in a folder of the tests."""
    with aws.running(tmp_path_factory.mktemp("emulator"), job_python) as found:
        yield found


@pytest.fixture(scope="session")
def deployment(terraform: Terraform, emulator: aws.Emulator) -> Iterator[Deployment]:
    """The lake, deployed. Tests land files of their own, so they may run in any order."""
    (terraform.folder / "provider_override.tf").write_text(emulator.provider(), encoding="utf-8")
    terraform.apply()
    found = Deployment(emulator, terraform, terraform.output()["lake"])
    yield found
    found.destroy()
