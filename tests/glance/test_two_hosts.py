"""Two hosts of one cloud, each with a Glance and a Douane: one database, the same stores, two staging folders.

An import goes to the host that has the staged bytes (``worker_self_reference_url``), whichever host gets the request.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from support.glance.downloads import Downloads
from support.glance.glance_server import StartGlance
from support.glance.images import settled
from support.glance.plans import inspect_plan
from support.glance.site import Site, is_as_new, with_douane
from support.glance.under_way import UnderWay, is_recovered
from support.glance.wsgi_servers import Serving

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def hosts(
    start_glance: StartGlance, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Site, Site]:
    """The import inspects again, whatever the filter has inspected. Plugins may hang for long: the kill ends them."""
    sites: list[Site] = []
    for name in ("first", "second"):
        folder = tmp_path_factory.mktemp(name)
        (folder / "douane.toml").write_text(inspect_plan(stall="1h", timeout="1h"))
        settings = {"config": str(folder / "douane.toml"), "again": "true"}
        config = with_douane(folder / "state", settings, serving=Serving("uwsgi", processes=2, threads=4))
        sites.append(Site(start_glance(config, sites[0].glance if sites else None), downloads))
    return sites[0], sites[1]


def staged(site: Site) -> str:
    image = site.create("good", mine="x")
    assert site.put(image, "stage", DATA).status == 204
    return image


def test_an_import_runs_on_the_host_that_staged_the_image(hosts: tuple[Site, Site]) -> None:
    first, second = hosts
    image = staged(first)
    second.rename(image, "good:of the other host")
    second.start_import(image)
    assert settled(second.api, image) == "active"
    state = second.state(image)
    assert (state.properties["acts.seen"], state.properties["mine"]) == (str(len(DATA)), "x")
    assert not any(name.startswith("douane_") for name in state.properties)
    assert (first.state(image).staged, second.glance.folders.data(image)) == ((), DATA)
    assert "has all of good:of the other host." in first.glance.log
    assert "of the other host" not in second.glance.log


@pytest.mark.parametrize("index", [0, 1])
def test_a_refused_image_can_be_staged_on_either_host(hosts: tuple[Site, Site], index: int) -> None:
    staging_host, other_host = hosts[index], hosts[1 - index]
    image = staged(staging_host)
    other_host.rename(image, "refuse")
    other_host.start_import(image)
    assert settled(other_host.api, image) == "queued"
    for site in hosts:
        state = site.state(image)
        assert (is_as_new(state), state.properties["douane_code"]) == (True, "evil"), state
    other_host.rename(image, "good")
    assert other_host.put(image, "stage", DATA).status == 204
    staging_host.start_import(image)
    assert settled(staging_host.api, image) == "active"


def test_an_import_checked_by_another_host_is_not_flagged(hosts: tuple[Site, Site]) -> None:
    for site in hosts:
        assert "WITHOUT BEING CHECKED" not in site.glance.log


def test_a_killed_host_recovers_only_its_own_images(hosts: tuple[Site, Site]) -> None:
    with ExitStack() as of_first, ExitStack() as of_second:
        first, second = (UnderWay(site, stack, DATA) for site, stack in zip(hosts, (of_first, of_second), strict=True))
        untouched = [first.half_sent("stage"), first.half_sent("file"), first.importing(), first.downloaded()]
        killed = [second.half_sent("stage"), second.half_sent("file"), second.importing(), second.downloaded()]
        staged_image = staged(hosts[1])
        states = [hosts[0].state(image) for image in untouched]

        hosts[1].glance.kill()
        of_second.close()
        hosts[1].glance.restart()

        for image in killed:
            state = hosts[1].state(image)
            assert is_recovered(state), state
        assert [hosts[0].state(image) for image in untouched] == states
        hosts[0].start_import(staged_image)
        assert settled(hosts[0].api, staged_image) == "active"

        hosts[0].glance.kill()
        of_first.close()
        hosts[0].glance.restart()
        for image in untouched:
            state = hosts[0].state(image)
            assert is_recovered(state), state
