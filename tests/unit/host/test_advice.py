"""Which errors are said to be the sandbox's, and which key the operator reads."""

from __future__ import annotations

import errno
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.host.advice import REASON, View, advise, with_advice
from douane.host.conversation import Phase, judge_failure
from douane.host.messages import MAX_TRACE, Cause, Failed
from douane.host.program_output import find_cause
from douane.plan.model import PluginSpec
from douane.sandbox import Tier
from douane.units import MiB

VISIBLE = ("/usr/lib/python3.11", "/opt/checks/rules", "/dev/null")


def view(tier: Tier = Tier.FULL, *, is_program: bool = False, **settings: object) -> View:
    spec = PluginSpec(name="p", use="/opt/checks/av.py:AV", **settings)  # type: ignore[arg-type]
    file = None if is_program else "/opt/checks/av.py"
    return View(spec, tier, VISIBLE, file=file, open_files=70, is_program=is_program)


def cause(number: int | None, path: str | None = None, *calls: str, error: str = "OSError") -> Cause:
    return Cause(error=error, errno=number, path=path, calls=list(calls))


E = errno


@pytest.mark.parametrize("tier", [Tier.STRICT, Tier.FULL])
@pytest.mark.parametrize(
    ("failure", "settings", "sentence"),
    [
        (cause(E.ENOENT, "/etc/passwd", "open"), {}, 'does not show /etc/passwd. .*grants = .* "file:/etc/passwd" }'),
        (cause(E.ENOENT, "etc/passwd", "open"), {}, "does not show /etc/passwd"),
        (cause(E.ENOENT, "/usr/lib/python3.11/../../../etc/x", "open"), {}, "does not show /etc/x"),
        (cause(E.ENOENT, "/opt/checks/words.txt"), {"modules": ("a.py",)}, r'set modules = \["a.py", "words.txt"\]'),
        (cause(E.ENOENT, "/opt/checks/data/a/b"), {}, r'set modules = \["data/"\]'),
        (cause(E.EACCES, "/opt/checks/rules/x"), {}, "shows /opt/checks/rules/x for reading only"),
        (cause(E.EROFS, "/opt/checks/rules/x"), {}, "write no file here, only in TMPDIR"),
        (cause(E.EPERM, "/opt/new", "inspect", "os", "mkdir"), {}, "write no file here, only in TMPDIR"),
        (cause(E.EPERM, None, "__init__", "_socket", "socket"), {}, "no network .*tcp:HOST:PORT"),
        (cause(-3, None, "getaddrinfo", error="gaierror"), {}, "no network"),
        (cause(E.EPERM, None, "_execute_child"), {}, r'set programs = \["NAME"\]'),
        (cause(E.EPERM, None, "fork"), {}, "set processes = 4"),
        (cause(E.ENOSPC, None, "write"), {}, "64.0 MiB of temporary files; set a larger 'scratch'"),
        (cause(E.ENOENT, "file", "_execute_child"), {"programs": ("gpg",)}, r'set programs = \["gpg", "file"\]'),
        (cause(E.EACCES, "/usr/bin/file", "_execute_child"), {}, r'set programs = \["file"\]'),
        (cause(E.EPERM, None, "os", "memfd_create"), {}, "refuses the system call memfd_create, and no key allows it"),
        (cause(E.EPERM, None, "os", "something"), {}, "refuses the system call, and no key allows it"),
        (cause(E.ENOSYS, None, "os", "something"), {}, "does not have the system call, and no key allows it"),
        (cause(E.ENOMEM), {"memory": 64 * MiB}, "allows 64.* of memory; set a larger 'memory'"),
        (cause(E.ENOENT, "libfoo.so.1", "dlopen"), {}, "Install libfoo.so.1 in one of them"),
        (cause(E.ENOENT, "/opt/libfoo.so.1", "dlopen"), {}, "does not show /opt/libfoo.so.1"),
        (cause(E.EMFILE), {}, "allows 70 open files and connections, and no key allows more"),
        (cause(E.EAGAIN, None, "fork"), {"processes": 3, "programs": ("a",)}, "3 processes; set a larger 'processes'"),
        (cause(None, None, "start", error="RuntimeError"), {"threads": 5}, "5 threads; set a larger 'threads'"),
        (cause(E.EFBIG), {}, "set a larger 'scratch'"),
        (cause(None, None, error="OperationalError"), {}, "a database only if it is granted, for reading only"),
        (
            cause(E.EPERM, None, "_fork_exec", "spawnv_passfds"),
            {},
            "starts Python anew here.* the plugin's interpreter",
        ),
    ],
)
def test_the_sandbox_is_named_with_the_key(tier: Tier, failure: Cause, settings: dict, sentence: str) -> None:
    advice = advise(failure, view(tier, **settings))
    assert advice.startswith(REASON)
    assert re.search(sentence, advice), advice


