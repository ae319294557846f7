"""`lakehead workflow`: validate, graph, run and test, over documents and over a lake's own executions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., tuple[int, str, str]]
TASK = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:x:::y", "End": True}}}
RETURN: dict[str, Any] = {"0": {"Return": {"n": 1}}}
THROW = {"0": {"Throw": {"Error": "X", "Cause": "why"}}}


def mocks(responses: dict[str, Any], cases: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"StateMachines": {"w": {"TestCases": cases, **more}}, "MockedResponses": responses}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], str]:
    def written(name: str, content: Any) -> str:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(path)

    return written


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "not JSON"), ("[]", "a state machine is a JSON object"), ("[" * 100_000, "not JSON")],
    ids=["cut", "list", "deep"],
)
def test_a_document_that_is_none(call: Call, write: Callable[[str, Any], str], text: str, told: str) -> None:
    code, _, err = call("workflow", "validate", write("w.json", text))
    assert code in (1, 2) and told in err and "w.json" in err


def test_validate_names_every_fault(call: Call, write: Callable[[str, Any], str]) -> None:
    document = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Ned": True, "OutputPath": "$.[", "Next": "B"}}}
    code, _, err = call("workflow", "validate", write("w.json", document))
    assert code == 1
    for told in ("w.json", "$.States.A.Ned", "$.States.A.OutputPath", "$.States.A.Next", "there is no state 'B'"):
        assert told in err


# run ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "code", "told"), [(RETURN, 0, '"n": 1'), (THROW, 1, '"cause": "why"')], ids=["return", "throw"]
)
def test_run_answers_tasks_from_a_mock_file(
    call: Call, write: Callable[[str, Any], str], response: Any, code: int, told: str
) -> None:
    mock = write("m.json", mocks({"R": response}, {"Case": {"A": "R"}}))
    got, out, err = call("workflow", "run", write("w.asl.json", TASK), "--mock", mock)
    assert (got, err) == (code, "") and told in out


def test_run_takes_its_input_from_a_file_and_before_the_mock_file(call: Call, write: Callable[[str, Any], str]) -> None:
    echo = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    definition, given = write("w.asl.json", echo), write("input.json", {"given": 1})
    mock = write("m.json", mocks({}, {"Case": {}}, Inputs={"Case": {"mocked": 1}}))
    for options, output in (
        ([], {}),
        (["--mock", mock], {"mocked": 1}),
        (["--mock", mock, "--input", given], {"given": 1}),
    ):
        code, out, _ = call("workflow", "run", definition, *options, "-o", "json")
        assert code == 0 and json.loads(out)["output"] == output


def test_run_asks_for_a_mock_that_is_missing(call: Call, write: Callable[[str, Any], str]) -> None:
    definition = write("w.asl.json", TASK)
    assert "no response is mocked" in call("workflow", "run", definition)[2]
    mock = write("m.json", mocks({"R": RETURN}, {"One": {"A": "R"}, "Two": {"A": "R"}}))
    code, out, err = call("workflow", "run", definition, "--mock", mock)
    assert (code, out) == (2, "") and "--case: One, Two" in err
    code, _, err = call("workflow", "run", definition, "--mock", mock, "--case", "Three")
    assert code == 2 and "there is no such test case" in err and "One, Two" in err
    assert call("workflow", "run", definition, "--mock", mock, "--case", "Two")[0] == 0


def test_run_refuses_what_it_would_otherwise_ignore(call: Call, write: Callable[[str, Any], str]) -> None:
    definition, mock = write("w.asl.json", TASK), write("m.json", mocks({"R": RETURN}, {"Case": {"B": "R"}}))
    for told, options in (
        ("no such Task state", ["--mock", mock]),
        ("--mock file", ["--case", "Case"]),
        ("has no test case", ["--mock", write("e.json", mocks({}, {}))]),
        ("stdin can only be read once", ["--mock", "-", "--input", "-"]),
    ):
        code, out, err = call("workflow", "run", definition, *options)
        assert (code, out) == (2, "") and told in err


def test_run_tells_where_a_mock_file_is_wrong(call: Call, write: Callable[[str, Any], str]) -> None:
    mock = write("m.json", mocks({"R": {"0": {"Retrun": 1}}}, {"Case": {"A": "R"}}))
    code, _, err = call("workflow", "run", write("w.asl.json", TASK), "--mock", mock)
    assert code == 2 and "m.json" in err and "$.MockedResponses.R" in err and "Retrun" in err


# test --------------------------------------------------------------------------------------------------------------


def test_the_shipped_tests_pass_and_enter_every_state(call: Call, sales: Path) -> None:
    code, out, err = call("--lake", str(sales), "workflow", "test", "-o", "json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert (told["failed"], told["untested"]) == (0, {}) and told["passed"] >= 10


def test_a_change_that_breaks_the_workflow_fails_its_tests(call: Call, sales: Path) -> None:
    document = sales / "workflow" / "ingest.asl.json"
    changed = document.read_text(encoding="utf-8").replace('"Default": "RawTableFailed"', '"Default": "NotifySuccess"')
    loaded = json.loads(changed)
    del loaded["States"]["RawTableFailed"]
    document.write_text(json.dumps(loaded), encoding="utf-8")
    code, out, _ = call("--lake", str(sales), "workflow", "test")
    assert code == 1 and "10 passed, 1 failed" in out
    assert "FailedRawCrawlIsToldAfterTheRowsCanBeQueried" in out
    assert "no response is mocked for this state [state=NotifySuccess" in out


def test_a_failed_test_is_told_with_what_differs(call: Call, write: Callable[[str, Any], str]) -> None:
    write("w.asl.json", TASK)
    file = write("m.json", mocks({"R": RETURN}, {"Case": {"A": "R"}}, Expectations={"Case": {"Output": {"n": 2}}}))
    code, out, err = call("workflow", "test", file)
    assert (code, err) == (1, "")
    assert 'Output: expected {"n":2}, received {"n":1}' in out and "0 passed, 1 failed" in out


def test_what_no_test_enters_is_told(call: Call, write: Callable[[str, Any], str]) -> None:
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "B"}], "Default": "A"}
    states = {"C": choice, "B": {"Type": "Succeed"}, **TASK["States"]}  # type: ignore[dict-item]
    write("w.asl.json", {"StartAt": "C", "States": states})
    code, out, _ = call("workflow", "test", write("m.json", mocks({"R": RETURN}, {"Case": {"A": "R"}})))
    assert code == 0 and "No test enters B (" in out


@pytest.mark.parametrize(("definition", "told"), [("nowhere.json", "nowhere.json"), ("\0", "file name")])
def test_a_definition_that_is_not_there(
    call: Call, write: Callable[[str, Any], str], definition: str, told: str
) -> None:
    code, out, err = call("workflow", "test", write("m.json", mocks({}, {"Case": {}}, Definition=definition)))
    assert code in (1, 2) and out == "" and told in err


def test_there_is_nothing_to_test(call: Call, sales: Path, write: Callable[[str, Any], str]) -> None:
    write("w.asl.json", {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    code, out, err = call("workflow", "test", write("m.json", mocks({}, {})))
    assert (code, out) == (2, "") and "there are no test cases" in err
    (sales / "workflow" / "ingest.test.json").unlink()
    code, out, err = call("--lake", str(sales), "workflow", "test")
    assert (code, out) == (2, "") and "there are no tests" in err


# graph -------------------------------------------------------------------------------------------------------------


def test_graph_draws_every_state_of_the_shipped_document(call: Call, sales: Path) -> None:
    code, out, _ = call("--lake", str(sales), "workflow", "graph")
    lines = out.splitlines()
    assert code == 0 and lines[0] == "stateDiagram-v2"
    for state in ("Configure", "Load", "RunJob", "NotifyFailure"):
        assert sum(f'state "{state}" as ' in line for line in lines) == 1
    named = {line.split()[-1] for line in lines if " as " in line}
    arrows = [line.split() for line in lines if "-->" in line]
    assert {end for arrow in arrows for end in (arrow[0], arrow[2])} - {"[*]"} == named
    assert lines.count("    --") == 1, "the two branches of Load"


@pytest.mark.parametrize("suffix", [".svg", ".png", ".dot", ".mmd"])
def test_graph_saves_a_picture(call: Call, sales: Path, tmp_path: Path, suffix: str) -> None:
    if suffix in (".svg", ".png"):
        pytest.importorskip("pygraphviz", reason="pictures are an extra")
    path = tmp_path / f"picture{suffix}"
    code, out, _ = call("--lake", str(sales), "workflow", "graph", "--save", str(path))
    assert (code, out) == (0, f"Wrote {path}\n")
    magic = {".svg": b"<?xml", ".png": b"\x89PNG", ".dot": b"digraph", ".mmd": b"stateDiagram-v2"}[suffix]
    assert path.read_bytes().startswith(magic)


def test_graph_refuses_other_kinds_of_pictures(call: Call, sales: Path, tmp_path: Path) -> None:
    code, _, err = call("--lake", str(sales), "workflow", "graph", "--save", str(tmp_path / "p.gif"))
    assert code == 2 and ".svg" in err and not (tmp_path / "p.gif").exists()


def test_graph_colours_the_path_of_an_execution(call: Call, sales: Path, tmp_path: Path) -> None:
    lake = ("--lake", str(sales))
    good = str(sales / "samples" / "orders-2025-01-01.csv")
    code, out, _ = call(*lake, "ingest", good, "-o", "json")
    assert code == 0
    (run,) = json.loads(call(*lake, "runs", "ls", "-o", "json")[1])
    drawn = call(*lake, "workflow", "graph", "--execution", run["name"])[1]
    ids = {line.split('"')[1]: line.split()[-1] for line in drawn.splitlines() if " as " in line}
    assert f"class {ids['NotifySuccess']} succeeded" in drawn and f"class {ids['ReadCommit']} caught" in drawn
    assert f"class {ids['NotifyFailure']} " not in drawn
    code, out, err = call(*lake, "workflow", "graph", "--execution", "nobody")
    assert (code, out) == (2, "") and "no execution of this name" in err
    both = call(*lake, "workflow", "graph", "--execution", run["name"], str(sales / "workflow/ingest.asl.json"))
    assert both[0] == 2 and "not both" in both[2]
