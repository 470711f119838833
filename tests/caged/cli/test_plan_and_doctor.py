"""`plan` and `doctor`: what would be done, and what this machine can do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from support.program import PLUGINS, Program


def test_the_built_in_plan(douane: Program) -> None:
    result = douane.run("plan", "--json")
    assert result.code == 0
    document = result.json
    assert [(plugin["name"], plugin["use"], plugin["mode"]) for plugin in document["plugins"]] == [
        ("format", "format", "enforce")
    ]
    assert document["digests"] == ["md5", "sha256", "sha512"]
    assert document["sandbox"]["minimum"] == "strict"
    lines = douane.run("plan").text.splitlines()
    assert lines[1].split("\t")[1:3] == ["format", "format"]
    assert "deadline 24 h" in lines[2]
    assert not (douane.home / "store").exists()


def test_the_plan_shows_what_was_written_and_what_was_not(douane: Program, write: Callable[[str, str], Path]) -> None:
    config = write(
        "plan.toml",
        '[import]\ndigests = ["sha256"]\ndeadline = "2h"\n'
        '[sandbox]\nminimum = "full"\n'
        f'[[plugin]]\nname = "echo"\nuse = "{PLUGINS}/echo.py:Echo"\nmode = "warn"\nmemory = "64MiB"\n'
        'timeout = "3m"\nconfig = { number = 3 }\n',
    )
    args = ("plan", "--config", config, "--plugin", "exec:/bin/true", "--set", "echo.text=a b")
    document = douane.run(*args, "--json").json
    plugin, program = document["plugins"]
    assert (document["digests"], document["deadline"]) == (["sha256"], 7200)
    assert document["sandbox"] == {"tier": "full", "minimum": "full"}
    assert (plugin["mode"], plugin["on_error"], plugin["memory"], plugin["timeout"]) == ("warn", "warn", 64 << 20, 180)
    assert plugin["config"] == {"number": 3, "text": "a b"}
    assert {parameter["name"] for parameter in plugin["parameters"]} == {"text", "number", "part", "sure"}
    assert plugin["ran"]["reads"] == "nothing"
    assert program["use"] == "exec:/bin/true"
    text = douane.run(*args).text
    for words in ("number = 3", "text = 'a b'", "part = 0.5 (default)", "64.0 MiB", "total 3 min", "error warn"):
        assert words in text


def test_the_plan_shows_what_else_a_plugin_may_use(douane: Program, write: Callable[[str, str], Path]) -> None:
    write("helper.py", "")
    write("p.py", "from douane_plugin import Inspector\nclass P(Inspector):\n    def inspect(self, image): pass\n")
    tables = (
        '[[plugin]]\nname = "p"\nuse = "p.py:P"\nmodules = ["helper.py"]\nprocesses = 3\n'
        f'python = "{sys.executable}"\n[[plugin]]\nname = "tool"\nuse = "exec:/bin/true"\nrefuse = [10, 11]\n'
    )
    text = douane.run("plan", "--config", write("plan.toml", tables)).text
    for words in ("processes 3", "modules helper.py", f"python {sys.executable}", "reads stream, refuses by 10, 11"):
        assert words in text


def test_a_program_that_refuses_by_status_1_is_named(douane: Program, write: Callable[[str, str], Path]) -> None:
    table = '[[plugin]]\nname = "tool"\nuse = "exec:/bin/true"\n'
    sentence = "tool: exit status 1 refuses the image, and programs that fail exit with 1 as well"
    assert sentence in douane.run("plan", "--config", write("plan.toml", table)).text
    assert sentence not in douane.run("plan", "--config", write("plan.toml", table + "refuse = [10]\n")).text


def test_the_plan_shows_granted_files_and_names_private_ones(
    douane: Program, write: Callable[[str, str], Path]
) -> None:
    public, private = write("public", "a"), write("private", "b")
    public.chmod(0o644)
    private.chmod(0o600)
    config = write(
        "plan.toml",
        '[[plugin]]\nname = "tool"\nuse = "exec:/bin/cat {grant:a} {grant:b}"\nrefuse = [10]\n'
        f'grants = {{ a = "file:{public}", b = "file:{private}" }}\n',
    )
    text = douane.run("plan", "--config", config).text
    assert f"a = file:{public}, b = file:{private}" in text
    assert f"tool: not every user can read all of {private}; if Douane is root" in text
    grants = douane.run("plan", "--config", config, "--json").json["plugins"][0]["ran"]["grants"]
    assert [grants[name]["path"] for name in ("a", "b")] == [str(public), str(private)]


def test_a_plan_that_refuses_no_image_says_so(douane: Program, write: Callable[[str, str], Path]) -> None:
    plugins = "".join(
        f'[[plugin]]\nname = "{mode}"\nuse = "{PLUGINS}/echo.py:Echo"\nmode = "{mode}"\n' for mode in ("audit", "warn")
    )
    sentence = "every image is let in, whatever the plugins say"
    assert sentence in douane.run("plan", "--config", write("plan.toml", plugins)).text
    for more in (
        f'[[plugin]]\nname = "e"\nuse = "{PLUGINS}/echo.py:Echo"\n',
        '[[plugin]]\nname="u"\nuse="decompress"\n',
    ):
        result = douane.run("plan", "--config", write("plan.toml", plugins + more))
        assert result.code == 0
        assert sentence not in result.text
    # Other stores have the image without the plugins that are bound to this one.
    bound = '[[plugin]]\nname="u"\nuse="decompress"\nstores=["fast"]\n[serve.stores.fast]\nurl="file:/srv/fast"\n'
    assert sentence in douane.run("plan", "--config", write("plan.toml", plugins + bound)).text


def test_the_plan_shows_whom_a_transform_is_for(douane: Program, write: Callable[[str, str], Path]) -> None:
    inspector = '[[plugin]]\nname = "format"\nuse = "format"\n'
    bound = '[[plugin]]\nname = "unpack"\nuse = "decompress"\nonly = "import"\nexempt_roles = ["service", "admin"]\n'
    write("bound.toml", inspector + bound)
    result = douane.run("plan", "--config", "bound.toml")
    assert "transform, reads stream, only import, not for the role service or admin" in result.text
    plugins = douane.run("plan", "--json", "--config", "bound.toml").json["plugins"]
    assert [plugin["only"] for plugin in plugins[:2]] == [["upload", "import"], ["import"]]
    assert [plugin["exempt_roles"] for plugin in plugins[:2]] == [[], ["service", "admin"]]


def test_a_transform_for_some_stores_is_shown_and_left_out_on_the_command_line(
    douane: Program, write: Callable[[str, str], Path]
) -> None:
    inspector = '[[plugin]]\nname = "format"\nuse = "format"\n'
    bound = '[[plugin]]\nname = "to-raw"\nuse = "convert"\nstores = ["fast"]\n'
    write("bound.toml", f'{inspector}{bound}[serve.stores.fast]\nurl = "file:fast"\ndefault = true\n')
    assert "only for the store fast" in douane.run("plan", "--config", "bound.toml").text
    write("image", "an image")
    result = douane.run("check", "image", "--config", "bound.toml")
    assert result.code == 0
    assert "left out, since 'stores' binds them to stores of the service: to-raw" in result.stderr
    write("wrong.toml", inspector + bound)
    wrong = douane.run("plan", "--config", "wrong.toml")
    assert wrong.code == 2
    assert "'to-raw' is bound to the store 'fast', which is not configured; the stores are: file" in wrong.stderr


def test_the_plan_shows_the_values_that_a_built_in_plugin_brings(
    douane: Program, write: Callable[[str, str], Path]
) -> None:
    write("plan.toml", '[[plugin]]\nname = "to-raw"\nuse = "convert"\nscratch = "2GiB"\n')
    result = douane.run("plan", "--config", "plan.toml")
    assert "memory 512.0 MiB, scratch 2.0 GiB, programs qemu-img" in result.text
    assert "to-raw: the plugin's own values, which its table does not set: programs, memory" in result.text.splitlines()
    converted, examined = douane.run("plan", "--config", "plan.toml", "--json").json["plugins"]
    assert (converted["programs"], converted["own_defaults"]) == (["qemu-img"], ["programs", "memory"])
    assert examined["own_defaults"] == []


def test_the_plan_names_the_plugins_whose_processes_serve_several_images(
    douane: Program, write: Callable[[str, str], Path]
) -> None:
    table = f'[[plugin]]\nname = "model"\nuse = "{PLUGINS}/echo.py:Echo"\n'
    sentence = "model: in the agent and in a service, one process of the plugin serves up to 20 images"
    result = douane.run("plan", "--config", write("plan.toml", f"{table}reuse = 20\n"))
    assert sentence in result.text and "memory 512.0 MiB, a process for 20 images" in result.text
    assert sentence not in douane.run("plan", "--config", write("plan.toml", table)).text
    assert douane.run("plan", "--config", "plan.toml", "--json").json["plugins"][0]["reuse"] == 1


def test_a_plan_that_could_not_be_run_is_no_plan(douane: Program) -> None:
    result = douane.run("plan", "--json", "-p", f"{PLUGINS}/echo.py:Picky")
    assert result.code == 2
    assert "'picky'" in result.stderr
    assert "'begins' (str) is required" in result.json["message"]


def test_the_doctor_tells_each_layer(douane: Program) -> None:
    result = douane.run("doctor", "--json")
    document = result.json
    assert (result.code, document["best"] in ("full", "strict")) == (0, True)
    layers = {(layer["tier"], layer["name"]) for layer in document["layers"]}
    assert {("strict", "seccomp"), ("strict", "landlock"), ("full", "bubblewrap"), ("strict", "sandbox")} <= layers
    assert all(layer["ok"] or layer["remedy"] for layer in document["layers"])
    text = douane.run("doctor").text
    assert f"best tier: {document['best']}" in text.splitlines()


def test_the_doctor_says_how_to_get_what_is_missing(douane: Program) -> None:
    tools = douane.place / "tools"
    tools.mkdir()
    env = {**douane.env, "PATH": str(tools)}
    result = douane.run("doctor", "--json", env=env)
    assert (result.code, result.json["best"]) == (0, "strict")
    [missing] = [layer for layer in result.json["layers"] if layer["name"] == "bubblewrap"]
    assert not missing["ok"]
    assert "install" in missing["remedy"]
    assert "best tier: strict" in douane.run("doctor", env=env).text


def test_the_settings_of_the_service_are_checked_by_plan_and_ignored_by_check(
    douane: Program, qcow2: Path, write: Callable[[str, str], Path]
) -> None:
    plan = '[[plugin]]\nname = "format"\nuse = "format"\n'
    good = write("good.toml", plan + '[serve]\nworkers = 2\n[serve.stores.a]\nurl = "file:images"\n')
    wrong = write("wrong.toml", plan + '[serve]\nworkers = "two"\n')
    assert douane.run("plan", "--config", good).code == 0
    refused = douane.run("plan", "--config", wrong)
    assert refused.code == 2 and "[serve] 'workers' is wrong: expected an integer, got a string" in refused.stderr
    for config in (good, wrong):
        assert douane.run("check", qcow2, "--config", config).code == 0


def test_the_schema_of_the_configuration_is_printed_without_a_plan(douane: Program) -> None:
    schema = douane.run("plan", "--schema", "--config", "/no/such/file").json
    assert set(schema["properties"]) == {"import", "sandbox", "plugin", "guest", "evidence", "serve"}
    assert schema["properties"]["serve"]["additionalProperties"] is False
