"""Expressions of CEL, compiled once, and evaluated on the facts of an image. Needs `cel-expr-python`.

CEL has no loops without a bound: the library counts the steps of `map` and `exists`, bounds the depth of an expression,
and matches patterns in linear time.
"""

from __future__ import annotations

import re

from douane_plugin._units import parse_size

from .rules import ALLOWED, UNDEFINED, UNMET, Outcome, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

UNITS = ("KiB", "MiB", "GiB", "TiB")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEXT = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")


class Rules:
    """Compiled rules."""

    def __init__(self, rules: Sequence[Rule], *, sees_guest: bool) -> None:
        """Raises ValueError with the place in the expression."""
        text = " ".join(_TEXT.sub(" ", rule.require) for rule in rules)
        self.names = frozenset(_NAME.findall(text))
        """All names in the expressions."""

        self._exists: Callable[[str], bool] | None = None
        self._env = self._environment(sees_guest)
        self._compiled = [(rule, _compile(self._env, rule)) for rule in rules]

    def _environment(self, sees_guest: bool) -> Any:
        cel = _library()
        types = cel.Type
        facts = types.Map(types.STRING, types.DYN)
        variables = {"image": facts, "findings": facts, **dict.fromkeys(UNITS, types.INT)}
        if not sees_guest:
            return cel.NewEnv(variables=variables)
        overload = cel.Overload("file_exists_string", types.BOOL, [types.STRING], False, self._file_exists)
        functions = [cel.FunctionDecl("file_exists", [overload])]
        return cel.NewEnv(variables={**variables, "guest": facts}, functions=functions)

    def _file_exists(self, path: str) -> bool:
        return self._exists is not None and self._exists(path)

    def __len__(self) -> int:
        return len(self._compiled)

    def evaluate(self, facts: dict[str, Any], exists: Callable[[str], bool] | None = None) -> list[Outcome]:
        """What becomes of each rule; `exists` tells whether a path of the guest leads to something."""
        self._exists = exists
        units = {unit: parse_size(f"1{unit}", unit) for unit in UNITS}
        activation = self._env.Activation({**facts, **units})
        return [_evaluate(rule, expression, activation) for rule, expression in self._compiled]


def _library() -> Any:
    try:
        from cel_expr_python import cel
    except ImportError:
        raise ValueError(
            "the expressions of a policy need the library cel-expr-python: run `pip install '.[policy]'` in a checkout "
            "of Douane"
        ) from None
    return cel


def _compile(env: Any, rule: Rule) -> Any:
    try:
        expression = env.compile(rule.require)
    except Exception as error:  # the library raises RuntimeError, and others for other mistakes
        raise ValueError(f"the rule {rule.code!r} is no expression of CEL: {_words(error)}") from None
    kind = expression.return_type().name()
    if kind not in ("BOOL", "DYN"):
        raise ValueError(f"the rule {rule.code!r} must be true or false; its expression is of the type {kind}")
    return expression


def _evaluate(rule: Rule, expression: Any, activation: Any) -> Outcome:
    try:
        value = expression.eval(activation)
        kind, content = value.type().name(), value.plain_value()
    except Exception as error:  # see `_compile`; for example a bound of the library
        return Outcome(rule, UNDEFINED, f"{rule.require}: {_words(error)}")
    if kind == "BOOL":
        return Outcome(rule, ALLOWED if content is True else UNMET)
    reason = str(content) if kind == "ERROR" else f"it is of the type {kind}, not true or false"
    return Outcome(rule, UNDEFINED, f"{rule.require}: {reason}")


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
