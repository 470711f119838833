"""Plugins that read files, and their reader: which events lead to which actions. No sandbox, no thread, no byte."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.declared import DeclaredImage
from douane.engine.decisions import Decisions, RunState
from douane.engine.events import AllRead, FilesEnded, FileWritten, RunStarted, SpoolFailed, Tick
from douane.engine.stage import PluginState
from douane.errors import LimitExceeded, SinkError, SourceError
from douane.host.events import Event, PluginAnswered, PluginReady, TransformDecided
from douane.report import Verdict
from support.decision_words import END, START, A, B, T, inspector, ready, run, transform, verdict, words

READER = "guest-files"
WRITTEN = FileWritten(0, 1000)
FLOWS = TransformDecided(READER, unchanged=False)
RECORDS = 500
ENDED = FilesEnded(0, None, RECORDS)
LUKS = {"place": "p2", "code": "guest-encrypted", "why": "the device is encrypted: LUKS"}


def files(name: str, **fields: object) -> PluginState:
    return inspector(name, needs="files", **fields)


def asked(name: str, until: int = RECORDS) -> PluginAnswered:
    """An accept of a plugin that has looked at what is unread, when it had been sent `until` bytes of records."""
    return PluginAnswered(name, Verdict(plugin=name, outcome="accepted"), looked_until=until)


def reader(outcome: str = "accepted", unread: object = 0, **fields: object) -> PluginAnswered:
    """An answer of the reader; `unread` is a number of parts, or a document."""
    document = {"parts": unread, "listed": [LUKS] * min(unread, 2)} if isinstance(unread, int) else unread
    documents = {} if document is None else {"unread": document}
    return PluginAnswered(READER, Verdict(plugin=READER, outcome=outcome, documents=documents, **fields))


def go(states: list[PluginState], *events: Event) -> tuple[Decisions, list[str]]:
    return run(states, *events, readers={0: READER})


def begun(states: list[PluginState], *events: Event) -> list[str]:
    """The actions after the last event, of a run of which no plugin has been ready."""
    decisions = Decisions(states, DeclaredImage(), deadline=60.0, readers={0: READER})
    actions: list[str] = []
    for event in events:
        actions = words(decisions.handle(event))
    return actions


def test_the_reader_waits_until_all_who_read_files_are_ready_but_for_auditors() -> None:
    def states() -> list[PluginState]:
        return [files(A), files(B), files("c", mode="audit")]

    first, second, _ = states()
    begin = ["SendFiles a 0", "SendFiles b 0", "PinFilesForAuditor c 0", "SendImage guest-files None"]
    assert begun(states(), START, ready(first), WRITTEN) == []
    assert begun(states(), START, ready(first), WRITTEN, ready(second)) == begin
    assert begun(states(), START, ready(first), ready(second)) == []
    assert begun(states(), START, ready(first), ready(second), WRITTEN) == begin


def test_one_that_fails_before_it_is_ready_holds_up_nobody() -> None:
    states = [files(A), files(B)]
    states[1].spec = msgspec.structs.replace(states[1].spec, on_error="warn")
    assert begun(states, START, ready(states[0]), WRITTEN, verdict(B, "failed")) == [
        "SendFiles a 0",
        "SendImage guest-files None",
        "ReleasePlugin b",
    ]


READING = [START, WRITTEN, FLOWS]

TABLE = [
    pytest.param(
        lambda: [files(A), inspector(B), files("c")],
        [START],
        ["BeginStage 0 0", "SendImage b 0", "ReadSource"],
        id="plugins that read files wait for all bytes",
    ),
    pytest.param(
        lambda: [files(A), inspector(B), files("c")],
        [START, WRITTEN],
        ["SendFiles a 0", "SendFiles c 0", "SendImage guest-files None"],
        id="then the reader begins, after all who read what it delivers",
    ),
    pytest.param(
        lambda: [inspector("f", is_format=True), files(A)],
        [START, WRITTEN],
        [],
        id="but not before the format is known",
    ),
    pytest.param(
        lambda: [inspector("f", is_format=True), files(A)],
        [START, WRITTEN, verdict("f", "refused")],
        ["StopStreams", "StopPlugin a", "StopPlugin guest-files", "ReleasePlugin f"],
        id="an image of a refused format is not parsed",
    ),
    pytest.param(
        lambda: [files(A)],
        [verdict(A, "failed"), START, WRITTEN],
        [],
        id="for nobody, nothing is read",
    ),
    pytest.param(lambda: [files(A)], READING, ["TakeFiles 0 guest-files"], id="the reader's output fills the ring"),
    pytest.param(
        lambda: [files(A)],
        [START, WRITTEN, TransformDecided(READER, unchanged=True)],
        ["FailPlugin guest-files failed plugin-protocol"],
        id="a reader that leaves the image as it is has failed",
    ),
    # the end of the reader
    pytest.param(lambda: [files(A)], [*READING, ENDED], [], id="output that has ended is not whole"),
    pytest.param(
        lambda: [files(A)],
        [*READING, ENDED, reader()],
        ["FinishFiles 0", "ReleasePlugin guest-files"],
        id="output is whole when it has ended and the reader has accepted",
    ),
    pytest.param(
        lambda: [files(A)],
        [*READING, reader()],
        ["EndFiles 0", "ReleasePlugin guest-files"],
        id="its accept ends the output, and not whoever holds its pipe",
    ),
    pytest.param(lambda: [files(A)], [*READING, reader(), ENDED], ["FinishFiles 0"], id="whole in whatever order"),
    *(
        pytest.param(
            lambda: [files(A), inspector(B)],
            [*READING, answer],
            ["FailPlugin a failed guest-reader-failed", "ReleasePlugin guest-files"],
            id=f"nobody accepts on a reader that {name}",
        )
        for name, answer in {
            "failed": reader("failed"),
            "was too slow": reader("timeout"),
            "refused": reader("refused"),
            "does not say what is unread": reader(unread=None),
            "says it in a way of its own": reader(unread={"parts": "none", "listed": []}),
            "contradicts itself": reader(unread={"parts": 0, "listed": [LUKS]}),
            "counts parts that it does not list": reader(unread={"parts": 3, "listed": []}),
        }.items()
    ),
    pytest.param(
        lambda: [files(A), inspector(B)],
        [reader("failed"), START],
        ["BeginStage 0 0", "SendImage b 0", "ReadSource"],
        id="a reader that did not start does not hold up the others",
    ),
    pytest.param(
        lambda: [files(A)],
        [*READING, FilesEnded(0, LimitExceeded("too much"), RECORDS)],
        ["RefuseOutput guest-files transform-limit too much"],
        id="a reader that puts out more than its bound has failed",
    ),
    pytest.param(
        lambda: [files(A)],
        [*READING, reader(), FilesEnded(0, LimitExceeded("too much"), RECORDS), reader("refused")],
        ["FailPlugin a failed guest-reader-failed", "ReleasePlugin guest-files"],
        id="also after its accept",
    ),
    pytest.param(
        lambda: [files(A)],
        [*READING, FilesEnded(0, SourceError("a fault"), RECORDS)],
        ["StopStreams", "StopPlugin a", "StopPlugin guest-files"],
        id="a fault of the engine ends the run",
    ),
    pytest.param(
        lambda: [files(A), inspector(B)],
        [START, SpoolFailed(0, SinkError("the disk is full"))],
        ["StopStreams", "StopPlugin a", "StopPlugin b", "StopPlugin guest-files"],
        id="without its file nothing can be read",
    ),
    # answers
    pytest.param(
        lambda: [files(A), files(B)],
        [*READING, asked(A)],
        ["ReleasePlugin a"],
        id="the reader goes on while somebody reads",
    ),
    pytest.param(
        lambda: [files(A), inspector(B)],
        [*READING, verdict(A, "refused")],
        ["StopStreams", "StopPlugin b", "StopPlugin guest-files", "ReleasePlugin a"],
        id="and is stopped when the image is decided",
    ),
    pytest.param(
        lambda: [files(A, mode="warn"), files(B, mode="warn")],
        [*READING, verdict(A, "refused"), verdict(B, "refused")],
        ["StopPlugin guest-files", "ReleasePlugin b"],
        id="or when all have answered: refusals of plugins that only warn are answers",
    ),
    pytest.param(
        lambda: [files(A), files(B)],
        [*READING, verdict(A), reader("failed")],
        [
            "WithdrawAccept a failed guest-reader-failed",
            "FailPlugin b failed guest-reader-failed",
            "ReleasePlugin guest-files",
        ],
        id="an early accept that did not ask falls with the reader",
    ),
    pytest.param(
        lambda: [files(A), files(B)],
        [*READING, asked(A), reader("failed")],
        [
            "WithdrawAccept a failed guest-reader-failed",
            "FailPlugin b failed guest-reader-failed",
            "ReleasePlugin guest-files",
        ],
        id="one that asked does, too",
    ),
    pytest.param(
        lambda: [files(A), inspector(B, needs="findings")],
        [*READING, verdict(A)],
        ["ReleasePlugin a"],
        id="an accept that did not ask waits for the end of the reader",
    ),
    pytest.param(
        lambda: [files(A), inspector(B, needs="findings")],
        [*READING, verdict(A), ENDED, reader()],
        ["FinishFiles 0", "SendImage b None", "ReleasePlugin guest-files"],
        id="and takes effect when nothing is unread",
    ),
    pytest.param(
        lambda: [files(A), files(B)],
        [*READING, verdict(A), ENDED, reader(unread=1)],
        ["FinishFiles 0", "WithdrawAccept a incomplete guest-encrypted", "ReleasePlugin guest-files"],
        id="and is none when something is",
    ),
    pytest.param(
        lambda: [files(A)],
        [*READING, ENDED, reader(unread=1), verdict(A)],
        ["WithdrawAccept a incomplete guest-encrypted", "ReleasePlugin a"],
        id="nor is one that comes after the end",
    ),
    pytest.param(
        lambda: [files(A)],
        [*READING, ENDED, reader(unread=1), asked(A)],
        ["ReleasePlugin a"],
        id="who asked may accept",
    ),
    pytest.param(
        lambda: [files(A), inspector(B, needs="findings")],
        [*READING, asked(A), ENDED, reader(unread=1)],
        ["FinishFiles 0", "SendImage b None", "ReleasePlugin guest-files"],
        id="whose accept waits for the end of the reader as well",
    ),
    pytest.param(
        lambda: [files(A), files(B)],
        [*READING, asked(A, until=RECORDS - 1), ENDED, reader(unread=1)],
        ["FinishFiles 0", "WithdrawAccept a incomplete guest-encrypted", "ReleasePlugin guest-files"],
        id="who says so before all records were sent cannot have asked",
    ),
    pytest.param(
        lambda: [files(A)],
        [*READING, asked(A, until=0), ENDED, reader()],
        ["FinishFiles 0", "ReleasePlugin guest-files"],
        id="which does not matter if nothing is unread",
    ),
    pytest.param(
        lambda: [files(A), inspector(B)],
        [*READING, verdict(A), verdict(B, "refused")],
        ["StopStreams", "WithdrawAccept a stopped stopped", "StopPlugin guest-files", "ReleasePlugin b"],
        id="an accept that waits is none if the image is decided before",
    ),
    # auditors
    pytest.param(
        lambda: [files(A, mode="audit"), inspector(B)],
        [*READING, verdict(B), END, AllRead(), Tick(1.1)],
        ["FailPlugin a incomplete auditor-too-slow"],
        id="an auditor that reads files has a moment after all else",
    ),
    pytest.param(
        lambda: [files(A, mode="audit"), inspector(B)],
        [*READING, verdict(A), verdict(B), END, AllRead(), Tick(1.1)],
        ["WithdrawAccept a incomplete auditor-too-slow"],
        id="its accept waits no longer",
    ),
    pytest.param(
        lambda: [files(A, mode="audit"), inspector(B)],
        [*READING, verdict(B), END, AllRead(), Tick(1.1), verdict(A, "incomplete")],
        ["StopPlugin guest-files", "ReleasePlugin a"],
        id="and the reader ends with it",
    ),
]


def without_messages(lines: list[str]) -> list[str]:
    return [" ".join(line.split()[:4]) if line.startswith("WithdrawAccept") else line for line in lines]


@pytest.mark.parametrize(("states", "events", "actions"), TABLE)
def test_the_last_event_leads_to_these_actions(states, events, actions) -> None:
    assert without_messages(go(states(), *events)[1]) == actions


def test_the_message_says_how_much_is_unread_where_and_why() -> None:
    _, [action, _] = go([files(A)], *READING, ENDED, reader(unread=3), verdict(A))
    assert action.partition("guest-encrypted ")[2] == (
        "3 parts of the image could not be read, and the check 'a' did not ask for them; the first is p2: the device "
        "is encrypted: LUKS"
    )


def test_the_message_says_who_accepted_too_early() -> None:
    _, [_, action, _] = go([files(A), files(B)], *READING, asked(A, until=7), ENDED, reader(unread=1))
    assert "the check 'a' accepted before all were known; it is p2: the device is encrypted" in action


def test_the_words_of_a_reader_that_failed_are_those_of_the_plugins() -> None:
    decisions = Decisions([files(A)], DeclaredImage(), deadline=60.0, readers={0: READER})
    [failure, _] = decisions.handle(reader("failed", message="the check 'guest-files' died", detail="SIGSEGV"))
    assert failure.detail == "the check 'guest-files' died: SIGSEGV"


def test_a_late_auditor_gets_the_records_from_the_first_on() -> None:
    auditor = files(A, mode="audit")
    decisions = Decisions([auditor], DeclaredImage(name="web"), deadline=60.0, readers={0: READER})
    decisions.handle(RunStarted(1000))
    assert words(decisions.handle(WRITTEN)) == ["PinFilesForAuditor a 0", "SendImage guest-files None"]
    assert words(decisions.handle(PluginReady(A, "files"))) == ["SendFiles a 0", "ReleaseAuditorPin a"]


def test_each_stage_has_its_own_reader() -> None:
    states = [files(A), transform(T), files(B)]
    decisions = Decisions(states, DeclaredImage(), deadline=60.0, readers={0: READER, 1: "guest-files-1"})
    for state in states:
        decisions.handle(ready(state))
    for event in (START, TransformDecided(T, unchanged=True), WRITTEN):
        decisions.handle(event)
    assert words(decisions.handle(FileWritten(1, 1000))) == ["SendFiles b 1", "SendImage guest-files-1 None"]
    assert words(decisions.handle(TransformDecided("guest-files-1", unchanged=False))) == ["TakeFiles 1 guest-files-1"]
    assert words(decisions.handle(verdict(A, "refused"))) == [
        "StopStreams",
        "StopPlugin t",
        "StopPlugin b",
        "StopPlugin guest-files",
        "StopPlugin guest-files-1",
        "ReleasePlugin a",
    ]


EVENTS = st.sampled_from(
    [
        END,
        AllRead(),
        WRITTEN,
        FLOWS,
        ENDED,
        Tick(1.0),
        *(reader(outcome, unread) for outcome in ("accepted", "failed", "stopped") for unread in (0, 1)),
        *(
            answer
            for name in (A, B)
            for answer in (asked(name), asked(name, until=7), verdict(name), verdict(name, "failed"))
        ),
        verdict("c"),
    ]
)


@given(st.lists(EVENTS, max_size=30))
def test_whatever_happens_no_accept_stands_on_a_reader_that_failed_or_on_what_is_unread(events) -> None:
    states = [files(A), files(B), inspector("c")]
    decisions = Decisions(states, DeclaredImage(), deadline=1000.0, readers={0: READER})
    for event in (*map(ready, states), START):
        decisions.handle(event)
    answers: dict[str, PluginAnswered] = {}
    withdrawn: set[str] = set()
    for event in events:
        if isinstance(event, PluginAnswered):
            if event.plugin in answers and (event.plugin not in withdrawn or event.verdict.outcome == "accepted"):
                continue  # a process answers once, and otherwise once more if its accept is withdrawn
            withdrawn.discard(event.plugin)
            answers[event.plugin] = event
        actions = decisions.handle(event)
        withdrawn |= {action.plugin for action in actions if type(action).__name__ == "WithdrawAccept"}
    if decisions.decisive is not None or decisions.error is not None:
        return  # the image is not let in
    end = decisions.stages[0].reader
    assert end is not None
    for state in states[:2]:
        is_accepted = state.verdict is not None and state.verdict.outcome == "accepted"
        if is_accepted:
            assert end.is_complete
            assert end.verdict is not None
            is_clean = end.verdict.documents["unread"]["parts"] == 0
            assert is_clean or answers[state.name].looked_until == RECORDS
    if decisions.state is RunState.DECIDED:
        assert all(state.verdict is not None for state in states)
