"""`image.files()`: every file once with its bytes, however the records are cut, and nothing that is unread is clean."""

from __future__ import annotations

import hashlib
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane_plugin import Inspector, Reject, wire
from douane_plugin import _file_records as records
from douane_plugin._local import RING_BYTES, SLOT_BYTES, LocalRuntime, Slots

BIG = bytes(range(256)) * 9000  # more than two slots


def file_records(path, *parts, same_as=None, is_whole=True, size=None):
    """A file whose parts are bytes, or the lengths of holes."""
    content = b"".join(bytes(part) if isinstance(part, int) else part for part in parts)
    entry = records.EntryRecord(
        path, "p1", "file", 0o644, 1, 2, len(content) if size is None else size, 3, None, same_as
    )
    data = records.entry_record(entry)
    if same_as is not None:
        return data
    for part in parts:
        if isinstance(part, int):
            data += records.hole_record(part)
        else:
            for start in range(0, len(part), wire.MAX_RECORD):
                piece = part[start : start + wire.MAX_RECORD]
                data += records.data_header(len(piece)) + piece
    return data + records.end_of_file_record(hashlib.sha256(content).digest() if is_whole else None)


VOLUME = records.volume_record("p1", "ext4", "12-34", "root", None)
FOLDER = records.entry_record(records.EntryRecord("/d", "p1", "dir", 0o755, 0, 0, 4096, 0))
LINK = records.entry_record(records.EntryRecord("/l", "p1", "link", 0o777, 0, 0, 3, 0, "caf\udce9"))
UNREAD = records.unread_record("p1:/broken", "guest-broken", "an extent lies outside of the disk")
FILES = file_records("/a", b"abc") + file_records("/big", BIG, 3 << 20, b"end") + file_records("/empty")


def answer(cls, data, cuts=(SLOT_BYTES,)):
    """The answer of a plugin: (outcome, code or properties), and whether it has asked for the unread parts."""
    runtime = None
    with tempfile.TemporaryFile() as ring:
        ring.truncate(RING_BYTES)
        slots = Slots(ring.fileno())
        runtime = LocalRuntime(slots, pieces(data, cuts), "files")
        runtime.spec = {"rings": [{"fd": ring.fileno(), "slot_bytes": SLOT_BYTES}], "grants": {}}
        try:
            plugin = runtime.instantiate(cls, {})
            runtime.image = runtime.make_image({"ring": 0}, "files", False)
            runtime.decide(plugin, runtime.image)
        finally:
            runtime.image = plugin = None
            slots.close()
    kind, frame = runtime.channel.answer
    return {
        wire.ACCEPT: ("accept", frame.get("properties"), frame.get("unread")),
        wire.REFUSE: ("refuse", frame.get("code"), frame.get("message")),
        wire.INCOMPLETE: ("incomplete", frame.get("code"), frame.get("message")),
    }[kind]


def pieces(data, cuts):
    position = number = 0
    while position < len(data):
        length = cuts[number % len(cuts)]
        yield data[position : position + length]
        position += length
        number += 1


def stream(*parts, entries, unread=0):
    return b"".join((VOLUME, *parts, records.end_record(entries, unread)))


class Reader(Inspector):
    reads = "files"


def plugin(function):
    return type("Plugin", (Reader,), {"inspect": lambda self, image: function(image)})


def test_every_file_comes_once_with_its_facts_and_bytes():
    def inspect(image):
        assert [(volume.name, volume.filesystem, volume.clean) for volume in image.volumes] == [("p1", "ext4", None)]
        paths = []
        for file in image.files():
            paths.append(file.path)
            if file.path == "/l":
                assert (file.kind, file.link, file.digest, list(file)) == ("link", "caf\udce9", None, [])
            elif file.path == "/again":
                assert (file.same_as, file.digest, list(file)) == ("/a", None, [])
            elif file.path == "/d":
                assert (file.kind, file.mode, list(file.data())) == ("dir", 0o755, [])
            else:
                digest = hashlib.sha256()
                for chunk in file:
                    digest.update(chunk)
                assert file.digest == digest.hexdigest()
                assert (file.uid, file.gid, file.mtime_ns, file.volume) == (1, 2, 3, "p1")
        assert paths == ["/d", "/l", "/a", "/big", "/empty", "/again"]
        assert image.unread == ()
        return {"files": len(paths)}

    data = stream(FOLDER, LINK, FILES, file_records("/again", b"abc", same_as="/a"), entries=6)
    assert answer(plugin(inspect), data) == ("accept", {"files": 6}, True)


class Content(Reader):
    """Compares what each way of reading gives."""

    def inspect(self, image):
        contents = {}
        for number, file in enumerate(image.files()):
            if number % 3 == 0:
                content = b"".join([bytes(chunk) for chunk in file])
            elif number % 3 == 1:
                content = b""
                while len(content) < file.size:
                    part = file.read(70_000)
                    content += part
                    assert len(part) == min(70_000, file.size - len(content) + len(part))
                assert file.read(1) == b""
            else:
                joined = bytearray(file.size)
                for offset, chunk in file.data():
                    joined[offset : offset + len(chunk)] = chunk
                content = bytes(joined)
            contents[file.path] = content
            assert file.digest == hashlib.sha256(content).hexdigest()
        Content.contents = contents


file_parts = st.lists(st.binary(min_size=1, max_size=300) | st.integers(1, 200_000), max_size=4)


