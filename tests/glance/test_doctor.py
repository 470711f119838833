"""`douane glance doctor` beside a real Glance: on a correct configuration, and with one mistake."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.glance.environments import ROOT, Environment
from support.glance.glance_config import STORES, GlanceConfig, glance_conf
from support.glance.pipeline import PasteFilter, paste_ini

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

VERSIONS = ["33", "31", "29"]
ENDS = ["33", "29"]
FACTORY = "douane.glance.filter:filter_factory"
PLAN = '[[plugin]]\nname = "format"\nuse = "format"\n'
BROKEN = '[[plugin]]\nname = "broken"\nuse = "no_such_module:Plugin"\n'


@dataclass
class Examination:
    """The output of the doctor."""

    code: int
    points: dict[tuple[str, str], dict[str, Any]]

    def state(self, area: str, name: str) -> str:
        state: str = self.points[area, name]["state"]
        return state

    def wrong_points(self) -> set[tuple[str, str]]:
        return {key for key, point in self.points.items() if point["state"] == "wrong"}

    def text(self, area: str, name: str) -> str:
        point = self.points[area, name]
        return f"{point['found']} {point['remedy']}"


@dataclass
class Configuration:
    """The configuration of a Glance; nothing is wrong with the defaults."""

    folder: Path
    version: str = "33"
    plan: str = PLAN
    settings: Mapping[str, str] = field(default_factory=dict)
    predecessor: str | None = "context"
    successor: str | None = None
    filters: int = 1
    import_plugins: tuple[str, ...] = ("douane",)
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    policy: str | None = None
    flavor: str = "keystone"

    def write(self) -> None:
        """Create its files and folders."""
        for name in ("staging", "tasks", "locks", "state", *(f"stores/{store}" for store in STORES)):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name).chmod(0o700)
        (self.folder / "douane.toml").write_text(self.plan)
        settings = {"config": str(self.folder / "douane.toml"), "state": str(self.folder / "state"), **self.settings}
        filters = tuple(
            PasteFilter(f"douane{number or ''}", FACTORY, settings, self.predecessor, self.successor)
            for number in range(self.filters)
        )
        config = GlanceConfig(self.version, filters, self.import_plugins, options=self.options, flavor=self.flavor)
        text = glance_conf(config, self.folder, 9292, "sqlite://", "http://127.0.0.1:5000/v3", (80,))
        (self.folder / "glance-api.conf").write_text(text)
        paste = paste_ini(Environment(self.version), config.filters, self.flavor)
        (self.folder / "glance-api-paste.ini").write_text(paste)
        if self.policy is not None:
            (self.folder / "policy.yaml").write_text(self.policy)

    def examine(self) -> Examination:
        """Run the doctor."""
        return parse(run(self.version, "--json", OS_GLANCE_CONFIG_DIR=str(self.folder)))


def run(
    version: str, *arguments: str, user: tuple[str, ...] = (), command: str = "doctor", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*user, Environment(version).program("douane"), "glance", command, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def parse(process: subprocess.CompletedProcess[str]) -> Examination:
    assert not process.stderr, process.stderr
    examination = json.loads(process.stdout)
    points = {(point["area"], point["name"]): point for point in examination["points"]}
    assert examination["wrong"] == sum(point["state"] == "wrong" for point in examination["points"])
    assert len(points) == len(examination["points"])
    for point in examination["points"]:
        assert point["state"] == "ok" or point["remedy"], point
    return Examination(process.returncode, points)


def examine(folder: Path, **changes: Any) -> Examination:
    """Run the doctor on a correct configuration with these `changes`."""
    configuration = Configuration(folder / "glance", **changes)
    configuration.write()
    return configuration.examine()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_correct_configuration_has_nothing_wrong(tmp_path: Path, version: str) -> None:
    examination = examine(tmp_path, version=version)
    assert (examination.code, examination.wrong_points()) == (0, set())
    assert examination.points["Glance", "version"]["found"].startswith(version)
    for point in (
        ("Glance", "version"), ("pipeline", "filter"), ("plan", "plugins"), ("plan", "state"), ("import", "plugin"),
        ("staging", "folder"), ("door", "PUT /v2/images/ID/file"), ("door", "PUT /v2/images/ID/stage, glance-direct"),
        ("door", "import by web-download"),
    ):  # fmt: skip
        assert examination.state(*point) == "ok", examination.points[point]


def test_the_doctor_needs_no_rights_but_those_of_glances_user(tmp_path: Path) -> None:
    """As root, the doctor runs as a user that owns the files and has no other right."""
    user = ("unshare", "--user", "--map-user=1000", "--map-group=1000") if os.geteuid() == 0 else ()
    configuration = Configuration(tmp_path / "glance")
    configuration.write()
    examination = parse(run("33", "--json", user=user, OS_GLANCE_CONFIG_DIR=str(configuration.folder)))
    assert (examination.code, examination.wrong_points()) == (0, set())
    (configuration.folder / "staging").chmod(0o500)
    examination = parse(run("33", "--json", user=user, OS_GLANCE_CONFIG_DIR=str(configuration.folder)))
    assert examination.wrong_points() == {("staging", "folder")}
    assert examination.code == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stock_glance_lacks_everything(tmp_path: Path, version: str) -> None:
    examination = examine(tmp_path, version=version, filters=0, import_plugins=())
    assert examination.code == 2
    assert examination.wrong_points() == {
        ("pipeline", "filter"),
        ("import", "plugin"),
        ("door", "PUT /v2/images/ID/file"),
        ("door", "PUT /v2/images/ID/stage, glance-direct"),
        ("door", "import by web-download"),
    }
    line = "keystone = cors http_proxy_to_wsgi versionnegotiation osprofiler authtoken context douane rootapp"
    assert line in examination.text("pipeline", "filter")
    assert "image_import_plugins = [douane]" in examination.text("import", "plugin")


def test_a_person_gets_a_table(tmp_path: Path) -> None:
    Configuration(tmp_path / "glance", filters=0).write()
    process = run("33", OS_GLANCE_CONFIG_DIR=str(tmp_path / "glance"))
    lines = process.stdout.splitlines()
    assert process.returncode == 2
    assert lines[0].split("\t") == ["area", "point", "state", "detail", "what to do"]
    assert any(line.startswith("pipeline\tfilter\twrong\t") for line in lines)
    assert " wrong, " in lines[-1]


def test_without_a_glance_the_doctor_says_where_to_install_douane() -> None:
    process = subprocess.run(
        [Environment("clients").program("douane"), "glance", "doctor"], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert "install douane into Glance's environment" in process.stdout


def test_configuration_files_can_be_named_as_for_glance(tmp_path: Path) -> None:
    folder = tmp_path / "glance"
    Configuration(folder).write()
    more = tmp_path / "more.d"
    more.mkdir()
    (more / "imports.conf").write_text("[image_import_opts]\nimage_import_plugins = [no_op]\n")
    named = [
        "--config-file",
        str(folder / "glance-api.conf"),
        "--paste",
        str(folder / "glance-api-paste.ini"),
        "--json",
    ]
    assert parse(run("33", *named)).code == 0
    assert parse(run("33", *named, "--config-dir", str(more))).wrong_points() >= {("import", "plugin")}


def test_missing_configuration_files_are_wrong(tmp_path: Path) -> None:
    examination = parse(run("33", "--json", OS_GLANCE_CONFIG_DIR=str(tmp_path)))
    assert (examination.code, examination.wrong_points()) == (2, {("Glance", "configuration")})
    assert "glance-api.conf" in examination.text("Glance", "configuration")


# ---- the pipeline


@pytest.mark.parametrize("place", [{"predecessor": "authtoken"}, {"predecessor": None, "successor": "authtoken"}])
def test_a_filter_before_the_user_is_known_is_wrong(tmp_path: Path, place: dict[str, str | None]) -> None:
    examination = examine(tmp_path, **place)
    assert ("pipeline", "filter") in examination.wrong_points()
    assert "authtoken context douane rootapp" in examination.text("pipeline", "filter")


def test_a_filter_behind_the_cache_is_wrong(tmp_path: Path) -> None:
    flavor = "keystone+cachemanagement"
    examination = examine(tmp_path, flavor=flavor, predecessor="cache")
    assert f"{flavor} = " in examination.text("pipeline", "filter")
    assert "authtoken context douane cache cachemanage rootapp" in examination.text("pipeline", "filter")


def test_the_configured_flavor_is_examined(tmp_path: Path) -> None:
    folder = tmp_path / "glance"
    Configuration(folder).write()
    conf = folder / "glance-api.conf"
    conf.write_text(conf.read_text().replace("flavor = keystone", "flavor = keystone+caching"))
    examination = parse(run("33", "--json", OS_GLANCE_CONFIG_DIR=str(folder)))
    assert ("pipeline", "filter") in examination.wrong_points()


def test_two_filters_are_wrong(tmp_path: Path) -> None:
    examination = examine(tmp_path, filters=2)
    assert "2 times" in examination.text("pipeline", "filter")
    assert examination.code == 2


def test_a_pipeline_section_of_older_files_is_understood(tmp_path: Path) -> None:
    folder = tmp_path / "glance"
    Configuration(folder).write()
    paste = folder / "glance-api-paste.ini"
    text = paste.read_text().replace("[composite:glance-api-keystone]", "[composite:not-used]")
    paste.write_text(
        f"{text}\n[pipeline:glance-api-keystone]\npipeline = versionnegotiation authtoken context douane rootapp\n"
    )
    examination = parse(run("33", "--json", OS_GLANCE_CONFIG_DIR=str(folder)))
    assert examination.state("pipeline", "filter") == "ok"


# ---- the plan


@pytest.mark.parametrize(
    ("changes", "point", "text"),
    [
        ({"plan": BROKEN}, ("plan", "plugins"), "no_such_module"),
        ({"plan": ""}, ("plan", "plugins"), "no plugin"),
        ({"settings": {"config": "/nowhere/douane.toml"}}, ("plan", "plugins"), "/nowhere/douane.toml"),
        ({"settings": {"no_such": "setting"}}, ("plan", "settings"), "no_such"),
        ({"settings": {"state": "/nowhere"}}, ("plan", "settings"), "/nowhere"),
        (
            {"settings": {"agent": "/nowhere/agent.sock"}},
            ("plan", "agent"),
            "douane agent --socket /nowhere/agent.sock",
        ),
    ],
    ids=["plugin", "none", "no-file", "setting", "state", "agent"],
)
def test_an_unusable_plan_is_wrong(tmp_path: Path, changes: dict[str, Any], point: tuple[str, str], text: str) -> None:
    examination = examine(tmp_path, **changes)
    assert examination.code == 2
    assert text in examination.text(*point)
    assert {point, ("door", "PUT /v2/images/ID/file")} <= examination.wrong_points()


def test_a_state_folder_that_others_can_write_is_wrong(tmp_path: Path) -> None:
    configuration = Configuration(tmp_path / "glance")
    configuration.write()
    (tmp_path / "glance" / "state").chmod(0o777)
    assert configuration.examine().wrong_points() == {("plan", "state")}


def test_a_running_agent_is_asked_for_its_plan(tmp_path: Path) -> None:
    plan, socket = tmp_path / "douane.toml", tmp_path / "agent.sock"
    plan.write_text(PLAN)
    agent = subprocess.Popen(
        [Environment("33").program("douane"), "agent", "--socket", str(socket), "--config", str(plan)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert agent.stderr is not None
        for line in agent.stderr:
            if str(socket) in line:
                break
        examination = examine(tmp_path, settings={"config": "", "agent": str(socket)})
    finally:
        agent.terminate()
        agent.communicate()
    assert (examination.code, examination.state("plan", "agent")) == (0, "ok")
    assert "it has format" in examination.text("plan", "agent")


@pytest.mark.parametrize(
    ("binding", "state", "words"),
    [
        ("", "advice", ["unpack or again would change", "Nova", "Cinder", "--file", 'only = "import"']),
        ('only = "import"', "ok", ["for imports alone"]),
        ('only = "upload"', "advice", ["unpack or again would change", "Nova"]),
        ('exempt_roles = ["service", "admin"]', "advice", ["unless the sender has the role admin or service"]),
    ],
    ids=["none", "import", "upload", "roles"],
)
def test_the_doctor_says_whom_a_transform_locks_out(tmp_path: Path, binding: str, state: str, words: list[str]) -> None:
    unpack = f'[[plugin]]\nname = "unpack"\nuse = "decompress"\n{binding}\n'
    examination = examine(tmp_path, plan=PLAN + unpack + unpack.replace("unpack", "again"))
    assert (examination.code, examination.state("plan", "transforms")) == (0, state)
    assert all(word in examination.text("plan", "transforms") for word in words)


REFUSING = """
from douane_plugin import Inspector, Reject

