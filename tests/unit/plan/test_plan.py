"""Reading a plan: defaults, the command line, and errors that name the plugin, the key and the expected value."""

from __future__ import annotations

import msgspec
import pytest

from douane.engine import PlanError
from douane.plan.binding import Sender
from douane.plan.bound_plugins import check_order, check_stores
from douane.plan.parse import load_plan
from douane.plan.resolve import resolve_plan

GOOD = """
[import]
deadline = "2h"
digests = ["sha256"]

[sandbox]
minimum = "full"

[[plugin]]
name = "format"
use = "format"

[[plugin]]
name = "antivirus"
use = "av.py:ClamAV"
mode = "warn"
on_timeout = "reject"
timeout = "10m"
stall = 5
memory = "1GiB"
config = { max_depth = 3 }
grants = { clamd = "unix:/run/clamd.ctl" }
"""


@pytest.fixture
def write(tmp_path):
    def write_plan(text: str) -> str:
        path = tmp_path / "plan.toml"
        path.write_text(text)
        return str(path)

    return write_plan


def test_plugins_keep_their_order_and_get_defaults(write, tmp_path):
    plan = load_plan(write(GOOD))
    first, second = plan.plugins
    assert (first.name, second.name) == ("format", "antivirus")
    assert (plan.deadline, plan.digests, plan.minimum_sandbox) == (7200, ("sha256",), "full")
    assert (first.mode, first.on_error, first.on_timeout, first.on_incomplete) == ("enforce", *["reject"] * 3)
    assert (first.start, first.stall, first.timeout, first.memory) == (30, 30, 600, 512 << 20)
    assert (second.timeout, second.stall, second.memory) == (600, 5, 1 << 30)
    assert (second.config, second.grants) == ({"max_depth": 3}, {"clamd": "unix:/run/clamd.ctl"})
    assert second.base == str(tmp_path)


def test_without_enforce_a_failure_warns_by_default(write):
    second = load_plan(write(GOOD)).plugins[1]
    assert (second.on_error, second.on_timeout, second.on_incomplete) == ("warn", "reject", "warn")


def test_the_default_plan_is_the_format_inspector():
    assert [plugin.name for plugin in load_plan(None).plugins] == ["format"]


def test_plugins_of_the_command_line_follow_the_plan():
    plan = load_plan(None, extra=["a/boot.py:BootSector", "mine=pkg.mod:Thing", "exec:/bin/my-tool --x y"])
    assert [plugin.name for plugin in plan.plugins] == ["format", "bootsector", "mine", "my-tool"]
    assert plan.plugins[3].use == "exec:/bin/my-tool --x y"


def test_a_plugin_of_the_command_line_named_format_replaces_the_default_plan():
    assert [plugin.use for plugin in load_plan(None, extra=["format=my.py:Format"]).plugins] == ["my.py:Format"]


def test_settings_of_the_command_line_are_kept_as_text():
    plan = load_plan(None, extra=["boot.py:BootSector"], settings=["BootSector.signature=aa=55"])
    assert plan.plugins[1].texts == {"signature": "aa=55"}


