"""What people's own clients print when the filter or the import plugin says no, and that they work when it does not."""

from __future__ import annotations

import json
import os
import re

import pytest
from harness.clients import Said, run_client, sdk
from harness.images import settled
from harness.keystone import Keystone, Tenant
from harness.site import Site, is_as_new

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


def says(said: Said) -> str:
    """All that it has printed, in one line, without the frames of tables."""
    return re.sub(r"[\s|+]+", " ", said.out + said.err)


def openstack(site: Site, tenant: Tenant, *words: str) -> Said:
    return run_client(tenant, "openstack", "image", *words, image_port=site.glance.port)


def test_openstack_uploads_what_is_accepted(site: Site, tenant: Tenant, file: str) -> None:
    made = openstack(site, tenant, "create", *FORMATS, "--file", file, "-f", "json", "good")
    assert made.status == 0, made.err
    shown = json.loads(made.out)
    assert site.glance.folders.data(shown["id"]) == DATA
    assert site.state(shown["id"]).properties["acts.seen"] == str(len(DATA))


def test_openstack_says_why_an_upload_is_refused(site: Site, tenant: Tenant, file: str) -> None:
    made = openstack(site, tenant, "create", *FORMATS, "--file", file, "refuse")
    assert (made.status, REASON in says(made)) == (1, True), made


def test_openstack_stages_and_imports(site: Site, tenant: Tenant, file: str) -> None:
    image = site.create("refuse")
    refused = openstack(site, tenant, "stage", "--file", file, image)
    assert (refused.status, REASON in says(refused)) == (1, True), refused
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
    shown = says(openstack(site, tenant, "show", image))
    for told in ("douane_outcome='refused'", "douane_code='evil'", "there is evil in the image"):
        assert told in shown, shown
    (task,) = site.api.must("GET", f"/v2/images/{image}/tasks")["tasks"]
    assert REASON in task["message"]


def test_openstacksdk(site: Site, tenant: Tenant, file: str) -> None:
    import openstack

    image = sdk(tenant, site.glance.port).image
    formats = {"disk_format": "raw", "container_format": "bare"}
    made = image.create_image("good", filename=file, wait=True, allow_duplicates=True, **formats)
    assert site.glance.folders.data(made.id) == DATA
    with pytest.raises(openstack.exceptions.SDKException, match=re.escape(REASON)):
        image.create_image("refuse", filename=file, wait=True, allow_duplicates=True, **formats)

    made = image.create_image("refuse", allow_duplicates=True, **formats)
    with pytest.raises(openstack.exceptions.SDKException, match=re.escape(REASON)):
        image.stage_image(made, filename=file)
    site.rename(made.id, "good")
    image.stage_image(made, filename=file)
    image.import_image(made)
    assert settled(site.api, made.id) == "active"
    assert site.glance.folders.data(made.id) == DATA

    made = image.create_image("refuse", allow_duplicates=True, **formats)
    image.import_image(made, method="web-download", uri=site.downloads.add(made.id, DATA))
    assert settled(site.api, made.id) == "queued"
    assert "there is evil in the image" in image.get_image(made.id).properties["douane_reason"]


def test_glance(site: Site, tenant: Tenant, file: str) -> None:
    image = site.create("refuse")
    refused = run_client(tenant, "glance", "image-upload", "--file", file, image, image_port=site.glance.port)
    assert (refused.status, REASON in says(refused)) == (1, True), refused
    assert is_as_new(site.state(image))
    words = ("image-create-via-import", *FORMATS, "--file", file, "--name", "by-glance")
    made = run_client(tenant, "glance", *words, image_port=site.glance.port)
    assert made.status == 0, made.err
    (image,) = [each["id"] for each in site.api.must("GET", "/v2/images?name=by-glance")["images"]]
    assert settled(site.api, image) == "active"
    assert site.glance.folders.data(image) == DATA
