"""`run` in process: plugins behave as in production, and every outcome has its own result."""

from __future__ import annotations

import gc
import logging
import os
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
    """Runs `does`, a function of the test."""

    does = None

    def inspect(self, image):
        return type(self).does(self, image)


def doing(function, **members):
    return type("Does", (Does,), {"does": staticmethod(function), **members})


def test_properties_lack_the_name_of_the_plugin():
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
def test_answers_other_than_accept(answer, expected):
    assert run(Asks, b"1234", config={"answer": answer}) == expected


def test_a_plugin_is_given_as_text(tmp_path, monkeypatch):
    (tmp_path / "even.py").write_text(SPEC)
    assert run(f"{tmp_path}/even.py:Even", b"123").code == "odd"
    monkeypatch.chdir(tmp_path)
    assert run("even.py:Even", b"12").outcome == "accepted"
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run("even:Even", b"123").code == "odd"


@pytest.mark.parametrize("spec", ["even.py", "even.py:Odd", "nowhere.py:Even"])
def test_a_text_without_a_plugin_is_refused_with_a_hint(spec, tmp_path, monkeypatch):
    (tmp_path / "even.py").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WrongConfiguration, match=r"file\.py:Class|it has: Even|No such file"):
        run(spec)


# images


def test_an_image_is_given_as_bytes_path_file_list_or_generator(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(b"12345678")
    facts = []
    plugin = doing(lambda self, image: facts.append((image.size, b"".join(map(bytes, image)))))
    with path.open("rb") as file:
        for image in (b"12345678", bytearray(b"12345678"), str(path), path, [b"1234", b"5678"]):
            run(plugin, image)
        assert set(facts) == {(8, b"12345678")}
        facts.clear()
        for image in (file, (letter.encode() for letter in "12345678")):
            run(plugin, image)
        assert facts == [(None, b"12345678")] * 2


def test_other_objects_are_not_images():
    with pytest.raises(TypeError, match="an image is bytes"):
        run(Asks, 7)


def test_an_exception_of_the_generator_is_raised_whatever_the_plugin_does():
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


@pytest.mark.parametrize(("size", "expected"), [(None, None), (8, 8), ("actual", 8)])
def test_the_plugin_sees_the_declared_size(size, expected):
    plugin = doing(lambda self, image: {"none": image.size is None, "size": image.size or 0})
    result = run(plugin, b"12345678", declared=Declared(size=size))
    assert result.properties == {"none": expected is None, "size": expected or 0}


@pytest.mark.parametrize(("size", "text"), [(9, "ended after 8"), (7, "longer than the declared 7")])
def test_the_declared_size_must_be_true(size, text):
    with pytest.raises(ValueError, match=text):
        run(doing(lambda self, image: [None for _ in image] and None), iter([b"12345678"]), declared={"size": size})


def test_all_declared_facts_reach_the_plugin():
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
def test_invalid_declared_facts_are_refused(declared):
    with pytest.raises(TypeError):
        run(Asks, declared=declared)


# what it reads


def test_a_head_plugin_sees_n_bytes():
    def look(self, image):
        assert b"".join(map(bytes, image)) == b"12345"
        assert image.offset == 5

    run(doing(look, reads="head:5"), b"12345678", chunks=3)
    run(doing(look, reads="head:5"), b"12345", chunks=3)


@pytest.mark.parametrize(("length", "fails"), [(4, False), (5, False), (6, True)])
def test_reading_beyond_the_head_fails_if_the_image_goes_on(length, fails):
    plugin = doing(lambda self, image: {"read": len(image.read(7))}, reads="head:5")
    if fails:
        with pytest.raises(ValueError, match="head:5"):
            run(plugin, bytes(length), chunks=5)
    else:
        assert run(plugin, bytes(length), chunks=5).properties == {"read": length}


def test_a_plugin_that_reads_nothing_sees_no_bytes():
    def look(self, image):
        assert list(image) == []
        image.read(1)

    with pytest.raises(ValueError, match="nothing"):
        run(doing(look, reads="nothing"), b"1234")


def test_findings_reach_only_plugins_that_declare_them():
    look = doing(lambda self, image: {"gpt": image.findings.get("format.table") == "gpt"}, reads="findings")
    assert run(look, findings={"format.table": "gpt"}).properties == {"gpt": True}
    assert run(doing(look.does), findings={"format.table": "gpt"}).properties == {"gpt": False}


@pytest.mark.parametrize("kind", ["bytes", "path", "generator"])
def test_random_access_has_a_file_and_a_path_for_programs(kind, tmp_path):
    def look(self, image):
        image.file.seek(2)
        ended = subprocess.run(["cat", image.path], pass_fds=[image.file.fileno()], check=True, stdout=subprocess.PIPE)
        with pytest.raises(OSError):
            image.file.write(b"x")
        assert image.size == 8
        return {"tail": image.file.read().decode(), "all": ended.stdout.decode()}

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
        ({"names": {"a"}}, None, "TOML cannot hold"),
    ],
)
def test_a_wrong_configuration_is_reported_as_by_douane(config, key, text):
    with pytest.raises(WrongConfiguration, match=text) as caught:
        run(Asks, config=config, raise_on_failure=False)
    assert caught.value.key == key


