"""The results of a run, as columns of its task."""

from collections.abc import Mapping
from typing import Any

from douane.errors import BadValue

from . import values


def result_columns(
    *,
    report: Any,
    size: int | None,
    digests: Mapping[str, str],
    disk_format: str | None,
    container_format: str | None,
    virtual_size: int | None,
    properties: Mapping[str, tuple[str | None, str]] | None,
) -> dict[str, Any]:
    """The checked columns; see :meth:`~douane.catalog.Catalog.ready_to_publish`. Raises BadValue."""
    checked = {values.text("a digest's name", name): values.text("a digest", value) for name, value in digests.items()}
    return {
        "report": values.json("the report", report),
        "size": size,
        "virtual_size": values.optional_number("the virtual size", virtual_size),
        "digests": values.json("the digests", checked),
        "properties": values.json("the properties", values.import_properties(properties or {})),
        **values.formats(disk_format, container_format),
    }


def report_column(report: Any) -> str:
    """The report as JSON, whatever it is: the end of an import is recorded with or without its report."""
    try:
        return values.json("the report", report)
    except BadValue as error:
        return values.json("the report", {"unreadable": values.sentence(error)})
