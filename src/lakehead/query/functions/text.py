"""Functions of text."""

from __future__ import annotations

import re

from lakehead.query.bound import Bound, failure, text_sql, unsupported
from lakehead.query.casts import as_text
from lakehead.query.functions.calls import Call, Function, boolean, texts
from lakehead.query.operators import join_text
from lakehead.query.types import BIGINT, BOOLEAN, INTEGER, VARCHAR, array

_LOW = "'Index must be greater than zero'"
_BLANKS = "' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13)"


def _concat(call: Call) -> Bound:
    if len(call.args) < 2:
        raise call.fault("takes at least two arguments")
    joined = call.arg(0)
    for value in call.args[1:]:
        joined = join_text(joined, value, call.node)
    return joined


def _trim(name: str) -> Function:
    def bind(call: Call) -> Bound:
        call.need(1, 2)
        blanks = call.text(1) if len(call.args) > 1 else _BLANKS
        return call.give(f"{name}({call.text(0)}, {blanks})", VARCHAR)

    return bind


def _substr(call: Call) -> Bound:
    """Counts from 1, or from the end where negative; 0 and what lies outside give the empty text."""
    call.need(2, 3)
    text, start = call.text(0), call.whole(1)
    length = f", greatest({call.whole(2)}, 0)" if len(call.args) > 2 else ""
    outside = f"{start} = 0 OR - {start} > length({text})"
    return call.give(f"CASE WHEN {outside} THEN '' ELSE substring({text}, {start}{length}) END", VARCHAR)


def _strpos(call: Call) -> Bound:
    call.need(2, 3)
    if len(call.args) > 2:
        raise unsupported("strpos with an instance", call.node)
    return call.give(f"CAST(strpos({call.text(0)}, {call.text(1)}) AS BIGINT)", BIGINT)


def _pad(name: str) -> Function:
    def bind(call: Call) -> Bound:
        call.need(3)
        return call.give(f"{name}({call.text(0)}, CAST({call.whole(1)} AS INTEGER), {call.text(2)})", VARCHAR)

    return bind


def _replace(call: Call) -> Bound:
    call.need(2, 3)
    new = call.text(2) if len(call.args) > 2 else "''"
    return call.give(f"replace({call.text(0)}, {call.text(1)}, {new})", VARCHAR)


def _split(call: Call) -> Bound:
    call.need(2, 3)
    if len(call.args) > 2:
        raise unsupported("split with a limit", call.node)
    return call.give(f"string_split({call.text(0)}, {call.text(1)})", array(VARCHAR))


def _split_part(call: Call) -> Bound:
    call.need(3)
    text, index = f"string_split({call.text(0)}, {call.text(1)})", call.whole(2)
    checked = f"CASE WHEN {index} < 1 THEN {failure(_LOW, BIGINT)} ELSE {index} END"
    return call.give(f"list_extract({text}, {checked})", VARCHAR)


def _concat_ws(call: Call) -> Bound:
    if len(call.args) < 2:
        raise call.fault("takes at least two arguments")
    parts = ", ".join(call.text(index) for index in range(len(call.args)))
    return call.give(f"CASE WHEN {call.text(0)} IS NULL THEN NULL ELSE concat_ws({parts}) END", VARCHAR)


def _regex(call: Call, index: int = 1) -> str:
    """A pattern that Java's and RE2's syntax read the same way, as a string literal."""
    pattern = call.word(index)
    if re.search(r"\(\?[=!<>]|(?<!\\)(?:\\\\)*\\[1-9kGZbB]|[*+?}]\+|\[[^\]]*&&", pattern.replace(r"\b", "")):
        raise unsupported(
            f"the regular expression {pattern!r}", call.node, "Look-around, back references and possessives are not."
        )
    # In Java $ also matches before a last line break; RE2's does not.
    return text_sql(re.sub(r"(?<!\\)((?:\\\\)*)\$$", r"\1\\n?\\z", pattern) if pattern.endswith("$") else pattern)


def _regexp_like(call: Call) -> Bound:
    call.need(2)
    return boolean(f"regexp_matches({call.text(0)}, {_regex(call)})", call)


def _regexp_extract(call: Call) -> Bound:
    call.need(2, 3)
    group = call.whole(2) if len(call.args) > 2 else "0"
    text, regex = call.text(0), _regex(call)
    found = f"regexp_extract({text}, {regex}, CAST({group} AS INTEGER))"
    return call.give(f"CASE WHEN regexp_matches({text}, {regex}) THEN {found} END", VARCHAR)


def _regexp_replace(call: Call) -> Bound:
    call.need(2, 3)
    new = call.word(2) if len(call.args) > 2 else ""
    if re.search(r"\$\{", new):
        raise unsupported("a named group in a replacement", call.node)
    # Java writes groups as $1, RE2 as \1.
    new = re.sub(r"(?<!\\)\$(\d)", r"\\\1", re.sub(r"\\(?![$\\])", r"\\\\", new)).replace(r"\$", "$")
    return call.give(f"regexp_replace({call.text(0)}, {_regex(call)}, {text_sql(new)}, 'g')", VARCHAR)


def _chr(call: Call) -> Bound:
    call.need(1)
    return call.give(f"chr(CAST({call.whole(0)} AS INTEGER))", VARCHAR)


def _json_extract_scalar(call: Call) -> Bound:
    """The text of a number, string or boolean; null for anything else."""
    call.need(2)
    path = call.word(1)
    if not re.fullmatch(r"\$(\.\w+|\[\d+\]|\[\"[^\"]+\"\])*", path):
        raise unsupported(f"the JSON path {path!r}", call.node)
    path = re.sub(r'\["([^"]+)"\]', r'."\1"', path)
    text = as_text(call.arg(0), call.node, call.name).sql
    found = f"json_extract({text}, {text_sql(path)})"
    scalar = f"json_type({found}) NOT IN ('OBJECT', 'ARRAY', 'NULL')"
    valid = f"json_valid({text}) AND {scalar}"
    return call.give(f"CASE WHEN {valid} THEN json_extract_string({text}, {text_sql(path)}) END", VARCHAR)


TEXT: dict[str, Function] = {
    "length": texts("length({0})", 1, BIGINT),
    "lower": texts("lower({0})", 1),
    "upper": texts("upper({0})", 1),
    "reverse": texts("reverse({0})", 1),
    "trim": _trim("trim"),
    "ltrim": _trim("ltrim"),
    "rtrim": _trim("rtrim"),
    "concat": _concat,
    "concat_ws": _concat_ws,
    "substr": _substr,
    "substring": _substr,
    "strpos": _strpos,
    "starts_with": texts("starts_with({0}, {1})", 2, BOOLEAN),
    "ends_with": texts("ends_with({0}, {1})", 2, BOOLEAN),
    "replace": _replace,
    "translate": texts("translate({0}, {1}, {2})", 3),
    "lpad": _pad("lpad"),
    "rpad": _pad("rpad"),
    "split": _split,
    "split_part": _split_part,
    "regexp_like": _regexp_like,
    "regexp_extract": _regexp_extract,
    "regexp_replace": _regexp_replace,
    "levenshtein_distance": texts("levenshtein({0}, {1})", 2, BIGINT),
    "chr": _chr,
    "codepoint": texts("unicode({0})", 1, INTEGER),
    "json_extract_scalar": _json_extract_scalar,
}
