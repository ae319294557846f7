"""Functions of arrays and maps, and those that take a lambda."""

from __future__ import annotations

from lakehead.query.bound import Bound, failure, fault, unsupported
from lakehead.query.casts import as_type, coerce
from lakehead.query.functions.calls import Call, Function, boolean
from lakehead.query.types import BIGINT, BOOLEAN, VARCHAR, Type, array, common_type, map_of

_NO_KEY = "'Key not present in map'"
_LOW = "'Array subscript must be greater than zero'"
_HIGH = "'Array subscript is beyond the array''s length'"
_ZERO = "'SQL array indices start at 1'"


def _array(call: Call, index: int = 0) -> Bound:
    value = call.arg(index)
    if value.type.name != "array":
        raise call.fault(f"wants an array, not a {value.type}")
    return value


def _element(call: Call) -> tuple[Bound, Bound, Type]:
    """The array and an argument that may be in it, as one type."""
    call.need(2)
    values = _array(call)
    kind = common_type(values.type.args[0], call.arg(1).type)
    if kind is None:
        raise call.fault(f"cannot look for a {call.arg(1).type} in an {values.type}")
    return coerce(values, array(kind)), coerce(call.arg(1), kind), kind


def _map_value(call: Call, *, strict: bool) -> Bound:
    held = call.arg(0)
    key, value = held.type.args
    wanted = as_type(call.arg(1), key, call.node, call.name).sql
    found = f"map_extract_value({held.sql}, {wanted})"
    if strict:
        missing = f"NOT map_contains({held.sql}, {wanted})"
        found = f"CASE WHEN {missing} THEN {failure(_NO_KEY, value)} ELSE {found} END"
    return call.give(found, value)


def _subscript(call: Call) -> Bound:
    """`array[1]`, from 1; what is not there is an error. `map[key]` likewise."""
    if call.arg(0).type.name == "map":
        return _map_value(call, strict=True)
    values, index = _array(call), call.whole(1)
    element = values.type.args[0]
    low = f"WHEN {index} < 1 THEN " + failure(_LOW, element)
    high = f"WHEN {index} > len({values.sql}) THEN " + failure(_HIGH, element)
    return call.give(f"CASE {low} {high} ELSE list_extract({values.sql}, {index}) END", element)


def _element_at(call: Call) -> Bound:
    """From 1, or from the end where negative; null for what is not there."""
    call.need(2)
    if call.arg(0).type.name == "map":
        return _map_value(call, strict=False)
    values, index = _array(call), call.whole(1)
    zero = f"WHEN {index} = 0 THEN " + failure(_ZERO, values.type.args[0])
    return call.give(f"CASE {zero} ELSE list_extract({values.sql}, {index}) END", values.type.args[0])


def _cardinality(call: Call) -> Bound:
    call.need(1)
    value = call.arg(0)
    if value.type.name not in ("array", "map"):
        raise call.fault(f"wants an array or a map, not a {value.type}")
    return call.give(f"CAST({'len' if value.type.name == 'array' else 'cardinality'}({value.sql}) AS BIGINT)", BIGINT)


def _contains(call: Call) -> Bound:
    """Null where the element is not found but might be one of the array's nulls."""
    values, wanted, _ = _element(call)
    found = f"list_contains({values.sql}, {wanted.sql})"
    unsure = f"{wanted.sql} IS NULL OR len(list_filter({values.sql}, lambda _x: _x IS NULL)) > 0"
    return boolean(f"CASE WHEN {found} THEN true WHEN {unsure} THEN NULL ELSE {found} END", call)


def _array_position(call: Call) -> Bound:
    values, wanted, _ = _element(call)
    found = f"coalesce(list_position({values.sql}, {wanted.sql}), 0)"
    unknown = f"{values.sql} IS NULL OR {wanted.sql} IS NULL"
    return call.give(f"CASE WHEN {unknown} THEN NULL ELSE CAST({found} AS BIGINT) END", BIGINT)


def _array_join(call: Call) -> Bound:
    call.need(2, 3)
    values, separator = _array(call), call.text(1)
    if values.type.args[0] != VARCHAR and not values.type.args[0].is_integer:
        raise unsupported(f"array_join of an {values.type}", call.node)
    texts = coerce(values, array(VARCHAR)).sql
    if len(call.args) > 2:
        texts = f"list_transform({texts}, lambda _x: coalesce(_x, {call.text(2)}))"
    return call.give(
        f"CASE WHEN {values.sql} IS NOT NULL THEN coalesce(array_to_string({texts}, {separator}), '') END", VARCHAR
    )


def _same(template: str) -> Function:
    """A function from an array to one of the same type."""

    def bind(call: Call) -> Bound:
        call.need(1)
        values = _array(call)
        return call.give(template.format(values.sql), values.type)

    return bind


def _array_extreme(name: str) -> Function:
    """Null where the array holds a null."""

    def bind(call: Call) -> Bound:
        call.need(1)
        values = _array(call)
        nulls = f"len(list_filter({values.sql}, lambda _x: _x IS NULL)) > 0"
        return call.give(f"CASE WHEN {nulls} THEN NULL ELSE {name}({values.sql}) END", values.type.args[0])

    return bind