def test_a_missing_setting_is_reported():
    class Needs(Inspector):
        def __init__(self, path: str):
            pass

    with pytest.raises(WrongConfiguration, match=r"'path' .*required"):
        run(Needs)


def test_a_valueerror_of_the_constructor_is_a_wrong_configuration():
    class Picky(Inspector):
        def __init__(self, depth: int = 0):
            raise ValueError("depth is 1 or more")

    with pytest.raises(WrongConfiguration, match="depth is 1 or more") as caught:
        run(Picky)
    assert traceback.extract_tb(caught.value.__cause__.__traceback__)[-1].name == "__init__"


@pytest.mark.parametrize("members", [{"api": 99}, {"api": 0}, {"reads": "all"}])
def test_a_class_with_an_invalid_api_or_reads_does_not_start(members):
    with pytest.raises(WrongConfiguration):
        run(doing(lambda self, image: None, **members))


@pytest.mark.parametrize("plugin", [Asks(), int, None])
def test_other_objects_are_not_plugins(plugin):
    with pytest.raises(TypeError, match="a plugin is a class"):
        run(plugin)


# what it says


def test_a_result_has_warnings_log_lines_and_proposals(caplog):
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


@pytest.mark.parametrize("answer", [None, Reject("bad", "it is bad"), Incomplete("odd", "it is odd")], ids=repr)
def test_documents_come_with_every_answer(answer):
    def attach(self, image):
        packages = [{"name": "bash", "version": "5.2", "bytes": 1 << 63}]
        self.attach("packages", packages)
        packages.clear()  # the plugin may go on with its objects
        self.attach("notes", "first")
        self.attach("notes", {"depth": [[1.5, None, True]]})
        if answer is not None:
            raise answer

    result = run(doing(attach), raise_on_failure=False)
    assert result.outcome == ("accepted" if answer is None else {"bad": "refused", "odd": "incomplete"}[answer.code])
    assert result.documents == {
        "packages": [{"name": "bash", "version": "5.2", "bytes": 1 << 63}],
        "notes": {"depth": [[1.5, None, True]]},
    }
    assert result != run(doing(lambda self, image: None))


def nested(levels):
    document = []
    for _ in range(levels - 1):
        document = [document]
    return document


@pytest.mark.parametrize(
    ("name", "document", "text"),
    [
        ("Upper", 1, "a-z 0-9 _"),
        ("", 1, "a-z 0-9 _"),
        ("x" * 65, 1, "1 to 64"),
        ("big", "x" * (256 << 10), "together"),
        ("set", {1}, "cannot be sent"),
        ("infinite", float("inf"), "not a finite number"),
        ("key", {1: 2}, "a key is a str"),
        ("endless", nested(100_000), "cannot be sent"),
    ],
    ids=["capitals", "no name", "a long name", "long", "a set", "infinity", "a number as key", "endless"],
)
def test_an_invalid_document_is_an_error_where_it_is_attached(name, document, text):
    with pytest.raises(ValueError, match=text):
        run(doing(lambda self, image: self.attach(name, document)))


