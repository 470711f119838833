"""The inspector `secrets`, with the real hyperscan, on disks with secrets that are made for the test."""

from __future__ import annotations

import hashlib
import sysconfig
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins import secrets
from douane.plugins.secrets import Secrets, matching
from douane.plugins.secrets.checks import CHECKS
from douane.plugins.secrets.rules import BUILT_IN, built_in_rules
from douane_plugin.testing import Result, WrongConfiguration, guest_image, run
from support.planted_secrets import Maker, Planted, planted_secrets

LENGTH = 8
"""Bytes of a secret that nobody may be shown."""


def look(
    files: dict[str, bytes], *, rules: str | Path | None = None, sandbox: str | None = None, **config: object
) -> Result:
    return run(
        Secrets,
        guest_image(files),
        config=config,
        grants={} if rules is None else {"rules": rules},
        sandbox=sandbox,
    )


def matches(result: Result) -> set[tuple[str, str, str]]:
    entries = result.documents["secrets"]["matches"] if result.documents else []
    return {(entry["rule"], entry["place"].partition(":")[2], entry["severity"]) for entry in entries}


@pytest.mark.parametrize("tier", ["full", "strict"])
def test_a_secret_of_each_kind_is_found_where_it_is(tier: str) -> None:
    planted = planted_secrets()
    result = look({item.path: item.content for item in planted}, sandbox=tier)
    assert (result.outcome, result.code) == ("refused", "secret-found")
    expected = {(item.rule, item.path, item.severity) for item in planted}
    assert matches(result) == expected | {("private-key", "/root/account.json", "refuse")}
    assert {item.rule for item in planted} == set(built_in_rules().rules)


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_what_is_told_never_has_eight_bytes_of_a_secret(seed: int) -> None:
    make = Maker(Random(seed))
    planted = [*make.tokens(), *make.clouds(), *make.passwords(), *make.leftovers()]
    token = planted[0]
    planted.append(Planted(token.rule, f"/srv/{token.content[6:-1].decode()}", token.content, token.secret))
    result = look({item.path: item.content for item in planted})
    assert len(matches(result)) == len(planted)
    assert_no_secret_in(result, planted)
    allowed = look(
        {item.path: item.content for item in planted}, severity=dict.fromkeys(built_in_rules().rules, "warn")
    )
    assert (allowed.outcome, len(allowed.warnings)) == ("accepted", len(planted))
    assert_no_secret_in(allowed, planted)


def assert_no_secret_in(result: Result, planted: list[Planted]) -> None:
    texts = repr((result, result.message, result.warnings, result.properties, result.documents, result.log))
    for item in planted:
        secret = item.secret.decode()
        for start in range(len(secret) - LENGTH + 1):
            assert secret[start : start + LENGTH] not in texts, item.rule


@pytest.mark.parametrize("most", [9, 1])
def test_no_secret_of_a_file_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """The place of each secret is masked for all of them, also where there are too many."""
    monkeypatch.setattr(matching, "MAX_HITS", most)
    tokens = [item for item in Maker(Random(2)).tokens() if item.rule in ("gitlab-token", "stripe-key")]
    name = ",".join(item.content.decode().partition("=")[2].strip() for item in tokens)
    result = look({f"/srv/{name}": b"\n".join(item.content for item in tokens)})
    assert result.outcome == "refused"
    assert_no_secret_in(result, tokens[:most])


@pytest.mark.parametrize(
    ("path", "end"),
    [("/var/backups/shadow.bak", ":1::::::\n"), ("/etc/shadow.orig", "\n"), ("/var/lib/extrausers/shadow", "")],
)
def test_a_hash_of_a_password_is_found_in_copies_and_at_the_end_of_a_line(path: str, end: str) -> None:
    """glibc takes lines of shadow without their last fields."""
    result = look({path: b"root:$6$" + b"a" * 16 + b"$" + b"b" * 86 + end.encode()})
    assert matches(result) == {("password-hash", path, "refuse")}


def test_private_keys_are_not_told_either() -> None:
    planted = Maker(Random(1)).private_keys()
    result = look({item.path: item.content for item in planted})
    assert_no_secret_in(result, [item for item in planted if item.secret.isascii()])


