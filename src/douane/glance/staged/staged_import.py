"""One import: the staged file is inspected, or recognised as inspected, and the outcome is applied to the image."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from douane.bills.kept import NOT_LISTED, InventoryRecord, inventory_in
from douane.declared import DeclaredImage
from douane.engine import Report
from douane.errors import DouaneError
from douane.glance import internals
from douane.glance.backends import Backend, import_backend
from douane.glance.bills import keep_bill
from douane.glance.image_metadata import (
    Texts,
    changed_properties,
    declared_properties,
    fewer_changes,
    has_namespace,
    omitted,
    property_changes,
    reported_properties,
)
from douane.glance.outcome import OUTCOME_PROPERTIES, PROOF, Reason, Undo, is_not_ours
from douane.glance.proof.proof import Subject, make_proof
from douane.glance.reasons import reason_of
from douane.glance.settings import Settings, process_settings
from douane.glance.summaries import keep_summary
from douane.plan.binding import Sender
from douane.report import PropertyValue

from .attestation import Attestations
from .staged_file import ResultFile, StagedFile

log = logging.getLogger("douane")

_INCOMPLETE = Reason(
    "undecided",
    "staged-incomplete",
    "The staged data of this image is incomplete; nothing of it was kept. Stage the image again",
)


@dataclass(frozen=True)
class Changes:
    """Values to set on an accepted image. None removes a property."""

    properties: Mapping[str, PropertyValue | None]
    attributes: Mapping[str, Any]
    digests: Mapping[str, str] = field(default_factory=dict)
    """Digests (hex) of the accepted bytes by algorithm, if any were taken."""
    summary: Mapping[str, Any] | None = None
    """The signed summary, if there is one."""
    inventory: InventoryRecord | str = NOT_LISTED
    """What the bill of materials is made of; or why there is none."""


class StagedImport:
    """The inspection of one import. `undo` says, at any moment, how to undo what was set on the image."""

    def __init__(
        self,
        image: str,
        method: str,
        repo: Any,
        wrapper: Any,
        roles: Sequence[str],
        note: Callable[[Undo], None] = lambda undo: None,
        *,
        service_roles: Sequence[str] = (),
    ) -> None:
        """`method` is the import's; `repo` and `wrapper` are Glance's, for the importing user; `roles` are the user's,
        `service_roles` those of a service that imports for the user.

        `note` is called with `undo` before anything is set.
        """
        self._id = image
        self._method = method
        self._repo = repo
        self._wrapper = wrapper
        self._roles = tuple(roles)
        self._sender = Sender("import", (*roles, *service_roles))
        self._note = note
        self._staged: StagedFile | None = None
        self._attestations: Attestations | None = None
        self.undo = Undo()

    def run(self, uri: str) -> Changes | Reason:
        """Inspect the staged file `uri`. An accepted image gets its changes, and its transformed bytes are on the disk;
        another image stays as it is, and the reason is returned. Raises only what is a fault of Douane."""
        try:
            return self._run(uri)
        except DouaneError as error:
            log.error("image %s cannot be inspected: %s", self._id, error)
            return reason_of(None, error)
        finally:
            if self._staged is not None:
                self._staged.close()

    @property
    def has_staged_file(self) -> bool:
        """True if the staged file could be opened."""
        return self._staged is not None

    def give_up(self, *, delete: bool) -> None:
        """The import has failed. With `delete`, delete the staged file, or its replacement. Raises OSError."""
        if self._attestations is not None:
            self._attestations.delete(self._id)
        if self._staged is not None and (delete or not self._staged.is_of_glance):
            self._staged.discard()

    def _run(self, uri: str) -> Changes | Reason:
        self._staged = staged = StagedFile(uri, self._id)
        settings = process_settings()
        backend = import_backend(settings)
        self._attestations = Attestations(settings.state) if settings.state is not None else None
        image = self._repo.get(self._id)
        # The plugins' properties of an earlier attempt are about bytes that may be gone soon.
        names = [name for name in _properties(image) if has_namespace(name, backend.plugins)]
        self.undo = Undo({}, dict.fromkeys(names))
        if self._method == "glance-direct" and not _is_complete(image, staged):
            log.error("image %s: %s bytes were staged, %d are there", self._id, image.size, staged.size)
            return _INCOMPLETE
        changes = self._attested(staged, backend, settings) or self._inspect(image, staged, backend, settings)
        if isinstance(changes, Reason):
            return changes
        if self._attestations is not None:
            self._attestations.delete(self._id)
        if image.virtual_size and changes.attributes.keys() == {"virtual_size"}:
            changes = replace(changes, attributes={})
        keep_bill(settings.bills, self._id, changes.inventory, backend.write_bill)
        keep_summary(settings.summaries, self._id, changes.summary)
        self._apply(image, backend, settings, changes)
        return changes

    def _attested(self, staged: StagedFile, backend: Backend, settings: Settings) -> Changes | None:
        """The filter's outcome, if it inspected these very bytes with the same plan when they were staged."""
        if self._attestations is None or settings.again or backend.transforms:
            return None
        attestation = self._attestations.find(self._id)
        if attestation is None or attestation.plan != backend.digest or attestation.size != staged.size:
            return None
        if backend.signs and attestation.summary is None:
            return None
        if settings.bills is not None and attestation.inventory is None:
            return None
        if not staged.has_tag(attestation.key, attestation.tag):
            log.warning("image %s: other bytes are staged than were inspected; they are inspected now", self._id)
            return None
        log.info("image %s was inspected when it was staged", self._id)
        properties = {
            name: value
            for name, value in attestation.properties.items()
            if settings.properties or not has_namespace(name, backend.plugins)
        }
        attributes = {"virtual_size": attestation.virtual_size} if attestation.virtual_size else {}
        inventory = attestation.inventory or NOT_LISTED
        return Changes(properties, attributes, attestation.digests, attestation.summary, inventory)

    def _inspect(self, image: Any, staged: StagedFile, backend: Backend, settings: Settings) -> Changes | Reason:
        with contextlib.ExitStack() as stack:
            result: ResultFile | None = None
            if backend.transforms:
                result = staged.new_result()
                stack.callback(result.discard)
            declared = DeclaredImage(
                name=image.name,
                disk_format=image.disk_format,
                container_format=image.container_format,
                properties=declared_properties(_properties(image), backend.plugins),
                owner=image.owner,
                roles=self._roles,
            )
            report = backend.inspect(staged.fd, declared, f"image {self._id}", result, self._sender, self._id)
            if report.outcome != "accepted":
                return self._not_accepted(report)
            if not staged.is_in_place():
                raise DouaneError(f"{staged.path} is another file than the one that was inspected")
            if not report.is_transformed:
                return _changes(report, self._id, settings, None)
            if result is None:
                raise DouaneError("the agent's plan has changed meanwhile: import the image again")
            staged.replace_with(result)
            return _changes(report, self._id, settings, staged.size)

    def _not_accepted(self, report: Report) -> Reason:
        reason = reason_of(report, None)
        if report.outcome == "refused":
            log.info("image %s: %s", self._id, reason.message)
        else:
            log.error("image %s could not be inspected: %s: %s", self._id, report.code, report.message)
        return reason

    def _apply(self, image: Any, backend: Backend, settings: Settings, changes: Changes) -> None:
        """Load and save the image once, as quickly as possible: an edit by the tenant in between would be lost.

        If Glance refuses properties (a quota, a protection), ever fewer are set: they do not decide over the image.
        """
        current = _properties(image)
        plugins = backend.plugins if settings.properties else frozenset()
        properties, unsettable = property_changes(current, changes.properties, plugins)
        for name in unsettable:
            log.error("image %s: %s is no property that an import can set; it is left out", self._id, name)
        key = settings.read_key()
        if key is not None:
            properties[PROOF] = self._proof(key, changed_properties(current, properties), plugins, changes.digests)
        self.undo = Undo(
            {name: getattr(image, name) for name in changes.attributes if name in ("disk_format", "container_format")},
            {
                name: None if has_namespace(name, backend.plugins) or name == PROOF else current.get(name)
                for name in properties
                if name not in OUTCOME_PROPERTIES
            },
        )
        self._note(self.undo)
        problem: Exception | None = None
        for candidate in fewer_changes(properties, plugins):
            try:
                if candidate or changes.attributes:
                    self._save(candidate, changes.attributes)
            except Exception as error:  # of a quota, a protected property, a database: the last try tells
                problem = problem or error
                if is_not_ours(error):
                    break
            else:
                if problem is not None:
                    names = ", ".join(omitted(properties, candidate))
                    log.error("image %s: properties cannot be set: %r; left out: %s", self._id, problem, names)
                return
        raise DouaneError(f"the outcome cannot be saved on image {self._id}: {problem!r}") from problem

    def _proof(
        self, key: bytes, properties: Mapping[str, str], plugins: Collection[str], digests: Mapping[str, str]
    ) -> str:
        assert self._staged is not None
        algorithm = internals.hashing_algorithm()
        digest = digests.get(algorithm) or self._staged.digest(algorithm)  # the agent takes none
        return make_proof(key, Subject(self._id, algorithm, digest, properties), plugins)

    def _save(self, properties: Texts, attributes: Mapping[str, Any]) -> None:
        with self._wrapper as action:
            for name, text in properties.items():
                if text is None:
                    action.pop_extra_property(name)
            action.set_image_extra_properties({name: text for name, text in properties.items() if text is not None})
            if attributes:
                action.set_image_attribute(**attributes)