@pytest.mark.parametrize(
    ("document", "text"),
    [(nested(33), "32 levels"), (1 << 64, "64 bits"), ("\0", "NUL"), ({"\0": 1}, "NUL")],
    ids=["deep", "large", "NUL", "NUL in a key"],
)
def test_a_document_that_no_catalog_can_store_fails_as_in_production(document, text):
    with pytest.raises(PluginFailed, match=text):
        run(doing(lambda self, image: self.attach("document", document)))
    assert run(doing(lambda self, image: self.attach("document", nested(32)))).outcome == "accepted"


def test_an_image_gets_sixteen_documents_at_most():
    def attach(self, image):
        for number in range(17):
            self.attach(f"document_{number}", number)

    with pytest.raises(ValueError, match="at most 16"):
        run(doing(attach))


def test_a_long_log_is_cut_as_in_production():
    def chatter(self, image):
        for _ in range(100):
            self.log.info("x" * 5000)

    log = run(doing(chatter)).log
    assert len(log[0].message) == 4096
    assert log[-1].message.startswith("(36 more lines were dropped")


def test_may_set_is_enforced():
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
def test_invalid_properties_fail_as_in_production(properties, text):
    plugin = doing(lambda self, image: properties)
    with pytest.raises(PluginFailed, match=text) as caught:
        run(plugin)
    result = run(plugin, raise_on_failure=False)
    assert (result.outcome, result.code) == ("failed", "plugin-properties")
    assert caught.value.result == result


@pytest.mark.parametrize("properties", [{"key": {1}}, {"key": float("nan")}, {3: 1}])
def test_properties_without_json_fail(properties):
    with pytest.raises(TypeError, match="cannot be sent"):
        run(doing(lambda self, image: properties))


# failures


def test_a_bug_raises_its_exception_with_the_authors_frames():
    def divide(self, image):
        image.read(3)
        return 1 // 0

    with pytest.raises(ZeroDivisionError) as caught:
        run(doing(divide), b"1234")
    files = {frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)[1:]}
    ours = str(Path(sys.modules["douane_plugin"].__file__).parent)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "divide"
    assert "converse" not in names and "decide" not in names
    assert any(not file.startswith(ours) for file in files)


def test_a_bug_can_be_a_result_whose_message_hides_it_from_the_tenant():
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


def test_sys_exit_is_a_failure_and_does_not_end_the_tests():
    with pytest.raises(PluginFailed, match=r"sys\.exit\(0\)"):
        run(fail_with(SystemExit(0)))


def test_ctrl_c_ends_the_tests():
    with pytest.raises(KeyboardInterrupt):
        run(fail_with(KeyboardInterrupt()), raise_on_failure=False)


@pytest.mark.parametrize("value", [True, "ok", [1]])
def test_returning_another_type_is_a_failure(value):
    with pytest.raises(TypeError, match="raise Reject to refuse"):
        run(doing(lambda self, image: value))


@pytest.mark.parametrize("answer", [Reject("a", "b"), Incomplete("a", "b"), Defer(1, "b")])
def test_an_answer_in_the_constructor_is_a_failure(answer):
    class Early(Inspector):
        def __init__(self):
            raise answer

    with pytest.raises(PluginFailed, match="in its constructor"):
        run(Early)
    assert run(Early, raise_on_failure=False).outcome == "failed"


def test_too_many_warnings_fail_even_if_the_plugin_catches_the_exception():
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
    """Every byte twice; leaves an image that begins with an x as it is."""

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


def test_a_transform_has_an_output_and_formats():
    result = run(Doubles, b"abc", chunks=1, declared={"disk_format": "qcow2", "container_format": "bare"})
    assert (result.outcome, result.output, result.output_size) == ("accepted", b"aabbcc", 6)
    assert (result.disk_format, result.container_format) == ("raw", "bare")
    assert result.properties == {"doubled": True}
    assert not result.unchanged
    with result.open_output() as file:
        assert file.read() == b"aabbcc"


