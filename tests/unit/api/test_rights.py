"""Rights (IMAGE-API 1.3 and the rows of 1.1): every role on every kind of image."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from douane.api.errors import HttpError
from douane.api.identity import rights
from douane.api.identity.rights import Identity, ImageAccess, make_identity
from douane.catalog.records import Image, Visibility

WHO = {
    "admin": make_identity("u", "ops", ["Admin", "Member", "Reader"]),
    "owner": make_identity("u", "p1", ["Member", "reader"]),
    "owner reader": make_identity("u", "p1", ["READER"]),
    "member": make_identity("u", "p2", ["member", "reader"]),
    "stranger": make_identity("u", "p3", ["member", "reader"]),
    "service": make_identity("nova", "services", ["service"]),
    "no role": make_identity("u", "p1", []),
    "no project": make_identity("u", "", ["member"]),
}


def make(visibility: Visibility, who: str, **fields: object) -> ImageAccess:
    values: dict[str, object] = {"id": "i1", "owner": "p1", "status": "active", **fields}
    return ImageAccess(visibility=visibility, is_member=who == "member", **values)  # type: ignore[arg-type]


def status(check: Callable[[], None]) -> int:
    try:
        check()
    except HttpError as error:
        return error.status
    return 200


VIEW = {
    "admin": "private shared community public",
    "owner": "private shared community public",
    "owner reader": "private shared community public",
    "member": "shared community public",
    "stranger": "community public",
    "service": "community public",
    "no role": "",
    "no project": "community public",
}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("visibility", ["private", "shared", "community", "public"])
def test_who_sees_an_image(who: str, visibility: Visibility) -> None:
    expected = 200 if visibility in VIEW[who].split() else 404
    assert status(lambda: rights.require_view(WHO[who], make(visibility, who))) == expected


@pytest.mark.parametrize(
    ("who", "private", "public"),
    [
        ("admin", 200, 200),
        ("owner", 200, 200),
        ("owner reader", 403, 403),
        ("member", 404, 403),
        ("stranger", 404, 403),
        ("service", 404, 403),
        ("no role", 404, 404),
    ],
)
def test_who_changes_an_image(who: str, private: int, public: int) -> None:
    assert status(lambda: rights.require_change(WHO[who], make("private", who))) == private
    assert status(lambda: rights.require_change(WHO[who], make("public", who))) == public


@pytest.mark.parametrize(
    ("who", "active", "deactivated"),
    [
        ("admin", 200, 200),
        ("owner", 200, 403),
        ("owner reader", 403, 403),
        ("member", 200, 403),
        ("stranger", 404, 404),
    ],
)
def test_who_downloads_an_image(who: str, active: int, deactivated: int) -> None:
    assert status(lambda: rights.require_download(WHO[who], make("shared", who))) == active
    off = make("shared", who, status="deactivated")
    assert status(lambda: rights.require_download(WHO[who], off)) == deactivated


@pytest.mark.parametrize(("who", "code"), [("admin", 200), ("owner", 200), ("member", 200), ("stranger", 404)])
def test_who_reads_the_list_of_members(who: str, code: int) -> None:
    # No. 14: 404 also where it would be 403, as for a public image of another project.
    assert status(lambda: rights.require_member_list(WHO[who], make("shared", who))) == code
    strange = make("public", who)
    assert status(lambda: rights.require_member_list(WHO[who], strange)) == code


@pytest.mark.parametrize(
    ("who", "code"), [("admin", 200), ("owner", 403), ("member", 200), ("stranger", 404), ("no role", 404)]
)
def test_only_the_member_answers(who: str, code: int) -> None:
    # No. 15: 403 for the owner.
    assert status(lambda: rights.require_member_answer(WHO[who], make("shared", who), "p2")) == code


def test_a_member_does_not_answer_for_another() -> None:
    assert status(lambda: rights.require_member_answer(WHO["member"], make("shared", "member"), "p9")) == 404


def test_an_image_without_an_owner_belongs_to_nobody_not_to_a_token_without_a_project() -> None:
    orphan = make("private", "", owner=None)
    assert status(lambda: rights.require_view(WHO["no project"], orphan)) == 404
    assert status(lambda: rights.require_change(WHO["admin"], orphan)) == 200


def test_a_deleted_image_is_seen_by_no_tenant() -> None:
    assert status(lambda: rights.require_view(WHO["owner"], make("public", "owner", status="deleted"))) == 404


@pytest.mark.parametrize(("who", "admin", "service"), [("admin", 200, 403), ("owner", 403, 403), ("service", 403, 200)])
def test_what_is_for_admins_and_services(who: str, admin: int, service: int) -> None:
    assert status(lambda: rights.require_admin(WHO[who], "list tasks")) == admin
    assert status(lambda: rights.require_service(WHO[who])) == service  # no. 28: the role `service` only


def test_an_invisible_image_and_a_missing_one_get_the_same_words() -> None:
    with pytest.raises(HttpError) as error:
        rights.require_view(WHO["stranger"], make("private", "stranger"))
    assert str(error.value) == str(rights.no_image("i1"))


def test_empty_roles_are_no_roles() -> None:
    assert make_identity("", "", ["", " "]) == Identity()


def test_the_access_to_a_record_of_the_catalog(image: Image) -> None:
    access = rights.image_access(image, is_member=True)
    assert access == ImageAccess(id=image.id, owner="p1", visibility="shared", status="queued", is_member=True)
