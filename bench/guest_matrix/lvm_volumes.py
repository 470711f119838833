"""The kinds of logical volumes, each with an image in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .lvm_groups import EXTENT, Group
from .md_arrays import left_symmetric
from .pieces import Area, Stripe, copy_into, data_units, rounded_size, spread, spread_with_parity
from .workshop import empty_file, run

CHUNK = 64 << 10
Members = list[Path]
Maker = Callable[[Path, Path, int], Members]
"""Of the image, the folder, and the number of devices at most: the files of the physical volumes."""


def linear(image: Path, room: Path, devices: int) -> Members:
    """Two segments on two devices."""
    total = rounded_size(image) // EXTENT
    group = Group(room, min(devices, 2))
    sizes = [total // 2, total - total // 2]
    group.allocate(0, 1)  # so that extents and offsets are not the same
    places = [group.allocate(number, size) for number, size in enumerate(sizes)]
    text = 'type = "striped"\nstripe_count = 1\nstripes = [\n{}\n]'
    group.volume_of("root", [(size, text.format(place)) for size, (place, _) in zip(sizes, places, strict=True)])
    group.create()
    start = 0
    for size, (_, area) in zip(sizes, places, strict=True):
        copy_into(image, area, start, size * EXTENT)
        start += size * EXTENT
    return group.finish()


def striped(image: Path, room: Path, devices: int) -> Members:
    """Three stripes."""
    group = Group(room, min(devices, 3))
    extents = -(-rounded_size(image) // EXTENT // 3)
    places = [group.allocate(number, extents) for number in range(3)]
    stripes = ",\n".join(text for text, _ in places)
    text = f'type = "striped"\nstripe_count = 3\nstripe_size = {CHUNK // 512}\nstripes = [\n{stripes}\n]'
    group.volume("root", extents * 3, text)
    group.create()
    spread(image, CHUNK, [area for _, area in places], lambda number: [(number % 3, number // 3)])
    return group.finish()


def mirror(image: Path, room: Path, devices: int) -> Members:
    """The old kind, with a log in memory."""
    group = Group(room, min(devices, 2))
    extents = rounded_size(image) // EXTENT
    areas = [group.hidden(f"root_mimage_{number}", number, extents) for number in range(2)]
    names = '"root_mimage_0", 0,\n"root_mimage_1", 0'
    group.volume("root", extents, f'type = "mirror"\nmirror_count = 2\nregion_size = 2048\nmirrors = [\n{names}\n]')
    group.create()
    for area in areas:
        copy_into(image, area)
    return group.finish()


def raid(kind: str, width: int) -> Maker:
    """Those of dm-raid, each with an image and a volume of metadata for each member."""

    def make(image: Path, room: Path, devices: int) -> Members:
        group = Group(room, min(devices, width))
        shares = {"raid1": 1, "raid5": width - 1, "raid6": width - 2, "raid10": width // 2}[kind]
        extents = -(-rounded_size(image) // EXTENT // shares)
        areas = []
        for number in range(width):
            group.hidden(f"root_rmeta_{number}", number, 1)
            areas.append(group.hidden(f"root_rimage_{number}", number, extents))
        names = ",\n".join(f'"root_rmeta_{number}", "root_rimage_{number}"' for number in range(width))
        text = f'type = "{kind}"\ndevice_count = {width}\nregion_size = 2048\n'
        text += "data_copies = 2\n" if kind == "raid10" else ""
        text += "" if kind == "raid1" else f"stripe_size = {CHUNK // 512}\n"
        group.volume("root", extents * shares, f"{text}raids = [\n{names}\n]")
        group.create()
        _fill_raid(kind, image, areas)
        return group.finish()

    return make


def _fill_raid(kind: str, image: Path, areas: list[Area]) -> None:
    width = len(areas)
    if kind == "raid1":
        for area in areas:
            copy_into(image, area)
    elif kind == "raid10":
        spread(image, CHUNK, areas, lambda number: [divmod(number * 2 + copy, width)[::-1] for copy in (0, 1)])
    elif kind == "raid5":
        spread_with_parity(image, CHUNK, areas, lambda row: left_symmetric(row, width, 1))
    else:
        spread_with_parity(image, CHUNK, areas, lambda row: _zero_restart(row, width))


def _zero_restart(row: int, width: int) -> Stripe:
    """raid6 is raid6_zr: P moves to the right, Q is behind it (drivers/md/raid5.c, ALGORITHM_ROTATING_ZERO_RESTART)."""
    first = row % width
    second = (first + 1) % width
    return Stripe([number for number in range(width) if number not in (first, second)], [first, second])


def thin(image: Path, room: Path, devices: int) -> Members:
    """A thin volume whose chunks lie in the pool in the opposite order."""
    chunks = list(data_units(image, CHUNK))
    group = Group(room, min(devices, 2))
    extents = -(-len(chunks) * CHUNK // EXTENT) or 1
    metadata = group.hidden("pool_tmeta", 0, 4)
    data = group.hidden("pool_tdata", 1, extents)
    pool = 'type = "thin-pool"\nmetadata = "pool_tmeta"\npool = "pool_tdata"\ntransaction_id = 1\n'
    pool += f'chunk_size = {CHUNK // 512}\ndiscards = "passdown"\nzero_new_blocks = 1'
    group.volume("pool", extents, pool)
    total = rounded_size(image) // EXTENT
    group.volume("root", total, 'type = "thin"\nthin_pool = "pool"\ntransaction_id = 0\ndevice_id = 1')
    group.create()
    mappings = []
    for index, (number, content) in enumerate(chunks):
        place = len(chunks) - 1 - index
        data.write(place * CHUNK, content)
        mappings.append(f'<single_mapping origin_block="{number}" data_block="{place}" time="0"/>')
    copy_into(_pool_metadata(room, mappings, extents * EXTENT // CHUNK), metadata)
    return group.finish()


def _pool_metadata(room: Path, mappings: list[str], chunks: int) -> Path:
    text = (
        f'<superblock uuid="" time="1" transaction="1" version="2" data_block_size="{CHUNK // 512}" '
        f'nr_data_blocks="{chunks}">\n<device dev_id="1" mapped_blocks="{len(mappings)}" transaction="0" '
        f'creation_time="0" snap_time="0">\n' + "\n".join(mappings) + "\n</device>\n</superblock>\n"
    )
    (room / "pool.xml").write_text(text)
    target = empty_file(room / "pool", 4 * EXTENT)
    run("thin_restore", "-q", "-i", room / "pool.xml", "-o", target)
    return target
