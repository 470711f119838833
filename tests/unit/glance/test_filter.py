"""An upload through the filter: what Glance gets, what the client gets, and the properties of the image."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from douane.declared import DeclaredImage
from douane.errors import DouaneError
from douane.glance import internals
from douane.glance.staged.attestation import Attestations
from douane.glance.staged.tag import Tag
from douane.glance.upload.api_client import call
from douane.plan.binding import Door, Sender
from support.fake_glance import (
    ID,
    PATH,
    BodyReader,
    FakeGlance,
    Pieces,
    Script,
    filtered,
    proposals,
    read_announced,
    read_to_end,
    request,
)

DATA = bytes(range(256)) * 1000
CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked"}

READERS = pytest.mark.parametrize(
    ("read", "headers"),
    [
        (read_to_end, {}),
        (read_announced, {}),
        (partial(read_announced, size=1 << 20), {}),
        (partial(read_to_end, size=7), {}),
        (read_to_end, CHUNKED),
        (read_to_end, {**CHUNKED, "HTTP_X_OPENSTACK_IMAGE_SIZE": str(len(DATA))}),
        (read_announced, {**CHUNKED, "HTTP_X_OPENSTACK_IMAGE_SIZE": str(len(DATA))}),
    ],
    ids=["end", "announced", "announced-large", "small", "chunked", "chunked-size", "chunked-announced"],
)
ACTIONS = pytest.mark.parametrize("action", ["file", "stage"])


@READERS
@ACTIONS
def test_an_accepted_image_reaches_glance(read: BodyReader, headers: dict[str, str], action: str) -> None:
    app, script = FakeGlance(read), Script()
    reply = request(filtered(app, script), DATA, path=f"{PATH}/{action}", **headers)
    assert (reply.code, app.data, bytes(script.inspections[0].data)) == (204, DATA, DATA)


@READERS
@ACTIONS
@pytest.mark.parametrize("word", [b"EVIL", b"EARLY"])
def test_a_refused_image_does_not_reach_glance(
    read: BodyReader, headers: dict[str, str], action: str, word: bytes
) -> None:
    app = FakeGlance(read)
    evil = word + DATA[: -len(word)]
    reply = request(filtered(app, Script()), evil, path=f"{PATH}/{action}", **headers)
    assert (reply.code, app.data) == (422, None)
    assert reply.headers["X-Douane-Code"] == "evil"
    assert "there is evil in it" in reply.body


@pytest.mark.parametrize("headers", [{}, {"CONTENT_LENGTH": None}, CHUNKED, {"HTTP_TRANSFER_ENCODING": "identity"}])
def test_an_empty_image_is_inspected(headers: dict[str, str | None]) -> None:
    """Glance makes an empty image of it without a read."""
    app, script = FakeGlance(), Script()
    assert request(filtered(app, script), b"", **headers).code == 204
    assert app.data == b""
    assert script.inspections[0].is_finished

    app, script = FakeGlance(), Script()
    script.report = {"outcome": "refused", "code": "empty", "message": "it is empty"}
    assert request(filtered(app, script), b"", **headers).code == 422
    assert app.data is None


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "409 Conflict", "413 Too Large", "500 Error"])
def test_an_upload_that_glance_refuses_unread_is_not_inspected(status: str) -> None:
    app, script = FakeGlance(), Script()
    app.early_status = status
    reply = request(filtered(app, script), DATA)
    assert (reply.code, reply.body) == (int(status[:3]), "before it reads")
    assert script.inspections == []


def test_a_user_who_may_not_see_the_image_gets_the_response_of_glance() -> None:
    app, script = FakeGlance(), Script()
    app.image = None
    reply = request(filtered(app, script), DATA)
    assert (reply.code, reply.body) == (404, "no such image")
    assert app.requests == [("GET", PATH)]
    assert script.inspections == []


def read_half(environ: dict[str, Any]) -> bytes:
    part: bytes = environ["wsgi.input"].read(1000)
    return part


def read_nothing(environ: dict[str, Any]) -> bytes:
    return b""


def read_twice(environ: dict[str, Any]) -> bytes:
    return read_to_end(environ) + read_to_end(environ)


@pytest.mark.parametrize("read", [read_half, read_nothing])
@pytest.mark.parametrize("headers", [{}, CHUNKED])
def test_an_image_that_glance_takes_unread_is_deleted(
    read: BodyReader, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    app, script = FakeGlance(read), Script()
    reply = request(filtered(app, script), DATA, **headers)
    assert (reply.code, reply.headers["X-Douane-Code"]) == (500, "unchecked")
    assert app.image is None, "the image is still there"
    assert [line.levelno for line in caplog.records] == [logging.CRITICAL]
    assert all(inspection.abort_reason is not None for inspection in script.inspections)


def test_an_image_whose_refusal_glance_swallows_is_deleted(caplog: pytest.LogCaptureFixture) -> None:
    app = FakeGlance()
    app.swallows_errors = True
    reply = request(filtered(app, Script()), b"EVIL")
    assert reply.code == 500
    assert app.image is None
    assert "NOT COMPLETE" in caplog.text


def test_a_second_read_of_the_body_returns_nothing() -> None:
    app = FakeGlance(read_twice)
    assert request(filtered(app, Script()), DATA).code == 204
    assert app.data == DATA


@pytest.mark.parametrize("headers", [{"CONTENT_LENGTH": str(len(DATA) + 1)}, {"HTTP_X_OPENSTACK_IMAGE_SIZE": "7"}])
@pytest.mark.parametrize("encoding", [{}, CHUNKED])
@pytest.mark.parametrize("read", [read_to_end, read_announced, partial(read_announced, size=7)])
def test_another_length_than_announced_is_a_bad_request(
    headers: dict[str, str], encoding: dict[str, str], read: BodyReader
) -> None:
    if encoding and "HTTP_X_OPENSTACK_IMAGE_SIZE" not in headers:
        headers = {"HTTP_X_OPENSTACK_IMAGE_SIZE": str(len(DATA) + 1)}
    app = FakeGlance(read)
    reply = request(filtered(app, Script()), DATA, **{**headers, **encoding})
    assert (reply.code, app.data) == (400, None)


@pytest.mark.parametrize("number", ["-1", "x", "1_0", "0x10", "1.0", "\u0661", "+5", "9" * 30, "1, 1", "1 1"])
@pytest.mark.parametrize("header", ["CONTENT_LENGTH", "HTTP_X_OPENSTACK_IMAGE_SIZE"])
def test_a_length_that_is_no_number_is_a_bad_request(number: str, header: str) -> None:
    app = FakeGlance()
    assert request(filtered(app, Script()), b"12345", **{header: number}).code == 400
    assert app.requests == []


@pytest.mark.parametrize("encoding", ["chunked", "Chunked", "gzip, chunked", "chunked, gzip", " chunked", "xchunked"])
@pytest.mark.parametrize("length", [None, "3", "0"])
def test_chunks_overrule_a_content_length(encoding: str, length: str | None) -> None:
    """Glance reads the bytes that were inspected: it sees neither of the two headers."""

    def read(environ: dict[str, Any]) -> bytes:
        assert "CONTENT_LENGTH" not in environ
        assert "HTTP_TRANSFER_ENCODING" not in environ
        return read_to_end(environ)

    app = FakeGlance(read)
    reply = request(filtered(app, Script()), DATA, HTTP_TRANSFER_ENCODING=encoding, CONTENT_LENGTH=length)
    assert (reply.code, app.data) == (204, DATA)


@pytest.mark.parametrize("headers", [{"CONTENT_LENGTH": "99999"}, CHUNKED])
def test_a_client_that_goes_away_leaves_nothing(headers: dict[str, str]) -> None:
    app, script = FakeGlance(), Script()
    reply = request(filtered(app, script), Pieces([DATA[:100]] * 3, OSError("it is gone")), **headers)
    assert (reply.code, app.data) == (500, None)
    assert script.inspections[0].abort_reason is not None


class Killed(BaseException):
    """As GreenletExit is."""


@pytest.mark.parametrize("error", [Killed(), SystemExit(), KeyboardInterrupt(), RuntimeError()])
@pytest.mark.parametrize("moment", ["reading", "accepted"])
def test_an_exception_in_glance_ends_the_inspection(error: BaseException, moment: str) -> None:
    def read(environ: dict[str, Any]) -> bytes:
        environ["wsgi.input"].read(100 if moment == "reading" else -1)
        raise error

    script = Script()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        return [read(environ)] if environ["REQUEST_METHOD"] == "PUT" else FakeGlance()(environ, start_response)

    with pytest.raises(type(error)):
        request(filtered(app, script), DATA)
    assert (script.inspections[0].abort_reason is not None) == (moment == "reading")


@pytest.mark.parametrize(("action", "door"), [("file", "upload"), ("stage", "import")])
def test_the_plan_is_that_of_the_door_and_of_the_sender(action: str, door: Door) -> None:
    """Nova and Cinder upload for a user, with a token of their own beside the user's."""
    script = Script()
    roles = {"HTTP_X_ROLES": "member, reader", "HTTP_X_SERVICE_ROLES": "service"}
    assert request(filtered(FakeGlance(), script), DATA, path=f"{PATH}/{action}", **roles).code == 204
    assert script.senders == [Sender(door, ("member", "reader", "service"))]
    assert script.inspections[0].declared.roles == ("member", "reader"), "plugins see the user's"


