"""The document of the plugin `explain`, as types: the command line checks what comes out of a sandbox."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from douane.errors import SandboxError

Worth = Literal["refuse", "warn", "pass"]


class Field(msgspec.Struct, frozen=True):
    """A field of a header, and its offset in bytes."""

    name: str
    value: int | str
    offset: int | None


class Finding(msgspec.Struct, frozen=True):
    """Something noticed in the image, and the offset in bytes of the evidence."""

    code: str
    worth: Worth
    detail: str
    offset: int | None


class Match(msgspec.Struct, frozen=True):
    """A format that the file can be read as."""

    format: str
    variant: str
    at: Literal["start", "end"]
    fields: list[Field]
    findings: list[Finding]
    inside: list[Inner]
    left_out: int


class Inner(msgspec.Struct, frozen=True):
    """An image inside the file."""

    name: str
    formats: list[Match]


class Explanation(msgspec.Struct, frozen=True):
    """The identity of a file, the verdict of `format`, and the evidence."""

    outcome: Literal["accepted", "refused", "incomplete"]
    code: str | None
    message: str | None
    formats: list[Match]
    disk_format: str
    detected: str | None = None
    variant: str | None = None
    virtual_size: int | None = None
    container_format: str | None = None


def read_explanation(document: Any) -> Explanation:
    """The document, checked. Raises SandboxError."""
    try:
        return msgspec.convert(document, Explanation)
    except msgspec.ValidationError as error:
        raise SandboxError(f"the inspector 'explain' attached an invalid document: {error}") from error
