"""The inspector `properties`: the operator's rules about an image's properties."""

from __future__ import annotations

from typing import Any

import pytest

from douane.plugins.properties import Properties
from douane_plugin import Image, Reject


class NoBytes:
    ended = True
    goes_on = True

    def take(self) -> memoryview | None:
        return None


class RecordedProperties(Properties):
    """Keeps what it proposes."""

    def propose(self, name: str, value: Any) -> None:
        self.__dict__.setdefault("result", {})[name] = value


def applied(*rules: dict[str, Any], ignore_roles: list[str] | None = None, **facts: Any) -> dict[str, Any]:
    plugin = RecordedProperties(list(rules), ignore_roles)
    plugin.inspect(Image(facts, NoBytes(), reads="findings"))
    return plugin.__dict__.get("result", {})


def meets(condition: dict[str, Any], **facts: Any) -> bool:
    return bool(applied({"when": condition, "set": {"x": 1}}, **facts))


def test_a_rule_without_conditions_always_holds() -> None:
    assert applied({"set": {"a": "b"}, "remove": ["c"]}) == {"a": "b", "c": None}


@pytest.mark.parametrize(
    ("condition", "facts", "holds"),
    [
        ({"role": "member"}, {"roles": ["reader", "member"]}, True),
        ({"role": "member"}, {"roles": ["reader"]}, False),
        ({"role": "member"}, {}, False),
        ({"role": {"not": "admin"}}, {"roles": ["member", "admin"]}, False),
        ({"role": {"not": ["admin", "service"]}}, {"roles": ["member"]}, True),
        ({"role": {"not": "admin"}}, {}, True),
        ({"owner": ["p1", "p2"]}, {"owner": "p2"}, True),
        ({"owner": ["p1", "p2"]}, {"owner": "p3"}, False),
        ({"disk_format": "qcow2", "container_format": "bare"}, {"disk_format": "qcow2"}, False),
        ({"name": "ubuntu-*"}, {"name": "ubuntu-24.04"}, True),
        ({"name": "ubuntu-*"}, {"name": "xubuntu-24.04"}, False),
        ({"name": "*-*-x"}, {"name": "a-x"}, False),
        ({"name": "a*b*b"}, {"name": "ab"}, False),
        ({"name": {"not": "*"}}, {}, True),
        ({"name": {"not": "*"}}, {"name": ""}, False),
        ({"size": {"min": 10, "max": 20}}, {"size": 20}, True),
        ({"size": {"min": 10, "max": 20}}, {"size": 21}, False),
        ({"size": {"max": 20}}, {}, False),
        ({"property.hw_cpu_cores": {"min": 4}}, {"properties": {"hw_cpu_cores": "16"}}, True),
        ({"property.hw_cpu_cores": {"min": 4}}, {"properties": {"hw_cpu_cores": "many"}}, False),
        ({"property.hw_cpu_cores": 4}, {"properties": {"hw_cpu_cores": "4"}}, True),
        ({"property.os_hidden": True}, {"properties": {"os_hidden": "True"}}, True),
        ({"property.os_hidden": False}, {}, False),
        ({"format.partition_table": "gpt"}, {"findings": {"format.partition_table": "gpt"}}, True),
        ({"format.partition_table": "gpt"}, {"properties": {"format.partition_table": "gpt"}}, False),
        ({"av.clean": True}, {"findings": {"av.clean": True}}, True),
        ({"av.clean": 1}, {"findings": {"av.clean": True}}, False),
        ({"limits.n": {"min": 3, "not": 5}}, {"findings": {"limits.n": 5}}, False),
    ],
)
def test_conditions_compare_values_as_a_person_would(condition: Any, facts: Any, holds: bool) -> None:
    assert meets(condition, **facts) is holds


def test_all_matching_rules_apply_and_the_last_one_wins() -> None:
    rules = (
        {"set": {"a": 1, "b": 1}},
        {"when": {"role": "member"}, "set": {"a": 2}, "remove": ["b"]},
        {"when": {"role": "admin"}, "set": {"a": 3}},
    )
    assert applied(*rules, roles=["member"]) == {"a": 2, "b": None}


def test_images_of_ignored_roles_are_not_changed() -> None:
    assert applied({"set": {"a": 1}}, ignore_roles=["admin"], roles=["member", "admin"]) == {}
    assert applied({"set": {"a": 1}}, ignore_roles=["admin"], roles=["member"]) == {"a": 1}


def test_a_rule_refuses() -> None:
    rule = {"when": {"format.encrypted": True}, "refuse": {"code": "no-secrets", "message": "not encrypted ones here"}}
    with pytest.raises(Reject) as refused:
        applied(rule, findings={"format.encrypted": True})
    assert (refused.value.code, refused.value.message) == ("no-secrets", "not encrypted ones here")
    assert applied(rule, {"set": {"a": 1}}) == {"a": 1}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"set": {}}, ("rule 2", "does nothing")),
        ({"sets": {"a": 1}}, ("rule 2", "'sets'")),
        ({"when": {"rol": "x"}, "set": {"a": 1}}, ("rule 2", "'rol'", "role")),
        ({"when": {"role": {}}, "set": {"a": 1}}, ("rule 2", "role", "'not'")),
        ({"when": {"role": []}, "set": {"a": 1}}, ("rule 2", "role", "empty")),
        ({"when": {"role": [["x"]]}, "set": {"a": 1}}, ("rule 2", "role", "text")),
        ({"when": {"size": {"min": "10GiB"}}, "set": {"a": 1}}, ("rule 2", "size", "'min'", "number")),
        ({"when": {"size": {"above": 1}}, "set": {"a": 1}}, ("rule 2", "size", "'above'")),
        ({"set": {"ä": 1}}, ("rule 2", "'set'", "'ä'")),
        ({"set": {"a": [1]}}, ("rule 2", "'set' a")),
        ({"remove": "a"}, ("rule 2", "'remove'")),
        ({"set": {"a": 1}, "remove": ["a"]}, ("rule 2", "both")),
        ({"refuse": {"code": "x"}}, ("rule 2", "'refuse'", "'message'")),
        ({"refuse": {"code": "X Y", "message": "no"}}, ("rule 2", "'refuse'", "code")),
        ("x", ("rule 2", "table")),
    ],
)
def test_an_error_names_the_rule_and_the_key(rule: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as error:
        Properties([{"set": {"a": 1}}, rule])
    assert all(word in str(error.value) for word in words), error.value
