"""The inspector `policy`: rules in CEL."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.cli.policy_cmd import policy
from douane.errors import PlanError
from douane.plugins.policy import GuestPolicyRules, PolicyRules
from douane.plugins.policy.evaluation import Rules
from douane.plugins.policy.rules import UNDEFINED, check_rule, parse_policy
from douane_plugin import Image, Incomplete, Reject
from douane_plugin.testing import run
from support.doc_pages import page

POLICIES = Path(__file__).parents[3] / "examples" / "policies"
RULE = '[[rule]]\ncode = "c"\nrequire = "true"\nmessage = "m"\n'


def inspect(require: str, **facts: Any) -> dict[str, int]:
    return PolicyRules(require).inspect(Image(facts, None))  # type: ignore[arg-type]


def test_an_image_that_meets_the_expression_is_accepted() -> None:
    assert inspect("image.size <= 20 * GiB", size=5) == {"rules": 1, "warnings": 0}


def test_an_image_that_does_not_is_refused_with_the_message_of_the_operator() -> None:
    with pytest.raises(Reject, match="at most 20 GiB"):
        PolicyRules("image.size <= 20 * GiB", message="at most 20 GiB").inspect(
            Image({"size": 1 << 40}, None)  # type: ignore[arg-type]
        )


@pytest.mark.parametrize(
    ("count", "words"), [(1, "m"), (2, r"m (1 more rule is not met)"), (3, "m (2 more rules are not met)")]
)
def test_a_refusal_counts_the_further_rules_that_are_not_met(count: int, words: str) -> None:
    inspector = PolicyRules("true")
    inspector.rules = Rules(
        [check_rule({"code": "c", "require": "false", "message": "m"}, 1)] * count, sees_guest=False
    )
    with pytest.raises(Reject) as refused:
        inspector.inspect(Image({}, None))  # type: ignore[arg-type]
    assert refused.value.message == words


@pytest.mark.parametrize(
    ("require", "facts"),
    [
        ("'admin' in image.roles", {"roles": ["admin"]}),
        ("image.properties.hw_firmware_type == 'uefi'", {"properties": {"hw_firmware_type": "uefi"}}),
        ("findings['format.disk_format'] == 'qcow2'", {"findings": {"format.disk_format": "qcow2"}}),
        ("image.name.matches('^debian-[0-9]+$')", {"name": "debian-13"}),
        ("image.owner == 'a' || image.size < 1 * MiB", {"owner": "a"}),
    ],
)
def test_expressions_see_all_that_is_declared_and_found(require: str, facts: dict[str, Any]) -> None:
    assert inspect(require, **facts)["rules"] == 1
    with pytest.raises((Reject, Incomplete)):
        inspect(require)


@pytest.mark.parametrize(
    "require",
    [
        "image.size > 1",  # the size is not declared
        "image.nothing == 1",
        "findings['format.disk_format'] == 'raw'",
        "image.properties['x'] == 'y'",
        "[1,2,3,4,5,6,7,8,9,10].all(a," * 8 + "true" + ")" * 8,
    ],
)
def test_a_rule_that_cannot_be_evaluated_is_no_yes(require: str) -> None:
    with pytest.raises(Incomplete, match="the rule policy cannot be evaluated"):
        inspect(require)


@pytest.mark.parametrize(
    "require",
    ["image.size >", "unknown > 1", "image.properties", "'text'", "file_exists('/etc')", "guest.os.ID == 'x'"],
)
def test_a_wrong_expression_is_a_mistake_of_the_configuration(require: str) -> None:
    with pytest.raises((ValueError, Incomplete), match=r"rule 'policy'|not true or false"):
        inspect(require)


def test_a_warning_does_not_refuse() -> None:
    result = run(PolicyRules, b"", grants={"policy": RULE.replace('"true"', '"false"') + 'severity = "warn"'})
    assert (result.outcome, [warned.code for warned in result.warnings]) == ("accepted", ["c"])


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_a_mistake(text: str) -> None:
    try:
        rules = Rules([check_rule({"code": "c", "require": text, "message": "m"}, 1)], sees_guest=True)
    except ValueError:
        return
    outcome = rules.evaluate({"image": {}, "findings": {}, "guest": {}})[0]
    assert outcome.state != UNDEFINED or outcome.reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"no \[\[rule\]\]"),
        ("rule = 1", r"two brackets"),
        ("[[rule]]\n", "a code is"),
        (RULE.replace('"c"', '"C"'), "a code is"),
        (RULE.replace('"true"', "1"), "'require' is an expression"),
        (RULE + 'severity = "deny"\n', "'severity' is one of"),
        (RULE + "also = 1\n", "'also' is no key"),
        (RULE + RULE, "several rules"),
        (RULE + '[[test]]\nexpect = "d"\n', "code of a rule"),
        (RULE + '[[test]]\nexpect = "c"\nimage = 1\n', "is a table"),
        ("=", "no TOML"),
    ],
)
def test_a_wrong_file_is_a_sentence(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_policy(text.encode())


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.toml")), ids=lambda path: path.name)
def test_the_tests_of_a_policy_pass_and_the_page_names_it(path: Path) -> None:
    ended = CliRunner().invoke(policy, ["test", str(path)])
    assert ended.exit_code == 0, ended.output
    assert f"(../../examples/policies/{path.name})" in page("docs/inspectors/policy.md")
    tested = {case.expect for case in parse_policy(path.read_bytes()).cases}
    assert tested >= {rule.code for rule in parse_policy(path.read_bytes()).rules if rule.severity == "refuse"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<= 20 * GiB", "<= 20 * TiB", "no rule refuses it"),
        ("<= 20 * GiB", "<= 20 * KiB", "refused by too-large-for-project"),
        ("== 'uefi'", "== image.nothing", "cannot be evaluated"),
    ],
)
def test_a_test_that_fails_says_why(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text((POLICIES / "site.toml").read_text().replace(old, new))
    ended = CliRunner().invoke(policy, ["test", str(path)])
    assert ended.exit_code == 1
    assert words in ended.output


def test_a_file_that_is_no_policy_is_a_wrong_configuration(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    for text, words in (("[[rule]]", "rule 1"), (RULE.replace("message", "#"), "it has no message")):
        path.write_text(text)
        error = CliRunner().invoke(policy, ["test", str(path)]).exception
        assert isinstance(error, PlanError) and words in str(error)


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ext4 with a telnet server and cloud-init."""
    folder = tmp_path_factory.mktemp("debian")
    for path, text in {
        "etc/os-release": "ID=debian\n",
        "usr/bin/cloud-init": "",
        "var/lib/dpkg/status": "Package: telnetd\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n",
    }.items():
        (folder / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / path).write_text(text)
    image = folder / "disk.img"
    subprocess.run(["mkfs.ext4", "-q", "-d", folder / "tree", image, "8M"], check=True)
    return image


