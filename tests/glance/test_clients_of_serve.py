"""Unchanged clients of the Image API work with `douane serve` and a real Keystone, and show why an image is refused."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.glance.clients import ClientOutput, run_client, sdk, text_of
from support.glance.douane_service import DouaneService
from support.glance.downloads import Downloads
from support.glance.go_client import terraform
from support.glance.images import create, put, settled, start_import
from support.glance.keystone import Keystone, Tenant
from support.glance.plans import INSPECT

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(300_000)
REASON = "there is evil in the image; remove it"
FORMATS = ("--disk-format", "raw", "--container-format", "bare")


@pytest.fixture(scope="module")
def service(
    keystone: Keystone, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DouaneService]:
    with ExitStack() as stack:
        running = DouaneService(tmp_path_factory.mktemp("serve"), INSPECT, keystone, download_port=downloads.port)
        stack.callback(running.close)
        running.start()
        yield running


@pytest.fixture(scope="module")
def tenant(keystone: Keystone) -> Tenant:
    return keystone.tenant("tenant")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("client") / "image"
    path.write_bytes(DATA)
    return str(path)


def openstack(service: DouaneService, tenant: Tenant, *words: str) -> ClientOutput:
    return run_client(tenant, "openstack", "image", *words, image_port=service.port)


def glance(service: DouaneService, tenant: Tenant, *words: str) -> ClientOutput:
    return run_client(tenant, "glance", *words, image_port=service.port)


def test_openstack_creates_shows_saves_and_deletes(service: DouaneService, tenant: Tenant, file: str) -> None:
    output = openstack(service, tenant, "create", *FORMATS, "--file", file, "-f", "json", "good")
    assert output.status == 0, output.err
    image = json.loads(output.out)["id"]
    assert service.data(image) == DATA
    assert openstack(service, tenant, "set", "--property", "os_distro=debian", "--tag", "blue", image).status == 0
    listed = openstack(service, tenant, "list", "--tag", "blue", "-f", "json")
    assert [record["ID"] for record in json.loads(listed.out)] == [image]
    saved = f"{file}.saved"
    assert openstack(service, tenant, "save", "--file", saved, image).status == 0
    with open(saved, "rb") as copy:
        assert copy.read() == DATA
    assert openstack(service, tenant, "delete", image).status == 0
    assert not (service.folder / "fast" / "images" / image).exists()


def test_openstack_prints_why_an_upload_is_refused(service: DouaneService, tenant: Tenant, file: str) -> None:
    output = openstack(service, tenant, "create", *FORMATS, "--file", file, "refuse")
    assert (output.status, REASON in text_of(output)) == (1, True), output


def test_openstack_stages_imports_and_lists_tasks(service: DouaneService, tenant: Tenant, file: str) -> None:
    image = create(service.api(), name="good")
    assert openstack(service, tenant, "stage", "--file", file, image).status == 0
    output = openstack(service, tenant, "import", image)
    assert output.status == 0, output
    assert settled(service.api(), image) == "active"
    assert service.data(image) == DATA
    tasks = openstack(service, tenant, "task", "list", "-f", "json")
    assert "usage" not in tasks.err, tasks  # the command exists; whether tenants may list tasks is Glance's policy
    (task,) = service.api().must("GET", f"/v2/images/{image}/tasks")["tasks"]
    assert (task["status"], task["type"]) == ("success", "api_image_import")


def test_a_refused_import_says_why_on_the_image_and_on_the_task(
    service: DouaneService, tenant: Tenant, file: str
) -> None:
    image = create(service.api(), name="refuse")
    assert openstack(service, tenant, "stage", "--file", file, image).status == 0
    assert openstack(service, tenant, "import", image).status == 0
    assert settled(service.api(), image) == "queued"
    text = text_of(openstack(service, tenant, "show", image))
    for words in ("douane_outcome='refused'", "douane_code='evil'", REASON):
        assert words in text, text
    (task,) = service.api().must("GET", f"/v2/images/{image}/tasks")["tasks"]
    assert REASON in task["message"]
    assert (task["status"], task["result"]["outcome"]) == ("failure", "refused")


def test_openstack_downloads_from_a_url(service: DouaneService, tenant: Tenant, downloads: Downloads) -> None:
    image = create(service.api(), name="good")
    words = ("import", "--method", "web-download", "--uri", downloads.add(image, DATA), image)
    assert openstack(service, tenant, *words).status == 0
    assert settled(service.api(), image) == "active"
    assert service.data(image) == DATA


def test_an_import_goes_into_several_stores(service: DouaneService, tenant: Tenant, file: str) -> None:
    image = create(service.api(), name="good")
    assert put(service.api(), image, "stage", DATA, chunked=True).status == 204
    assert start_import(service.api(), image, all_stores=True).status == 202
    assert settled(service.api(), image) == "active"
    assert service.data(image, "fast") == service.data(image, "second") == DATA
    assert service.api().must("GET", f"/v2/images/{image}")["stores"] == "fast,second"


def test_the_glance_client_uploads_and_imports(service: DouaneService, tenant: Tenant, file: str) -> None:
    image = create(service.api(), name="refuse")
    refused = glance(service, tenant, "image-upload", "--file", file, image)
    assert (refused.status, REASON in text_of(refused)) == (1, True), refused
    words = ("image-create-via-import", *FORMATS, "--file", file, "--name", "by-glance")
    output = glance(service, tenant, *words)
    assert output.status == 0, output.err
    (image,) = [record["id"] for record in service.api().must("GET", "/v2/images?name=by-glance")["images"]]
    assert settled(service.api(), image) == "active"
    assert service.data(image) == DATA
    assert "success" in text_of(glance(service, tenant, "image-tasks", image))
    assert "fast" in text_of(glance(service, tenant, "stores-info"))


def test_openstacksdk(service: DouaneService, tenant: Tenant, file: str) -> None:
    import openstack as openstack_sdk

    image = sdk(tenant, service.port).image
    formats = {"disk_format": "raw", "container_format": "bare"}
    for by_import in (False, True):
        record = image.create_image(
            "good", filename=file, wait=True, allow_duplicates=True, use_import=by_import, **formats
        )
        assert settled_or_uploaded(service, record.id) == "active"
        assert service.data(record.id) == DATA
    with pytest.raises(openstack_sdk.exceptions.SDKException, match=re.escape(REASON)):
        image.create_image("refuse", filename=file, wait=True, allow_duplicates=True, **formats)
    assert {store.id for store in image.stores()} == {"fast", "second"}


def settled_or_uploaded(service: DouaneService, image: str) -> str:
    tasks = service.api().must("GET", f"/v2/images/{image}/tasks")["tasks"]
    if tasks:
        return settled(service.api(), image)
    status: str = service.api().must("GET", f"/v2/images/{image}")["status"]
    return status


def test_terraform_uploads_waits_compares_the_checksum_changes_and_deletes(service: DouaneService, file: str) -> None:
    result = terraform(service.port, service.api().token, "upload", file, "good")
    assert result == {"status": 204, "sent": len(DATA), "size": len(DATA)}


def test_terraform_shows_why_an_upload_is_refused(service: DouaneService, file: str) -> None:
    result = terraform(service.port, service.api().token, "upload", file, "refuse")
    assert REASON in result["answer"], result


def test_terraform_imports_from_a_url_and_is_told_at_once_that_another_is_wrong(
    service: DouaneService, downloads: Downloads
) -> None:
    token = service.api().token
    result = terraform(service.port, token, "web-download", downloads.add("terraform", DATA), "good")
    assert (result["status"], result["size"]) == (202, len(DATA)), result
    result = terraform(service.port, token, "web-download", downloads.url("no-such-file"), "good")
    assert result["status"] == 400, result
    assert "127.0.0.1" in result["answer"]


def test_terraform_shares_an_image(service: DouaneService, keystone: Keystone, file: str) -> None:
    other = keystone.tenant("other").project_id
    result = terraform(service.port, service.api().token, "share", file, other)
    assert json.loads(result["answer"])["members"][0]["member_id"] == other


def test_a_tenant_cannot_forge_a_verdict(service: DouaneService) -> None:
    api = service.api()
    reserved = {"name": "x", "disk_format": "raw", "container_format": "bare", "douane_outcome": "accepted"}
    assert api.json("POST", "/v2/images", reserved).status == 403
    image = create(api, name="x")
    patch = [{"op": "add", "path": "/douane_outcome", "value": "accepted"}]
    form = "application/openstack-images-v2.1-json-patch"
    assert api.json("PATCH", f"/v2/images/{image}", patch, content_type=form).status == 403


def test_without_a_token_or_with_a_wrong_one_nothing_is_shown(service: DouaneService) -> None:
    for api in (service.api(None), type(service.api())(service.port, "wrong")):
        reply = api.json("GET", "/v2/images")
        assert reply.status == 401
        assert "Keystone uri=" in reply.headers["www-authenticate"]


def test_another_project_does_not_see_a_private_image(service: DouaneService) -> None:
    image = create(service.api(), name="mine", visibility="private")
    assert service.api("other").json("GET", f"/v2/images/{image}").status == 404
    assert put(service.api("other"), image, "file", DATA).status == 404


class WithoutKeystone(Tenant):
    """Whoever runs a client of a service at `auth_url` that has no Keystone."""

    @property
    def credentials(self) -> dict[str, str]:
        return {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": self.auth_url}


def test_openstack_works_without_keystone(tmp_path_factory: pytest.TempPathFactory, file: str) -> None:
    folder = tmp_path_factory.mktemp("open")
    with ExitStack() as stack:
        service = DouaneService(folder, INSPECT, None)
        stack.callback(service.close)
        service.start()
        nobody = WithoutKeystone("", "", f"http://127.0.0.1:{service.port}")
        words = ("image", "create", *FORMATS, "--file", file)
        made = run_client(nobody, "openstack", *words, "-f", "json", "good")
        assert made.status == 0, made
        assert service.data(json.loads(made.out)["id"]) == DATA
        refused = run_client(nobody, "openstack", *words, "refuse")
        assert REASON in text_of(refused), refused
