"""The bodies about members (IMAGE-API no. 13 and 15) and locations (no. 28)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from douane.api.errors import HttpError
from douane.api.requests.location_request import NewLocation, read_location
from douane.api.requests.member_requests import read_answer, read_member, read_new_member


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_project_becomes_a_member_and_answers() -> None:
    assert read_new_member(encode({"member": "p2"})) == "p2"
    assert [read_answer(encode({"status": word})) for word in ("pending", "accepted", "rejected")] == [
        "pending",
        "accepted",
        "rejected",
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "no 'member'"),
        ({"member": ""}, "1 to 255 characters"),
        ({"member": " "}, "1 to 255 characters"),
        ({"member": "x" * 256}, "1 to 255 characters"),
        ({"member": "a\nb"}, "1 to 255 characters"),
        ({"member": None}, "must be a string, not null"),
        ({"member": ["p2"]}, "must be a string, not an array"),
        ([], "must be a JSON object"),
    ],
)
def test_a_member_that_is_no_project(value: Any, words: str) -> None:
    with pytest.raises(HttpError, match=words) as error:
        read_new_member(encode(value))
    assert error.value.status == 400


def test_a_member_in_a_path_is_checked_as_well() -> None:
    with pytest.raises(HttpError, match="1 to 255"):
        read_member("x" * 256)


@pytest.mark.parametrize("value", [{}, {"status": "yes"}, {"status": None}, {"status": []}, {"status": "Accepted"}])
def test_an_answer_is_one_of_three_words(value: Any) -> None:
    with pytest.raises(HttpError, match="one of pending, accepted, rejected") as error:
        read_answer(encode(value))
    assert error.value.status == 400


RBD = "rbd://fsid/pool/image/snap"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"url": RBD}, NewLocation(url=RBD)),
        ({"url": RBD, "validation_data": None}, NewLocation(url=RBD)),
        ({"url": RBD, "validation_data": {}}, NewLocation(url=RBD)),
        (
            {"url": RBD, "validation_data": {"os_hash_algo": "sha256", "os_hash_value": "AB" * 32}},
            NewLocation(url=RBD, algorithm="sha256", digest="ab" * 32),
        ),
    ],
)
def test_a_location(value: Any, expected: NewLocation) -> None:
    assert read_location(encode(value)) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "must be a URL"),
        ({"url": 7}, "must be a URL"),
        ({"url": "/etc/passwd"}, "must be a URL"),
        ({"url": "rbd://a b"}, "must be a URL"),
        ({"url": "rbd://" + "x" * 2048}, "at most 2048"),
        ({"url": RBD, "validation_data": "x"}, "must be an object"),
        ({"url": RBD, "validation_data": {"os_hash_algo": "sha256"}}, "64 hexadecimal digits"),
        ({"url": RBD, "validation_data": {"os_hash_value": "ab"}}, "must be one of md5, sha256, sha512"),
        ({"url": RBD, "validation_data": {"os_hash_algo": "sha1", "os_hash_value": "a" * 40}}, "must be one of"),
        ({"url": RBD, "validation_data": {"os_hash_algo": ["md5"]}}, "must be one of"),
        ({"url": RBD, "validation_data": {"os_hash_algo": "md5", "os_hash_value": "g" * 32}}, "32 hexadecimal"),
        ({"url": RBD, "validation_data": {"os_hash_algo": "md5", "os_hash_value": "a" * 31}}, "32 hexadecimal"),
        ({"url": RBD, "validation_data": {"size": 7}}, "'size', which is not known"),
    ],
)
def test_a_location_that_is_refused(value: Any, words: str) -> None:
    with pytest.raises(HttpError, match=words) as error:
        read_location(encode(value))
    assert error.value.status == 400