@pytest.mark.parametrize("tier", ["full", "strict"])
def test_a_policy_about_the_guest(debian: Path, tier: str) -> None:
    file = (POLICIES / "guest.toml").read_text()
    result = run(GuestPolicyRules, debian, grants={"policy": file}, sandbox=tier)
    assert (result.outcome, result.code) == ("refused", "telnet")
    result = run(GuestPolicyRules, debian, grants={"policy": file.replace("'telnetd'", "'rshd'")}, sandbox=tier)
    assert result.outcome == "accepted", result


@pytest.mark.parametrize("tier", ["full", "strict"])
def test_one_expression_is_about_findings_and_the_guest(debian: Path, tier: str) -> None:
    file = (POLICIES / "golden.toml").read_text()
    findings = {"secrets.warnings": 0, "packages.warnings": 0}
    result = run(GuestPolicyRules, debian, grants={"policy": file}, findings=findings, sandbox=tier)
    assert result.outcome == "accepted", result
    findings["packages.warnings"] = 1
    assert run(GuestPolicyRules, debian, grants={"policy": file}, findings=findings, sandbox=tier).code == "not-golden"
    assert run(GuestPolicyRules, debian, grants={"policy": file}, sandbox=tier).outcome == "incomplete"


def test_a_guest_that_cannot_be_read_is_incomplete_unless_a_rule_asks_for_it(tmp_path: Path) -> None:
    image = tmp_path / "luks.img"
    image.write_bytes(b"LUKS\xba\xbe\x00\x01".ljust(1 << 20, b"\0"))
    assert run(GuestPolicyRules, image, config={"require": "guest.systems == 0"}).outcome == "incomplete"
    asked = run(GuestPolicyRules, image, config={"require": "guest.systems == 0 && size(guest.unread) > 0"})
    assert asked.outcome == "accepted", asked
