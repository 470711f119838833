"""`format` and `limits` have a verdict for any bytes, and the same verdict for all chunk sizes."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane.plugins.format import Format
from douane.plugins.limits import Limits
from support.images import MIB, patched
from support.images.headers import luks, ploop
from support.images.iso import iso
from support.images.partitions import gpt_disk, mbr_disk, mbr_entry
from support.images.tar import tar
from support.images.vmdk import vmdk_text
from support.plugin_runs import answer, cut

Make = Callable[..., bytes]

HANDMADE = [
    gpt_disk((64, 1983), size=MIB),
    mbr_disk(mbr_entry(0x83, 9, 9), size=MIB),
    iso(),
    luks(),
    ploop(99),
    tar(("a.ovf", b"")),
    vmdk_text('RW 20480 FLAT "/etc/passwd" 0'),
    bytes(99),
]
KINDS = ["qcow2", "qcow", "vmdk", "vhdx", "vpc", "vdi", "qed"]
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def samples(qemu_img: Make) -> list[bytes]:
    images = [qemu_img(kind) for kind in KINDS]
    images.append(qemu_img("vmdk", "-o", "subformat=streamOptimized"))
    images.append(qemu_img("vpc", "-o", "subformat=fixed,force_size=on", size=MIB))
    footer = patched(images[len(KINDS)], (56, b"\xff" * 8))
    return [*images, footer, *HANDMADE]


def plugins() -> list[Format | Limits]:
    return [Format(), Limits(max_size="1GiB", max_virtual_size="4MiB", formats=["raw", "qcow2"])]


places = st.one_of(
    st.integers(0, 600), st.integers(60_000, 70_000), st.integers(190_000, 300_000), st.integers(0, 4 * MIB)
)


@relaxed
@given(data=st.data(), cuts=st.lists(places, max_size=20), size_known=st.booleans())
def test_the_verdict_is_the_same_for_all_chunk_sizes(
    qemu_img: Make, data: st.DataObject, cuts: list[int], size_known: bool
) -> None:
    image = data.draw(st.sampled_from(samples(qemu_img)))
    facts = {"size": len(image) if size_known else None}
    for plugin in plugins():
        expected = answer(plugin, [image], **facts)
        assert answer(plugin, cut(image, cuts), **facts) == expected
        assert answer(plugin, cut(image, range(0, len(image), 5000)), **facts) == expected


@relaxed
@given(data=st.data(), keep=st.one_of(st.none(), places), size_known=st.booleans())
def test_the_verdict_on_a_mutant_is_the_same_for_all_chunk_sizes(
    qemu_img: Make, data: st.DataObject, keep: int | None, size_known: bool
) -> None:
    image = data.draw(st.sampled_from(samples(qemu_img)))
    change = st.tuples(
        st.one_of(st.integers(0, 1024), st.integers(196_608, 196_800), st.integers(2 * MIB, 2 * MIB + 256)),
        st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x80" + b"\0" * 7])),
    )
    changes = [row for row in data.draw(st.lists(change, max_size=6)) if row[0] + len(row[1]) < len(image)]
    hostile = patched(image, *changes)[:keep]
    facts = {"size": len(hostile) if size_known else None}
    for plugin in plugins():
        expected = answer(plugin, [hostile], **facts)
        assert answer(plugin, cut(hostile, range(0, len(hostile), 3000)), **facts) == expected


@relaxed
@given(st.binary(max_size=2000), st.sampled_from([0, 70_000]), st.sampled_from([None, "raw", "qcow2", "iso"]))
def test_any_bytes_get_a_verdict(start: bytes, more: int, declared: str | None) -> None:
    for plugin in plugins():
        answer(plugin, start + bytes(more), disk_format=declared)
