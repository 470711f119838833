"""What became of an image whose bytes were sent: the verdict of the service, and whether it has the very bytes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from douane.errors import UploadError

from .http import Answer
from .images import Images

POLL_SECONDS = 0.5
_NOT_LET_IN = ("refused", "undecided", "cancelled")
_BUSY = ("importing", "uploading", "saving")


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an upload."""

    outcome: str
    """"accepted", "refused" or "undecided"."""
    code: str | None
    message: str | None
    image: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return {"accepted": 0, "refused": 1}.get(self.outcome, 3)


def is_staged(answer: Answer | None, image: Mapping[str, Any]) -> bool:
    """True if the bytes lie in the service, and their import can be requested."""
    return answer.status < 300 if answer is not None else image.get("status") == "uploading"


def wait_for_end(images: Images, image_id: str, seconds: float) -> Ended:
    """Wait until nothing works on the image. Raises UploadError if nothing changes for `seconds`."""
    seen: set[int] = set()  # a state that comes again is no progress
    changed_at = time.monotonic()
    while True:
        image = images.image(image_id)
        if image.get("status") not in _BUSY and not image.get("os_glance_importing_to_stores"):
            return end_of(images, image)
        task = images.last_task(image_id)
        fields = (image.get("status"), task.get("status"), task.get("updated_at"), task.get("progress"))
        state = hash(str(fields))
        if state not in seen:
            seen.add(state)
            changed_at = time.monotonic()
        elif time.monotonic() - changed_at > seconds:
            raise UploadError(
                f"the import of the image {image_id} has not gone forward for {seconds:.0f} seconds",
                code="service-away",
            )
        time.sleep(POLL_SECONDS)


def end_of(images: Images, image: dict[str, Any], answer: Answer | None = None) -> Ended:
    """What the image says of its last attempt, or the answer to the upload."""
    if image.get("status") in ("active", "deactivated"):
        return Ended(outcome="accepted", code=None, message=None, image=image)
    outcome = image.get("douane_outcome")
    if outcome not in _NOT_LET_IN:  # elsewhere than in Douane anybody may set such a property
        outcome = "refused" if answer is not None and answer.status == 422 else "undecided"
    code, message = image.get("douane_code"), image.get("douane_reason")
    if answer is not None and answer.status >= 300:
        code, message = answer.headers.get("x-douane-code") or code, answer.sentence()
    if message is None:  # Glance says it in the task, if anywhere
        message = images.last_task(str(image.get("id"))).get("message") or "the service did not let the image in"
    return Ended(outcome=outcome, code=str(code or "upload-failed"), message=str(message), image=image)


def compare_sums(sums: Mapping[str, str], image: Mapping[str, Any], task: Mapping[str, Any]) -> list[str]:
    """The algorithms by which the service has the very bytes of the file; empty if it shows no digest.

    A transform may have made the image something else; then what it was made of counts, which the task says. Raises
    UploadError ``sums-differ``.
    """
    theirs = _received(task) or _image_digests(image)
    common = [name for name in sums if theirs.get(name)]
    for name in common:
        if theirs[name] != sums[name]:
            raise UploadError(
                f"the image {image.get('id')} has other bytes than the file: its {name} is "
                f"{theirs[name]!s:.140}, and that of the file is {sums[name]}; delete the image, and upload the file "
                "again",
                code="sums-differ",
            )
    return common


def _received(task: Mapping[str, Any]) -> dict[str, Any]:
    report = task.get("result")
    received = report.get("received") if isinstance(report, dict) else None
    return dict(received) if isinstance(received, dict) and received.get("complete") else {}


def _image_digests(image: Mapping[str, Any]) -> dict[str, Any]:
    digests = {"md5": image.get("checksum")}
    if isinstance(image.get("os_hash_algo"), str):
        digests[str(image["os_hash_algo"])] = image.get("os_hash_value")
    return digests
