"""Which frame of a plugin may come when."""

from __future__ import annotations

import pytest

from douane.host.conversation import Conversation, Phase
from douane.host.messages import Violation
from douane_plugin import wire

ALLOWED = {
    Phase.LOADING: {"DESCRIBED", "RELEASE", "PROGRESS", "LOG", "ALIVE", "FAILED"},
    Phase.CONFIGURING: {"READY", "RELEASE", "PROGRESS", "LOG", "ALIVE", "FAILED", "WARN"},
    Phase.READY: {"RELEASE", "PROGRESS", "LOG", "ALIVE", "FAILED", "WARN"},
    Phase.RUNNING: {"RELEASE", "PROGRESS", "LOG", "ALIVE", "FAILED", "WARN", "ACCEPT", "REFUSE", "DEFER", "INCOMPLETE"},
    Phase.ANSWERED: set(),
}
TRANSFORM = {"BECOMES", "BEGIN", "UNCHANGED"}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("is_transform", [False, True])
def test_frames_come_in_their_phase_only(phase, is_transform) -> None:
    allowed = set(ALLOWED[phase])
    if phase is Phase.RUNNING and is_transform:
        allowed |= TRANSFORM
    conversation = Conversation()
    conversation.phase = phase
    for kind in [*wire.TYPES, 99]:
        if wire.TYPES.get(kind) in allowed:
            conversation.check(kind, is_transform=is_transform)
        else:
            with pytest.raises(Violation):
                conversation.check(kind, is_transform=is_transform)


def test_a_transform_decides_once() -> None:
    conversation = Conversation()
    conversation.decide(unchanged=True)
    with pytest.raises(Violation, match="decided twice"):
        conversation.decide(unchanged=False)


def test_a_forced_transform_cannot_leave_the_image_unchanged() -> None:
    conversation = Conversation()
    conversation.force()
    with pytest.raises(Violation, match="read too much"):
        conversation.decide(unchanged=True)
    conversation.decide(unchanged=False)
