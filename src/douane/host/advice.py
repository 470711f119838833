"""Say of an error in a plugin whether the sandbox is its reason, and which key of the plan would allow what failed.

The words of a plugin decide only which of these sentences the operator reads. Nothing that a plugin names is looked up
on the host, except a module beside its own file.
"""

from __future__ import annotations

import errno
import os
import re

import msgspec

from douane.plan.builtin import BUILT_IN
from douane.plan.model import PluginSpec
from douane.plan.modules import module_beside
from douane.plan.path_grants import granted_path
from douane.sandbox import Tier
from douane.sandbox.spec import TEMPORARY_BYTES
from douane.sandbox.syscalls import PROGRAMS, REFUSED, SIGNALS
from douane.units import number_of, show_size

from .messages import MAX_TRACE, Cause
from .policy import clean, clean_lines

REASON = "The sandbox is the reason: "

_OWN_WORDS = re.compile(r"the\s+sandbox\s+is\s+the\s+reason", re.IGNORECASE)
_NOT_OURS = "[the plugin's words]"
"""What stands for the above in a plugin's words: no longer than it, so that the text does not grow."""

_MAX_NAME = 200
_PLAIN = re.compile(r"[\w/.+@%~=-]+")

_SECRETS = re.compile(
    r"/(etc/(g?shadow|ssh|ssl/private|pki/tls/private|sudoers|kubernetes)|proc|sys|dev|run|var/run)(/|$|-)"
    r"|/\.(ssh|gnupg|aws|kube|netrc|docker)(/|$)|/id_(rsa|ed25519|ecdsa|dsa)$|\.(key|p12|pfx)$"
)
"""Paths of what an operator hardly means to hand over: no sentence that can be copied grants these."""

_REFUSALS = (errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSYS)
_STARTS = frozenset(
    (
        *("_execute_child", "_fork_exec", "fork_exec", "posix_spawn", "posix_spawnp"),
        *(f"exec{suffix}" for suffix in ("l", "le", "lp", "v", "ve", "vp", "vpe")),
    )
)
_FORKS = frozenset(("fork", "forkpty", "_launch"))
_CONNECTS = frozenset(("socket", "create_connection", "getaddrinfo", "gethostbyname", "create_server"))
_CHANGES = frozenset(
    (
        *(
            "mkdir",
            "makedirs",
            "mkfifo",
            "mknod",
            "rmdir",
            "rmtree",
            "remove",
            "unlink",
            "rename",
            "renames",
            "symlink",
        ),
        *("truncate", "chmod", "chown", "utime", "touch", "write_text", "write_bytes", "copyfile", "copytree"),
        *("mkstemp", "mkdtemp", "_mkstemp_inner", "NamedTemporaryFile", "TemporaryFile", "TemporaryDirectory"),
    )
)
"""Names of functions in Python's standard library, by what they do."""


class View(msgspec.Struct, frozen=True):
    """What a plugin's sandbox shows and allows."""

    spec: PluginSpec
    tier: Tier
    visible: tuple[str, ...] = ()
    """The files and folders that it shows."""

    folder: str = ""
    """The private /tmp."""

    file: str | None = None
    """The plugin's own file, if its class is in one."""

    open_files: int = 0
    is_program: bool = False


def advise(cause: Cause | None, view: View) -> str:
    """A sentence for the operator; empty if the sandbox is not the reason, as far as `cause` shows."""
    if cause is None:
        return ""
    if cause.module is not None:
        return _about_module(cause.module, view)
    if view.tier is Tier.OFF:
        return ""
    sentence = _about_limit(cause, view) or _about_call(cause, view)
    return f"{REASON}{sentence}" if sentence else ""


def with_advice(words: str, advice: str, *, begin: str = "") -> str:
    """A plugin's `words`, cleaned and cut so that the advice after them stays whole, and without a sentence that could
    be taken for advice. `begin` is Douane's own text before them."""
    text = not_advice(clean_lines(words, MAX_TRACE - len(advice) - len(begin) - 3))
    return "\n".join(filter(None, ("; ".join(filter(None, (begin, text))), advice)))


def not_advice(words: str) -> str:
    """A plugin's cleaned `words` without the beginning of a sentence of Douane's."""
    return _OWN_WORDS.sub(_NOT_OURS, words)