def _changes(report: Report, image_id: str, settings: Settings, transformed_size: int | None) -> Changes:
    """The changes for an accepted image; `transformed_size` in bytes, None if no transform has changed the image."""
    properties = reported_properties(report, with_plugins=settings.properties)
    inventory = inventory_in(report, image_id)
    attributes: dict[str, Any]
    if transformed_size is None:
        attributes = {} if report.virtual_size is None else {"virtual_size": report.virtual_size}
        return Changes(properties, attributes, report.stored.digests(), report.summary, inventory)
    attributes = {"virtual_size": report.virtual_size, "size": transformed_size}
    formats = {"disk_format": report.disk_format, "container_format": report.container_format}
    attributes |= {name: value for name, value in formats.items() if value is not None}
    return Changes(properties, attributes, report.stored.digests(), report.summary, inventory)


def _is_complete(image: Any, staged: StagedFile) -> bool:
    """Glance records the size only when staging completed, yet imports partial data after a kill -9.

    Before 31, Glance records the Content-Length, which a chunked body does not have.
    """
    return image.size == staged.size or (not image.size and internals.is_before_31())


def _properties(image: Any) -> dict[str, str]:
    """The properties of Glance's image. Iterating over their mapping yields none (Glance 29 to 33,
    ``glance.domain.ExtraProperties``); copying it into a dict works."""
    return dict(image.extra_properties)
