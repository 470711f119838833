"""Check the proofs of images in Glance's database, as an administrator of this host."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from douane.glance import internals

from .proof import Result, Subject, Verification, verify

_PAGE = 100


def verify_images(
    images: Iterable[str], keys: Collection[bytes], plugins: Collection[str]
) -> Iterator[tuple[str, Verification]]:
    """Yield each image's id and result; without `images`, those of all active images. Raises what Glance raises.

    `plugins` are those of the present plan.
    """
    repo = internals.image_repo()
    for image_id, image in _named(repo, images) if images else _active(repo):
        yield image_id, _verify(image, keys, plugins)


def _verify(image: Any, keys: Collection[bytes], plugins: Collection[str]) -> Verification:
    if image is None:
        return Verification(Result.UNPROVEN, "there is no such image")
    properties = dict(image.extra_properties)
    subject = Subject(str(image.image_id), image.os_hash_algo or "", image.os_hash_value or "", properties)
    result = verify(keys, subject, plugins)
    if result.result is Result.PROVEN and image.status != "active":
        return Verification(Result.UNPROVEN, f"the image is {image.status}, and has no data yet")
    return result


def _named(repo: Any, images: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for image_id in images:
        yield image_id, internals.find_image(repo, image_id)


def _active(repo: Any) -> Iterator[tuple[str, Any]]:
    marker = None
    while page := repo.list(marker=marker, limit=_PAGE, filters={"status": "active", "deleted": False}):
        for image in page:
            yield str(image.image_id), image
        marker = page[-1].image_id
