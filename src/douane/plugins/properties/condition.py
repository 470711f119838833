"""A condition on one value of an image: equal, one of several, not, at least, at most; texts with ``*``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Value = str | int | float | bool

_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


class Condition:
    """Of `wanted`, as TOML has it; `what` names it in errors. Raises ValueError.

    A value that is not there meets no condition but ``not``.
    """

    def __init__(self, wanted: object, what: str) -> None:
        self._tests = list(_tests(wanted, what))

    def holds(self, values: Sequence[Value]) -> bool:
        """True if one of `values` meets it, or with ``not`` if none does."""
        return all(test(values) for test in self._tests)


def _tests(wanted: object, what: str) -> list[Callable[[Sequence[Value]], bool]]:
    if not isinstance(wanted, dict):
        alternatives = _alternatives(wanted, what)
        return [lambda values: any(_equal(value, each) for value in values for each in alternatives)]
    if not wanted:
        raise ValueError(f"{what} is an empty table; write 'not', 'min' or 'max' in it")
    found: list[Callable[[Sequence[Value]], bool]] = []
    for key, bound in wanted.items():
        if key == "not":
            found.append(_no(_alternatives(bound, f"{what}, 'not',")))
        elif key in ("min", "max"):
            if isinstance(bound, bool) or not isinstance(bound, int | float):
                raise ValueError(f"{what}: {key!r} is a number, not {bound!r:.60}")
            found.append(_range(bound, at_least=key == "min"))
        else:
            raise ValueError(f"{what}: {key!r:.60} is not known; a table has 'not', 'min', 'max'")
    return found


def _no(alternatives: list[Value]) -> Callable[[Sequence[Value]], bool]:
    return lambda values: not any(_equal(value, each) for value in values for each in alternatives)


def _range(bound: float, *, at_least: bool) -> Callable[[Sequence[Value]], bool]:
    def holds(values: Sequence[Value]) -> bool:
        numbers = [number for value in values if (number := _number(value)) is not None]
        return any(number >= bound if at_least else number <= bound for number in numbers)

    return holds


def _alternatives(wanted: object, what: str) -> list[Value]:
    found: list[Value] = []
    for each in wanted if isinstance(wanted, list) else [wanted]:
        if not isinstance(each, str | int | float | bool):
            raise ValueError(f"{what} is a text, a number, true, false, or a list of these, not {each!r:.60}")
        found.append(each)
    if not found:
        raise ValueError(f"{what} is an empty list, which nothing could be one of")
    return found


def _equal(value: Value, wanted: Value) -> bool:
    """As a person means it: what was declared is always a text."""
    if isinstance(wanted, str):
        return _like(_text(value), wanted)
    if isinstance(wanted, bool):
        return _text(value).lower() in (_TRUE if wanted else _FALSE)
    return not isinstance(value, bool) and _number(value) == wanted


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
    """True if `text` is `pattern`, in which ``*`` stands for any characters. In time of their lengths' product."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
