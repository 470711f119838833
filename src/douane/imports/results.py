"""What the catalog records of a run that accepted an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from douane.catalog import Task
from douane.report import PropertyValue, Report

from .failures import failure_in

Properties = dict[str, tuple[str | None, str]]
"""Each property's value (None removes it) and plugin ("" for a property of the image itself), by name."""


class Results(TypedDict):
    """The arguments of `Catalog.ready_to_publish` and `Catalog.record_staged`."""

    report: Any
    size: int
    digests: dict[str, str]
    disk_format: str | None
    container_format: str | None
    virtual_size: int | None
    properties: Properties


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


def results_of(report: Report, log_lines: Sequence[str] = ()) -> Results:
    """The results in the report of a run."""
    return Results(
        report=report_document(report, log_lines),
        size=report.stored.size,
        digests=report.stored.digests(),
        disk_format=report.disk_format,
        container_format=report.container_format,
        virtual_size=report.virtual_size,
        properties=_properties(report),
    )


def recorded_results(task: Task) -> Results:
    """The results of an earlier run of the same bytes, which the task keeps."""
    assert task.size is not None, "a task without results was never accepted"
    return Results(
        report=task.report,
        size=task.size,
        digests=task.digests,
        disk_format=task.disk_format,
        container_format=task.container_format,
        virtual_size=task.virtual_size,
        properties=task.properties,
    )


def _properties(report: Report) -> Properties:
    properties: Properties = {
        name: (None if proposed.value is None else _text(proposed.value), "")
        for name, proposed in report.proposed.items()
    }
    properties.update({key: (_text(value), key.partition(".")[0]) for key, value in report.properties.items()})
    return properties


def _text(value: PropertyValue) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
