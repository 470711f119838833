"""The properties of an accepted image: which are set, and which are left out if the site does not store them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from douane.glance.image_metadata import fewer_changes, has_namespace, is_of_douane, omitted, property_changes

PLUGINS = frozenset({"format", "limits"})
NAMES = st.sampled_from(["format.size", "format.x", "limits.x", "hw_disk_bus", "os_type", "douane_proof", "other.x"])
CHANGES = st.dictionaries(NAMES, st.sampled_from([None, "", "1", "x"]))


@given(CHANGES)
def test_ever_fewer_changes_end_with_none(changes: dict[str, str | None]) -> None:
    candidates = list(fewer_changes(changes, PLUGINS))
    assert candidates[0] == changes
    assert candidates[-1] == {}
    values = [{name: value for name, value in candidate.items() if value is not None} for candidate in candidates]
    for more, fewer in pairwise(values):
        assert fewer.items() <= more.items()
    for candidate in candidates:
        assert set(candidate) | set(omitted(changes, candidate)) == set(changes)


@given(CHANGES)
def test_the_own_properties_of_plugins_are_left_out_first(changes: dict[str, str | None]) -> None:
    """A value of an earlier attempt does not stay."""
    candidates = list(fewer_changes(changes, PLUGINS))
    second = candidates[min(1, len(candidates) - 1)]
    for name, value in second.items():
        own = has_namespace(name, PLUGINS) or is_of_douane(name)
        assert value is None if own else value == changes[name]


def test_what_cannot_be_set_is_named() -> None:
    changes, unsettable = property_changes(
        {"format.old": "1", "douane_code": "x", "mine": "y"}, {"format.new": True, "visibility": "public"}, PLUGINS
    )
    assert changes == {"format.old": None, "douane_code": None, "format.new": "true"}
    assert unsettable == ["visibility"]
