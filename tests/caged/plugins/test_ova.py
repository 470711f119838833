"""The transform `ova` in its sandbox, with the limits of the engine, through the program."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.images import padded
from support.images.ova import SYSTEM, beginning, file, manifest, ova, ovf
from support.images.signatures import certificate, pem, signed
from support.images.tar import tar, tar_header
from support.plans import plan, plugin
from support.processes import assert_contract_alone, modules_loaded_by
from support.program import Program

MIB = 1 << 20
DISK = bytes(MIB) + os.urandom(3 * MIB)
VENDOR = certificate("vendor")
TIERS = ["strict", "full"]

Check = Callable[..., dict[str, Any]]


@pytest.fixture
def check(program: Program) -> Check:
    """``check(image, use=..., tier=..., first=..., **keys of the plugin)``: what a plan of it and `format` reports."""

    def go(
        image: bytes | Iterator[bytes],
        *,
        command: str = "check",
        use: str = "ova",
        tier: str = "strict",
        first: str = "",
        **keys: object,
    ) -> dict[str, Any]:
        return program.report(image, plan(first, plugin(use, "ova", **keys), plugin("format")), command, tier=tier)

    return go


def appliance(disk: bytes = DISK, *, sign: bool = False, systems: str | None = None) -> bytes:
    """With a manifest, and perhaps its signature."""
    description = ovf(systems=systems)
    lines = manifest(("vm.ovf", description), ("disk.vmdk", disk))
    certificates = [("vm.cert", signed(lines, VENDOR))] if sign else []
    return ova(("vm.mf", lines), *certificates, ("disk.vmdk", disk), descriptor=description)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("use", ["ova", "ova-any-order"])
def test_an_appliance_becomes_its_disk_in_the_sandbox(check: Check, tier: str, use: str) -> None:
    report = check(appliance(), use=use, tier=tier)
    assert report["outcome"] == "accepted", report
    assert report["stored"]["sha256"] == hashlib.sha256(DISK).hexdigest()
    assert (report["disk_format"], report["container_format"]) == ("raw", "bare")
    properties = {"ova.disk": "disk.vmdk", "ova.disks": 1, "ova.manifest": "sha256 verified", "ova.signature": "none"}
    assert report["verdicts"][0]["properties"] == properties


def test_a_disk_before_its_descriptor_is_extracted_by_ova_any_order(check: Check) -> None:
    image = tar(("disk.vmdk", DISK), ("vm.ovf", ovf()))
    assert check(image)["code"] == "ova-order"
    report = check(image, use="ova-any-order")
    assert report["stored"]["sha256"] == hashlib.sha256(DISK).hexdigest()


@pytest.mark.parametrize("tier", TIERS)
def test_a_signature_is_verified_in_the_sandbox(check: Check, tier: str, tmp_path: Path) -> None:
    (tmp_path / "vendors.pem").write_bytes(pem(VENDOR))
    keys = {"config": {"signature": "required"}, "grants": {"trust": "file:vendors.pem"}, "tier": tier}
    report = check(appliance(sign=True), **keys)
    assert report["properties"]["ova.signature"] == "verified", report
    assert report["properties"]["ova.signer"] == "CN=vendor"
    assert check(appliance(), **keys)["code"] == "ova-unsigned"
    (tmp_path / "vendors.pem").write_bytes(pem(certificate("somebody else")))
    assert check(appliance(sign=True), **keys)["code"] == "ova-untrusted"


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"config": {"signature": "required"}}, "nobody is trusted"),
        ({"grants": {"trust": "file:image"}}, "granted as 'trust'"),
        ({"config": {"hardware": "vmware"}}, "'hardware' must be"),
        ({"config": {"disk": -1}}, "from 0"),
    ],
)
def test_a_wrong_configuration_stops_the_start(check: Check, keys: dict[str, object], what: str) -> None:
    report = check(appliance(), **keys)
    assert (report["exit"], report["code"]) == (2, "wrong-configuration")
    assert what in report["message"]


MACHINE = SYSTEM.format(
    id="vm",
    inside="<VirtualHardwareSection><Info>x</Info>"
    '<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/></VirtualHardwareSection>',
)


def test_hardware_properties_are_set_where_the_operator_allows_them(check: Check) -> None:
    image = appliance(systems=MACHINE)
    keys = {"config": {"hardware": "openstack"}}
    assert check(image)["proposed"] == {}
    assert check(image, may_set=["hw_*"], **keys)["proposed"]["hw_firmware_type"]["value"] == "uefi"
    assert (check(image, **keys)["exit"], check(image, **keys)["code"]) == (3, "plugin-properties")


def test_an_import_stores_the_disk_and_leaves_nothing_else(check: Check, tmp_path: Path) -> None:
    assert check(appliance(), command="import")["exit"] == 0
    files = [path for path in (tmp_path / "home" / "store").rglob("*") if path.is_file()]
    assert [path.read_bytes() == DISK for path in files] == [True]


def test_a_refused_import_leaves_nothing(check: Check, tmp_path: Path) -> None:
    for use in ("ova", "ova-any-order"):
        damaged = appliance().replace(DISK[-100:], bytes(100))
        report = check(damaged, command="import", use=use)
        assert (report["exit"], report["code"]) == (1, "ova-digest")
    assert [path for path in (tmp_path / "home" / "store").rglob("*") if path.is_file()] == []


def test_a_member_named_like_a_path_is_written_nowhere(check: Check, tmp_path: Path) -> None:
    for name in ("../../escaped", f"{tmp_path}/escaped", "../store/escaped"):
        assert check(ova(("disk.vmdk", DISK), (name, b"hostile")), command="import")["code"] == "ova-member-name"
    assert not list(tmp_path.rglob("*escaped*"))


def test_an_image_that_is_no_appliance_is_stored_unchanged(check: Check) -> None:
    report = check(DISK)
    assert report["stored"] == report["received"]
    assert report["verdicts"][0]["properties"] == {}


def test_a_compressed_appliance_is_unpacked_first(check: Check) -> None:
    report = check(gzip.compress(appliance()), first=plugin("decompress"))
    assert report["stored"]["sha256"] == hashlib.sha256(DISK).hexdigest()


@pytest.mark.parametrize("use", ["ova", "ova-any-order"])
def test_a_disk_that_is_an_archive_is_identified_by_format(check: Check, use: str) -> None:
    report = check(ova(("disk.vmdk", tar(("../../x", b"1")))), use=use)
    assert (report["exit"], report["code"]) == (1, "unsafe-member-name")


def large(pieces: int) -> Iterator[bytes]:
    """An appliance with a disk of so many MiB, and more behind it that is read as well."""
    yield beginning()
    for name in (b"disk.vmdk", b"other.bin"):
        yield tar_header(name, pieces * MIB)
        yield from (DISK[MIB : 2 * MIB] for _ in range(pieces))
    yield bytes(1024)


@pytest.mark.parametrize("tier", TIERS)
def test_a_large_disk_needs_little_memory(check: Check, tier: str) -> None:
    report = check(large(300), memory="48MiB", tier=tier)
    assert (report["outcome"], report["stored"]["size"]) == ("accepted", 300 * MIB), report


# bombs


@pytest.mark.parametrize("use", ["ova", "ova-any-order"])
def test_a_compressed_disk_of_ten_gibibytes_is_refused(check: Check, use: str) -> None:
    packed = gzip.compress(bytes(64 * MIB), 9) * 160
    report = check(
        ova(("disk.vmdk", packed), descriptor=ovf(files=file(compression="gzip"))),
        use=use,
        memory="64MiB",
    )
    assert (report["exit"], report["code"]) == (1, "compressed-bomb")
    assert report["stored"]["complete"] is False


def sparse(size: int) -> bytes:
    """A disk of which a block is there, and the rest a hole, as GNU tar writes it."""
    part = b"%011o\0%011o\0" % (0, 512)
    real = b"\x80" + size.to_bytes(11, "big")
    rest = bytes(41) + part + bytes(72) + b"\0" + real
    return beginning() + tar_header(b"disk.vmdk", 512, b"S", prefix=rest) + bytes(512 + 1024)


@pytest.mark.parametrize(("size", "code"), [(10 << 30, "compressed-bomb"), (1 << 50, "ova-member-size")])
def test_a_hole_larger_than_max_output_is_refused(check: Check, size: int, code: str) -> None:
    report = check(sparse(size), memory="64MiB")
    assert (report["exit"], report["code"]) == (1, code)


@pytest.mark.parametrize(
    ("code", "descriptor"),
    [
        ("ova-xml", b"<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]><Envelope>&b;</Envelope>"),
        ("ova-xml", b"<Envelope>" + b"<a>" * 1_000_000),
        ("ova-xml", b"<Envelope>" + b"<a/>" * 1_900_000),
        ("ova-descriptor", b" " * (9 * MIB)),
    ],
    ids=["entities", "deep", "wide", "long"],
)
def test_a_descriptor_that_is_a_bomb_is_refused_in_little_memory(check: Check, code: str, descriptor: bytes) -> None:
    image = tar(("vm.ovf", descriptor), ("disk.vmdk", DISK))
    report = check(image, memory="192MiB")
    assert (report["exit"], report["code"]) == (1, code)


def test_endless_headers_are_refused_in_the_sandbox(check: Check) -> None:
    record = b"30 comment=aaaaaaaaaaaaaaaaaa\n"
    header = tar_header(b"pax", len(record), b"x") + padded(record)
    head = beginning()
    assert check((piece for piece in (head, *[header * 1000] * 100)), memory="64MiB")["code"] == "ova-archive"


def test_it_imports_only_the_contract_and_loads_libraries_late() -> None:
    loaded = modules_loaded_by("import douane.plugins.ova as o; o.Ova()")
    assert_contract_alone(loaded)
    assert not loaded & {"cryptography", "hashlib", "xml.etree.ElementTree", "defusedxml", "isal"}
