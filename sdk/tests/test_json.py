"""The runtime's JSON agrees with the standard library's."""

from __future__ import annotations

import enum
import json
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane_plugin._json import dumps, loads

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_the_standard_library_reads_the_output(value):
    assert json.loads(dumps(value)) == value


@given(values)
def test_the_output_of_the_standard_library_is_read(value):
    assert loads(json.dumps(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1: 2}, b"bytes", {"a": {"b": {1}}}])
def test_other_values_are_type_errors(value):
    with pytest.raises(TypeError):
        dumps(value)


def test_subclasses_are_encoded_like_their_bases():
    class Level(enum.IntEnum):
        HIGH = 3

    assert dumps(OrderedDict(level=Level.HIGH)) == '{"level":3}'
