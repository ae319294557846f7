"""Commit records as JSON: what goes in comes out, newer fields are kept, missing ones are refused."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehead.errors import CorruptRecord
from lakehead.etl.base import CommitRecord, CommittedFile, Portion
from lakehead.etl.commit import Outcome, Stored, plan_nothing
from lakehead.etl.record import HEAD_BYTES, decode, encode
from lakehead.model import ObjectVersion

OPTIONAL = ("portions", "replaced", "duplicate_of", "deleted")
NEEDED = [field.name for field in fields(CommitRecord) if field.name not in OPTIONAL]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
counts = st.integers(0, 10**15)
reasons = st.dictionaries(texts, counts, max_size=3)
versions = st.builds(
    ObjectVersion,
    bucket=texts,
    key=texts,
    etag=texts,
    size=counts,
    sequencer=st.integers(0, 1 << 80).map(lambda number: f"{number:018X}"),
    version_id=texts,
)
files = st.lists(st.builds(CommittedFile, texts, texts, counts, counts, texts), max_size=3).map(tuple)
keys = st.lists(texts, max_size=3).map(tuple)
records = st.builds(
    CommitRecord,
    dataset=texts,
    object_id=texts,
    source=versions,
    content_sha256=texts,
    contract_version=texts,
    contract_sha256=texts,
    engine=texts,
    execution=texts,
    attempt=texts,
    committed_at=texts,
    rows_read=counts,
    rows_committed=counts,
    rows_quarantined=counts,
    files=files,
    quarantine=files,
    schema=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    reasons=reasons,
    warnings=keys,
    portions=st.lists(st.builds(Portion, texts, texts, counts, counts, counts, keys, reasons), max_size=2).map(tuple),
    replaced=keys,
    duplicate_of=texts,
)


def example() -> CommitRecord:
    return CommitRecord(
        dataset="sales/orders",
        object_id="ab" * 32,
        source=ObjectVersion("raw", "sales/orders/x.csv", "e" * 64, 10, "0A", ""),
        content_sha256="e" * 64,
        contract_version="1",
        contract_sha256="c" * 64,
        engine="small",
        execution="execution-1",
        attempt="attempt-1",
        committed_at="2025-01-03T00:00:00.000Z",
        rows_read=3,
        rows_committed=2,
        rows_quarantined=1,
        files=(CommittedFile("a", "day=1", 2, 5),),
        quarantine=(CommittedFile("q", "", 1, 5),),
        schema=(("id", "bigint"),),
    )


def stored(document: Any) -> bytes:
    return b" " * HEAD_BYTES + json.dumps(document).encode()


def read(document: Any) -> CommitRecord:
    return decode(stored(document), bucket="b", key="k")[0]


@given(records)
def test_what_is_written_is_read(record: CommitRecord) -> None:
    assert decode(encode(record), bucket="b", key="k")[0] == record


def test_the_workflow_finds_what_it_asks_for() -> None:
    document = json.loads(encode(example())[:HEAD_BYTES])
    assert document["source"]["etag"] == "e" * 64
    assert document["source"]["sequencer"] == "0A"
    assert document["execution"] == "execution-1"
    assert (document["rows_read"], document["rows_committed"], document["rows_quarantined"]) == (3, 2, 1)


def test_fields_of_a_newer_version_are_passed_over_and_kept() -> None:
    document = {**asdict(example()), "format": 9, "novelty": {"x": 1}}
    document["source"]["novelty"] = 2
    record, raw = decode(stored(document), bucket="b", key="k")
    assert record == example()
    newer = ObjectVersion("raw", "sales/orders/x.csv", "e" * 64, 10, "0B", "")
    plan = plan_nothing(Outcome.UNCHANGED, Stored(record, "etag", raw), newer, bucket="b")
    assert plan.document is not None
    written = json.loads(plan.document[HEAD_BYTES:])
    assert written["novelty"] == {"x": 1}
    assert written["source"]["novelty"] == 2
    assert written["source"]["sequencer"] == "0B"


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_field_is_named(name: str) -> None:
    document = asdict(example())
    del document[name]
    with pytest.raises(CorruptRecord, match=name):
        read(document)


@pytest.mark.parametrize("name", ["portions", "replaced", "duplicate_of"])
def test_a_record_of_the_first_version_needs_none_of_the_later_fields(name: str) -> None:
    document = asdict(example())
    del document[name]
    assert read(document) == example()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rows_read", -1),
        ("rows_read", "3"),
        ("rows_read", True),
        ("rows_read", 1.5),
        ("files", {}),
        ("files", [1]),
        ("files", [{"key": "a"}]),
        ("schema", [["id"]]),
        ("reasons", {"x": -1}),
        ("warnings", [1]),
        ("source", None),
        ("source", {"bucket": "b"}),
        ("dataset", None),
    ],
)
def test_a_field_of_a_wrong_type_is_named(path: str, value: Any) -> None:
    with pytest.raises(CorruptRecord, match=path):
        read({**asdict(example()), path: value})


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"dataset": NaN}'])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptRecord) as caught:
        decode(data, bucket="b", key="k")
    assert caught.value.where["key"] == "k"
    assert "verify --repair" in caught.value.hint


def test_a_sequencer_that_is_no_number_is_refused() -> None:
    document = asdict(example())
    document["source"]["sequencer"] = "not hex"
    with pytest.raises(CorruptRecord, match="sequencer"):
        read(document)
