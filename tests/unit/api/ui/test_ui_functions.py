"""What the pages say: states, filters, the parts that only the operator sees, and that every text is escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.api.errors import HttpError
from douane.api.identity.rights import make_identity
from douane.api.ui.detail import import_detail
from douane.api.ui.filters import Filters, read_filters
from douane.api.ui.render import HEADERS, error_page, import_page, list_page, login_page, static_file
from douane.api.ui.rows import import_row, live_document, may_see_task
from douane.api.ui.session import ended_cookie, read_login, require_own_origin, session_cookie, token_of
from douane.catalog.records import Task

ADMIN = make_identity("u", "p0", ["admin"])
TENANT = make_identity("u", "p1", ["member"])
READER = make_identity("u", "p1", ["reader"])
NOBODY = make_identity("u", "p1", ["other"])
EVIL = "<script>alert(1)</script>\"'&\u202e\x1b[31m"
FINDING = {
    "code": "backing-file", "worth": "refuse", "subject": "the qcow2 image", "detail": "it names /etc/passwd",
    "offset": 8,
}  # fmt: skip
VERDICT: dict[str, Any] = {
    "plugin": "format", "outcome": "refused", "code": "unsafe-backing-file", "message": "the image is not safe",
    "mode": "enforce", "warnings": [{"code": "w1", "message": "a warning"}], "bytes_seen": 1024, "bytes_total": 4096,
    "seconds": 0.25, "decisive": True, "detail": "Traceback in /srv/plugin.py", "properties": {"format.variant": "v3"},
    "documents": {"secret_list": [1, 2], "findings": [FINDING]}, "ran": {"use": "format", "code_sha256": "c" * 64},
}  # fmt: skip
REPORT: dict[str, Any] = {
    "outcome": "refused", "code": "unsafe-backing-file", "message": "no", "verdicts": [VERDICT], "seconds": 1.5,
    "received": {"size": 4096, "complete": True, "sha256": "a" * 64}, "stored": {"size": 0, "complete": False},
    "sandbox": "full", "virtual_size": 1 << 30, "log": ["format: a line of the log"],
}  # fmt: skip


def task(**fields: Any) -> Task:
    base: dict[str, Any] = {
        "id": "00000000-0000-4000-8000-000000000001", "image_id": "00000000-0000-4000-8000-000000000002",
        "method": "web-download", "plan": {}, "on_failure": "requeue", "step": "receiving", "done": 0, "total": None,
        "report": None, "outcome": None, "code": None, "message": None, "token": 1, "size": None, "virtual_size": None,
        "digests": {}, "disk_format": None, "container_format": None, "properties": {}, "owner": "p1", "user_id": "u1",
        "request_id": "req-1", "import_req": None, "stores": ["file"], "expires_at": None, "worker": None,
        "lease_until": None, "attempts": 0, "staged_key": None, "source": None, "requested": True, "plan_digest": None,
        "declared": None, "verdict": None, "created_at": "2026-11-29T10:00:00.000000Z",
        "updated_at": "2026-11-29T10:01:30.500000Z",
    }  # fmt: skip
    return msgspec.convert({**base, **fields}, Task)


ENDED = task(
    step="done", outcome="refused", code="unsafe-backing-file", message="the image is not safe", report=REPORT,
    worker=None,
)  # fmt: skip


def text_of(html: str) -> str:
    parts: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            parts.append(data)

    Reader().feed(html)
    return " ".join(" ".join(parts).split())


@pytest.mark.parametrize(
    ("fields", "state", "words"),
    [
        ({"step": "waiting", "source": {"url": "https://x"}}, "waiting", "waits for a worker that is free"),
        ({"step": "waiting", "source": {"spool": "k"}}, "waiting", "The upload is complete. It waits for a worker"),
        ({"step": "waiting", "attempts": 2}, "waiting", "another attempt (2 of 3 were made)"),
        ({"step": "staged", "verdict": "accepted"}, "waiting", "waits for the client to request the import"),
        ({"step": "receiving"}, "running", "Its bytes are downloaded and inspected"),
        ({"step": "receiving", "method": "upload"}, "running", "Its bytes are received and inspected"),
        ({"step": "receiving", "method": "copy-image"}, "running", "copied to further stores"),
        ({"step": "publishing"}, "running", "made visible in the store"),
        ({"step": "done", "outcome": "accepted"}, "accepted", "the image is active"),
        ({"step": "done", "outcome": "refused", "message": "bad thing"}, "refused", "bad thing"),
        ({"step": "done", "outcome": "cancelled"}, "cancelled", "It was cancelled."),
    ],
)
def test_a_row_says_what_happens_or_what_the_import_waits_for(fields, state, words):
    row = import_row(task(**fields), None)
    assert row.state == state and words in row.sentence and row.is_over == (state not in ("running", "waiting"))


def test_the_progress_has_bytes_per_cent_and_the_slow_plugin():
    running = task(done=3 << 20, total=12 << 20, report={"running": {"waits_for": "antivirus"}})
    row = import_row(running, None)
    assert (row.percent, row.progress, row.slow) == (25, "3.0 MiB of 12.0 MiB, 25 %", "antivirus")
    unknown = import_row(task(done=5 << 20), None)
    assert (unknown.percent, unknown.progress) == (None, "5.0 MiB")
    assert import_row(task(done=9, total=3), None).percent == 100
    assert import_row(task(report={"running": {"waits_for": 3}}), None).slow == ""
    (live,) = live_document([row], None)["imports"]
    assert live == {
        "id": row.id, "state": "running", "sentence": row.sentence, "percent": 25, "progress": row.progress,
        "slow": "antivirus",
    }  # fmt: skip
    over = import_row(msgspec.structs.replace(ENDED, done=1, total=2), None)
    assert (over.percent, over.progress, over.duration) == (None, "", "1 min 30 s")


def test_the_page_of_a_tenant_has_verdict_and_findings_and_nothing_of_the_operators():
    html = import_page(TENANT, import_detail(ENDED, None, TENANT), login=True)
    shown = text_of(html)
    for words in (
        "unsafe-backing-file", "the image is not safe", "a warning", "decided", "1 KiB of 4 KiB", "250 ms", "a" * 64,
        "backing-file", "byte 8 (0x8)", "it names /etc/passwd", "format.variant v3", "req-1", "1 GiB", "Log out",
    ):  # fmt: skip
        assert words in shown, words
    for words in ("Traceback", "secret_list", "c" * 64, "a line of the log", "For the operator", "Sandbox"):
        assert words not in html, words


def test_the_page_of_the_operator_has_everything():
    html = import_page(ADMIN, import_detail(ENDED, None, ADMIN), login=False)
    shown = text_of(html)
    for words in ("Traceback in /srv/plugin.py", "secret_list", "c" * 64, "a line of the log", "Sandbox full"):
        assert words in shown, words
    assert "Log out" not in shown


def test_only_the_findings_of_the_built_in_plugin_are_taken_from_a_document():
    other = {**VERDICT, "ran": {"use": "site.py:Site"}}
    changed = msgspec.structs.replace(ENDED, report={**REPORT, "verdicts": [other]})
    assert import_detail(changed, None, TENANT).findings == []
    for broken in ([{"offset": "x"}], {"a": 1}, 3, None):
        odd = {**VERDICT, "documents": {"findings": broken}}
        assert import_detail(msgspec.structs.replace(ENDED, report={"verdicts": [odd]}), None, TENANT).findings == []


@pytest.mark.parametrize("report", [None, 3, [], {"verdicts": 3}, {"verdicts": [3]}, {"received": "x"}, {"log": [3]}])
def test_a_report_of_another_form_is_an_empty_page_and_no_error(report):
    for identity in (ADMIN, TENANT):
        html = import_page(identity, import_detail(task(report=report), None, identity), login=False)
        assert "<h1>" in html and "Verdicts" not in html


def test_every_text_is_escaped_and_hidden_characters_are_shown():
    evil = {
        **VERDICT, "plugin": EVIL, "message": EVIL, "code": EVIL, "detail": EVIL, "mode": EVIL,
        "warnings": [{"code": EVIL, "message": EVIL}], "properties": {EVIL: EVIL}, "documents": {EVIL: EVIL,
        "findings": [{**FINDING, "code": EVIL, "detail": EVIL, "subject": EVIL, "worth": EVIL}]},
    }  # fmt: skip
    report = {**REPORT, "verdicts": [evil], "log": [EVIL], "disk_format": EVIL}
    wicked = task(
        report=report, message=EVIL, code=EVIL, owner=EVIL, user_id=EVIL, request_id=EVIL, method=EVIL, stores=[EVIL],
        step="done", outcome="refused",
    )  # fmt: skip
    row = msgspec.structs.replace(import_row(wicked, None), name=EVIL)
    identity = make_identity("u", EVIL, ["admin"])
    pages = [
        import_page(identity, msgspec.structs.replace(import_detail(wicked, None, identity), row=row), login=True),
        list_page(
            identity,
            [row],
            Filters(code=EVIL, text=EVIL, project=EVIL),
            following=Filters(text=EVIL).query(),
            login=True,
        ),
        login_page(EVIL),
        error_page(EVIL, EVIL, EVIL),
    ]
    for page in pages:
        assert "alert(1)" in page
        assert "<script>alert" not in page and "\u202e" not in page and "\x1b" not in page
        assert not re.search(r"\son\w+=|javascript:|style=", page)
        assert 'class="badge' not in page or "<script" not in re.findall(r'class="([^"]*)"', page)


def test_a_page_is_a_whole_document_with_headings_labels_and_captions():
    rows = [import_row(ENDED, None), import_row(task(), None)]
    html = list_page(ADMIN, rows, Filters(state="running"), following="?marker=x", login=True)
    assert html.startswith("<!DOCTYPE html>") and '<html lang="en">' in html and html.count("<h1>") == 1
    for field in ("state", "outcome", "code", "text", "project"):
        assert f'<label for="{field}">' in html and f'id="{field}"' in html
    assert "<caption>" in html and 'rel="next" href="/ui?marker=x"' in html
    assert '<option value="running" selected>' in html
    assert '<script src="/ui/static/ui.js" defer></script>' in html and html.count("<script") == 1
    over = list_page(TENANT, rows[:1], Filters(marker="x"), following=None, login=True)
    assert "<script" not in over and 'for="project"' not in over and "http-equiv" not in over
    assert "<script" in list_page(TENANT, [], Filters(), following=None, login=True)  # an import may come
    assert "No import fits" in list_page(TENANT, [], Filters(code="x"), following=None, login=True)


def test_what_the_plugins_say_of_a_variant_stands_under_its_store():
    report = {**REPORT, "variants": {"ceph": {**REPORT, "verdicts": [{**VERDICT, "plugin": "to-raw"}]}}}
    for identity in (ADMIN, TENANT):
        detail = import_detail(task(step="done", outcome="refused", report=report), None, identity)
        html = import_page(identity, detail, login=False)
        variant = html.partition("Variant for the store <bdi>ceph</bdi>")[2]
        assert "to-raw" in variant
        assert "Traceback" not in variant.partition("For the operator")[0]


def test_the_policy_allows_nothing_inside_of_a_page_nor_from_other_hosts():
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy and "*" not in policy
    for name in ("ui.css", "ui.js", "icon.svg"):
        content = static_file(name).decode()
        assert content and not re.search(r"https?://(?!www\.w3\.org/2000/svg)", content)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Filters()),
        ("state=running&outcome=refused&code=bad&text=%20a%20b%20", None),
        ("state=&outcome=&code=&text=&project=&marker=", Filters()),
    ],
)
def test_filters_are_read_and_written(query, expected):
    filters = read_filters(query, ADMIN)
    if expected is None:
        expected = Filters(state="running", outcome="refused", code="bad", text="a b")
        assert filters.status == "processing" and filters.are_set
        assert read_filters(filters.query().removeprefix("?"), ADMIN) == filters
    assert filters == expected


def test_a_project_is_a_filter_of_administrators():
    assert read_filters("project=p9", ADMIN).project == "p9"
    assert read_filters("project=p9", TENANT).project == ""


@pytest.mark.parametrize(
    "query",
    [
        "state=x", "outcome=x", "nonsense=1", "marker=x", "text=%00", "text=%ff", "text=" + "a" * 300,
        "&".join(["text=a"] * 200), "a" * 20_000, "text",
    ],
)  # fmt: skip
def test_wrong_filters_are_a_sentence(query):
    if query == "text":
        assert read_filters(query, ADMIN) == Filters()
        return
    with pytest.raises(HttpError) as caught:
        read_filters(query, ADMIN)
    assert caught.value.status == 400 and caught.value.message.endswith(".")


@given(st.text(max_size=60))
def test_any_query_is_filters_or_a_sentence(query):
    try:
        filters = read_filters(query, ADMIN)
    except HttpError as error:
        assert error.status == 400
    else:
        assert "<" not in filters.query() and "\n" not in filters.query()


def test_a_task_is_seen_by_its_project_by_those_who_see_the_image_and_by_the_operator():
    other = task(owner="p2")
    assert may_see_task(ADMIN, other, sees_image=False) and may_see_task(TENANT, other, sees_image=True)
    assert not may_see_task(TENANT, other, sees_image=False) and may_see_task(READER, task(), sees_image=False)
    assert not may_see_task(NOBODY, task(), sees_image=False)
    assert not may_see_task(make_identity("u", None, ["member"]), task(owner=None), sees_image=False)


def test_the_cookie_is_for_these_pages_only_and_no_script_reads_it():
    cookie = session_cookie("gAAAAABtoken_-", secure=True)
    assert cookie == "douane_token=gAAAAABtoken_-; Path=/ui; HttpOnly; SameSite=Strict; Secure"
    assert "Secure" not in session_cookie("gAAAAABtoken_-", secure=False) and "Max-Age=0" in ended_cookie()
    assert token_of("a=b; douane_token=gAAAAABtoken_-; c=d") == "gAAAAABtoken_-"
    for header in (None, "", "a=b", "douane_token=", "douane_token=<script>", "douane_token=" + "a" * 5000, "\0=;"):
        assert token_of(header) is None


def test_the_login_form_takes_a_token_and_nothing_else():
    assert read_login(b"token=+gAAAAABtoken_-%0A") == "gAAAAABtoken_-"
    for body in (b"", b"token=", b"token=a b c d e f g h", b"token=%3Cscript%3E123", b"\xff", b"a=1&b=2&c=3&d=4&e=5"):
        with pytest.raises(HttpError) as caught:
            read_login(body)
        assert caught.value.status == 400


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"host": "a:1", "origin": "http://a:1"}, True),
        ({"host": "a:1", "origin": "https://A:1", "sec-fetch-site": "same-origin"}, True),
        ({"host": "a:1"}, True),
        ({"host": "a:1", "origin": "http://b:1"}, False),
        ({"host": "a:1", "origin": "null"}, False),
        ({"host": "a:1", "origin": "http://["}, False),
        ({"host": "a:1", "sec-fetch-site": "cross-site"}, False),
    ],
)
def test_a_form_of_another_site_is_refused(headers, allowed):
    if allowed:
        require_own_origin(headers)
        return
    with pytest.raises(HttpError) as caught:
        require_own_origin(headers)
    assert caught.value.status == 403
