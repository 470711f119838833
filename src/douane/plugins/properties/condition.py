"""A condition on a value of an image: equal, in a list, not, a minimum, a maximum; texts with ``*``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Value = str | int | float | bool

_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


class Condition:
    """A condition from its TOML value; `subject` names it in errors. Raises ValueError.

    A missing value meets only ``not``.
    """

    def __init__(self, value: object, subject: str) -> None:
        self._tests = list(_tests(value, subject))

    def holds(self, values: Sequence[Value]) -> bool:
        """True if one of `values` meets the condition, or with ``not`` if none does."""
        return all(test(values) for test in self._tests)


def _tests(value: object, subject: str) -> list[Callable[[Sequence[Value]], bool]]:
    if not isinstance(value, dict):
        return [_any_of(_alternatives(value, subject))]
    if not value:
        raise ValueError(f"{subject} is an empty table; write 'not', 'min' or 'max' in it")
    tests: list[Callable[[Sequence[Value]], bool]] = []
    for key, bound in value.items():
        if key == "not":
            tests.append(_none_of(_alternatives(bound, f"{subject}, 'not',")))
        elif key in ("min", "max"):
            if isinstance(bound, bool) or not isinstance(bound, int | float):
                raise ValueError(f"{subject}: {key!r} is a number, not {bound!r:.60}")
            tests.append(_range(bound, is_min=key == "min"))
        else:
            raise ValueError(f"{subject}: {key!r:.60} is not known; a table has 'not', 'min', 'max'")
    return tests


def _any_of(alternatives: list[Value]) -> Callable[[Sequence[Value]], bool]:
    return lambda values: any(_matches(value, pattern) for value in values for pattern in alternatives)


def _none_of(alternatives: list[Value]) -> Callable[[Sequence[Value]], bool]:
    return lambda values: not any(_matches(value, pattern) for value in values for pattern in alternatives)


def _range(bound: float, *, is_min: bool) -> Callable[[Sequence[Value]], bool]:
    def holds(values: Sequence[Value]) -> bool:
        numbers = [number for value in values if (number := _number(value)) is not None]
        return any(number >= bound if is_min else number <= bound for number in numbers)

    return holds


def _alternatives(value: object, subject: str) -> list[Value]:
    alternatives: list[Value] = []
    for alternative in value if isinstance(value, list) else [value]:
        if not isinstance(alternative, str | int | float | bool):
            raise ValueError(f"{subject} is a text, a number, true, false, or a list of these, not {alternative!r:.60}")
        alternatives.append(alternative)
    if not alternatives:
        raise ValueError(f"{subject} is an empty list, which no value could match")
    return alternatives


def _matches(value: Value, pattern: Value) -> bool:
    """Compare as a person would: declared values are always texts."""
    if isinstance(pattern, str):
        return _like(_text(value), pattern)
    if isinstance(pattern, bool):
        return _text(value).lower() in (_TRUE if pattern else _FALSE)
    return not isinstance(value, bool) and _number(value) == pattern


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Value) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
        return None
    return value


def _like(text: str, pattern: str) -> bool:
    """True if `text` matches `pattern`, where ``*`` is any characters; in time of the product of their lengths."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        start = text.find(part, at, end)
        if start < 0:
            return False
        at = start + len(part)
    return True
