"""Deploys one environment of a lake: writes a root module over `infra/terraform` and has Terraform carry it out.

Everything is below `.lakehead/<env>/`: the job's bundle, and in `terraform/` the root module with, unless a backend is
configured, Terraform's state.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import lakehead
from lakehead.aws import package
from lakehead.aws.terraform import Terraform
from lakehead.config import LakeConfig
from lakehead.errors import ConfigError, NotFound
from lakehead.model import Json

MODULE = "lake"
OVERRIDE_FILE = "terraform.override.tf.json"
"""Beside `lakehead.toml`: what Terraform merges over the root module (a backend, more variables, the provider)."""
OVERRIDE_VARIABLE = "LAKEHEAD_TERRAFORM_OVERRIDE"
"""Names one more such file, `.tf` or `.tf.json`, which comes after that one."""


def open_deployment(config: LakeConfig, job: package.Bundle | Callable[[], package.Bundle]) -> Terraform:
    """Terraform, ready to plan: the root module written and initialised.

    `job` is the ETL job's bundle, or what makes it. Raises ConfigError where the environment is not one that AWS runs,
    or Terraform is not installed.
    """
    check(config)
    terraform = Terraform.found(root_folder(config))
    write_root(config, job() if callable(job) else job)
    terraform.init()
    return terraform


def outputs(config: LakeConfig) -> Mapping[str, Json]:
    """What the environment consists of, by name. Raises NotFound where it was not deployed from here."""
    check(config)
    terraform = Terraform.found(root_folder(config))
    found = terraform.outputs().get(MODULE) if (terraform.folder / "main.tf.json").is_file() else None
    if not found:
        hint = (
            f"Deploy it with: lakehead --env {config.environment} deploy apply. "
            "Where it was deployed from elsewhere, into a backend, run deploy plan here first."
        )
        raise NotFound("the environment is not deployed, or not from this folder", hint=hint, path=str(config.root))
    return dict(found)


def check(config: LakeConfig) -> None:
    """Raises ConfigError where the environment is not one that AWS runs."""
    if config.runtime != "aws":
        raise ConfigError(
            f'the environment "{config.environment}" is not run by AWS',
            hint=f'Write storage = "s3" and runtime = "aws" below [env.{config.environment}], or choose another --env.',
            file=str(config.file),
        )


def root_folder(config: LakeConfig) -> Path:
    """Where the root module is."""
    return config.state_dir / "terraform"


def module_folder() -> Path:
    """`infra/terraform`: in the installed package, or in the checkout that this code runs from."""
    here = Path(lakehead.__file__).resolve().parent
    for folder in (here / "infra", here.parents[1] / "infra" / "terraform"):
        if (folder / "main.tf").is_file():
            return folder
    raise ConfigError("this installation has no Terraform module", hint="Install lakehead again from its wheel.")


def write_root(config: LakeConfig, job: package.Bundle) -> None:
    """Write the root module, and beside it what overrides it."""
    folder = root_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*_override.tf*"):
        old.unlink()
    (folder / "main.tf.json").write_text(json.dumps(root_module(config, job), indent=2) + "\n", encoding="utf-8")
    beside, named = config.root / OVERRIDE_FILE, os.environ.get(OVERRIDE_VARIABLE)
    if beside.is_file():
        (folder / "lake_override.tf.json").write_bytes(beside.read_bytes())
    if named:
        path = Path(named)
        if not path.is_file() or not path.name.endswith((".tf", ".tf.json")):
            raise ConfigError(f"{OVERRIDE_VARIABLE} names a file that ends in .tf or .tf.json", received=named)
        suffix = ".tf.json" if path.name.endswith(".json") else ".tf"
        (folder / f"variable_override{suffix}").write_bytes(path.read_bytes())  # after lake_ in Terraform's order


def root_module(config: LakeConfig, job: package.Bundle) -> dict[str, Json]:
    """The root module as Terraform's JSON: one provider, one module, one output."""
    provider: dict[str, Json] = {
        "default_tags": {"tags": {"Application": "lakehead", "Lake": config.name, "Environment": config.environment}}
    }
    provider |= {name: value for name, value in (("region", config.region), ("profile", config.profile)) if value}
    module: dict[str, Json] = {
        # A relative path is read where it is; an absolute one Terraform copies, once.
        "source": os.path.relpath(module_folder(), root_folder(config).resolve()),
        "lake_dir": _literal(str(config.root)),
        "name": config.name,
        "environment": config.environment,
        "buckets": {"raw": config.raw_bucket, "processed": config.processed_bucket},
        "job": {"script": _literal(str(job.script.resolve())), "bundle": _literal(str(job.wheels.resolve()))},
    }
    # Zero, the default of a lake on one machine, is no pause for AWS.
    pauses = {"poll_seconds": config.poll_seconds, "settle_seconds": config.settle_seconds}
    module |= {name: round(seconds) for name, seconds in pauses.items() if seconds >= 1}
    return {
        "provider": {"aws": provider},
        "module": {MODULE: module},
        "output": {MODULE: {"value": f"${{module.{MODULE}}}"}},
    }


def _literal(text: str) -> str:
    """Text that Terraform does not take for a template."""
    return text.replace("${", "$${").replace("%{", "%%{")


def bundle(config: LakeConfig, say: Callable[[str], None], *, any_will_do: bool = False) -> package.Bundle:
    """The job's bundle in the state folder: the one that is there where code and lock are the same, else a new one.

    `any_will_do`: to take a deployment down, the last bundle is as good as a new one.
    """
    folder = config.state_dir / "bundle"
    made, inputs = folder / "made-from.json", _inputs()
    with contextlib.suppress(OSError, ValueError, KeyError):  # none yet, or one whose making was stopped
        known = json.loads(made.read_text(encoding="utf-8"))
        found = package.Bundle(folder / known["wheels"], folder / package.SCRIPT_NAME, known["sha256"])
        if (any_will_do or known["inputs"] == inputs) and found.wheels.is_file() and found.script.is_file():
            return found
    say("Collecting the wheels for Glue 5 (Python 3.11, x86_64) ...")
    found = package.build(folder)
    for other in folder.glob("*.gluewheels.zip"):
        if other != found.wheels:
            other.unlink()
    known = {"inputs": inputs, "wheels": found.wheels.name, "sha256": found.sha256}
    made.write_text(json.dumps(known), encoding="utf-8")
    return found


def _inputs() -> str:
    """What a bundle is made from, as one hash."""
    root, seen = Path(lakehead.__file__).parent, hashlib.sha256()
    for path in package.own_files(root):
        seen.update(f"{path.relative_to(root)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return seen.hexdigest()