def test_an_inspection_that_cannot_begin_refuses_the_image_without_details() -> None:
    app, script = FakeGlance(), Script()
    script.error = DouaneError("/etc/douane/secret.toml: Traceback (most recent call last)")
    reply = request(filtered(app, script), DATA)
    assert (reply.code, app.data, reply.headers["X-Douane-Code"]) == (500, None, "error")
    assert "secret" not in reply.body
    assert "Traceback" not in reply.body


def test_an_undecided_image_does_not_reach_glance() -> None:
    app, script = FakeGlance(), Script()
    script.report = {"outcome": "undecided", "code": "plugin-failed", "message": "format: died at /usr/lib/x.py"}
    reply = request(filtered(app, script), DATA)
    assert (reply.code, app.data) == (500, None)
    assert "x.py" not in reply.body


def test_an_image_that_the_plan_changes_can_be_staged_but_not_uploaded() -> None:
    app, script = FakeGlance(), Script()
    from douane.report import Bytes

    script.report = {"stored": Bytes(size=1, complete=True, sha256="1" * 64)}
    reply = request(filtered(app, script), DATA)
    assert (reply.code, reply.headers["X-Douane-Code"], app.data) == (422, "needs-import", None)
    assert request(filtered(app, script), DATA, path=f"{PATH}/stage").code == 204


