"""What is a fault, and what may be repaired. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from douane.catalog.copies import ImageCopies, TaskPlaces
from douane.catalog.needs import can_run, stores_in
from douane.catalog.records import strongest_digest
from douane.catalog.states import READABLE
from douane.errors import StoreError
from douane.units import number_of

from .faults import Fault, Result

CLEAN, FAULTY, INCOMPLETE = 0, 1, 3
"""Exit codes of the command."""

STORE_CODES = frozenset({"store-another", "store-away", "store-unreadable", "store-busy", "store-io"})
"""Errors of the store itself. What they say of one image holds for all: it is not looked at further."""

_RESTORE = "restore the bytes from a backup, or delete the image and import it again"


class Look(NamedTuple):
    """What was seen of a copy in its store."""

    size: int | None = None
    """Bytes; None if the copy is not there, or cannot be read."""

    error: StoreError | None = None
    digest: str | None = None
    """The digest that :func:`digest_to_compare` names; None if the bytes were not read."""


def digest_to_compare(image: ImageCopies, store: str) -> str | None:
    """The name of the strongest digest that the catalog has of the copy."""
    return strongest_digest(image.digests_in(store))


def judge_copy(image: ImageCopies, store: str, look: Look) -> Fault | None:
    """The fault of a recorded copy."""
    if image.status not in READABLE or store not in image.stores:
        return None
    if look.error is not None and look.error.code == "not-found":
        return _missing(image, store)
    if look.error is not None:
        remedy = "mend the store and check again; if the bytes cannot be read then, " + _replacement(image, store)
        return _fault(image, store, f"the bytes cannot be read: {look.error}", remedy, code="bytes-unreadable")
    expected = image.size_in(store)
    if look.size != expected:
        relation = "short" if (look.size or 0) < expected else "long"
        message = f"the bytes are too {relation}: {look.size}, and the catalog has {expected}"
        return _fault(image, store, message, _replacement(image, store), code="bytes-size")
    name = digest_to_compare(image, store)
    if look.digest is not None and name is not None and look.digest != image.digests_in(store)[name]:
        message = f"the bytes changed in the store: their {name} is {look.digest:.16}…, and not that of the catalog"
        return _fault(image, store, message, _replacement(image, store), code="bytes-digest")
    return None


def judge_without_copies(image: ImageCopies, *, lies_elsewhere: bool) -> Fault | None:
    """The fault of an image that no store holds. `lies_elsewhere`: the operator allowed a foreign location."""
    if image.status not in READABLE or image.stores or lies_elsewhere:
        return None
    return Fault(
        code="no-copies",
        image=image.id,
        message=f"the image is {image.status}, and no store is recorded to have its bytes",
        remedy="delete the image, and import it again",
    )


def judge_stored(image_id: str, image: ImageCopies | None, store: str) -> Fault | None:
    """The fault of bytes that lie in a store as the image `image_id`."""
    if image is None:
        return Fault(
            code="image-unknown",
            store=store,
            image=image_id,
            message="the store has an image that the catalog does not know",
            remedy="is this the store of another catalog, or the catalog an older backup? If not, delete the bytes",
        )
    if image.status == "deleted":
        return Fault(
            code="copy-of-deleted",
            store=store,
            image=image_id,
            message="the image is deleted, and the store still has its bytes",
            remedy="--repair deletes them; a running service does so by itself",
            repair="delete-copy",
        )
    if store in image.stores or image.task_id is not None or image.status not in READABLE:
        return None  # recorded; or an import is about to record it, or will replace it
    return Fault(
        code="copy-unrecorded",
        store=store,
        image=image_id,
        message="the store has the image, and the catalog does not say so",
        remedy="copy the image into the store again (the import method copy-image), which replaces these bytes",
    )


def judge_staged(key: str, used: Collection[str], store: str, *, is_abandoned: bool) -> Fault | None:
    """The fault of staged bytes."""
    if key in used or not is_abandoned:
        return None
    return Fault(
        code="staged-unused",
        store=store,
        key=key,
        message="staged bytes that belong to no import",
        remedy="--repair deletes them; a running service does so by itself",
        repair="delete-staged",
    )


def staged_elsewhere(key: str, store: str) -> Fault:
    """The fault of staged bytes of another catalog."""
    return Fault(
        code="staged-elsewhere",
        store=store,
        key=key,
        message="staged bytes of another catalog",
        remedy="name the same [serve] database in every service on this store; or if that catalog is gone for good, "
        "delete the bytes by hand",
    )


def judge_store(store: str, error: StoreError) -> Fault:
    """The fault of a store that cannot be looked at."""
    return Fault(
        code=error.code,
        store=store,
        message=f"the store cannot be looked at: {error}",
        remedy="mend the store, and check again",
    )


def judge_unconfigured(store: str, copies: int) -> Fault:
    """The fault of a store that holds images and has no configuration."""
    return Fault(
        code="store-unconfigured",
        store=store,
        message=f"the catalog records {number_of(copies, 'copy', 'copies')} in this store, which the configuration "
        "does not have",
        remedy="name the store in [serve.stores], or import these images again",
    )


def judge_identity(store: str, recorded: str, actual: str | None) -> Fault | None:
    """The fault of a store that is another one than the catalog knows by this id."""
    if actual == recorded:
        return None
    return Fault(
        code="store-replaced",
        store=store,
        message=f"the store is not the one that the catalog knows by this name ({actual or 'it has no identity'})",
        remedy="mount or configure the right store; nothing in this one is checked or repaired",
    )


def judge_task(
    task: TaskPlaces, configured: Collection[str], reached: Collection[Collection[str] | None] = ()
) -> Fault | None:
    """The fault of a task that nobody can finish: its stores are not configured, or no worker reaches them.

    `reached` are the stores of each worker that runs; None: all. Empty: no service runs, which is no fault.
    """
    if reached and not any(can_run(task.needs, stores) for stores in reached):
        return Fault(
            code="task-stuck",
            image=task.image_id,
            task=task.id,
            message="no worker that takes imports reaches the stores that the task needs: "
            + ", ".join(stores_in(task.needs)),
            remedy="start or uncordon a worker that reaches them (`douane workers` lists all), or cancel the import",
        )
    for stores in (task.sources, task.targets):
        if stores and not set(stores) & set(configured):
            return Fault(
                code="task-stuck",
                image=task.image_id,
                task=task.id,
                message=f"the import task waits for stores that are not configured: {', '.join(stores)}",
                remedy="name the stores in [serve.stores], or cancel the import",
            )
    return None


def may_forget(image: ImageCopies, store: str, sizes: Mapping[str, int | None], damaged: Collection[str]) -> bool:
    """True if the record of a missing copy can be removed without a loss: another store has the image's own bytes.

    `sizes` are those of the other copies, `damaged` the stores whose copy has another fault.
    """
    if image.status not in READABLE or image.task_id is not None or store not in image.stores:
        return False
    return any(
        other != store and facts is None and other not in damaged and sizes.get(other) == image.size
        for other, facts in image.stores.items()
    )


def exit_code(result: Result) -> int:
    """That of the command."""
    if not result.is_complete:
        return INCOMPLETE
    return FAULTY if result.open_faults else CLEAN


def _fault(image: ImageCopies, store: str, message: str, remedy: str, *, code: str) -> Fault:
    return Fault(code=code, store=store, image=image.id, message=message, remedy=remedy)


def _missing(image: ImageCopies, store: str) -> Fault:
    can_forget = _has_other_copy(image, store)
    forgetting = "--repair removes the record if another copy is complete; then copy the image into the store again"
    return Fault(
        code="bytes-missing",
        store=store,
        image=image.id,
        message="the store does not have the bytes",
        remedy=forgetting if can_forget else _RESTORE,
        repair="forget-copy" if can_forget else None,
    )


def _has_other_copy(image: ImageCopies, store: str) -> bool:
    return any(other != store and facts is None for other, facts in image.stores.items())


def _replacement(image: ImageCopies, store: str) -> str:
    if not _has_other_copy(image, store):
        return _RESTORE
    return f"DELETE /v2/stores/{store}/{image.id}, then copy the image into the store again"
