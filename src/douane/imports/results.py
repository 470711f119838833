"""What the catalog records of a run that accepted an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import msgspec

from douane.catalog import CopyFacts, Task
from douane.errors import DouaneError
from douane.report import PropertyValue, Report

from .failures import failure_in

Properties = dict[str, tuple[str | None, str]]
"""Each property's value (None removes it) and plugin ("" for a property of the image itself), by name."""


class StagedResults(TypedDict):
    """Arguments of `Catalog.record_staged`."""

    report: Any
    size: int
    digests: dict[str, str]
    disk_format: str | None
    container_format: str | None
    virtual_size: int | None
    properties: Properties


class Results(StagedResults):
    """Arguments of `Catalog.ready_to_publish`."""

    variants: dict[str, CopyFacts]


class Made(msgspec.Struct):
    """The variants of an image that were made, and their runs, by the id of the store."""

    variants: dict[str, CopyFacts] = {}
    """Only copies that differ from the image."""

    reports: dict[str, Report] = {}
    failed: dict[str, DouaneError] = {}


def report_document(report: Report, log_lines: Sequence[str] = ()) -> dict[str, Any]:
    """The report as the catalog keeps it: with the lines of plugins under ``log``, and what else only the operator may
    read of a failure under ``detail``."""
    document = report.to_json()
    if report.outcome != "accepted":
        why = failure_in(report)
        document["message"] = why.message
        if why.detail is not None:
            document["detail"] = why.detail
    return {**document, "log": list(log_lines)} if log_lines else document


def with_reports(document: Mapping[str, Any], reports: Mapping[str, Report]) -> dict[str, Any]:
    """The report of an import, with those of its variants, by store, under ``variants``."""
    variants = {store: report_document(report) for store, report in reports.items()}
    return {**document, "variants": variants} if variants else dict(document)


def rejected_document(
    variant: Report, stores: Sequence[str], image: Report | None, log_lines: Sequence[str] = ()
) -> dict[str, Any]:
    """The report of an import that the run of the variant for `stores` ended; `image` is that of the image itself, if
    there was a run of it."""
    document = report_document(variant, log_lines)
    ending = ("outcome", "code", "message", "detail", "log")
    ended: dict[str, Any] = {name: document[name] for name in ending if name in document}
    own: dict[str, Any] = {"verdicts": []} if image is None else report_document(image)
    return with_reports({**own, **ended}, dict.fromkeys(stores, variant))


def staged_results(report: Report, log_lines: Sequence[str] = ()) -> StagedResults:
    """The results in the report of a run."""
    return StagedResults(
        report=report_document(report, log_lines),
        size=report.stored.size,
        digests=report.stored.digests(),
        disk_format=report.disk_format,
        container_format=report.container_format,
        virtual_size=report.virtual_size,
        properties=_properties(report),
    )


def results_of(report: Report, log_lines: Sequence[str] = (), made: Made | None = None) -> Results:
    """The results in the report of a run, with the variants that were made of its image."""
    results = staged_results(report, log_lines)
    return _with_variants(results, made or Made())


def recorded_facts(task: Task) -> CopyFacts:
    """The facts of bytes that were accepted before, which the task keeps."""
    assert task.size is not None, "a task without results was never accepted"
    return CopyFacts(
        size=task.size,
        virtual_size=task.virtual_size,
        disk_format=task.disk_format,
        container_format=task.container_format,
        digests=task.digests,
    )


def recorded_results(task: Task, made: Made) -> Results:
    """The results of an earlier run of the same bytes, which the task keeps, and their variants."""
    facts = recorded_facts(task)
    results = StagedResults(
        report=task.report,
        size=facts.size,
        digests=facts.digests,
        disk_format=facts.disk_format,
        container_format=facts.container_format,
        virtual_size=facts.virtual_size,
        properties=task.properties,
    )
    return _with_variants(results, made)


def _with_variants(results: StagedResults, made: Made) -> Results:
    results["report"] = with_reports(results["report"], made.reports)
    return Results(**results, variants=made.variants)


def _properties(report: Report) -> Properties:
    properties: Properties = {
        name: (None if proposed.value is None else _text(proposed.value), "")
        for name, proposed in report.proposed.items()
    }
    properties.update({key: (_text(value), key.partition(".")[0]) for key, value in report.properties.items()})
    return properties


def _text(value: PropertyValue) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