def test_a_staged_image_has_an_attestation(tmp_path: Path) -> None:
    attestations = Attestations(str(tmp_path))
    request(filtered(FakeGlance(), Script(), attestations), DATA, path=f"{PATH}/file")
    assert attestations.find(ID) is None
    request(filtered(FakeGlance(), Script(), attestations), DATA, path=f"{PATH}/stage")
    attestation = attestations.find(ID)
    assert attestation is not None
    assert (attestation.size, attestation.plan) == (len(DATA), "d" * 64)
    tag = Tag(attestation.key)
    tag.update(DATA)
    assert tag.matches(attestation.tag)
    request(filtered(FakeGlance(), Script(), attestations), b"EVIL", path=PATH.replace(ID, "other") + "/stage")
    assert attestations.find("other") is None


def test_the_attestation_of_an_image_that_is_no_longer_staged_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, staging = tmp_path / "state", tmp_path / "staging"
    for folder in (state, staging, staging / ".douane"):
        folder.mkdir()
    monkeypatch.setattr(internals, "staging_folder", lambda: staging)
    attestations = Attestations(str(state))
    (staging / ID).write_bytes(DATA)
    request(filtered(FakeGlance(), Script(), attestations), DATA, path=f"{PATH}/stage")
    attestation = attestations.find(ID)
    assert attestation is not None
    for image in ("deleted", "converting"):
        attestations.save(image, attestation)
    (staging / "converting.qcow2").touch()
    (state / ".new-left").touch()
    (state / ".new-now").touch()
    (state / "of the operator").touch()
    os.utime(state / ".new-left", (0, 0))
    request(filtered(FakeGlance(), Script(), attestations), DATA, path=f"{PATH}/stage")
    assert attestations.find(ID) is not None
    assert attestations.find("converting") is not None
    assert attestations.find("deleted") is None
    assert {".new-now", "of the operator"} < {path.name for path in state.iterdir()}
    assert len(list(state.iterdir())) == 4


