"""The shipped workflow document: valid for AWS's own tools, and the same bytes but for Configure's Result."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from lakehead.errors import DefinitionError
from lakehead.model import Json
from lakehead.pipeline import configured
from lakehead.workflow import execute, load_definition

DOCUMENT = files("lakehead.examples") / "sales" / "workflow" / "ingest.asl.json"


@pytest.fixture
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return loaded


def lint(definition: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "Ingest": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "RoleArn": "arn:aws:iam::123456789012:role/states",
                    "Definition": definition,
                },
            }
        },
    }
    path = folder / "template.json"
    path.write_text(json.dumps(template), encoding="utf-8")
    return subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), "--regions", "us-east-1", "--", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_cfn_lint_finds_nothing_and_finds_what_is_wrong(document: dict[str, Any], tmp_path: Path) -> None:
    clean = lint(document, tmp_path)
    assert clean.returncode == 0, clean.stdout + clean.stderr

    document["States"]["Identify"]["Nxt"] = "Load"
    assert "Nxt" in lint(document, tmp_path).stdout


def test_the_engine_loads_it_and_refuses_a_dangling_next(document: dict[str, Any]) -> None:
    load_definition(document)
    document["States"]["Identify"]["Next"] = "Nowhere"
    with pytest.raises(DefinitionError, match="Nowhere"):
        load_definition(document)


def test_every_task_may_fail_and_ends_in_a_told_failure(document: dict[str, Any]) -> None:
    states = document["States"]
    for name in ("ReadCommit", "Load", "ReadRecord", "GetProcessedCrawler", "StartProcessedCrawler", "NotifySuccess"):
        catches_all = [catch for catch in states[name]["Catch"] if catch["ErrorEquals"] == ["States.ALL"]]
        assert [catch["Next"] for catch in catches_all] == ["NotifyFailure"], name
    assert states["NotifyFailure"]["Next"] == "Failed"
    assert states["Failed"]["Type"] == "Fail"


def test_retries_name_transient_errors_only(document: dict[str, Any]) -> None:
    def retriers(node: Any) -> Any:
        if isinstance(node, dict):
            yield from node.get("Retry", [])
            for value in node.values():
                yield from retriers(value)
        elif isinstance(node, list):
            for value in node:
                yield from retriers(value)

    found = list(retriers(document))
    assert len(found) >= 7
    for retrier in found:
        assert not {"States.ALL", "States.TaskFailed"} & set(retrier["ErrorEquals"])
        assert retrier["JitterStrategy"] == "FULL"
        assert retrier["BackoffRate"] > 1


@pytest.mark.parametrize(("metadata_sync", "crawls"), [("crawler", 2), ("direct", 0)])
def test_direct_metadata_sync_announces_without_a_crawl(
    document: dict[str, Any], metadata_sync: str, crawls: int
) -> None:
    asked: list[str] = []

    def answer(state: str, request: Json) -> Json:
        asked.append(state)
        if state == "RunJob":
            assert request["Arguments"]["--metadata_sync"] == metadata_sync
        if state == "ReadCommit":
            return {"outcome": "fail", "error": "S3.NoSuchKeyException", "cause": "no such key"}
        summary = {"execution": "test", "rows_read": 3, "rows_committed": 2, "rows_quarantined": 1, "source": {}}
        crawl = {"Status": "SUCCEEDED", "StartTime": "9999-01-01T00:00:00Z"}
        return {
            "output": {
                "RunJob": {"Id": "jr_1", "JobRunState": "SUCCEEDED"},
                "ReadRecord": {"Body": json.dumps(summary)},
                "GetRawCrawler": {"Crawler": {"State": "READY", "LastCrawl": crawl}},
                "GetProcessedCrawler": {"Crawler": {"State": "READY", "LastCrawl": crawl}},
            }.get(state, {})
        }

    values = {**document["States"]["Configure"]["Result"], "metadata_sync": metadata_sync}
    event = {"detail": {"bucket": {"name": "raw"}, "object": {"key": "sales/orders/orders.csv"}}}
    result = execute(configured(document, values), event, answer, name="test")

    assert (result.status, result.output) == (
        "SUCCEEDED",
        {"rows_read": 3, "rows_committed": 2, "rows_quarantined": 1},
    )
    assert sum("Crawler" in state for state in asked) == crawls
    assert asked[-1] == "NotifySuccess"
