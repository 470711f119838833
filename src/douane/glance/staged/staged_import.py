"""One staged image: inspected, or known to be; and what comes back is applied to it."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from douane.declared import DeclaredImage
from douane.engine import DouaneError, Report
from douane.glance.file_backends import FileGate, file_gate
from douane.glance.image_metadata import ATTRIBUTES, text
from douane.glance.outcome import OUTCOME_PROPERTIES, Before, Reason
from douane.glance.settings import Settings, of_this_process
from douane.glance.upload.http_errors import refusal
from douane.report import PropertyValue

from .attestation import Records
from .staged_file import ResultFile, StagedFile

log = logging.getLogger("douane")

_RESERVED = "os_glance"

_NOT_WHOLE = Reason(
    "undecided",
    "staged-incomplete",
    "What is staged of this image is not whole; nothing of it was kept. Stage it again",
)


@dataclass(frozen=True)
class Applied:
    """What is set on an image that was accepted; None in `properties`: removed."""

    properties: Mapping[str, PropertyValue | None]
    attributes: Mapping[str, Any]


class StagedImport:
    """The inspection of one import. `before` is, at any moment, how to undo what was set."""

    def __init__(
        self,
        image: str,
        method: str,
        repo: Any,
        wrapper: Any,
        roles: Sequence[str],
        note: Callable[[Before], None] = lambda before: None,
    ) -> None:
        """`method` is of the import; `repo` and `wrapper` are Glance's, for who imports; `roles` are theirs.

        `note` is told how to undo what is set, before it is.
        """
        self._id = image
        self._method = method
        self._repo = repo
        self._wrapper = wrapper
        self._roles = list(roles)
        self._note = note
        self._staged: StagedFile | None = None
        self._records: Records | None = None
        self.before = Before()

    def run(self, uri: str) -> Applied | Reason:
        """Let the staged file `uri` through the plan. What is accepted is applied, and on the disk; what is not is
        left as it is. Raises what nobody expects."""
        try:
            return self._run(uri)
        except DouaneError as error:
            log.error("image %s cannot be inspected: %s", self._id, error)
            return _reason(None, error)
        finally:
            if self._staged is not None:
                self._staged.close()

    @property
    def opened(self) -> bool:
        """True if the staged file is known."""
        return self._staged is not None

    def give_up(self, *, delete: bool) -> None:
        """The import has failed. With `delete` the staged file, or what has replaced it, goes. Raises OSError."""
        if self._records is not None:
            self._records.forget(self._id)
        if self._staged is not None and (delete or not self._staged.is_of_glance):
            self._staged.discard()

    def _run(self, uri: str) -> Applied | Reason:
        self._staged = staged = StagedFile(uri, self._id)
        settings = of_this_process()
        gate = file_gate(settings)
        self._records = Records(settings.state) if settings.state is not None else None
        image = self._repo.get(self._id)
        # What plugins found in an earlier attempt says nothing of this one, whose bytes may be gone soon.
        self.before = Before({}, {name: None for name in _properties(image) if _is_found(name, gate)})
        if self._method == "glance-direct" and not _is_whole(image, staged):
            log.error("image %s: %s bytes were staged, %d are there", self._id, image.size, staged.size)
            return _NOT_WHOLE
        wanted = self._known(staged, gate, settings)
        if wanted is None:
            with contextlib.ExitStack() as stack:
                result: ResultFile | None = None
                if gate.transforms:
                    result = staged.beside()
                    stack.callback(result.discard)
                report = gate.inspect(staged.fd, self._declared(image, gate), f"image {self._id}", result)
                if report.outcome != "accepted":
                    return self._not_accepted(report)
                if not staged.is_there():
                    raise DouaneError(f"{staged.path} is another file than the one that was inspected")
                transformed = report.is_transformed
                if transformed and result is None:
                    raise DouaneError("the plan of the agent has become another one meanwhile: import the image again")
                if result is not None and transformed:
                    staged.become(result)
            wanted = _wanted(report, settings, staged if transformed else None)
        if self._records is not None:
            self._records.forget(self._id)
        if image.virtual_size and wanted.attributes.keys() == {"virtual_size"}:
            wanted = Applied(wanted.properties, {})
        return self._apply(image, gate, settings, wanted)

    def _declared(self, image: Any, gate: FileGate) -> DeclaredImage:
        """What the tenant has declared: not what plugins have found in an earlier attempt, nor what became of it."""
        return DeclaredImage(
            name=image.name,
            disk_format=image.disk_format,
            container_format=image.container_format,
            properties={
                name: str(value)
                for name, value in _properties(image).items()
                if not name.startswith(_RESERVED) and name not in OUTCOME_PROPERTIES and not _is_found(name, gate)
            },
            owner=image.owner,
            roles=tuple(self._roles),
        )

    def _known(self, staged: StagedFile, gate: FileGate, settings: Settings) -> Applied | None:
        """What the filter found when these very bytes were staged, if it did, by the same plan."""
        if self._records is None or settings.again or gate.transforms:
            return None
        record = self._records.find(self._id)
        if record is None or record.plan != gate.digest or record.size != staged.size:
            return None
        if not staged.has_tag(record.key, record.tag):
            log.warning("image %s: what is staged is not what was inspected; it is inspected now", self._id)
            return None
        log.info("image %s was inspected when it was staged", self._id)
        found = {
            name: value for name, value in record.properties.items() if settings.properties or not _is_found(name, gate)
        }
        return Applied(found, {"virtual_size": record.virtual_size} if record.virtual_size else {})

    def _not_accepted(self, report: Report) -> Reason:
        reason = _reason(report, None)
        if report.outcome == "refused":
            log.info("image %s: %s", self._id, reason.message)
        else:
            log.error("image %s could not be inspected: %s: %s", self._id, report.code, report.message)
        return reason

    def _apply(self, image: Any, gate: FileGate, settings: Settings, wanted: Applied) -> Applied:
        """One load and one save of the image, as short as they can be."""
        there = _properties(image)
        stale = [name for name in there if settings.properties and _is_found(name, gate)]
        properties: dict[str, str | None] = dict.fromkeys([*stale, *(n for n in OUTCOME_PROPERTIES if n in there)])
        for name, value in wanted.properties.items():
            if name in ATTRIBUTES or name.startswith(_RESERVED):
                log.error("image %s: %s is no property that an import can set; it is left out", self._id, name)
            else:
                properties[name] = None if value is None else text(value)
        self.before = Before(
            {name: getattr(image, name) for name in wanted.attributes if name in ("disk_format", "container_format")},
            {
                name: None if _is_found(name, gate) else there.get(name)
                for name in properties
                if name not in OUTCOME_PROPERTIES
            },
        )
        self._note(self.before)
        try:
            with self._wrapper as action:
                for name, value in properties.items():
                    if value is None:
                        action.pop_extra_property(name)
                action.set_image_extra_properties(
                    {name: value for name, value in properties.items() if value is not None}
                )
                if wanted.attributes:
                    action.set_image_attribute(**wanted.attributes)
        except Exception as error:
            raise DouaneError(f"what was found in image {self._id} cannot be set on it: {error!r}") from error
        return wanted


def _wanted(report: Report, settings: Settings, transformed: StagedFile | None) -> Applied:
    properties: dict[str, PropertyValue | None] = dict(report.properties) if settings.properties else {}
    properties |= {name: each.value for name, each in report.proposed.items()}
    attributes: dict[str, Any] = {}
    if report.virtual_size is not None or transformed is not None:
        attributes["virtual_size"] = report.virtual_size
    if transformed is not None:
        attributes["size"] = transformed.size
        attributes |= {
            name: value
            for name, value in (
                ("disk_format", report.disk_format),
                ("container_format", report.container_format),
            )
            if value is not None
        }
    return Applied(properties, attributes)


def _is_whole(image: Any, staged: StagedFile) -> bool:
    """Glance writes down the size of what is staged when all of it is; and imports also what is not, after a kill -9.

    Before 31 it writes down the Content-Length, which a chunked body has not.
    """
    return image.size == staged.size or (not image.size and _glance_before_31())


@functools.cache
def _glance_before_31() -> bool:
    try:
        return int(metadata.version("glance").partition(".")[0]) < 31
    except (metadata.PackageNotFoundError, ValueError):
        return False


def _properties(image: Any) -> dict[str, str]:
    """The properties of Glance's image. Their mapping says that it has none when it is iterated over (Glance 29 to 33,
    ``glance.domain.ExtraProperties``); to make a dict of it goes another way."""
    return dict(image.extra_properties)


def _is_found(name: str, gate: FileGate) -> bool:
    """True for a property in a plugin's namespace."""
    return "." in name and name.partition(".")[0] in gate.plugins


def _reason(report: Report | None, error: DouaneError | None) -> Reason:
    told = refusal(report, error)
    outcome = report.outcome if report is not None else "undecided"
    return Reason("deferred" if told.retry_after is not None else outcome, told.code, told.message)
