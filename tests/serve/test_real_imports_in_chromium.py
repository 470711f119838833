"""A real service with a real import, followed in a real Chromium from its first byte to its verdict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.chromium import Browser
from support.judged import OCTETS, upload_in_background, write_config
from support.serve import serving

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
PIECE = bytes(range(256)) * 4096


@pytest.fixture
def browser() -> Iterator[Browser]:
    opened = Browser()
    yield opened
    opened.close()


def text(browser: Browser) -> str:
    return str(browser.run("document.body.innerText"))


def test_an_import_is_followed_while_it_runs_and_when_it_is_cancelled(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path, seconds=2.0)) as serve:  # two minutes, if nobody stops it
        image_id = serve.create(name="web-server")
        browser.open(f"{serve.url}/ui")
        assert "There are no imports yet." in text(browser)
        thread, statuses = upload_in_background(serve, image_id, PIECE * 64)
        try:
            browser.wait("the import is in the list", "document.body.innerText.includes('web-server')")
            browser.run("[...document.querySelectorAll('a')].find((a) => a.textContent === 'web-server').click()")
            browser.wait("the page of the import", "document.querySelector('h1').textContent === 'web-server'")
            browser.wait(
                "the plugin that it waits for", "document.body.innerText.includes('waits for the plugin judge')"
            )
            value = browser.run("document.querySelector('progress').value")
            browser.wait("more bytes have arrived", f"document.querySelector('progress').value > {value}")
        finally:
            serve.client.post(f"/v2/images/{image_id}/actions/cancel_import")
            thread.join()
        assert statuses == [409]
        browser.wait("the end", "document.body.innerText.includes('the import was cancelled by')")
        assert browser.complaints() == []


def test_the_verdict_of_an_upload_is_there_with_its_log(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id = serve.create(name="good-one")
        assert serve.client.put(f"/v2/images/{image_id}/file", content=PIECE, headers=OCTETS).status_code == 204
        browser.open(f"{serve.url}/ui")
        browser.run("[...document.querySelectorAll('a')].find((a) => a.textContent === 'good-one').click()")
        browser.wait("the page of the import", "document.querySelector('h1').textContent === 'good-one'")
        assert f"judge: read {len(PIECE)} bytes" in text(browser)
        assert "accepted" in text(browser)


def test_a_refusal_has_its_sentence(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id = serve.create(name="bad-one")
        assert (
            serve.client.put(f"/v2/images/{image_id}/file", content=b"bad" + PIECE, headers=OCTETS).status_code == 422
        )
        browser.open(f"{serve.url}/ui")
        assert "bad-one" in text(browser)
        assert "the image says that it is bad" in text(browser)
