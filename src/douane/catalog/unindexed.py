"""Conditions for which SQLite uses no index, and that PostgreSQL, which has statistics, sees as they are.

SQLite without statistics takes an index for any equality. An expression keeps it from that; to PostgreSQL an expression
is opaque: it took half a per cent of the images for what 99 in 100 matched, and sorted them all.
"""

from typing import Any

from sqlalchemy import Boolean, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _SameType(FunctionElement[Any]):
    """A value of the type of its column."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


class unindexed_text(_SameType):
    """The text of a column."""

    name = "unindexed_text"
    inherit_cache = True


class unindexed_number(_SameType):
    """The number of a column."""

    name = "unindexed_number"
    inherit_cache = True


class is_set(FunctionElement[bool]):
    """A flag is set."""

    name = "is_set"
    type = Boolean()
    inherit_cache = True


class is_not_set(FunctionElement[bool]):
    """A flag is not set."""

    name = "is_not_set"
    type = Boolean()
    inherit_cache = True


@compiles(unindexed_text)
@compiles(unindexed_number)
@compiles(is_set)
def _plain(element: FunctionElement[Any], compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})"


@compiles(is_not_set)
def _not(element: is_not_set, compiler: Any, **options: Any) -> str:
    return f"(NOT {compiler.process(element.clauses, **options)})"


@compiles(unindexed_text, "sqlite")
def _text(element: unindexed_text, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)} || '')"


@compiles(unindexed_number, "sqlite")
def _number(element: unindexed_number, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)} + 0)"


@compiles(is_set, "sqlite")
def _set(element: is_set, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)} + 0 = 1)"


@compiles(is_not_set, "sqlite")
def _not_set(element: is_not_set, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)} + 0 = 0)"
