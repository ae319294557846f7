from __future__ import annotations

import base64
import contextlib
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehead.workflow.expressions import (
    ExpressionError,
    RuntimeFault,
    Scope,
    StateError,
    Surroundings,
    compile_expression,
    random_bytes,
)
from lakehead.workflow.functions import FUNCTIONS
from lakehead.workflow.intrinsics import IntrinsicSyntaxError, compile_intrinsic

NOW = datetime(2025, 1, 3, tzinfo=UTC)


def scope(data: Any = None, **variables: Any) -> Scope:
    counter = iter(range(1000))
    around = Surroundings(lambda: {"Execution": {"Name": "run-1"}}, NOW, lambda: random_bytes("seed", next(counter)))
    return Scope(data, around, variables)


def call(text: str, data: Any = None, **variables: Any) -> Any:
    return compile_expression(text)(scope(data, **variables))


def test_all_eighteen_functions_are_there() -> None:
    assert len(FUNCTIONS) == 18


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("States.Format('Hello, my name is {}.', $.name)", "Hello, my name is Ada."),
        ("States.Format('{} {} {} {}', 1, 1.5, true, null)", "1 1.5 true null"),
        ("States.Format('{} {} {}', 10000000.0, 0.0001, -1.25e-7)", "1.0E7 1.0E-4 -1.25E-7"),
        ("States.Format('{} {}', 9999999.5, 0.0)", "9999999.5 0.0"),
        ("States.Format('{}', $.nested)", "{a=1, b=[x, {c=null}]}"),
        ("States.Format('it\\'s \\{{}\\}', $.name)", "it's {Ada}"),
        ("States.Format('no holes')", "no holes"),
        ("States.StringToJson('{\"a\": [1, 2.0]}')", {"a": [1, 2.0]}),
        ("States.StringToJson('')", None),
        ("States.JsonToString($.nested)", '{"a":1,"b":["x",{"c":null}]}'),
        ("States.Array(1, 'a', $.name, States.Array())", [1, "a", "Ada", []]),
        ("States.ArrayPartition($.numbers, 4)", [[1, 2, 3, 4], [5, 6, 7, 8], [9]]),
        ("States.ArrayContains($.numbers, 5)", True),
        ("States.ArrayContains($.numbers, '5')", False),
        ("States.ArrayContains(States.Array(1), true)", False),
        ("States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]),
        ("States.ArrayRange(3, 1, -1)", [3, 2, 1]),
        ("States.ArrayRange(3, 1, 1)", []),
        ("States.ArrayGetItem($.numbers, 8)", 9),
        ("States.ArrayLength($.numbers)", 9),
        ("States.ArrayUnique(States.Array(3, 1, 3, true, 1))", [3, 1, True]),
        ("States.Base64Encode('Data to encode')", "RGF0YSB0byBlbmNvZGU="),
        ("States.Base64Decode('RGF0YSB0byBlbmNvZGU=')", "Data to encode"),
        ("States.Hash('abc', 'SHA-1')", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("States.Hash('', 'MD5')", "d41d8cd98f00b204e9800998ecf8427e"),
        ("States.JsonMerge($.nested, $.other, false)", {"a": 2, "b": ["x", {"c": None}], "d": 3}),
        ("States.MathAdd(111, -1)", 110),
        ("States.MathAdd(1.5, 1)", 3),
        ("States.StringSplit('1,2;;3', ',;')", ["1", "2", "3"]),
        ("States.Format('{}', $$.Execution.Name)", "run-1"),
        ("States.Format('{}', $who.name)", "Bob"),
        ("States.ArrayGetItem(States.StringSplit('a-b', '-'), States.MathAdd(0, 1))", "b"),
        ("States.ArrayLength($.items[?(@.a == 'x,)')])", 1),
    ],
)  # fmt: skip
def test_a_function_answers_as_on_aws(text: str, answer: Any) -> None:
    data = {
        "name": "Ada",
        "nested": {"a": 1, "b": ["x", {"c": None}]},
        "other": {"a": 2, "d": 3},
        "numbers": list(range(1, 10)),
        "items": [{"a": "x,)"}, {"a": "y"}],
    }
    assert call(text, data, who={"name": "Bob"}) == answer
    assert type(call(text, data, who={"name": "Bob"})) is type(answer)


