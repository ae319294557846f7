"""YAML as it is read: YAML 1.2's values, the line of each, and no document that breaks the reader."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehead.contract import load_contract, load_contracts
from lakehead.contract.document import Document
from lakehead.errors import ContractError

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def read(folder: Path, text: str | bytes) -> Document:
    file = folder / "c.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return Document(file)


def test_scalars_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    text = (
        "[no, yes, on, 2025-01-01, 1:30, 0o17, 010, 1_000, 0x1F, true, False, ~, null, '1', 1.50, 1e2, .5, -3, 1e999]"
    )
    assert read(tmp_path, text).data == [
        *("no", "yes", "on", "2025-01-01", "1:30", "0o17", 10, "1_000", "0x1F", True, False, None, None, "1"),
        *(Decimal("1.50"), Decimal(100), Decimal("0.5"), -3, "1e999"),
    ]


def test_every_value_has_its_line(tmp_path: Path) -> None:
    document = read(tmp_path, "# a comment\na: 1\nb:\n  - x\n  - y: 2\n    z: 3\n")
    assert [document.line(place) for place in [("a",), ("b", 0), ("b", 1, "y"), ("b", 1, "z"), ("b", 1, "none")]] == [
        2,
        4,
        5,
        6,
        5,
    ]


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", 'the key "a" is there twice', 3),
        ("a: [1\nb: 2\n", "no valid YAML", 2),
        ("a: &x 1\nb: *x\n", "anchors and aliases", 1),
        ("a: !!python/object:os.system 1\n", "tag", 1),
        ("? [a]\n: 1\n", "a key is a list", 1),
        ("a: 1\n---\nb: 1\n", "more than one YAML document", 1),
        ("[" * 100_000, "nested too deeply", 1),
        ("- " * 100_000, "nested too deeply", 1),
        ("{a: " * 100_000, "nested too deeply", 1),
        ("\x00", "no valid YAML", None),
        (b"a: \xff", "not UTF-8", None),
        ("x: " + "y" * 1_000_001, "larger than a contract", None),
    ],
)
def test_a_document_that_cannot_be_read_is_explained(
    tmp_path: Path, text: str | bytes, words: str, line: int | None
) -> None:
    with pytest.raises(ContractError, match=words) as caught:
        read(tmp_path, text)
    assert caught.value.where["file"].endswith("c.yaml")
    assert caught.value.where.get("line") == line


def test_a_byte_order_mark_is_no_part_of_the_document(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa: 1").data == {"a": 1}


def test_files_that_are_not_there_are_contract_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ContractError):
            load_contract(path)
    with pytest.raises(ContractError, match="no such folder"):
        load_contracts(tmp_path / "contracts")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
VALID: dict[str, Any] = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "t",
    "version": "1.0.0",
    "status": "active",
    "schema": [
        {
            "name": "orders",
            "quality": [{"metric": "rowCount", "mustBeGreaterThan": 0}],
            "properties": [
                {
                    "name": "a",
                    "logicalType": "integer",
                    "physicalType": "bigint",
                    "required": True,
                    "partitioned": True,
                    "partitionKeyPosition": 1,
                    "logicalTypeOptions": {"minimum": 0, "multipleOf": 2, "format": "i64"},
                    "quality": [{"metric": "invalidValues", "arguments": {"validValues": [1, 2]}, "mustBe": 0}],
                },
                {
                    "name": "b",
                    "logicalType": "date",
                    "transformLogic": "Date",
                    "logicalTypeOptions": {"format": "dd/MM/yyyy", "minimum": "2025-01-01"},
                },
                {"name": "c", "logicalType": "string", "logicalTypeOptions": {"pattern": "[a-z]+", "maxLength": 3}},
                {"name": "d", "physicalType": "decimal(30,2)", "transformLogic": "a * 2 + YEAR(b)"},
            ],
        }
    ],
    "customProperties": [{"property": "csvDelimiter", "value": ";"}, {"property": "onRewrite", "value": "append"}],
}


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, child in children for found in places(child, (*place, key)))]


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = changed(value[place[0]], place[1:], new)
    return copy


def load_or_explain(file: Path) -> None:
    try:
        load_contract(file)
    except ContractError as error:
        assert error.message
        assert error.where["file"] == str(file)


@settings(FUZZ, max_examples=150)
@given(
    st.one_of(
        st.binary(max_size=60), st.text(max_size=60).map(str.encode), values.map(lambda v: json.dumps(v).encode())
    )
)
def test_any_bytes_load_or_are_explained(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "orders.odcs.yaml"
    file.write_bytes(content)
    load_or_explain(file)


@settings(FUZZ, max_examples=250)
@given(st.data())
def test_any_change_of_a_valid_contract_loads_or_is_explained(tmp_path: Path, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(places(VALID)))
    new = data.draw(
        st.one_of(
            values,
            st.sampled_from(
                ["", "a", "b + 1", "a(", "((((", "*", "[a", "yyyy", "decimal(99,1)", "'", '"', "{object}", "1e9", -1]
            ),
        )
    )
    file = tmp_path / "orders.odcs.yaml"
    file.write_text(json.dumps(changed(VALID, place, new)), encoding="utf-8")
    load_or_explain(file)


def test_the_valid_contract_of_these_tests_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "orders.odcs.yaml"
    file.write_text(json.dumps(VALID), encoding="utf-8")
    contract = load_contract(file)
    assert contract.dialect.delimiter == ";"
    assert contract.on_rewrite == "append"
