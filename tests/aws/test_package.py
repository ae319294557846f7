"""The bundle: complete, the same bytes each time, and told from another by its name."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lakehead import __version__
from lakehead.aws.package import Bundle, build
from lakehead.cli.app import main
from lakehead.errors import ConfigError, StorageUnavailable


def test_the_zip_is_laid_out_as_glue_wants_it(bundle: Bundle) -> None:
    assert bundle.wheels.name == f"lakehead-{__version__}-{bundle.sha256[:12]}.gluewheels.zip"
    with zipfile.ZipFile(bundle.wheels) as packed:
        names = packed.namelist()
        assert packed.read("wheels/requirements.txt").decode() == f"lakehead[aws]=={__version__}\n"
    wheels = [name for name in names if name.endswith(".whl")]
    assert len(wheels) == len(names) - 1 and all(name.startswith("wheels/") for name in names)
    for needed in ("lakehead", "duckdb", "sqlglot", "boto3", "jsonschema", "open_data_contract_standard"):
        assert sum(name.startswith(f"wheels/{needed}-") for name in wheels) == 1
    assert not any("pyspark" in name for name in wheels), "Glue brings Spark"
    assert all("none-any" in name or "cp311" in name or "none-manylinux" in name for name in wheels)


def test_the_same_input_gives_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    again = build(tmp_path)
    assert again.wheels.read_bytes() == bundle.wheels.read_bytes()
    assert again.script.read_bytes() == bundle.script.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([again.wheels.name, again.script.name])


def test_our_wheel_is_one_that_pip_installs(bundle: Bundle, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle.wheels) as packed:
        wheel = packed.extract(f"wheels/lakehead-{__version__}-py3-none-any.whl", tmp_path)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target"]
    subprocess.run([*command, str(tmp_path / "site"), wheel], check=True, timeout=120)
    assert (tmp_path / "site/lakehead/aws/glue_job.py").is_file()
    assert (tmp_path / "site/lakehead/examples/sales/workflow/ingest.asl.json").is_file()


def test_a_wheel_that_cannot_be_had_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(StorageUnavailable, match="could not be downloaded"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_pip_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n', encoding="utf-8")
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(ConfigError, match="needs pip"):
        build(tmp_path / "target")


def test_the_command_tells_what_it_built(tmp_path: Path, capsys: pytest.CaptureFixture[str], bundle: Bundle) -> None:
    assert main(["package", "glue", "--target", str(tmp_path), "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sha256"] == bundle.sha256
    assert Path(told["wheels"]).name == bundle.wheels.name and Path(told["script"]).is_file()