def test_a_clean_image_is_accepted_with_the_digest_of_the_rules() -> None:
    result = look(
        {"/etc/hostname": b"host\n", "/root/.bash_history": b"", "/etc/shadow": b"root:*:1::::::\nme:!:1::::::\n"}
    )
    assert result.outcome == "accepted", result
    assert (result.properties["files"], result.properties["warnings"]) == (3, 0)
    other = look({"/a": b"b"}, rules="[allow]\n")
    assert result.properties["rules_sha256"] != other.properties["rules_sha256"]


def test_the_library_of_this_python_is_no_false_alarm() -> None:
    """It has keys in its tests, and examples in its documentation. It stands where distributions have it."""
    refused = []
    library = Path(sysconfig.get_path("stdlib"))
    inspector = _Bare()
    for path in [
        *library.glob("*.py"),
        *library.glob("test/**/*.pem"),
        *library.glob("email/*.py"),
        Path("/etc/ssl/openssl.cnf"),
    ]:
        if path.is_file() and "-packages" not in path.parts:
            place = f"/usr/lib/python3/{path.relative_to(library)}" if path.is_relative_to(library) else str(path)
            refused += inspector.severities(place, path.read_bytes())
    assert set(refused) <= {"note"}


class _Bare(Secrets):
    def grant(self, name: str) -> object:
        raise LookupError(name)

    def severities(self, path: str, data: bytes) -> list[str]:
        """What the secrets in a file mean."""
        matcher = matching.FileMatcher(self.anchors, [], path, self.rules.allowed.texts)
        matcher.match([(0, data)])
        return [self.meaning.judge(hit, path, data[:8])[0] for hit in matcher.hits]


# What the operator says


def token(seed: int = 1) -> bytes:
    return f"ghp_{Maker(Random(seed)).checked()}".encode()


def test_the_operator_says_what_a_kind_means() -> None:
    files = {"/srv/a": token()}
    warned = look(files, severity={"github-token": "warn"})
    assert (warned.outcome, warned.warnings[0].code) == ("accepted", "secret-found")
    assert look(files, severity={"github-token": "note"}).properties["notes"] == 1
    assert not look(files, severity={"github-token": "allow"}).documents


def test_a_secret_is_allowed_by_its_fingerprint_its_file_or_its_path() -> None:
    data = b"-" * 50 + token() + b"\n"
    files = {"/srv/a": data}
    [entry] = look(files).documents["secrets"]["matches"]
    assert entry["fingerprint"] == hashlib.sha256(token()).hexdigest()[:16]
    assert entry["offset"] == 50
    assert look(files, rules=f'[allow]\nsecrets = ["{entry["fingerprint"]}"]').outcome == "accepted"
    assert look(files, rules=f'[allow]\nfiles = ["{hashlib.sha256(data).hexdigest()}"]').outcome == "accepted"
    assert look(files, rules='[allow]\npaths = ["/srv/*"]').outcome == "accepted"
    assert look(files, allow_paths=["**/a"]).outcome == "accepted"
    assert look({"/srv/b/a": data}, allow_paths=["/srv/*"]).outcome == "refused"


def test_passwords_have_no_fingerprint() -> None:
    [entry] = look({"/root/.netrc": b"machine a login b password summer2024\n"}).documents["secrets"]["matches"]
    assert "fingerprint" not in entry


