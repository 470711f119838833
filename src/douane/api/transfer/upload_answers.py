"""The answer to an upload whose run has ended."""

from __future__ import annotations

from typing import Literal

from douane.api.errors import BROKEN_CODES, STATUS_OF_CODE, UNAVAILABLE_CODES, HttpError, http_error
from douane.errors import DouaneError
from douane.imports.inline import Done

UploadMethod = Literal["glance-direct", "upload"]

REFUSED_UPLOAD = 422
REFUSED_STAGE = 400


def require_accepted(end: Done, method: UploadMethod) -> None:
    """Raise the HttpError that says why the image was not let in.

    A staged image that was refused is not an error yet, unless the operator wants so: its import will fail. An image
    that could not be judged is 500 and never 503: keystoneauth repeats a request after 503, when the file that it sends
    is at its end.
    """
    if end.outcome == "accepted" or (method == "glance-direct" and end.image_status == "uploading"):
        return
    code = end.code or end.outcome
    message = end.message or "The image was not let in."
    if end.outcome == "refused":
        raise HttpError(REFUSED_STAGE if method == "glance-direct" else REFUSED_UPLOAD, message, code=code)
    if end.outcome == "cancelled":
        if code in UNAVAILABLE_CODES | BROKEN_CODES:
            raise HttpError(500, message, code=code, detail=end.detail)
        raise HttpError(410 if code == "image-deleted" else 409, message, code=code, detail=end.detail)
    if code in STATUS_OF_CODE:
        raise HttpError(STATUS_OF_CODE[code], message, code=code, detail=end.detail)
    raise HttpError(500, message, code=code, detail=end.detail)


def after_body(error: DouaneError | HttpError, received: int) -> DouaneError | HttpError:
    """The error to raise instead of `error` when `received` bytes of a body were read: 503 becomes 500, see above.

    The catalog may know more than the door, which could not ask it: the image need not be queued again yet.
    """
    answer = error if isinstance(error, HttpError) else http_error(error)
    if answer.status != 503 or not received:
        return error
    message = (
        "The image could not be checked or stored at the moment. Look at its status, and upload it again when it is "
        "'queued'."
    )
    return HttpError(500, message, code=error.code or "undecided", detail=answer.detail or answer.message)
