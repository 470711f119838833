"""`run` in process: what a plugin does in production it does here, and each end is told as what it is."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from douane_plugin import Defer, Incomplete, Inspector, Reject, Transform
from douane_plugin.testing import Declared, PluginFailed, Result, WrongConfiguration, run

SPEC = '''
from douane_plugin import Inspector, Reject

class Even(Inspector):
    """Refuse an odd length."""

    def inspect(self, image):
        if sum(len(chunk) for chunk in image) % 2:
            raise Reject("odd", "the image has an odd number of bytes; add one")
'''


class Asks(Inspector):
    """Answers as its configuration says."""

    def __init__(self, answer: str = "accept", depth: int = 3, names: list[str] = ()):  # type: ignore[assignment]
        self.answer = answer
        self.names = names

    def inspect(self, image):
        image.read(4)
        if self.answer == "reject":
            raise Reject("not-this", "not\nthis one")
        if self.answer == "incomplete":
            raise Incomplete("half", "only half of it")
        if self.answer == "defer":
            raise Defer(5, "later")
        return {"depth": 1, "asks.names": ",".join(self.names)}


class Does(Inspector):
    """Does what `does` says; a test sets it."""

    does = None

    def inspect(self, image):
        return type(self).does(self, image)


def doing(function, **members):
    return type("Does", (Does,), {"does": staticmethod(function), **members})


def test_an_accept_has_its_properties_without_the_name_of_the_plugin():
    result = run(Asks, b"12345678", config={"names": ["a", "b"]})
    assert result == Result("accepted", properties={"depth": 1, "names": "a,b"})
    assert result.bytes_seen == 4


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("reject", Result("refused", code="not-this", message="not this one")),
        ("incomplete", Result("incomplete", code="half", message="only half of it")),
        ("defer", Result("deferred", code="deferred", message="later", retry_after=5.0)),
    ],
)
def test_the_other_answers(answer, expected):
    assert run(Asks, b"1234", config={"answer": answer}) == expected


def test_a_plugin_is_named_by_a_text_as_well(tmp_path, monkeypatch):
    (tmp_path / "even.py").write_text(SPEC)
    assert run(f"{tmp_path}/even.py:Even", b"123").code == "odd"
    monkeypatch.chdir(tmp_path)
    assert run("even.py:Even", b"12").outcome == "accepted"
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run("even:Even", b"123").code == "odd"


@pytest.mark.parametrize("spec", ["even.py", "even.py:Odd", "nowhere.py:Even"])
def test_a_text_that_names_no_plugin_says_what_is_there(spec, tmp_path, monkeypatch):
    (tmp_path / "even.py").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WrongConfiguration, match=r"file\.py:Class|it has: Even|No such file"):
        run(spec)


# images


def test_an_image_is_bytes_a_path_a_file_a_list_or_a_generator(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(b"12345678")
    seen = []
    plugin = doing(lambda self, image: seen.append((image.size, b"".join(map(bytes, image)))))
    with path.open("rb") as file:
        for image in (b"12345678", bytearray(b"12345678"), str(path), path, [b"1234", b"5678"]):
            run(plugin, image)
        assert set(seen) == {(8, b"12345678")}
        seen.clear()
        for image in (file, (letter.encode() for letter in "12345678")):
            run(plugin, image)
        assert seen == [(None, b"12345678")] * 2


def test_something_else_is_no_image():
    with pytest.raises(TypeError, match="an image is bytes"):
        run(Asks, 7)


def test_what_a_generator_raises_is_the_tests_own_fault_and_not_the_plugins():
    def image():
        yield b"1234"
        raise OSError("the test's disk is full")

    def swallow(self, image):
        try:
            for _ in image:
                pass
        except OSError:
            return

    with pytest.raises(OSError, match="the test's disk is full"):
        run(doing(swallow), image(), raise_on_failure=False)


@pytest.mark.parametrize(("size", "told"), [(None, None), (8, 8), ("actual", 8)])
def test_the_size_is_told_or_not(size, told):
    assert run(doing(lambda self, image: {"none": image.size is None, "size": image.size or 0}), b"12345678",
               declared=Declared(size=size)).properties == {"none": told is None, "size": told or 0}  # fmt: skip


@pytest.mark.parametrize(("size", "text"), [(9, "ended after 8"), (7, "longer than the declared 7")])
def test_a_size_that_is_declared_must_be_that_of_the_image(size, text):
    with pytest.raises(ValueError, match=text):
        run(doing(lambda self, image: [None for _ in image] and None), iter([b"12345678"]), declared={"size": size})


def test_all_that_can_be_declared_reaches_the_plugin():
    def look(self, image):
        assert (image.name, image.disk_format, image.container_format) == ("n", "qcow2", "bare")
        assert (image.owner, image.roles, dict(image.properties)) == ("o", ("member",), {"a": "b"})

    facts = {
        "name": "n",
        "disk_format": "qcow2",
        "container_format": "bare",
        "owner": "o",
        "roles": ["member"],
        "properties": {"a": "b"},
    }
    result = run(doing(look), declared=facts)
    assert (result.disk_format, result.container_format) == ("qcow2", "bare")
    assert run(doing(look), declared=Declared(**facts)) == result


@pytest.mark.parametrize(
    "declared", [{"nmae": "x"}, {"name": 3}, {"size": -1}, {"size": True}, {"properties": {"a": 1}}, "raw"]
)
def test_what_cannot_be_declared_is_told_at_once(declared):
    with pytest.raises(TypeError):
        run(Asks, declared=declared)


# what it reads


def test_head_gives_that_much_and_no_more():
    def look(self, image):
        assert b"".join(map(bytes, image)) == b"12345"
        assert image.offset == 5

    run(doing(look, reads="head:5"), b"12345678", chunks=3)
    run(doing(look, reads="head:5"), b"12345", chunks=3)


@pytest.mark.parametrize(("length", "fails"), [(4, False), (5, False), (6, True)])
def test_reading_beyond_the_head_fails_if_there_is_more_as_in_production(length, fails):
    plugin = doing(lambda self, image: {"read": len(image.read(7))}, reads="head:5")
    if fails:
        with pytest.raises(ValueError, match="head:5"):
            run(plugin, bytes(length), chunks=5)
    else:
        assert run(plugin, bytes(length), chunks=5).properties == {"read": length}


def test_nothing_is_nothing():
    def look(self, image):
        assert list(image) == []
        image.read(1)

    with pytest.raises(ValueError, match="nothing"):
        run(doing(look, reads="nothing"), b"1234")


def test_findings_reach_those_who_asked_for_them_alone():
    look = doing(lambda self, image: {"gpt": image.findings.get("format.table") == "gpt"}, reads="findings")
    assert run(look, findings={"format.table": "gpt"}).properties == {"gpt": True}
    assert run(doing(look.does), findings={"format.table": "gpt"}).properties == {"gpt": False}


@pytest.mark.parametrize("kind", ["bytes", "path", "generator"])
def test_random_gives_a_file_and_a_path_that_a_program_can_open(kind, tmp_path):
    def look(self, image):
        image.file.seek(2)
        done = subprocess.run(["cat", image.path], pass_fds=[image.file.fileno()], check=True, stdout=subprocess.PIPE)
        with pytest.raises(OSError):
            image.file.write(b"x")
        assert image.size == 8
        return {"tail": image.file.read().decode(), "all": done.stdout.decode()}

    path = tmp_path / "image"
    path.write_bytes(b"12345678")
    image = {"bytes": b"12345678", "path": path, "generator": iter([b"1234", b"5678"])}[kind]
    result = run(doing(look, reads="random"), image)
    assert result.properties == {"tail": "345678", "all": "12345678"}
    assert result.bytes_seen == 8


# configuration


@pytest.mark.parametrize(
    ("config", "key", "text"),
    [
        ({"dept": 3}, "dept", "is not a setting.*answer, depth, names"),
        ({"depth": "3"}, "depth", "must be int"),
        ({"depth": True}, "depth", "must be int"),
        ({"names": [1]}, "names", "must be list"),
        ({"names": {"a"}}, None, "cannot be written in TOML"),
    ],
)
def test_a_wrong_configuration_is_told_as_douane_tells_it(config, key, text):
    with pytest.raises(WrongConfiguration, match=text) as caught:
        run(Asks, config=config, raise_on_failure=False)
    assert caught.value.key == key


def test_a_missing_setting_is_told():
    class Needs(Inspector):
        def __init__(self, path: str):
            pass

    with pytest.raises(WrongConfiguration, match=r"'path' .*required"):
        run(Needs)


def test_a_constructor_that_refuses_its_values_is_a_wrong_configuration():
    class Picky(Inspector):
        def __init__(self, depth: int = 0):
            raise ValueError("depth is 1 or more")

    with pytest.raises(WrongConfiguration, match="depth is 1 or more") as caught:
        run(Picky)
    assert traceback.extract_tb(caught.value.__cause__.__traceback__)[-1].name == "__init__"


@pytest.mark.parametrize("members", [{"api": 99}, {"api": 0}, {"reads": "all"}])
def test_a_class_that_douane_would_not_start_does_not_start(members):
    with pytest.raises(WrongConfiguration):
        run(doing(lambda self, image: None, **members))


@pytest.mark.parametrize("plugin", [Asks(), int, None])
def test_what_is_no_plugin_is_told(plugin):
    with pytest.raises(TypeError, match="a plugin is a class"):
        run(plugin)


# what it says


def test_warnings_log_lines_and_proposals_are_there(caplog):
    def say(self, image):
        self.warn("odd-size", "the size\nis odd")
        self.propose("hw_disk_bus", "virtio")
        self.propose("os_hidden", None)
        self.log.debug("a %s", "detail")
        self.log.warning("two\nlines")
        self.alive()

    caplog.set_level(logging.DEBUG)
    result = run(doing(say), plugin_name="sayer")
    assert result.warnings == (("odd-size", "the size is odd"),)
    assert result.proposed == {"hw_disk_bus": "virtio", "os_hidden": None}
    assert result.log == ((logging.DEBUG, "a detail"), (logging.WARNING, "two lines"))
    assert result.log_text == "a detail\ntwo lines\n"
    assert ("douane_plugin.testing.sayer", logging.WARNING, "two lines") in caplog.record_tuples


def test_a_log_that_is_too_long_is_cut_as_in_production():
    def chatter(self, image):
        for _ in range(100):
            self.log.info("x" * 5000)

    log = run(doing(chatter)).log
    assert len(log[0].message) == 4096
    assert log[-1].message.startswith("(36 more lines were dropped")


def test_the_operators_list_of_what_it_may_set_holds():
    plugin = doing(lambda self, image: self.propose("hw_disk_bus", "virtio"))
    assert run(plugin, may_set=["hw_*"]).outcome == "accepted"
    with pytest.raises(PluginFailed, match="'may_set' lists os_hidden"):
        run(plugin, may_set=["os_hidden"])


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"Upper": 1}, "a-z 0-9 _"),
        ({"other.key": 1}, "outside its namespace"),
        ({"k" * 65: 1}, "1 to 64"),
        ({"key": "x" * 4097}, "4096"),
        ({"key": 1 << 63}, "64 bits"),
        ({"key": "\0"}, "NUL"),
        ({"key": None}, "str, int, float or bool"),
        ({"key": [1]}, "str, int, float or bool"),
        ({f"k{number}": 1 for number in range(65)}, "65 properties"),
    ],
)
def test_properties_that_do_not_fit_fail_as_in_production(properties, text):
    plugin = doing(lambda self, image: properties)
    with pytest.raises(PluginFailed, match=text) as caught:
        run(plugin)
    result = run(plugin, raise_on_failure=False)
    assert (result.outcome, result.code) == ("failed", "plugin-properties")
    assert caught.value.result == result


@pytest.mark.parametrize("properties", [{"key": {1}}, {"key": float("nan")}, {3: 1}])
def test_properties_that_no_json_can_say_fail(properties):
    with pytest.raises(TypeError, match="cannot be told"):
        run(doing(lambda self, image: properties))


# failures


def test_a_bug_in_a_plugin_surfaces_as_itself_with_the_authors_frames_alone():
    def divide(self, image):
        image.read(3)
        return 1 // 0

    with pytest.raises(ZeroDivisionError) as caught:
        run(doing(divide), b"1234")
    files = {frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)[1:]}
    ours = str(Path(sys.modules["douane_plugin"].__file__).parent)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "divide"
    assert "converse" not in names and "_answer" not in names
    assert any(not file.startswith(ours) for file in files)


def test_a_bug_can_be_had_as_an_outcome_which_tells_the_tenant_nothing():
    def divide(self, image):
        image.read(3)
        return 1 // 0

    result = run(doing(divide), b"1234", raise_on_failure=False)
    assert (result.outcome, result.code, result.bytes_seen) == ("failed", "plugin-error", 3)
    assert "divi" not in result.message.replace("'does'", "")
    assert isinstance(result.error, ZeroDivisionError)
    assert "in divide" in result.trace and "_runtime.py" not in result.trace


def fail_with(error):
    def fail(self, image):
        raise error

    return doing(fail)


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError(), "plugin-memory"), (RuntimeError(), "plugin-error"), (SystemExit(0), "plugin-error")],
)
def test_each_failure_has_its_code(error, code):
    assert run(fail_with(error), raise_on_failure=False).code == code


def test_sys_exit_is_no_accept_and_does_not_end_the_tests():
    with pytest.raises(PluginFailed, match=r"sys\.exit\(0\)"):
        run(fail_with(SystemExit(0)))


def test_ctrl_c_is_not_the_plugins():
    with pytest.raises(KeyboardInterrupt):
        run(fail_with(KeyboardInterrupt()), raise_on_failure=False)


@pytest.mark.parametrize("value", [True, "ok", [1]])
def test_an_end_without_an_answer_is_a_failure(value):
    with pytest.raises(TypeError, match="raise Reject to refuse"):
        run(doing(lambda self, image: value))


@pytest.mark.parametrize("answer", [Reject("a", "b"), Incomplete("a", "b"), Defer(1, "b")])
def test_an_answer_before_there_is_an_image_is_a_failure(answer):
    class Early(Inspector):
        def __init__(self):
            raise answer

    with pytest.raises(PluginFailed, match="in its constructor"):
        run(Early)
    assert run(Early, raise_on_failure=False).outcome == "failed"


def test_more_warnings_than_are_allowed_fail_even_if_that_is_caught():
    def warn(self, image):
        for _ in range(101):
            try:
                self.warn("again", "and again")
            except Exception:
                pass

    result = run(doing(warn), raise_on_failure=False)
    assert (result.outcome, result.code, len(result.warnings)) == ("failed", "plugin-protocol", 100)


# transforms


class Doubles(Transform):
    """Every byte twice; nothing to do for what begins with an x."""

    def transform(self, image):
        first = image.read(1)
        if first == b"x":
            image.unchanged()
            return
        image.becomes(disk_format="raw", properties={"doubled": True})
        yield first * 2
        for chunk in image:
            yield bytes(letter for letter in chunk for _ in "12")


def making(function):
    return type("Makes", (Transform,), {"transform": function})


def test_the_new_image_is_there_and_what_it_has_become():
    result = run(Doubles, b"abc", chunks=1, declared={"disk_format": "qcow2", "container_format": "bare"})
    assert (result.outcome, result.output, result.output_size) == ("accepted", b"aabbcc", 6)
    assert (result.disk_format, result.container_format) == ("raw", "bare")
    assert result.properties == {"doubled": True}
    assert not result.unchanged
    with result.open_output() as file:
        assert file.read() == b"aabbcc"


def test_an_image_left_as_it_is_has_no_output():
    result = run(Doubles, b"xyz", declared={"disk_format": "qcow2"})
    assert (result.unchanged, result.output, result.disk_format) == (True, None, "qcow2")
    with pytest.raises(ValueError, match="no new image"):
        result.open_output()


def test_a_transform_that_yields_nothing_made_an_empty_image():
    assert run(making(lambda self, image: iter(()))).output == b""


def test_a_transform_that_refuses_has_made_nothing():
    def half(self, image):
        yield b"half"
        raise Reject("broken", "it is broken")

    result = run(making(half))
    assert (result.outcome, result.output) == ("refused", None)


def test_the_chunks_themselves_can_be_yielded():
    assert run(making(lambda self, image: (chunk for chunk in image)), b"12345", chunks=2).output == b"12345"


def unchanged_late(self, image):
    image.read(4 << 20)
    image.unchanged()
    yield from ()


def unchanged_after_a_yield(self, image):
    yield b"x"
    image.unchanged()


def yield_after_unchanged(self, image):
    image.unchanged()
    yield b"x"


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (unchanged_late, "before 4194304 bytes"),
        (unchanged_after_a_yield, "before the first yield"),
        (yield_after_unchanged, "and then yielded"),
    ],
)
def test_unchanged_comes_first_and_early(function, text):
    with pytest.raises(ValueError, match=text):
        run(making(function), bytes(5 << 20))


def test_a_list_is_no_generator():
    with pytest.raises(TypeError, match="generator"):
        run(making(lambda self, image: [b"x"]))


def test_a_large_output_is_read_from_its_file():
    block = bytes(1 << 20)
    result = run(making(lambda self, image: (block for _ in range(257))))
    with pytest.raises(ValueError, match="open_output"):
        assert result.output
    with result.open_output() as file:
        assert file.seek(0, 2) == 257 << 20


# scratch files


def test_scratch_files_are_there_if_there_is_room():
    def use(self, image):
        first, second = self.scratch
        first.file.write(b"12")
        subprocess.run(["cp", first.path, second.path], pass_fds=[first.fileno(), second.fileno()], check=True)
        second.file.seek(0)
        assert self.scratch is self.scratch
        return {"size": second.size, "copied": second.file.read().decode()}

    assert run(doing(use), scratch=4096).properties == {"size": 4096, "copied": "12"}
    with pytest.raises(LookupError, match="no room to write"):
        run(doing(use))


@pytest.mark.parametrize("scratch", [0, -1, True, "20GiB"])
def test_room_is_a_number_of_bytes(scratch):
    with pytest.raises(TypeError, match="number of bytes"):
        run(Asks, scratch=scratch)


# the result


def test_results_differ_by_what_tenants_see_and_tell_in_what():
    one = run(Doubles, b"abc")
    assert one == run(Doubles, b"abc", chunks=1)
    assert one != run(Doubles, b"abd")
    assert one.differences(run(Doubles, b"abd")) == {"output": (6, 6)}
    assert one.differences(run(Doubles, b"abcd")) == {"output": (6, 8)}
    assert Result("accepted", properties={"a": 1}).differences(Result("accepted", properties={"a": True}))


def test_a_result_shows_what_it_holds():
    shown = repr(run(Asks, b"1234", config={"answer": "reject"}))
    assert shown == "Result('refused', code='not-this', message='not this one', 4 bytes seen)"


def test_a_result_cannot_be_changed():
    with pytest.raises(AttributeError):
        run(Asks).outcome = "refused"


def test_nothing_is_left_open(tmp_path):
    def count():
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    (tmp_path / "rules").write_text("x")
    run(Asks, b"1234")
    gc.collect()  # what the tests before have left in exceptions
    before = count()
    for plugin, image in ((Asks, b"1234"), (Doubles, b"xyz"), (fail_with(OSError()), b""), (Doubles, b"abc")):
        run(plugin, image, raise_on_failure=False, scratch=10, grants={"rules": tmp_path / "rules", "text": "a"})
    run(doing(lambda self, image: None, reads="random"), b"1234")
    with pytest.raises(WrongConfiguration):
        run(Asks, grants={"text": "a", "nowhere": tmp_path / "nowhere"})
    assert count() <= before


@pytest.mark.parametrize("sandbox", ["paper", "none"])
def test_a_tier_that_there_is_not_is_told(sandbox):
    with pytest.raises(ValueError, match="'strict'"):
        run(Asks, sandbox=sandbox)
