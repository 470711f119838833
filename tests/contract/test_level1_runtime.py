"""The runtime that is installed here holds every conversation of then. Runs on each Python of the contract."""

from __future__ import annotations

import re
import sys

import pytest

import douane_plugin
from douane_plugin import wire
from support.contract.conversation import PLUGINS, Conversation, conversations, differences
from support.contract.towards_runtime import comparable, output_of, play

PLAYABLE = [
    path for path in conversations() if tuple(Conversation(path).header.get("python", (3, 9))) <= sys.version_info
]


@pytest.mark.parametrize("unknown", [False, True], ids=["as-recorded", "with-keys-of-a-later-engine"])
@pytest.mark.parametrize("path", PLAYABLE, ids=lambda path: path.stem)
def test_it_says_what_was_said(path, unknown):
    recorded = Conversation(path)
    played = play(recorded, unknown=unknown)
    expected, now = comparable(recorded.sent_by("plugin")), played.answers()
    assert [kind for kind, _ in now] == [kind for kind, _ in expected]
    assert not [line for (_, before), (_, after) in zip(expected, now) for line in differences(before, after)]
    assert played.faults == []
    assert played.status == 0
    if recorded.header.get("output"):
        assert played.output == output_of(recorded)


def test_an_alive_is_still_sent():
    kinds = {frame.kind for path in PLAYABLE if path.stem == "chunks" for frame in play(Conversation(path)).frames}
    assert 11 in kinds


def test_a_difference_would_be_seen():
    assert differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2, "new": 3}], "c": 4}) == []
    assert differences({"a": 1}, {"a": True})
    assert differences({"a": 1}, {})
    assert differences({"a": [1]}, {"a": [1, 2]})


def test_nothing_of_the_contract_is_left_out():
    plugins = "".join(path.read_text(encoding="utf-8") for path in PLUGINS.glob("*.py"))
    classes = [getattr(douane_plugin, name) for name in ("Image", "Inspector", "Scratch", "Transform")]
    classes += [getattr(douane_plugin, name) for name in ("ImageFile", "UnreadPart", "Volume")]
    names_of_guests = ("Guest", "GuestDisk", "GuestEntry", "GuestPackage", "GuestRoot", "GuestVolume")
    classes += [getattr(douane_plugin, name) for name in names_of_guests]
    names = {name for each in classes for name in dir(each) if not name.startswith("_")}
    used = set(re.findall(r"\w+", plugins))
    assert {*douane_plugin.__all__, *names} <= used


def test_nothing_of_the_wire_is_left_out():
    # IDLE comes only in answer to a key of LOAD that is younger than the recordings (tests/caged/engine/test_reuse.py).
    frames = {number for number in wire.TYPES if wire.DESCRIBED <= number <= wire.END} - {wire.IDLE}
    kinds = {frame.kind for path in conversations() for frame in Conversation(path).frames}
    assert frames <= kinds
