"""The filter and imports: what is let through, what is not, and what happens if an image got in unchecked."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from like_glance import ID, PATH, Answered, LikeGlance, Pieces, Script, ScriptedGate, request

from douane.engine import PlanError
from douane.glance import plugin_calls as ran
from douane.glance.filter import Filter
from douane.glance.guard import import_guard as guard
from douane.glance.guard.import_guard import ImportGuard
from douane.glance.guard.watcher import Watcher
from douane.glance.import_plugin import get_flow
from douane.glance.settings import read

IMPORT = f"{PATH}/import"
DIRECT = {"method": {"name": "glance-direct"}, "stores": ["fast"]}
COPY = {"method": {"name": "copy-image"}}


class Importing(LikeGlance):
    """Begins imports as Glance does, and shows the image `shown` times as it is before it is `then`."""

    def __init__(self, then: str = "queued", shown: int = 2, **more: Any) -> None:
        super().__init__(**more)
        self.begun: list[bytes] = []
        self.status = "202 Accepted"
        self.during: Callable[[], None] = lambda: None
        """What happens while an import is begun."""
        self.told = threading.Event()
        """Set when something is set on the image."""
        self.looked_at = threading.Event()
        """Set when the image was shown as it is in the end."""
        self._then, self._left = then, shown

    def _answer(self, environ: dict[str, Any], method: str, path: str) -> tuple[str, bytes]:
        if path == IMPORT and method == "POST":
            self.begun.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            if self.image is not None:
                self.image |= {"status": "uploading", "os_glance_import_task": "a task"}
            self.during()
            return self.status, b""
        if path == PATH and method == "GET" and self.begun and self.image is not None:
            self._left -= 1
            if self._left < 0:
                self.image["status"] = self._then
                self.image.pop("os_glance_import_task", None)
        answer = super()._answer(environ, method, path)
        if path == PATH and method == "PATCH":
            self.told.set()
        elif path == PATH and self._left < 0:
            self.looked_at.set()
        return answer


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Says what is wrong with the import plugin in this Glance; there is none here to be asked."""

    def say(what: str | None) -> None:
        monkeypatch.setattr(guard, "why_not_run", lambda: what)

    say(None)
    return say


def guarded(app: Any, watcher: Watcher | None = None) -> Filter:
    watcher = watcher or Watcher(first=0.01, longest=0.02)
    return Filter(app, ScriptedGate(Script()), None, properties=True, guard=ImportGuard(watcher))


def post(
    app: Callable[..., Iterable[bytes]], body: Any, path: str = IMPORT, method: str = "POST", **more: Any
) -> Answered:
    data = body if isinstance(body, bytes | Pieces) else json.dumps(body).encode()
    return request(app, data, method, path, **{"CONTENT_TYPE": "application/json", **more})


def test_an_import_is_let_through_as_it_is(wrong: Callable[[str | None], None]) -> None:
    app = Importing()
    assert post(guarded(app), DIRECT).code == 202
    assert [json.loads(each) for each in app.begun] == [DIRECT]


def test_a_chunked_body_arrives_whole(wrong: Callable[[str | None], None]) -> None:
    app, body = Importing(), json.dumps(DIRECT).encode()
    pieces = Pieces([body[:5], body[5:6], body[6:]])
    assert post(guarded(app), pieces, HTTP_TRANSFER_ENCODING="chunked").code == 202
    assert app.begun == [body]


