"""What the console brings from others: each file is named, licensed, and just what it must be."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from lakehead.console.assets import FOLDER

VENDOR = FOLDER / "vendor"
ROOT = Path(__file__).resolve().parents[2]
FILES = tomllib.loads((VENDOR / "MANIFEST.toml").read_text(encoding="utf-8"))["file"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file["name"])
def test_a_vendored_file_is_what_the_manifest_says(file: dict[str, str]) -> None:
    assert hashlib.sha256((VENDOR / file["name"]).read_bytes()).hexdigest() == file["sha256"]
    assert "Copyright" in (VENDOR / file["licence_file"]).read_text(encoding="utf-8") or file["licence"] == "0BSD"


def test_nothing_else_is_vendored() -> None:
    named = {file["name"] for file in FILES} | {file["licence_file"] for file in FILES} | {"MANIFEST.toml"}
    assert {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()} == named


def test_the_versions_are_those_of_the_recipe() -> None:
    wanted = json.loads((ROOT / "vendor" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    vendored = dict(package.rsplit(" ", 1) for file in FILES for package in file["packages"])
    assert wanted.items() <= vendored.items()


def test_the_recipe_names_no_registry() -> None:
    assert "resolved" not in (ROOT / "vendor" / "package-lock.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.js")), ids=lambda path: path.name)
def test_a_script_can_be_parsed(script: Path, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    module = tmp_path / f"{script.stem}.mjs"
    module.write_bytes(script.read_bytes())
    done = subprocess.run([node, "--check", str(module)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_no_markup_has_a_script_a_style_or_a_handler_of_its_own() -> None:
    """The content security policy would not let them work."""
    for template in (FOLDER.parent / "templates").glob("*.html"):
        text = template.read_text(encoding="utf-8")
        found = [word for word in (" style=", " onclick=", " onload=", "<style", "javascript:") if word in text]
        assert not found, template
        assert "<script>" not in text, template
        assert "|safe" not in text.replace(" ", ""), template
