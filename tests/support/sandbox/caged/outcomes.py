"""What a plugin gets for the things that libraries try: "ok", or the name of an errno or exception."""

import ctypes
import errno
import os
import socket
import subprocess
import threading


def outcomes(paths):
    """The outcome of each attempt by name; `paths` are opened for reading, listed, and looked for."""
    attempts = {}
    for path in paths:
        attempts[f"open {path}"] = lambda path=path: open(path, "rb").close()
    attempts.update(
        {
            "write to a missing folder": lambda: open("/no/such/file", "w").close(),
            "write to the root": lambda: open("/file", "w").close(),
            "write to a library": lambda: open(os.__file__, "r+").close(),
            "make a file": lambda: open(_own("file"), "w").close(),
            "rename a file": lambda: os.rename(_own("file"), _own("other")),
            "change a mode": lambda: os.chmod(_own("other"), 0o600),
            "set times": lambda: os.utime(_own("other")),
            "read attributes": lambda: os.listxattr(_own("other")),
            "remove a file": lambda: os.unlink(_own("other")),
            "make a pipe": lambda: os.mkfifo(_own("pipe")),
            "internet socket": lambda: socket.socket().close(),
            "unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
            "socket pair": lambda: [end.close() for end in socket.socketpair()],
            "resolve a name": lambda: socket.getaddrinfo("localhost", 80),
            "fork": lambda: os.fork() or os._exit(0),
            "run a program": lambda: subprocess.run(["/bin/true"], check=True),
            "thread": lambda: threading.Thread(target=int).start(),
            "load a library": lambda: ctypes.CDLL("libz.so.1"),
            "load a missing library": lambda: ctypes.CDLL("libmissing.so.1"),
            "signal itself": lambda: os.kill(os.getpid(), 0),
            "signal a stranger": lambda: os.kill(4194000, 0),
            "number of processors": lambda: os.sched_getaffinity(0),
            "load": os.getloadavg,
            "user name": lambda: __import__("getpass").getuser(),
            "home": lambda: os.listdir(os.path.expanduser("~")),
            "working folder": os.getcwd,
            "memory file": lambda: os.memfd_create("x"),
            "semaphore": lambda: __import__("multiprocessing").Lock(),
            "account": lambda: __import__("pwd").getpwuid(os.getuid()),
        }
    )
    return {name: _outcome(attempt) for name, attempt in attempts.items()}


def _own(name):
    return os.path.join(os.environ["TMPDIR"], name)


def _outcome(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
    except Exception as error:
        return type(error).__name__
    return "ok"