def test_a_folder_that_cannot_be_cleaned_does_not_disturb_the_staging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(internals, "staging_folder", lambda: tmp_path / "gone")
    assert (
        request(filtered(FakeGlance(), Script(), Attestations(str(tmp_path))), DATA, path=f"{PATH}/stage").code == 204
    )
    assert "cannot be cleaned" in caplog.text


def test_two_ids_never_share_an_attestation(tmp_path: Path) -> None:
    attestations = Attestations(str(tmp_path))
    request(filtered(FakeGlance(), Script(), attestations), DATA, path=f"{PATH}/stage")
    attestation = attestations.find(ID)
    assert attestation is not None
    ids = ["x" * 300, "x" * 301, "../../x", "a/b", ".", "\xe4\n", "\ud800", ""]
    for image in ids:
        assert attestations.find(image) is None
        attestations.save(image, attestation)
    assert len(list(tmp_path.iterdir())) == len(ids) + 1
    assert all(path.parent == tmp_path for path in tmp_path.rglob("*"))


def test_an_attestation_that_cannot_be_saved_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reply = request(filtered(FakeGlance(), Script(), Attestations(str(tmp_path / "gone"))), DATA, path=f"{PATH}/stage")
    assert reply.code == 204
    assert "inspected again" in caplog.text


@pytest.mark.parametrize("data", [b"", b"half an attest", b"{}", b"\xff", b"[" * 100_000])
def test_an_unreadable_attestation_is_ignored(tmp_path: Path, data: bytes) -> None:
    attestations = Attestations(str(tmp_path))
    request(filtered(FakeGlance(), Script(), attestations), DATA, path=f"{PATH}/stage")
    next(tmp_path.iterdir()).write_bytes(data)
    assert attestations.find(ID) is None


# ---- declared and reported properties


def test_plugins_get_the_declared_properties_without_their_own() -> None:
    app = FakeGlance(
        **{"os_distro": "x", "format.virtual": "made up", "evil.x": "1", "other.y": "2", "os_glance_z": "3"}
    )
    assert app.image is not None
    app.image |= {"douane_reason": "of an earlier attempt", "min_disk": 5}
    script = Script()
    request(filtered(app, script), DATA, HTTP_X_PROJECT_ID="somebody")
    assert script.inspections[0].declared == DeclaredImage(
        name="an image",
        disk_format="raw",
        container_format="bare",
        properties={"os_distro": "x", "other.y": "2"},
        owner="its owner",
        roles=("member", "reader"),
    )


def test_new_properties_replace_those_of_an_earlier_attempt() -> None:
    app = FakeGlance(**{"format.old": "1", "format.size": "x", "douane_reason": "old", "mine": "y", "away": "z"})
    script = Script()
    script.report = {
        "properties": {"format.size": 7, "evil.is": False, "evil.a/b~c": 1.5},
        "proposed": proposals(away=None, not_there=None, new="v"),
    }
    assert request(filtered(app, script), DATA).code == 204
    assert app.image is not None
    properties = {name: value for name, value in app.image.items() if name not in FakeGlance().image}  # type: ignore[operator]
    assert properties == {"format.size": "7", "evil.is": "false", "evil.a/b~c": "1.5", "mine": "y", "new": "v"}


def test_a_plugin_cannot_set_attributes(caplog: pytest.LogCaptureFixture) -> None:
    """With `locations` it could give the image other data; with `visibility`, show it to everybody."""
    app, script = FakeGlance(), Script()
    image = dict(app.image or {})
    names = (
        "locations",
        "visibility",
        "owner",
        "id",
        "status",
        "tags",
        "protected",
        "os_hidden",
        "size",
        "os_glance_x",
    )
    script.report = {"proposed": proposals(**dict.fromkeys(names, "x"), good="y")}
    assert request(filtered(app, script), DATA).code == 204
    assert app.image == {**image, "good": "y"}
    assert all(name in caplog.text for name in names)


