"""Functions of dates and timestamps."""

from __future__ import annotations

import re
from datetime import datetime

from lakehead.query.bound import Bound, failure, text_sql, unsupported
from lakehead.query.casts import alike, cast, coerce, wall
from lakehead.query.functions.calls import Call, Function
from lakehead.query.operators import moved
from lakehead.query.types import BIGINT, DATE, DOUBLE, TIMESTAMP, TIMESTAMPTZ, UNKNOWN, VARCHAR, Type

_DATE_UNITS = ("day", "week", "month", "quarter", "year")
_TIME_UNITS = ("millisecond", "second", "minute", "hour")
_ADD = {
    "millisecond": "to_milliseconds(CAST({} AS BIGINT))",
    "second": "to_seconds(CAST({} AS BIGINT))",
    "minute": "to_minutes(CAST({} AS BIGINT))",
    "hour": "to_hours(CAST({} AS BIGINT))",
    "day": "to_days(CAST({} AS INTEGER))",
    "week": "to_weeks(CAST({} AS INTEGER))",
    "month": "to_months(CAST({} AS INTEGER))",
    "quarter": "to_quarters(CAST({} AS INTEGER))",
    "year": "to_years(CAST({} AS INTEGER))",
}
_PARTS = {
    "year": "year",
    "quarter": "quarter",
    "month": "month",
    "week": "week",
    "week_of_year": "week",
    "day": "day",
    "day_of_month": "day",
    "day_of_week": "isodow",
    "dow": "isodow",
    "day_of_year": "dayofyear",
    "doy": "dayofyear",
    "year_of_week": "isoyear",
    "yow": "isoyear",
    "hour": "hour",
    "minute": "minute",
    "second": "second",
}
# MySQL's letters (Trino: "MySQL date functions") as strftime's. %D %U %u %V %w %X are refused there, too.
_MYSQL = {
    **{letter: f"%{letter}" for letter in "abdfHIjmpSYy%"},
    "c": "%-m",
    "e": "%-d",
    "h": "%I",
    "i": "%M",
    "k": "%-H",
    "l": "%-I",
    "M": "%B",
    "r": "%I:%M:%S %p",
    "s": "%S",
    "T": "%H:%M:%S",
    "v": "%V",
    "W": "%A",
    "x": "%G",
}
_JODA = {
    "yyyy": "%Y",
    "yy": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "dd": "%d",
    "d": "%-d",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "h": "%-I",
    "mm": "%M",
    "ss": "%S",
    "SSS": "%g",
    "EEEE": "%A",
    "EEE": "%a",
    "E": "%a",
    "a": "%p",
    "DDD": "%j",
}


def _moment(call: Call, index: int) -> Bound:
    """An argument as a date or timestamp."""
    value = call.arg(index)
    if value.type == UNKNOWN:
        return coerce(value, TIMESTAMP)
    if not value.type.is_time:
        raise call.fault(f"wants a date or a timestamp, not a {value.type}")
    return value


def _unit(call: Call, index: int, moment: Type) -> str:
    unit = call.word(index).lower()
    if unit not in _ADD or (moment == DATE and unit in _TIME_UNITS):
        raise call.fault(f"knows no unit '{unit}' of a {moment}")
    return unit


def _date_trunc(call: Call) -> Bound:
    call.need(2)
    moment = _moment(call, 1)
    unit = _unit(call, 0, moment.type)
    if unit == "millisecond" and moment.type != DATE:
        return moment
    sql = f"date_trunc('{unit}', {wall(moment)})"
    if moment.type == DATE:
        sql = f"CAST({sql} AS DATE)"
    elif moment.type.name == "timestamptz":
        sql = f"timezone({text_sql(moment.type.args[0])}, {sql})"
    return call.give(sql, moment.type)


def _date_add(call: Call) -> Bound:
    call.need(3)
    moment = _moment(call, 2)
    step = _ADD[_unit(call, 0, moment.type)].format(call.whole(1))
    value = moved(moment, f"+ {step}")
    return call.give(value.sql, value.type)


