"""The JSON API: what it answers, what it refuses and how, and that its document tells the truth."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.consoles import API, Site, served_lake
from support.waiting import until

from lakehead import __version__, errors
from lakehead.console.api import ENDPOINTS, openapi
from lakehead.console.encoding import plain, to_json
from lakehead.console.faults import status_of


def get(client: httpx.Client, path: str, **parameters: Any) -> Any:
    answer = client.get(API + path, params=parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def refused(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["type"] == kind and set(error) == {"type", "message", "hint", "where"}
    return error


def test_health_tells_no_more_than_that_it_is_well(stranger: httpx.Client) -> None:
    assert get(stranger, "/health") == {"status": "ok", "version": __version__}


def test_the_overview(program: httpx.Client) -> None:
    found = get(program, "/overview", window_seconds=86_400)
    assert found["succeeded"] >= 1 and found["rows_committed"] > 0 and found["window_seconds"] == 86_400
    assert [one["name"] for one in found["datasets"]] == ["sales/orders"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z", found["now"])


def test_runs_page_by_page(site: Site, program: httpx.Client) -> None:
    expected = [run.name for run in site.lake.runs(limit=500)]
    assert len(expected) >= 3
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = get(program, "/runs", limit=1, **after)
        found += [run["name"] for run in page["runs"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert found == expected


def test_runs_by_filter(site: Site, program: httpx.Client) -> None:
    run = site.lake.runs(status="SUCCEEDED", limit=1)[0]
    by = get(program, "/runs", status="SUCCEEDED", dataset="sales/orders", key=run.key)
    assert run.name in [one["name"] for one in by["runs"]]
    assert get(program, "/runs", dataset="other/things")["runs"] == []
    later = (run.started + timedelta(days=1)).isoformat()
    assert get(program, "/runs", since=later)["runs"] == [] and get(program, "/runs", until=later)["runs"]
    assert get(program, "/run-counts")["SUCCEEDED"] == site.lake.count_runs("SUCCEEDED")


def test_one_run_from_every_side(site: Site, program: httpx.Client) -> None:
    name = site.lake.runs(status="SUCCEEDED", limit=1)[0].name
    one = get(program, f"/runs/{name}")
    assert one["summary"]["name"] == name and one["input"]["detail-type"] == "Object Created"
    assert one["output"]["rows_read"] == one["summary"]["rows_read"]
    graph = get(program, f"/runs/{name}/graph")
    assert {"Start", "End"} <= {node["type"] for node in graph["nodes"]}
    assert any(edge["taken"] for edge in graph["edges"])
    assert {visit["status"] for visit in get(program, f"/runs/{name}/timeline")} <= {"SUCCEEDED", "CAUGHT"}
    events = get(program, f"/runs/{name}/history", limit=5)
    assert [event["id"] for event in events] == [1, 2, 3, 4, 5]
    assert get(program, f"/runs/{name}/history", after=5, limit=1)[0]["id"] == 6
    logs = get(program, f"/runs/{name}/logs", limit=1)
    assert len(logs) <= 1
    loaded = get(program, f"/runs/{name}/loaded")
    assert loaded["rows_read"] == loaded["rows_committed"] + loaded["rows_quarantined"]


def test_datasets_and_tables(program: httpx.Client) -> None:
    assert [one["name"] for one in get(program, "/datasets")] == ["sales/orders"]
    detail = get(program, "/datasets/sales/orders")
    assert detail["file"] and detail["columns"][0]["name"] == "order_id"
    assert get(program, "/datasets/sales%2Forders") == detail
    assert "processed_orders" in [one["name"] for one in get(program, "/tables")]
    shape = get(program, "/tables/processed_orders")
    assert [one["name"] for one in shape["columns"] if one["partition_key"]] == ["order_date"]
    first = get(program, "/tables/processed_orders/partitions", limit=1)
    rest = get(program, "/tables/processed_orders/partitions", after=first["next"])
    paths = [one["path"] for one in (*first["partitions"], *rest["partitions"])]
    assert paths == sorted(paths) and len(paths) == shape["summary"]["partitions"]
    newest = get(program, "/tables/processed_orders/partitions", limit=1, newest_first="true")
    assert newest["partitions"][0]["path"] == paths[-1]
    sample = get(program, "/tables/processed_orders/sample", limit=2)
    assert len(sample["rows"]) == 2 and ["price", "decimal(12,2)"] in sample["columns"]
    price = sample["rows"][0][[name for name, _ in sample["columns"]].index("price")]
    assert isinstance(price, str) and Decimal(price) >= 0
    assert get(program, "/crawls", dataset="sales/orders", limit=1)[0]["status"] == "SUCCEEDED"


def test_quarantine(program: httpx.Client) -> None:
    files = get(program, "/quarantine/files", dataset="sales/orders")["objects"]
    reasons = get(program, "/quarantine/reasons", dataset="sales/orders")
    assert sum(one["rows"] for one in reasons) >= sum(one["rows"] for one in files) > 0
    rows = get(program, "/quarantine/rows", key=files[0]["key"])
    assert len(rows) == files[0]["rows"] and rows[0]["line"] > 1 and rows[0]["reasons"]
    assert get(program, "/quarantine/rows", key=files[0]["key"], offset=1) == rows[1:]
    assert get(program, "/quarantine/files", limit=1)["next"] == files[0]["key"]


def test_a_query_is_asked_and_answered(program: httpx.Client) -> None:
    sent = program.post(f"{API}/queries", json={"sql": "SELECT order_id, price FROM processed_orders ORDER BY 1"})
    assert sent.status_code == 202
    id = sent.json()["id"]
    state = until(lambda: (now := get(program, f"/queries/{id}"))["status"] != "RUNNING" and now)
    assert state["status"] == "SUCCEEDED" and state["row_count"] > 2
    page = get(program, f"/queries/{id}/page", offset=1, limit=1)
    assert page["total"] == state["row_count"] and page["offset"] == 1 and len(page["rows"]) == 1
    assert "kind" in get(program, f"/queries/{id}/chart")
    csv = program.get(f"{API}/queries/{id}/csv")
    assert csv.text.splitlines()[0] == "order_id,price" and len(csv.text.splitlines()) == 1 + state["row_count"]
    assert csv.headers["content-disposition"].startswith("attachment; filename=") and csv.headers["content-type"]
    parquet = program.get(f"{API}/queries/{id}/parquet")
    assert parquet.content[:4] == parquet.content[-4:] == b"PAR1"
    assert re.fullmatch(r'attachment; filename="query-\w+\.parquet"', parquet.headers["content-disposition"])
    assert get(program, "/queries")[0]["id"] == id
    assert program.post(f"{API}/queries/{id}/cancel").json()["status"] == "SUCCEEDED"


def test_a_query_that_is_wrong_says_why(program: httpx.Client) -> None:
    id = program.post(f"{API}/queries", json={"sql": "SELECT nothing FROM processed_orders"}).json()["id"]
    state = until(lambda: (now := get(program, f"/queries/{id}"))["status"] != "RUNNING" and now)
    assert state["status"] == "FAILED" and "nothing" in state["error"]
    refused(program.get(f"{API}/queries/{id}/page"), 404, "NotFound")


def test_what_an_editor_completes(program: httpx.Client) -> None:
    tables = {one["name"]: one["columns"] for one in get(program, "/schema")}
    assert {"name": "price", "type": "decimal(12,2)"} in tables["processed_orders"]
    assert {"raw_orders", "quarantine_orders"} <= set(tables)
    assert all(one["sql"] for one in get(program, "/named-queries"))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/runs/nothing", "ExecutionNotFound"),
        ("/runs/nothing/graph", "ExecutionNotFound"),
        ("/runs/nothing/logs", "ExecutionNotFound"),
        ("/runs?after=nothing", "ExecutionNotFound"),
        ("/datasets/no/such", "NotFound"),
        ("/tables/nothing", "TableNotFound"),
        ("/tables/nothing/sample", "TableNotFound"),
        ("/queries/nothing", "NotFound"),
        ("/queries/nothing/csv", "NotFound"),
        ("/quarantine/reasons?dataset=no/such", "NotFound"),
        ("/nowhere", "HttpError"),
        ("/runs/%00", "ExecutionNotFound"),
        ("/datasets/..%2F..%2Fetc%2Fpasswd", "HttpError"),
    ],
)
def test_what_is_not_there(program: httpx.Client, path: str, kind: str) -> None:
    refused(program.get(API + path), 404, kind)


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/runs?limit=0", "limit"),
        ("/runs?limit=501", "limit"),
        ("/runs?limit=1.0", "limit"),
        ("/runs?limit=%2B5", "limit"),
        ("/runs?limit=", "limit"),
        ("/runs?limit=99999999999999999999", "limit"),
        ("/runs?status=DONE", "status"),
        ("/runs?since=yesterday", "since"),
        ("/runs?since=2025-01-03", "since"),
        ("/runs?since=2025-01-03T08:00:00", "since"),
        ("/runs?since=2025-02-30T08:00:00Z", "since"),
        ("/runs?since=1735891200", "since"),
        ("/runs?colour=red", "colour"),
        ("/runs?limit=1&limit=2", "limit"),
        ("/quarantine/reasons", "dataset"),
        (f"/runs?key={'k' * 1025}", "key"),
        ("/overview?window_seconds=1", "window_seconds"),
    ],
)
def test_a_parameter_that_is_not_valid_is_named(program: httpx.Client, path: str, parameter: str) -> None:
    assert refused(program.get(API + path), 400, "InvalidParameter")["where"] == {"parameter": parameter}


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z"])
def test_instants_at_the_ends_of_the_calendar(program: httpx.Client, since: str) -> None:
    get(program, "/runs", since=since)
    get(program, "/runs", until=since)


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "InvalidParameter"),
        (b"{", 400, "InvalidParameter"),
        (b"[]", 400, "InvalidParameter"),
        (b"null", 400, "InvalidParameter"),
        (b'{"sql": 1}', 400, "InvalidParameter"),
        (b'{"sql": ""}', 400, "InvalidParameter"),
        (b'{"sql": "SELECT 1", "more": 1}', 400, "InvalidParameter"),
        (b'{"sql": "\\ud800"}', 400, "InvalidParameter"),
        (b'\xff\xfe{"sql"', 400, "InvalidParameter"),
        (b"[" * 100_000, 400, "InvalidParameter"),
        (b'{"sql": "' + b"x" * (1 << 20) + b'"}', 413, "TooLarge"),
    ],
)
def test_a_body_that_is_not_valid(program: httpx.Client, body: bytes, status: int, kind: str) -> None:
    answer = program.post(f"{API}/queries", content=body, headers={"Content-Type": "application/json"})
    refused(answer, status, kind)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type_is_refused(program: httpx.Client, media_type: str) -> None:
    """Those are what a page of another site could send without being asked first."""
    answer = program.post(f"{API}/queries", content=b'{"sql": "SELECT 1"}', headers={"Content-Type": media_type})
    refused(answer, 415, "UnsupportedMediaType")


def test_a_method_that_is_not_there(program: httpx.Client) -> None:
    answer = program.delete(f"{API}/queries")
    refused(answer, 405, "HttpError")
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_a_run_is_stopped_and_redriven(tmp_path: Path) -> None:
    with served_lake(tmp_path / "lake") as site:
        program = site.program()
        sent = program.put(f"{API}/datasets/sales/orders/files/broken.csv", content=b"no,such,header\n1,2,3\n")
        name = sent.json()["execution"]
        until(lambda: (run := site.lake.journal.find(name)) and not run.running)
        run = get(program, f"/runs/{name}")["summary"]
        assert run["status"] == "FAILED" and run["error"]
        again = program.post(f"{API}/runs/{name}/redrive")
        assert again.status_code == 202
        second = again.json()["execution"]
        assert second != name
        until(lambda: (run := site.lake.journal.find(second)) and not run.running)
        until(lambda: not site.lake.events.counts()["started"])
        stopped = program.post(f"{API}/runs/{second}/stop", json={"cause": "enough"})
        assert stopped.json()["status"] == "FAILED"
        replayed = program.post(f"{API}/replays", json={"dataset": "sales/orders"})
        assert (replayed.status_code, replayed.json()) == (202, {"objects": 1})
        refused(program.post(f"{API}/replays", json={"dataset": "no/such"}), 404, "NotFound")


def test_what_succeeded_is_not_redriven(site: Site, program: httpx.Client) -> None:
    name = site.lake.runs(status="SUCCEEDED", limit=1)[0].name
    refused(program.post(f"{API}/runs/{name}/redrive"), 409, "NotRedrivable")


def test_a_launch_code_is_made_for_who_has_the_token(program: httpx.Client, stranger: httpx.Client) -> None:
    made = program.post(f"{API}/launch-codes")
    assert made.status_code == 201 and made.json()["seconds"] == 600
    assert stranger.get(f"/launch?code={made.json()['code']}").status_code == 200
    assert stranger.get("/").status_code == 200


# The document


def test_the_document_is_one_of_openapi_3_1(program: httpx.Client) -> None:
    found = get(program, "/openapi.json")
    assert found["openapi"] == "3.1.0" and len(found["paths"]) > 30
    assert {path for path in found["paths"] if "{" in path} >= {"/datasets/{dataset}", "/queries/{query}/csv"}
    for operation in (operation for path in found["paths"].values() for operation in path.values()):
        assert operation["summary"].endswith(".") and {"403", "503"} < set(operation["responses"])
    Draft202012Validator.check_schema({"$defs": found["components"]["schemas"]})


def test_every_operation_is_named_once() -> None:
    names = [endpoint.name for endpoint in ENDPOINTS]
    assert len(names) == len(set(names)) and all(endpoint.function.__doc__ for endpoint in ENDPOINTS)


def test_answers_are_as_the_document_says(site: Site, program: httpx.Client) -> None:
    """Of every place that can be asked with a name that is there."""
    document = openapi()
    values = {"name": site.lake.runs(status="SUCCEEDED", limit=1)[0].name, "table": "processed_orders"}
    values |= {"dataset": "sales/orders"}
    looked = 0
    for path, operations in document["paths"].items():
        if "get" not in operations or "{query}" in path:
            continue
        asked = re.sub(r"\{(\w+)\}", lambda match: values[match[1]], path)
        needed = {one["name"]: values[one["name"]] for one in operations["get"]["parameters"]
                  if one["required"] and one["in"] == "query"}  # fmt: skip
        answer = get(program, asked, **needed)
        schema = operations["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        whole = {**schema, "components": document["components"]}
        Draft202012Validator(whole).validate(answer)
        looked += 1
    assert looked > 20


# Encoding and statuses


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=True) | st.decimals(allow_nan=False,
    allow_infinity=False) | st.datetimes(timezones=st.just(UTC)) | st.dates() | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(json_like)
def test_whatever_is_sent_is_json_that_a_browser_reads_exactly(value: Any) -> None:
    found = json.loads(to_json(value), parse_constant=pytest.fail)
    assert not list(too_big(found))


def too_big(value: Any) -> Any:
    if isinstance(value, int) and abs(value) > 2**53:
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from too_big(inner)


def test_how_values_are_written() -> None:
    instant = datetime(2025, 1, 3, 8, 1, 25, 123_000, UTC)
    assert plain(instant) == "2025-01-03T08:01:25.123Z"
    assert plain(instant.replace(microsecond=123_456)) == "2025-01-03T08:01:25.123456Z"
    assert plain(datetime.fromisoformat("2025-01-03T09:01:25+01:00")) == "2025-01-03T08:01:25.000Z"
    assert plain(date(2025, 1, 3)) == "2025-01-03" and plain(Decimal("1E+3")) == "1000"
    assert plain(2**53) == 2**53 and plain(2**53 + 1) == str(2**53 + 1) and plain(float("nan")) is None
    assert plain(b"\x00\xff") == "00ff"
    with pytest.raises(TypeError):
        plain(object())


def test_statuses_of_errors() -> None:
    expected = {
        errors.ExecutionNotFound: 404, errors.InvalidKey: 400, errors.UsageError: 400, errors.NotRedrivable: 409,
        errors.Busy: 503, errors.StorageUnavailable: 503, errors.QueryError: 422, errors.UnsupportedSql: 422,
        errors.ConfigError: 500, errors.ContractError: 500,
    }  # fmt: skip
    assert {kind: status_of(kind("x")) for kind in expected} == expected
