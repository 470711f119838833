"""Who sends a request: without authentication, and with Keystone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.api.errors import HttpError
from douane.api.identity.auth import NoAuthentication
from douane.api.identity.keystone import KeystoneAuthentication, TokenCache
from douane.api.identity.rights import Identity
from douane.errors import PlanError
from douane.imports.settings import KeystoneSettings
from douane.imports.settings.values import FilePath
from support.fake_keystone import FakeKeystone


@pytest.fixture
def keystone() -> Iterator[FakeKeystone]:
    started = FakeKeystone()
    started.add("t1", "u1", "p1", "Member", "reader")
    started.add("s1", "nova", "service", "service")
    yield started
    started.stop()


@pytest.fixture
def authentication(keystone: FakeKeystone, tmp_path: Path) -> KeystoneAuthentication:
    return KeystoneAuthentication(settings(keystone.url, tmp_path))


def settings(url: str, folder: Path) -> KeystoneSettings:
    (folder / "password").write_text("secret\n")
    return KeystoneSettings(auth_url=url, username="douane", password_file=FilePath(folder / "password"))


def identify(authentication: KeystoneAuthentication, **headers: str) -> Identity:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return authentication.identify(sent, "GET", "/v2/images")


def refusal(authentication: KeystoneAuthentication | NoAuthentication, **headers: str) -> HttpError:
    with pytest.raises(HttpError) as caught:
        identify(authentication, **headers)  # type: ignore[arg-type]
    return caught.value


def test_a_token_gives_user_project_and_roles(authentication: KeystoneAuthentication) -> None:
    identity = identify(authentication, x_auth_token="t1")
    assert (identity.user_id, identity.project_id, identity.roles) == ("u1", "p1", {"member", "reader"})


def test_a_service_token_adds_the_role_service_and_no_other(authentication: KeystoneAuthentication) -> None:
    identity = identify(authentication, x_auth_token="t1", x_service_token="s1")
    assert identity.is_service
    assert identity.project_id == "p1"
    assert not identity.is_admin


def test_another_users_token_is_no_service_token(
    authentication: KeystoneAuthentication, keystone: FakeKeystone
) -> None:
    assert refusal(authentication, x_auth_token="t1", x_service_token="t1").status == 401


@pytest.mark.parametrize("headers", [{}, {"x_auth_token": ""}, {"x_auth_token": "other"}, {"x_service_token": "s1"}])
def test_without_a_valid_token_it_is_401_with_the_place_of_keystone(
    authentication: KeystoneAuthentication, keystone: FakeKeystone, headers: dict[str, str]
) -> None:
    error = refusal(authentication, **headers)
    assert error.status == 401
    assert error.headers["WWW-Authenticate"] == f'Keystone uri="{keystone.url}"'


def test_headers_that_only_the_middleware_sets_are_not_believed(authentication: KeystoneAuthentication) -> None:
    forged = {"x_roles": "admin", "x_project_id": "p9", "x_identity_status": "Confirmed", "x_service_roles": "service"}
    identity = identify(authentication, x_auth_token="t1", **forged)
    assert (identity.project_id, identity.is_admin, identity.is_service) == ("p1", False, False)
    assert refusal(authentication, **forged).status == 401


def test_keystone_is_asked_once_about_a_token(authentication: KeystoneAuthentication, keystone: FakeKeystone) -> None:
    for _ in range(5):
        identify(authentication, x_auth_token="t1")
    assert keystone.state.questions == 1


def test_without_keystone_it_is_503(authentication: KeystoneAuthentication, keystone: FakeKeystone) -> None:
    keystone.stop()
    error = refusal(authentication, x_auth_token="t1")
    assert error.status == 503
    assert error.headers["Retry-After"]


def test_a_password_that_cannot_be_read_is_named(keystone: FakeKeystone, tmp_path: Path) -> None:
    broken = settings(keystone.url, tmp_path)
    (tmp_path / "password").unlink()
    with pytest.raises(PlanError, match="password_file"):
        KeystoneAuthentication(broken)


@pytest.mark.parametrize("host", ["localhost", "localhost:9292", "127.0.0.1:9292", "[::1]:9292", "a.localhost:1"])
def test_without_authentication_a_client_of_this_machine_is_an_administrator(host: str) -> None:
    identity = NoAuthentication().identify({"host": host}, "GET", "/v2/images")
    assert identity.is_admin
    assert identity.project_id == "local"
    assert not identity.is_service


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:9292", "", "10.0.0.1", "[::1"])
def test_a_name_that_is_not_of_loopback_is_refused(host: str) -> None:
    assert refusal(NoAuthentication(), host=host).status == 403
    assert NoAuthentication(any_host=True).identify({"host": host}, "GET", "/").is_admin


def test_a_page_of_another_site_may_not_use_the_browser_of_somebody_here() -> None:
    authentication = NoAuthentication()
    assert refusal(authentication, host="localhost:9292", origin="https://evil.example").status == 403
    assert refusal(authentication, host="localhost:9292", origin="null").status == 403
    assert refusal(authentication, host="localhost:9292", origin="http://[").status == 403
    own = {"host": "localhost:9292", "origin": "http://localhost:9292"}
    assert authentication.identify(own, "POST", "/v2/images").is_admin


def test_the_cache_of_tokens_forgets_the_oldest_and_what_is_too_old() -> None:
    cache = TokenCache(limit=2)
    for n in range(3):
        cache.set(n, n, time=60)
    assert [cache.get(n) for n in range(3)] == [None, 1, 2]
    cache.set(1, 1, time=0)
    assert cache.get(1) is None
