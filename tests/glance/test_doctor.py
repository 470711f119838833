"""`douane glance doctor`, as a program beside a real Glance, on what is right, and on what is wrong in one point."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from harness.environments import ROOT, Environment
from harness.glance_config import STORES, GlanceConfig, glance_conf
from harness.pipeline import PasteFilter, paste_ini

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

VERSIONS = ["33", "31", "29"]
ENDS = ["33", "29"]
FACTORY = "douane.glance.filter:filter_factory"
PLAN = '[[plugin]]\nname = "format"\nuse = "format"\n'
BROKEN = '[[plugin]]\nname = "broken"\nuse = "no_such_module:Plugin"\n'


@dataclass
class Told:
    """What it said."""

    code: int
    points: dict[tuple[str, str], dict[str, Any]]

    def state(self, area: str, name: str) -> str:
        state: str = self.points[area, name]["state"]
        return state

    def wrong(self) -> set[tuple[str, str]]:
        return {key for key, point in self.points.items() if point["state"] == "wrong"}

    def text(self, area: str, name: str) -> str:
        point = self.points[area, name]
        return f"{point['found']} {point['remedy']}"


@dataclass
class Configuration:
    """A Glance's; as it is here, nothing is wrong with it."""

    folder: Path
    version: str = "33"
    plan: str = PLAN
    settings: Mapping[str, str] = field(default_factory=dict)
    after: str | None = "context"
    before: str | None = None
    filters: int = 1
    import_plugins: tuple[str, ...] = ("douane",)
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    policy: str | None = None
    flavor: str = "keystone"

    def write(self) -> None:
        """Its files and folders."""
        for name in ("staging", "tasks", "locks", "state", *(f"stores/{store}" for store in STORES)):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name).chmod(0o700)
        (self.folder / "douane.toml").write_text(self.plan)
        where = {"config": str(self.folder / "douane.toml"), "state": str(self.folder / "state"), **self.settings}
        filters = tuple(
            PasteFilter(f"douane{number or ''}", FACTORY, where, self.after, self.before)
            for number in range(self.filters)
        )
        config = GlanceConfig(self.version, filters, self.import_plugins, options=self.options, flavor=self.flavor)
        text = glance_conf(config, self.folder, 9292, "sqlite://", "http://127.0.0.1:5000/v3", (80,))
        (self.folder / "glance-api.conf").write_text(text)
        paste = paste_ini(Environment(self.version), config.filters, self.flavor)
        (self.folder / "glance-api-paste.ini").write_text(paste)
        if self.policy is not None:
            (self.folder / "policy.yaml").write_text(self.policy)

    def examine(self) -> Told:
        """Let the doctor look at it."""
        return told(run(self.version, "--json", OS_GLANCE_CONFIG_DIR=str(self.folder)))


