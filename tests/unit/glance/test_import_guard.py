"""The filter and imports: which requests Glance gets, and what happens to an image that got in unchecked."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from douane.glance import internals
from douane.glance.filter import Filter
from douane.glance.guard import import_guard, unchecked
from douane.glance.guard.import_guard import ImportGuard
from douane.glance.guard.unchecked import PENDING_IMPORTS, PendingImports
from douane.glance.import_plugin import get_flow
from douane.glance.recovery import imports, journal
from support.fake_glance import ID, PATH, FakeBackend, FakeGlance, Pieces, Reply, Script, request

IMPORT = f"{PATH}/import"
DIRECT = {"method": {"name": "glance-direct"}, "stores": ["fast"]}
COPY = {"method": {"name": "copy-image"}}


class ImportingGlance(FakeGlance):
    """Begins imports as Glance does: `bodies` are those of the requests. `end` ends the import of its image."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []
        self.status = "202 Accepted"
        self.on_import: Callable[[], None] = lambda: None
        """Called while an import begins."""

    def _answer(self, environ: dict[str, Any], method: str, path: str) -> tuple[str, bytes]:
        if path != IMPORT or method != "POST":
            return super()._answer(environ, method, path)
        self.bodies.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        if self.image is not None:
            self.image |= {"status": "importing", "os_glance_import_task": "a task"}
        self.on_import()
        return self.status, b""

    def end(self, status: str) -> None:
        assert self.image is not None
        self.image["status"] = status
        self.image.pop("os_glance_import_task", None)


class RepoImage:
    """The image as Glance's repository has it."""

    def __init__(self, image: dict[str, Any]) -> None:
        self.image_id: str = image["id"]
        self.status: str = image["status"]
        self.extra_properties = {key: value for key, value in image.items() if key.startswith(("os_glance", "douane"))}


class Repo:
    """Glance's repository; `errors` are raised before images are found."""

    def __init__(self, app: FakeGlance) -> None:
        self.app = app
        self.reads = 0
        self.errors: list[Exception] = []

    def find(self) -> RepoImage | None:
        self.reads += 1
        if self.errors:
            raise self.errors.pop()
        return RepoImage(self.app.image) if self.app.image is not None else None

    def save(self, image: RepoImage) -> None:
        assert self.app.image is not None
        self.app.image |= image.extra_properties


@pytest.fixture
def repo(monkeypatch: pytest.MonkeyPatch) -> Repo:
    """The repository of an importing Glance."""
    repo = Repo(ImportingGlance())
    monkeypatch.setattr(internals, "image_repo", lambda: repo)
    monkeypatch.setattr(internals, "find_image", lambda repo, image_id: repo.find())
    monkeypatch.setattr(internals, "is_staged_elsewhere", lambda image_id: False)
    return repo


