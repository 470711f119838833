"""The routes that carry an image's bytes, in every spelling that Glance accepts."""

from __future__ import annotations

import pytest

from douane.glance.upload.routes import disguise, upload_route
from support.fake_glance import ID, PATH, FakeGlance, Script, filtered, request

FILE_PATHS = [
    f"/v2/images/{ID}/file",
    f"/v2.15/images/{ID}/file",
    f"/images/{ID}/file",  # SCRIPT_NAME has the rest
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
OTHER_PATHS = [
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


def environ(path: str, method: str = "PUT", **fields: str) -> dict[str, str]:
    return {"REQUEST_METHOD": method, "PATH_INFO": path, **fields}


@pytest.mark.parametrize("path", FILE_PATHS)
@pytest.mark.parametrize("action", ["file", "stage"])
def test_a_path_of_data_is_a_route(path: str, action: str) -> None:
    route = upload_route(environ(path.replace("file", action)))
    assert route is not None
    assert route.action == action
    assert route.path.endswith(f"/images/{route.image}")


@pytest.mark.parametrize("path", OTHER_PATHS)
def test_another_path_is_no_route(path: str) -> None:
    assert upload_route(environ(path)) is None
    assert disguise(environ(path)) is None


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "put", "DELETE", "BREW"])
def test_every_method_that_writes_is_a_route(method: str) -> None:
    assert upload_route(environ(PATH + "/file", method)) is not None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_downloads_are_not_inspected(method: str) -> None:
    app = FakeGlance()
    request(filtered(app, Script()), b"", method)
    assert app.requests == [(method, PATH + "/file")]


@pytest.mark.parametrize("query", ["_method=PUT", "a=b&_method=put", "%5Fmethod=PUT", "a;_method=PUT", "_method=GET"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_an_overridden_method_is_a_bad_request(query: str, method: str) -> None:
    """POST .../file?_method=PUT is an upload to every Glance (routes.middleware)."""
    app = FakeGlance()
    reply = request(filtered(app, Script()), b"EVIL", method, query=query)
    assert (reply.code, app.requests) == (400, [])


def test_a_parameter_with_a_similar_name_overrides_nothing() -> None:
    app = FakeGlance()
    request(filtered(app, Script()), b"", "GET", query="prefer=store_method=1&my_method=2")
    assert app.requests == [("GET", PATH + "/file")]


@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "Application/Octet-Stream; x=y", " application/octet-stream"]
)
def test_image_data_on_an_unknown_path_is_a_bad_request(kind: str) -> None:
    app = FakeGlance()
    reply = request(filtered(app, Script()), b"data", "POST", f"{PATH}/new-path", CONTENT_TYPE=kind)
    assert (reply.code, app.requests) == (400, [])
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
def test_another_request_reaches_glance(method: str, path: str, body: bytes, kind: str | None) -> None:
    app = FakeGlance()
    request(filtered(app, Script()), body, method, path, CONTENT_TYPE=kind)
    assert app.requests == [(method, path)]
