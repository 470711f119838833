"""Clients that import images while processes of the service are killed, and look later at what became of each."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.driving import WrongOutcome

from .server import Answer

SETTLE_SECONDS = 120.0
"""How long an image may take to be usable again: leases last 20 seconds."""
KEPT = 10
"""Images of each client that live on beside further kills before they are looked at, and deleted."""
PAUSE_SECONDS = 0.2


class Service(Protocol):
    """What imports: a :class:`~bench.service.server.Server`, or a site of several."""

    @property
    def has_ended(self) -> bool:
        """True if it ended by itself."""

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request on a new connection."""

    def upload(self, image: str, door: str, data: Path) -> Answer:
        """PUT `door` (``file`` or ``stage``)."""

    def log(self) -> str:
        """The end of its log."""


@dataclass
class Results:
    """The results of all clients: counts, and a sentence for every fault."""

    imports: int = 0
    active: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    """How often a request was answered with this status; 0: the connection ended before the answer."""
    lost: list[str] = field(default_factory=list)
    """The client was told that the image is there, and it is not."""
    doubled: list[str] = field(default_factory=list)
    """Bytes in the store that belong to no image."""
    stuck: list[str] = field(default_factory=list)
    """Images that cannot be used again."""
    wrong: list[str] = field(default_factory=list)
    """Answers that do not say what to do: a 503 without Retry-After, or a 500 that is not about an upload. After bytes
    of an image, 503 would be wrong: some clients send the request again, with a file that is at its end."""

    remaining: list[str] = field(default_factory=list)
    """Active images that were not deleted."""

    @property
    def faults(self) -> list[str]:
        """All of them."""
        return self.lost + self.doubled + self.stuck + self.wrong


class Client(threading.Thread):
    """Imports one image after the other, as a client that repeats what failed."""

    def __init__(
        self,
        server: Service,
        image: Path,
        stop: threading.Event,
        results: Results,
        seed: int,
        *,
        stores: Sequence[str] = (),
        kept_share: float = 0.0,
    ) -> None:
        """`stores`: imports go into one or several of these. `kept_share`: so many of the active images are not
        deleted."""
        super().__init__(daemon=True)
        self._server = server
        self._image = image
        self._data = image.read_bytes()
        self._stop_event = stop
        self._results = results
        self._chance = random.Random(seed)
        self._stores = list(stores)
        self._kept_share = kept_share
        self._images: deque[tuple[str, bool]] = deque()
        """Ids, and whether the client was told that the image is active."""

    def run(self) -> None:
        """Import until the event, then look at what is left."""
        try:
            while not self._stop_event.is_set():
                self._import()
                if len(self._images) > KEPT:
                    self._look_at(*self._images.popleft())
            while self._images:
                self._look_at(*self._images.popleft())
        except WrongOutcome as error:
            self._results.wrong.append(str(error))

    def _import(self) -> None:
        server = self._server
        fields = b'{"name": "killed", "disk_format": "raw", "container_format": "bare"}'
        created = self._patiently(lambda: server.request("POST", "/v2/images", fields, _JSON))
        if created.status != 201:
            raise WrongOutcome(f"a new image is answered with {created.status} {created.body!r:.200}")
        image = created.json()["id"]
        self._results.imports += 1
        self._images.append((image, False))
        if self._chance.random() < 0.5:
            answer = self._once(lambda: server.upload(image, "file", self._image))
            is_told = answer is not None and answer.status == 204
        else:
            is_told = self._stage_and_import(image)
        self._images[-1] = (image, is_told)

    def _stage_and_import(self, image: str) -> bool:
        answer = self._once(lambda: self._server.upload(image, "stage", self._image))
        if answer is None or answer.status != 204:
            return False
        self._patiently(lambda: self._start_import(image))
        return self._settled(image) == "active"

    def _start_import(self, image: str) -> Answer:
        request: dict[str, object] = {"method": {"name": "glance-direct"}}
        if self._stores:
            request["stores"] = self._chance.sample(self._stores, self._chance.randint(1, len(self._stores)))
        body = json.dumps(request).encode()
        return self._server.request("POST", f"/v2/images/{image}/import", body, _JSON)

    def _look_at(self, image: str, is_told: bool) -> None:
        status = self._settled(image)
        if status == "uploading":  # it is staged, and its client never learned so: it can be imported
            self._patiently(lambda: self._start_import(image))
            status = self._settled(image)
        if status == "active":
            self._results.active += 1
            body = self._patiently(lambda: self._server.request("GET", f"/v2/images/{image}/file")).body
            if body != self._data:
                self._results.lost.append(f"{image} is active and has {len(body)} other bytes")
            if self._chance.random() < self._kept_share:
                self._results.remaining.append(image)
                return
        elif is_told:
            self._results.lost.append(f"{image} was said to be active, and is {status}")
        elif status != "queued":
            self._results.stuck.append(f"{image} stays {status} for {SETTLE_SECONDS:.0f} seconds")
        self._patiently(lambda: self._server.request("DELETE", f"/v2/images/{image}"))

    def _settled(self, image: str) -> str:
        """The status when nothing runs for the image: "uploading" if its bytes are staged, and not imported."""
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            document = self._patiently(lambda: self._server.request("GET", f"/v2/images/{image}")).json()
            status: str = document.get("status", "absent")
            is_staged = status == "uploading" and document.get("size") is not None
            if status not in ("uploading", "importing") or is_staged or time.monotonic() > end:
                return status
            time.sleep(PAUSE_SECONDS)

    def _patiently(self, request: Callable[[], Answer]) -> Answer:
        """The answer, after as many repetitions as it takes. Raises WrongOutcome if none comes."""
        end = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < end and not self._server.has_ended:
            answer = self._once(request)
            if answer is not None and answer.status < 500:
                return answer
            time.sleep(PAUSE_SECONDS)
        raise WrongOutcome(f"the service answers nobody:\n{self._server.log()}")

    def _once(self, request: Callable[[], Answer]) -> Answer | None:
        """The answer; None if the connection ended before it."""
        try:
            answer = request()
        except (OSError, http.client.HTTPException):
            self._results.answers[0] += 1
            return None
        self._results.answers[answer.status] += 1
        says_when = answer.status == 503 and answer.retry_after is not None
        is_of_upload = answer.status == 500 and any(words in answer.body for words in _OF_UPLOADS)
        if answer.status >= 500 and not says_when and not is_of_upload:
            self._results.wrong.append(f"answer {answer.status} {answer.body!r:.200}, Retry-After {answer.retry_after}")
        return answer


_JSON = {"Content-Type": "application/json"}
_OF_UPLOADS = (
    b"a part of this service ended",
    b"could not check or store",
    b"could not be checked or stored",
    b"the image could not be stored",
)
