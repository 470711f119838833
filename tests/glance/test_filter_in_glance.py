"""The filter in a real Glance: what is answered, and what is left, for each way in and each ending."""

from __future__ import annotations

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness.downloads import Downloads
from harness.glance_server import StartGlance
from harness.half_upload import HalfUpload
from harness.images import settled
from harness.plans import UNPACK
from harness.site import Site, is_as_new, with_douane
from harness.waiting import until
from harness.wsgi_servers import Serving

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(300_000)
WAYS = [(door, chunked) for door in ("stage", "file") for chunked in (False, True)]
ways = pytest.mark.parametrize(("door", "chunked"), WAYS, ids=["stage", "stage-chunked", "file", "file-chunked"])


@pytest.fixture
def site(usual_site: Site) -> Site:
    return usual_site


@pytest.fixture(scope="module")
def transforming(start_glance: StartGlance, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A plan that changes images; and another server: Apache with mod_wsgi."""
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(UNPACK)
    where = {"config": str(folder / "douane.toml")}
    serving = Serving("mod_wsgi", processes=2, threads=4)
    return Site(start_glance(with_douane(folder / "state", where, serving=serving)), downloads)


def body(data: bytes, chunked: bool) -> Any:
    return iter([data[:100_000], data[100_000:]]) if chunked else data


def is_taken(site: Site, image: str, door: str, data: bytes) -> None:
    """Assert that all of it is there, and can be used."""
    if door == "stage":
        assert (site.glance.folder / "staging" / image).read_bytes() == data
        site.start_import(image)
        assert settled(site.api, image) == "active"
    state = site.state(image)
    assert (state.status, state.staged) == ("active", ())
    assert site.glance.folders.data(image) == data


# ---- one image, each way in


@ways
def test_an_accepted_image_is_taken_with_what_was_found(site: Site, door: str, chunked: bool) -> None:
    image = site.create("good", mine="x", os_distro="debian")
    assert site.put(image, door, body(DATA, chunked), chunked=chunked).status == 204
    is_taken(site, image, door, DATA)
    shown = site.api.must("GET", f"/v2/images/{image}")
    assert site.state(image).properties == {
        "mine": "x",
        "os_distro": "debian",
        "acts.seen": str(len(DATA)),
        "acts.declared": "mine,os_distro",
        "acts.owner": shown["owner"],
    }


ENDINGS = {
    "refuse": (422, "evil"),
    "refuse-early": (422, "evil"),
    "crash": (503, "plugin-died"),
    "crash-early": (503, "plugin-died"),
    "defer": (503, "deferred"),
}


@ways
@pytest.mark.parametrize("what", ENDINGS)
def test_an_image_that_does_not_get_in_leaves_nothing(site: Site, door: str, chunked: bool, what: str) -> None:
    assert_no_entry(site, door, chunked, what, *ENDINGS[what])


@pytest.mark.parametrize(
    ("door", "chunked", "what", "code"),
    [("stage", True, "hang", "plugin-stalled"), ("file", False, "busy", "plugin-timeout")],
)
def test_a_plugin_that_does_not_end_is_ended(site: Site, door: str, chunked: bool, what: str, code: str) -> None:
    assert_no_entry(site, door, chunked, what, 503, code)


def assert_no_entry(site: Site, door: str, chunked: bool, what: str, status: int, code: str) -> None:
    image = site.create(what, mine="x")
    reply = site.put(image, door, body(DATA, chunked), chunked=chunked)
    assert (reply.status, reply.headers.get("x-douane-code")) == (status, code), reply.text
    assert reply.headers.get("retry-after") == ("60" if what == "defer" else None)
    assert ("there is evil in the image; remove it" in reply.text) == (status == 422)
    state = site.state(image)
    assert is_as_new(state), state
    assert (state.tasks, state.properties) == ((), {"mine": "x"})
    site.rename(image, "good")
    assert site.put(image, door, body(DATA, chunked), chunked=chunked).status == 204
    is_taken(site, image, door, DATA)


def test_a_large_image_is_refused_while_it_is_still_being_sent(site: Site) -> None:
    image = site.create("refuse-early")
    reply = site.put(image, "file", bytes(30_000_000))
    assert (reply.status, reply.headers["x-douane-code"]) == (422, "evil")
    assert is_as_new(site.state(image))


@pytest.mark.parametrize("door", ["stage", "file"])
def test_a_client_that_goes_away_leaves_nothing(site: Site, door: str) -> None:
    image = site.create("good")
    folder = site.glance.folder / ("staging" if door == "stage" else "stores/fast")
    with HalfUpload(site.api, image, door, DATA, 200_000):
        until("a part of it is there", lambda: (folder / image).exists() and (folder / image).stat().st_size > 0)
    until("the image is queued again", lambda: site.state(image).status == "queued")
    until("all of it is gone", lambda: is_as_new(site.state(image)))
    assert site.put(image, door, DATA).status == 204
    is_taken(site, image, door, DATA)


def test_what_glance_refuses_itself_is_answered_by_glance_and_not_inspected(site: Site) -> None:
    image = site.create("good:of-another")
    path = f"/v2/images/{image}/file"
    octets = {"Content-Type": "application/octet-stream"}
    assert site.glance.api("other").request("PUT", path, DATA, headers=octets).status == 404
    assert site.api.request("PUT", path, DATA, headers={"Content-Type": "text/plain"}).status == 415
    assert "good:of-another" not in site.glance.log
    assert site.api.request("POST", path + "?_method=PUT", DATA, headers=octets).status == 400
    assert is_as_new(site.state(image))


def test_many_at_once_get_each_its_own_answer(site: Site) -> None:
    images = [site.create("refuse" if number % 2 else "good") for number in range(8)]
    with ThreadPoolExecutor(len(images)) as threads:
        doors = ["file", "file", "stage", "stage"] * 2
        replies = list(threads.map(lambda pair: site.put(pair[0], pair[1], DATA), zip(images, doors, strict=True)))
    assert [reply.status for reply in replies] == [204, 422] * 4
    for image, door, reply in zip(images, doors, replies, strict=True):
        if reply.status == 204:
            is_taken(site, image, door, DATA)
        else:
            assert is_as_new(site.state(image))


# ---- filter and import plugin


def test_what_was_inspected_when_it_was_staged_is_not_inspected_again(site: Site) -> None:
    image = site.create("good:once")
    assert site.put(image, "stage", DATA).status == 204
    site.start_import(image)
    assert settled(site.api, image) == "active"
    assert site.glance.log.count("begins with good:once.") == 1
    assert site.state(image).properties["acts.seen"] == str(len(DATA))


def test_what_is_staged_and_then_changed_is_inspected_again(site: Site) -> None:
    image = site.create("good:tampered")
    assert site.put(image, "stage", DATA).status == 204
    site.rename(image, "refuse:tampered")
    with (site.glance.folder / "staging" / image).open("r+b") as file:
        file.write(b"x" if DATA[:1] != b"x" else b"y")
    site.start_import(image)
    assert settled(site.api, image) == "queued"
    state = site.state(image)
    assert is_as_new(state), state
    assert (state.failed_stores, state.properties["douane_code"]) == ("fast", "evil")
    assert site.glance.log.count("begins with refuse:tampered.") == 1


def test_what_is_downloaded_is_inspected_once(site: Site) -> None:
    image = site.create("good:downloaded")
    site.download(image, DATA)
    assert settled(site.api, image) == "active"
    assert site.glance.log.count("begins with good:downloaded.") == 1

    image = site.create("refuse")
    site.download(image, DATA)
    assert settled(site.api, image) == "queued"
    state = site.state(image)
    assert is_as_new(state), state
    assert (state.failed_stores, state.properties["douane_code"]) == ("fast", "evil")
    assert "there is evil in the image" in state.properties["douane_reason"]


def test_an_upload_that_is_accepted_takes_away_what_is_told_of_an_import_before_it(site: Site) -> None:
    image = site.create("refuse")
    site.download(image, DATA)
    assert settled(site.api, image) == "queued"
    site.rename(image, "good")
    assert site.put(image, "file", DATA).status == 204
    assert not any(name.startswith("douane_") for name in site.state(image).properties)


# ---- a plan that changes images, in another server


@ways
@pytest.mark.parametrize("what", ["good", "refuse", "refuse-early"])
def test_requests_are_read_in_this_server_too(transforming: Site, door: str, chunked: bool, what: str) -> None:
    image = transforming.create(what)
    reply = transforming.put(image, door, body(DATA, chunked), chunked=chunked)
    if what == "good":
        assert reply.status == 204
        is_taken(transforming, image, door, DATA)
    else:
        assert (reply.status, reply.headers["x-douane-code"]) == (422, "evil")
        assert is_as_new(transforming.state(image))


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_cannot_be_changed_and_says_what_can(transforming: Site, chunked: bool) -> None:
    image = transforming.create("good")
    reply = transforming.put(image, "file", body(gzip.compress(DATA), chunked), chunked=chunked)
    assert (reply.status, reply.headers["x-douane-code"]) == (422, "needs-import")
    assert "openstack image import" in reply.text
    assert is_as_new(transforming.state(image))


@pytest.mark.parametrize("way", ["stage", "stage-chunked", "download"])
def test_an_import_changes_it(transforming: Site, way: str) -> None:
    image = transforming.create("good")
    packed = gzip.compress(DATA)
    if way == "download":
        transforming.download(image, packed)
    else:
        chunked = way == "stage-chunked"
        assert transforming.put(image, "stage", body(packed, chunked), chunked=chunked).status == 204
        transforming.start_import(image)
    assert settled(transforming.api, image) == "active"
    state = transforming.state(image)
    assert (state.size, state.staged, state.properties["acts.seen"]) == (len(DATA), (), str(len(DATA)))
    assert transforming.glance.folders.data(image) == DATA
