"""What a function is given, and the small vocabulary that the tables of functions are written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lakehead.errors import QueryError
from lakehead.query.bound import Bound, fault, unsupported
from lakehead.query.casts import alike, as_text, as_type
from lakehead.query.types import BIGINT, BOOLEAN, DOUBLE, UNKNOWN, VARCHAR, Type

if TYPE_CHECKING:
    from sqlglot import exp

    from lakehead.query.expressions import Expressions


@dataclass(frozen=True, slots=True)
class Call:
    """A function call with its bound arguments (none of them bound where one is a lambda)."""

    name: str
    node: exp.Expr
    args: tuple[Bound, ...]
    binder: Expressions

    def need(self, least: int, most: int | None = None) -> None:
        """Check how many arguments there are."""
        most = least if most is None else most
        if not least <= len(self.args) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise fault(f"{self.name} takes {wanted} arguments, not {len(self.args)}", self.node, name=self.name)

    def arg(self, index: int) -> Bound:
        """An argument as it is."""
        return self.args[index]

    def text(self, index: int) -> str:
        """An argument as a varchar."""
        return as_text(self.args[index], self.node, self.name).sql

    def whole(self, index: int) -> str:
        """An argument as a bigint."""
        return as_type(self.args[index], BIGINT, self.node, self.name).sql

    def double(self, index: int) -> str:
        """An argument as a double."""
        value = self.args[index]
        if not value.type.is_number and value.type != UNKNOWN:
            raise fault(f"{self.name} wants a number, not a {value.type}", self.node, name=self.name)
        return as_type(value, DOUBLE, self.node, self.name).sql

    def word(self, index: int) -> str:
        """An argument that must be written as a literal, because it decides what is done."""
        literal = self.args[index].literal
        if literal is None:
            raise unsupported(f"{self.name} with anything but a literal as argument {index + 1}", self.node)
        return literal

    def fault(self, message: str) -> QueryError:
        """An error at this call."""
        return fault(f"{self.name} {message}", self.node, name=self.name)

    def alike(self) -> tuple[list[Bound], Type]:
        """All arguments as one type."""
        return alike(list(self.args), self.node, self.name)

    def give(self, sql: str, kind: Type) -> Bound:
        """The call's value."""
        return Bound(sql, kind, constant=bool(self.args) and all(one.constant for one in self.args))


Function: TypeAlias = Callable[[Call], Bound]


def texts(template: str, count: int, kind: Type = VARCHAR, *, most: int | None = None) -> Function:
    """A function of varchars: `{0}`, `{1}` in the template; `{rest}` is the last arguments, if any."""

    def bind(call: Call) -> Bound:
        call.need(count, most)
        values = [call.text(index) for index in range(len(call.args))]
        return call.give(template.format(*values, rest="".join(f", {one}" for one in values[count:])), kind)

    return bind


def doubles(template: str, count: int = 1, kind: Type = DOUBLE) -> Function:
    """A function of doubles."""

    def bind(call: Call) -> Bound:
        call.need(count)
        return call.give(template.format(*(call.double(index) for index in range(count))), kind)

    return bind


def constant(sql: str, kind: Type) -> Function:
    """A function without arguments."""

    def bind(call: Call) -> Bound:
        call.need(0)
        return Bound(sql, kind, constant=True)

    return bind


def boolean(value: str, call: Call) -> Bound:
    """A truth."""
    return call.give(value, BOOLEAN)
