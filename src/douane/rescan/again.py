"""Inspectors that judge again by what their last verdict has attached, without the image.

Such an inspector has a second class, a transform with the same settings and grants: it gets a line of JSON for each
image (:class:`Question`), and writes one (:class:`Answer`). So the stored documents, which come of strangers' images,
are read where images are: in a sandbox, many images at a time.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import msgspec

from douane.declared import DeclaredImage
from douane.engine import FileSource, Plan, RunOptions, inspect_image
from douane.host.policy import clean
from douane.report import PluginOutcome, PropertyValue, Verdict, Warned
from douane.stream.sink import TempSink
from douane.units import MiB

from .fingerprints import Inspector
from .runs import plan_of
from .state import Record


class Again(NamedTuple):
    """How an inspector judges again."""

    use: str
    """Its second class."""

    document: str
    """The document that this judges by; others are not kept."""


AGAIN: Mapping[str, Again] = MappingProxyType(
    {"packages": Again("douane.plugins.packages.again:PackagesAgain", "inventory")}
)
"""By the `use` of a built-in inspector."""


MAX_ANSWERS = 256 * MiB
"""Bytes of the answers to a page of questions, each with up to 100 warnings."""


class Question(msgspec.Struct, frozen=True):
    """A line of the stream."""

    id: str
    documents: dict[str, Any]
    properties: dict[str, PropertyValue]
    """Without the namespace."""


class Answer(msgspec.Struct, frozen=True):
    """What the inspector says of an image. ``unknown``: the documents do not tell, so the image is read."""

    id: str
    outcome: Literal["accepted", "refused", "incomplete", "unknown"]
    code: str | None = None
    message: str | None = None
    warnings: list[Warned] = []
    properties: dict[str, PropertyValue] = {}
    """Without the namespace."""


def judge_again(
    plan: Plan, inspector: Inspector, way: Again, records: Mapping[str, Record], options: RunOptions
) -> dict[str, Verdict]:
    """The verdicts by id of those images in `records` whose documents tell; the others have to be read."""
    again = _again(inspector, way.use)
    verdicts: dict[str, Verdict] = {}
    pending = [list(records)]
    while pending:
        ids = pending.pop()
        last, answers = _run(plan_of(plan, [again]), inspector.name, {each: records[each] for each in ids}, options)
        if last.outcome == "accepted":
            for answer in answers:
                if answer.id in records and answer.outcome != "unknown":
                    verdicts[answer.id] = _verdict(inspector, records[answer.id], answer, answer.outcome, last)
        elif len(ids) > 1:  # one of them is at fault, and alone then
            pending += [ids[: len(ids) // 2], ids[len(ids) // 2 :]]
    return verdicts


def _again(inspector: Inspector, second_class: str) -> Inspector:
    rules: dict[str, Any] = {"mode": "enforce", "on_error": "reject", "on_timeout": "reject", "on_incomplete": "reject"}
    bounds: dict[str, Any] = {"max_output": MAX_ANSWERS, "max_ratio": math.inf, "reuse": 1}
    spec = msgspec.structs.replace(inspector.spec, use=second_class, **rules, **bounds)
    return msgspec.structs.replace(inspector, spec=spec)


def _run(plan: Plan, name: str, records: Mapping[str, Record], options: RunOptions) -> tuple[Verdict, list[Answer]]:
    fd = os.memfd_create("douane-documents", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        for image, record in records.items():
            verdict = record.verdict
            own = {key.removeprefix(f"{name}."): value for key, value in verdict.properties.items()}
            file.write(msgspec.json.encode(Question(image, verdict.documents, own)) + b"\n")
    with contextlib.closing(TempSink("as answers about the documents")) as sink:
        source = FileSource(fd, "the documents")
        report = inspect_image(plan, DeclaredImage(), source, sink, options, complete=False)
        with open(sink.open_read(), "rb") as lines:
            return report.verdicts[0], _answers(lines)


def _answers(lines: Iterable[bytes]) -> list[Answer]:
    """The answers that are such; an image without one is read."""
    answers = []
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError):
            answers.append(msgspec.json.decode(line, type=Answer))
    return answers


def _verdict(inspector: Inspector, record: Record, answer: Answer, outcome: PluginOutcome, run: Verdict) -> Verdict:
    """As if the inspector itself had run: its code is that of the record, and its grants are those of this run."""
    assert run.ran is not None and record.verdict.ran is not None, "both have run"
    ran = msgspec.structs.replace(
        record.verdict.ran, config_sha256=inspector.spec.config_digest(), grants=run.ran.grants
    )
    return Verdict(
        plugin=inspector.name,
        outcome=outcome,
        code=answer.code,
        message=None if answer.message is None else clean(answer.message),
        mode=inspector.spec.mode,
        warnings=[Warned(each.code, clean(each.message)) for each in answer.warnings],
        properties={f"{inspector.name}.{key}": value for key, value in answer.properties.items()},
        documents=record.verdict.documents,  # on record, and of the bytes alone
        ran=ran,
    )


def usable(inspectors: Sequence[Inspector], table: Mapping[str, Again] = AGAIN) -> dict[str, Again]:
    """How each inspector judges again that can, by its `use`."""
    return {each.spec.use: table[each.spec.use] for each in inspectors if each.spec.use in table}
