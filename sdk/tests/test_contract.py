"""The answers, the description of a class, and the imports of the runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import douane_plugin
from douane_plugin import Defer, Incomplete, Inspector, Reject, Transform
from douane_plugin._load import LoadError, check_reads, describe, load

SOURCES = str(Path(douane_plugin.__file__).parents[1])
SOURCE = '''
from douane_plugin import Inspector
import dataclasses

@dataclasses.dataclass
class Sized(Inspector):
    """Refuse a small image."""
    least: int = 5
    reads = "head:4"

NotAPlugin = 3
'''


@pytest.mark.parametrize("answer", [Reject, Incomplete])
@pytest.mark.parametrize("code", ["", "Upper", "with space", "x" * 65, None, 3, "new\nline"])
def test_an_invalid_code_is_refused(answer, code):
    with pytest.raises(ValueError, match="code"):
        answer(code, "a sentence")


@pytest.mark.parametrize("answer", [Reject, Incomplete])
@pytest.mark.parametrize("message", ["", "  ", None, 3])
def test_an_answer_needs_a_message(answer, message):
    with pytest.raises(ValueError, match="sentence"):
        answer("code", message)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "5", True, None])
def test_a_deferral_needs_a_positive_number_of_seconds(seconds):
    with pytest.raises(ValueError, match="seconds"):
        Defer(seconds, "not now")


def test_answers_show_code_and_message():
    assert str(Reject("too-small", "it is too small")) == "too-small: it is too small"
    assert Defer(1.5, "later").retry_after == 1.5


def test_a_plugin_can_be_instantiated_and_called_without_an_engine():
    class Plain(Inspector):
        def inspect(self, image):
            self.log.info("looking")
            return {"ok": True}

    assert Plain().inspect(None) == {"ok": True}
    with pytest.raises(LookupError, match="outside"):
        Plain().grant("rules")


@pytest.mark.parametrize("reads", ["nothing", "head:1", "head:512", "stream", "random"])
def test_valid_reads_of_an_inspector(reads):
    assert check_reads(reads, transform=False) == reads


@pytest.mark.parametrize("reads", ["", "all", "head", "head:", "head:0", "head:-1", "head:1k", "head:٣", 5, None])
def test_invalid_reads_of_an_inspector(reads):
    with pytest.raises(LoadError, match="reads"):
        check_reads(reads, transform=False)


@pytest.mark.parametrize("reads", ["nothing", "head:512"])
def test_a_transform_must_read_the_whole_image(reads):
    with pytest.raises(LoadError, match="stream"):
        check_reads(reads, transform=True)


def test_a_file_is_loaded_from_its_source_without_being_opened():
    cls = load({"path": "/nowhere/sized.py", "source": SOURCE, "attribute": "Sized"})
    description = describe(cls)
    assert description["doc"] == "Refuse a small image."
    assert (description["api"], description["kind"], description["reads"]) == (1, "inspector", "head:4")
    assert description["parameters"][0]["name"] == "least"


def test_a_missing_class_is_reported_with_the_classes_of_the_file():
    with pytest.raises(LoadError, match=r"no 'Sizd'.*it has: Sized"):
        load({"path": "/nowhere/sized.py", "source": SOURCE, "attribute": "Sizd"})


def test_a_class_that_is_not_a_plugin_is_refused():
    with pytest.raises(LoadError, match="derives from"):
        load({"path": "/nowhere/sized.py", "source": SOURCE, "attribute": "NotAPlugin"})


@pytest.mark.parametrize("api", [0, -1, "1", None, True, 1.0])
def test_an_invalid_level_is_refused(api):
    cls = type("Odd", (Inspector,), {"api": api})
    with pytest.raises(LoadError, match="contract level"):
        describe(cls)


def test_every_public_name_is_documented():
    for name in douane_plugin.__all__:
        public = getattr(douane_plugin, name)
        if isinstance(public, type):
            assert public.__doc__, name
            for member, value in vars(public).items():
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    assert value.__doc__, f"{name}.{member}"


def test_a_transform_is_not_an_inspector():
    assert describe(type("T", (Transform,), {}))["kind"] == "transform"


def test_the_runtime_imports_no_module_that_starts_slowly():
    """In a plugin process each of these would cost as much as the interpreter itself."""
    slow = {"typing", "re", "json", "inspect", "contextlib", "logging", "dataclasses", "enum", "traceback"}
    code = "import sys, douane_plugin._runtime; print(*sys.modules)"
    words = [sys.executable, "-S", "-E", "-c", f"import sys; sys.path.insert(0, {SOURCES!r}); {code}"]
    modules = subprocess.run(words, stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout.split()
    assert "douane_plugin._runtime" in modules
    assert slow.isdisjoint(modules)
