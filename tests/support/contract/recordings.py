"""What is recorded: each conversation's surroundings, and what its verdict must be for the recording to be kept."""

from __future__ import annotations

from typing import Any

from douane_guest.delivery import deliver
from douane_guest.guest import open_guest
from douane_guest.source import BytesSource
from douane_plugin._delivery import record_of
from douane_plugin.testing import guest_image

from .conversation import image, pieces

PATTERN = {"hex": "".join(f"{n:02x}" for n in range(256))}
SMALL = [{**PATTERN, "times": 12}]
NEEDLE = b"forbidden text".hex()
LONG = [
    {**PATTERN, "times": 4096 * 3},
    {"hex": NEEDLE},
    {**PATTERN, "times": 1000},
]
"""Three MiB and a little more: several chunks."""

LONGER_THAN_THE_RING = [{**PATTERN, "times": 4096 * 20}, {"hex": NEEDLE}]
WITH_HOLE = [{**PATTERN, "times": 4096}, {"zeros": 6 << 20}, {"hex": NEEDLE}, {"zeros": 1 << 20}]
DECLARED = {
    "name": "a name",
    "disk_format": "qcow2",
    "container_format": "bare",
    "properties": {"os_distro": "debian", "hw_disk_bus": "virtio"},
    "owner": "0123456789abcdef",
    "roles": ["member", "reader"],
}
ALL_TYPES = {
    "text": "é",
    "yes": True,
    "number": 3,
    "ratio": 1,
    "names": ["a", "b"],
    "plain": [1, 2],
    "pair": [1, 2],
    "some": ["y", "x"],
    "fixed": [2, 1],
    "several": [1, 0.5],
    "table": {"a": 1},
    "mapping": {"a": False},
    "maybe": 5,
    "either": "text",
    "how": "fast",
    "anything": [1, "two", {"three": 3.5}],
    "site": "anything",
    "untyped": {"a": []},
    "by_default": 8,
    "other_key": "through",
}


def _answer(answer: str, **expected: Any) -> dict[str, Any]:
    return {
        "about": f"the answer {answer}",
        "plugin": "answers.py:Answers",
        "plan": {"config": {"answer": answer}},
        "image": SMALL,
        "expected": expected,
    }


def _unusable(about: str, plugin: str, **plan: Any) -> dict[str, Any]:
    return {"about": about, "plugin": plugin, "plan": plan, "image": SMALL, "expected": {"unusable": True}}


def _stream(about: str, plugin: str, image: Any, **more: Any) -> dict[str, Any]:
    return {"about": about, "plugin": plugin, "image": image, **more}


TEXT_FOUND = {"outcome": "refused", "plugin": "refused", "code": "text-found"}
ACCEPTED = {"outcome": "accepted", "plugin": "accepted"}
FAILED = {"outcome": "undecided", "plugin": "failed"}
DOCUMENTS = {
    "packages": [{"name": "bash", "bytes": 1 << 63, "ratio": 0.5, "of": None}],
    "notes": {"head": image(SMALL)[:4].hex(), "deep": [[["é", True]]]},
}
TEXT = {"plan": {"config": {"text": "forbidden text"}}}

STATUS = "Package: {}\nStatus: install ok installed\nArchitecture: all\nVersion: 5.2\n"


def _disk(package: str) -> bytes:
    """A disk with a system on which a package is installed."""
    files = {
        "/etc/os-release": "ID=example\n",
        "/etc/shadow": "root:*:1::::::\n",
        "/usr/bin/tool": b"\x7fELF" + bytes(4000) + b"the end".rjust(996, b"."),
        "/var/lib/dpkg/status": STATUS.format(package),
    }
    return guest_image(files, links={"/bin": "usr/bin"}, modes={"/usr/bin/tool": 0o4755})


GUEST = _disk("bash")
LABELED = guest_image(
    {"/etc/os-release": "ID=example\n", "/usr/bin/tool": "x"},
    links={"/bin": "usr/bin"},
    xattrs={"/usr/bin/tool": {"security.capability": bytes(20), "security.selinux": b"system_u:object_r:bin_t:s0\0"}},
)
BUILT_AGAIN = _disk("bash\nSource: bash-source (5.1)\nOrigin: Example")
WITH_TELNET = _disk("telnetd")
ENCRYPTED = b"LUKS\xba\xbe\0\2" + bytes(8184)


def _guest(about: str, disk: bytes, **more: Any) -> dict[str, Any]:
    return {"about": about, "plugin": "guests.py:Guests", "image": pieces(disk), "python": [3, 11], **more}


def _files(about: str, disk: bytes, **more: Any) -> dict[str, Any]:
    records = b"".join([record_of(event) for event in deliver(open_guest(BytesSource(disk)))])
    return {"about": about, "plugin": "files.py:Files", "image": pieces(disk), "ring": pieces(records), **more}


