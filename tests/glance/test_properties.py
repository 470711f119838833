"""The properties of images in a real Glance: those that it does not store, and those that a tenant writes."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from douane.glance.proof.protection import POLICY_RULE, protection_rules
from support.glance.downloads import Downloads
from support.glance.glance_server import StartGlance
from support.glance.images import settled
from support.glance.plans import INSPECT
from support.glance.proofs import verified
from support.glance.site import JSON_PATCH, Site, with_douane

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(300_000)
DENY = """
[^acts[.]]
create = !
read = @
update = !
delete = !
[.*]
create = @
read = @
update = @
delete = @
"""
DOORS = ["file", "glance-direct", "web-download"]


def bring_in(site: Site, image: str, door: str) -> None:
    """Upload or import the bytes, and wait for the end."""
    if door == "web-download":
        site.download(image, DATA)
    else:
        assert site.put(image, "file" if door == "file" else "stage", DATA).status == 204
    if door == "glance-direct":
        site.start_import(image)
    if door != "file":
        settled(site.api, image)


@pytest.fixture(scope="module", params=["quota", "protection"])
def narrow_site(
    request: pytest.FixtureRequest,
    start_glance: StartGlance,
    downloads: Downloads,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    """A Glance that stores three properties of an image, or none of the plugin `acts`, which sets three."""
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(INSPECT)
    (folder / "protection.conf").write_text(DENY)
    options = {
        "quota": {"image_property_quota": "3"},
        "protection": {"property_protection_file": str(folder / "protection.conf")},
    }
    config = with_douane(folder / "state", {"config": str(folder / "douane.toml")})
    return Site(start_glance(replace(config, options={"DEFAULT": options[request.param]})), downloads)


@pytest.mark.parametrize("door", DOORS)
def test_an_image_gets_in_though_the_properties_of_its_plugins_are_not_stored(narrow_site: Site, door: str) -> None:
    image = narrow_site.create("good", mine="x", other="y")
    bring_in(narrow_site, image, door)
    state = narrow_site.state(image)
    assert (state.status, state.staged) == ("active", ())
    assert narrow_site.glance.folders.data(image) == DATA
    assert state.properties == {"mine": "x", "other": "y"}
    assert f"image {image}: properties cannot be set" in narrow_site.glance.log or (
        f"the properties of image '{image}' cannot be set" in narrow_site.glance.log
    )


@pytest.mark.parametrize("door", DOORS)
def test_a_refused_image_is_queued_though_the_reason_is_not_stored(narrow_site: Site, door: str) -> None:
    image = narrow_site.create("refuse", mine="x", other="y")
    if door == "web-download":
        narrow_site.download(image, DATA)
        assert settled(narrow_site.api, image) == "queued"
        (task,) = narrow_site.api.must("GET", f"/v2/images/{image}/tasks")["tasks"]
        assert "there is evil in the image" in task["message"]
    else:
        assert narrow_site.put(image, "file" if door == "file" else "stage", DATA).status == 422
    state = narrow_site.state(image)
    assert (state.status, state.staged, state.stored) == ("queued", (), ())
    assert {"mine": "x", "other": "y"}.items() <= state.properties.items()


# ---- what a tenant may write, and what is proven


@pytest.fixture(scope="module", params=["roles", "policies"])
def protected_site(
    request: pytest.FixtureRequest,
    start_glance: StartGlance,
    downloads: Downloads,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    """A Glance with a key, and with the property protections that Douane writes."""
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(INSPECT)
    (folder / "key").write_bytes(os.urandom(32))
    (folder / "key").chmod(0o600)
    by_policies = request.param == "policies"
    (folder / "protection.conf").write_text(protection_rules(["acts"], None, by_policies=by_policies))
    (folder / "policy.yaml").write_text(f"{POLICY_RULE}\n")
    options = {
        "DEFAULT": {
            "property_protection_file": str(folder / "protection.conf"),
            "property_protection_rule_format": request.param,
        },
        "oslo_policy": {"policy_file": str(folder / "policy.yaml")},
    }
    config = with_douane(folder / "state", {"config": str(folder / "douane.toml"), "key": str(folder / "key")})
    return Site(start_glance(replace(config, options=options)), downloads)


def patch(site: Site, image: str, name: str, value: str, *, op: str = "add", service: bool = False) -> int:
    """The status of a change of one property by the tenant; with `service`, a service sends it for the tenant."""
    headers = {"Content-Type": JSON_PATCH}
    if service:
        headers["X-Service-Token"] = str(site.glance.api("service").token)
    body = json.dumps([{"op": op, "path": f"/{name}", "value": value}]).encode()
    return site.api.request("PATCH", f"/v2/images/{image}", body, headers=headers).status


@pytest.mark.parametrize("door", DOORS)
def test_a_tenant_cannot_write_a_verdict_and_an_accepted_image_is_proven(protected_site: Site, door: str) -> None:
    site = protected_site
    image = site.create("good", mine="x")
    for name in ("acts.seen", "douane_outcome", "douane_proof"):
        assert patch(site, image, name, "1") == 403, name
    bring_in(site, image, door)
    state = site.state(image)
    assert state.status == "active"
    assert state.properties["acts.seen"] == str(len(DATA))
    assert patch(site, image, "acts.seen", "1", op="replace") == 403
    assert patch(site, image, "acts.new", "1") == 403
    assert patch(site, image, "mine", "y", op="replace") == 200
    assert verified(site.glance, image) == {image: "proven"}


def test_a_refused_import_has_its_reason_though_tenants_cannot_write_it(protected_site: Site) -> None:
    site = protected_site
    image = site.create("refuse")
    site.download(image, DATA)
    assert settled(site.api, image) == "queued"
    assert site.state(image).properties["douane_code"] == "evil"
    site.rename(image, "good")
    bring_in(site, image, "web-download")
    assert "douane_code" not in site.state(image).properties
    assert verified(site.glance, image) == {image: "proven"}


def test_a_service_may_copy_the_properties_to_the_image_of_a_server(protected_site: Site) -> None:
    """As Nova does for a snapshot: with the user's token and its own. The copy is replaced when the bytes arrive."""
    site = protected_site
    base = site.create("good")
    bring_in(site, base, "file")
    snapshot = site.create("good")
    for name, value in site.state(base).properties.items():
        assert patch(site, snapshot, name, value, service=True) == 200
    assert patch(site, snapshot, "acts.old", "1", service=True) == 200
    assert verified(site.glance, snapshot) == {snapshot: "false"}
    bring_in(site, snapshot, "file")
    assert "acts.old" not in site.state(snapshot).properties
    assert verified(site.glance, snapshot) == {snapshot: "proven"}