def test_an_import_is_refused_if_the_plugin_would_not_run(
    wrong: Callable[[str | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    wrong("image_import_plugins names nothing: write it")
    app = Importing()
    answered = post(guarded(app), DIRECT)
    assert (answered.code, answered.headers["X-Douane-Code"]) == (503, "import-not-guarded")
    assert "Imports are closed here until the operator" in answered.body
    assert "write it" not in answered.body  # it is for the operator
    assert (app.begun, app.requests) == ([], [])
    (told,) = (each for each in caplog.records if each.levelno == logging.CRITICAL)
    assert "image_import_plugins names nothing: write it" in told.getMessage()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post"])
@pytest.mark.parametrize("path", [IMPORT, f"{PATH}/import/", f"//v2//images/{ID}/import", f"/v2.17/images/{ID}/import"])
def test_no_way_of_writing_it_gets_around_the_guard(
    wrong: Callable[[str | None], None], method: str, path: str
) -> None:
    wrong("no plugin")
    app = Importing()
    assert post(guarded(app), DIRECT, path, method).code == 503
    assert not app.requests


def test_nor_does_a_method_that_is_overridden(wrong: Callable[[str | None], None]) -> None:
    app = Importing()
    assert request(guarded(app), b"", "GET", IMPORT, query="_method=POST").code == 400
    assert not app.requests


def test_what_is_not_understood_is_guarded_too(wrong: Callable[[str | None], None]) -> None:
    wrong("no plugin")
    for body in (b"", b"{", b"[]", b'{"method": "copy-image"}', b"\xff", b"[" * 50_000):
        assert post(guarded(Importing()), body).code == 503, body


def test_a_copy_of_what_is_in_needs_no_plugin(wrong: Callable[[str | None], None]) -> None:
    wrong("no plugin")
    app = Importing()
    assert post(guarded(app), COPY).code == 202
    assert len(app.begun) == 1


def test_an_endless_body_is_not_read_to_its_end(wrong: Callable[[str | None], None]) -> None:
    app = Importing()
    assert post(guarded(app), Pieces(b"x" * 1000 for _ in range(10**9)), HTTP_TRANSFER_ENCODING="chunked").code == 400
    assert post(guarded(app), b"{}", CONTENT_LENGTH=str(10**12)).code == 400
    assert not app.begun


def test_a_body_that_is_cut_short_does_not_reach_glance(wrong: Callable[[str | None], None]) -> None:
    app = Importing()
    assert post(guarded(app), b'{"method":', CONTENT_LENGTH="50").code == 400
    assert not app.begun


def test_glances_own_answer_is_handed_on(wrong: Callable[[str | None], None]) -> None:
    app = Importing()
    app.status = "409 Conflict"
    assert post(guarded(app), DIRECT).code == 409


def test_reading_goes_past_the_guard(wrong: Callable[[str | None], None]) -> None:
    wrong("no plugin")
    app = Importing()
    assert request(guarded(app), b"", "GET", IMPORT).code == 404
    assert app.requests == [("GET", IMPORT)]


def test_where_glance_cannot_be_asked_nothing_is_let_through() -> None:
    """In this process there is no Glance at all."""
    app = Importing()
    assert post(guarded(app), DIRECT).code == 503
    assert not app.begun


def test_a_site_with_the_filter_alone_can_do_without() -> None:
    app = Importing()
    unguarded = Filter(app, ScriptedGate(Script()), None, properties=True)
    assert post(unguarded, DIRECT).code == 202


def test_the_setting() -> None:
    plan = {"config": "plan.toml"}
    assert read(plan, {}).imports
    assert read({**plan, "imports": "guarded"}, {"DOUANE_IMPORTS": "unguarded"}).imports
    assert not read({**plan, "imports": "unguarded"}, {}).imports
    with pytest.raises(PlanError, match="guarded or unguarded"):
        read({**plan, "imports": "no"}, {})


# ---- an image that got in unchecked


def test_an_import_that_the_plugin_did_not_run_for_is_made_visible(
    wrong: Callable[[str | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    app = Importing("active")
    assert post(guarded(app), DIRECT).code == 202
    assert app.told.wait(30)
    assert app.image is not None
    assert app.image["douane_outcome"] == "unchecked"
    assert app.image["douane_code"] == "import-not-checked"
    assert "without being checked" in app.image["douane_reason"]
    (told,) = (each for each in caplog.records if each.levelno == logging.CRITICAL)
    assert f"'{ID}' was IMPORTED WITHOUT BEING CHECKED" in told.getMessage()


def test_of_an_import_that_the_plugin_runs_for_glance_is_asked_nothing(wrong: Callable[[str | None], None]) -> None:
    app, watcher = Importing("active"), Watcher(first=0.01, longest=0.02)

    def call_plugin() -> None:
        with pytest.raises(AssertionError):  # it is no Glance that calls it; but called it is
            get_flow(image_id=ID)

    app.during = call_plugin
    assert post(guarded(app, watcher), DIRECT).code == 202
    ended(watcher)
    assert app.requests == [("POST", IMPORT)]


def test_a_call_for_an_import_before_does_not_count(wrong: Callable[[str | None], None]) -> None:
    ran.mark(ID)
    app = Importing("active")
    post(guarded(app), DIRECT)
    assert app.told.wait(30)


def test_a_call_for_another_image_does_not_count(wrong: Callable[[str | None], None]) -> None:
    app = Importing("active")
    app.during = lambda: ran.mark("another")
    post(guarded(app), DIRECT)
    assert app.told.wait(30)


@pytest.mark.parametrize("then", ["queued", "uploading"])
def test_an_import_that_failed_has_let_nothing_in(wrong: Callable[[str | None], None], then: str) -> None:
    app, watcher = Importing(then), Watcher(first=0.01, longest=0.02)
    post(guarded(app, watcher), DIRECT)
    ended(watcher)
    assert app.looked_at.is_set()
    assert not app.patches


def test_an_image_that_is_deleted_is_not_looked_at_again(wrong: Callable[[str | None], None]) -> None:
    app, watcher = Importing("importing"), Watcher(first=0.01, longest=0.02)
    app.during = lambda: setattr(app, "image", None)
    post(guarded(app, watcher), DIRECT)
    ended(watcher)
    assert app.requests == [("POST", IMPORT), ("GET", PATH)]


@pytest.mark.parametrize(("body", "status"), [(COPY, "202 Accepted"), (DIRECT, "409 Conflict")])
def test_what_is_no_import_of_new_bytes_is_not_watched(
    wrong: Callable[[str | None], None], body: dict[str, Any], status: str
) -> None:
    app, watcher = Importing("active"), Watcher(first=0.01, longest=0.02)
    app.status = status
    post(guarded(app, watcher), body)
    ended(watcher)
    assert app.requests == [("POST", IMPORT)]


def test_a_glance_that_fails_now_and_then_is_asked_again(wrong: Callable[[str | None], None]) -> None:
    app = Importing("active")
    failures = iter([OSError("the database is away"), RuntimeError("again")])

    def flaky(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET" and (error := next(failures, None)) is not None:
            raise error
        return app(environ, start_response)

    post(guarded(flaky), DIRECT)
    assert app.told.wait(30)


def test_of_too_many_the_oldest_is_let_go(
    wrong: Callable[[str | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher(most=2, first=1000.0)
    app = guarded(Importing(), watcher)
    for _ in range(3):
        assert post(app, DIRECT).code == 202
    assert len(watcher._watched) == 2
    assert "too many are imported at a time" in caplog.text


def test_calls_are_not_kept_for_ever() -> None:
    before = ran.number()
    for number in range(5000):
        ran.mark(f"image {number}")
    assert len(ran._calls) <= 4096
    assert ran.since(before, "image 4999")
    assert not ran.since(before, "image 0")


def ended(watcher: Watcher) -> None:
    """Wait until it has nothing to watch."""
    thread = watcher._thread
    if thread is not None:
        thread.join(30)
        assert not thread.is_alive()
    assert not watcher._watched