@pytest.mark.parametrize(
    "text",
    [
        "States.Format('{}')",
        "States.Format('{} {}', 1)",
        "States.StringToJson('{')",
        "States.StringToJson('NaN')",
        "States.ArrayPartition('x', 1)",
        "States.ArrayPartition(States.Array(1), 0)",
        "States.ArrayRange(1, 2, 0)",
        "States.ArrayRange(1, 2000, 1)",
        "States.ArrayGetItem(States.Array(1), 1)",
        "States.ArrayGetItem(States.Array(1), -1)",
        "States.Base64Decode('*')",
        "States.Hash('x', 'SHA-3')",
        "States.Hash('x', States.Array())",
        "States.JsonMerge(1, 2, false)",
        "States.JsonMerge($, $, true)",
        "States.MathAdd('1', 1)",
        "States.MathRandom(2, 1)",
        "States.StringSplit(1, ',')",
    ],
)
def test_arguments_that_do_not_fit_fail_the_function(text: str) -> None:
    with pytest.raises(StateError) as failure:
        call(text, {})
    assert failure.value.error == "States.IntrinsicFailure"
    assert str(failure.value.cause).startswith("The function 'States.")


def test_a_missing_path_in_an_argument_is_a_runtime_error() -> None:
    with pytest.raises(RuntimeFault, match="No results for path"):
        call("States.Format('{}', $.nope)", {})


@pytest.mark.parametrize(
    "text",
    ["States.Nope()", "States.Format", "States.Format(", "States.Format('a'", "States.Format('a')x", "States.UUID(1)",
     "States.Hash('a')", "States.Format(a)", "States.Format('a' 'b')", "States.Array($.[)", "States.Array($.a[)"],
)  # fmt: skip
def test_what_is_no_call_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(text)


def test_calls_nest_ten_deep_and_no_deeper() -> None:
    nested = "States.Array(" * 10 + ")" * 10
    compile_intrinsic(nested)
    with pytest.raises(IntrinsicSyntaxError, match="at most 10"):
        compile_intrinsic(f"States.Array({nested})")


def test_random_answers_are_within_bounds_and_the_same_when_a_step_is_replayed() -> None:
    text = "States.Array(States.MathRandom(1, 5), States.MathRandom(1, 5, 7), States.UUID(), States.UUID())"
    first, again = call(text), call(text)
    assert first == again
    assert 1 <= first[0] < 5 and 1 <= first[1] < 5 and first[2] != first[3]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first[2])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_json_text_and_back_is_the_same_value(value: Any) -> None:
    text = call("States.JsonToString($)", value)
    assert json.loads(text) == value
    assert call("States.StringToJson($)", text) == value


@given(st.text(max_size=100))
def test_base64_and_back_is_the_same_text(text: str) -> None:
    encoded = call("States.Base64Encode($)", text)
    assert base64.b64decode(encoded).decode() == text
    assert call("States.Base64Decode($)", encoded) == text


@given(st.lists(json_values, max_size=20), st.integers(1, 7))
def test_partitions_hold_every_item_in_order(items: list[Any], size: int) -> None:
    parts = call("States.ArrayPartition($.items, $.size)", {"items": items, "size": size})
    assert [item for part in parts for item in part] == items
    assert all(len(part) == size for part in parts[:-1])


@settings(max_examples=500)
@example("ArrayRange", [0, 10**30, 1])
@example("ArrayRange", [1e300, -1e300, -1])
@example("MathRandom", [-(10**400), 10**400])
@example("MathAdd", [1e300, 0.5])
@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(json_values, max_size=4))
def test_no_argument_breaks_a_function(name: str, arguments: list[Any]) -> None:
    text = f"States.{name}({', '.join(f'$[{index}]' for index in range(len(arguments)))})"
    with contextlib.suppress(StateError, ExpressionError):
        json.dumps(call(text, arguments))


@given(st.text(alphabet="States.Fomat('){}$,\\ 01[]?@\n", max_size=40))
def test_any_text_is_a_call_or_a_syntax_error(text: str) -> None:
    with contextlib.suppress(IntrinsicSyntaxError):
        compile_intrinsic("States." + text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e10, "1.0E10"),
        (1e-5, "1.0E-5"),
        ([1, 2.5, {"a": 1e22, "é": None}], '[1,2.5,{"a":1.0E22,"é":null}]'),
        (True, "true"),
        ("a\n", '"a\\n"'),
    ],
)
def test_numbers_become_text_as_in_java(value: Any, text: str) -> None:
    assert call("States.JsonToString($.x)", {"x": value}) == text


def test_a_number_beyond_a_double_is_no_json() -> None:
    with pytest.raises(StateError, match="beyond a double") as caught:
        call("States.StringToJson('1e400')")
    assert caught.value.error == "States.IntrinsicFailure"
