"""`douane upload` with a real Keystone: against `douane serve`, and against stock Glance, which cannot continue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.breaking_proxy import BreakingProxy
from support.glance.douane_service import DouaneService
from support.glance.glance_config import GlanceConfig
from support.glance.glance_server import Glance, StartGlance
from support.glance.keystone import Keystone, Tenant
from support.glance.plans import INSPECT
from support.processes import SECONDS

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(8_000_000)


@pytest.fixture(scope="module")
def glance(start_glance: StartGlance) -> Glance:
    return start_glance(GlanceConfig())


@pytest.fixture(scope="module")
def service(keystone: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DouaneService]:
    with ExitStack() as stack:
        running = DouaneService(tmp_path_factory.mktemp("serve"), INSPECT, keystone)
        stack.callback(running.close)
        running.start()
        yield running


@pytest.fixture(scope="module")
def tenant(keystone: Keystone) -> Tenant:
    return keystone.tenant("tenant")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("client") / "image.raw"
    path.write_bytes(DATA)
    return path


def upload(credentials: Mapping[str, str], url: str | None, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    place = [] if url is None else ["--url", url]
    argv = [sys.executable, "-m", "douane", "upload", *place, *map(str, words)]
    environment |= credentials
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)


def application_credential(tenant: Tenant) -> dict[str, str]:
    """The variables of a new application credential of the tenant."""
    secret = {"application_credential": {"name": "upload", "secret": "s3cret"}}
    user = {"name": tenant.name, "domain": {"name": "Default"}, "password": tenant.credentials["OS_PASSWORD"]}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": tenant.name, "domain": {"name": "Default"}}}
    url = tenant.auth_url.rstrip("/").removesuffix("/v3") + "/v3"
    answer = post(f"{url}/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
    token, document = answer.headers["X-Subject-Token"], json.load(answer)
    place = f"{url}/users/{document['token']['user']['id']}/application_credentials"
    credential = json.load(post(place, secret, token))["application_credential"]
    return {
        "OS_AUTH_URL": tenant.auth_url,
        "OS_AUTH_TYPE": "v3applicationcredential",
        "OS_APPLICATION_CREDENTIAL_ID": credential["id"],
        "OS_APPLICATION_CREDENTIAL_SECRET": "s3cret",
    }


def post(url: str, document: object, token: str = "") -> Any:
    headers = {"Content-Type": "application/json", **({"X-Auth-Token": token} if token else {})}
    request = urllib.request.Request(url, json.dumps(document).encode(), headers)
    return urllib.request.urlopen(request, timeout=SECONDS)


@pytest.mark.parametrize("ways", [(), ("--import",)], ids=["file", "import"])
def test_a_password_is_enough_for_the_service(
    service: DouaneService, tenant: Tenant, image: Path, ways: tuple[str, ...]
) -> None:
    proxy = BreakingProxy(("127.0.0.1", service.port), [1_000_000, 5_000_000])
    ended = upload(tenant.credentials, proxy.url, image, *ways)
    proxy.close()
    assert ended.returncode == 0, ended.stderr
    assert proxy.broken == 2
    assert service.data(ended.stdout.strip()) == DATA


def test_an_application_credential_is_enough_for_the_service(
    service: DouaneService, keystone: Keystone, image: Path
) -> None:
    credentials = application_credential(keystone.tenant("other"))
    keystone.publish(service.port)
    ended = upload(credentials, None, image)  # the catalog says where
    assert ended.returncode == 0, ended.stderr


def test_a_wrong_password_is_said(service: DouaneService, tenant: Tenant, image: Path) -> None:
    ended = upload({**tenant.credentials, "OS_PASSWORD": "x"}, f"http://127.0.0.1:{service.port}", image, "--json")
    assert (ended.returncode, json.loads(ended.stdout)["code"]) == (3, "not-authorized")


def test_the_upload_of_another_project_is_not_there(
    service: DouaneService, keystone: Keystone, tenant: Tenant, image: Path
) -> None:
    url = f"http://127.0.0.1:{service.port}"
    broken = BreakingProxy(("127.0.0.1", service.port), [1_000_000] * 50)
    ended = upload(tenant.credentials, broken.url, image, "--patience", "1", "--json")
    broken.close()
    assert ended.returncode == 3
    image_id = ended.stderr.split("image ", 1)[1].split()[0]
    stranger = keystone.tenant("other")
    ended = upload(stranger.credentials, url, image, "--image", image_id)
    assert ended.returncode == 3 and "There is no image" in ended.stderr
    ended = upload(tenant.credentials, url, image, "--image", image_id)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("ways", [(), ("--import",)], ids=["file", "import"])
def test_stock_glance_gets_the_file_too(glance: Glance, tenant: Tenant, image: Path, ways: tuple[str, ...]) -> None:
    ended = upload(tenant.credentials, f"http://127.0.0.1:{glance.port}", image, *ways)
    assert ended.returncode == 0, ended.stderr
    assert "equal by" in ended.stderr and "sha512" in ended.stderr
    assert glance.folders.data(ended.stdout.strip()) == DATA


def test_stock_glance_gets_it_again_when_the_line_breaks(glance: Glance, tenant: Tenant, image: Path) -> None:
    proxy = BreakingProxy(("127.0.0.1", glance.port), [3_000_000])
    ended = upload(tenant.credentials, proxy.url, image)
    proxy.close()
    assert ended.returncode == 0, ended.stderr
    assert proxy.broken == 1
    assert glance.folders.data(ended.stdout.strip()) == DATA