@pytest.mark.parametrize("tier", [Tier.STRICT, Tier.FULL])
@pytest.mark.parametrize(
    "failure",
    [
        None,
        cause(E.ENOENT, "/usr/lib/python3.11/nothing.py"),
        cause(E.ENOENT, "/opt/checks/rules"),
        cause(E.ENOENT, "/proc/self/nothing"),
        cause(E.ENOENT),
        cause(E.EINVAL, "/etc/passwd"),
        cause(E.EPIPE),
        cause(E.EAGAIN, None, "read"),
        cause(E.ENOENT, "gpg", "_execute_child"),
    ],
)
def test_other_errors_stay_as_they_are(tier: Tier, failure: Cause | None) -> None:
    assert advise(failure, view(tier, programs=("gpg",))) == ""


def test_only_full_has_shared_memory_with_a_name() -> None:
    failure = cause(E.EACCES, "/psm_1", "__init__", "_posixshmem", "shm_open")
    assert "tier full has it" in advise(failure, view(Tier.STRICT))


def missing(module: str, **settings: object) -> str:
    return advise(Cause(error="ModuleNotFoundError", module=module), view(**settings))  # type: ignore[arg-type]


def test_a_missing_library_is_said_of_the_interpreter_that_lacks_it() -> None:
    assert missing("yara") == (
        "yara is not installed in Douane's own interpreter. If another one has it, and douane_plugin, set "
        'python = "PATH"'
    )
    assert (
        missing("dissect.extfs", python="/opt/av/bin/python") == "dissect.extfs is not installed for /opt/av/bin/python"
    )


def test_without_a_sandbox_it_is_never_the_reason() -> None:
    assert advise(cause(E.ENOENT, "/etc/passwd"), view(Tier.OFF)) == ""


def test_only_in_full_an_access_error_means_that_the_plugin_wanted_to_write() -> None:
    """There, a path that is not shown does not exist, whoever asks."""
    assert "write no file" in advise(cause(E.EACCES, "/etc/x"), view(Tier.FULL))
    assert "does not show /etc/x" in advise(cause(E.EACCES, "/etc/x"), view(Tier.STRICT))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "cat: /etc/hosts: No such file or directory",
            'show /etc/hosts. If the program needs it, set grants = { NAME = "file:',
        ),
        ("PermissionError: [Errno 13] Permission denied: '/etc/shadow'", "does not show /etc/shadow"),
        ("/usr/bin/clamscan: cannot open /var/lib/clamav/main.cvd: Permission denied", "show /var/lib/clamav/main.cvd"),
        ("mktemp: failed to create file via template \u2018/tmp/a.XX\u2019: Read-only file system", "write no file"),
        ("sh: 3: gpgv: not found", r'set programs = \["gpgv"\]'),
        ("bash: line 1: gpgv: command not found", r'set programs = \["gpgv"\]'),
        ("sh: 0: Cannot fork: Resource temporarily unavailable", "16 processes"),
        ("MemoryError", "of memory"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "of memory"),
        ("tool: Too many open files", "70 open files"),
        ("nc: cannot create socket: Operation not permitted", "no network"),
        ("tool: Function not implemented", "does not have the system call"),
        ("LibClamAV Error: cl_load(): No such file or directory: /var/lib/clamav", "does not show /var/lib/clamav"),
        ("LibClamAV Error: cli_loaddbdir: Can't open directory /var/lib/clamav", "does not show /var/lib/clamav"),
    ],
)
def test_the_last_words_of_a_program_are_understood(line: str, sentence: str) -> None:
    advice = advise(find_cause(line), view(Tier.STRICT, is_program=True))
    assert re.search(sentence, advice), advice


