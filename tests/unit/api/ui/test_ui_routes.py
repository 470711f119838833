"""The pages by the application without a server: rights, sessions, errors as pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from douane.api.errors import unauthenticated
from douane.api.identity.rights import Identity, make_identity
from douane.catalog import ImportRequest
from support.api import Api

TOKENS = {
    "token-of-p1": ("p1", ["member"]),
    "token-of-p2": ("p2", ["reader"]),
    "token-of-admin": ("p0", ["admin"]),
}


class TokenAuthentication:
    waits = True

    def identify(self, headers: Mapping[str, str], method: str, path: str) -> Identity:
        if headers.get("x-auth-token") not in TOKENS:
            raise unauthenticated("http://keystone/v3")
        project, roles = TOKENS[headers["x-auth-token"]]
        return make_identity("u", project, roles)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    opened = Api(tmp_path)
    opened.service.authenticator = TokenAuthentication()
    yield opened
    opened.close()


def ended(api: Api, owner: str, name: str, *, code: str = "bad", visibility: str = "shared") -> str:
    image = api.catalog.create_image(name=name, owner=owner, visibility=visibility)  # type: ignore[arg-type]
    request = ImportRequest(owner=owner)
    task = api.catalog.begin_import(image.id, method="upload", plan={}, on_failure="requeue", request=request)
    report = {"verdicts": [{"plugin": "format", "outcome": "refused", "detail": "for the operator"}]}
    api.catalog.fail(task, outcome="refused", code=code, message=f"{name} is bad", report=report)
    return task.id


def get(api: Api, path: str, token: str | None, **more: object):
    headers = {"Cookie": f"douane_token={token}"} if token else {}
    return api.request("GET", path, sender=None, headers=headers, **more)


def test_a_project_sees_its_imports_and_an_administrator_all(api: Api) -> None:
    mine, other = ended(api, "p1", "mine"), ended(api, "p2", "other")
    page = get(api, "/ui", "token-of-p1").text
    assert "mine is bad" in page and "other" not in page.replace("another", "")
    everything = get(api, "/ui", "token-of-admin").text
    assert "mine is bad" in everything and "other is bad" in everything
    assert "other is bad" not in get(api, "/ui?project=p1", "token-of-admin").text
    assert "mine" in get(api, "/ui?project=p2", "token-of-p1").text  # ignored
    assert get(api, f"/ui/imports/{mine}", "token-of-p1").status_code == 200
    for path in (f"/ui/imports/{other}", "/ui/imports/nonsense", "/ui/imports/" + "0" * 36):
        hidden = get(api, path, "token-of-p1")
        assert hidden.status_code == 404 and "There is no such import." in hidden.text
        assert hidden.headers["content-type"] == "text/html; charset=utf-8"
    assert get(api, f"/ui/imports/{other}", "token-of-admin").status_code == 200
    assert "for the operator" in get(api, f"/ui/imports/{mine}", "token-of-admin").text
    assert "for the operator" not in get(api, f"/ui/imports/{mine}", "token-of-p1").text


def test_who_sees_an_image_sees_its_imports_as_in_the_api(api: Api) -> None:
    public = ended(api, "p2", "public", visibility="public")
    assert get(api, f"/ui/imports/{public}", "token-of-p1").status_code == 200
    assert "public is bad" not in get(api, "/ui", "token-of-p1").text


def test_filters_and_pages(api: Api) -> None:
    for number in range(53):
        ended(api, "p1", f"image-{number:02}", code="odd" if number % 2 else "even")
    first = get(api, "/ui", "token-of-p1").text
    assert "image-52" in first and "image-03" in first and "image-02" not in first
    following = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = get(api, following, "token-of-p1").text
    assert "image-02" in second and "image-03" not in second and 'rel="next"' not in second
    odd = get(api, "/ui?code=odd&text=image-0", "token-of-p1").text
    assert "image-01" in odd and "image-02" not in odd and "image-11" not in odd
    assert "There are no imports yet" not in odd
    for query in ("state=x", "marker=" + "0" * 36, "unknown=1"):
        wrong = get(api, f"/ui?{query}", "token-of-p1")
        assert wrong.status_code == 400 and "<h1>Bad Request</h1>" in wrong.text


def test_live_progress_is_of_visible_imports_only(api: Api) -> None:
    image = api.catalog.create_image(name="mine", owner="p1")
    running = api.catalog.begin_import(
        image.id, method="upload", plan={}, on_failure="requeue", request=ImportRequest(owner="p1"), total=100
    )
    api.catalog.progress(running, 25)
    api.catalog.note(running, report={"running": {"waits_for": "antivirus"}})
    other = ended(api, "p2", "other")
    answer = get(api, f"/ui/live?ids={running.id},{other},nonsense,", "token-of-p1")
    (live,) = answer.json()["imports"]
    assert (live["id"], live["percent"], live["slow"]) == (running.id, 25, "antivirus")
    assert "waits for the plugin" in get(api, "/ui", "token-of-p1").text
    assert get(api, "/ui/live?ids=" + "," * 200, "token-of-p1").status_code == 400
    assert get(api, f"/ui/live?ids={running.id}", None).status_code == 401
    assert get(api, "/ui/live", "token-of-p1").json() == {"newest": None, "imports": []}


def test_live_progress_says_which_import_is_the_newest_of_a_list(api: Api) -> None:
    def newest(query: str) -> str:
        newest = get(api, f"/ui/live?ids=&newest={query}", "token-of-p1").json()["newest"]
        assert isinstance(newest, str)
        return newest

    assert newest("") == ""
    mine = ended(api, "p1", "mine")
    ended(api, "p2", "other")
    assert (newest(""), newest("text%3Dmine"), newest("text%3Dabsent")) == (mine, mine, "")
    assert get(api, "/ui/live?ids=&newest=nonsense%3D1", "token-of-p1").status_code == 400


def test_a_page_without_a_token_leads_to_the_form_and_back(api: Api) -> None:
    for path in ("/ui", "/ui/imports/x"):
        for token in (None, "an-old-token"):
            sent = get(api, path, token)
            assert (sent.status_code, sent.headers["location"]) == (303, "/ui/login")
    form = get(api, "/ui/login", None)
    assert form.status_code == 200 and "openstack token issue" in form.text
    assert get(api, "/ui/login", "token-of-p1").headers["location"] == "/ui"


def post(api: Api, path: str, body: bytes, **headers: str):
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://image.example", **headers}
    return api.request("POST", path, sender=None, content=body, headers=headers)


def test_a_session_begins_with_a_valid_token_and_ends_with_the_cookie(api: Api) -> None:
    good = post(api, "/ui/login", b"token=token-of-p1")
    assert (good.status_code, good.headers["location"]) == (303, "/ui")
    cookie = good.headers["set-cookie"]
    assert cookie == "douane_token=token-of-p1; Path=/ui; HttpOnly; SameSite=Strict"
    for body, status in ((b"token=a-wrong-token", 401), (b"token=", 400), (b"", 400)):
        bad = post(api, "/ui/login", body)
        assert bad.status_code == status and "set-cookie" not in bad.headers and 'role="alert"' in bad.text
    assert post(api, "/ui/login", b"token=" + b"a" * 9000).status_code == 413
    for path in ("/ui/login", "/ui/logout"):
        foreign = post(api, path, b"token=token-of-p1" if "login" in path else b"", Origin="http://evil.example")
        assert foreign.status_code == 403 and "set-cookie" not in foreign.headers
    out = post(api, "/ui/logout", b"")
    assert out.headers["location"] == "/ui/login" and "Max-Age=0" in out.headers["set-cookie"]


def test_the_cookie_is_secure_behind_https(tmp_path: Path) -> None:
    api = Api(tmp_path, public_endpoint="https://images.example.org")
    api.service.authenticator = TokenAuthentication()
    assert post(api, "/ui/login", b"token=token-of-p1").headers["set-cookie"].endswith("; Secure")
    api.close()


def test_the_cookie_is_nothing_to_the_api(api: Api) -> None:
    api.catalog.create_image(name="mine", owner="p1")
    assert get(api, "/v2/images", "token-of-p1").status_code == 401


def test_every_answer_has_the_headers_that_protect_it(api: Api) -> None:
    mine = ended(api, "p1", "mine")
    paths = ["/ui", f"/ui/imports/{mine}", "/ui/imports/x", "/ui/login", "/ui/live", "/ui/static/ui.js", "/ui?state=x"]
    for path in paths:
        answer = get(api, path, "token-of-p1")
        assert answer.headers["content-security-policy"].startswith("default-src 'none'"), path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-openstack-request-id"].startswith("req-")
    assert get(api, "/ui/static/ui.css", None).headers["content-type"] == "text/css; charset=utf-8"
    for path in ("/ui/static/render.py", "/ui/static/", "/ui/nonsense"):
        assert get(api, path, None).status_code == 404
