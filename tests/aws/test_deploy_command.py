"""`lakehead deploy`: what it writes for Terraform, what it refuses, and a whole life on the emulator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.aws import Emulator
from support.terraform import INFRA, ROOT, SALES, Terraform

from lakehead.aws import deploy, package
from lakehead.aws.package import Bundle
from lakehead.aws.terraform import to_the_end
from lakehead.cli.app import main
from lakehead.config import LakeConfig, load_config
from lakehead.errors import ConfigError, NotFound

SETTINGS = (
    '[lake]\nname = "sales"\n[env.trial]\nstorage = "s3"\nruntime = "aws"\nregion = "us-east-1"\npoll_seconds = 3\n'
)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """The sales lake, to be run by AWS."""
    folder = tmp_path / "lake"
    shutil.copytree(SALES, folder)
    (folder / "lakehead.toml").write_text(SETTINGS, encoding="utf-8")
    return folder


@pytest.fixture
def config(lake: Path) -> LakeConfig:
    return load_config(lake, "trial", environ={})


@pytest.fixture
def job(tmp_path: Path) -> Bundle:
    for name in ("a.zip", "b.py"):
        (tmp_path / name).write_bytes(b"x")
    return Bundle(tmp_path / "a.zip", tmp_path / "b.py", "0" * 64)


def test_the_root_module_names_the_lake_and_the_module(config: LakeConfig, job: Bundle) -> None:
    deploy.write_root(config, job)
    folder = config.state_dir / "terraform"
    written = json.loads((folder / "main.tf.json").read_text(encoding="utf-8"))
    module = written["module"]["lake"]
    assert (folder / module.pop("source")).resolve() == INFRA
    assert module == {
        "lake_dir": str(config.root),
        "name": "sales",
        "environment": "trial",
        "buckets": {"raw": "sales-datalake-raw-trial", "processed": "sales-datalake-processed-trial"},
        "job": {"script": str(job.script), "bundle": str(job.wheels)},
        "poll_seconds": 3,
    }
    assert written["provider"]["aws"]["region"] == "us-east-1"


def test_text_that_looks_like_a_template_stays_text(tmp_path: Path, job: Bundle) -> None:
    folder = tmp_path / "${lake}"
    shutil.copytree(SALES, folder)
    (folder / "lakehead.toml").write_text(SETTINGS, encoding="utf-8")
    module = deploy.root_module(load_config(folder, "trial", environ={}), job)["module"]["lake"]
    assert module["lake_dir"].endswith("/$${lake}")


def test_overrides_come_and_go(config: LakeConfig, job: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, named = config.root / "terraform.override.tf.json", config.root / "provider.tf"
    beside.write_text("{}", encoding="utf-8")
    named.write_text("# mine", encoding="utf-8")
    monkeypatch.setenv("LAKEHEAD_TERRAFORM_OVERRIDE", str(named))
    deploy.write_root(config, job)
    folder = config.state_dir / "terraform"
    assert sorted(path.name for path in folder.glob("*override*")) == ["lake_override.tf.json", "variable_override.tf"]
    beside.unlink()
    monkeypatch.delenv("LAKEHEAD_TERRAFORM_OVERRIDE")
    deploy.write_root(config, job)
    assert list(folder.glob("*override*")) == []
    monkeypatch.setenv("LAKEHEAD_TERRAFORM_OVERRIDE", str(config.root / "absent.tf"))
    with pytest.raises(ConfigError, match="LAKEHEAD_TERRAFORM_OVERRIDE"):
        deploy.write_root(config, job)


def test_only_what_aws_runs_is_deployed(tmp_path: Path, job: Bundle) -> None:
    shutil.copytree(SALES, tmp_path / "embedded")
    with pytest.raises(ConfigError, match="not run by AWS") as caught:
        deploy.open_deployment(load_config(tmp_path / "embedded", "dev", environ={}), job)
    assert 'runtime = "aws"' in caught.value.hint


def test_without_terraform_the_next_step_is_told(
    lake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(lake))
    assert main(["--lake", str(lake), "--env", "trial", "deploy", "plan"]) == 2
    told = capsys.readouterr()
    assert "terraform is not installed" in told.err and "Install Terraform" in told.err and told.out == ""


def test_what_was_never_deployed_has_no_outputs(config: LakeConfig) -> None:
    if shutil.which("terraform") is None:
        pytest.skip("needs terraform on the PATH")
    with pytest.raises(NotFound, match="not deployed") as caught:
        deploy.outputs(config)
    assert "lakehead --env trial deploy apply" in caught.value.hint


def test_the_bundle_is_built_once_for_the_same_code(config: LakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []

    def build(target: Path) -> Bundle:
        target.mkdir(parents=True, exist_ok=True)
        made = Bundle(target / f"{len(built)}.gluewheels.zip", target / package.SCRIPT_NAME, "0" * 64)
        made.wheels.write_bytes(b"wheels")
        made.script.write_bytes(b"script")
        built.append(made.wheels)
        return made

    monkeypatch.setattr(package, "build", build)
    said: list[str] = []
    first = deploy.bundle(config, said.append)
    assert deploy.bundle(config, said.append) == first and len(built) == len(said) == 1
    monkeypatch.setattr(deploy, "_inputs", lambda: "other code")
    assert deploy.bundle(config, said.append, any_will_do=True) == first
    second = deploy.bundle(config, said.append)
    assert len(built) == 2 and second.wheels.exists() and not first.wheels.exists()


def test_an_interrupted_terraform_is_waited_for() -> None:
    answers: Iterator[int | None] = iter([None, None, 7])

    def wait() -> int:
        answer = next(answers)
        if answer is None:
            raise KeyboardInterrupt
        return answer

    assert to_the_end(wait) == (7, True)
    assert to_the_end(lambda: 0) == (0, False)


def test_an_installed_wheel_brings_the_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    script = "from lakehead.aws import deploy; print(deploy.module_folder())"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    found = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    folder = Path(found.stdout.strip())
    assert folder == site / "lakehead" / "infra", found.stderr
    shipped = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    ours = [path.relative_to(INFRA) for path in INFRA.rglob("*.tf")]
    assert shipped == {path for path in ours if path.parts[0] not in ("examples", ".terraform")}


@dataclass(frozen=True)
class Command:
    """`lakehead deploy` against the emulator, with a bundle that was built before."""

    lake: Path
    environment: dict[str, str]
    job: tuple[str, ...]

    def run(self, *command: str, code: int = 0, answer: str = "") -> str:
        line = [sys.executable, "-m", "lakehead", "--lake", str(self.lake), "--env", "trial", "-o", "json", *command]
        done = subprocess.run(line, env=self.environment, input=answer, capture_output=True, text=True, timeout=280)
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr[-6000:]}"
        assert "Terraform" not in done.stdout, "stdout is data"
        return done.stdout


@pytest.fixture
def command(lake: Path, terraform: Terraform, emulator: Emulator, bundle: Bundle, tmp_path: Path) -> Command:
    provider = tmp_path / "emulator.tf"
    provider.write_text(emulator.provider(), encoding="utf-8")
    more = {"module": {"lake": {"stale_hours": 0, "metadata_sync": "direct"}}}
    (lake / "terraform.override.tf.json").write_text(json.dumps(more), encoding="utf-8")
    environment = {**os.environ, **terraform.environment, "LAKEHEAD_TERRAFORM_OVERRIDE": str(provider)}
    return Command(lake, environment, ("--bundle", str(bundle.wheels), "--script", str(bundle.script)))


def test_nothing_is_deployed_before_somebody_agrees(command: Command, emulator: Emulator) -> None:
    assert json.loads(command.run("deploy", "plan", *command.job)) == {"changes": True}
    command.run("deploy", "apply", *command.job, answer="n\n", code=1)
    assert machines(emulator) == []
    command.run("deploy", "outputs", code=2)


@pytest.mark.slow
def test_a_deployment_from_apply_to_destroy(command: Command, emulator: Emulator) -> None:
    applied = json.loads(command.run("deploy", "apply", "--yes", *command.job))
    assert applied["state_machines"] == {"sales/orders": machines(emulator)[0]}
    assert json.loads(command.run("deploy", "plan", *command.job)) == {"changes": False}
    assert json.loads(command.run("deploy", "outputs")) == applied
    document = emulator.states.describe_state_machine(stateMachineArn=machines(emulator)[0])["definition"]
    assert json.loads(document)["States"]["Configure"]["Result"]["metadata_sync"] == "direct"
    assert json.loads(command.run("deploy", "destroy", "--yes", *command.job)) == {"destroyed": True}
    assert machines(emulator) == []
    command.run("deploy", "outputs", code=2)


def machines(emulator: Emulator) -> list[str]:
    """The state machines of this deployment."""
    found = emulator.states.list_state_machines()["stateMachines"]
    return [one["stateMachineArn"] for one in found if one["name"].startswith("sales-trial-")]