@pytest.fixture(scope="module")
def open_site(start_glance: StartGlance, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A Glance with a key, whose tenants may write all properties."""
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(INSPECT)
    (folder / "key").write_bytes(os.urandom(32))
    (folder / "key").chmod(0o600)
    settings = {"config": str(folder / "douane.toml"), "key": str(folder / "key")}
    return Site(start_glance(with_douane(folder / "state", settings)), downloads)


def test_what_a_tenant_forges_is_not_proven(open_site: Site) -> None:
    site = open_site
    images = {name: site.create("good") for name in ("untouched", "changed", "added", "removed", "copied", "refused")}
    for image in images.values():
        bring_in(site, image, "file")
    properties = site.state(images["untouched"]).properties
    assert patch(site, images["changed"], "acts.seen", "1", op="replace") == 200
    assert patch(site, images["added"], "acts.malware", "none") == 200
    assert patch(site, images["removed"], "douane_proof", "", op="remove") == 200
    assert patch(site, images["copied"], "douane_proof", properties["douane_proof"], op="replace") == 200
    assert patch(site, images["refused"], "douane_outcome", "refused") == 200
    expected = {
        images["untouched"]: "proven",
        images["changed"]: "false",
        images["added"]: "false",
        images["removed"]: "unproven",
        images["copied"]: "false",
        images["refused"]: "false",
    }
    assert verified(site.glance, *images.values()) == expected
    assert expected.items() <= verified(site.glance).items(), "without ids, all active images are checked"


def test_an_image_that_could_not_be_stored_has_no_proof(open_site: Site) -> None:
    site = open_site
    image = site.create("good")
    obstacle = site.glance.folder / "stores" / "fast" / image
    obstacle.write_bytes(b"in the way")
    bring_in(site, image, "glance-direct")
    obstacle.unlink()
    state = site.state(image)
    assert state.properties["douane_code"] == "not-stored"
    assert "douane_proof" not in state.properties
