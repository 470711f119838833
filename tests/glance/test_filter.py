"""An upload through the filter: what Glance gets, what the client is answered, what is left on the image."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from like_glance import (
    ID,
    PATH,
    LikeGlance,
    Pieces,
    Script,
    Taking,
    announced,
    filtered,
    proposed,
    request,
    to_the_end,
)

from douane.declared import DeclaredImage
from douane.engine import DouaneError
from douane.glance.staged.attestation import Records
from douane.glance.staged.tag import Tag
from douane.glance.upload.api_client import call

DATA = bytes(range(256)) * 1000
CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked"}

WAYS = pytest.mark.parametrize(
    ("take", "headers"),
    [
        (to_the_end, {}),
        (announced, {}),
        (partial(announced, size=1 << 20), {}),
        (partial(to_the_end, size=7), {}),
        (to_the_end, CHUNKED),
        (to_the_end, {**CHUNKED, "HTTP_X_OPENSTACK_IMAGE_SIZE": str(len(DATA))}),
        (announced, {**CHUNKED, "HTTP_X_OPENSTACK_IMAGE_SIZE": str(len(DATA))}),
    ],
    ids=["end", "announced", "announced-large", "small", "chunked", "chunked-size", "chunked-announced"],
)
DOORS = pytest.mark.parametrize("what", ["file", "stage"])


@WAYS
@DOORS
def test_an_image_that_is_accepted_is_taken(take: Taking, headers: dict[str, str], what: str) -> None:
    app, script = LikeGlance(take), Script()
    answered = request(filtered(app, script), DATA, path=f"{PATH}/{what}", **headers)
    assert (answered.code, app.data, bytes(script.passages[0].seen)) == (204, DATA, DATA)


@WAYS
@DOORS
@pytest.mark.parametrize("word", [b"EVIL", b"EARLY"])
def test_an_image_that_is_refused_is_not(take: Taking, headers: dict[str, str], what: str, word: bytes) -> None:
    app = LikeGlance(take)
    evil = word + DATA[: -len(word)]
    answered = request(filtered(app, Script()), evil, path=f"{PATH}/{what}", **headers)
    assert (answered.code, app.data) == (422, None)
    assert answered.headers["X-Douane-Code"] == "evil"
    assert "there is evil in it" in answered.body


@pytest.mark.parametrize("headers", [{}, {"CONTENT_LENGTH": None}, CHUNKED, {"HTTP_TRANSFER_ENCODING": "identity"}])
def test_an_empty_image_is_inspected_too(headers: dict[str, str | None]) -> None:
    """Glance makes an empty image of it without a read."""
    app, script = LikeGlance(), Script()
    assert request(filtered(app, script), b"", **headers).code == 204
    assert app.data == b""
    assert script.passages[0].report is not None

    app, script = LikeGlance(), Script()
    script.report = {"outcome": "refused", "code": "empty", "message": "it is empty"}
    assert request(filtered(app, script), b"", **headers).code == 422
    assert app.data is None


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "409 Conflict", "413 Too Large", "500 Error"])
def test_what_glance_refuses_before_it_reads_is_not_inspected(status: str) -> None:
    app, script = LikeGlance(), Script()
    app.first = status
    answered = request(filtered(app, script), DATA)
    assert (answered.code, answered.body) == (int(status[:3]), "before it reads")
    assert script.passages == []


def test_who_may_not_see_the_image_is_told_so_by_glance() -> None:
    app, script = LikeGlance(), Script()
    app.image = None
    answered = request(filtered(app, script), DATA)
    assert (answered.code, answered.body) == (404, "no such image")
    assert app.requests == [("GET", PATH)]
    assert script.passages == []


def half(environ: dict[str, Any]) -> bytes:
    part: bytes = environ["wsgi.input"].read(1000)
    return part


def nothing(environ: dict[str, Any]) -> bytes:
    return b""


def twice(environ: dict[str, Any]) -> bytes:
    return to_the_end(environ) + to_the_end(environ)


@pytest.mark.parametrize("take", [half, nothing])
@pytest.mark.parametrize("headers", [{}, CHUNKED])
def test_what_glance_takes_without_having_read_it_is_no_success(
    take: Taking, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    app, script = LikeGlance(take), Script()
    answered = request(filtered(app, script), DATA, **headers)
    assert (answered.code, answered.headers["X-Douane-Code"]) == (500, "unchecked")
    assert app.image is None, "the image is still there"
    assert [line.levelno for line in caplog.records] == [logging.CRITICAL]
    assert all(each.aborted is not None for each in script.passages)


def test_a_refusal_that_glance_swallows_is_no_success(caplog: pytest.LogCaptureFixture) -> None:
    app = LikeGlance()
    app.swallows = True
    answered = request(filtered(app, Script()), b"EVIL")
    assert answered.code == 500
    assert app.image is None
    assert "NOT CHECKED" in caplog.text


def test_a_body_that_is_read_twice_is_read_once() -> None:
    app = LikeGlance(twice)
    assert request(filtered(app, Script()), DATA).code == 204
    assert app.data == DATA


@pytest.mark.parametrize("headers", [{"CONTENT_LENGTH": str(len(DATA) + 1)}, {"HTTP_X_OPENSTACK_IMAGE_SIZE": "7"}])
@pytest.mark.parametrize("way", [{}, CHUNKED])
@pytest.mark.parametrize("take", [to_the_end, announced, partial(announced, size=7)])
def test_another_length_than_was_announced_is_the_clients_fault(
    headers: dict[str, str], way: dict[str, str], take: Taking
) -> None:
    if way and "HTTP_X_OPENSTACK_IMAGE_SIZE" not in headers:
        headers = {"HTTP_X_OPENSTACK_IMAGE_SIZE": str(len(DATA) + 1)}
    app = LikeGlance(take)
    answered = request(filtered(app, Script()), DATA, **{**headers, **way})
    assert (answered.code, app.data) == (400, None)


@pytest.mark.parametrize("number", ["-1", "x", "1_0", "0x10", "1.0", "\u0661", "+5", "9" * 30, "1, 1", "1 1"])
@pytest.mark.parametrize("header", ["CONTENT_LENGTH", "HTTP_X_OPENSTACK_IMAGE_SIZE"])
def test_a_length_that_is_no_number_is_refused_at_once(number: str, header: str) -> None:
    app = LikeGlance()
    assert request(filtered(app, Script()), b"12345", **{header: number}).code == 400
    assert app.requests == []


@pytest.mark.parametrize("encoding", ["chunked", "Chunked", "gzip, chunked", "chunked, gzip", " chunked", "xchunked"])
@pytest.mark.parametrize("length", [None, "3", "0"])
def test_chunks_overrule_a_content_length_whatever_else_is_said(encoding: str, length: str | None) -> None:
    """What Glance reads is what was inspected: it sees neither of the two headers."""

    def take(environ: dict[str, Any]) -> bytes:
        assert "CONTENT_LENGTH" not in environ
        assert "HTTP_TRANSFER_ENCODING" not in environ
        return to_the_end(environ)

    app = LikeGlance(take)
    answered = request(filtered(app, Script()), DATA, HTTP_TRANSFER_ENCODING=encoding, CONTENT_LENGTH=length)
    assert (answered.code, app.data) == (204, DATA)


@pytest.mark.parametrize("headers", [{"CONTENT_LENGTH": "99999"}, CHUNKED])
def test_a_client_that_dies_leaves_nothing(headers: dict[str, str]) -> None:
    app, script = LikeGlance(), Script()
    answered = request(filtered(app, script), Pieces([DATA[:100]] * 3, OSError("it is gone")), **headers)
    assert (answered.code, app.data) == (500, None)
    assert script.passages[0].aborted is not None


class Killed(BaseException):
    """As GreenletExit is."""


@pytest.mark.parametrize("error", [Killed(), SystemExit(), KeyboardInterrupt(), RuntimeError()])
@pytest.mark.parametrize("at", ["reads", "accepted"])
def test_what_ends_glance_ends_the_inspection(error: BaseException, at: str) -> None:
    def take(environ: dict[str, Any]) -> bytes:
        environ["wsgi.input"].read(100 if at == "reads" else -1)
        raise error

    script = Script()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        return [take(environ)] if environ["REQUEST_METHOD"] == "PUT" else LikeGlance()(environ, start_response)

    with pytest.raises(type(error)):
        request(filtered(app, script), DATA)
    assert (script.passages[0].aborted is not None) == (at == "reads")


def test_what_cannot_be_inspected_is_not_taken_and_tells_the_tenant_nothing_of_the_inside() -> None:
    app, script = LikeGlance(), Script()
    script.error = DouaneError("/etc/douane/secret.toml: Traceback (most recent call last)")
    answered = request(filtered(app, script), DATA)
    assert (answered.code, app.data, answered.headers["X-Douane-Code"]) == (503, None, "error")
    assert "secret" not in answered.body
    assert "Traceback" not in answered.body


def test_an_undecided_image_is_not_taken() -> None:
    app, script = LikeGlance(), Script()
    script.report = {"outcome": "undecided", "code": "plugin-failed", "message": "format: died at /usr/lib/x.py"}
    answered = request(filtered(app, script), DATA)
    assert (answered.code, app.data) == (503, None)
    assert "x.py" not in answered.body


def test_what_an_upload_would_change_is_not_taken_but_may_be_staged() -> None:
    app, script = LikeGlance(), Script()
    from douane.report import Bytes

    script.report = {"stored": Bytes(size=1, complete=True, sha256="1" * 64)}
    answered = request(filtered(app, script), DATA)
    assert (answered.code, answered.headers["X-Douane-Code"], app.data) == (422, "needs-import", None)
    assert request(filtered(app, script), DATA, path=f"{PATH}/stage").code == 204


def test_a_staged_image_is_known_on_this_host_with_the_plan_it_went_through(tmp_path: Path) -> None:
    records = Records(str(tmp_path))
    for what, is_kept in (("file", False), ("stage", True)):
        request(filtered(LikeGlance(), Script(), records), DATA, path=f"{PATH}/{what}")
        found = records.find(ID)
        assert (found is not None) == is_kept
    assert found is not None
    assert (found.size, found.plan) == (len(DATA), "d" * 64)
    other = Tag(found.key)
    other.update(DATA)
    assert other.is_of(found.tag)
    request(filtered(LikeGlance(), Script(), records), b"EVIL", path=PATH.replace(ID, "other") + "/stage")
    assert records.find("other") is None


def test_two_ids_never_have_one_record(tmp_path: Path) -> None:
    records = Records(str(tmp_path))
    request(filtered(LikeGlance(), Script(), records), DATA, path=f"{PATH}/stage")
    kept = records.find(ID)
    assert kept is not None
    ids = ["x" * 300, "x" * 301, "../../x", "a/b", ".", "\xe4\n", "\ud800", ""]
    for image in ids:
        assert records.find(image) is None
        records.keep(image, kept)
    assert len(list(tmp_path.iterdir())) == len(ids) + 1
    assert all(each.parent == tmp_path for each in tmp_path.rglob("*"))


def test_a_record_that_cannot_be_written_costs_only_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answered = request(filtered(LikeGlance(), Script(), Records(str(tmp_path / "gone"))), DATA, path=f"{PATH}/stage")
    assert answered.code == 204
    assert "inspected again" in caplog.text


@pytest.mark.parametrize("data", [b"", b"half a rec", b"{}", b"\xff", b"[" * 100_000])
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, data: bytes) -> None:
    records = Records(str(tmp_path))
    request(filtered(LikeGlance(), Script(), records), DATA, path=f"{PATH}/stage")
    next(tmp_path.iterdir()).write_bytes(data)
    assert records.find(ID) is None


# what is found, and what is declared


def test_what_is_declared_reaches_the_plugins_and_what_they_found_before_does_not() -> None:
    app = LikeGlance(
        **{"os_distro": "x", "format.virtual": "made up", "evil.x": "1", "other.y": "2", "os_glance_z": "3"}
    )
    assert app.image is not None
    app.image |= {"douane_reason": "of the last attempt", "min_disk": 5}
    script = Script()
    request(filtered(app, script), DATA, HTTP_X_PROJECT_ID="somebody")
    assert script.passages[0].declared == DeclaredImage(
        name="an image", disk_format="raw", container_format="bare", owner="its owner",
        properties={"os_distro": "x", "other.y": "2"}, roles=("member", "reader"),
    )  # fmt: skip


def test_what_was_found_is_set_on_the_image_and_what_was_found_before_goes() -> None:
    app = LikeGlance(**{"format.old": "1", "format.kept": "x", "douane_reason": "old", "mine": "y", "away": "z"})
    script = Script()
    script.report = {
        "properties": {"format.kept": 7, "evil.is": False, "evil.a/b~c": 1.5},
        "proposed": proposed(away=None, not_there=None, new="v"),
    }
    assert request(filtered(app, script), DATA).code == 204
    assert app.image is not None
    more = {name: value for name, value in app.image.items() if name not in LikeGlance().image}  # type: ignore[operator]
    assert more == {"format.kept": "7", "evil.is": "false", "evil.a/b~c": "1.5", "mine": "y", "new": "v"}


def test_attributes_of_the_image_are_nothing_that_a_plugin_sets(caplog: pytest.LogCaptureFixture) -> None:
    """With `locations` it could give the image other data; with `visibility`, to everybody."""
    app, script = LikeGlance(), Script()
    before = dict(app.image or {})
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
    script.report = {"proposed": proposed(**dict.fromkeys(names, "x"), good="y")}
    assert request(filtered(app, script), DATA).code == 204
    assert app.image == {**before, "good": "y"}
    assert all(name in caplog.text for name in names)


def test_findings_are_left_off_where_that_is_wanted() -> None:
    app, script = LikeGlance(**{"format.mine": "1"}), Script()
    script.report = {"properties": {"format.x": 1}, "proposed": proposed(new="v")}
    assert request(filtered(app, script, properties=False), DATA).code == 204
    assert [change["path"] for change in app.patches] == ["/new"]


@pytest.mark.parametrize("status", ["403 Forbidden", "409 Conflict", "413 Too many properties", "500 Error"])
def test_what_cannot_be_set_is_logged_and_the_upload_stays_one(status: str, caplog: pytest.LogCaptureFixture) -> None:
    app, script = LikeGlance(), Script()
    app.patched = status
    script.report = {"properties": {"format.x": 1}}
    assert request(filtered(app, script), DATA).code == 204
    assert status in caplog.text


def test_an_image_that_is_gone_before_anything_is_set_is_no_error_of_the_upload(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script()
    glance = LikeGlance()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if glance.data is not None:
            raise ConnectionError("the database is gone")
        return glance(environ, start_response)

    assert request(filtered(app, script), DATA).code == 204
    assert "the database is gone" in caplog.text


def test_the_question_for_the_image_is_one_of_its_own() -> None:
    """Nothing of the upload's body, range or conditions changes what Glance answers."""
    asked: list[dict[str, Any]] = []
    glance = LikeGlance()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        asked.append(environ)
        return glance(environ, start_response)

    request(
        filtered(app, Script()), DATA, query="a=b", HTTP_RANGE="bytes=0-1", HTTP_IF_NONE_MATCH="*", HTTP_EXPECT="100",
        HTTP_ACCEPT_ENCODING="gzip", HTTP_X_AUTH_TOKEN="t",
    )  # fmt: skip
    first = asked[0]
    assert (first["REQUEST_METHOD"], first["PATH_INFO"], first["QUERY_STRING"]) == ("GET", PATH, "")
    assert first["HTTP_X_AUTH_TOKEN"] == "t"
    gone = {"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_RANGE", "HTTP_IF_NONE_MATCH", "HTTP_EXPECT", "HTTP_ACCEPT_ENCODING"}
    assert not gone & set(first)
    assert first["wsgi.input"].read() == b""


# how applications answer (PEP 3333)


def test_an_answer_is_taken_however_it_is_given() -> None:
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

    answer = call(app, {})
    assert (answer.code, answer.headers, answer.body, closed) == (500, [("A", "2")], b"123", [True])


def test_an_answer_that_breaks_off_is_closed() -> None:
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
