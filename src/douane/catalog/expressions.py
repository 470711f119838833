"""Expressions that an index has: in SQLite and PostgreSQL an index of the expression, in MariaDB, which has none such,
an index of a stored column with its value.

An index is used only for a query with the very words of the index, literals included; so all queries take the
expressions from here, by way of `schema.py`.
"""

from typing import Any

from sqlalchemy import Boolean, Column, ColumnElement, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType


class _OfColumn(FunctionElement[Any]):
    """A value that is made of one column, of the column's type."""

    inherit_cache = True

    def __init__(self, column: Column[Any], *literals: ColumnElement[Any]) -> None:
        super().__init__(column, *literals)
        self.type = column.type

    @property
    def column(self) -> ColumnElement[Any]:
        """The column."""
        return next(iter(self.clauses))


class or_least(_OfColumn):
    """The value of a column, or `least` if it is missing: a missing value sorts before every other in every
    database."""

    name = "or_least"
    inherit_cache = True


class start_of(_OfColumn):
    """The first 255 characters of a column: an entry of PostgreSQL's index has room for some 2,700 bytes, of MariaDB's
    for 3,072."""

    name = "start_of"
    inherit_cache = True

    def __init__(self, column: Column[Any]) -> None:
        super().__init__(column, literal_column("1"), literal_column("255"))


class _Condition(FunctionElement[bool]):
    """A condition, which the databases take as one: SQLAlchemy would compare it with 1, and then no index is used."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> "_Condition":
        """As it is."""
        return self


class is_live(_Condition):
    """The status of an image is not "deleted"."""

    name = "is_live"
    inherit_cache = True

    def __init__(self, status: Column[str]) -> None:
        super().__init__(status, literal_column("'deleted'"))


class is_true(_Condition):
    """A flag is set; an index is used where the database finds it useful."""

    name = "is_true"
    inherit_cache = True


@compiles(or_least)
def _coalesce(element: or_least, compiler: Any, **options: Any) -> str:
    return f"coalesce({compiler.process(element.clauses, **options)})"


@compiles(start_of)
def _substr(element: start_of, compiler: Any, **options: Any) -> str:
    return f"substr({compiler.process(element.clauses, **options)})"


@compiles(is_live)
def _not_deleted(element: is_live, compiler: Any, **options: Any) -> str:
    status, deleted = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{status} != {deleted}"


@compiles(is_true)
def _is_true(element: is_true, compiler: Any, **options: Any) -> str:
    return str(compiler.process(next(iter(element.clauses)).is_(True), **options))


@compiles(or_least, "mysql")
def _key(element: or_least, compiler: Any, **options: Any) -> str:
    return f"{compiler.process(element.column, **options)}_key"


@compiles(start_of, "mysql")
def _start(element: start_of, compiler: Any, **options: Any) -> str:
    return f"{compiler.process(element.column, **options)}_start"


@compiles(is_live, "mysql")
def _live(element: is_live, compiler: Any, **options: Any) -> str:
    status = compiler.process(next(iter(element.clauses)), **options)
    return f"{status.removesuffix('status')}live = 1"


@compiles(is_true, "mysql")
def _equals_one(element: is_true, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)} = 1)"  # no index is used for IS TRUE
