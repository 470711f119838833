"""The decisions of a run as a table: events in, actions out. No sandbox, no thread, no byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.declared import DeclaredImage
from douane.engine.actions import SendImage
from douane.engine.decisions import Decisions, RunState
from douane.engine.events import (
    AllRead,
    FilePassedOn,
    FileWritten,
    OutputEnded,
    ReaderEnded,
    RingFull,
    SourceEnded,
    SpoolFailed,
    Tick,
)
from douane.engine.stage import PluginState
from douane.errors import LimitExceeded
from douane.host.events import AuditorOverrun, Event, PluginReady, TransformDecided
from support.decision_words import BROKEN, END, START, A, B, T, inspector, ready, run, transform, verdict, words

TABLE = [
    pytest.param(
        lambda: [inspector(A), inspector(B)],
        [START],
        ["BeginStage 0 0", "SendImage a 0", "SendImage b 0", "ReadSource"],
        id="all inspectors get the image at once",
    ),
    pytest.param(lambda: [inspector(A)], [START, END], ["FinishRing 0"], id="the source ends"),
    pytest.param(
        lambda: [inspector(A), inspector(B)],
        [START, SourceEnded(BROKEN)],
        ["StopStreams", "StopPlugin a", "StopPlugin b"],
        id="a source that fails ends the run",
    ),
    pytest.param(
        lambda: [inspector(A), inspector(B)],
        [START, verdict(A, "refused")],
        ["StopStreams", "StopPlugin b", "ReleasePlugin a"],
        id="the first enforcing refusal ends the run",
    ),
    pytest.param(
        lambda: [inspector(A, mode="warn"), inspector(B)],
        [START, verdict(A, "refused")],
        ["ReleasePlugin a"],
        id="a refusal of a plugin that only warns does not",
    ),
    pytest.param(
        lambda: [inspector(A, mode="audit"), inspector(B)],
        [START, verdict(A, "failed")],
        ["ReleasePlugin a"],
        id="a failure of an auditor does not",
    ),
    pytest.param(
        lambda: [inspector(A)],
        [verdict(A, "failed"), START],
        [],
        id="a plugin that failed before the image came decides it: nothing is read",
    ),
    pytest.param(
        lambda: [inspector(A)],
        [START, verdict(A, "refused"), END],
        [],
        id="nothing follows from the end of the source after the outcome",
    ),
    pytest.param(
        lambda: [inspector(A)],
        [START, PluginReady(A, "bytes", misjudged=True)],
        ["FailPlugin a failed plugin-unusable"],
        id="a plugin of another kind than its source shows lacks descriptors",
    ),
    # transforms
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START],
        ["BeginStage 0 0", "Pin 0 0", "SendImage t 0", "ReadSource"],
        id="those after a transform wait, and the beginning is kept for them",
    ),
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START, TransformDecided(T, unchanged=True)],
        ["BeginStage 1 0", "SendImage a 0", "ReleasePin 0"],
        id="an unchanged image reaches them in the same ring",
    ),
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START, TransformDecided(T, unchanged=False)],
        ["BeginStage 1 1", "SendImage a 1", "TakeOutput 0 t", "ReleasePin 0"],
        id="a new image reaches them in a ring of its own",
    ),
    pytest.param(
        lambda: [transform(T), transform("u"), inspector(A)],
        [START, TransformDecided(T, unchanged=True), TransformDecided("u", unchanged=True)],
        ["BeginStage 2 0", "SendImage a 0", "ReleasePin 1"],
        id="two transforms with nothing to do share one ring",
    ),
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START, RingFull(0, idle=True)],
        ["ForceDecision t", "ReleasePin 0"],
        id="a transform that wants more than is kept makes a new image",
    ),
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START, RingFull(0, idle=False)],
        [],
        id="a transform that still works on what it was sent may go on",
    ),
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START, TransformDecided(T, unchanged=True), RingFull(0, idle=True)],
        [],
        id="a decision is not forced twice",
    ),
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START, TransformDecided(T, unchanged=False), OutputEnded(0, None)],
        [],
        id="output that has ended is not whole before the transform says so",
    ),
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START, TransformDecided(T, unchanged=False), OutputEnded(0, None), verdict(T)],
        ["FinishRing 1", "ReleasePlugin t"],
        id="output is whole when it has ended and the transform has accepted",
    ),
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START, TransformDecided(T, unchanged=False), verdict(T), OutputEnded(0, None)],
        ["FinishRing 1"],
        id="output is whole in whatever order",
    ),
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START, TransformDecided(T, unchanged=False), verdict(T)],
        ["EndOutput 0", "ReleasePlugin t"],
        id="the answer ends the output, and not whoever holds its pipe",
    ),
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START, TransformDecided(T, unchanged=False), OutputEnded(0, LimitExceeded("too much"))],
        ["RefuseOutput t transform-limit too much"],
        id="too much output is refused",
    ),
    pytest.param(
        lambda: [transform(T), inspector(A)],
        [START, TransformDecided(T, unchanged=False), verdict(T), verdict(T, "refused")],
        ["StopStreams", "StopPlugin a", "ReleasePlugin t"],
        id="too much output is refused also after an accept",
    ),
    pytest.param(
        lambda: [transform(T, mode="audit"), inspector(A)],
        [START, verdict(T, "failed")],
        ["StopStreams", "StopPlugin a", "ReleasePlugin t"],
        id="a failure of a transform always counts",
    ),
    pytest.param(
        lambda: [transform(T, needs="file"), inspector(A)],
        [START, TransformDecided(T, unchanged=True)],
        ["BeginStage 1 1", "SendImage a 1", "PassOnFile 0"],
        id="a transform that reads a file passes that file on",
    ),
    pytest.param(
        lambda: [transform(T, needs="file"), inspector(A)],
        [START, TransformDecided(T, unchanged=True), FilePassedOn(0, None)],
        ["FinishRing 1"],
        id="the file has been passed on",
    ),
    pytest.param(
        lambda: [transform(T, needs="file"), inspector(A)],
        [START],
        ["BeginStage 0 0", "ReadSource"],
        id="no beginning is kept for those after a transform that reads a file",
    ),
    # plugins that read at random
    pytest.param(
        lambda: [inspector(A, needs="file")],
        [START, END, FileWritten(0, 1000)],
        ["SendImage a None"],
        id="a plugin that reads at random gets the file when it is written",
    ),
    pytest.param(
        lambda: [inspector("f", is_format=True), inspector(A, needs="file")],
        [START, FileWritten(0, 1000)],
        [],
        id="but not before its format is known",
    ),
    pytest.param(
        lambda: [inspector("f", is_format=True), inspector(A, needs="file")],
        [START, FileWritten(0, 1000), verdict("f")],
        ["SendImage a None", "ReleasePlugin f"],
        id="the format is known",
    ),
    pytest.param(
        lambda: [inspector(A, needs="file", mode="audit"), inspector(B)],
        [START, SpoolFailed(0, BROKEN)],
        ["FailPlugin a failed unreadable"],
        id="a file that only an auditor needs may fail",
    ),
    pytest.param(
        lambda: [inspector(A, needs="file"), inspector(B)],
        [START, SpoolFailed(0, BROKEN)],
        ["StopStreams", "StopPlugin a", "StopPlugin b"],
        id="a file that a judge needs may not",
    ),
    pytest.param(
        lambda: [inspector(A)],
        [START, ReaderEnded(BROKEN)],
        ["StopStreams", "StopPlugin a"],
        id="a digest or the store's writer may not",
    ),
    # plugins that go by findings
    pytest.param(
        lambda: [inspector(A), inspector(B, needs="findings")],
        [START],
        ["BeginStage 0 0", "SendImage a 0", "ReadSource"],
        id="a plugin that goes by findings waits",
    ),
    pytest.param(
        lambda: [inspector(A), inspector(B, needs="findings")],
        [START, verdict(A)],
        ["SendImage b None", "ReleasePlugin a"],
        id="until those before it have answered",
    ),
    pytest.param(
        lambda: [inspector(A, mode="audit"), inspector(B, needs="findings")],
        [START],
        ["BeginStage 0 0", "SendImage a 0", "SendImage b None", "ReadSource"],
        id="but not for auditors",
    ),
    # auditors and time
    pytest.param(
        lambda: [inspector(A, mode="audit")],
        [START, AuditorOverrun(A)],
        ["FailPlugin a incomplete auditor-too-slow"],
        id="the ring goes on without a slow auditor",
    ),
    pytest.param(
        lambda: [inspector(A, mode="audit"), inspector(B)],
        [START, verdict(B), END, AllRead(), Tick(0.9)],
        [],
        id="an auditor has a moment after all else",
    ),
    pytest.param(
        lambda: [inspector(A, mode="audit"), inspector(B)],
        [START, verdict(B), END, AllRead(), Tick(0.9), Tick(0.9)],
        ["FailPlugin a incomplete auditor-too-slow"],
        id="and no more than a moment",
    ),
    pytest.param(
        lambda: [inspector(A)],
        [START, Tick(59.0), Tick(2.0)],
        ["StopStreams", "StopPlugin a"],
        id="the deadline ends the run",
    ),
]


@pytest.mark.parametrize(("states", "events", "actions"), TABLE)
def test_the_last_event_leads_to_these_actions(states, events, actions) -> None:
    assert run(states(), *events)[1] == actions


def test_an_image_is_decided_when_all_have_answered_and_it_is_stored() -> None:
    states = [inspector(A), inspector(B)]
    events = [START, verdict(A), END, verdict(B), AllRead()]
    for number in range(len(events)):
        assert run(states, *events[:number])[0].state is not RunState.DECIDED
        states = [inspector(A), inspector(B)]
    decisions, _ = run(states, *events)
    assert (decisions.state, decisions.decisive, decisions.error) == (RunState.DECIDED, None, None)


def test_the_decisive_plugin_and_the_error_are_kept() -> None:
    assert run([inspector(A), inspector(B)], START, verdict(B, "refused"))[0].decisive == B
    decisions, _ = run([inspector(A)], START, SourceEnded(BROKEN), verdict(A, "refused"))
    assert (decisions.error, decisions.decisive) == (BROKEN, None)
    assert run([inspector(A)], START, Tick(100.0))[0].error.code == "deadline"


def test_a_late_auditor_gets_the_beginning_that_was_kept_for_it() -> None:
    auditor = inspector(A, mode="audit")
    decisions = Decisions([auditor], DeclaredImage(), deadline=60.0)
    assert words(decisions.handle(START)) == ["BeginStage 0 0", "PinForAuditor a 0", "ReadSource"]
    assert words(decisions.handle(ready(auditor))) == ["SendImage a 0", "ReleaseAuditorPin a"]


def test_a_late_auditor_that_goes_by_findings_gets_them() -> None:
    auditor = inspector(A, mode="audit")
    decisions = Decisions([auditor], DeclaredImage(), deadline=60.0)
    decisions.handle(START)
    actions = decisions.handle(PluginReady(A, "findings"))
    assert words(actions) == ["ReleaseAuditorPin a", "SendImage a None"]


def facts(states: list[PluginState], *events: Event, **options: object):
    """The facts of the image that was sent last."""
    decisions = Decisions(states, DeclaredImage(name="web", disk_format="raw"), deadline=60.0, **options)
    actions = [action for event in (*map(ready, states), *events) for action in decisions.handle(event)]
    return [action.facts for action in actions if isinstance(action, SendImage)][-1]


def test_the_facts_are_those_of_the_image_at_this_stage() -> None:
    first = facts([inspector(A)], START)
    assert (first.name, first.size, first.disk_format, first.ring) == ("web", 1000, "raw", 0)
    changed = TransformDecided(T, unchanged=False, becomes={"disk_format": "qcow2"})
    second = facts([transform(T), inspector(A)], START, changed)
    assert (second.size, second.disk_format, second.ring) == (None, "qcow2", 1)


def test_a_tool_that_opens_the_file_is_told_its_format() -> None:
    states = [inspector("f", is_format=True), inspector(A, needs="file")]
    sent = facts(states, START, verdict("f", **{"f.disk_format": "vmdk"}), FileWritten(0, 2000))
    assert (sent.size, sent.disk_format) == (2000, "vmdk")


def test_findings_are_those_of_the_plugins_before() -> None:
    states = [inspector(A), inspector("c", mode="audit"), inspector(B, needs="findings")]
    sent = facts(states, START, verdict("c", **{"c.y": "2"}), verdict(A, **{"a.x": "1"}))
    assert sent.findings == {"a.x": "1"}
    assert facts([inspector(B, needs="findings")], START, findings={"z.z": "3"}).findings == {"z.z": "3"}


@pytest.mark.parametrize(
    ("events", "is_decided"),
    [
        ([START], False),
        ([START, verdict(T, "refused")], True),
        ([START, verdict(T)], True),
        ([START, TransformDecided(T, unchanged=True), verdict(T)], True),
        ([START, TransformDecided(T, unchanged=False), verdict(T)], False),
        ([START, TransformDecided(T, unchanged=False), verdict(T), OutputEnded(0, None), AllRead()], True),
    ],
)
def test_a_trial_ends_with_the_answer_and_its_output(events, is_decided) -> None:
    decisions, _ = run([transform(T)], *events, until="answered")
    assert (decisions.state is RunState.DECIDED) == is_decided


def test_in_a_trial_nobody_reads_after_the_transform() -> None:
    decisions, actions = run([transform(T)], START, TransformDecided(T, unchanged=True), until="answered")
    assert (actions, decisions.unchanged) == (["ReleasePin 0"], True)
    assert run([transform(T)], START, RingFull(0, idle=False), until="answered")[1] == ["ReleasePin 0"]


def test_a_late_answer_does_not_change_a_verdict_that_the_outcome_stands_on() -> None:
    plugin = inspector(A)
    decisions, _ = run([plugin], START, END, verdict(A), AllRead())
    assert decisions.state is RunState.DECIDED
    assert decisions.handle(verdict(A, "refused")) == []
    assert plugin.verdict is not None
    assert plugin.verdict.outcome == "accepted"


OUTCOMES = ("accepted", "refused", "failed", "stopped")

EVENTS = st.sampled_from(
    [
        END,
        SourceEnded(BROKEN),
        TransformDecided(T, unchanged=True),
        TransformDecided(T, unchanged=False),
        OutputEnded(0, None),
        FileWritten(0, 10),
        FileWritten(1, 10),
        SpoolFailed(0, BROKEN),
        RingFull(0, idle=True),
        AllRead(),
        Tick(1.0),
        AuditorOverrun("c"),
        *(
            verdict(name, outcome)
            for name in (A, T, B, "c")
            for outcome in ("accepted", "refused", "failed", "stopped")
        ),
    ]
)


@given(st.lists(EVENTS, max_size=30))
def test_whatever_happens_an_image_is_accepted_only_if_all_who_judge_accept(events) -> None:
    states = [inspector(A), transform(T), inspector(B, needs="file"), inspector("c", mode="audit")]
    decisions = Decisions(states, DeclaredImage(), deadline=1000.0)
    for state in states:
        decisions.handle(ready(state))
    decisions.handle(START)
    decided = 0
    for event in events:
        if isinstance(event, TransformDecided) and decisions.stages[1].ring is not None:
            continue  # the conversation allows one decision
        actions = decisions.handle(event)
        decided += any(type(action).__name__ == "StopStreams" for action in actions)
    assert decided <= 1
    if decisions.state is RunState.DECIDED and decisions.decisive is None and decisions.error is None:
        outcomes = [state.verdict.outcome for state in states if not state.is_auditor and state.verdict is not None]
        assert len(outcomes) == 3
        assert set(outcomes) <= {"accepted", "stopped"}
