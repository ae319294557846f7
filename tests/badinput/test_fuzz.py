"""Documents, events and keys made by chance: refused with a reason or taken; never a crash, never a way out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehead.contract import load_contract
from lakehead.errors import ContractError, DefinitionError, InvalidKey, LakeheadError, TooLarge, UsageError
from lakehead.etl.folders import folder_of
from lakehead.etl.place import Place
from lakehead.events import decode
from lakehead.model import ObjectVersion
from lakehead.storage import LocalStore, layout
from lakehead.storage.keys import check_key, to_path, to_segment
from lakehead.workflow.definition import load_definition

EXAMPLES = Path(__file__).resolve().parents[2] / "src/lakehead/examples"
CONTRACTS = sorted(EXAMPLES.glob("*/contracts/**/*.yaml"))
WORKFLOW = (EXAMPLES / "sales/workflow/ingest.asl.json").read_text(encoding="utf-8")
EVENT = {
    "version": "0",
    "id": "x",
    "source": "aws.s3",
    "detail-type": "Object Created",
    "time": "2025-01-01T00:00:00Z",
    "detail": {"bucket": {"name": "raw"}, "object": {"key": "sales/orders/a.csv", "size": 1, "sequencer": "0A"}},
}
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NASTY = st.sampled_from(
    [
        "",
        "..",
        ".",
        "/",
        "\0",
        "\\",
        "a/../b",
        "../../etc/passwd",
        ".%",
        ".%.%",
        ".lakehead",
        "\u2028",
        "\ud800",
        "~",
        "%2e%2e",
    ]
)
SEGMENTS = st.one_of(NASTY, st.text(max_size=12), st.text(st.sampled_from("./\\%~ a\0é"), max_size=12))
KEYS = st.one_of(st.text(max_size=60), st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join))


@st.composite
def mutated(draw: st.DrawFn, text: str) -> bytes:
    """A text with some of its bytes cut, doubled, moved or replaced."""
    data = bytearray(text.encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 40))
        piece = draw(
            st.one_of(
                st.binary(max_size=6),
                st.just(bytes(data[at : at + size])),
                st.sampled_from(
                    [
                        b"[" * 2000,
                        b"{" * 2000,
                        b'"' * 3,
                        b"\n",
                        b": ",
                        b"- ",
                        b"&a *a",
                        b"!!python/name:os.system ",
                        b"9" * 400,
                        b"\xff",
                    ]
                ),
            )
        )
        data[at : at + draw(st.integers(0, size))] = piece
    return bytes(data)


@FUZZ
@given(st.sampled_from(CONTRACTS).flatmap(lambda path: mutated(path.read_text(encoding="utf-8"))))
def test_a_damaged_contract_is_explained(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "orders.odcs.yaml"
    file.write_bytes(data)
    try:
        load_contract(file)
    except ContractError as error:
        assert error.message and error.where["file"] == str(file)


@FUZZ
@given(mutated(WORKFLOW))
def test_a_damaged_workflow_document_is_explained(data: bytes) -> None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        load_definition(document)
    except DefinitionError as error:
        assert error.message


@FUZZ
@given(mutated(json.dumps(EVENT)))
def test_a_damaged_event_is_explained(data: bytes) -> None:
    try:
        found = decode(data)
    except UsageError as error:
        assert error.message
        return
    assert all(event.object.bucket and event.object.key for event in found)


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"States":{"A":{"Type":"Parallel","Branches":['])
def test_what_is_nested_without_end_is_refused(tmp_path: Path, opening: str) -> None:
    text = opening * 100_000
    with pytest.raises(UsageError):
        decode(text)
    file = tmp_path / "orders.odcs.yaml"
    file.write_text(text)
    with pytest.raises(ContractError):
        load_contract(file)
    deep: Any = {"StartAt": "A", "States": {}}
    for _ in range(5_000):
        deep = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": deep, "End": True}}}
    with pytest.raises(DefinitionError):
        load_definition({**deep, "StartAt": "nowhere"})


@settings(FUZZ, max_examples=500)
@given(KEYS)
def test_no_key_leads_out_of_its_bucket(tmp_path: Path, key: str) -> None:
    bucket = tmp_path / "bucket"
    try:
        check_key("bucket", key)
    except InvalidKey as error:
        assert error.hint
        return
    path = to_path(bucket, key)
    assert path.is_relative_to(bucket) and os.path.normpath(path) == str(path)
    assert path.relative_to(bucket).parts[0] != ".lakehead", "the store's own folder"
    names = path.relative_to(bucket).parts
    assert "/".join(str(to_segment(name, top=n == 0)) for n, name in enumerate(names)) == key


@settings(FUZZ, max_examples=60)
@given(st.lists(KEYS, min_size=1, max_size=4), st.binary(max_size=8))
def test_whatever_is_put_lies_in_the_bucket_and_is_listed(
    tmp_path_factory: pytest.TempPathFactory, keys: list[str], data: bytes
) -> None:
    root = tmp_path_factory.mktemp("store")
    store = LocalStore(root / "data")
    store.create_bucket("bucket")
    for key in keys:
        try:
            store.put("bucket", key, data)
            assert store.get("bucket", key) == data
            assert key in {info.key for info in store.list("bucket")}
        except LakeheadError as error:
            assert isinstance(error, UsageError)
    outside = [path for path in root.rglob("*") if not path.is_relative_to(root / "data")]
    assert outside == [] and sorted(path.name for path in (root / "data").iterdir()) == ["bucket"]


@settings(FUZZ, max_examples=300)
@given(st.lists(st.one_of(st.none(), NASTY, st.text(max_size=40)), min_size=1, max_size=3))
def test_no_value_of_a_partition_leads_out_of_its_dataset(values: list[str | None]) -> None:
    place = Place("sales/orders", ObjectVersion("raw", "sales/orders/a.csv"))
    names = [f"k{number}" for number in range(len(values))]
    try:
        folder = folder_of(names, values, place)
    except (TooLarge, UnicodeEncodeError):
        return
    segments = folder.split("/")
    assert len(segments) == len(values)
    assert all(segment.startswith(f"{name}=") for name, segment in zip(names, segments, strict=True))
    check_key("processed", layout.data_key("sales/orders", folder, "0" * 64, "0" * 12, 0))
