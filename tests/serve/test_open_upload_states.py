"""Random parts, broken lines, wrong offsets and kills: an upload becomes the image that was sent, or nothing."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path
from typing import ClassVar

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from support.judged import settled, write_config
from support.open_uploads import VERSION, append, begin_part, opened
from support.processes import SECONDS
from support.serve import Serve, read_to_end
from support.sizes import ALL
from support.waiting import until

pytestmark = pytest.mark.timeout(1800)

DATA = random.Random(16).randbytes(600_000)
DOOR = "douane.api.process.door"
EXAMPLES = 60 if ALL else 8


class Service:
    """A service whose processes can be killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._config = write_config(folder)
        self.serve = Serve(folder / "home", self._config)

    def kill_door(self) -> None:
        """kill -9 of the door, which the service starts again."""
        self.serve.kill(DOOR)
        until("the door answers again", self._answers)

    def kill_all(self) -> None:
        """kill -9 of every process; then start the service again."""
        for process in [psutil.Process(self.serve.process.pid), *self.serve.processes()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.serve.process.wait(SECONDS)
        self.serve.client.close()
        self.serve = Serve(self._folder / "home", self._config)

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.serve.client.get("/healthcheck").status_code == 200
        return False


class Upload(RuleBasedStateMachine):
    """One upload. `acknowledged` is the greatest offset that the service ever said."""

    service: ClassVar[Service]

    @initialize(door=st.sampled_from(["file", "stage"]), size=st.integers(1, len(DATA)), announces=st.booleans())
    def begin(self, door: str, size: int, announces: bool) -> None:
        self.door = door
        self.data = DATA[:size]
        self.image_id = self.serve.create()
        self.path = opened(self.serve, self.image_id, door, length=size if announces else None)
        self.acknowledged = 0
        self.is_over = False

    @property
    def serve(self) -> Serve:
        return self.service.serve

    def offset(self) -> int:
        """What the service says, which never goes back."""
        response = until("an offset comes", self._look)
        offset = int(response.headers["upload-offset"])
        assert self.acknowledged <= offset <= len(self.data)
        assert response.headers["upload-complete"] == f"?{int(self.is_over)}"
        self.acknowledged = offset
        return offset

    def _look(self) -> httpx.Response | None:
        with contextlib.suppress(httpx.TransportError):
            response = self.serve.client.head(self.path, headers=VERSION)
            return response if response.status_code == 204 else None
        return None

    @precondition(lambda self: not self.is_over)
    @rule(share=st.floats(0, 1), chunked=st.booleans())
    def append_part(self, share: float, chunked: bool) -> None:
        start = self.offset()
        stop = start + int(share * (len(self.data) - start))
        part = self.data[start:stop]
        response = append(self.serve, self.path, iter([part]) if chunked and part else part, start)
        assert (response.status_code, response.headers["upload-offset"]) == (204, str(stop))
        self.acknowledged = stop

    @precondition(lambda self: not self.is_over)
    @rule(share=st.floats(0, 1), announced=st.floats(0, 1), asks_at_once=st.booleans(), last=st.booleans())
    def break_a_line(self, share: float, announced: float, asks_at_once: bool, last: bool) -> None:
        start = self.offset()
        rest = len(self.data) - start
        size = rest if last else max(1, int(announced * rest))
        sent = min(int(share * size), size - 1)
        if size == 0 or start + size > len(self.data):
            return
        with begin_part(self.serve, self.path, start, size, self.data[start : start + sent], last=last) as line:
            if not asks_at_once:
                line.shutdown(socket.SHUT_WR)
                read_to_end(line)
                assert self.offset() == start + sent
            else:
                assert start <= self.offset() <= start + sent

    @precondition(lambda self: not self.is_over)
    @rule(distance=st.integers(-len(DATA), len(DATA)).filter(bool))
    def append_at_another_offset(self, distance: int) -> None:
        offset = self.offset()
        if offset + distance < 0:
            return
        response = append(self.serve, self.path, b"wrong", offset + distance)
        assert (response.status_code, response.headers["upload-offset"]) == (409, str(offset))

    @rule(how=st.sampled_from(["door", "all"]), share=st.floats(0, 1))
    def kill_in_the_middle(self, how: str, share: float) -> None:
        start = self.offset()
        part = self.data[start : start + int(share * (len(self.data) - start))]
        line = None
        if not self.is_over and part:
            line = begin_part(self.serve, self.path, start, len(part) + 1, part, last=False)
        with contextlib.closing(line or socket.socket()):
            self.service.kill_door() if how == "door" else self.service.kill_all()
        self.offset()

    @precondition(lambda self: not self.is_over)
    @rule(breaks=st.booleans())
    def complete(self, breaks: bool) -> None:
        start = self.offset()
        rest = self.data[start:]
        if breaks and rest:  # the answer is lost
            begin_part(self.serve, self.path, start, len(rest), rest, awaits_turn=True).close()
            self.is_over = until("an offset comes", self._look).headers["upload-complete"] == "?1"
            if not self.is_over:
                return
        else:
            response = append(self.serve, self.path, rest, start, last=True)
            assert (response.status_code, response.headers["upload-complete"]) == (204, "?1"), response.text
        self.is_over = True
        self.acknowledged = len(self.data)

    @precondition(lambda self: self.is_over)
    @rule()
    def ask_for_the_lost_answer(self) -> None:
        response = append(self.serve, self.path, b"", len(self.data), last=True)
        assert (response.status_code, response.headers["upload-complete"]) == (204, "?1"), response.text

    @invariant()
    def nothing_is_active_before_its_last_byte(self) -> None:
        if hasattr(self, "image_id") and not self.is_over:
            assert self.serve.image(self.image_id)["status"] != "active"

    def teardown(self) -> None:
        if not hasattr(self, "image_id"):
            return
        if self.is_over:
            if self.door == "stage":
                response = append(self.serve, self.path, b"", len(self.data), last=True)
                assert response.status_code == 204, response.text
                body = {"method": {"name": "glance-direct"}}
                assert self.serve.client.post(f"/v2/images/{self.image_id}/import", json=body).status_code == 202
            assert settled(self.serve, self.image_id)["status"] == "active"
            assert self.serve.client.get(f"/v2/images/{self.image_id}/file").content == self.data
        assert self.serve.client.delete(f"/v2/images/{self.image_id}").status_code == 204
        staging = self.serve.home.parent / "store-a" / "staging"
        until("no bytes are staged", lambda: not list(staging.iterdir()))


def test_an_upload_is_what_was_sent_or_nothing(tmp_path: Path) -> None:
    Upload.service = Service(tmp_path)
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    try:
        run_state_machine_as_test(
            Upload,
            settings=settings(
                max_examples=EXAMPLES, stateful_step_count=10, deadline=None, suppress_health_check=checks
            ),
        )
    finally:
        assert "Traceback" not in Upload.service.serve.log.read_text()
        Upload.service.serve.stop()