def _date_diff(call: Call) -> Bound:
    """Whole units between the two: 23 hours are no day."""
    call.need(3)
    values, kind = alike([_moment(call, 1), _moment(call, 2)], call.node, call.name)
    unit = _unit(call, 0, kind)
    first, second = (wall(value) for value in values)
    return call.give(f"datesub('{unit}', {first}, {second})", BIGINT)


def _part(part: str) -> Function:
    def bind(call: Call) -> Bound:
        call.need(1)
        value = call.arg(0)
        if value.type.name.startswith("interval"):
            raise unsupported(f"{part} of an interval", call.node)
        moment = _moment(call, 0)
        if moment.type == DATE and part in ("hour", "minute", "second"):
            raise call.fault("wants a timestamp, not a date")
        return call.give(f"CAST({_PARTS[part]}({wall(moment)}) AS BIGINT)", BIGINT)

    return bind


def _millisecond(call: Call) -> Bound:
    call.need(1)
    moment = _moment(call, 0)
    return call.give(f"CAST(millisecond({wall(moment)}) % 1000 AS BIGINT)", BIGINT)


def _extract(call: Call) -> Bound:
    part = str(call.node.this.name).lower()
    if part not in _PARTS:
        raise unsupported(f"EXTRACT({part.upper()} ...)", call.node)
    return _part(part)(call)


def _date(call: Call) -> Bound:
    call.need(1)
    return cast(call.arg(0), DATE, call.node)


def _last_day(call: Call) -> Bound:
    call.need(1)
    return call.give(f"last_day({wall(_moment(call, 0))})", DATE)


def _mysql_format(call: Call, index: int) -> str:
    text, found = call.word(index), []
    for percent, letter, other in re.findall(r"(%)(.)|([^%]+|%$)", text):
        if percent and letter in "DUuVwX":
            raise call.fault(f"does not know %{letter}")
        found.append(_MYSQL.get(letter, letter) if percent else other.replace("%", "%%"))
    return text_sql("".join(found))


def _date_format(call: Call) -> Bound:
    call.need(2)
    return call.give(f"strftime({wall(_moment(call, 0))}, {_mysql_format(call, 1)})", VARCHAR)


def _date_parse(call: Call) -> Bound:
    call.need(2)
    return call.give(f"CAST(strptime({call.text(0)}, {_mysql_format(call, 1)}) AS TIMESTAMP)", TIMESTAMP)


def _format_datetime(call: Call) -> Bound:
    call.need(2)
    text, found = call.word(1), []
    for quoted, letters, other in _joda(text):
        if letters:
            if letters not in _JODA:
                raise unsupported(f"the letters {letters} of a date format", call.node)
            found.append(_JODA[letters])
        else:
            found.append((quoted.replace("''", "'") or other).replace("%", "%%"))
    return call.give(f"strftime({wall(_moment(call, 0))}, {text_sql(''.join(found))})", VARCHAR)


def _joda(text: str) -> list[tuple[str, str, str]]:
    pattern = re.compile(r"'(?P<quoted>(?:[^']|'')*)'|(?P<letters>(?P<one>[A-Za-z])(?P=one)*)|(?P<other>[^A-Za-z']+)")
    return [(match["quoted"] or "", match["letters"] or "", match["other"] or "") for match in pattern.finditer(text)]


def _from_unixtime(call: Call) -> Bound:
    call.need(1, 2)
    zone = call.word(1) if len(call.args) > 1 else "UTC"
    seconds = f"make_timestamp(CAST(round({call.double(0)} * 1000) AS BIGINT) * 1000)"
    return call.give(f"timezone('UTC', {seconds})", Type("timestamptz", (_zone(call, zone),)))


def _to_unixtime(call: Call) -> Bound:
    call.need(1)
    moment = _moment(call, 0)
    # A timestamp without zone is taken as one of the session's zone, which is UTC in Athena.
    sql = f"timezone('UTC', {moment.sql})" if moment.type.name == "timestamptz" else f"CAST({moment.sql} AS TIMESTAMP)"
    return call.give(f"CAST(epoch({sql}) AS DOUBLE)", DOUBLE)