def test_an_unchanged_image_has_no_output():
    result = run(Doubles, b"xyz", declared={"disk_format": "qcow2"})
    assert (result.unchanged, result.output, result.disk_format) == (True, None, "qcow2")
    with pytest.raises(ValueError, match="no new image"):
        result.open_output()


def test_a_transform_without_a_yield_makes_an_empty_image():
    assert run(making(lambda self, image: iter(()))).output == b""


def test_a_transform_that_refuses_has_no_output():
    def half(self, image):
        yield b"half"
        raise Reject("broken", "it is broken")

    result = run(making(half))
    assert (result.outcome, result.output) == ("refused", None)


def test_a_transform_may_yield_its_chunks():
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
def test_unchanged_must_be_called_early_and_before_a_yield(function, text):
    with pytest.raises(ValueError, match=text):
        run(making(function), bytes(5 << 20))


def test_a_transform_must_not_return_a_list():
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


def test_scratch_files_exist_if_the_test_gives_room():
    def use(self, image):
        first, second = self.scratch
        first.file.write(b"12")
        subprocess.run(["cp", first.path, second.path], pass_fds=[first.fileno(), second.fileno()], check=True)
        second.file.seek(0)
        assert self.scratch is self.scratch
        return {"size": second.size, "copied": second.file.read().decode()}

    assert run(doing(use), scratch=4096).properties == {"size": 4096, "copied": "12"}
    with pytest.raises(LookupError, match="no scratch files"):
        run(doing(use))


@pytest.mark.parametrize("scratch", [0, -1, True, "20GiB"])
def test_scratch_is_a_number_of_bytes(scratch):
    with pytest.raises(TypeError, match="number of bytes"):
        run(Asks, scratch=scratch)


# the result


def test_results_are_compared_by_what_tenants_and_operators_see():
    first = run(Doubles, b"abc")
    assert first == run(Doubles, b"abc", chunks=1)
    assert first != run(Doubles, b"abd")
    assert first.differences(run(Doubles, b"abd")) == {"output": (6, 6)}
    assert first.differences(run(Doubles, b"abcd")) == {"output": (6, 8)}
    assert Result("accepted", properties={"a": 1}).differences(Result("accepted", properties={"a": True}))


def test_the_repr_of_a_result_has_its_fields():
    text = repr(run(Asks, b"1234", config={"answer": "reject"}))
    assert text == "Result('refused', code='not-this', message='not this one', 4 bytes seen)"


def test_a_result_cannot_be_changed():
    with pytest.raises(AttributeError):
        run(Asks).outcome = "refused"


def test_a_run_leaves_no_descriptor_open(tmp_path):
    def count():
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    (tmp_path / "rules").write_text("x")
    run(Asks, b"1234")
    gc.collect()  # what the tests before have left in exceptions
    count_before = count()
    for plugin, image in ((Asks, b"1234"), (Doubles, b"xyz"), (fail_with(OSError()), b""), (Doubles, b"abc")):
        run(plugin, image, raise_on_failure=False, scratch=10, grants={"rules": tmp_path / "rules", "text": "a"})
    run(doing(lambda self, image: None, reads="random"), b"1234")
    with pytest.raises(WrongConfiguration):
        run(Asks, grants={"text": "a", "nowhere": tmp_path / "nowhere"})
    assert count() <= count_before


@pytest.mark.parametrize("sandbox", ["paper", "none"])
def test_an_unknown_tier_is_refused(sandbox):
    with pytest.raises(ValueError, match="'strict'"):
        run(Asks, sandbox=sandbox)


class WrongCall(Inspector):
    def __init__(self, depth: int = 1):
        os.path.join(depth)

    def inspect(self, image):
        """Never reached."""


def test_a_bug_in_the_constructor_is_no_wrong_configuration():
    with pytest.raises(TypeError, match="expected str") as caught:
        run(WrongCall, b"")
    assert not isinstance(caught.value, WrongConfiguration)
