"""What the tenant is answered."""

from __future__ import annotations

import math
import re

import pytest

from douane.engine import DouaneError
from douane.errors import AgentError
from douane.glance.upload.http_errors import Refusal, refusal
from douane.report import Bytes, Report


def report(outcome: str, **more: object) -> Report:
    nothing = Bytes(size=0, complete=False)
    fields = {
        "outcome": outcome,
        "verdicts": [],
        "received": nothing,
        "stored": nothing,
        "sandbox": "off",
        "seconds": 0.0,
    }
    return Report(**{**fields, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["a\r\nSet-Cookie: x", "a\nb", "\u4e2d", "a b", "", "x" * 200, "\x00", "a:b\x85"])
def test_nothing_that_a_plugin_says_becomes_a_header_of_its_own(code: str) -> None:
    headers = Refusal("422 Unprocessable Entity", code, "no").headers()
    assert ("X-Douane-Code", "other") in headers
    assert all(re.fullmatch(r"[\x20-\x7e]+", name + value) for name, value in headers)


@pytest.mark.parametrize(
    "message", ["<script>alert('x')</script> & \"", "\ud800", "\U0001f4a9" * 10_000, "\r\n\r\n", "\0"]
)
def test_a_message_is_text_in_the_page_and_its_length_is_told(message: str) -> None:
    refused = Refusal("422 Unprocessable Entity", "x", message)
    body = refused.body()
    assert dict(refused.headers())["Content-Length"] == str(len(body))
    assert b"<script" not in body
    body.decode()


def test_it_looks_as_errors_of_glance_do() -> None:
    """glanceclient and openstacksdk cut the tags away and print what is left."""
    body = Refusal("422 Unprocessable Entity", "evil", "The image is refused: a < b").body().decode()
    assert re.sub(r"<[^>]*>|\s+", " ", body).split()[:3] == ["422", "Unprocessable", "Entity"]
    assert "The image is refused: a &lt; b (evil)<br />" in body


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.1, "1"), (1.2, "2"), (60.0, "60"), (math.inf, None), (math.nan, None), (1e300, None)]
)
def test_retry_after_is_a_number_of_seconds_or_is_not_there(seconds: float, told: str | None) -> None:
    refused = refusal(report("undecided", code="deferred", message="later", retry_after=seconds), None)
    assert refused.status.startswith("503")
    assert dict(refused.headers()).get("Retry-After") == told


def test_an_agent_that_has_too_much_to_do_says_when_to_come_again() -> None:
    refused = refusal(None, AgentError("too many images are being checked", code="busy", retry_after=300.0))
    assert (refused.code, dict(refused.headers())["Retry-After"]) == ("busy", "300")


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (report("undecided", code="plugin-failed", message="format: Traceback /etc/x"), None),
        (None, DouaneError("cannot open /etc/x: Traceback")),
        (None, AgentError("OSError: /etc/x: Traceback", code="engine-failed")),
        (None, None),
    ],
)
def test_the_tenant_hears_nothing_of_the_inside(outcome: Report | None, error: DouaneError | None) -> None:
    refused = refusal(outcome, error)
    assert refused.status.startswith("503")
    assert "/etc" not in refused.message
    assert "Traceback" not in refused.message
    assert "fault of this service" in refused.message
