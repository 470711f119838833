"""The order of versions. The chains below were compared with dpkg 1.21, rpm 4.18, vercmp of pacman 6.0, RubyGems 3.3
and node-semver; Alpine's are from the table of apk-tools' tests. dpkg and `packaging` are asked again here.
"""

from __future__ import annotations

import itertools
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version

from douane.plugins.packages.versions import KINDS, MAX_VERSION, version_key

CHAINS = {
    "dpkg": "0~~ 0~ 0 1.0~rc1-1 1.0 1.0-0+deb12u1 1.0-1~bpo12+1 1.0-1 1.0-1+b1 1.0-1.1"
    " 1.0-2 1.0-10 1.0+dfsg-1 1.0.1 1:0.1",
    "rpm": "0-1 1.0~rc1-1 1.0~rc1^git1-1 1.0-1 1.0-1.el9 1.0-1.el9_2 1.0-2 1.0-10 1.0^git1-1"
    " 1.0a-1 1.0.1-1 1.10-1 2.0-1 1:0.1-1",
    "apk": "0.9-r9 1.0_alpha_pre2 1.0_alpha 1.0_alpha2 1.0_beta1 1.0_rc3 1.0 1.0-r0"
    " 1.0-r10 1.0_git2 1.0_p1-r0 1.0b 1.0.05 1.0.1 1.06 1.2.1 006 6b-r7 20191002",
    "pacman": "1.0a-1 1.0alpha-1 1.0b-1 1.0beta-1 1.0p-1 1.0rc-1 1.0-1 1.0-1.1 1.0-2 1.0.a-1 1.0.1-1 1.1-1 1:0.1-1",
    "python": "1.0.dev1 1.0a1.dev1 1.0a1 1.0b2 1.0rc1 1.0 1.0+a 1.0+5 1.0.post1.dev2 1.0.post1 1.1 1.10 1!0.1",
    "node": "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11"
    " 1.0.0-rc.1 1.0.0 1.0.1 1.2.0 1.10.0 2.0.0",
    "gem": "1.0.a 1.0.a.2 1.0.a10 1.0.b 1.0.pre 1.0.rc1 1.0 1.0.1 1.1.a 1.1 1.2 1.10 2",
}
EQUAL = [
    ("dpkg", "1.0", "0:1.0-0"),
    ("dpkg", "1.01", "1.1"),
    ("rpm", "1.0-1", "0:1.00-1"),
    ("rpm", "1_0-1", "1.0-1"),
    ("pacman", "1.0-1", "1.00-1"),
    ("python", "1.0RC1", "1.0.0-c1"),
    ("python", "v1.0-1", "1.post1"),
    ("node", "v1.2", "1.2.0+build"),
    ("gem", "1.0.0", "1"),
    ("gem", "1.0-1", "1.pre.1"),
]
INVALID = {
    "dpkg": ["", "a:1", ":1", "1:"],
    "rpm": ["", "x:1-1", "1:"],
    "apk": ["", "1.0bc", "23_foo", "1..0", "a"],
    "pacman": ["", "1:"],
    "python": ["", "latest", "1.0-x"],
    "node": ["", "latest", "1.2.3.4", "*"],
    "gem": ["", "a", "1..2", "1." * 40 + "1"],
}
ALPHABETS = {
    "dpkg": "01a~+.-:",
    "rpm": "01ab~^.-_:",
    "apk": ["0", "1", "05", ".", "a", "_rc", "_p", "_alpha", "-r1", "~ab"],
    "pacman": "01ab.-_:",
    "python": ["0", "1", ".", "a1", "rc", ".post", ".dev", "-1", "+", "x", "1!"],
    "node": ["0.1.", "1.0.", "1", "0", "-", "a", ".", "+"],
    "gem": ["0", "1", ".", ".a", "b", "-"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_versions_have_the_order_of_their_ecosystem(kind: str) -> None:
    chain = CHAINS[kind].split()
    assert sorted(set(chain), key=lambda version: version_key(kind, version)) == chain
    assert len({version_key(kind, version) for version in chain}) == len(chain)


@pytest.mark.parametrize(("kind", "first", "second"), EQUAL)
def test_versions_that_are_the_same(kind: str, first: str, second: str) -> None:
    assert version_key(kind, first) == version_key(kind, second)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_version_is_none(kind: str) -> None:
    for version in (*INVALID[kind], "1" * (MAX_VERSION + 1)):
        with pytest.raises(ValueError, match=r"version|suffix"):
            version_key(kind, version)


@given(st.data(), st.sampled_from(KINDS))
def test_every_two_versions_can_be_compared(data: st.DataObject, kind: str) -> None:
    texts = st.lists(st.sampled_from(ALPHABETS[kind]), min_size=1, max_size=8).map("".join)
    keys = []
    for text in data.draw(st.lists(texts, min_size=2, max_size=5)):
        try:
            keys.append(version_key(kind, text))
        except ValueError:
            continue
    for first, second in itertools.combinations(sorted(keys), 2):
        assert first <= second
        assert (first == second) == (not first < second)


@given(st.lists(st.sampled_from(ALPHABETS["python"]), min_size=1, max_size=6).map("".join), st.text(max_size=8))
def test_versions_of_python_are_those_of_packaging(text: str, more: str) -> None:
    for version in (text, text + more):
        try:
            expected = Version(version)
        except InvalidVersion:
            with pytest.raises(ValueError, match="PEP 440"):
                version_key("python", version)
            continue
        zero, key = Version("1.0"), version_key("python", version)
        assert (expected < zero, expected == zero) == (
            key < version_key("python", "1.0"),
            key == version_key("python", "1.0"),
        )


def test_dpkg_agrees() -> None:
    chain = [*CHAINS["dpkg"].split(), "1.0~", "1.0-1a", "1.0--1", "1.0+", "01.0-01"]
    for first, second in itertools.pairwise(chain):
        keys = version_key("dpkg", first), version_key("dpkg", second)
        sign = "lt" if keys[0] < keys[1] else "eq" if keys[0] == keys[1] else "gt"
        subprocess.run(["dpkg", "--compare-versions", first, sign, second], check=True)
