"""A Glance that stores images in S3, in parts: nothing stays there of an image that is not stored."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from support.glance.downloads import Downloads
from support.glance.glance_server import StartGlance
from support.glance.half_upload import HalfUpload
from support.glance.images import settled
from support.glance.plans import inspect_plan
from support.glance.s3 import PART_BYTES, S3
from support.glance.site import Site, is_as_new, with_douane
from support.glance.under_way import is_recovered
from support.glance.wsgi_servers import Serving
from support.waiting import until

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(3 * PART_BYTES)


@dataclass
class S3Site(Site):
    """A Glance, and the service that has its images."""

    s3: S3


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    server = S3(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def site(start_glance: StartGlance, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory, s3: S3) -> S3Site:
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(inspect_plan(stall="1h", timeout="1h"))
    serving = Serving("uwsgi", processes=2, threads=4)
    config = with_douane(folder / "state", {"config": str(folder / "douane.toml")}, serving=serving)
    options = {
        "DEFAULT": {"enabled_backends": "fast:file, second:file, bucket:s3"},
        "glance_store": {"default_backend": "bucket"},
        "bucket": s3.store_options(),
    }
    return S3Site(start_glance(replace(config, options=options)), downloads, s3)


def assert_gets_in(site: S3Site, image: str) -> None:
    """Assert that the image gets in when it is sent again."""
    site.rename(image, "good")
    reply = site.put(image, "file", DATA)
    assert reply.status == 204, reply.text
    assert (site.state(image).status, site.s3.data(image)) == ("active", DATA)
    assert image not in site.s3.unfinished()


@pytest.mark.parametrize(("name", "status"), [("refuse", 422), ("crash", 500)])
def test_no_parts_stay_of_an_upload_that_is_not_accepted(site: S3Site, name: str, status: int) -> None:
    image = site.create(name)
    assert site.put(image, "file", DATA).status == status
    assert site.s3.has_begun(image)
    assert image not in site.s3.unfinished()
    assert is_as_new(site.state(image))
    assert_gets_in(site, image)


def half_sent(site: S3Site) -> tuple[str, HalfUpload]:
    """An image of which a part is stored, and its upload."""
    image = site.create("good")
    upload = HalfUpload(site.api, image, "file", DATA, 2 * PART_BYTES)
    until("a part of it is stored", lambda: site.s3.has_begun(image) and image in site.s3.unfinished())
    return image, upload


def test_no_parts_stay_of_an_upload_that_its_client_gave_up(site: S3Site) -> None:
    image, upload = half_sent(site)
    upload.close()
    until("the parts are deleted", lambda: image not in site.s3.unfinished())
    until("the image is queued", lambda: is_as_new(site.state(image)))
    assert_gets_in(site, image)


def test_no_parts_stay_of_an_upload_during_which_glance_was_killed(site: S3Site) -> None:
    image, upload = half_sent(site)
    with upload:
        site.glance.kill()
    site.glance.restart()
    assert is_recovered(site.state(image)), site.state(image)
    assert image not in site.s3.unfinished()
    assert_gets_in(site, image)


def test_the_parts_of_an_upload_under_way_are_left_alone(site: S3Site) -> None:
    """A second upload of the same image is refused, and a third image is refused meanwhile."""
    image, upload = half_sent(site)
    with upload:
        assert site.put(image, "file", DATA).status == 409
        assert site.put(site.create("refuse"), "file", DATA).status == 422
        assert site.s3.unfinished() == [image]
        assert upload.finish().status == 204
    assert site.s3.data(image) == DATA


@pytest.mark.parametrize(("name", "status"), [("good", "active"), ("refuse", "queued")])
def test_images_are_imported_into_s3(site: S3Site, name: str, status: str) -> None:
    image = site.create(name)
    site.download(image, DATA)
    assert settled(site.api, image) == status
    assert image not in site.s3.unfinished()
    if status == "active":
        assert site.s3.data(image) == DATA