@given(
    st.lists(file_parts, max_size=6), st.lists(st.sampled_from([1, 7, 50, 4096, SLOT_BYTES]), min_size=1, max_size=4)
)
@settings(max_examples=50)
def test_any_cutting_gives_the_same_bytes_by_any_way_of_reading(files, cuts):
    data = stream(*[file_records(f"/{number}", *parts) for number, parts in enumerate(files)], entries=len(files))
    assert answer(Content, data, cuts)[0] == "accept"
    assert list(Content.contents.values()) == [
        b"".join([bytes(part) if isinstance(part, int) else part for part in parts]) for parts in files
    ]


def test_bytes_that_are_skipped_do_not_cost_the_digest():
    def inspect(image):
        files = list(image.files())
        assert files[0].digest == hashlib.sha256(b"abc").hexdigest()
        with pytest.raises(ValueError, match="have passed"):
            next(iter(files[1]))
        with pytest.raises(ValueError, match="have passed"):
            files[1].read(1)
        assert list(files[2]) == []

    assert answer(plugin(inspect), stream(FILES, entries=3))[0] == "accept"


def test_a_file_can_be_read_in_part():
    def inspect(image):
        for file in image.files():
            if file.path == "/big":
                assert (file.read(2), next(iter(file))[:2].tobytes()) == (BIG[:2], BIG[2:4])
                raise Reject("seen", "it is there")

    assert answer(plugin(inspect), stream(FILES, entries=3))[:2] == ("refuse", "seen")


def test_a_chunk_that_is_kept_is_never_one_with_other_bytes():
    def inspect(image):
        kept = []
        for file in image.files():
            for chunk in file:
                if kept:
                    with pytest.raises(ValueError, match="released"):
                        bytes(kept[-1])
                kept.append(chunk)

    assert answer(plugin(inspect), stream(FILES, entries=3))[0] == "accept"

    def slices(image):
        parts = [chunk[:1] for file in image.files() for chunk in file]
        return {"parts": len(parts)}  # it has asked for the next chunk all the same

    with pytest.raises(BufferError, match="still in use"):
        answer(plugin(slices), stream(FILES, file_records("/more", BIG), entries=4))


@pytest.mark.parametrize(
    "inspect",
    [
        lambda image: None,
        lambda image: [file.path for file in image.files()] and None,
        lambda image: {"volumes": len(image.volumes)},
    ],
)
def test_an_accept_without_the_question_is_not_one_if_parts_are_unread(inspect):
    data = stream(FILES, UNREAD, entries=3, unread=1)
    outcome, code, message = answer(plugin(inspect), data)
    assert (outcome, code) == ("incomplete", "guest-broken")
    assert "1 part of the image could not be read" in message
    assert "p1:/broken: an extent lies outside of the disk" in message
    assert answer(plugin(inspect), stream(FILES, entries=3))[0] == "accept"


def test_the_list_is_complete_when_it_is_asked_for():
    def inspect(image):
        next(image.files())
        parts = image.unread
        assert list(image.files()) == []
        return {"unread": len(parts), "code": parts[0].code, "place": parts[0].place}

    data = stream(FILES, UNREAD, entries=3, unread=1)
    expected = {"unread": 1, "code": "guest-broken", "place": "p1:/broken"}
    assert answer(plugin(inspect), data) == ("accept", expected, True)


def test_a_file_that_ends_early_is_the_answer():
    def inspect(image):
        for file in image.files():
            try:
                while file.read(2):
                    pass
            finally:
                assert file.digest is None

    data = stream(UNREAD, file_records("/broken", b"abc", size=10, is_whole=False), entries=1, unread=1)
    assert answer(plugin(inspect), data) == (
        "incomplete",
        "guest-broken",
        "p1:/broken: an extent lies outside of the disk",
    )


@pytest.mark.parametrize("data", [b"", VOLUME, FILES[:50], stream(FILES, entries=4), stream(FILES, entries=3) + b"x"])
def test_records_that_break_off_are_never_an_accept(data):
    def inspect(image):
        try:
            for file in image.files():
                file.read(1)
            image.unread  # noqa: B018
        except Exception:
            pass

    assert answer(plugin(inspect), data)[:2] == ("incomplete", "guest-reader-failed")


def test_the_bytes_of_the_image_are_not_those_of_files():
    def inspect(image):
        with pytest.raises(ValueError, match=r"image\.files\(\)"):
            next(image)
        with pytest.raises(ValueError, match=r"image\.files\(\)"):
            image.read(1)
        for file in image.files():
            assert (image.offset == 0) == (file.path == "/a")
            with pytest.raises(ValueError, match="0 or more"):
                file.read(-1)
            list(file)

    assert answer(plugin(inspect), stream(FILES, entries=3))[0] == "accept"


@pytest.mark.parametrize("member", ["files", "volumes", "unread"])
def test_other_plugins_have_no_files(member):
    from douane_plugin import Image
    from douane_plugin._chunks import NoChunks

    with pytest.raises(ValueError, match=f"image.{member}.* is for plugins that declare reads = 'files', not 'stream'"):
        getattr(Image({}, NoChunks()), member)()


def test_a_failure_names_the_file_that_the_plugin_was_reading():
    class Failing(Reader):
        def inspect(self, image):
            for file in image.files():
                file.read(2)
                raise KeyError(file.path)

    with tempfile.TemporaryFile() as ring:
        ring.truncate(RING_BYTES)
        runtime = LocalRuntime(Slots(ring.fileno()), pieces(stream(FILES, entries=3), (SLOT_BYTES,)), "files")
        runtime.spec = {"rings": [{"fd": ring.fileno(), "slot_bytes": SLOT_BYTES}], "grants": {}}
        runtime.image = runtime.make_image({"ring": 0}, "files", False)
        with pytest.raises(KeyError):
            runtime.decide(runtime.instantiate(Failing, {}), runtime.image)
        assert runtime.position() == "at p1:/a: byte 3\n"