RECORDINGS: dict[str, dict[str, Any]] = {
    "windows-refuses": _stream(
        "a text across chunks is found", "windows.py:Windows", LONG, **TEXT, expected=TEXT_FOUND
    ),
    "windows-accepts": _stream(
        "an image without the text", "windows.py:Windows", [{**PATTERN, "times": 4096 * 3}], **TEXT, expected=ACCEPTED
    ),
    "windows-hole": _stream("a text after a hole", "windows.py:Windows", WITH_HOLE, **TEXT, expected=TEXT_FOUND),
    "windows-long": _stream(
        "an image longer than the ring", "windows.py:Windows", LONGER_THAN_THE_RING, **TEXT, expected=TEXT_FOUND
    ),
    "chunks": _stream(
        "iteration, read, offset, a chunk that is revoked, alive", "chunks.py:Chunks", LONG, expected=ACCEPTED
    ),
    "chunks-empty": _stream("an image of no bytes", "chunks.py:Chunks", [], expected=ACCEPTED),
    "keeps-views": _stream(
        "views that are kept: BufferError",
        "chunks.py:KeepsViews",
        LONG,
        expected={**ACCEPTED, "properties": {"recorded.stopped": True}},
    ),
    "head-accepts": _stream(
        "reads no more than it declared",
        "head.py:Head",
        [{"zeros": 510}, {"hex": "55aa"}, {"zeros": 100_000}],
        expected={**ACCEPTED, "properties": {"recorded.bound": True}},
    ),
    "head-refuses": _stream(
        "a refusal by the head", "head.py:Head", SMALL, expected={"outcome": "refused", "code": "no-signature"}
    ),
    "head-incomplete": _stream(
        "an image shorter than what is read", "head.py:Head", [{"hex": "00"}], expected={"plugin": "incomplete"}
    ),
    "declared": _stream(
        "all facts, a warning, log lines",
        "declared.py:Declared",
        SMALL,
        declared=DECLARED,
        expected={**ACCEPTED, "warnings": [["seen", "it was looked at"]]},
    ),
    "declared-nothing": _stream("nothing is declared", "declared.py:Declared", SMALL, expected=ACCEPTED),
    "findings": _stream(
        "what others found, and proposed properties",
        "findings.py:Findings",
        [{"zeros": 510}, {"hex": "55aa"}],
        before=["head.py:Head"],
        plan={"may_set": ["hw_*", "os_hidden"]},
        expected={**ACCEPTED, "proposed": {"hw_firmware_type": "uefi", "hw_cores": 8, "os_hidden": None}},
    ),
    "findings-not-allowed": _stream(
        "a proposed property that the operator has not listed",
        "findings.py:Findings",
        SMALL,
        expected={**FAILED, "code": "plugin-properties"},
    ),
    "documents": _stream(
        "documents with an accept", "documents.py:Documents", SMALL, expected={**ACCEPTED, "documents": DOCUMENTS}
    ),
    "documents-refused": _stream(
        "documents with a refusal",
        "documents.py:Documents",
        SMALL,
        plan={"config": {"refuse": True}},
        expected={"outcome": "refused", "code": "unwanted", "documents": DOCUMENTS},
    ),
    "at-random": _stream(
        "a seekable file, its path, read and iteration",
        "at_random.py:AtRandom",
        LONG,
        declared=DECLARED,
        expected=ACCEPTED,
    ),
    "granted": _stream(
        "a file and a connection",
        "granted.py:Granted",
        SMALL,
        granted={
            "rules": {"kind": "file", "hex": b"some rules".hex()},
            "daemon": {"kind": "socket", "asks": b"PING\n".hex(), "answers": b"PONG\n".hex()},
        },
        expected={**ACCEPTED, "properties": {"recorded.rules": "some rules", "recorded.answer": "PONG"}},
    ),
    "granted-paths": _stream(
        "a file and a folder by path",
        "granted_paths.py:GrantedPaths",
        SMALL,
        granted={
            "rules": {"kind": "file", "hex": b"some rules".hex()},
            "lists": {"kind": "dir", "files": {"a": b"list a".hex(), "deep/b": b"list b".hex()}},
        },
        expected={**ACCEPTED, "properties": {"recorded.rules": "some rules", "recorded.lists": "list a, list b"}},
    ),
    "granted-connections": _stream(
        "further connections, and connections at a path",
        "granted_connections.py:GrantedConnections",
        SMALL,
        granted={
            "daemon": {"kind": "socket", "asks": b"PING\n".hex(), "answers": b"PONG\n".hex()},
            "plain": {"kind": "socket", "asks": b"PING\n".hex(), "answers": b"PONG\n".hex()},
        },
        plan={"socket_paths": ["daemon"]},
        expected={**ACCEPTED, "properties": {"recorded.answers": "PONG PONG PONG PONG"}},
    ),
    "scratch": _stream("two scratch files", "scratch.py:Writes", SMALL, plan={"scratch": "8MiB"}, expected=ACCEPTED),
    "transform": _stream(
        "a new image, becomes, a warning, properties",
        "transforms.py:Invert",
        LONG,
        declared={"disk_format": "qcow2"},
        expected={**ACCEPTED, "properties": {"recorded.inverted": True, "recorded.bytes": 3401742}},
    ),
    "transform-unchanged": _stream(
        "nothing to do", "transforms.py:Invert", [{"hex": b"KEEP".hex()}, *LONG], expected=ACCEPTED
    ),
    "transform-refuses": _stream(
        "a refusal after some output",
        "transforms.py:Invert",
        LONG,
        plan={"config": {"most": 100_000}},
        expected={"outcome": "refused", "code": "too-long"},
    ),
    "transform-same": _stream("yields the chunks", "transforms.py:Same", LONG, expected=ACCEPTED),
    "transform-random": _stream("reads at random", "transforms.py:Tail", SMALL, expected=ACCEPTED),
    "transform-empty": _stream("makes an empty image", "transforms.py:Nothing", SMALL, expected={"plugin": "accepted"}),
    "transform-listed": _stream("is no generator", "transforms.py:Listed", SMALL, expected=FAILED),
    "answer-accept": _answer("accept", **ACCEPTED),
    "answer-prefixed": _answer("prefixed", **ACCEPTED, properties={"recorded.key": 1}),
    "answer-reject": _answer("reject", outcome="refused", code="a-code_1.2", message="why, and what to do"),
    "answer-incomplete": _answer("incomplete", plugin="incomplete", code="not-all"),
    "answer-defer": _answer("defer", plugin="deferred", retry_after=2.5),
    "answer-exit": _answer("exit", **FAILED, code="plugin-error"),
    "answer-crash": _answer("crash", **FAILED, code="plugin-error"),
    "answer-true": _answer("true", **FAILED, code="plugin-error"),
    "answer-outside": _answer("outside", **FAILED, code="plugin-properties"),
    "answer-no-start": _answer("no-start", **FAILED, code="plugin-error"),
    "answer-bad-value": _answer("bad-value", unusable=True),
    "wrongly": _stream(
        "what raises ValueError",
        "answers.py:Wrongly",
        SMALL,
        expected={**ACCEPTED, "properties": {"recorded.raised": 14}},
    ),
    "every-type": _stream(
        "each type of configuration",
        "every_type.py:EveryType",
        SMALL,
        plan={"config": ALL_TYPES},
        expected=ACCEPTED,
    ),
    "every-type-texts": _stream(
        "configuration from a command line",
        "every_type.py:EveryType",
        SMALL,
        plan={"config": ALL_TYPES},
        texts={"text": "17", "number": "17", "names": '["c"]', "either": "17", "how": "thorough", "maybe": "null"},
        expected=ACCEPTED,
    ),
    "written-today": _stream(
        "annotations as texts, unions of Python 3.10",
        "written_today.py:WrittenToday",
        SMALL,
        python=[3, 10],
        plan={"config": {"number": 1, "either": [2], "names": ["a"], "table": {"b": 0.5}, "how": "fast"}},
        expected=ACCEPTED,
    ),
    "guest": _guest("a guest, and a file that is too long to be read", GUEST, expected=ACCEPTED),
    "guest-refuses": _guest(
        "a package that is installed", WITH_TELNET, expected={"outcome": "refused", "code": "telnetd"}
    ),
    "guest-blind": _guest(
        "unread parts that the plugin does not ask for",
        ENCRYPTED,
        plan={"config": {"how": "blind"}},
        expected={"plugin": "incomplete", "code": "guest-encrypted"},
    ),
    "guest-packages": {
        "about": "the source and the origin of a package",
        "plugin": "packages.py:Packages",
        "image": pieces(BUILT_AGAIN),
        "python": [3, 11],
        "expected": ACCEPTED,
    },
    "guest-findings": {
        "about": "a guest, and what others found",
        "plugin": "guest_findings.py:GuestFindings",
        "image": pieces(BUILT_AGAIN),
        "before": ["packages.py:Packages"],
        "python": [3, 11],
        "expected": ACCEPTED,
    },
    "guest-xattrs": {
        "about": "extended attributes of a guest",
        "plugin": "xattrs.py:Xattrs",
        "image": pieces(LABELED),
        "python": [3, 11],
        "expected": ACCEPTED,
    },
    "files": _files("every file once, by each way of reading", GUEST, expected=ACCEPTED),
    "files-refuses": _files(
        "a refusal before the end of the files",
        GUEST,
        plan={"config": {"how": "refuse"}},
        expected={"outcome": "refused", "code": "tool"},
    ),
    "files-blind": _files(
        "unread parts that the plugin does not ask for",
        ENCRYPTED,
        plan={"config": {"how": "blind"}},
        expected={"plugin": "incomplete", "code": "guest-encrypted"},
    ),
    "configuration-missing": _unusable("a required parameter is not set", "windows.py:Windows"),
    "configuration-unknown": _unusable(
        "a key that the constructor has not", "windows.py:Windows", config={"text": "a", "texts": "b"}
    ),
    "configuration-type": _unusable("a value of another type", "windows.py:Windows", config={"text": 5}),
    "no-such-class": _unusable("a class that is not there", "windows.py:Window"),
}
