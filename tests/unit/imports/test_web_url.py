"""URLs of images on the web: which pass, and what is shown of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.errors import SourceError
from douane.imports.settings.structs import WebDownloadSettings
from douane.imports.web.url import WebUrl, parse_redirect, parse_url

PLAIN = WebDownloadSettings()
SHA256 = "ab" * 32


def parse(text: str, **settings: object) -> WebUrl:
    return parse_url(text, WebDownloadSettings(**settings))  # type: ignore[arg-type]


def test_a_url_is_taken_apart():
    url = parse("HTTPS://Images.Example.org.:443/a%20b/c?x=1&y=2#sha256=" + SHA256.upper())
    assert (url.scheme, url.host, url.port, url.target) == ("https", "images.example.org", 443, "/a%20b/c?x=1&y=2")
    assert (url.netloc, url.digest) == ("images.example.org", ("sha256", SHA256))
    assert parse("http://[2606:4700::1111]/").netloc == "[2606:4700::1111]"
    assert parse("http://a.org:8080", ports=(8080,)).netloc == "a.org:8080"
    assert parse("http://a.org:8080", ports=(8080,)).target == "/"


REFUSED = [
    ("ftp://a.org/", "a URL begins with https:// or http://"),
    ("file:///etc/passwd", "no host"),
    ("//a.org/x", "a URL begins with"),
    ("https://", "no host"),
    ("https:///x", "no host"),
    ("https://a.org:99999/", "a wrong port"),
    ("https://a.org:22/", "its port 22 is not one of 443, 80"),
    ("https://user@a.org/", "it has a user or a password"),
    ("https://:secret@a.org/", "it has a user or a password"),
    ("https://a.org\\@127.0.0.1/", "characters that no URL has"),
    ("https://a.org/ x", "characters that no URL has"),
    ("https://a.org/\r\nHost: b", "characters that no URL has"),
    ("https://a..org/", "no host"),
    ("https://[::1%25eth0]/", "no host"),
    ("https://[::1]/", "its address is not public"),
    ("https://127.0.0.1/", "its address is not public"),
    ("https://169.254.169.254/latest", "its address is not public"),
    ("https://a.org/#sha256=1234", "behind # is the expected digest"),
    ("https://a.org/#crc32=12345678", "behind # is the expected digest"),
    ("https://a.org/" + "a" * 9000, "more than 8192 characters"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_a_refused_url_is_called_filtered_and_its_secrets_are_not_repeated(text, reason):
    with pytest.raises(SourceError) as caught:
        parse(text)
    sentence = str(caught.value)
    assert caught.value.code == "not-allowed" and "does not pass filtering" in sentence and reason in sentence
    assert "secret" not in sentence and len(sentence) < 400


def test_the_sentence_has_the_name_of_the_host():
    for text in ("ftp://images.example.org/", "https://u:p@images.example.org/", "https://images.example.org:1/"):
        with pytest.raises(SourceError, match=r"images\.example\.org"):
            parse(text)


def test_credentials_are_a_header_and_never_shown():
    url = parse("https://us%65r:p%40ss@a.org/x?token=secret", credentials=True)
    assert url.authorization == "Basic dXNlcjpwQHNz" and url.target == "/x?token=secret"
    assert url.shown == "https://a.org/x"


BASE = parse_url("https://a.org/dir/x?q=1#sha256=" + SHA256, PLAIN)


@pytest.mark.parametrize(
    ("location", "netloc", "target"),
    [
        ("y", "a.org", "/dir/y"),
        ("/y?z=1", "a.org", "/y?z=1"),
        ("//b.org/y", "b.org", "/y"),
        ("https://b.org", "b.org", "/"),
        ("https://bücher.example/ü x", None, None),
        ("https://bücher.example/ü", "xn--bcher-kva.example", "/%C3%BC"),
    ],
)
def test_a_redirect_is_relative_to_its_url_and_keeps_the_expected_digest(location, netloc, target):
    if netloc is None:
        with pytest.raises(SourceError, match="does not pass filtering"):
            parse_redirect(location, BASE, PLAIN)
        return
    url = parse_redirect(location, BASE, PLAIN)
    assert (url.netloc, url.target, url.digest) == (netloc, target, BASE.digest)


@pytest.mark.parametrize(
    "location",
    [
        "http://a.org/", "http://b.org/", "ftp://a.org/", "https://127.0.0.1/", "https://u:p@b.org/", "https://a.org:22/",
        "https://[::ffff:169.254.169.254]/", "https://[", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_a_redirect_is_checked_as_the_url_was(location):
    with pytest.raises(SourceError, match="does not pass filtering") as caught:
        parse_redirect(location, BASE, PLAIN)
    assert "a.org" in str(caught.value)


def test_credentials_go_to_no_other_host():
    base = parse("https://u:p@a.org/", credentials=True)
    settings = WebDownloadSettings(credentials=True)
    assert parse_redirect("/y", base, settings).authorization == base.authorization
    assert parse_redirect("https://b.org/", base, settings).authorization is None
    with pytest.raises(SourceError, match="a user or a password"):
        parse_redirect("https://u:p@b.org/", base, settings)


@given(st.text(max_size=40).map(lambda text: "http://" + text) | st.text(max_size=60))
def test_any_text_is_a_url_or_a_sentence(text):
    try:
        url = parse(text)
    except SourceError as error:
        assert error.code == "not-allowed"
    else:
        assert url.host and url.target.isascii() and url.target.startswith("/")
        assert not set(url.target + url.netloc) & set(" \r\n\t\0")