def _about_module(module: str, view: View) -> str:
    """The module that was not found is beside the plugin's file, and the plan does not list it."""
    if module == "." and view.file is not None:
        return (
            "A plugin in a file is in no package: write `import helper` for a module beside it, and set "
            f"{_with('modules', view.spec.modules, 'helper.py')}"
        )
    entry = module_beside(view.file, module.partition(".")[0]) if view.file is not None else None
    if entry is None:
        return _about_interpreter(module, view)
    if entry in view.spec.modules or entry.rstrip("/") in view.spec.modules:
        return ""
    return (
        f"{entry} is beside the plugin's file, and the sandbox shows the plugin only what the plan lists: set "
        f"{_with('modules', view.spec.modules, entry)}"
    )


def _about_interpreter(module: str, view: View) -> str:
    """Whoever forgets `python` reads that a library is missing which is installed, elsewhere."""
    if module == "." or view.is_program or view.spec.use in BUILT_IN:
        return ""
    name = _shown(module)
    if view.spec.python is not None:
        return f"{name} is not installed for {view.spec.python}"
    return (
        f"{name} is not installed in Douane's own interpreter. If another one has it, and douane_plugin, set "
        'python = "PATH"'
    )


def _with(key: str, entries: tuple[str, ...], entry: str) -> str:
    """The key as it must be in the plan, with one more entry."""
    return f"{key} = [{', '.join(_quoted(text) for text in (*entries, entry))}]"


def _quoted(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in clean(text, _MAX_NAME))
    return msgspec.json.encode(printable).decode()  # a string of JSON is one of TOML


def _shown(name: str) -> str:
    """A name that the plugin chose, in a sentence of Douane's: quoted unless it is plain, or it could be a sentence."""
    return name if len(name) <= _MAX_NAME and _PLAIN.fullmatch(name) else _quoted(name)


def _about_limit(cause: Cause, view: View) -> str:
    spec, number = view.spec, cause.errno
    if number == errno.ENOMEM:
        return f"it allows {show_size(spec.memory)} of memory; set a larger 'memory' if the plugin needs more"
    if number == errno.EMFILE:
        return f"it allows {view.open_files} open files and connections, and no key allows more"
    if number == errno.EAGAIN and (_FORKS | _STARTS) & set(cause.calls):
        processes = number_of(spec.processes, "process", "processes")
        return f"it allows {processes}; set a larger 'processes' if the plugin needs more"
    if cause.error == "RuntimeError":  # "can't start new thread"
        return f"it allows {number_of(spec.threads, 'thread')}; set a larger 'threads' if the plugin needs more"
    if number in (errno.EFBIG, errno.ENOSPC, errno.EDQUOT):
        bound = spec.scratch if spec.scratch is not None else TEMPORARY_BYTES
        return f"it allows {show_size(bound)} of temporary files; set a larger 'scratch' if the plugin needs more"
    return ""


def _about_call(cause: Cause, view: View) -> str:
    calls = set(cause.calls)
    if cause.error == "OperationalError":
        return _about_database()
    if "shm_open" in calls and cause.errno == errno.EACCES and view.tier is not Tier.FULL:
        return "it has no POSIX shared memory in this tier, and no key allows it; tier full has it"
    is_lost = cause.errno == errno.ENOENT
    if cause.error == "gaierror" or (cause.errno in _REFUSALS and calls & _CONNECTS):
        return _about_network(view)
    if not is_lost and cause.errno not in _REFUSALS:
        return ""
    if "dlopen" in calls and cause.path is not None and "/" not in cause.path:
        return _about_library(cause.path)
    if calls & _STARTS or (calls & _FORKS and not is_lost):
        return _about_program(cause, view)
    if cause.errno == errno.EROFS or (calls & _CHANGES and not is_lost):
        return _about_writing(view)
    if cause.path is None:
        return "" if is_lost else _about_system_call(cause)
    return _about_path(cause, view)


def _about_network(view: View) -> str:
    if view.is_program:
        return "it has no network and makes no sockets, and no key allows them to a program (exec:)"
    return (
        "it has no network and makes no sockets. Douane makes the connections of a plugin: set grants = { NAME = "
        '"tcp:HOST:PORT" }, or "unix:PATH", and use self.grant("NAME"); for a library that makes its own connections, '
        'set socket_paths = ["NAME"] as well, and use self.grant("NAME").socket_path'
    )


