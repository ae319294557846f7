"""Runs Terraform on a copy of the deployment, with the provider from a mirror on this machine where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra" / "terraform"
SALES = ROOT / "src" / "lakehead" / "examples" / "sales"
APPLY_SECONDS = 280

MIRROR_DEPTH = 5
NOT_SEARCHED = {"proc", "sys", "dev", "run", "tmp"}


@cache
def mirror() -> Path | None:
    """A folder laid out as a provider mirror that holds the AWS provider, found by name at home or near the root."""
    for start in (Path.home(), Path("/")):
        for found in _folders(start, "registry.terraform.io", MIRROR_DEPTH):
            if any(found.glob("hashicorp/aws/*/*/terraform-provider-aws*")):
                return found.parent
    return None


def _folders(folder: Path, name: str, depth: int) -> Iterator[Path]:
    try:
        entries = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for entry in entries:
        if entry.name == name:
            yield Path(entry.path)
        elif depth > 1 and not (str(folder) == "/" and entry.name in NOT_SEARCHED):
            yield from _folders(Path(entry.path), name, depth - 1)


@dataclass
class Terraform:
    """Terraform in one folder. `environment` is its whole configuration from outside."""

    folder: Path
    environment: dict[str, str]
    variables: dict[str, Any] = field(default_factory=dict)

    def run(self, *arguments: str, code: int = 0, with_errors: bool = False, timeout: float = APPLY_SECONDS) -> str:
        """What a command writes to stdout. Fails the test where it ends with another code."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == code, f"terraform {' '.join(arguments)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout + done.stderr if with_errors else done.stdout

    def init(self) -> None:
        """Fetch the provider; skips the test where it is neither on this machine nor to be had."""
        command = ["terraform", "init", "-input=false", "-no-color"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=APPLY_SECONDS
        )
        if done.returncode and "Failed to query available provider packages" in done.stderr:
            pytest.skip("the AWS provider is neither on this machine nor to be had from its registry")
        assert done.returncode == 0, done.stderr

    def set(self, **variables: Any) -> None:
        """Give variables values, for all commands that follow."""
        self.variables |= variables
        text = json.dumps(self.variables)
        (self.folder / "terraform.tfvars.json").write_text(text, encoding="utf-8")

    def apply(self) -> None:
        """Make the deployment what the configuration says."""
        self.run("apply", "-auto-approve", "-input=false", "-no-color")

    def destroy(self) -> None:
        """Take the deployment down."""
        self.run("destroy", "-auto-approve", "-input=false", "-no-color")

    def plan(self) -> dict[str, Any]:
        """What an apply would do, as `terraform show -json` tells it."""
        self.run("plan", "-input=false", "-no-color", "-out=plan")
        plan: dict[str, Any] = json.loads(self.run("show", "-json", "plan"))
        return plan

    def output(self) -> dict[str, Any]:
        """The deployment's outputs."""
        outputs: dict[str, Any] = json.loads(self.run("output", "-json"))
        return {name: told["value"] for name, told in outputs.items()}

    def state(self) -> list[str]:
        """The addresses of all resources."""
        return self.run("state", "list").split()


def terraform_in(folder: Path) -> Terraform:
    """Terraform on a copy of the sales example and its modules, below `folder`. Skips where it is not installed."""
    if shutil.which("terraform") is None:
        pytest.skip("needs terraform on the PATH")
    copy = folder / "terraform"
    ignored = shutil.ignore_patterns(".terraform*", "terraform.tfstate*")
    shutil.copytree(INFRA, copy, ignore=ignored)
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    environment |= {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    configuration = folder / "terraform.rc"
    found = mirror()
    text = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{found}"\n  }}\n}}\n' if found else ""
    configuration.write_text(text, encoding="utf-8")
    environment["TF_CLI_CONFIG_FILE"] = str(configuration)
    return Terraform(copy / "examples" / "sales", environment)
