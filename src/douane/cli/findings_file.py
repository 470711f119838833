"""The findings of earlier plugins in a JSON file: an object, or a report of `douane check --json`."""

from __future__ import annotations

from typing import Any

import msgspec

from douane.errors import PlanError

MAX_BYTES = 16 << 20


class _Verdict(msgspec.Struct):
    properties: dict[str, Any] = {}


class _Report(msgspec.Struct):
    verdicts: list[_Verdict]


_Pairs = dict[str, str | int | float | bool]


def read_findings(path: str) -> dict[str, Any]:
    """The findings in the file `path`, by `plugin.key`. Raises PlanError."""
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PlanError(f"--findings {path} cannot be read: {error.strerror}") from error
    if len(text) > MAX_BYTES:
        raise PlanError(f"--findings {path} is larger than {MAX_BYTES >> 20} MiB")
    try:
        pairs = _of_report(text)
        return msgspec.json.decode(text, type=_Pairs) if pairs is None else pairs
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PlanError(
            f"--findings {path}: write a JSON object such as "
            f'{{"format.disk_format": "raw"}}, or a report of `douane check --json`: {error}'
        ) from error


def _of_report(text: bytes) -> dict[str, Any] | None:
    """The properties of all verdicts of a report; None if `text` is no report. Raises msgspec.DecodeError."""
    try:
        report = msgspec.json.decode(text, type=_Report)
    except msgspec.ValidationError:
        return None
    return msgspec.convert(
        {key: value for verdict in report.verdicts for key, value in verdict.properties.items()}, _Pairs
    )
