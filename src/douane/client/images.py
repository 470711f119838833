"""The calls of the Image API that an upload needs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from douane.errors import UploadError

from .http import Answer, Line, number
from .patience import Patience
from .tokens import Access

JSON = {"Content-Type": "application/json"}
VERSION = {"Upload-Draft-Interop-Version": "8"}
"""Of resumable uploads: draft-ietf-httpbis-resumable-upload-12."""
_AGAIN = (408, 425, 429, 500, 502, 503, 504)

Body = bytes | Iterable[bytes] | None


class Images:
    """The image service. A context manager."""

    def __init__(self, access: Access, patience: Patience) -> None:
        self._access = access
        self._patience = patience
        access.headers()  # a token first: with it comes the URL
        self._line = Line(access.url(), access.ca_file)

    def send(
        self, method: str, path: str, headers: Mapping[str, str], body: Callable[[], Body] = lambda: None
    ) -> Answer:
        """One attempt, with another token if the first has expired. Raises LineBroken."""
        answer = self._line.request(method, path, {**headers, **self._access.headers()}, body())
        if answer.status == 401 and self._access.renew():
            answer = self._line.request(method, path, {**headers, **self._access.headers()}, body())
        if answer.status == 401:
            raise UploadError(f"the image service does not let you in: {answer.sentence()}", code="not-authorized")
        return answer

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """As many attempts as it takes, for a request that may be repeated. Raises UploadError."""
        while True:
            try:
                answer = self.send(method, path, headers or {}, lambda: body)
            except OSError as error:
                self._patience.wait(f"the image service cannot be reached ({error})")
                continue
            if answer.status not in _AGAIN:
                return answer
            self._patience.wait(f"the image service answers: {answer.sentence()}", answer.headers)

    def create(self, fields: Mapping[str, Any], headers: Mapping[str, str]) -> str:
        """Make an image; return its id, which is chosen here, so that a lost answer makes no second image."""
        image_id = str(uuid.uuid4())
        body = json.dumps({"id": image_id, **fields}).encode()
        answer = self.ask("POST", "/v2/images", {**JSON, **headers}, body)
        if answer.status == 409 and self.find(image_id) is not None:
            return image_id
        if answer.status != 201:
            raise UploadError(f"the image is not made: {answer.sentence()}", code="request-refused")
        return image_id

    def find(self, image_id: str) -> dict[str, Any] | None:
        """The document of an image, if there is such an image."""
        answer = self.ask("GET", f"/v2/images/{image_id}")
        document = answer.document()
        if answer.status == 404:
            return None
        if answer.status != 200 or not isinstance(document, dict):
            raise UploadError(f"the image {image_id} cannot be read: {answer.sentence()}", code="request-refused")
        if str(document.get("id")).lower() != image_id.lower():
            raise UploadError(f"the service answers with another image than {image_id}", code="request-refused")
        return document

    def image(self, image_id: str) -> dict[str, Any]:
        """The document of an image. Raises UploadError if there is none."""
        document = self.find(image_id)
        if document is None:
            raise UploadError(f"the service has no image {image_id}", code="request-refused")
        return document

    def page(self, path: str) -> dict[str, Any]:
        """A page of a list: ``images``, all of them objects, and ``next``, a path of the list if there are more. Raises
        UploadError."""
        answer = self.ask("GET", path)
        document = answer.document()
        images = document.get("images") if isinstance(document, dict) else None
        if answer.status != 200 or not isinstance(images, list) or not all(isinstance(each, dict) for each in images):
            raise UploadError(f"the images cannot be listed: {answer.sentence()}", code="request-refused")
        more = document.get("next")
        if more is not None and not (isinstance(more, str) and more.startswith("/v2/images?") and more != path):
            raise UploadError(f"the service says that its list goes on at {more!a:.200}", code="request-refused")
        return {"images": images, "next": more}

    def last_task(self, image_id: str) -> dict[str, Any]:
        """The last import task of an image; empty where the service shows none."""
        document = self.ask("GET", f"/v2/images/{image_id}/tasks").document()
        tasks = document.get("tasks") if isinstance(document, dict) else None
        return tasks[-1] if isinstance(tasks, list) and tasks and isinstance(tasks[-1], dict) else {}

    def request_import(self, image_id: str, store: str | None) -> None:
        """Request the import of the staged bytes. Raises UploadError."""
        body: dict[str, Any] = {"method": {"name": "glance-direct"}}
        if store is not None:
            body["stores"] = [store]
        path = f"/v2/images/{image_id}/import"
        while (answer := self.ask("POST", path, JSON, json.dumps(body).encode())).status == 409:
            # The bytes are still inspected; or an attempt before was heard, and its answer was lost.
            if self.image(image_id).get("status") != "uploading":
                return
            self._patience.wait(f"the image service answers: {answer.sentence()}", answer.headers)
        if answer.status != 202:
            raise UploadError(f"the import is refused: {answer.sentence()}", code="request-refused")

    def limits(self, path: str) -> dict[str, int] | None:
        """The limits of resumable uploads to this path; None if the service has none."""
        answer = self.ask("OPTIONS", path, VERSION)
        text = answer.headers.get("upload-limit")
        if text is None or answer.headers.get("upload-draft-interop-version", "8") != "8" or answer.status >= 300:
            return None
        pairs = (part.strip().partition("=") for part in text.split(","))
        limits = {name: number(value) for name, _, value in pairs}
        return {name: value for name, value in limits.items() if value is not None}

    def path_of(self, location: str, path: str) -> str:
        """The path of a `location` in an answer to a request of `path`. Raises UploadError for another server."""
        return self._line.path_of(location, path)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._line.close()

    def __enter__(self) -> Images:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
