"""Inspectors that judge again by what their last verdict has attached, without the image.

Such an inspector has a second class, with the same settings and grants, that reads a stream: one line of JSON for each
image (`id`, `documents`, `properties`). It accepts, and attaches a document ``answers``: by id an :class:`Answer`. So
the stored documents, which come of strangers' images, are read where images are: in a sandbox, many images at a time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from douane.declared import DeclaredImage
from douane.engine import FileSource, Plan, RunOptions, inspect_image
from douane.report import PropertyValue, Verdict, Warned

from .fingerprints import Inspector
from .runs import plan_of
from .state import Record

AGAIN: Mapping[str, str] = {}
"""The second class of a built-in inspector, by its `use`."""


class Question(msgspec.Struct, frozen=True):
    """A line of the stream."""

    id: str
    documents: dict[str, Any]
    properties: dict[str, PropertyValue]
    """Without the namespace."""


class Answer(msgspec.Struct, frozen=True):
    """What the inspector says of an image. ``incomplete``: the documents do not tell, so the image is read."""

    outcome: Literal["accepted", "refused", "incomplete"]
    code: str | None = None
    message: str | None = None
    warnings: list[Warned] = []
    properties: dict[str, PropertyValue] = {}
    """Without the namespace."""


def judge_again(
    plan: Plan, inspector: Inspector, second_class: str, records: Mapping[str, Record], options: RunOptions
) -> dict[str, Verdict]:
    """The verdicts by id of those images in `records` whose documents tell; the others have to be read."""
    again = _again(inspector, second_class)
    verdicts: dict[str, Verdict] = {}
    pending = [list(records)]
    while pending:
        ids = pending.pop()
        last = _run(plan_of(plan, [again]), inspector.name, {each: records[each] for each in ids}, options)
        if last.outcome == "accepted":
            answers = _answers(last)
            told = {each: answers[each] for each in ids if each in answers and answers[each].outcome != "incomplete"}
            verdicts |= {each: _verdict(inspector, records[each], answer, last) for each, answer in told.items()}
        elif len(ids) > 1:  # too much at once; or one of them is at fault, and alone then
            pending += [ids[: len(ids) // 2], ids[len(ids) // 2 :]]
    return verdicts


def _again(inspector: Inspector, second_class: str) -> Inspector:
    rules: dict[str, Any] = {"mode": "enforce", "on_error": "reject", "on_timeout": "reject", "on_incomplete": "reject"}
    spec = msgspec.structs.replace(inspector.spec, use=second_class, **rules)
    return msgspec.structs.replace(inspector, spec=spec)


def _run(plan: Plan, name: str, records: Mapping[str, Record], options: RunOptions) -> Verdict:
    fd = os.memfd_create("douane-documents", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        for image, record in records.items():
            verdict = record.verdict
            own = {key.removeprefix(f"{name}."): value for key, value in verdict.properties.items()}
            file.write(msgspec.json.encode(Question(image, verdict.documents, own)) + b"\n")
    report = inspect_image(plan, DeclaredImage(), FileSource(fd, "the documents"), None, options, complete=False)
    return report.verdicts[0]


def _answers(verdict: Verdict) -> dict[str, Answer]:
    try:
        return msgspec.convert(verdict.documents.get("answers", {}), dict[str, Answer])
    except msgspec.ValidationError:
        return {}


def _verdict(inspector: Inspector, record: Record, answer: Answer, run: Verdict) -> Verdict:
    """As if the inspector itself had run: its code is that of the record, and its grants are those of this run."""
    assert run.ran is not None and record.verdict.ran is not None, "both have run"
    ran = msgspec.structs.replace(
        record.verdict.ran, config_sha256=inspector.spec.config_digest(), grants=run.ran.grants
    )
    return Verdict(
        plugin=inspector.name,
        outcome=answer.outcome,
        code=answer.code,
        message=answer.message,
        mode=inspector.spec.mode,
        warnings=answer.warnings,
        properties={f"{inspector.name}.{key}": value for key, value in answer.properties.items()},
        documents=record.verdict.documents,
        ran=ran,
    )


def usable(inspectors: Sequence[Inspector], table: Mapping[str, str] = AGAIN) -> dict[str, str]:
    """The second class of each inspector that has one, by its `use`."""
    return {each.spec.use: table[each.spec.use] for each in inspectors if each.spec.use in table}
