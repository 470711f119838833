"""What has to run for one image, and what follows from all verdicts. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from douane.host.policy import weigh
from douane.plan.builtin import AS_RECEIVED, is_one_of
from douane.report import Outcome, Verdict

from .fingerprints import Fingerprint, Inspector, digest_of
from .places import Entry
from .state import Judged, Record

RECEIVED_BYTES_GONE = "received-bytes-gone"
FINAL = ("accepted", "refused", "incomplete")
"""Answers about the image; all else says something about the hour, and is tried again."""

_OF_RECEIVED = (*AS_RECEIVED, "checksum")


class Todo(msgspec.Struct, kw_only=True):
    """The inspectors of one image by what they need."""

    records: dict[str, Record]
    """The verdicts that stand."""

    documents: list[Inspector]
    """They judge again from the documents of their verdict."""

    bytes: list[Inspector]
    """They read the image."""


def sort_out(
    inspectors: Sequence[Inspector],
    entry: Entry,
    judged: Judged | None,
    *,
    from_documents: Collection[str] = (),
    trusts_services: bool = False,
) -> Todo:
    """Which of `inspectors` have to judge `entry` again; those of findings are not looked at.

    `from_documents` are the `use` of inspectors that can judge again by the documents of a verdict.
    """
    todo = Todo(records={}, documents=[], bytes=[])
    same_image = judged is not None and (judged.content, judged.declared) == (entry.content, entry.declared_digest)
    records = judged.records if judged is not None and same_image else {}
    for inspector in inspectors:
        if inspector.reads == "findings":
            continue
        record = records.get(inspector.name)
        if record is None or (inspector.asks_service and not trusts_services):
            todo.bytes.append(inspector)
        elif record.fingerprint == inspector.fingerprint:
            todo.records[inspector.name] = record
        elif inspector.spec.use in from_documents and _has_same_view(record.fingerprint, inspector.fingerprint):
            todo.documents.append(inspector)
        else:
            todo.bytes.append(inspector)
    _sort_out_with_findings(inspectors, todo, records)
    refusing = {name for name, record in todo.records.items() if record.verdict.outcome == "refused"}
    if any(
        weigh(each.spec, todo.records[each.name].verdict) == "refused" for each in inspectors if each.name in refusing
    ):
        todo.documents, todo.bytes = [], []  # whatever the others say, it is refused
    return todo


def _sort_out_with_findings(inspectors: Sequence[Inspector], todo: Todo, records: Mapping[str, Record]) -> None:
    """One that reads the guest and findings stands if all earlier ones do; else all of them read the image with it."""
    for number, inspector in enumerate(inspectors):
        if inspector.reads != "guest+findings":
            continue
        together = inspectors[: number + 1]
        if all(each.name in todo.records or _is_same_reader(each, records) for each in together):
            continue
        for inspected in together:
            todo.records.pop(inspected.name, None)
        todo.documents = [each for each in todo.documents if each not in together]
        todo.bytes = [each for each in inspectors if each in together or each in todo.bytes]


def _is_same_reader(inspector: Inspector, records: Mapping[str, Record]) -> bool:
    """True for an inspector of findings that is as it was: with the same findings it says the same."""
    record = records.get(inspector.name)
    if inspector.reads != "findings" or record is None:
        return False
    return msgspec.structs.replace(record.fingerprint, view="") == msgspec.structs.replace(
        inspector.fingerprint, view=""
    )


def _has_same_view(recorded: Fingerprint, current: Fingerprint) -> bool:
    return (recorded.code, recorded.view) == (current.code, current.view)


def findings_of(inspectors: Sequence[Inspector], reader: Inspector, records: Mapping[str, Record]) -> dict[str, object]:
    """What an inspector of findings is shown: the properties of those before it."""
    earlier = inspectors[: list(inspectors).index(reader)]
    verdicts = [records[each.name].verdict for each in earlier if each.name in records and each.spec.mode != "audit"]
    return {key: value for verdict in verdicts for key, value in verdict.properties.items()}


def with_findings(inspector: Inspector, findings: Mapping[str, object]) -> Fingerprint:
    """The fingerprint of an inspector of these findings."""
    return msgspec.structs.replace(inspector.fingerprint, view=digest_of(findings))


def judge_received(inspector: Inspector, verdict: Verdict, *, transformed: bool | None) -> Verdict:
    """The same verdict; of an inspector of the bytes as received, a refusal says nothing where others are stored."""
    if verdict.outcome != "refused" or transformed is False or not is_one_of(inspector.spec.use, _OF_RECEIVED):
        return verdict
    return Verdict(
        plugin=verdict.plugin,
        outcome="incomplete",
        code=RECEIVED_BYTES_GONE,
        message="it judges the image as it was received, and a transform may have changed that: verify it by hand",
        mode=verdict.mode,
        ran=verdict.ran,
    )


class Decision(msgspec.Struct, frozen=True):
    """The outcome for an image, and the verdict that decides it; None: it is accepted."""

    outcome: Outcome
    verdict: Verdict | None = None


def decide(inspectors: Sequence[Inspector], verdicts: Mapping[str, Verdict]) -> Decision:
    """What the plan says of an image with these verdicts. A refusal counts more than what is undecided, and an
    inspector without a verdict has not accepted."""
    undecided: Verdict | None = None
    for inspector in inspectors:
        verdict = verdicts.get(inspector.name)
        if verdict is None or verdict.outcome == "stopped":
            verdict = Verdict(
                plugin=inspector.name,
                outcome="failed",
                code="no-answer",
                message="the inspector has not judged the image",
                mode=inspector.spec.mode,
            )
        outcome = weigh(inspector.spec, verdict)
        if outcome == "refused":
            return Decision("refused", verdict)
        if outcome == "undecided" and undecided is None:
            undecided = verdict
    return Decision("accepted") if undecided is None else Decision("undecided", undecided)