PLUGIN = '[[plugin]]\nname = "a"\nuse = "format"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[plugin]]\nname = 'a'\n", "plugin 'a' has no 'use'"),
        ("[[plugin]]\nuse = 'format'\n", "plugin number 1 has no 'name'"),
        (PLUGIN + "mod = 'warn'\n", "plugin 'a': 'mod' is not a setting; did you mean 'mode'"),
        (PLUGIN + "zzz = 1\n", "plugin 'a': 'zzz' is not a setting; known are: name, use"),
        (PLUGIN + "mode = 'maybe'\n", "'mode' is wrong: expected 'audit', 'enforce' or 'warn', not 'maybe'"),
        (PLUGIN + "on_error = 'fail'\n", "'on_error' is wrong: expected 'reject' or 'warn', not 'fail'"),
        (PLUGIN + "mode = 3\n", "'mode' is wrong: expected 'audit', 'enforce' or 'warn', got an integer"),
        (PLUGIN + "timeout = 'soon'\n", "plugin 'a': 'timeout' is a duration such as '30s'.*soon"),
        (PLUGIN + "stall = 0\n", "plugin 'a': 'stall' is a duration greater than zero"),
        (PLUGIN + "memory = '1KiB'\n", "plugin 'a': 'memory' is at least 32MiB"),
        (PLUGIN + "memory = 'lots'\n", "plugin 'a': 'memory' is a size"),
        (PLUGIN + "threads = 0\n", "plugin 'a': 'threads' is at least 1"),
        (PLUGIN + "config = 3\n", "plugin 'a': 'config' is wrong: expected a table, got an integer"),
        (PLUGIN + "refuse = 10\n", "plugin 'a': 'refuse' is wrong: expected a list, got an integer"),
        (PLUGIN + "threads = 'many'\n", "plugin 'a': 'threads' is wrong: expected an integer, got a string"),
        (PLUGIN + "memory = true\n", "plugin 'a': 'memory' is wrong: expected an integer or a string, got"),
        (PLUGIN + "grants = { a = 1 }\n", "plugin 'a': 'grants' is wrong: expected a string, got an integer"),
        (PLUGIN + "mode = 'audit'\non_error = 'reject'\n", "plugin 'a': mode = 'audit' never refuses"),
        (
            PLUGIN + "only = 'stage'\n",
            "plugin 'a': 'only' is a door, or a list of doors, of upload, import, not 'stage'",
        ),
        (PLUGIN + "stores = []\n", "plugin 'a': 'stores' lists the ids of stores"),
        (PLUGIN + "stores = 'ceph'\n", "plugin 'a': 'stores' is wrong: expected a list, got a string"),
        (PLUGIN + "only = []\n", "plugin 'a': 'only' is a door"),
        (PLUGIN + "only = [1]\n", r"plugin 'a': 'only\[0\]' is wrong"),
        (PLUGIN + "exempt_roles = 'admin'\n", "plugin 'a': 'exempt_roles' is wrong"),
        (
            PLUGIN + "only = 'import'\n",
            "every plugin has 'only', 'exempt_roles' or 'stores', so some images would not be checked",
        ),
        (PLUGIN + PLUGIN, "two plugins are named 'a'"),
        ("[[plugin]]\nname = 'Big'\nuse = 'format'\n", "plugin 'Big': a name begins with"),
        ("[plugin]\nname = 'a'\n", r"written as \[\[plugin\]\]"),
        ("[plugins]\n", "'plugins' is not a setting; did you mean 'plugin'"),
        ("[import]\ndeadlin = 1\n" + PLUGIN, r"\[import\] 'deadlin' is not a setting; did you mean 'deadline'"),
        ("[import]\ndigests = ['sha1']\n" + PLUGIN, "digests is a list of md5, sha256, sha512"),
        ("[import]\nreceived_digests = 'md5'\n" + PLUGIN, "received_digests is a list of md5, sha256, sha512"),
        ("[sandbox]\nminimum = 'none'\n" + PLUGIN, "minimum is one of full, strict, off"),
        ("import = 3\n" + PLUGIN, "import is a table"),
        ("", "has no plugin, so nothing would be checked"),
        ("a = = 1\n", "is not TOML"),
        (f"a = {'9' * 5000}\n", "is not TOML"),
        (f"a = {'[' * 3000}{']' * 3000}\n", "nested too deeply"),
    ],
)
def test_a_wrong_setting_is_named(write, text, sentence):
    path = write(text)
    with pytest.raises(PlanError, match=sentence) as error:
        load_plan(path)
    assert path in str(error.value)


@pytest.mark.parametrize(
    ("extra", "settings", "sentence"),
    [
        ([], ["format.x"], "write it as NAME.KEY=VALUE"),
        ([], ["x=1"], "write it as NAME.KEY=VALUE"),
        ([], ["av.x=1"], "there is no plugin 'av' in the plan; it has: format"),
        (["a.py:Thing", "b.py:Thing"], [], "two plugins are named 'thing'"),
        (["exec:"], [], "cannot derive a name from it"),
    ],
)
def test_a_wrong_option_is_named(extra, settings, sentence):
    with pytest.raises(PlanError, match=sentence):
        load_plan(None, extra=extra, settings=settings)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PlanError, match=r"gone.toml cannot be read: No such file"):
        load_plan(str(tmp_path / "gone.toml"))


def test_the_configuration_digest_depends_on_the_configuration_alone():
    first, equal, changed = (
        load_plan(None, extra=["a.py:A"], settings=[f"a.x={value}"]).plugins[1].config_digest() for value in (1, 1, 2)
    )
    assert first == equal != changed


BOUND = (
    PLUGIN
    + """
[[plugin]]
name = "convert"
use = "convert"
only = "import"
[[plugin]]
name = "unpack"
use = "decompress"
only = ["import", "upload"]
exempt_roles = ["service", "Image_Admin"]
"""
)


@pytest.mark.parametrize(
    ("sender", "names"),
    [
        (Sender(), ["a", "convert", "unpack"]),
        (Sender("import"), ["a", "convert", "unpack"]),
        (Sender("upload"), ["a", "unpack"]),
        (Sender("upload", ("member", "service")), ["a"]),
        (Sender("import", ("member", "Service")), ["a", "convert"]),
        (Sender("import", ("image_admin",)), ["a", "convert"]),
        (Sender("import", ("services",)), ["a", "convert", "unpack"]),
    ],
)
def test_a_transform_is_for_doors_and_not_for_exempt_roles(write, sender, names):
    plan = load_plan(write(BOUND))
    bound = plan.for_sender(sender)
    assert [plugin.name for plugin in bound.plugins] == names
    assert (bound is plan) == (len(names) == 3)


VARIANTS = PLUGIN + "".join(
    f'[[plugin]]\nname = "{name}"\nuse = "{name}.py:{name.title()}"\n{more}'
    for name, more in [
        ("unpack", ""),
        ("convert", 'stores = ["ceph", "lvm"]\n'),
        ("raw", 'stores = ["ceph"]\n'),
        ("last", ""),
    ]
)