def test_without_properties_only_proposed_ones_are_set() -> None:
    app, script = FakeGlance(**{"format.mine": "1"}), Script()
    script.report = {"properties": {"format.x": 1}, "proposed": proposals(new="v")}
    assert request(filtered(app, script, properties=False), DATA).code == 204
    assert [change["path"] for change in app.patches] == ["/new"]


@pytest.mark.parametrize("status", ["403 Forbidden", "409 Conflict", "413 Too many properties", "500 Error"])
def test_an_upload_succeeds_if_its_properties_cannot_be_set(status: str, caplog: pytest.LogCaptureFixture) -> None:
    app, script = FakeGlance(), Script()
    app.patch_status = status
    script.report = {"properties": {"format.x": 1}}
    assert request(filtered(app, script), DATA).code == 204
    assert status in caplog.text


def test_properties_that_the_site_stores_are_set_without_those_that_it_refuses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, script = FakeGlance(**{"format.old": "1"}), Script()
    app.refused_property = "format.x"
    script.report = {"properties": {"format.x": 1}, "proposed": proposals(new="v")}
    assert request(filtered(app, script), DATA).code == 204
    assert app.image is not None
    assert app.image["new"] == "v"
    assert not any(name.startswith("format.") for name in app.image)
    assert "403 Forbidden" in caplog.text
    assert "left out: format.x" in caplog.text


def test_an_upload_succeeds_if_glance_fails_afterwards(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script()
    glance = FakeGlance()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if glance.data is not None:
            raise ConnectionError("the database is gone")
        return glance(environ, start_response)

    assert request(filtered(app, script), DATA).code == 204
    assert "the database is gone" in caplog.text


def test_the_request_for_the_metadata_has_nothing_of_the_upload() -> None:
    """The upload's body, range and conditions must not change the response of Glance."""
    environs: list[dict[str, Any]] = []
    glance = FakeGlance()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        environs.append(environ)
        return glance(environ, start_response)

    request(
        filtered(app, Script()), DATA, query="a=b", HTTP_RANGE="bytes=0-1", HTTP_IF_NONE_MATCH="*", HTTP_EXPECT="100",
        HTTP_ACCEPT_ENCODING="gzip", HTTP_X_AUTH_TOKEN="t",
    )  # fmt: skip
    first = environs[0]
    assert (first["REQUEST_METHOD"], first["PATH_INFO"], first["QUERY_STRING"]) == ("GET", PATH, "")
    assert first["HTTP_X_AUTH_TOKEN"] == "t"
    dropped = {
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "HTTP_RANGE",
        "HTTP_IF_NONE_MATCH",
        "HTTP_EXPECT",
        "HTTP_ACCEPT_ENCODING",
    }
    assert not dropped & set(first)
    assert first["wsgi.input"].read() == b""


# ---- responses of applications (PEP 3333)


def test_a_response_is_collected_from_all_its_parts() -> None:
    closed: list[bool] = []

    class Parts:
        def __init__(self) -> None:
            self._parts: Iterator[bytes] = iter([b"2", b"3"])

        def __iter__(self) -> Iterator[bytes]:
            return self._parts

        def close(self) -> None:
            closed.append(True)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("A", "1")])
        try:
            raise ValueError
        except ValueError:
            import sys

            write = start_response("500 Error", [("A", "2")], sys.exc_info())
        write(b"1")
        return Parts()

    response = call(app, {})
    assert (response.code, response.headers, response.body, closed) == (500, [("A", "2")], b"123", [True])


def test_a_response_that_fails_is_closed() -> None:
    closed: list[bool] = []

    class Parts:
        def __iter__(self) -> Iterator[bytes]:
            yield b"1"
            raise OSError("broken")

        def close(self) -> None:
            closed.append(True)

    with pytest.raises(OSError, match="broken"):
        call(lambda environ, start_response: Parts(), {})
    assert closed == [True]