def _sequence(call: Call) -> Bound:
    call.need(2, 3)
    if not all(value.type.is_integer for value in call.args):
        raise unsupported("sequence of anything but integers", call.node)
    first, last = call.whole(0), call.whole(1)
    step = call.whole(2) if len(call.args) > 2 else f"CASE WHEN {last} >= {first} THEN 1 ELSE -1 END"
    return call.give(f"generate_series({first}, {last}, {step})", array(BIGINT))


def _slice(call: Call) -> Bound:
    call.need(3)
    values, start, length = _array(call), call.whole(1), call.whole(2)
    first = f"CASE WHEN {start} < 0 THEN len({values.sql}) + {start} + 1 ELSE {start} END"
    return call.give(f"list_slice({values.sql}, {first}, ({first}) + {length} - 1)", values.type)


def _flatten(call: Call) -> Bound:
    call.need(1)
    values = _array(call)
    if values.type.args[0].name != "array":
        raise call.fault("wants an array of arrays")
    return call.give(f"flatten({values.sql})", values.type.args[0])


def _map(call: Call) -> Bound:
    if not call.args:
        return Bound("MAP([], [])", map_of(VARCHAR, VARCHAR), constant=True)
    call.need(2)
    keys, values = _array(call, 0), _array(call, 1)
    return call.give(f"map({keys.sql}, {values.sql})", map_of(keys.type.args[0], values.type.args[0]))


def _map_side(name: str, index: int) -> Function:
    def bind(call: Call) -> Bound:
        call.need(1)
        held = call.arg(0)
        if held.type.name != "map":
            raise call.fault(f"wants a map, not a {held.type}")
        return call.give(f"{name}({held.sql})", array(held.type.args[index]))

    return bind


def _with_lambda(call: Call) -> tuple[Bound, Bound, str]:
    """The array, the lambda's body over its elements, and the lambda's argument in SQL."""
    if len(call.node.expressions) != 2 or call.node.expressions[1].key != "lambda":
        raise fault(f"{call.name} takes an array and a lambda, x -> ...", call.node, name=call.name)
    values = call.binder.bind(call.node.expressions[0])
    function = call.node.expressions[1]
    if values.type.name != "array":
        raise call.fault(f"wants an array, not a {values.type}")
    if len(function.expressions) != 1:
        raise call.fault("takes a lambda of one argument")
    name = call.binder.binder.fresh("x")
    argument = Bound(name, values.type.args[0])
    scope = call.binder.scope.inner({function.expressions[0].name.lower(): argument})
    return values, call.binder.in_scope(scope).bind(function.this), name


def _transform(call: Call) -> Bound:
    values, body, name = _with_lambda(call)
    return Bound(f"list_transform({values.sql}, lambda {name}: {body.sql})", array(body.type))


def _filter(call: Call) -> Bound:
    values, body, name = _with_lambda(call)
    condition = as_type(body, BOOLEAN, call.node, call.name)
    return Bound(f"list_filter({values.sql}, lambda {name}: {condition.sql})", values.type)


def _match(name: str) -> Function:
    """any_match, all_match, none_match, with SQL's three truths."""

    def bind(call: Call) -> Bound:
        values, body, argument = _with_lambda(call)
        condition = as_type(body, BOOLEAN, call.node, call.name)
        truths = f"list_transform({values.sql}, lambda {argument}: {condition.sql})"
        sure, other = ("false", "true") if name == "all_match" else ("true", "false")
        found, rest = ("false", "true") if name == "none_match" else (sure, other)
        nulls = f"len(list_filter({truths}, lambda _x: _x IS NULL)) > 0"
        cases = f"WHEN list_contains({truths}, {sure}) THEN {found} WHEN {nulls} THEN NULL ELSE {rest}"
        return Bound(f"CASE WHEN {values.sql} IS NULL THEN NULL {cases} END", BOOLEAN)

    return bind


COLLECTIONS: dict[str, Function] = {
    "subscript": _subscript,
    "element_at": _element_at,
    "cardinality": _cardinality,
    "contains": _contains,
    "array_position": _array_position,
    "array_join": _array_join,
    "array_distinct": _same(
        "list_filter({0}, lambda _x, _i: list_position({0}, _x) = _i OR (_x IS NULL AND"
        " len(list_filter(list_slice({0}, 1, _i - 1), lambda _y: _y IS NULL)) = 0))"
    ),
    "array_sort": _same("list_sort({0}, 'ASC', 'NULLS LAST')"),
    "array_max": _array_extreme("list_max"),
    "array_min": _array_extreme("list_min"),
    "sequence": _sequence,
    "slice": _slice,
    "flatten": _flatten,
    "map": _map,
    "map_keys": _map_side("map_keys", 0),
    "map_values": _map_side("map_values", 1),
    "transform": _transform,
    "filter": _filter,
    "any_match": _match("any_match"),
    "all_match": _match("all_match"),
    "none_match": _match("none_match"),
}