def run(
    version: str, *arguments: str, user: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*user, Environment(version).program("douane"), "glance", "doctor", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> Told:
    assert not done.stderr, done.stderr
    answer = json.loads(done.stdout)
    points = {(point["area"], point["name"]): point for point in answer["points"]}
    assert answer["wrong"] == sum(point["state"] == "wrong" for point in answer["points"])
    assert len(points) == len(answer["points"])
    for point in answer["points"]:
        assert point["state"] == "ok" or point["remedy"], point
    return Told(done.returncode, points)


def examine(folder: Path, **different: Any) -> Told:
    """The doctor's answer to a good configuration, but for `different`."""
    configuration = Configuration(folder / "glance", **different)
    configuration.write()
    return configuration.examine()


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_wrong_where_all_is_as_it_should_be(tmp_path: Path, version: str) -> None:
    answer = examine(tmp_path, version=version)
    assert (answer.code, answer.wrong()) == (0, set())
    assert answer.points["Glance", "version"]["found"].startswith(version)
    for point in (
        ("Glance", "version"), ("pipeline", "filter"), ("plan", "plugins"), ("plan", "state"), ("import", "plugin"),
        ("staging", "folder"), ("door", "PUT /v2/images/ID/file"), ("door", "PUT /v2/images/ID/stage, glance-direct"),
        ("door", "import by web-download"),
    ):  # fmt: skip
        assert answer.state(*point) == "ok", answer.points[point]


def test_the_user_that_runs_glance_needs_no_more_rights_than_its_own(tmp_path: Path) -> None:
    """Whoever runs the tests has the files; as root, the doctor runs as a user that has them and no right besides."""
    user = ("unshare", "--user", "--map-user=1000", "--map-group=1000") if os.geteuid() == 0 else ()
    configuration = Configuration(tmp_path / "glance")
    configuration.write()
    answer = told(run("33", "--json", user=user, OS_GLANCE_CONFIG_DIR=str(configuration.folder)))
    assert (answer.code, answer.wrong()) == (0, set())
    (configuration.folder / "staging").chmod(0o500)
    answer = told(run("33", "--json", user=user, OS_GLANCE_CONFIG_DIR=str(configuration.folder)))
    assert answer.wrong() == {("staging", "folder")}
    assert answer.code == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stock_glance_has_all_to_be_done(tmp_path: Path, version: str) -> None:
    answer = examine(tmp_path, version=version, filters=0, import_plugins=())
    assert answer.code == 2
    assert answer.wrong() == {
        ("pipeline", "filter"),
        ("import", "plugin"),
        ("door", "PUT /v2/images/ID/file"),
        ("door", "PUT /v2/images/ID/stage, glance-direct"),
        ("door", "import by web-download"),
    }
    line = "keystone = cors http_proxy_to_wsgi versionnegotiation osprofiler authtoken context douane rootapp"
    assert line in answer.text("pipeline", "filter")
    assert "image_import_plugins = [douane]" in answer.text("import", "plugin")


def test_a_person_gets_a_table(tmp_path: Path) -> None:
    Configuration(tmp_path / "glance", filters=0).write()
    done = run("33", OS_GLANCE_CONFIG_DIR=str(tmp_path / "glance"))
    lines = done.stdout.splitlines()
    assert done.returncode == 2
    assert lines[0].split("\t") == ["area", "point", "", "what was found", "what to do"]
    assert any(line.startswith("pipeline\tfilter\twrong\t") for line in lines)
    assert " wrong, " in lines[-1]


def test_without_a_glance_it_says_where_to_install_it() -> None:
    done = subprocess.run(
        [Environment("clients").program("douane"), "glance", "doctor"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "install douane into Glance's environment" in done.stdout


def test_files_can_be_named_as_glance_itself_takes_them(tmp_path: Path) -> None:
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
    assert told(run("33", *named)).code == 0
    assert told(run("33", *named, "--config-dir", str(more))).wrong() >= {("import", "plugin")}


def test_files_that_are_not_there_are_said_to_be_missing(tmp_path: Path) -> None:
    answer = told(run("33", "--json", OS_GLANCE_CONFIG_DIR=str(tmp_path)))
    assert (answer.code, answer.wrong()) == (2, {("Glance", "configuration")})
    assert "glance-api.conf" in answer.text("Glance", "configuration")


# ---- the pipeline


@pytest.mark.parametrize("place", [{"after": "authtoken"}, {"after": None, "before": "authtoken"}])
def test_a_filter_before_it_is_known_who_asks_is_wrong(tmp_path: Path, place: dict[str, str | None]) -> None:
    answer = examine(tmp_path, **place)
    assert ("pipeline", "filter") in answer.wrong()
    assert "authtoken context douane rootapp" in answer.text("pipeline", "filter")


def test_a_filter_behind_the_cache_is_wrong(tmp_path: Path) -> None:
    flavor = "keystone+cachemanagement"
    answer = examine(tmp_path, flavor=flavor, after="cache")
    assert f"{flavor} = " in answer.text("pipeline", "filter")
    assert "authtoken context douane cache cachemanage rootapp" in answer.text("pipeline", "filter")


def test_the_flavor_that_is_configured_counts(tmp_path: Path) -> None:
    folder = tmp_path / "glance"
    Configuration(folder).write()
    conf = folder / "glance-api.conf"
    conf.write_text(conf.read_text().replace("flavor = keystone", "flavor = keystone+caching"))
    answer = told(run("33", "--json", OS_GLANCE_CONFIG_DIR=str(folder)))
    assert ("pipeline", "filter") in answer.wrong()


def test_twice_is_too_often(tmp_path: Path) -> None:
    answer = examine(tmp_path, filters=2)
    assert "2 times" in answer.text("pipeline", "filter")
    assert answer.code == 2


def test_a_pipeline_as_older_files_have_it_is_understood(tmp_path: Path) -> None:
    folder = tmp_path / "glance"
    Configuration(folder).write()
    paste = folder / "glance-api-paste.ini"
    text = paste.read_text().replace("[composite:glance-api-keystone]", "[composite:not-used]")
    paste.write_text(
        f"{text}\n[pipeline:glance-api-keystone]\npipeline = versionnegotiation authtoken context douane rootapp\n"
    )
    answer = told(run("33", "--json", OS_GLANCE_CONFIG_DIR=str(folder)))
    assert answer.state("pipeline", "filter") == "ok"


# ---- the plan


@pytest.mark.parametrize(
    ("different", "point", "says"),
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
def test_a_plan_that_cannot_be_used_is_wrong(
    tmp_path: Path, different: dict[str, Any], point: tuple[str, str], says: str
) -> None:
    answer = examine(tmp_path, **different)
    assert answer.code == 2
    assert says in answer.text(*point)
    assert {point, ("door", "PUT /v2/images/ID/file")} <= answer.wrong()


def test_a_state_that_others_can_write_is_wrong(tmp_path: Path) -> None:
    configuration = Configuration(tmp_path / "glance")
    configuration.write()
    (tmp_path / "glance" / "state").chmod(0o777)
    assert configuration.examine().wrong() == {("plan", "state")}


def test_an_agent_that_runs_is_asked_what_it_serves(tmp_path: Path) -> None:
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
        answer = examine(tmp_path, settings={"config": "", "agent": str(socket)})
    finally:
        agent.terminate()
        agent.communicate()
    assert (answer.code, answer.state("plan", "agent")) == (0, "ok")
    assert "it has format" in answer.text("plan", "agent")


# ---- imports


def test_a_plugin_that_is_named_twice_is_wrong(tmp_path: Path) -> None:
    assert ("import", "plugin") in examine(tmp_path, import_plugins=("douane", "douane")).wrong()


def test_what_changes_the_image_after_it_was_checked_is_wrong(tmp_path: Path) -> None:
    plugins = ("image_decompression", "douane", "inject_image_metadata", "image_conversion", "as_told")
    answer = examine(tmp_path, import_plugins=plugins)
    assert answer.wrong() == {("import", "image_conversion")}
    assert answer.state("import", "image_decompression") == "advice"
    assert answer.state("import", "inject_image_metadata") == "ok"
    assert "Glance leaves it out" in answer.text("import", "as_told")


def test_a_site_with_the_filter_alone_must_say_so_and_fetch_nothing(tmp_path: Path) -> None:
    alone: dict[str, Any] = {"import_plugins": (), "settings": {"imports": "unguarded"}}
    direct = {"DEFAULT": {"enabled_import_methods": "[glance-direct]"}}
    assert examine(tmp_path / "1", **alone, options=direct).wrong() == set()
    assert ("door", "import by web-download") in examine(tmp_path / "2", **alone).wrong()


# ---- staging


@pytest.mark.parametrize(("mode", "state"), [(0o700, "ok"), (0o755, "advice"), (0o777, "wrong")])
def test_the_staging_folder_is_for_glance_alone(tmp_path: Path, mode: int, state: str) -> None:
    configuration = Configuration(tmp_path / "glance")
    configuration.write()
    (tmp_path / "glance" / "staging").chmod(mode)
    assert configuration.examine().state("staging", "folder") == state


def test_a_staging_folder_that_is_not_there_is_wrong(tmp_path: Path) -> None:
    configuration = Configuration(tmp_path / "glance")
    configuration.write()
    (tmp_path / "glance" / "staging").rmdir()
    assert configuration.examine().wrong() == {("staging", "folder")}


# ---- doors


@pytest.mark.parametrize("version", ENDS)
def test_locations_that_tenants_may_set_are_an_open_door(tmp_path: Path, version: str) -> None:
    seen = {"DEFAULT": {"show_multiple_locations": "true"}}
    point = ("door", "PATCH of an image's locations")
    assert examine(tmp_path / "1", version=version).state(*point) == "ok"
    assert examine(tmp_path / "2", version=version, options=seen).state(*point) == "wrong"
    closed = examine(tmp_path / "3", version=version, options=seen, policy='"set_image_location": "role:admin"\n')
    assert closed.state(*point) == "advice"


@pytest.mark.parametrize("version", ENDS)
def test_with_an_http_store_tenants_can_add_locations(tmp_path: Path, version: str) -> None:
    stores = {"DEFAULT": {"enabled_backends": "fast:file, second:file, web:http"}}
    point = ("door", "POST /v2/images/ID/locations")
    assert examine(tmp_path / "1", version=version).state(*point) == "advice"
    assert examine(tmp_path / "2", version=version, options=stores).state(*point) == "wrong"


@pytest.mark.parametrize(("policy", "state"), [(None, "advice"), ('"tasks_api_access": "role:member"\n', "wrong")])
def test_the_old_import_is_for_administrators(tmp_path: Path, policy: str | None, state: str) -> None:
    assert examine(tmp_path, policy=policy).state("door", "POST /v2/tasks, type import") == state


def test_downloads_from_everywhere_are_something_to_think_about(tmp_path: Path) -> None:
    point = ("door", "import by web-download: from where")
    assert point not in examine(tmp_path / "1").points
    everywhere = {"import_filtering_opts": {"allowed_hosts": "[]"}}
    assert examine(tmp_path / "2", options=everywhere).state(*point) == "advice"


def test_a_value_that_glance_could_not_read_is_wrong(tmp_path: Path) -> None:
    answer = examine(tmp_path, options={"import_filtering_opts": {"allowed_hosts": "no list"}})
    assert answer.code == 2
    assert "allowed_hosts" in json.dumps(list(answer.points.values()))


def test_it_is_the_repository_that_is_tried() -> None:
    """The environments have Douane as it is here, not as it was when they were made."""
    python = Environment("33").program("python")
    where = subprocess.check_output([python, "-c", "import douane; print(douane.__file__)"], text=True)
    assert Path(where.strip()).is_relative_to(ROOT)
