"""What can be said of the deployment without deploying it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.terraform import INFRA, ROOT, Terraform, terraform_in

CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
MODULES = [INFRA, *sorted((INFRA / "modules").iterdir())]
FILES = {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "locals.tf"}


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    found = terraform_in(tmp_path_factory.mktemp("static"))
    found.init()
    return found


def test_the_configuration_is_formatted(initialised: Terraform) -> None:
    initialised.run("fmt", "-check", "-recursive", "-diff", str(INFRA))


def test_the_configuration_is_valid(initialised: Terraform) -> None:
    told = json.loads(initialised.run("validate", "-json"))
    assert told["valid"] and not told["diagnostics"], told["diagnostics"]


def test_there_are_the_modules_that_the_root_connects() -> None:
    named = set(re.findall(r'source = "./modules/(\w+)"', (INFRA / "main.tf").read_text(encoding="utf-8")))
    expected = {"storage", "catalog", "etl", "workflow", "events", "query", "notify", "monitor"}
    assert named == expected == {module.name for module in MODULES[1:]}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_is_five_files(module: Path) -> None:
    assert {path.name for path in module.glob("*.tf")} == FILES


def blocks(path: Path, kind: str) -> dict[str, str]:
    """The blocks of a kind, `variable "x" { ... }`, by name. Top-level blocks end with a brace in the first column."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(rf'^{kind} "(\w+)" \{{\n(.*?)^\}}', text, re.DOTALL | re.MULTILINE)
    return dict(found)


@pytest.mark.parametrize("module", [*MODULES, INFRA / "examples" / "sales"], ids=lambda path: path.name)
def test_every_variable_and_output_says_what_it_is(module: Path) -> None:
    for name, body in blocks(module / "variables.tf", "variable").items():
        assert re.search(r'^  description\s*= "\S.*\."$', body, re.MULTILINE), f"{module.name}: {name}"
        assert re.search(r"^  type\s*= ", body, re.MULTILINE), f"{module.name}: {name}"
        assert not re.search(r"\bany\b", re.sub(r'"[^"]*"', "", body)), f"{module.name}: {name} takes anything"
    for name, body in blocks(module / "outputs.tf", "output").items():
        assert re.search(r'^  description\s*= "\S.*\."$', body, re.MULTILINE), f"{module.name}: {name}"


# Another module's output has been checked where it came from; a boolean has no wrong value.
CHECKED_ELSEWHERE = {"raw", "processed", "artifacts", "results", "queue", "database", "environment", "topic_arn"}
CHECKED_ELSEWHERE |= {"rules", "jobs", "force_destroy"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_every_variable_that_can_be_wrong_is_validated(module: Path) -> None:
    for name, body in blocks(module / "variables.tf", "variable").items():
        root_environment = module == INFRA and name == "environment"
        if root_environment or name not in CHECKED_ELSEWHERE | (
            {"state_machines"} if module.name == "monitor" else set()
        ):
            assert "validation {" in body, f"{module.name}: {name}"


def checkov(folder: Path) -> dict[str, Any]:
    if not CHECKOV.exists():
        pytest.skip("needs checkov: make emulator")
    # --skip-download: it would ask its maker's service for texts that nobody reads here.
    options = ("--framework", "terraform", "--output", "json", "--quiet", "--compact", "--skip-download")
    command = [str(CHECKOV), "--directory", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


SKIP = re.compile(r"^ *#checkov:skip=(\w+):(.*)\n", re.MULTILINE)


def test_checkov_finds_nothing_that_is_not_justified() -> None:
    told = checkov(INFRA)
    failed = [(one["check_id"], one["resource"], one["check_name"]) for one in told["results"]["failed_checks"]]
    assert not failed, "\n".join(map(str, failed))
    assert told["summary"]["passed"] > 100


def test_every_suppression_is_needed_and_says_why(tmp_path: Path) -> None:
    copy = tmp_path / "terraform"
    shutil.copytree(INFRA, copy, ignore=shutil.ignore_patterns(".terraform*"))
    suppressed: set[tuple[str, str]] = set()
    for path in copy.rglob("*.tf"):
        text = path.read_text(encoding="utf-8")
        for check, reason in SKIP.findall(text):
            suppressed.add((path.parent.name, check))
            assert len(reason) > 40, f"{path.parent.name}: {check} says too little of why: {reason!r}"
        path.write_text(SKIP.sub("", text), encoding="utf-8")
    found = {(Path(one["file_path"]).parent.name, one["check_id"]) for one in checkov(copy)["results"]["failed_checks"]}
    assert found == suppressed


def test_checkov_would_find_an_open_bucket(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(
        'resource "aws_s3_bucket" "open" {\n  bucket = "open"\n}\n'
        'resource "aws_s3_bucket_public_access_block" "open" {\n  bucket = aws_s3_bucket.open.id\n'
        "  block_public_acls = false\n}\n",
        encoding="utf-8",
    )
    assert checkov(tmp_path)["summary"]["failed"] > 0
