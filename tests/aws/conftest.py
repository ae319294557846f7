"""One deployment for all tests here: applied once to the emulator, destroyed at the end, and looked at after that."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import aws, glue
from support.deployed import Deployment
from support.stores import s3_address, s3_client_store
from support.terraform import SALES, Terraform, terraform_in

from lakehead.aws.package import Bundle, build

__all__ = ["s3_address", "s3_client_store"]


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
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The packaged job of this checkout."""
    return build(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def glue_machine(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> glue.GlueMachine:
    """A machine on which pip has installed the bundle, as Glue has it do."""
    if why := glue.missing():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("glue")
    with zipfile.ZipFile(bundle.wheels) as packed:
        packed.extractall(folder)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--find-links", str(folder / "wheels"), "-r", str(folder / "wheels/requirements.txt")]
    subprocess.run([*command, "--target", str(folder / "site")], check=True, timeout=glue.JOB_SECONDS)
    spark = glue.spark_folder(folder / "spark")
    return glue.GlueMachine(folder / "site", spark, glue.java_home(), bundle.script)


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory, lake_dir: Path, bundle: Bundle) -> Terraform:
    """The sales example of the deployment, its variables set. Nothing is applied yet."""
    found = terraform_in(tmp_path_factory.mktemp("infra"))
    found.init()
    found.set(
        lake_dir=str(lake_dir),
        region=aws.REGION,
        environment="test",
        script=str(bundle.script),
        bundle=str(bundle.wheels),
        poll_seconds=1,
        force_destroy=True,
        notification_emails=["people@example.org"],
    )
    return found


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[aws.Emulator]:
    """The emulator, with all of its state in a folder of the tests."""
    with aws.running(tmp_path_factory.mktemp("emulator")) as found:
        yield found


@pytest.fixture(scope="session")
def deployment(terraform: Terraform, emulator: aws.Emulator) -> Iterator[Deployment]:
    """The lake, deployed. Tests land files of their own, so they may run in any order."""
    (terraform.folder / "provider_override.tf").write_text(emulator.provider(), encoding="utf-8")
    terraform.apply()
    found = Deployment(emulator, terraform, terraform.output()["lake"])
    yield found
    found.destroy()
