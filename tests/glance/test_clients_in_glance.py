"""Common clients: they work, and print why an image is refused."""

from __future__ import annotations

import json
import os
import re

import pytest

from support.glance.clients import ClientOutput, run_client, sdk, text_of
from support.glance.images import settled
from support.glance.keystone import Keystone, Tenant
from support.glance.site import Site, is_as_new

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(300_000)
REASON = "there is evil in the image; remove it (evil)"
FORMATS = ("--disk-format", "raw", "--container-format", "bare")


@pytest.fixture
def site(usual_site: Site) -> Site:
    return usual_site


@pytest.fixture(scope="module")
def tenant(keystone: Keystone) -> Tenant:
    return keystone.tenant("tenant")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("client") / "image"
    path.write_bytes(DATA)
    return str(path)


def openstack(site: Site, tenant: Tenant, *words: str) -> ClientOutput:
    return run_client(tenant, "openstack", "image", *words, image_port=site.glance.port)


def test_openstack_uploads_an_accepted_image(site: Site, tenant: Tenant, file: str) -> None:
    output = openstack(site, tenant, "create", *FORMATS, "--file", file, "-f", "json", "good")
    assert output.status == 0, output.err
    record = json.loads(output.out)
    assert site.glance.folders.data(record["id"]) == DATA
    assert site.state(record["id"]).properties["acts.seen"] == str(len(DATA))


def test_openstack_prints_why_an_upload_is_refused(site: Site, tenant: Tenant, file: str) -> None:
    output = openstack(site, tenant, "create", *FORMATS, "--file", file, "refuse")
    assert (output.status, REASON in text_of(output)) == (1, True), output


LATER = {
    "defer": "The image cannot be checked now: come again in a minute (deferred)",
    "crash": "That is a fault of this service, not of the image; nothing of it was kept. Try again later, or ask the "
    "operator (plugin-died)",
}


@pytest.mark.parametrize("name", LATER)
def test_every_client_prints_why_an_image_could_not_be_checked(
    site: Site, tenant: Tenant, file: str, name: str
) -> None:
    """And none sends the image again, without its bytes: they were read."""
    import openstack as openstack_sdk

    image = sdk(tenant, site.glance.port).image
    inspections = site.glance.log.count(f"begins with {name}.")
    outputs = [
        openstack(site, tenant, "create", *FORMATS, "--file", file, name),
        openstack(site, tenant, "stage", "--file", file, site.create(name)),
        run_client(tenant, "glance", "image-upload", "--file", file, site.create(name), image_port=site.glance.port),
    ]
    assert [(output.status, LATER[name] in text_of(output)) for output in outputs] == [(1, True)] * 3, outputs
    with pytest.raises(openstack_sdk.exceptions.SDKException, match=re.escape(LATER[name])):
        image.create_image(
            name, filename=file, wait=True, allow_duplicates=True, disk_format="raw", container_format="bare"
        )
    assert site.glance.log.count(f"begins with {name}.") == inspections + 4
    assert "announced bytes" not in site.glance.log


def test_openstack_stages_and_imports(site: Site, tenant: Tenant, file: str) -> None:
    image = site.create("refuse")
    refused = openstack(site, tenant, "stage", "--file", file, image)
    assert (refused.status, REASON in text_of(refused)) == (1, True), refused
    assert is_as_new(site.state(image))
    site.rename(image, "good")
    assert openstack(site, tenant, "stage", "--file", file, image).status == 0
    assert openstack(site, tenant, "import", image).status == 0
    assert settled(site.api, image) == "active"
    assert site.glance.folders.data(image) == DATA


def test_openstack_shows_why_a_download_was_refused(site: Site, tenant: Tenant) -> None:
    image = site.create("refuse")
    uri = site.downloads.add(image, DATA)
    assert openstack(site, tenant, "import", "--method", "web-download", "--uri", uri, image).status == 0
    assert settled(site.api, image) == "queued"
    text = text_of(openstack(site, tenant, "show", image))
    for property_text in ("douane_outcome='refused'", "douane_code='evil'", "there is evil in the image"):
        assert property_text in text, text
    (task,) = site.api.must("GET", f"/v2/images/{image}/tasks")["tasks"]
    assert REASON in task["message"]


def test_openstacksdk(site: Site, tenant: Tenant, file: str) -> None:
    import openstack

    image = sdk(tenant, site.glance.port).image
    formats = {"disk_format": "raw", "container_format": "bare"}
    record = image.create_image("good", filename=file, wait=True, allow_duplicates=True, **formats)
    assert site.glance.folders.data(record.id) == DATA
    with pytest.raises(openstack.exceptions.SDKException, match=re.escape(REASON)):
        image.create_image("refuse", filename=file, wait=True, allow_duplicates=True, **formats)

    record = image.create_image("refuse", allow_duplicates=True, **formats)
    with pytest.raises(openstack.exceptions.SDKException, match=re.escape(REASON)):
        image.stage_image(record, filename=file)
    site.rename(record.id, "good")
    image.stage_image(record, filename=file)
    image.import_image(record)
    assert settled(site.api, record.id) == "active"
    assert site.glance.folders.data(record.id) == DATA

    record = image.create_image("refuse", allow_duplicates=True, **formats)
    image.import_image(record, method="web-download", uri=site.downloads.add(record.id, DATA))
    assert settled(site.api, record.id) == "queued"
    assert "there is evil in the image" in image.get_image(record.id).properties["douane_reason"]


def test_the_glance_client(site: Site, tenant: Tenant, file: str) -> None:
    image = site.create("refuse")
    refused = run_client(tenant, "glance", "image-upload", "--file", file, image, image_port=site.glance.port)
    assert (refused.status, REASON in text_of(refused)) == (1, True), refused
    assert is_as_new(site.state(image))
    words = ("image-create-via-import", *FORMATS, "--file", file, "--name", "by-glance")
    output = run_client(tenant, "glance", *words, image_port=site.glance.port)
    assert output.status == 0, output.err
    (image,) = [record["id"] for record in site.api.must("GET", "/v2/images?name=by-glance")["images"]]
    assert settled(site.api, image) == "active"
    assert site.glance.folders.data(image) == DATA