class NoNova(Inspector):
    reads = "nothing"

    def inspect(self, image):
        if image.disk_format == "qcow2":
            raise Reject("no-qcow2", "this site has no qcow2")
        if DIES:
            raise RuntimeError("it is broken")
"""
SERVER, VOLUME_SERVER = "Nova: snapshot of a server", "Nova: snapshot of a server that boots from a volume"
VOLUME = "Cinder: image of a volume"


def test_the_doctor_tries_what_nova_and_cinder_upload(tmp_path: Path) -> None:
    examination = examine(tmp_path)
    assert [examination.state("upload", name) for name in (SERVER, VOLUME_SERVER, VOLUME)] == ["ok"] * 3


@pytest.mark.parametrize("exempt", ["", 'exempt_roles = ["service"]'])
def test_the_doctor_says_which_images_of_services_the_plan_refuses(tmp_path: Path, exempt: str) -> None:
    plugin = tmp_path / "refusing.py"
    plugin.write_text(REFUSING.replace("DIES", "False"))
    plan = (
        '[[plugin]]\nname = "format"\nuse = "format"\nconfig = { empty = "refuse" }\n'
        f'[[plugin]]\nname = "site"\nuse = "{plugin}:NoNova"\n'
    )
    examination = examine(tmp_path / "1", plan=plan)
    assert examination.code == 0
    assert [examination.state("upload", name) for name in (SERVER, VOLUME_SERVER, VOLUME)] == ["advice", "advice", "ok"]
    assert "site: no-qcow2: this site has no qcow2" in examination.text("upload", SERVER)
    assert "format: empty" in examination.text("upload", VOLUME_SERVER)

    convert = f'[[plugin]]\nname = "convert"\nuse = "convert"\n{exempt}\n'
    examination = examine(tmp_path / "2", plan=PLAN + convert)
    assert examination.state("upload", SERVER) == ("ok" if exempt else "advice")
    assert ("needs-import" in examination.text("upload", SERVER)) == (not exempt)
    assert examination.state("upload", VOLUME) == "ok", "it is raw already"


def test_a_plugin_that_fails_is_wrong(tmp_path: Path) -> None:
    plugin = tmp_path / "broken.py"
    plugin.write_text(REFUSING.replace("DIES", "True"))
    examination = examine(tmp_path / "1", plan=f'[[plugin]]\nname = "site"\nuse = "{plugin}:NoNova"\n')
    assert examination.wrong_points() == {("upload", VOLUME_SERVER), ("upload", VOLUME)}
    assert "site: plugin-error" in examination.text("upload", VOLUME)


# ---- imports


def test_a_plugin_named_twice_is_wrong(tmp_path: Path) -> None:
    assert ("import", "plugin") in examine(tmp_path, import_plugins=("douane", "douane")).wrong_points()


def test_a_plugin_that_changes_checked_images_is_wrong(tmp_path: Path) -> None:
    plugins = ("image_decompression", "douane", "inject_image_metadata", "image_conversion", "as_told")
    examination = examine(tmp_path, import_plugins=plugins)
    assert examination.wrong_points() == {("import", "image_conversion")}
    assert examination.state("import", "image_decompression") == "advice"
    assert examination.state("import", "inject_image_metadata") == "ok"
    assert "Glance leaves it out" in examination.text("import", "as_told")


def test_a_site_with_the_filter_alone_must_say_so_and_download_nothing(tmp_path: Path) -> None:
    alone: dict[str, Any] = {"import_plugins": (), "settings": {"imports": "unguarded"}}
    direct = {"DEFAULT": {"enabled_import_methods": "[glance-direct]"}}
    assert examine(tmp_path / "1", **alone, options=direct).wrong_points() == set()
    assert ("door", "import by web-download") in examine(tmp_path / "2", **alone).wrong_points()


# ---- staging


@pytest.mark.parametrize(("mode", "state"), [(0o700, "ok"), (0o755, "advice"), (0o777, "wrong")])
def test_the_staging_folder_is_for_glance_alone(tmp_path: Path, mode: int, state: str) -> None:
    configuration = Configuration(tmp_path / "glance")
    configuration.write()
    (tmp_path / "glance" / "staging").chmod(mode)
    assert configuration.examine().state("staging", "folder") == state


def test_a_missing_staging_folder_is_wrong(tmp_path: Path) -> None:
    configuration = Configuration(tmp_path / "glance")
    configuration.write()
    (tmp_path / "glance" / "staging").rmdir()
    assert configuration.examine().wrong_points() == {("staging", "folder")}


# ---- doors


@pytest.mark.parametrize("version", ENDS)
def test_locations_that_tenants_may_set_are_an_open_door(tmp_path: Path, version: str) -> None:
    visible = {"DEFAULT": {"show_multiple_locations": "true"}}
    point = ("door", "PATCH of an image's locations")
    assert examine(tmp_path / "1", version=version).state(*point) == "ok"
    assert examine(tmp_path / "2", version=version, options=visible).state(*point) == "wrong"
    closed = examine(tmp_path / "3", version=version, options=visible, policy='"set_image_location": "role:admin"\n')
    assert closed.state(*point) == "advice"


@pytest.mark.parametrize("version", ENDS)
def test_with_an_http_store_tenants_can_add_locations(tmp_path: Path, version: str) -> None:
    stores = {"DEFAULT": {"enabled_backends": "fast:file, second:file, web:http"}}
    point = ("door", "POST /v2/images/ID/locations")
    assert examine(tmp_path / "1", version=version).state(*point) == "advice"
    assert examine(tmp_path / "2", version=version, options=stores).state(*point) == "wrong"


def test_a_plan_that_refuses_no_image_is_wrong(tmp_path: Path) -> None:
    audit = PLAN + 'mode = "audit"\n'
    examination = examine(tmp_path / "1", plan=audit)
    assert (examination.code, examination.wrong_points()) == (2, {("plan", "verdicts")})
    assert "every image is let in" in examination.text("plan", "verdicts")
    assert ("plan", "verdicts") not in examine(tmp_path / "2", plan=audit + PLAN.replace("format", "second", 1)).points


def rules(**writers: str) -> str:
    """A property protection file: who may write the properties that match; everybody may read all."""
    expressions = {"format": "^format[.]", "douane": "^douane_", "all": ".*"}
    return "".join(
        f"[{expressions[name]}]\ncreate = {who}\nread = @\nupdate = {who}\ndelete = {who}\n"
        for name, who in writers.items()
    )


@pytest.mark.parametrize(
    ("text", "state", "words"),
    [
        (rules(format="!", all="@"), "advice", "the rules deny Douane format.any"),
        (rules(format="douane,service", all="@"), "advice", "let tenants write douane_outcome"),
        (rules(format="douane", douane="douane", all="@"), "advice", "the rules deny services the properties"),
        (rules(all="@"), "advice", "let tenants write format.any"),
        (rules(format="douane,service", douane="douane,service", all="@"), "ok", "only Douane and services"),
        ("[*]\n", "wrong", "the rules cannot be used"),
        ("", "ok", "none"),
    ],
    ids=["denied", "half", "no service", "open", "right", "broken", "none"],
)
def test_property_protections_are_tried(tmp_path: Path, text: str, state: str, words: str) -> None:
    (tmp_path / "rules.conf").write_text(text)
    (tmp_path / "key").write_bytes(bytes(32))
    (tmp_path / "key").chmod(0o600)
    changes: dict[str, Any] = {"options": {"DEFAULT": {"property_protection_file": str(tmp_path / "rules.conf")}}}
    if not text:
        changes = {"settings": {"key": str(tmp_path / "key")}}
    examination = examine(tmp_path, **changes)
    assert examination.state("properties", "protection") == state
    assert words in examination.text("properties", "protection")


@pytest.mark.parametrize("version", ENDS)
def test_the_rules_that_douane_writes_suit_the_doctor(tmp_path: Path, version: str) -> None:
    before = examine(tmp_path / "1", version=version)
    assert before.state("properties", "protection") == "advice"
    assert "an image's owner can write what looks like a plugin's verdict" in before.text("properties", "protection")
    path = tmp_path / "rules.conf"
    run(version, str(path), command="protection", OS_GLANCE_CONFIG_DIR=str(tmp_path / "1" / "glance"))
    options = {"DEFAULT": {"property_protection_file": str(path)}}
    examination = examine(tmp_path / "2", version=version, options=options)
    assert examination.state("properties", "protection") == "ok"
    assert examination.code == 0


def test_the_rules_of_a_site_without_the_filter_are_of_its_environment(tmp_path: Path) -> None:
    configuration = Configuration(tmp_path / "glance", filters=0)
    configuration.write()
    environment = {"OS_GLANCE_CONFIG_DIR": str(configuration.folder)}
    plan = {"DOUANE_CONFIG": str(configuration.folder / "douane.toml")}
    process = run("33", command="protection", **environment, **plan)
    assert (process.returncode, "[^(format)[.]]" in process.stdout) == (0, True), process.stderr
    process = run("33", command="verify", **environment, **plan)
    assert (process.returncode, "there is no key" in process.stderr) == (2, True)
    process = run("33", command="protection", **environment)
    assert (process.returncode, "Douane has no plan" in process.stderr) == (2, True)
    process = run("33", command="verify", OS_GLANCE_CONFIG_DIR=str(tmp_path))
    assert (process.returncode, "cannot be read" in process.stderr) == (2, True)


@pytest.mark.parametrize(("quota", "state"), [("3", "advice"), ("0", "advice"), ("-1", "ok"), ("128", "ok")])
def test_a_small_quota_of_properties_gets_advice(tmp_path: Path, quota: str, state: str) -> None:
    examination = examine(tmp_path, options={"DEFAULT": {"image_property_quota": quota}})
    assert (examination.state("properties", "quota"), examination.code) == (state, 0)


def test_a_key_that_others_can_read_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(32))
    (tmp_path / "key").chmod(0o644)
    examination = examine(tmp_path, settings={"key": str(tmp_path / "key")})
    assert examination.state("plan", "settings") == "wrong"
    assert "could forge proofs" in examination.text("plan", "settings")


@pytest.mark.parametrize(("policy", "state"), [(None, "advice"), ('"tasks_api_access": "role:member"\n', "wrong")])
def test_the_old_import_is_for_administrators(tmp_path: Path, policy: str | None, state: str) -> None:
    assert examine(tmp_path, policy=policy).state("door", "POST /v2/tasks, type import") == state


def test_downloads_from_every_host_get_advice(tmp_path: Path) -> None:
    point = ("door", "import by web-download: from where")
    assert point not in examine(tmp_path / "1").points
    everywhere = {"import_filtering_opts": {"allowed_hosts": "[]"}}
    assert examine(tmp_path / "2", options=everywhere).state(*point) == "advice"


def test_a_value_that_glance_cannot_read_is_wrong(tmp_path: Path) -> None:
    examination = examine(tmp_path, options={"import_filtering_opts": {"allowed_hosts": "no list"}})
    assert examination.code == 2
    assert "allowed_hosts" in json.dumps(list(examination.points.values()))


def test_the_environments_use_this_repository() -> None:
    """The environments have the current Douane, not that of the time when they were created."""
    python = Environment("33").program("python")
    where = subprocess.check_output([python, "-c", "import douane; print(douane.__file__)"], text=True)
    assert Path(where.strip()).is_relative_to(ROOT)
