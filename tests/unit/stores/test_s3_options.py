"""The settings of an S3 store: what is wrong is named, and credentials are never shown."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from douane.errors import PlanError
from douane.stores import open_store
from douane.stores.s3.errors import explain
from douane.stores.s3.options import S3Options, bucket_url, split_location
from douane.stores.s3.signed_request import Signer

SECRET = "wJalrXUtnFEMI"  # of the examples of AWS


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "WEB_IDENTITY_TOKEN_FILE", "CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)


@pytest.mark.parametrize(
    ("url", "expected"), [("//b", ("b", "")), ("//b/", ("b", "")), ("//b/a/c", ("b", "a/c")), ("//b/a/", ("b", "a"))]
)
def test_the_url_names_a_bucket_and_a_prefix(url: str, expected: tuple[str, str]) -> None:
    assert split_location(url) == expected


@pytest.mark.parametrize(
    "url", ["", "b", "/b", "//", "///x", "//k:s@b/x", "//b:80", "//b/../c", "//b/a//c", "//b?x", "//b#x"]
)
def test_another_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(PlanError, match="s3://BUCKET/PREFIX") as raised:
        open_store(f"s3:{url}")
    assert "k:s" not in str(raised.value)


def test_without_credentials_there_is_no_store() -> None:
    with pytest.raises(PlanError, match="'credentials_file', or set AWS_ACCESS_KEY_ID"):
        open_store("s3://bucket")


@pytest.mark.parametrize(
    "content",
    [
        "",
        SECRET,
        f"aws_secret_access_key = {SECRET}",
        f"[default]\naws_secret_access_key = {SECRET}",
        f"[default]\naws_access_key_id =\naws_secret_access_key = {SECRET}",
        f"[other]\naws_access_key_id = A\naws_secret_access_key = {SECRET}",
        f"[default\naws_access_key_id = A\naws_secret_access_key = {SECRET}",
        f"[default]\n{SECRET}\n{SECRET}",
    ],
)
def test_a_file_without_credentials_is_named_and_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "credentials"
    path.write_text(content)
    with pytest.raises(PlanError, match="is no file of credentials") as raised:
        open_store("s3://bucket", {"credentials_file": str(path)})
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("option", ["credentials_file", "ca_file"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, option: str) -> None:
    good = tmp_path / "credentials"
    good.write_text(f"[default]\naws_access_key_id = A\naws_secret_access_key = {SECRET}\n")
    options = {"credentials_file": str(good), option: str(tmp_path / "missing")}
    with pytest.raises(PlanError, match=f"'{option}' .*missing cannot be read"):
        open_store("s3://bucket", options)


def test_the_store_does_not_show_its_credentials(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text(f"[default]\naws_access_key_id = AKIA123\naws_secret_access_key = {SECRET}\n")
    store = open_store("s3://bucket", {"credentials_file": str(path), "ca_file": None})
    bucket = vars(store)["_bucket"]
    text = repr(store) + repr(vars(store)) + repr(vars(bucket)) + repr(vars(vars(store)["_uploads"]))
    assert SECRET not in text
    assert "AKIA123" not in text
    (tmp_path / "ca").write_text("no certificate")
    with pytest.raises(PlanError, match="'ca_file' is wrong") as raised:
        open_store("s3://bucket", {"credentials_file": str(path), "ca_file": str(tmp_path / "ca")})
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_an_option_of_another_kind_is_refused() -> None:
    with pytest.raises(PlanError, match="'endpoint' is no setting of a store of the kind 'file'"):
        open_store("file:/tmp/x", {"endpoint": "http://x"})


def test_the_url_of_the_bucket() -> None:
    options = S3Options(endpoint="https://s3.example.org/")
    assert bucket_url("b", options) == "https://s3.example.org/b"
    assert bucket_url("b", S3Options(endpoint="https://s3.example.org", path_style=False)) == "https://b.s3.example.org"
    assert bucket_url("b", S3Options(region="eu-west-1")) == "https://s3.eu-west-1.amazonaws.com/b"


def test_a_request_is_signed_as_the_example_of_the_reference() -> None:
    """ "Signature Calculations for the Authorization Header", example "GET Bucket Lifecycle"."""
    from datetime import UTC, datetime

    signer = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, "us-east-1")
    url = "https://examplebucket.s3.amazonaws.com/?lifecycle="
    headers = signer.headers("GET", url, b"", datetime(2013, 5, 24, tzinfo=UTC))
    signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    assert headers["authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("status code: 403 Forbidden: <Code>QuotaExceeded</Code>", "store-full"),
        ("status code: 507 Insufficient Storage: <Code>XMinioStorageFull</Code>", "store-full"),
        ("status code: 403 Forbidden: <Code>AccessDenied</Code>", "store-unreadable"),
        ("status code: 401 Unauthorized: ", "store-unreadable"),
        ("status code: 404 Not Found: <Code>NoSuchBucket</Code>", "store-away"),
        ("status code: 503 Service Unavailable: <Code>SlowDown</Code>", "store-away"),
        ("status code: 500 Internal Server Error: ", "store-away"),
        ("HTTP error: error sending request ... kind: Connect,", "store-away"),
        ("status code: 400 Bad Request: <Code>InvalidRequest</Code>", "store-io"),
    ],
)
def test_the_answers_of_servers_have_codes(text: str, code: str) -> None:
    from obstore.exceptions import GenericError

    error = explain(
        GenericError(f"{text}<AWSAccessKeyId>AKIA123</AWSAccessKeyId>"), "read the image", "s3://b", "images/x"
    )
    assert error.code == code
    assert "AKIA123" not in str(error)
    assert "s3://b" in str(error)