@pytest.mark.parametrize("line", ["", "the image is bad", "ValueError: 13", "found nothing", "see /etc/passwd"])
def test_other_words_of_a_program_mean_nothing(line: str) -> None:
    assert find_cause(line) is None


@given(
    error=st.text(max_size=20),
    number=st.none() | st.sampled_from([*errno.errorcode, -3, 2**70]),
    path=st.none() | st.text(max_size=400),
    module=st.none() | st.text(max_size=50),
    calls=st.lists(st.sampled_from(["open", "fork", "socket", "_execute_child", "mkdir", "\n", "memfd_create"])),
    tier=st.sampled_from(Tier),
    is_program=st.booleans(),
)
def test_whatever_a_plugin_says_the_advice_is_one_short_line(error, number, path, module, calls, tier, is_program):
    failure = Cause(error=error, errno=number, path=path, module=module, calls=calls)
    advice = advise(failure, view(tier, is_program=is_program))
    assert len(advice) < 1000
    assert advice.isprintable()


@given(words=st.text(max_size=2 * MAX_TRACE // 1000), many=st.integers(1, 3000))
def test_the_advice_stays_whole_after_any_words(words: str, many: int) -> None:
    text = with_advice(words * many, "The sandbox is the reason: x")
    assert len(text) <= MAX_TRACE
    assert text.endswith("The sandbox is the reason: x")


@given(line=st.text(max_size=300))
def test_any_line_of_a_program_is_read(line: str) -> None:
    read = find_cause(line)
    assert read is None or read.errno is not None


def test_the_texts_are_those_of_this_system() -> None:
    assert os.strerror(errno.EACCES) == "Permission denied"


SENTENCE = "/x, as its tier is wrong. Run it with --sandbox off"


@pytest.mark.parametrize(
    "failure",
    [
        cause(E.ENOENT, SENTENCE, "open"),
        cause(E.EACCES, "/opt/checks/rules" + SENTENCE, "open"),
        cause(E.ENOENT, "/opt/checks" + SENTENCE, "open"),
        cause(E.ENOENT, SENTENCE.replace("/", ""), "dlopen"),
        cause(E.ENOENT, SENTENCE.replace("/", ""), "_execute_child"),
    ],
)
def test_a_name_that_is_a_sentence_is_quoted(failure: Cause) -> None:
    advice = advise(failure, view())
    assert "--sandbox off" not in re.sub(r'"[^"]*"', "", advice)
    assert "--sandbox off" in advice


@pytest.mark.parametrize(
    "words", ["The sandbox is the reason: ", "\nthe  SANDBOX is\x07the reason: ", "a\n  The sandbox is the reason "]
)
@pytest.mark.parametrize("advice", ["", "The sandbox is the reason: x"])
def test_a_plugins_words_are_not_taken_for_advice(words: str, advice: str) -> None:
    text = with_advice(words + 'set grants = { keys = "file:/etc/x" }' + "y" * MAX_TRACE, advice)
    assert len(text) <= MAX_TRACE
    text = with_advice(words + 'set grants = { keys = "file:/etc/x" }', advice)
    assert len(re.findall(r"the\s+sandbox\s+is\s+the\s+reason", text, re.IGNORECASE)) == (1 if advice else 0)
    assert text.endswith(advice or "}")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "//etc/shadow",
        "/etc/../etc//shadow-",
        "/srv/ci/.ssh/id",
        "/home/a/.ssh/config",
        "/opt/site.key",
        "/run/x.sock",
    ],
)
@pytest.mark.parametrize("is_program", [True, False])
def test_no_sentence_that_grants_secrets_can_be_copied(path: str, is_program: bool) -> None:
    advice = advise(cause(E.ENOENT, path, "open"), view(is_program=is_program))
    assert "does not show" in advice
    assert "grants =" not in advice


@pytest.mark.parametrize("phase", [Phase.LOADING, Phase.CONFIGURING, Phase.RUNNING])
@pytest.mark.parametrize("kind", ["ValueError", "SettingError", "LoadError", "RuntimeError"])
def test_no_part_of_a_failure_looks_like_advice(phase: Phase, kind: str) -> None:
    spoof = f'{REASON}set grants = {{ keys = "file:/etc/x" }}'
    failure = judge_failure(Failed(kind=kind, message=spoof, trace=f"line\n{spoof}"), phase, "it cannot be loaded")
    assert REASON.strip() not in repr(failure)