def _about_database() -> str:
    return (
        "it shows a database only if it is granted, for reading only. Open it with "
        'sqlite3.connect(f"file:{path}?mode=ro", uri=True); with &immutable=1 if it is in WAL mode, and its folder is '
        "not granted or nobody else has it open"
    )


def _about_program(cause: Cause, view: View) -> str:
    programs = view.spec.programs
    calls_fork = not _STARTS & set(cause.calls)
    name = os.path.basename(cause.path) if cause.path else ""
    if name and not any(name == os.path.basename(program) for program in programs):
        return f"it starts only programs that the plan lists: set {_with('programs', programs, name)}"
    if name:
        return ""  # a listed program: its own files are missing
    if programs:
        return _about_system_call(cause)
    if "spawnv_passfds" in cause.calls:
        return (
            "multiprocessing starts Python anew here, for shared memory or by its start method (the method fork does "
            "not), and it starts only programs that the plan lists: set programs to the plugin's interpreter"
        )
    if calls_fork:
        return "it has no processes of its own unless the plan says how many: set processes = 4, or list programs"
    return 'it starts no programs unless the plan lists them: set programs = ["NAME"]'


def _about_library(name: str) -> str:
    return (
        "it shows shared libraries only in the system's own folder of them, and in the plugin's interpreter. Install "
        f"{_shown(name)} in one of them, if it is elsewhere"
    )


def _about_writing(view: View) -> str:
    """It can write only in its own folder."""
    more = "" if view.spec.scratch is not None else '; scratch = "1GiB" gives it more room there'
    return f"it lets the plugin write no file here, only in TMPDIR ({view.folder}){more}"


def _about_system_call(cause: Cause) -> str:
    name = next((call for call in cause.calls if call in REFUSED | PROGRAMS | SIGNALS), None)
    if cause.errno == errno.ENOSYS:
        return f"it does not have the system call{f' {name}' if name else ''}, and no key allows it"
    return f"it refuses the system call{f' {name}' if name else ''}, and no key allows it"


def _about_path(cause: Cause, view: View) -> str:
    path = "/" + os.path.normpath(os.path.join("/", cause.path or "")).lstrip("/")  # its working directory is /
    shown = _shown(path)
    if any(path == root or path.startswith(root.rstrip("/") + "/") for root in view.visible):
        if cause.errno == errno.ENOENT:
            return ""  # a file that is missing for everybody
        if cause.errno == errno.EACCES and _is_granted(path, view):
            return (
                f"it shows {shown} for reading only. It shows neither the target of a link that leaves a granted "
                "folder, nor a granted file that was replaced after the start: grant that, too, or its folder (dir:)"
            )
        return f"it shows {shown} for reading only, and nothing can be written there"
    if (
        cause.errno == errno.ENOENT
        and path.startswith(("/proc/", f"{view.folder or '/proc'}/"))
        and not _is_beside(path, view)
    ):
        return ""  # a file of its own that is not there
    is_above = any(root.startswith(path.rstrip("/") + "/") for root in view.visible)
    if cause.errno == errno.EACCES and view.tier is Tier.FULL and not is_above and not view.is_program:
        return _about_writing(view)  # what it does not show does not exist there
    return f"it does not show {shown}{_remedy(path, view)}"


def _is_granted(path: str, view: View) -> bool:
    granted = [place for name in view.spec.grants if (place := granted_path(view.spec, name)) is not None]
    return any(path == place or path.startswith(f"{place}/") for place in granted)


def _is_beside(path: str, view: View) -> bool:
    return view.file is not None and path.startswith(os.path.dirname(os.path.abspath(view.file)) + "/")


def _remedy(path: str, view: View) -> str:
    """The key that would show `path`."""
    if view.file is not None and _is_beside(path, view):
        folder = os.path.dirname(os.path.abspath(view.file)) + "/"
        entry, slash, _ = path.removeprefix(folder).partition("/")
        return f", which is beside the plugin's file: set {_with('modules', view.spec.modules, entry + slash)}"
    if _SECRETS.search(path):
        return ", where hosts keep secrets or their own state: grant it only if you know why the plugin needs it"
    target = _quoted("file:" + path)
    if view.is_program:
        return f". If the program needs it, set grants = {{ NAME = {target} }}, or dir: for a folder"
    return (
        f". If the plugin needs it, set grants = {{ NAME = {target} }}, or dir: for a folder, and use "
        'self.grant("NAME").path'
    )
