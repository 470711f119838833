"""Whatever path and method an image's bytes could come by, the filter stands there."""

from __future__ import annotations

import pytest
from like_glance import ID, PATH, LikeGlance, Script, filtered, request

from douane.glance.upload.routes import disguise, door

SEEN_AS_FILE = [
    f"/v2/images/{ID}/file",
    f"/v2.15/images/{ID}/file",
    f"/images/{ID}/file",  # where SCRIPT_NAME has the rest
    f"/v2//images/{ID}/file",  # paste.urlmap takes several slashes for one
    f"/v2/images//{ID}/file",
    f"/v2/images/{ID}///file",
    f"//v2/images/{ID}/file",
    f"/v2/images/{ID}/file/",
    f"/v2/images/{ID}/file//",
    f"/v2/images/{ID}/file\n",  # `$` of routes
    f"/v2/images/{ID}\n/file",
    f"http://host/v2/images/{ID}/file",  # paste.urlmap cuts the host off
    f"/image/v2/images/{ID}/file",
    "/v2/images/../file",
    "/v2/images/%2e%2e/file",
    "/v2/images/a;b=c/file",
    "/v2/images/\xe4\xf6/file",
]
OTHERS = [
    "/v2/images",
    PATH,
    f"{PATH}/import",
    f"{PATH}/tags/file",
    f"{PATH}/members/stage",
    f"{PATH}/locations",
    f"{PATH}/file/x",
    f"{PATH}/File",
    "/v2/metadefs/namespaces/images/tags/file",
    "/v2/tasks",
    "",
]


def asked(path: str, method: str = "PUT", **more: str) -> dict[str, str]:
    return {"REQUEST_METHOD": method, "PATH_INFO": path, **more}


@pytest.mark.parametrize("path", SEEN_AS_FILE)
@pytest.mark.parametrize("what", ["file", "stage"])
def test_a_path_of_data_is_a_door(path: str, what: str) -> None:
    found = door(asked(path.replace("file", what)))
    assert found is not None
    assert found.what == what
    assert found.path.endswith(f"/images/{found.image}")


@pytest.mark.parametrize("path", OTHERS)
def test_other_paths_are_none(path: str) -> None:
    assert door(asked(path)) is None
    assert disguise(asked(path)) is None


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "put", "DELETE", "BREW"])
def test_every_method_that_does_not_only_read_is_one(method: str) -> None:
    assert door(asked(PATH + "/file", method)) is not None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_downloads_go_by(method: str) -> None:
    app = LikeGlance()
    request(filtered(app, Script()), b"", method)
    assert app.requests == [(method, PATH + "/file")]


@pytest.mark.parametrize("query", ["_method=PUT", "a=b&_method=put", "%5Fmethod=PUT", "a;_method=PUT", "_method=GET"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_a_method_is_not_overridden(query: str, method: str) -> None:
    """POST .../file?_method=PUT is an upload to every Glance (routes.middleware)."""
    app = LikeGlance()
    answered = request(filtered(app, Script()), b"EVIL", method, query=query)
    assert (answered.code, app.requests) == (400, [])


def test_a_parameter_with_a_like_name_is_no_override() -> None:
    app = LikeGlance()
    request(filtered(app, Script()), b"", "GET", query="prefer=store_method=1&my_method=2")
    assert app.requests == [("GET", PATH + "/file")]


@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "Application/Octet-Stream; x=y", " application/octet-stream"]
)
def test_image_data_at_a_door_that_is_not_known_goes_nowhere(kind: str) -> None:
    app = LikeGlance()
    answered = request(filtered(app, Script()), b"data", "POST", f"{PATH}/newdoor", CONTENT_TYPE=kind)
    assert (answered.code, app.requests) == (400, [])
    chunked = {"CONTENT_TYPE": kind, "HTTP_TRANSFER_ENCODING": "chunked"}
    assert request(filtered(app, Script()), b"", "PUT", "/v3/pictures/x", **chunked).code == 400
    assert app.requests == []


@pytest.mark.parametrize(
    ("method", "path", "body", "kind"),
    [
        ("POST", f"{PATH}/import", b"{}", "application/json"),
        ("PUT", f"{PATH}/tags/x", b"", "application/octet-stream"),  # glanceclient sends this type where it has no body
        ("DELETE", PATH, b"", "application/octet-stream"),
        ("GET", PATH, b"", None),
    ],
)
def test_other_requests_go_by(method: str, path: str, body: bytes, kind: str | None) -> None:
    app = LikeGlance()
    request(filtered(app, Script()), body, method, path, CONTENT_TYPE=kind)
    assert app.requests == [(method, path)]
