"""What a script reads of `douane check` is there for ever: the exit code, the keys of the report, the types."""

from __future__ import annotations

import json

import pytest

from support.contract.conversation import differences
from support.contract.reports import CASES, RECORDED, check, shape

THEN = json.loads(RECORDED.read_text())


@pytest.mark.parametrize("name", THEN)
def test_the_exit_code_and_the_keys_are_as_they_were(name, tmp_path):
    code, report = check(THEN[name]["case"], tmp_path)
    assert code == THEN[name]["exit"]
    assert not differences(THEN[name]["report"], report)


def test_every_case_is_recorded():
    assert CASES.keys() <= THEN.keys()
    assert {case["exit"] for case in THEN.values()} == {0, 1, 2, 3}


def test_a_key_that_is_gone_or_another_type_would_be_seen():
    assert differences(shape({"a": [{"b": 1}]}), shape({"a": [{"b": 1, "c": 2}]})) == []
    assert differences(shape({"a": [{"b": 1}]}), shape({"a": [{"c": 1}]}))
    assert differences(shape({"a": 1}), shape({"a": "1"}))
