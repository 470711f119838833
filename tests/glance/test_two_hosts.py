"""Two hosts with a Glance each, of one cloud: one database, the same stores, and each stages for itself.

Each has its own Douane. An import goes to the host that has the bytes (``worker_self_reference_url``), whoever is
asked.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest
from harness.downloads import Downloads
from harness.glance_server import StartGlance
from harness.images import settled
from harness.plans import inspect_plan
from harness.site import Site, is_as_new, with_douane
from harness.under_way import UnderWay, is_given_back
from harness.wsgi_servers import Serving

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def hosts(
    start_glance: StartGlance, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Site, Site]:
    """The import inspects, whatever the filter has. Plugins may hang for long: what ends them is the kill."""
    sites: list[Site] = []
    for name in ("first", "second"):
        folder = tmp_path_factory.mktemp(name)
        (folder / "douane.toml").write_text(inspect_plan(stall="1h", timeout="1h"))
        where = {"config": str(folder / "douane.toml"), "again": "true"}
        config = with_douane(folder / "state", where, serving=Serving("uwsgi", processes=2, threads=4))
        sites.append(Site(start_glance(config, sites[0].glance if sites else None), downloads))
    return sites[0], sites[1]


def staged(site: Site) -> str:
    image = site.create("good", mine="x")
    assert site.put(image, "stage", DATA).status == 204
    return image


def test_what_one_host_has_staged_is_imported_and_inspected_there_whoever_is_asked(hosts: tuple[Site, Site]) -> None:
    first, second = hosts
    image = staged(first)
    second.rename(image, "good:asked of the other host")
    second.start_import(image)
    assert settled(second.api, image) == "active"
    state = second.state(image)
    assert (state.properties["acts.seen"], state.properties["mine"]) == (str(len(DATA)), "x")
    assert not any(name.startswith("douane_") for name in state.properties)
    assert (first.state(image).staged, second.glance.folders.data(image)) == ((), DATA)
    assert "has all of good:asked of the other host." in first.glance.log
    assert "asked of the other host" not in second.glance.log


@pytest.mark.parametrize("at", [0, 1])
def test_a_refusal_gives_the_image_back_on_both(hosts: tuple[Site, Site], at: int) -> None:
    has_it, other = hosts[at], hosts[1 - at]
    image = staged(has_it)
    other.rename(image, "refuse")
    other.start_import(image)
    assert settled(other.api, image) == "queued"
    for site in hosts:
        state = site.state(image)
        assert (is_as_new(state), state.properties["douane_code"]) == (True, "evil"), state
    other.rename(image, "good")
    assert other.put(image, "stage", DATA).status == 204
    has_it.start_import(image)
    assert settled(has_it.api, image) == "active"


def test_no_import_is_said_to_be_unchecked_because_another_host_has_checked_it(hosts: tuple[Site, Site]) -> None:
    for site in hosts:
        assert "WITHOUT BEING CHECKED" not in site.glance.log


def test_a_host_that_is_killed_gives_back_what_was_its_own_and_nothing_else(hosts: tuple[Site, Site]) -> None:
    with ExitStack() as of_first, ExitStack() as of_second:
        first, second = (UnderWay(site, left, DATA) for site, left in zip(hosts, (of_first, of_second), strict=True))
        untouched = [first.half_sent("stage"), first.half_sent("file"), first.importing(), first.downloaded()]
        killed = [second.half_sent("stage"), second.half_sent("file"), second.importing(), second.downloaded()]
        kept = staged(hosts[1])
        before = [hosts[0].state(image) for image in untouched]

        hosts[1].glance.kill()
        of_second.close()
        hosts[1].glance.restart()

        for image in killed:
            state = hosts[1].state(image)
            assert is_given_back(state), state
        assert [hosts[0].state(image) for image in untouched] == before
        hosts[0].start_import(kept)
        assert settled(hosts[0].api, kept) == "active"

        hosts[0].glance.kill()
        of_first.close()
        hosts[0].glance.restart()
        for image in untouched:
            state = hosts[0].state(image)
            assert is_given_back(state), state