def test_the_operator_adds_rules_and_places(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(
        """
        [[rule]]
        id = "site-token"
        what = "a token of the site"
        anchor = 'site_[0-9a-f]{16}'
        [[place]]
        why = "a test bed"
        severity = "note"
        paths = ["/opt/bed/**"]
        """
    )
    files = {"/etc/a": b"site_0123456789abcdef", "/opt/bed/a": b"site_0123456789abcdef"}
    result = look(files, rules=tmp_path)
    assert matches(result) == {("site-token", "/etc/a", "refuse"), ("site-token", "/opt/bed/a", "note")}


@pytest.mark.parametrize(
    ("path", "start", "severity"),
    [
        ("/usr/share/doc/thing/key.txt", b"", "note"),
        ("/usr/lib/python3/dist-packages/thing/tests/key.txt", b"", "note"),
        ("/usr/lib/libthing.so", b"\x7fELF", "note"),
        ("/opt/thing/program", b"\x7fELF", "warn"),
        ("/usr/lib/thing/key.txt", b"", "refuse"),
        ("/home/me/tests/key.txt", b"", "refuse"),
        ("/opt/app/venv/lib/python3.11/site-packages/glance/tests/var/ca.key", b"", "note"),
        ("/opt/app/venv/lib/python3.11/site-packages/thing/settings.py", b"", "refuse"),
        ("/srv/app/node_modules/thing/test/key.pem", b"", "note"),
        ("/srv/app/tests/node_modules.txt", b"", "refuse"),
    ],
)
def test_a_secret_means_less_where_packages_have_examples(path: str, start: bytes, severity: str) -> None:
    assert matches(look({path: start + b"\n" + token()})) == {("github-token", path, severity)}


@pytest.mark.parametrize(
    ("rules", "config", "words"),
    [
        ("[[rule]", {}, "no TOML"),
        ("[[rules]]", {}, "no key; the keys are allow, place, rule"),
        ("[rule]", {}, "two brackets"),
        ("[[rule]]\nid = 'A'", {}, "'id' is a name"),
        ("[[rule]]\nid = 'a'\nanchor = 'a'", {}, "'what' says"),
        ("[[rule]]\nid = 'a'\nwhat = 'a'\npaths = ['/a']", {}, "'anchor', or 'paths' and 'value'"),
        ("[[rule]]\nid = 'a'\nwhat = 'a'\nanchor = 'a'\ncheck = 'b'", {}, "no check 'b'"),
        ("[[rule]]\nid = 'a'\nwhat = 'a'\nanchor = 'a'\nentropy = 3", {}, "'entropy' is of the type float"),
        ("[[rule]]\nid = 'a'\nwhat = 'a'\nanchor = 'a'\nvalue = '('", {}, "'value' is no expression"),
        ("[[rule]]\nid = 'odd'\nwhat = 'a'\nanchor = 'a(?=b)'", {}, "the anchor of the rule 'odd' does not compile"),
        ("[[rule]]\nid = 'a'\nwhat = 'a'\nanchor = 'a'\nafter = 9999999", {}, "are bytes, at most"),
        ("[[place]]\npaths = ['/a']\nwhy = 'a'\nseverity = 'no'", {}, "a severity is one of"),
        ("[allow]\nfiles = ['abc']", {}, "is none of files"),
        (None, {"severity": {"nothing": "warn"}}, "there is no rule 'nothing'"),
        (None, {"severity": {"jwt": "deny"}}, "'severity' is one of"),
    ],
)
def test_a_wrong_configuration_is_a_sentence(rules: str | None, config: dict[str, object], words: str) -> None:
    with pytest.raises(WrongConfiguration, match=words):
        look({"/a": b""}, rules=rules, **config)


# What was not looked at


def test_an_image_that_cannot_be_read_is_incomplete(tmp_path: Path) -> None:
    image = tmp_path / "luks.img"
    image.write_bytes(b"LUKS\xba\xbe\x00\x01".ljust(1 << 20, b"\0"))
    assert run(Secrets, image).outcome == "incomplete"


@pytest.mark.parametrize("place", ["file", "image"])
def test_texts_beyond_the_bounds_are_incomplete(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setattr(matching if place == "file" else secrets, "MAX_ANCHORS", 20)
    result = look(
        {"/a": b"npm_" + b"a" * 36 + b"\n", "/b": (b"ghp_" + b"a" * 36 + b"!\n") * 21, "/c": b""},
        severity={"github-token": "note"},
    )
    assert (result.outcome, result.code) == ("incomplete", "secrets-too-many")
    assert "disk:/b" in result.message


def test_more_secrets_than_the_bound_are_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MAX_HITS", 3)
    files = {"/a": b"\n".join(token(seed) for seed in range(4))}
    assert look(files, severity={"github-token": "warn"}).outcome == "incomplete"
    assert look(files).outcome == "refused"


def test_a_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(Secrets, "_compiled", None)
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    with pytest.raises(WrongConfiguration, match=r"pip install '\.\[secrets\]'"):
        look({"/a": b""})


def test_rules_are_compiled_once_for_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    look({"/a": b""})
    compiled = Secrets._compiled
    look({"/a": b""})
    assert Secrets._compiled is compiled
    assert Path(BUILT_IN).is_file()


def test_the_page_lists_every_rule() -> None:
    page = (Path(__file__).parents[3] / "docs/inspectors/secrets.md").read_text()
    assert [name for name in [*built_in_rules().rules, *CHECKS] if f"`{name}`" not in page] == []
