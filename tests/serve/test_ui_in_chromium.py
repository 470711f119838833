"""The pages in a real Chromium: reading, filters, live progress, keyboard, narrow and dark windows, and no scripts."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from douane.catalog import Catalog
from support.chromium import Browser
from support.fake_keystone import FakeKeystone
from support.ui_example import REFUSED, Example, fill
from support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
SERVER = Path(__file__).parents[1] / "support" / "page_server.py"

CONTRAST = """
(() => {
  const parse = (text) => {
    const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
    return { rgb: [r, g, b], a: a === undefined ? 1 : a };
  };
  const light = (rgb) => {
    const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!own || !box.width || box.right < 0) continue;
    let back = element;
    while (back && !parse(getComputedStyle(back).backgroundColor).a) back = back.parentElement;
    const ground = light(back ? parse(getComputedStyle(back).backgroundColor).rgb : [255, 255, 255]);
    const text = light(parse(getComputedStyle(element).color).rgb);
    const ratio = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    if (ratio < 4.5) weak.push([element.textContent.trim().slice(0, 40), ratio.toFixed(2)]);
  }
  return weak;
})()
"""
NAMELESS = """
[...document.querySelectorAll("input, select, button, a, progress")].filter((element) => {
  const label = element.id && document.querySelector(`label[for="${element.id}"]`);
  const name = label ? label.textContent : element.getAttribute("aria-label") || element.textContent;
  return !name.trim();
}).map((element) => element.outerHTML)
"""
HEADINGS = "[...document.querySelectorAll('h1, h2, h3, h4')].map((heading) => Number(heading.tagName[1]))"


@contextmanager
def serving_pages(home: Path, config: Path | None = None) -> Iterator[str]:
    """The URL of the pages of `home`."""
    words = [sys.executable, str(SERVER), str(home), *([str(config)] if config else [])]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    opened = Browser()
    yield opened
    opened.close()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    (tmp_path / "home").mkdir(mode=0o700)
    with Catalog(tmp_path / "home" / "catalog.sqlite3") as opened:
        yield opened


@pytest.fixture
def example(catalog: Catalog) -> Example:
    return fill(catalog)


@pytest.fixture
def pages(tmp_path: Path, example: Example) -> Iterator[str]:
    with serving_pages(tmp_path / "home") as url:
        yield url


@pytest.fixture(autouse=True)
def plain_window(browser: Browser) -> Iterator[None]:
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    browser.call("Network.clearBrowserCookies")
    browser.size(1200)
    browser.complaints()
    browser.events.clear()
    yield
    browser.call("Page.navigate", url="about:blank")


class _Keystone(FakeKeystone):
    def close(self) -> None:
        self.stop()


def text(browser: Browser) -> str:
    return str(browser.run("document.body.innerText"))


def test_the_list_and_a_page_are_read_and_the_console_has_no_complaint(browser, pages, example):
    browser.open(f"{pages}/ui")
    shown = text(browser)
    for words in (
        "gpu-base-cuda", "4.3 GiB of 12.0 GiB, 35 %", "waits for the plugin antivirus", "build-agent-snapshot",
        "unsafe-backing-file", "windows-2025", "It waits for a worker", "rescue-iso",
        "waits for the client to request the import", "wrong-upload", "debian-13-cloud", "6 imports, the newest first",
    ):  # fmt: skip
        assert words in shown, words
    browser.run("[...document.querySelectorAll('a')].find((a) => a.textContent === 'build-agent-snapshot').click()")
    browser.wait("the page of the import", "document.querySelector('h1').textContent === 'build-agent-snapshot'")
    shown = text(browser)
    for words in ("Findings", "byte 8 (0x8)", "decided", "Log lines", "signatures matched", "req-4f1c9a52"):
        assert words in shown, words
    assert browser.complaints() == []


def test_filters_are_a_form_that_works_with_the_keyboard_alone(browser, pages):
    browser.open(f"{pages}/ui")
    browser.key("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    browser.key("Enter")
    browser.wait("the content has the focus", "document.activeElement.id === 'content'")
    for _ in range(3):
        browser.key("Tab")
    assert browser.run("document.activeElement.id") == "code"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.type("unsafe-backing-file")
    browser.key("Enter")
    browser.wait(
        "the filtered list", "location.search.includes('unsafe-backing-file') && document.querySelector('tbody')"
    )
    assert "1 import, the newest first" in text(browser) and "gpu-base-cuda" not in text(browser)
    assert browser.run("document.getElementById('code').value") == "unsafe-backing-file"


def test_the_progress_moves_and_the_end_is_shown_without_a_hand(browser, pages, catalog, example):
    browser.open(f"{pages}/ui/imports/{example.running.id}")
    assert browser.run("document.querySelector('progress').value") == 35
    catalog.progress(example.running, 11_060 << 20)
    catalog.note(example.running, report={"running": {"waits_for": "format"}})
    browser.wait("the progress moves", "document.querySelector('progress').value === 90")
    browser.wait("the slow plugin changes", "document.body.innerText.includes('waits for the plugin format')")
    assert "10.8 GiB of 12.0 GiB, 90 %" in text(browser)
    catalog.fail(example.running, outcome="refused", code="bad-thing", message="A thing is bad.", report=REFUSED)
    browser.wait("the verdict is there", "document.body.innerText.includes('A thing is bad.')")
    browser.wait("with its verdicts", "!!document.querySelector('#verdicts')")
    assert browser.run("document.scripts.length") == 0
    assert browser.complaints() == []


def test_the_pages_are_read_without_scripts(browser, pages, example):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.call("Page.navigate", url=f"{pages}/ui")

    def html() -> str:
        root = browser.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        return str(browser.call("DOM.getOuterHTML", nodeId=root)["outerHTML"])

    def is_loaded() -> bool:
        with contextlib.suppress(AssertionError):  # between two pages, the document is gone before it is read
            return "debian-13-cloud" in html()
        return False

    until("the list is loaded", is_loaded)
    assert 'http-equiv="refresh"' in html() and "35 %" in html()


@pytest.mark.parametrize("width", [320, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_no_page_needs_a_wide_window_and_every_text_can_be_read(browser, pages, example, width, dark):
    browser.size(width, dark=dark)
    for path in (
        "/ui",
        "/ui?code=none",
        f"/ui/imports/{example.refused.id}",
        f"/ui/imports/{example.accepted.id}",
        "/ui?state=x",
    ):
        browser.open(pages + path)
        assert browser.run("document.documentElement.scrollWidth") <= width, path
        assert browser.run(CONTRAST) == [], path
        assert browser.run(NAMELESS) == [], path
        headings = browser.run(HEADINGS)
        assert headings[0] == 1 and headings.count(1) == 1, path
        assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(headings)), path
        assert browser.run("document.documentElement.lang") == "en"
        assert browser.run("[...document.querySelectorAll('table')].every((table) => table.caption)"), path
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (not dark)


def test_the_tree_for_screen_readers_has_the_table_in_a_narrow_window_too(browser, pages):
    browser.size(320)
    browser.open(f"{pages}/ui")
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    assert roles.count("table") == 1 and roles.count("row") == 7 and roles.count("rowheader") == 6
    named = {node["role"]["value"]: node["name"]["value"] for node in nodes if not node["ignored"] and "name" in node}
    assert named["progressbar"] == "Bytes that have arrived" and "Filter the imports" in named["search"]


def test_text_of_a_tenant_is_text(browser, pages, catalog):
    evil = "<img src=x onerror=alert(1)><script>document.title='owned'</script>"
    image = catalog.create_image(name=evil, owner="local")
    task = catalog.begin_import(image.id, method="upload", plan={}, on_failure="requeue")
    catalog.fail(
        task, outcome="refused", code="x", message=evil, report={"verdicts": [{"plugin": evil, "message": evil}]}
    )
    for path in ("/ui", f"/ui/imports/{task.id}", "/ui?text=%3Cscript%3E"):
        browser.open(pages + path)
        assert browser.run("document.querySelectorAll('img, main script').length") == 0
        assert browser.run("document.title") != "owned"
    assert browser.complaints() == []


def test_a_session_begins_with_a_token_and_ends(browser, tmp_path, example):
    with contextlib.closing(_Keystone()) as keystone:
        token = "gAAAAABtoken-of_a-person"
        keystone.add(token, "alice", "local", "member")
        (tmp_path / "password").write_text("secret")
        config = tmp_path / "douane.toml"
        config.write_text(
            f'[serve.keystone]\nauth_url = "{keystone.url}"\nusername = "douane"\npassword_file = "password"\n'
        )
        with serving_pages(tmp_path / "home", config) as pages:
            browser.open(f"{pages}/ui")
            browser.wait("the form", "location.pathname === '/ui/login'")
            browser.run("document.getElementById('token').focus()")
            browser.type("not-a-valid-token")
            browser.key("Enter")
            browser.wait("the refusal", "document.querySelector('[role=alert]')?.textContent.includes('not valid')")
            browser.run("document.getElementById('token').focus()")
            browser.type(token)
            browser.key("Enter")
            browser.wait("the list", "location.pathname === '/ui' && document.querySelector('tbody')")
            assert "Project local" in text(browser) and "administrator" not in text(browser)
            assert browser.run("document.cookie") == ""
            (cookie,) = browser.call("Network.getCookies", urls=[f"{pages}/ui"])["cookies"]
            assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/ui")
            browser.open(f"{pages}/ui/imports/{example.refused.id}")
            assert "Findings" in text(browser) and "For the operator" not in text(browser)
            browser.run("document.querySelector('header button').click()")
            browser.wait("the form again", "location.pathname === '/ui/login'")
            assert browser.call("Network.getCookies", urls=[f"{pages}/ui"])["cookies"] == []
            browser.open(f"{pages}/ui")
            browser.wait("no list", "location.pathname === '/ui/login'")