@pytest.fixture
def problem(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Sets the problem of the import plugin in this Glance, as there is no Glance to determine it; None by default."""

    def set_problem(problem: str | None) -> None:
        monkeypatch.setattr(import_guard, "plugin_problem", lambda: problem)

    set_problem(None)
    return set_problem


def guarded(app: Any, imports: PendingImports | None = None) -> Filter:
    guard = ImportGuard(imports if imports is not None else PendingImports(first_pause=0.0))
    return Filter(app, FakeBackend(Script()), None, properties=True, guard=guard)


def post(
    app: Callable[..., Iterable[bytes]], body: Any, path: str = IMPORT, method: str = "POST", **headers: Any
) -> Reply:
    data = body if isinstance(body, bytes | Pieces) else json.dumps(body).encode()
    return request(app, data, method, path, **{"CONTENT_TYPE": "application/json", **headers})


Problem = Callable[[str | None], None]


def test_an_import_reaches_glance_unchanged(problem: Problem) -> None:
    app = ImportingGlance()
    assert post(guarded(app), DIRECT).code == 202
    assert [json.loads(body) for body in app.bodies] == [DIRECT]


def test_a_chunked_body_arrives_complete(problem: Problem) -> None:
    app, body = ImportingGlance(), json.dumps(DIRECT).encode()
    pieces = Pieces([body[:5], body[5:6], body[6:]])
    assert post(guarded(app), pieces, HTTP_TRANSFER_ENCODING="chunked").code == 202
    assert app.bodies == [body]


def test_an_import_is_refused_if_the_plugin_would_not_run(problem: Problem, caplog: pytest.LogCaptureFixture) -> None:
    problem("image_import_plugins names nothing: write it")
    app = ImportingGlance()
    reply = post(guarded(app), DIRECT)
    assert (reply.code, reply.headers["X-Douane-Code"]) == (503, "import-not-guarded")
    assert "Imports are closed here until the operator" in reply.body
    assert "write it" not in reply.body  # the remedy is for the operator
    assert (app.bodies, app.requests) == ([], [])
    (message,) = critical(caplog)
    assert "image_import_plugins names nothing: write it" in message


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post"])
@pytest.mark.parametrize("path", [IMPORT, f"{PATH}/import/", f"//v2//images/{ID}/import", f"/v2.17/images/{ID}/import"])
def test_every_spelling_of_the_request_is_guarded(problem: Problem, method: str, path: str) -> None:
    problem("no plugin")
    app = ImportingGlance()
    assert post(guarded(app), DIRECT, path, method).code == 503
    assert not app.requests


def test_an_overridden_method_is_guarded(problem: Problem) -> None:
    app = ImportingGlance()
    assert request(guarded(app), b"", "GET", IMPORT, query="_method=POST").code == 400
    assert not app.requests


def test_an_unreadable_body_is_guarded(problem: Problem) -> None:
    problem("no plugin")
    for body in (b"", b"{", b"[]", b'{"method": "copy-image"}', b"\xff", b"[" * 50_000):
        assert post(guarded(ImportingGlance()), body).code == 503, body


def test_a_copy_of_a_stored_image_needs_no_plugin(problem: Problem) -> None:
    problem("no plugin")
    app = ImportingGlance()
    assert post(guarded(app), COPY).code == 202
    assert len(app.bodies) == 1


def test_an_endless_body_is_not_read_to_its_end(problem: Problem) -> None:
    app = ImportingGlance()
    assert post(guarded(app), Pieces(b"x" * 1000 for _ in range(10**9)), HTTP_TRANSFER_ENCODING="chunked").code == 400
    assert post(guarded(app), b"{}", CONTENT_LENGTH=str(10**12)).code == 400
    assert not app.bodies


def test_a_truncated_body_does_not_reach_glance(problem: Problem) -> None:
    app = ImportingGlance()
    assert post(guarded(app), b'{"method":', CONTENT_LENGTH="50").code == 400
    assert not app.bodies


def test_the_client_gets_the_response_of_glance(problem: Problem) -> None:
    app = ImportingGlance()
    app.status = "409 Conflict"
    assert post(guarded(app), DIRECT).code == 409


def test_a_request_that_only_reads_is_not_guarded(problem: Problem) -> None:
    problem("no plugin")
    app = ImportingGlance()
    assert request(guarded(app), b"", "GET", IMPORT).code == 404
    assert app.requests == [("GET", IMPORT)]


def test_no_import_is_let_through_if_glance_cannot_be_inspected() -> None:
    """This process has no Glance at all."""
    app = ImportingGlance()
    assert post(guarded(app), DIRECT).code == 503
    assert not app.bodies


def test_a_filter_without_guard_lets_imports_through() -> None:
    app = ImportingGlance()
    unguarded = Filter(app, FakeBackend(Script()), None, properties=True)
    assert post(unguarded, DIRECT).code == 202


# ---- an image that got in unchecked


def critical(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]


def look(app: Filter) -> None:
    """Send a request that has nothing to do with the import."""
    request(app, b"", "GET", "/v2/images")


def test_an_image_imported_without_the_plugin_is_flagged(
    problem: Problem, repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    app = guarded(repo.app)
    assert post(app, DIRECT).code == 202
    look(app)
    assert not critical(caplog)  # it is importing yet
    repo.app.end("active")
    look(app)
    assert repo.app.image is not None
    assert repo.app.image["douane_outcome"] == "unchecked"
    assert repo.app.image["douane_code"] == "import-not-checked"
    assert "without being checked" in repo.app.image["douane_reason"]
    (message,) = critical(caplog)
    assert f"{ID}' was IMPORTED WITHOUT BEING CHECKED" in message
    reads = repo.reads
    look(app)
    assert repo.reads == reads


def test_an_image_is_flagged_when_the_task_has_released_it(
    problem: Problem, repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    """Until then, the task could save its own copy of the image over the flag."""
    app = guarded(repo.app)
    post(app, DIRECT)
    assert repo.app.image is not None
    repo.app.image["status"] = "active"
    for _ in range(2):
        look(app)
    assert "douane_outcome" not in repo.app.image
    repo.app.end("active")
    look(app)
    assert repo.app.image["douane_outcome"] == "unchecked"
    assert len(critical(caplog)) == 1


def test_an_image_imported_with_the_plugin_is_not_looked_at(problem: Problem, repo: Repo) -> None:
    def call_plugin() -> None:
        with pytest.raises(AssertionError):  # there is no taskflow here; but the plugin was called
            get_flow(image_id=ID)

    repo.app.on_import = call_plugin
    app = guarded(repo.app, PENDING_IMPORTS)
    assert post(app, DIRECT).code == 202
    assert len(PENDING_IMPORTS) == 0


@pytest.mark.parametrize("earlier_call", ["an earlier import", "another image"])
def test_another_call_of_the_plugin_does_not_count(problem: Problem, repo: Repo, earlier_call: str) -> None:
    imports = PendingImports(first_pause=0.0)
    if earlier_call == "an earlier import":
        imports.plugin_called(ID)
    else:
        repo.app.on_import = lambda: imports.plugin_called("another")
    app = guarded(repo.app, imports)
    post(app, DIRECT)
    repo.app.end("active")
    look(app)
    assert repo.app.image["douane_outcome"] == "unchecked"


@pytest.mark.parametrize("status", ["queued", "uploading", "deleted"])
def test_an_import_that_failed_is_forgotten(problem: Problem, repo: Repo, status: str) -> None:
    imports = PendingImports(first_pause=0.0)
    app = guarded(repo.app, imports)
    post(app, DIRECT)
    if status == "deleted":
        repo.app.image = None
    else:
        repo.app.end(status)
    look(app)
    assert (repo.reads, len(imports)) == (1, 0)
    assert repo.app.image is None or "douane_outcome" not in repo.app.image


@pytest.mark.parametrize(("body", "status"), [(COPY, "202 Accepted"), (DIRECT, "409 Conflict")])
def test_a_request_that_begins_no_import_of_new_bytes_is_forgotten(
    problem: Problem, repo: Repo, body: dict[str, Any], status: str
) -> None:
    repo.app.status = status
    imports = PendingImports()
    post(guarded(repo.app, imports), body)
    assert len(imports) == 0


def test_an_import_that_another_host_runs_is_not_checked(
    problem: Problem, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(internals, "is_staged_elsewhere", lambda image_id: True)
    imports = PendingImports()
    assert post(guarded(repo.app, imports), DIRECT).code == 202
    assert len(imports) == 0


def test_a_check_is_repeated_after_an_error(problem: Problem, repo: Repo) -> None:
    imports = PendingImports(first_pause=0.0)
    app = guarded(repo.app, imports)
    post(app, DIRECT)
    repo.app.end("active")
    repo.errors = [OSError("the database is away"), RuntimeError("again")]
    for _ in range(3):
        look(app)
    assert repo.app.image["douane_outcome"] == "unchecked"


def test_an_import_is_checked_after_a_pause_that_grows(
    problem: Problem, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0
    monkeypatch.setattr(unchecked, "time", SimpleNamespace(monotonic=lambda: now))
    app = guarded(repo.app, PendingImports(first_pause=2))
    post(app, DIRECT)
    checked = []
    for now in range(16):
        reads = repo.reads
        look(app)
        checked += [now] if repo.reads > reads else []
    assert checked == [2, 6, 14]


def test_the_oldest_of_too_many_imports_is_dropped(
    problem: Problem, repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    imports = PendingImports(max_imports=2)
    app = guarded(repo.app, imports)
    for _ in range(3):
        assert post(app, DIRECT).code == 202
    assert len(imports) == 2
    assert "too many imports" in caplog.text


# ---- the journal of requested imports


def journal_entry(folder: Path) -> journal.Entry:
    return journal.begin(folder, "a request", {"image": ID, "request": "req-1"})


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> journal.Entry:
    """The entry that the guard makes for the next import, as there is no Glance to ask for the staging folder."""
    entry = journal_entry(tmp_path)
    monkeypatch.setattr(imports, "record_request", lambda image, request_id: entry)
    return entry


def test_a_requested_import_is_in_the_journal_until_the_plugin_is_called(
    problem: Problem, repo: Repo, entry: journal.Entry
) -> None:
    pending = PendingImports()
    existed: list[bool] = []
    repo.app.on_import = lambda: existed.append(entry.path.exists())
    assert post(guarded(repo.app, pending), DIRECT).code == 202
    assert existed == [True], "Glance had the request before it was recorded"
    assert entry.path.exists()
    pending.plugin_called(ID)
    assert not entry.path.exists()


@pytest.mark.parametrize("ending", ["refused by Glance", "failed", "too many"])
def test_an_import_that_is_no_longer_pending_leaves_the_journal(
    problem: Problem, repo: Repo, entry: journal.Entry, ending: str
) -> None:
    pending = PendingImports(first_pause=0.0, max_imports=1)
    if ending == "refused by Glance":
        repo.app.status = "409 Conflict"
    app = guarded(repo.app, pending)
    post(app, DIRECT)
    if ending == "failed":
        repo.app.end("queued")
        look(app)
    if ending == "too many":
        pending.add("another")
    assert not entry.path.exists()


def test_an_import_stays_in_the_journal_if_its_request_ends_the_process(
    problem: Problem, repo: Repo, entry: journal.Entry
) -> None:
    """Glance may have begun the import: whether it has shows when the process is gone."""

    def exit_process() -> None:
        raise SystemExit

    repo.app.on_import = exit_process
    with pytest.raises(SystemExit):
        post(guarded(repo.app, PendingImports()), DIRECT)
    assert entry.path.exists()


def test_the_lock_of_an_import_that_cannot_be_inspected_is_released() -> None:
    """Glance would keep the lock, and answer 409 for an hour."""
    dropped: list[bool] = []
    wrapper = SimpleNamespace(drop_lock_for_task=lambda: dropped.append(True))
    with pytest.raises(AssertionError):  # there is no taskflow here
        get_flow(image_id=ID, action_wrapper=wrapper)
    assert dropped == [True]


def test_the_request_id_is_that_of_glances_context() -> None:
    context = SimpleNamespace(request_id="req-1")
    assert internals.request_id({"webob.adhoc_attrs": {"context": context}}) == "req-1"
    assert internals.request_id({"webob.adhoc_attrs": {}}) is None
    assert internals.request_id({}) is None
