"""`make verify-aws` does nothing before a person said yes, and takes down whatever it made."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import pytest
import verify_aws

ARGUMENTS = ["--script", "job.py", "--bundle", "bundle.zip", "--bucket-prefix", "trial"]


class Account:
    """An account that can say who is asking."""

    def client(self, name: str) -> Account:
        assert name == "sts"
        return self

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/someone"}


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The Terraform commands that were run; none really is."""
    run: list[str] = []

    def terraform(options: argparse.Namespace, *command: str, capture: bool = False) -> str:
        run.append(command[0])
        return ""

    monkeypatch.setattr(verify_aws, "terraform", terraform)
    monkeypatch.setattr(verify_aws, "session", lambda options: Account())
    return run


@pytest.mark.parametrize("answer", ["no\n", "", "y\n", "Yes please\n"])
def test_without_a_yes_nothing_is_done(
    commands: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert verify_aws.main(ARGUMENTS) == 1
    assert commands == []
    told = capsys.readouterr().out
    assert "account 123456789012" in told and "destroyed at the end" in told and "Nothing was done." in told


@pytest.mark.parametrize(("found", "code"), [(True, 0), (False, 1)])
def test_what_was_made_is_taken_down(
    commands: list[str], monkeypatch: pytest.MonkeyPatch, found: bool, code: int
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    monkeypatch.setattr(verify_aws, "look", lambda options: found)
    assert verify_aws.main(ARGUMENTS) == code
    assert commands == ["init", "apply", "destroy"]


def test_it_is_taken_down_also_where_looking_fails(commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def look(options: Any) -> bool:
        raise TimeoutError

    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    monkeypatch.setattr(verify_aws, "look", look)
    with pytest.raises(TimeoutError):
        verify_aws.main(ARGUMENTS)
    assert commands == ["init", "apply", "destroy"]


def test_what_it_lands_is_there() -> None:
    assert verify_aws.SAMPLE.is_file() and Path(verify_aws.EXAMPLE / "main.tf").is_file()
