"""Take an operation again if its transaction and another's got into each other's way."""

import functools
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from douane.errors import CatalogError

ATTEMPTS = 5
_PAUSE = 0.02

Class = TypeVar("Class", bound=type)
Result = TypeVar("Result")


def retried(catalog: Class) -> Class:
    """Let all operations of the class be taken again, a few times, where its database says that this may help.

    Every operation is one transaction, and one that failed has changed nothing.
    """
    for base in reversed(catalog.__mro__[1:-1]):
        for name, operation in vars(base).items():
            if callable(operation) and not name.startswith("_"):
                setattr(catalog, name, _retried(operation))
    return catalog


def _retried(operation: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(operation)
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        if not self._database.retries:
            return operation(self, *arguments, **named)
        # Iterators are used up by the first attempt.
        arguments = tuple(map(_kept, arguments))
        named = {name: _kept(value) for name, value in named.items()}
        return taken_again(lambda: operation(self, *arguments, **named))

    return call


def taken_again(operation: Callable[[], Result]) -> Result:
    """What the operation returns, which is taken again, a few times, while others get into its way."""
    for attempt in range(1, ATTEMPTS):
        try:
            return operation()
        except CatalogError as error:
            if error.code != "catalog-busy":
                raise
        time.sleep(random.uniform(0, _PAUSE * 2**attempt))
    return operation()


def _kept(value: Any) -> Any:
    return list(value) if isinstance(value, Iterator) else value