def _from_iso8601_date(call: Call) -> Bound:
    call.need(1)
    return cast(Bound(call.text(0), VARCHAR), DATE, call.node)


def _from_iso8601_timestamp(call: Call) -> Bound:
    call.need(1)
    text = call.text(0)
    pattern = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
    bad = failure(f"'Invalid format: ' || {text}", TIMESTAMPTZ)
    sql = (
        f"CASE WHEN regexp_full_match({text}, '{pattern}') THEN CAST({text} AS TIMESTAMPTZ)"
        f" WHEN {text} IS NOT NULL THEN {bad} END"
    )
    return call.give(f"CAST({sql} AS TIMESTAMPTZ)", TIMESTAMPTZ)


def _to_iso8601(call: Call) -> Bound:
    call.need(1)
    moment = _moment(call, 0)
    if moment.type == DATE:
        return call.give(f"CAST({moment.sql} AS VARCHAR)", VARCHAR)
    if moment.type.name == "timestamptz" and moment.type.args[0] != "UTC":
        raise unsupported("to_iso8601 in another zone than UTC", call.node)
    end = "Z" if moment.type.name == "timestamptz" else ""
    return call.give(f"strftime({wall(moment)}, '%Y-%m-%dT%H:%M:%S.%g{end}')", VARCHAR)


def _zone(call: Call, zone: str) -> str:
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise call.fault(f"knows no time zone '{zone}'") from error
    return zone


def _at_timezone(call: Call) -> Bound:
    """The same instant on another clock. A timestamp without zone is first taken as one of UTC."""
    call.need(2)
    moment = coerce(_moment(call, 0), TIMESTAMPTZ)
    return call.give(moment.sql, Type("timestamptz", (_zone(call, call.word(1)),)))


def _with_timezone(call: Call) -> Bound:
    """The same clock face in a zone."""
    call.need(2)
    zone = _zone(call, call.word(1))
    moment = _moment(call, 0)
    if moment.type.name == "timestamptz":
        raise call.fault("wants a timestamp without zone")
    return call.give(f"timezone({text_sql(zone)}, CAST({moment.sql} AS TIMESTAMP))", Type("timestamptz", (zone,)))


def _now(kind: str) -> Function:
    """The start of the query, the same wherever it is asked for."""

    def bind(call: Call) -> Bound:
        now: datetime = call.binder.binder.now
        text = now.strftime("%Y-%m-%d %H:%M:%S.") + f"{now.microsecond // 1000:03d}"
        stamp = f"CAST({text_sql(text)} AS TIMESTAMP)"
        if kind == "current_date":
            return Bound(f"CAST({text_sql(text[:10])} AS DATE)", DATE, constant=True)
        if kind == "localtimestamp":
            return Bound(stamp, TIMESTAMP, constant=True)
        return Bound(f"timezone('UTC', {stamp})", TIMESTAMPTZ, constant=True)

    return bind


TIMES: dict[str, Function] = {
    **{name: _part(name) for name in _PARTS},
    "millisecond": _millisecond,
    "extract": _extract,
    "date": _date,
    "date_trunc": _date_trunc,
    "date_add": _date_add,
    "date_diff": _date_diff,
    "date_format": _date_format,
    "date_parse": _date_parse,
    "format_datetime": _format_datetime,
    "last_day_of_month": _last_day,
    "from_unixtime": _from_unixtime,
    "to_unixtime": _to_unixtime,
    "from_iso8601_date": _from_iso8601_date,
    "from_iso8601_timestamp": _from_iso8601_timestamp,
    "to_iso8601": _to_iso8601,
    "at_timezone": _at_timezone,
    "with_timezone": _with_timezone,
    "current_date": _now("current_date"),
    "current_timestamp": _now("current_timestamp"),
    "now": _now("now"),
    "localtimestamp": _now("localtimestamp"),
}