@pytest.mark.parametrize(
    ("store", "names", "variant"),
    [
        (None, ["a", "unpack", "last"], None),
        ("file", ["a", "unpack", "last"], []),
        ("ceph", ["a", "unpack", "convert", "raw", "last"], ["convert", "raw", "last"]),
        ("lvm", ["a", "unpack", "convert", "last"], ["convert", "last"]),
    ],
)
def test_a_store_gets_what_the_plugins_that_are_bound_to_it_make(write, store, names, variant):
    plan = load_plan(write(VARIANTS))
    assert [plugin.name for plugin in plan.for_sender(Sender(store=store)).plugins] == names
    if store is not None:
        assert [plugin.name for plugin in plan.for_variant(store).plugins] == variant
        assert plan.bound_to(store) == tuple(name for name in variant if name in ("convert", "raw"))


@pytest.mark.parametrize(
    ("transforms", "sentence"),
    [
        ({"unpack", "convert"}, None),
        ({"unpack", "convert", "last"}, "'last' transforms the image for all stores, and stands after 'convert'"),
        ({"unpack"}, "'convert' is an inspector, which sees every image, unless"),
        ({"unpack", "raw"}, "'convert' is an inspector, which sees every image, unless"),
    ],
)
def test_inspectors_are_bound_only_after_a_transform_for_the_same_stores(write, transforms, sentence):
    plugins = [(plugin, plugin.name in transforms) for plugin in load_plan(write(VARIANTS)).plugins]
    if sentence is None:
        check_order(plugins)
        return
    with pytest.raises(PlanError, match=sentence):
        check_order(plugins)


def test_a_store_that_is_not_configured_is_named(write):
    plan = load_plan(write(VARIANTS))
    check_stores(plan, ["ceph", "lvm"])
    with pytest.raises(
        PlanError, match="'convert' is bound to the store 'lvm', which is not configured; the stores are: ceph"
    ):
        check_stores(plan, ["ceph"])


@pytest.mark.parametrize("refuse", ["[]", "[0]", "[126]", "[-1]", "[10, 255]"])
def test_statuses_that_cannot_refuse_are_named(tmp_path, refuse):
    config = tmp_path / "plan.toml"
    config.write_text(f'[[plugin]]\nname = "tool"\nuse = "exec:/bin/true"\nrefuse = {refuse}\n')
    with pytest.raises(PlanError, match="'refuse' lists exit statuses from 1 to 125"):
        load_plan(str(config))


def test_refuse_is_for_programs_alone(tmp_path):
    config = tmp_path / "plan.toml"
    config.write_text('[[plugin]]\nname = "boot"\nuse = "boot.py:Boot"\nrefuse = [10]\n')
    with pytest.raises(PlanError, match="a plugin raises Reject"):
        load_plan(str(config))


def test_statuses_are_part_of_the_configuration_digest(tmp_path):
    digests = set()
    for line in ("", "refuse = [1]", "refuse = [10]"):
        config = tmp_path / "plan.toml"
        config.write_text(f'[[plugin]]\nname = "tool"\nuse = "exec:/bin/true"\n{line}\n')
        digests.add(load_plan(str(config)).plugins[0].config_digest())
    assert len(digests) == 3


@pytest.mark.parametrize("use", ["convert", "douane.plugins.convert:Convert"])
def test_a_built_in_plugin_brings_the_values_that_it_needs(write, use):
    spec = load_plan(write(f'[[plugin]]\nname = "c"\nuse = "{use}"\n')).plugins[0]
    assert (spec.programs, spec.scratch, spec.memory) == (("qemu-img",), 260 << 30, 512 << 20)
    assert spec.own_defaults == ("programs", "scratch", "memory")
    added = load_plan(None, extra=[f"c={use}"]).plugins[-1]
    assert msgspec.structs.replace(added, base=spec.base) == spec


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("programs = []", "programs", ()),
        ('programs = ["/opt/qemu-img"]', "programs", ("/opt/qemu-img",)),
        ('scratch = "1GiB"', "scratch", 1 << 30),
        ('scratch = "4TiB"', "scratch", 4 << 40),
        ('memory = "64MiB"', "memory", 64 << 20),
        ('memory = "512MiB"', "memory", 512 << 20),
    ],
)
def test_the_operator_narrows_or_widens_each_value_of_a_built_in_plugin(write, line, key, value):
    spec = load_plan(write(f'[[plugin]]\nname = "c"\nuse = "convert"\n{line}\n')).plugins[0]
    assert getattr(spec, key) == value
    assert set(spec.own_defaults) == {"programs", "scratch", "memory"} - {key}


def test_other_plugins_have_the_defaults_of_a_table(write):
    spec = load_plan(write('[[plugin]]\nname = "convert"\nuse = "convert.py:Convert"\n')).plugins[0]
    assert (spec.programs, spec.scratch, spec.own_defaults) == ((), None, ())


def test_a_missing_program_that_a_plugin_brings_is_named(write, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    plan = load_plan(write('[[plugin]]\nname = "c"\nuse = "convert"\n'))
    with pytest.raises(PlanError, match=r"program 'qemu-img' was not found on PATH; .* install it"):
        resolve_plan(plan)
