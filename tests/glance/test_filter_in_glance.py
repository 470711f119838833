"""The filter in a real Glance: the response and the state of the image, for each upload and each outcome."""

from __future__ import annotations

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.glance.downloads import Downloads
from support.glance.glance_server import StartGlance
from support.glance.half_upload import HalfUpload
from support.glance.images import settled
from support.glance.plans import UNPACK
from support.glance.site import Site, is_as_new, with_douane
from support.glance.wsgi_servers import Serving
from support.waiting import until

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(300_000)
ACTIONS = [(action, chunked) for action in ("stage", "file") for chunked in (False, True)]
every_action = pytest.mark.parametrize(
    ("action", "chunked"), ACTIONS, ids=["stage", "stage-chunked", "file", "file-chunked"]
)


@pytest.fixture
def site(usual_site: Site) -> Site:
    return usual_site


@pytest.fixture(scope="module", params=["mod_wsgi", pytest.param("gunicorn", marks=pytest.mark.all_versions)])
def transforming(
    request: pytest.FixtureRequest,
    start_glance: StartGlance,
    downloads: Downloads,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    """A plan that changes images, in another server: Apache with mod_wsgi, or gunicorn."""
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(UNPACK)
    settings = {"config": str(folder / "douane.toml")}
    serving = Serving(request.param, processes=2, threads=4)
    return Site(start_glance(with_douane(folder / "state", settings, serving=serving)), downloads)


def body(data: bytes, chunked: bool) -> Any:
    return iter([data[:100_000], data[100_000:]]) if chunked else data


def assert_is_stored(site: Site, image: str, action: str, data: bytes) -> None:
    """Assert that Glance has these bytes, and can import them if they are staged."""
    if action == "stage":
        assert (site.glance.folder / "staging" / image).read_bytes() == data
        site.start_import(image)
        assert settled(site.api, image) == "active"
    state = site.state(image)
    assert (state.status, state.staged) == ("active", ())
    assert site.glance.folders.data(image) == data


# ---- one image, each upload


@every_action
def test_an_accepted_image_is_stored_with_its_properties(site: Site, action: str, chunked: bool) -> None:
    image = site.create("good", mine="x", os_distro="debian")
    assert site.put(image, action, body(DATA, chunked), chunked=chunked).status == 204
    assert_is_stored(site, image, action, DATA)
    record = site.api.must("GET", f"/v2/images/{image}")
    assert site.state(image).properties == {
        "mine": "x",
        "os_distro": "debian",
        "acts.seen": str(len(DATA)),
        "acts.declared": "mine,os_distro",
        "acts.owner": record["owner"],
    }


OUTCOMES = {
    "refuse": (422, "evil"),
    "refuse-early": (422, "evil"),
    "crash": (500, "plugin-died"),
    "crash-early": (500, "plugin-died"),
    "defer": (500, "deferred"),
}


@every_action
@pytest.mark.parametrize("name", OUTCOMES)
def test_an_image_that_is_not_accepted_leaves_nothing(site: Site, action: str, chunked: bool, name: str) -> None:
    assert_stays_out(site, action, chunked, name, *OUTCOMES[name])


@pytest.mark.parametrize(
    ("action", "chunked", "name", "code"),
    [("stage", True, "hang", "plugin-stalled"), ("file", False, "busy", "plugin-timeout")],
)
def test_a_plugin_that_hangs_is_killed(site: Site, action: str, chunked: bool, name: str, code: str) -> None:
    assert_stays_out(site, action, chunked, name, 500, code)


def assert_stays_out(site: Site, action: str, chunked: bool, name: str, status: int, code: str) -> None:
    image = site.create(name, mine="x")
    reply = site.put(image, action, body(DATA, chunked), chunked=chunked)
    assert (reply.status, reply.headers.get("x-douane-code")) == (status, code), reply.text
    assert reply.headers.get("retry-after") == ("60" if name == "defer" else None)
    assert ("there is evil in the image; remove it" in reply.text) == (status == 422)
    state = site.state(image)
    assert is_as_new(state), state
    assert (state.tasks, state.properties) == ((), {"mine": "x"})
    site.rename(image, "good")
    assert site.put(image, action, body(DATA, chunked), chunked=chunked).status == 204
    assert_is_stored(site, image, action, DATA)


def test_a_large_image_is_refused_before_its_end(site: Site) -> None:
    image = site.create("refuse-early")
    reply = site.put(image, "file", bytes(30_000_000))
    assert (reply.status, reply.headers["x-douane-code"]) == (422, "evil")
    assert is_as_new(site.state(image))


@pytest.mark.parametrize("action", ["stage", "file"])
def test_a_client_that_goes_away_leaves_nothing(site: Site, action: str) -> None:
    image = site.create("good")
    folder = site.glance.folder / ("staging" if action == "stage" else "stores/fast")
    with HalfUpload(site.api, image, action, DATA, 200_000):
        until(
            "a part of the image is on disk", lambda: (folder / image).exists() and (folder / image).stat().st_size > 0
        )
    until("the image is queued again", lambda: site.state(image).status == "queued")
    until("nothing is left", lambda: is_as_new(site.state(image)))
    assert site.put(image, action, DATA).status == 204
    assert_is_stored(site, image, action, DATA)


def test_an_upload_that_glance_refuses_is_not_inspected(site: Site) -> None:
    image = site.create("good:of-another")
    path = f"/v2/images/{image}/file"
    octets = {"Content-Type": "application/octet-stream"}
    assert site.glance.api("other").request("PUT", path, DATA, headers=octets).status == 404
    assert site.api.request("PUT", path, DATA, headers={"Content-Type": "text/plain"}).status == 415
    assert "good:of-another" not in site.glance.log
    assert site.api.request("POST", path + "?_method=PUT", DATA, headers=octets).status == 400
    assert is_as_new(site.state(image))


def test_concurrent_uploads_get_their_own_responses(site: Site) -> None:
    images = [site.create("refuse" if number % 2 else "good") for number in range(8)]
    with ThreadPoolExecutor(len(images)) as threads:
        actions = ["file", "file", "stage", "stage"] * 2
        replies = list(threads.map(lambda pair: site.put(pair[0], pair[1], DATA), zip(images, actions, strict=True)))
    assert [reply.status for reply in replies] == [204, 422] * 4
    for image, action, reply in zip(images, actions, replies, strict=True):
        if reply.status == 204:
            assert_is_stored(site, image, action, DATA)
        else:
            assert is_as_new(site.state(image))


# ---- filter and import plugin


def test_attested_bytes_are_not_inspected_again(site: Site) -> None:
    image = site.create("good:once")
    assert site.put(image, "stage", DATA).status == 204
    site.start_import(image)
    assert settled(site.api, image) == "active"
    assert site.glance.log.count("begins with good:once.") == 1
    assert site.state(image).properties["acts.seen"] == str(len(DATA))


def test_staged_bytes_that_change_are_inspected_again(site: Site) -> None:
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


def test_a_download_is_inspected_once(site: Site) -> None:
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


def test_an_accepted_upload_removes_the_outcome_of_an_earlier_import(site: Site) -> None:
    image = site.create("refuse")
    site.download(image, DATA)
    assert settled(site.api, image) == "queued"
    site.rename(image, "good")
    assert site.put(image, "file", DATA).status == 204
    assert not any(name.startswith("douane_") for name in site.state(image).properties)


# ---- a plan that changes images, in another server


@every_action
@pytest.mark.parametrize("name", ["good", "refuse", "refuse-early"])
def test_every_server_reads_requests(transforming: Site, action: str, chunked: bool, name: str) -> None:
    image = transforming.create(name)
    reply = transforming.put(image, action, body(DATA, chunked), chunked=chunked)
    if name == "good":
        assert reply.status == 204
        assert_is_stored(transforming, image, action, DATA)
    else:
        assert (reply.status, reply.headers["x-douane-code"]) == (422, "evil")
        assert is_as_new(transforming.state(image))


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_that_the_plan_changes_needs_an_import(transforming: Site, chunked: bool) -> None:
    image = transforming.create("good")
    reply = transforming.put(image, "file", body(gzip.compress(DATA), chunked), chunked=chunked)
    assert (reply.status, reply.headers["x-douane-code"]) == (422, "needs-import")
    assert "openstack image import" in reply.text
    assert is_as_new(transforming.state(image))


@pytest.mark.parametrize("method", ["stage", "stage-chunked", "download"])
def test_an_import_is_transformed(transforming: Site, method: str) -> None:
    image = transforming.create("good")
    packed = gzip.compress(DATA)
    if method == "download":
        transforming.download(image, packed)
    else:
        chunked = method == "stage-chunked"
        assert transforming.put(image, "stage", body(packed, chunked), chunked=chunked).status == 204
        transforming.start_import(image)
    assert settled(transforming.api, image) == "active"
    state = transforming.state(image)
    assert (state.size, state.staged, state.properties["acts.seen"]) == (len(DATA), (), str(len(DATA)))
    assert transforming.glance.folders.data(image) == DATA


def test_the_folder_state_keeps_nothing_of_an_image_that_was_staged_and_deleted(site: Site) -> None:
    (paste,) = site.glance.config.filters
    state = Path(paste.options["state"])
    before = set(state.iterdir())
    image = site.create("good")
    assert site.put(image, "stage", DATA).status == 204
    (attestation,) = set(state.iterdir()) - before
    assert site.api.request("DELETE", f"/v2/images/{image}").status == 204
    assert site.put(site.create("good"), "stage", DATA).status == 204
    assert not attestation.exists()
