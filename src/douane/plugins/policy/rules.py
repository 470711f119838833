"""The file of a policy: rules, and tests of them. Nothing is evaluated here."""

from __future__ import annotations

from dataclasses import dataclass

from douane_plugin._exceptions import check_code, check_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SEVERITIES = ("refuse", "warn")
ALLOWED, UNMET, UNDEFINED = "allowed", "unmet", "undefined"
MAX_RULES = 1000
ACCEPTED = "accepted"
"""What a test expects of an image that all rules allow; else it is the code of a rule."""


@dataclass(frozen=True)
class Rule:
    """A condition that must be true."""

    code: str
    require: str
    message: str
    severity: str


@dataclass(frozen=True)
class Case:
    """A test: facts, and what is expected of them."""

    name: str
    expect: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Policy:
    """A file."""

    rules: tuple[Rule, ...]
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a rule; `reason` says why it could not be evaluated."""

    rule: Rule
    state: str
    reason: str = ""


def parse_policy(data: bytes) -> Policy:
    """The rules and tests of a file. Raises ValueError with a sentence."""
    import tomllib

    try:
        document = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the policy is no TOML: {error}") from None
    _check_keys(document, {"rule", "test"}, "the policy")
    tables = _tables(document, "rule")
    if not tables:
        raise ValueError("the policy has no [[rule]]; write one, or leave the plugin out")
    if len(tables) > MAX_RULES:
        raise ValueError(f"the policy has {len(tables)} rules; at most {MAX_RULES} are allowed")
    rules = tuple(check_rule(table, number) for number, table in enumerate(tables, 1))
    codes = [rule.code for rule in rules]
    for code in codes:
        if codes.count(code) > 1:
            raise ValueError(f"the policy has several rules with the code {code!r}")
    return Policy(
        rules, tuple(_case(table, number, codes) for number, table in enumerate(_tables(document, "test"), 1))
    )


def check_rule(table: Mapping[str, Any], number: int) -> Rule:
    """A rule of the file. Raises ValueError."""
    place = f"rule {number}"
    _check_keys(table, {"code", "require", "message", "severity"}, place)
    try:
        code = check_code(table.get("code"))
        if "message" not in table:
            raise ValueError("it has no message, which is the sentence that the tenant reads if the rule is not met")
        message = check_message(table["message"])
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    require = table.get("require")
    if not isinstance(require, str) or not require.strip():
        raise ValueError(f"{place} ({code}): 'require' is an expression in CEL that must be true, not {require!r:.100}")
    severity = table.get("severity", SEVERITIES[0])
    if severity not in SEVERITIES:
        raise ValueError(f"{place} ({code}): 'severity' is one of {', '.join(SEVERITIES)}, not {severity!r:.100}")
    return Rule(code, require, message, severity)


def _case(table: Mapping[str, Any], number: int, codes: list[str]) -> Case:
    name, expect = table.get("name", f"test {number}"), table.get("expect")
    _check_keys(table, {"name", "expect", "image", "findings", "guest"}, str(name))
    if expect != ACCEPTED and expect not in codes:
        raise ValueError(f"{name}: 'expect' is {ACCEPTED!r} or the code of a rule, not {expect!r:.100}")
    facts = {key: table[key] for key in ("image", "findings", "guest") if key in table}
    for key, value in facts.items():
        if not isinstance(value, dict):
            raise ValueError(f"{name}: {key!r} is a table, not {value!r:.100}")
    return Case(str(name), str(expect), facts)


def _tables(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    tables = document.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"write [[{name}]], with two brackets: there may be several")
    return tables


def _check_keys(table: Mapping[str, Any], names: set[str], place: str) -> None:
    unknown = sorted(set(table) - names)
    if unknown:
        raise ValueError(f"{place}: {unknown[0]!r} is no key of it; the keys are {', '.join(sorted(names))}")
