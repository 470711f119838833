"""The inspector `baseline`: each rule refuses its fault and nothing else, and clean images have none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from memory_filesystem import MemorySystem, guest_of, tree_of

from douane.plugins._judgement import REFUSE, WARN
from douane.plugins.baseline import HASH, Baseline
from douane.plugins.baseline.cloud_init import check_cloud_init
from douane.plugins.baseline.crypt import Crypt, open_libcrypt
from douane.plugins.baseline.logins import check_sshd, check_sudo, users_without_password
from douane.plugins.baseline.privileged import SETUID, Paths
from douane.plugins.baseline.rules import CODE, LINUX, PROFILES, RULES, Finding, profile_of
from douane.plugins.baseline.system import System
from douane.plugins.baseline.windows import password_in
from douane_plugin import Incomplete, Reject
from douane_plugin._guest import open_guest
from douane_plugin.testing import WrongConfiguration, run
from support.doc_pages import page, tables
from support.planted_baseline import FAULTS, HASHES_OF_TOOR, KEY, TREES, Fault, build


class Answer(NamedTuple):
    """The answer of the inspector in this process."""

    outcome: dict[str, Any] | Reject | Incomplete
    words: dict[str, str]
    """Severities by rule."""

    gaps: list[str]
    """Codes of what was not looked at."""

    warnings: list[str]


def inspect(image: Path, **config: Any) -> Answer:
    inspector = Baseline(**config)
    documents: dict[str, Any] = {"matches": []}
    warnings: list[str] = []
    inspector.attach = lambda _name, document: documents.update(document)  # type: ignore[method-assign]
    inspector.warn = lambda code, _message: warnings.append(code)  # type: ignore[method-assign]
    outcome: dict[str, Any] | Reject | Incomplete
    with image.open("rb") as file:
        try:
            outcome = inspector.inspect(SimpleNamespace(guest=open_guest(file.fileno(), None)))  # type: ignore[arg-type]
        except (Reject, Incomplete) as error:
            outcome = error
    words = {match["code"].removeprefix(CODE): match["severity"] for match in documents["matches"]}
    return Answer(outcome, words, [gap["code"] for gap in documents.get("not_looked_at", [])], warnings)


@pytest.mark.parametrize("profile", TREES)
def test_a_clean_image_has_no_findings(tmp_path: Path, profile: str) -> None:
    answer = inspect(build(tmp_path / "disk.img", profile), profile=LINUX if profile == LINUX else "auto")
    assert (answer.words, answer.gaps) == ({}, [])
    assert isinstance(answer.outcome, dict)
    assert answer.outcome["profile"] == profile


@pytest.mark.parametrize("name", FAULTS)
def test_a_rule_finds_its_fault_and_no_other(tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    image = build(tmp_path / "disk.img", fault.profile, fault)
    config = {"profile": LINUX} if fault.profile == LINUX and fault.rule != "unknown-system" else {}
    answer = inspect(image, **config)
    rules = {fault.rule, *fault.also}
    assert answer.words == {rule: RULES[rule].defaults[fault.profile] for rule in rules}
    assert answer.gaps == []
    assert inspect(image, rules=dict.fromkeys(rules, "allow"), **config).words == {}
    assert isinstance(inspect(image, rules={fault.rule: "refuse"}, **config).outcome, Reject)


def test_each_rule_has_a_fault_in_the_corpus() -> None:
    assert {fault.rule for fault in FAULTS.values()} == set(RULES)


@pytest.mark.parametrize("tier", ["full", "strict"])
def test_a_password_that_everybody_knows_is_refused_with_what_to_do(tmp_path: Path, tier: str) -> None:
    image = build(tmp_path / "disk.img", "debian", FAULTS["default-password-yescrypt"])
    result = run(Baseline, image, sandbox=tier)
    assert (result.outcome, result.code) == ("refused", "baseline-default-password")
    assert result.message == (
        "disk:/etc/shadow: the account user has a well-known password; lock it: passwd --lock user"
    )
    assert HASHES_OF_TOOR["yescrypt"] not in str(result)


@pytest.mark.parametrize(
    "field", ["$7$CU..../....2Q9obwLhin8qvQl6sisAO/$" + "x" * 43, "$6$rounds=999999999$salt$x", "$y$jFT$salt$x"]
)
def test_a_hash_that_cannot_be_computed_is_not_clean(tmp_path: Path, field: str) -> None:
    fault = Fault("", {"etc/shadow": f"root:*:1::::::\nuser:{field}:1::::::\n"})
    image = build(tmp_path / "disk.img", "debian", fault)
    answer = inspect(image)
    assert isinstance(answer.outcome, Incomplete)
    assert answer.gaps == [HASH]
    warned = inspect(image, unread="warn")
    assert isinstance(warned.outcome, dict)
    assert set(warned.warnings) == {HASH, CODE + "account-password"}


def test_more_accounts_with_passwords_than_are_tried_are_not_clean(tmp_path: Path) -> None:
    names = [f"user{number}" for number in range(5)]
    passwd = "".join(f"{name}:x:1000:1000::/home/{name}:/bin/sh\n" for name in names)
    shadow = "".join(f"{name}:$1$salt${'x' * 22}:1::::::\n" for name in names)
    fault = Fault("", {"etc/passwd": passwd, "etc/shadow": shadow})
    assert inspect(build(tmp_path / "disk.img", "debian", fault)).gaps == [HASH]


def test_without_libcrypt_yescrypt_is_not_clean_and_sha512_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("douane.plugins.baseline.passwords.open_libcrypt", lambda: None)
    yescrypt = build(tmp_path / "y.img", "debian", FAULTS["default-password-yescrypt"])
    assert inspect(yescrypt).gaps == [HASH]
    sha512 = build(tmp_path / "6.img", "debian", FAULTS["default-password-sha512"])
    assert inspect(sha512).words["default-password"] == REFUSE


def test_an_encrypted_image_is_incomplete_and_not_refused(tmp_path: Path) -> None:
    image = tmp_path / "luks.img"
    image.write_bytes(b"LUKS\xba\xbe\x00\x01".ljust(1 << 20, b"\0"))
    assert inspect(image).gaps == ["guest-encrypted"]
    assert inspect(image, unread="warn").words["unknown-system"] == REFUSE


def test_an_image_without_a_system_is_refused(tmp_path: Path) -> None:
    image = build(tmp_path / "disk.img", "debian", Fault("", dict.fromkeys(TREES["debian"])))
    assert inspect(image).words == {"unknown-system": REFUSE}
    assert inspect(image, rules={"unknown-system": "warn"}).words == {"unknown-system": WARN}


def test_a_damaged_file_of_accounts_is_incomplete(tmp_path: Path) -> None:
    fault = Fault("", {"etc/shadow": b"x" * (2 << 20)})
    answer = inspect(build(tmp_path / "disk.img", "debian", fault))
    assert isinstance(answer.outcome, Incomplete)
    assert "guest-too-much" in answer.gaps


def test_an_operator_extends_the_lists(tmp_path: Path) -> None:
    for name, config in {
        "setuid": {"setuid": ["/usr/bin/plant*"]},
        "capabilities": {"capabilities": ["/bin/planted"]},
        "sudo-nopasswd": {"cloud_users": ["user"]},
    }.items():
        assert inspect(build(tmp_path / "disk.img", "debian", FAULTS[name]), **config).words == {}
    secret = Crypt(open_libcrypt()).hashed("site-secret", "$6$salt$")
    fault = Fault("", {"etc/shadow": f"root:*:1::::::\nuser:{secret}:1::::::\n"})
    image = build(tmp_path / "disk.img", "debian", fault)
    assert "default-password" not in inspect(image).words
    assert inspect(image, passwords=["site-secret"]).words["default-password"] == REFUSE


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"rules": {"root-passwort": "warn"}}, "no rule 'root-passwort'"),
        ({"rules": {"root-password": "deny"}}, "allow, warn, refuse"),
        ({"profile": "suse"}, "profile"),
        ({"unread": "allow"}, "unread"),
        ({"passwords": ["x"] * 33}, "32 may be added"),
    ],
)
def test_a_wrong_setting_is_an_error_before_any_byte(config: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongConfiguration, match=words):
        run(Baseline, b"", config=config)


@pytest.mark.parametrize(
    ("os", "profile"),
    [
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "ubuntu"),
        ({"ID": "almalinux", "ID_LIKE": "rhel centos fedora"}, "fedora"),
        ({"ID": "raspbian", "ID_LIKE": "debian"}, "debian"),
        ({"ID": "opensuse-leap", "ID_LIKE": "suse opensuse"}, None),
        ({}, None),
    ],
)
def test_os_release_says_the_profile(os: dict[str, str], profile: str | None) -> None:
    assert profile_of(os) == profile


@pytest.mark.parametrize("path", ["/usr/bin/su", "/bin/su", "/usr/sbin/unix_chkpwd", "/sbin/unix_chkpwd"])
def test_a_path_is_on_the_list_however_far_usr_is_merged(path: str) -> None:
    assert path in Paths(SETUID["debian"], [])
    assert path.replace("/usr", "").replace("bin/", "bin/x/") not in Paths(SETUID["debian"], [])
    assert "/opt" + path not in Paths(SETUID["debian"], [])


@pytest.mark.parametrize(
    ("line", "users"),
    [
        ("user ALL=(ALL) NOPASSWD: ALL", ["user"]),
        ("user ALL = NOPASSWD:ALL", ["user"]),
        ("a , %b,\tc ALL=(ALL:ALL) NOPASSWD: SETENV: ALL", ["a", "%b", "c"]),
        ("user ALL=(ALL) /bin/ls : OTHER = (root) NOPASSWD: ALL", ["user"]),
        ("user ALL=(ALL) ALL", []),
        ("user ALL=(ALL) NOPASSWD: /bin/ls, (ALL) /bin/cat", []),
        ("user ALL=(ALL) NOPASSWD: /bin/ls, PASSWD: ALL", []),
        ("Defaults secure_path=NOPASSWD:ALL", []),
    ],
)
def test_a_line_of_sudoers_says_who_becomes_root_without_a_password(line: str, users: list[str]) -> None:
    assert users_without_password(line) == users


def findings_of(check: Callable[[System], Iterable[Finding]], files: Mapping[str, str | bytes]) -> list[str]:
    """The rules that files in a Debian break."""
    guest = guest_of(MemorySystem(tree_of({"etc/os-release": "ID=debian\n", **files})))
    return [finding.rule for finding in check(System(guest, guest.root, "debian"))]


@pytest.mark.parametrize(
    "files",
    [
        {"etc/sudoers": "#1000 ALL=(ALL) NOPASSWD: ALL\n"},
        {"etc/sudoers": "%#27 ALL=(ALL) NOPASSWD: ALL # a group\n"},
        {"etc/sudoers": "# a comment ends with its line \\\nuser ALL=(ALL) NOPASSWD: ALL\n"},
        {"etc/sudoers": "user ALL=(ALL) \\ \r\n NOPASSWD: ALL"},
        {"etc/sudoers": "Defaults exempt_group = users\n"},
        {"etc/sudoers": "@include /opt/a[1]\n", "opt/a[1]": "#includedir b\n", "opt/b/c": "u ALL=NOPASSWD: ALL\n"},
        {"etc/sudoers": "@include sudoers\n@include local-%h\n", "etc/local-x": "u ALL=NOPASSWD: ALL\n"},
        {"etc/doas.conf": "permit nopass user as root\n"},
        {"etc/doas.conf": "permit keepenv nopass setenv { root A=debian } :wheel\n"},
    ],
)
def test_every_way_to_root_without_a_password_is_found(files: dict[str, str]) -> None:
    assert findings_of(lambda system: check_sudo(system, []), files) == ["sudo-nopasswd"]


@pytest.mark.parametrize(
    "files",
    [
        {
            "etc/sudoers": "# 1000 ALL=(ALL) NOPASSWD: ALL\n@includedir /etc/more\n",
            "etc/more/a.b": "u ALL=NOPASSWD: ALL",
        },
        {"etc/doas.conf": "permit nopass user as nobody\npermit nopass root\npermit user\npermit nopass a cmd ls\n"},
    ],
)
def test_nobody_becomes_root_by_what_sudo_ignores(files: dict[str, str]) -> None:
    assert findings_of(lambda system: check_sudo(system, []), files) == []


@pytest.mark.parametrize(
    "text",
    [
        "PermitRootLogin no\nMatch Address 0.0.0.0/0\n PermitRootLogin yes\n",
        "PermitRootLogin no\nMatch all\nPermitRootLogin yes\n",
        "PermitRootLogin yes # for the builder\n",
        'PermitRootLogin "yes"\n',
    ],
)
def test_sshd_config_is_read_as_sshd_does(text: str) -> None:
    assert findings_of(check_sshd, {"etc/ssh/sshd_config": text}) == ["ssh-root-login"]


@pytest.mark.parametrize(
    "files",
    [
        {"etc/cloud/cloud.cfg": "users:\n  - name: x\n    ssh-authorized-keys:\n      - ssh-rsa x\n"},
        {"var/lib/cloud/seed/nocloud/user-data": '{"users": [{"name": "x", "passwd": "$6$a$b"}]}'},
        {"var/lib/cloud/seed/nocloud/meta-data": "public-keys: [ssh-rsa x]\n"},
        {"var/lib/cloud/seed/nocloud-net/vendor-data": b"\x1f\x8b\x08\0"},
    ],
)
def test_whom_cloud_init_would_let_in_is_found(files: dict[str, str | bytes]) -> None:
    assert findings_of(check_cloud_init, files) == ["cloud-init-logins"]


def test_the_settings_of_distributions_let_nobody_in() -> None:
    lines = ("lock_passwd: True", "ssh_pwauth: 0", "# password: x", "chpasswd: { expire: false }", "- set-passwords")
    assert findings_of(check_cloud_init, {"etc/cloud/cloud.cfg": "\n".join(lines)}) == []


def test_a_linux_that_says_it_is_windows_is_judged_as_a_linux(tmp_path: Path) -> None:
    windows = {path: text for path, text in TREES["windows"].items() if "SOFTWARE" not in path}
    files = {**windows, "etc/os-release": "ID=windows\n", "root/.ssh/authorized_keys": f"{KEY}\n"}
    answer = inspect(build(tmp_path / "disk.img", "debian", Fault("", {**files, "etc/shadow": "root::1::::::\n"})))
    assert {"unknown-system", "authorized-keys", "empty-password"} <= answer.words.keys()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("etc/sudoers", "\\\n" * 500_000),
        ("etc/sudoers", "@include " * 100_000),
        ("etc/ssh/sshd_config", "HostKey " + "\"'" * 450_000),
        ("root/.ssh/authorized_keys", 'a="' + '\\"' * 450_000),
        ("etc/sudoers", "user ALL=" + "(" * 900_000 + " NOPASSWD:" + " NOPASSWD:" * 10_000),
        ("etc/sudoers", "a" + " " * 900_000 + "b=NOPASSWD: x"),
        ("etc/cloud/cloud.cfg", " default_user:\n" * 60_000),
        ("etc/selinux/config", "\n" * 1_000_000),
        ("etc/ssh/sshd_config", "Match\n" * 100_000),
        ("etc/doas.conf", "permit " * 100_000),
    ],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(tmp_path: Path, path: str, text: str) -> None:
    answer = inspect(build(tmp_path / "disk.img", "debian", Fault("", {path: text})))
    assert answer.gaps == []


def test_an_answer_file_of_a_megabyte_is_read_in_linear_time() -> None:
    for text in ("<Password " * 100_000, "<Password>" + " " * 1_000_000, "<" + "a" * 1_000_000):
        assert password_in(text) == ""


@settings(max_examples=60, deadline=None)
@example("", "$5$rounds=1000$salt$")
@given(
    st.text(st.characters(min_codepoint=1, max_codepoint=0x2000, exclude_categories=["Cs"]), max_size=80),
    st.one_of(
        st.from_regex(r"\A\$[56]\$(rounds=10[0-9][0-9]\$)?[./0-9A-Za-z]{0,16}\$\Z"),
        st.from_regex(r"\A\$1\$[./0-9A-Za-z]{0,8}\$\Z"),
    ),
)
def test_hashes_are_those_of_libcrypt(password: str, field: str) -> None:
    library = open_libcrypt()
    assert library is not None
    expected = library(password.encode(), field.encode())
    assert expected is not None
    assert Crypt(None).hashed(password, field) == expected.decode()


def test_the_page_has_each_rule_with_its_defaults() -> None:
    lines = [row for table in tables(page("docs/inspectors/baseline.md")) for row in table]
    described = {row[0].strip("`"): tuple(row[1:]) for row in lines if row[0].strip("`") in RULES}
    assert described == {
        name: (rule.meaning, *(rule.defaults[profile] for profile in PROFILES)) for name, rule in RULES.items()
    }
