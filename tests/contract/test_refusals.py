"""What cannot be run is refused, with file, path, line and the next step; what only describes is left alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehead.contract import Contract, load_contract, load_contracts
from lakehead.errors import ContractError, UnsupportedContract

Make = Callable[..., Contract]
AT = "schema[0].properties[0]"
NAME = {"name": "a", "logicalType": "string"}
DAY = {"name": "a", "logicalType": "date"}
INT = {"name": "a", "logicalType": "integer"}
MONEY = {"name": "a", "physicalType": "decimal(12,2)"}


def options(entry: dict[str, Any], **found: Any) -> dict[str, Any]:
    return {**entry, "logicalTypeOptions": found}


def metric(name: str, entry: dict[str, Any] = NAME, **found: Any) -> dict[str, Any]:
    return {**entry, "quality": [{"metric": name, "mustBe": 0, **found}]}


# (the property, the path, words of the message, words of the hint)
PROPERTIES: list[tuple[dict[str, Any], str, str, str]] = [
    (
        {**NAME, "logicalType": "array", "items": {"logicalType": "string"}},
        ".logicalType",
        "array is not supported",
        "one value",
    ),
    ({**NAME, "logicalType": "object", "properties": []}, ".logicalType", "object is not supported", "one value"),
    ({**NAME, "logicalType": "time"}, ".logicalType", "time is not supported", "pattern"),
    ({"name": "a"}, "", "neither logicalType nor physicalType", ""),
    ({"name": "a", "logicalType": "number"}, "", "needs a physicalType", r"decimal\(12,2\)"),
    ({"name": "a", "physicalType": "varchr"}, ".physicalType", '"varchr" is not supported', 'Did you mean "varchar"'),
    ({"name": "a", "physicalType": "decimal(39,2)"}, ".physicalType", "precision <= 38", ""),
    ({"name": "a", "physicalType": "decimal"}, ".physicalType", "needs its digits", r"decimal\(12,2\)"),
    ({"name": "a", "physicalType": "map<string,int>"}, ".physicalType", "not supported", ""),
    ({**INT, "physicalType": "varchar"}, ".physicalType", "do not go together", ""),
    ({**INT, "physicalType": "decimal(5,2)"}, ".physicalType", "do not go together", ""),
    ({**NAME, "physicalName": "other"}, ".physicalName", "differs from name", "transformLogic: other"),
    ({**NAME, "name": "InvoiceNo"}, ".name", "small letters", "name: invoice_no"),
    ({**NAME, "name": "_line"}, ".name", "small letters", ""),
    (options(NAME, format="email"), ".logicalTypeOptions.format", "email", "pattern"),
    (options(NAME, pattern="(?=a)b"), ".logicalTypeOptions.pattern", "look-around", ""),
    (options(NAME, pattern="a("), ".logicalTypeOptions.pattern", "pattern", ""),
    (options(DAY, format="dd.MM.YYYY"), ".logicalTypeOptions.format", "YYYY is not supported", "yyyy"),
    (options(DAY, format="yyyy-MM"), ".logicalTypeOptions.format", "no day", ""),
    (options(DAY, format="yyyy-MM-dd HH:mm"), ".logicalTypeOptions.format", "time of day", "CAST"),
    (options(DAY, minimum="01.02.2025"), ".logicalTypeOptions.minimum", "no date", "2025-01-31"),
    (
        options({"name": "a", "logicalType": "timestamp"}, defaultTimezone="Europe/Berlin"),
        ".logicalTypeOptions.defaultTimezone",
        "not supported",
        "UTC",
    ),
    (
        options({"name": "a", "logicalType": "timestamp"}, format="yyyy-MM-dd HH:mm", timezone=True),
        ".logicalTypeOptions.timezone",
        "contradict",
        "XXX",
    ),
    (options(INT, format="u128"), ".logicalTypeOptions.format", "not supported", "decimal"),
    (
        options({"name": "a", "logicalType": "number", "physicalType": "double"}, multipleOf=0.1),
        ".logicalTypeOptions.multipleOf",
        "double",
        "",
    ),
    ({**DAY, "partitioned": True}, "", "cannot be null", "required: true"),
    ({**MONEY, "partitioned": True, "required": True}, "", "partition column of type", ""),
    ({**NAME, "transformLogic": "RANDOM()"}, ".transformLogic", "Rand is not supported", "Supported"),
    ({**NAME, "transformLogic": "(SELECT 1)"}, ".transformLogic", "Subquery is not supported", ""),
    ({**NAME, "transformLogic": "read_csv('x')"}, ".transformLogic", "is not supported", ""),
    ({**NAME, "transformLogic": "a || 'x'"}, ".transformLogic", "a is no column", ""),
    ({**NAME, "transformLogic": "x +"}, ".transformLogic", "no SQL expression", ""),
    ({**NAME, "transformLogic": "x; y"}, ".transformLogic", "not one SQL expression", ""),
    (metric("duplicateValues", mustBe="0"), ".quality[0].mustBe", "no number", ""),
    (metric("rowCount"), ".quality[0]", "belongs to the schema object", ""),
    (metric("invalidValues"), ".quality[0]", "needs the argument", ""),
    (
        metric("invalidValues", arguments={"validValus": ["x"]}),
        ".quality[0].arguments.validValus",
        "no argument",
        "validValues",
    ),
    (
        metric("invalidValues", arguments={"validValues": [1]}),
        ".quality[0].arguments.validValues",
        "no varchar",
        "quotes",
    ),
    (metric("nullValues", unit="rods"), ".quality[0].unit", "rods", "percent"),
    (
        {**NAME, "quality": [{"type": "custom", "engine": "soda", "implementation": "x"}]},
        ".quality[0]",
        "soda",
        "library",
    ),
    (
        {**NAME, "quality": [{"type": "sql", "query": "DROP TABLE x", "mustBe": 0}]},
        ".quality[0].query",
        "not one SELECT",
        "",
    ),
    (
        {**NAME, "quality": [{"type": "sql", "query": "SELECT COUNT(*) FROM other", "mustBe": 0}]},
        ".quality[0].query",
        "reads other",
        "object",
    ),
    (
        {**MONEY, "quality": [{"type": "sql", "query": "SELECT SUM({property}::INT) FROM {object}", "mustBe": 0}]},
        ".quality[0].query",
        r"CAST from decimal\(12,2\) to integer is not supported",
        "ROUND",
    ),
    (
        {**NAME, "customProperties": [{"property": "csvDelimiter", "value": ";"}]},
        ".customProperties[0]",
        "whole dataset",
        "document",
    ),
]


@pytest.mark.parametrize(("entry", "path", "words", "hint"), PROPERTIES)
def test_a_property_that_cannot_be_run_is_refused(
    make: Make, entry: dict[str, Any], path: str, words: str, hint: str
) -> None:
    with pytest.raises(ContractError, match=words) as caught:
        make(entry, {"name": "other", "logicalType": "string"})
    error = caught.value
    assert error.where["path"] == AT + path
    assert error.where["file"].endswith("orders.odcs.yaml")
    assert error.where["line"] >= 1

    assert re.search(hint, error.hint), error.hint


DOCUMENTS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"schema": {"relationship": []}}, "schema[0].relationship", "unknown key", "relationships"),
    ({"root": {"apiVersion": "v2.2.2"}}, "apiVersion", "v2.2.2 is not supported", "v3.1.0"),
    ({"root": {"apiVersion": "v3.1"}}, "apiVersion", "not one of the valid values", "v3.1.0"),
    ({"root": {"schema": []}}, "schema", "expected one schema object, received 0", "one file"),
    ({"root": {"schema": [{"name": "a", "properties": []}]}}, "schema[0]", "no properties", ""),
    (
        {"root": {"schema": [{"name": "a"}, {"name": "b"}]}},
        "schema[1]",
        "expected one schema object, received 2",
        "one file",
    ),
    ({"root": {"statu": "x"}}, "statu", "unknown key", "status"),
    ({"root": {"version": 1}}, "version", "expected text, received 1", "quotes"),
    ({"root": {"lakehead": 1}}, "lakehead", "unknown key", "customProperties"),
    ({"schema": {"physicalName": "bills"}}, "schema[0].physicalName", "bills", "rename"),
    (
        {"schema": {"quality": [{"metric": "nullValues", "mustBe": 0}]}},
        "schema[0].quality[0]",
        "belongs to a property",
        "Move",
    ),
    (
        {"schema": {"quality": [{"metric": "rowCount", "mustBe": 0, "mustBeLessThan": 3}]}},
        "schema[0].quality[0]",
        "exactly one",
        "",
    ),
    ({"custom": {"csvDelimeter": ";"}}, "customProperties[0].property", "unknown setting", "csvDelimiter"),
    ({"custom": {"lakeheadMode": "x"}}, "customProperties[0].property", "unknown setting", "Known"),
    ({"custom": {"onRewrites": "append"}}, "customProperties[0].property", "unknown setting", "onRewrite"),
    ({"custom": {"csvDelimiter": "ab"}}, "customProperties[0].value", "one ASCII character", ""),
    ({"custom": {"csvEncoding": "utf-7"}}, "customProperties[0].value", "one of utf-8", ""),
    ({"custom": {"csvNullTexts": [1]}}, "customProperties[0].value", "list of texts", ""),
    ({"custom": {"maxQuarantinedShare": 5}}, "customProperties[0].value", "from 0 to 1", ""),
    ({"custom": {"csvDelimiter": '"'}}, "(document)", "same character", ""),
    ({"custom": {"rawTablePrefix": "processed_"}}, "customProperties", "named alike", ""),
]


@pytest.mark.parametrize(("parts", "path", "words", "hint"), DOCUMENTS)
def test_a_document_that_cannot_be_run_is_refused(
    make: Make, parts: dict[str, Any], path: str, words: str, hint: str
) -> None:
    with pytest.raises(ContractError, match=words) as caught:
        make(NAME, **parts)
    assert caught.value.where["path"] == path
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("entry", "path", "words", "hint"),
    [
        ({**NAME, "requird": True}, f"{AT}.requird", "unknown key", "required"),
        (options(INT, minLength=3), f"{AT}.logicalTypeOptions.minLength", "no option of logicalType integer", ""),
        (
            {"name": "a", "physicalType": "int", "logicalTypeOptions": {"minimum": 0}},
            f"{AT}.logicalTypeOptions",
            "need a logicalType",
            "",
        ),
        ({**NAME, "logicalType": "str"}, f"{AT}.logicalType", "not one of the valid values", "string"),
        ({**NAME, "required": "yes"}, f"{AT}.required", "expected true or false", ""),
        ({"logicalType": "string"}, AT, "name is missing", ""),
        ({"nam": "a", "logicalType": "string"}, f"{AT}.nam", "unknown key", "name"),
        (metric("nullValue"), f"{AT}.quality[0].metric", "not one of the valid values", "nullValues"),
        ({**NAME, "quality": [{"rule": "nullValues", "mustBe": 0}]}, f"{AT}.quality[0]", "metric is missing", ""),
    ],
)
def test_what_the_standard_does_not_allow_is_explained(
    make: Make, entry: dict[str, Any], path: str, words: str, hint: str
) -> None:
    with pytest.raises(ContractError, match=words) as caught:
        make(entry)
    assert caught.value.where["path"].startswith(path)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([NAME, NAME], 'two properties are named "a"'),
        (
            [{**INT, "transformLogic": "b + 1"}, {**INT, "name": "b", "transformLogic": "a - c"}, {**INT, "name": "c"}],
            "computed from each other",
        ),
        ([{**NAME, "transformLogic": "B"}, {**NAME, "name": "b"}], 'may mean the property "b"'),
        ([{**NAME, "transformLogic": "X"}, {**NAME, "name": "b", "transformLogic": "x"}], "differ only in case"),
        ([{**NAME, "transformLogic": "'x'"}], "no property is read from the file"),
        ([{**INT, "transformLogic": "b / 2"}, {**INT, "name": "b"}], "double, which is not exact"),
        ([{**MONEY, "transformLogic": "b * b"}, {"name": "b", "physicalType": "decimal(20,2)"}], "can need 40 digits"),
        ([{**INT, "transformLogic": "b || 'x'"}, {**NAME, "name": "b"}], "but the column is bigint"),
        ([{**DAY, "transformLogic": "b"}, {"name": "b", "logicalType": "timestamp"}], "but the column is date"),
        ([{**INT, "partitionKeyPosition": 1}], "without partitioned"),
        ([{**INT, "required": True, "partitioned": True}], "every column is a partition column"),
        (
            [{**INT, "name": n, "required": True, "partitioned": True, "partitionKeyPosition": 2} for n in "bc"]
            + [NAME],
            "expected 1 to 2",
        ),
    ],
)
def test_properties_that_do_not_go_together_are_refused(make: Make, entries: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        make(*entries)


def test_the_line_is_that_of_the_fault(tmp_path: Path) -> None:
    file = tmp_path / "contracts" / "orders.odcs.yaml"
    file.parent.mkdir()
    file.write_text(
        "apiVersion: v3.1.0\nkind: DataContract\nid: a\nversion: 1.0.0\nstatus: active\nschema:\n- name: o\n"
        "  properties:\n"
        "  - name: day\n    logicalType: date\n    logicalTypeOptions:\n      format: DD/MM/yyyy\n"
    )
    with pytest.raises(UnsupportedContract) as caught:
        load_contract(file)
    assert caught.value.where == {
        "file": str(file),
        "path": "schema[0].properties[0].logicalTypeOptions.format",
        "line": 12,
    }
    assert "DD is not supported (did you mean dd?)" in caught.value.message


def test_what_only_describes_is_left_alone(make: Make) -> None:
    contract = make(
        {
            **NAME,
            "businessName": "A",
            "description": "text",
            "classification": "public",
            "criticalDataElement": True,
            "encryptedName": "a_enc",
            "examples": ["x", 1, None],
            "tags": ["x"],
            "transformSourceObjects": ["o"],
            "transformDescription": "none",
            "authoritativeDefinitions": [{"url": "https://example.org", "type": "x"}],
            "customProperties": [{"property": "otherTool", "value": {"x": 1}}],
            "quality": [{"type": "text", "description": "looks fine"}],
        },
        schema={"description": "rows", "dataGranularityDescription": "one an order", "physicalType": "table"},
        root={
            "servers": [{"server": "s", "type": "local", "path": "x", "format": "csv"}],
            "team": {"members": [{"username": "u"}]},
            "price": {"priceAmount": 1.5, "priceCurrency": "EUR"},
            "support": [{"channel": "c", "url": "https://example.org"}],
            "slaProperties": [{"property": "latency", "value": 1}],
            "tags": ["x"],
            "roles": [{"role": "r"}],
            "customProperties": [{"property": "dbtModel", "value": "x"}],
        },
    )
    assert [column.name for column in contract.columns] == ["a"]
    assert contract.quality == ()


def test_settings_are_read_from_the_document_and_the_schema(make: Make) -> None:
    contract = make(
        NAME,
        custom={"csvDelimiter": "\t", "csvEncoding": "ISO-8859-1", "csvHeader": False, "maxQuarantinedShare": 0.25},
        schema={
            "customProperties": [
                {"property": "csvNullTexts", "value": ["N/A", " - ", ""]},
                {"property": "onRewrite", "value": "append"},
                {"property": "onDuplicateContent", "value": "skip"},
                {"property": "processedTablePrefix", "value": "clean_"},
            ]
        },
    )
    dialect = contract.dialect
    assert (dialect.delimiter, dialect.encoding, dialect.header) == ("\t", "latin-1", False)
    assert dialect.null_texts == ("N/A", "-")
    assert (contract.on_rewrite, contract.on_duplicate_content, contract.max_quarantined_share) == (
        "append",
        "skip",
        0.25,
    )
    assert (contract.raw_table, contract.processed_table) == ("raw_orders", "clean_orders")


def test_a_dataset_is_the_path_below_the_contracts(tmp_path: Path, make: Make) -> None:
    assert make(NAME).dataset == "sales/orders"
    text = (
        "{apiVersion: v3.1.0, kind: DataContract, id: a, version: '1', status: x, "
        "schema: [{name: o, properties: [{name: a, logicalType: string}]}]}"
    )
    for name in ("a/b.odcs.yaml", "c.yml", "d/e/f.odcs.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "README.md").write_text("no contract")
    assert list(load_contracts(tmp_path)) == ["a/b", "c", "d/e/f"]
    (tmp_path / "c.odcs.yaml").write_text(text)
    with pytest.raises(ContractError, match="two files describe the dataset c"):
        load_contracts(tmp_path)
    (tmp_path / "Bad Name.yaml").write_text(text)
    with pytest.raises(UnsupportedContract, match="cannot name a dataset"):
        load_contract(tmp_path / "Bad Name.yaml", root=tmp_path)


def test_partitions_come_in_their_own_order(make: Make) -> None:
    def part(name: str, position: int) -> dict[str, Any]:
        return {
            "name": name,
            "logicalType": "integer",
            "required": True,
            "partitioned": True,
            "partitionKeyPosition": position,
        }

    contract = make(part("month", 2), NAME, part("year", 1))
    assert [column.name for column in contract.partition_columns] == ["year", "month"]
