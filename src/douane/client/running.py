"""One run of `douane upload`: make the image, send the file, wait for the verdict, compare the sums."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from douane.errors import DouaneError, UploadError

from .images import Images
from .patience import Patience
from .tokens import Access
from .uploading import SentFile, ShowProgress, Target, send_file
from .verdict import Ended, compare_sums, end_of, is_staged, wait_for_end


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be uploaded, and where to."""

    file: str
    image_id: str | None
    """None: a new image of these `fields`."""
    fields: dict[str, Any]
    store: str | None
    uses_import: bool
    """Stage the bytes, and request their import, instead of uploading them directly."""
    url: str | None
    patience: float
    """Seconds without progress after which the upload is given up."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the upload."""

    end: Ended
    sums: dict[str, str]
    compared: list[str]
    """The algorithms of the sums that were compared with those of the image; all of them were equal."""


def upload_file(
    order: Order, environment: Mapping[str, str], say: Callable[[str], None], progress: ShowProgress
) -> Result:
    """Upload the file of `order`. Raises OSError if it cannot be opened; PlanError, UploadError."""
    patience = Patience(order.patience, say)
    with contextlib.closing(SentFile.open(order.file, progress)) as file:
        access = Access(order.url, environment, patience)
        with Images(access, patience) as images:
            store = {} if order.store is None else {"X-Image-Meta-Store": order.store}
            image_id = order.image_id or images.create(order.fields, store)
            say(f"image {image_id}")
            try:
                return _send(images, order, image_id, file, patience, store)
            except DouaneError as error:
                if error.code in ("request-refused", "not-authorized"):
                    raise
                error.add_note(f"`douane upload --image {image_id} {order.file}` goes on with this image")
                raise
            except KeyboardInterrupt:
                say(f"`douane upload --image {image_id} {order.file}` goes on with this image")
                raise


def _send(
    images: Images, order: Order, image_id: str, file: SentFile, patience: Patience, store: dict[str, str]
) -> Result:
    target = Target(image_id=image_id, door="stage" if order.uses_import else "file", headers=store)
    answer = send_file(images, target, file, patience)
    if answer is not None and answer.status >= 500:  # the image may know more than this answer
        answer = None
    file.digest_rest()
    sums = dict(file.sums.finish())
    patience.reset()
    if order.uses_import and is_staged(answer, images.image(image_id)):
        images.request_import(image_id, order.store)
        answer = None
    if answer is not None and answer.status >= 300:
        end = end_of(images, images.image(image_id), answer)
        if end.outcome != "accepted":
            return Result(end=end, sums=sums, compared=[])
    end = wait_for_end(images, image_id, order.patience)
    if end.outcome != "accepted":
        return Result(end=end, sums=sums, compared=[])
    if file.size is not None and file.size != file.sums.position:
        raise UploadError(f"{file.name} has changed while it was sent")
    compared = compare_sums(sums, end.image, images.last_task(image_id))
    if not compared and answer is not None and answer.status >= 300:  # the bytes that it has may be any
        raise UploadError(f"the upload is refused: {answer.sentence()}", code="request-refused")
    return Result(end=end, sums=sums, compared=compared)
