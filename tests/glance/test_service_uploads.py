"""Images that Nova and Cinder upload: they know `PUT /file` alone, and some of these images have no bytes."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import pytest

from support.glance.downloads import Downloads
from support.glance.glance_server import StartGlance
from support.glance.http import Reply
from support.glance.images import OCTETS, settled
from support.glance.keystone import Keystone
from support.glance.site import Site, is_as_new, with_douane

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(300_000)
PLAN = """
[[plugin]]
name = "format"
use = "format"

[[plugin]]
name = "unpack"
use = "decompress"
exempt_roles = ["service"]

[[plugin]]
name = "convert"
use = "convert"
only = "import"

[[plugin]]
name = "limits"
use = "limits"
config = { max_size = "1GiB", formats = ["raw", "qcow2"] }
"""


@pytest.fixture(scope="module")
def site(start_glance: StartGlance, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(PLAN)
    return Site(start_glance(with_douane(folder / "state", {"config": str(folder / "douane.toml")})), downloads)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("snapshot") / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"], check=True)
    return path.read_bytes()


def test_nova_registers_the_snapshot_of_a_server_that_boots_from_a_volume(site: Site) -> None:
    """As nova.image.glance does: an image of raw and bare, whose size is 0, becomes active by an empty upload."""
    from glanceclient import Client  # only the environment of these tests has it; `make test` collects them, too

    images = Client("2", endpoint=f"http://127.0.0.1:{site.glance.port}", token=site.api.token).images
    image = images.create(name="snapshot", disk_format="raw", container_format="bare", block_device_mapping="[]")
    images.upload(image.id, "")
    state = site.state(image.id)
    assert (state.status, state.size, state.properties["format.disk_format"]) == ("active", 0, "raw")


@pytest.mark.parametrize("action", ["file", "stage"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_raw_image_without_bytes_becomes_active(site: Site, action: str, chunked: bool) -> None:
    image = site.create("empty")
    reply = site.put(image, action, iter([]) if chunked else b"", chunked=chunked)
    assert reply.status == 204, reply.text
    if action == "stage":
        site.start_import(image)
        assert settled(site.api, image) == "active"
    state = site.state(image)
    assert (state.status, state.size, state.staged) == ("active", 0, ())


def test_a_qcow2_image_without_bytes_is_refused(site: Site) -> None:
    image = site.create("empty", disk_format="qcow2")
    reply = site.put(image, "file", b"")
    assert (reply.status, reply.headers["x-douane-code"]) == (422, "empty")
    assert is_as_new(site.state(image))


def test_a_transform_for_imports_leaves_an_upload_as_it_is(site: Site, snapshot: bytes) -> None:
    image = site.create("snapshot", disk_format="qcow2")
    reply = site.put(image, "file", snapshot)
    assert reply.status == 204, reply.text
    assert site.glance.folders.data(image) == snapshot

    image = site.create("imported", disk_format="qcow2")
    assert site.put(image, "stage", snapshot).status == 204
    site.start_import(image)
    assert settled(site.api, image) == "active"
    record = site.api.must("GET", f"/v2/images/{image}")
    assert (record["disk_format"], record["size"]) == ("raw", 64 << 20)


def test_a_service_is_exempt_by_the_role_of_its_own_token(site: Site, keystone: Keystone) -> None:
    """Nova and Cinder send the user's token, and one of their own."""
    packed = gzip.compress(DATA)

    def upload(image: str, **headers: str) -> Reply:
        return site.api.request("PUT", f"/v2/images/{image}/file", packed, headers={**OCTETS, **headers})

    image = site.create("packed")
    for headers in ({}, {"X-Service-Token": "made up"}, {"X-Service-Roles": "service"}):
        reply = upload(image, **headers)
        assert reply.status in (401, 422), reply.text
        assert is_as_new(site.state(image))
    reply = upload(image, **{"X-Service-Token": keystone.token("service")})
    assert reply.status == 204, reply.text
    assert site.glance.folders.data(image) == packed


def test_an_operator_can_forbid_images_without_bytes(
    start_glance: StartGlance, downloads: Downloads, tmp_path: Path
) -> None:
    (tmp_path / "douane.toml").write_text(
        '[[plugin]]\nname = "format"\nuse = "format"\nconfig = { empty = "refuse" }\n'
    )
    site = Site(start_glance(with_douane(tmp_path / "state", {"config": str(tmp_path / "douane.toml")})), downloads)
    image = site.create("empty")
    reply = site.put(image, "file", b"")
    assert (reply.status, reply.headers["x-douane-code"]) == (422, "empty")
    assert is_as_new(site.state(image))
