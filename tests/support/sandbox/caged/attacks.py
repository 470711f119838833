"""Attacks on a sandbox. Each raises OSError if refused, and returns what succeeded."""

import ctypes
import mmap
import os
import signal
import socket
import subprocess
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
libc.syscall.restype = ctypes.c_long


def _checked(result):
    if result in (-1, None, ctypes.c_void_p(-1).value):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def syscall(number, *arguments):
    return _checked(libc.syscall(ctypes.c_long(number), *(ctypes.c_long(each) for each in arguments)))


def syscalls(numbers):
    """The errno of each call, made with zeros; 0 if it succeeded."""
    outcomes = {}
    for name, number in numbers.items():
        try:
            syscall(number, 0, 0, 0, 0, 0, 0)
            outcomes[name] = 0
        except OSError as error:
            outcomes[name] = error.errno
    return outcomes


def read(path):
    with open(path, "rb") as file:
        return file.read(100).hex()


def listing(path):
    return os.listdir(path)


def visible(path):
    return os.path.lexists(path)


def _changed(state, attempt, now):
    """Raise OSError if the attempt succeeds without effect."""
    attempt()
    if now() == state:
        raise PermissionError(1, "nothing was changed")


def _chmod(path):
    mode = os.stat(path).st_mode
    wanted = 0o777 if mode & 0o777 != 0o777 else 0o770
    _changed(mode, lambda: os.chmod(path, wanted), lambda: os.stat(path).st_mode)


def _touch(path):
    _changed(os.stat(path).st_mtime_ns, lambda: os.utime(path), lambda: os.stat(path).st_mtime_ns)


def write_everywhere(folders):
    """Try to make, change and delete files; return what succeeded."""
    worked = []
    for folder in folders:
        name = os.path.join(folder, "from-the-cage")
        for what, attempt in {
            "create": lambda name=name: os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600)),
            "tmpfile": lambda folder=folder: os.close(os.open(folder, os.O_RDWR | 0o20200000, 0o600)),
            "mkdir": lambda name=name: os.mkdir(name),
            "symlink": lambda name=name: os.symlink("x", name),
            "fifo": lambda name=name: os.mkfifo(name),
            "chmod": lambda folder=folder: _chmod(folder),
            "chown": lambda folder=folder: os.chown(folder, os.getuid(), -1),
            "utime": lambda folder=folder: _touch(folder),
            "xattr": lambda folder=folder: os.setxattr(folder, "user.x", b"1"),
        }.items():
            try:
                attempt()
                worked.append([what, folder])
            except OSError:
                pass
    return worked


def change(path):
    """Try every way to change an existing file; return what succeeded."""
    worked = []
    for what, attempt in {
        "append": lambda: open(path, "ab").close(),
        "write": lambda: os.close(os.open(path, os.O_RDWR)),
        "truncate": lambda: os.truncate(path, 0),
        "open truncating": lambda: os.close(os.open(path, os.O_RDONLY | os.O_TRUNC)),
        "unlink": lambda: os.unlink(path),
        "rename": lambda: os.rename(path, path + "x"),
        "link": lambda: os.link(path, path + "y"),
        "chmod": lambda: _chmod(path),
    }.items():
        try:
            attempt()
            worked.append(what)
        except OSError:
            pass
    return worked


def socket_families():
    """The families and types of sockets that can be made."""
    families = []
    for family in range(46):
        for kind in (1, 2, 3, 4, 5, 10):
            try:
                os.close(_checked(libc.socket(family, kind, 0)))
                families.append([family, kind])
            except OSError:
                pass
    return families


def socket_pairs():
    """The families and types of socket pairs that can be made."""
    pairs = []
    for family in range(46):
        for kind in (1, 2, 3, 5):
            try:
                for end in socket.socketpair(family, kind):
                    end.close()
                pairs.append([family, kind])
            except OSError:
                pass
    return pairs


def connect(port):
    with socket.create_connection(("127.0.0.1", port), 2):
        return "connected"


def _address(text):
    """A struct sockaddr_un; @ at the beginning is an abstract name."""
    path = text.encode()
    if path.startswith(b"@"):
        path = b"\0" + path[1:]
    return b"\1\0" + path + (b"" if len(path) >= 108 else b"\0")


def connect_path(text, fd=None):
    """Connect a new socket, or the descriptor `fd`, to a path, as a C library does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        address = _address(text)
        _checked(libc.connect(client.fileno() if fd is None else fd, address, len(address)))
        return "connected"


def shout_at(text, message):
    """Connect to a path with the interpreter's own socket, send, and return the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(text)
        client.sendall(message.encode())
        return client.recv(100).decode()


def keeps_flags(text):
    """The flags of a socket before it is connected to a path, and after."""
    import fcntl

    flags = []
    for blocking in (True, False):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.setblocking(blocking)
            os.set_inheritable(client.fileno(), blocking)
            flags_at_first = fcntl.fcntl(client, fcntl.F_GETFL), fcntl.fcntl(client, fcntl.F_GETFD)
            client.connect(text)
            flags.append(flags_at_first == (fcntl.fcntl(client, fcntl.F_GETFL), fcntl.fcntl(client, fcntl.F_GETFD)))
    return flags


def connect_memory(address, length):
    """Connect to an address that is not in this process's memory."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        _checked(libc.connect(client.fileno(), ctypes.c_void_p(address), length))


def connect_racing(allowed, forbidden, count):
    """Change the address while it is read; return how many calls succeeded."""
    room = ctypes.create_string_buffer(max(len(_address(allowed)), len(_address(forbidden))) + 1)
    ended = threading.Event()

    def flip():
        while not ended.is_set():
            for each in (allowed, forbidden):
                ctypes.memmove(room, _address(each), len(_address(each)))

    thread = threading.Thread(target=flip)
    thread.start()
    worked = 0
    for _ in range(count):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            worked += libc.connect(client.fileno(), room, len(room)) == 0
    ended.set()
    thread.join()
    return worked


def listen_at(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.bind(text)
        client.listen()


def send_unconnected(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.sendto(b"x", text)


def send_descriptor(text):
    """Send a descriptor over a connection to a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(text)
        socket.send_fds(client, [b"x"], [0])


def reconnect(fd, port):
    """Connect a granted socket to another address."""
    with socket.socket(fileno=os.dup(fd)) as granted:
        granted.connect(("127.0.0.1", port))
    return "connected"


def fastopen(fd, port):
    with socket.socket(fileno=os.dup(fd)) as granted:
        granted.sendto(b"x", 0x20000000, ("127.0.0.1", port))
    return "connected"


def talk(fd, text):
    """Use a granted socket as intended."""
    with socket.socket(fileno=os.dup(fd)) as granted:
        granted.settimeout(10)
        granted.sendall(text.encode())
        return granted.recv(100).decode()


def kill(pid, number):
    os.kill(pid, number)
    return "sent"


def kill_everybody():
    os.kill(-1, signal.SIGCONT)
    return "sent"


def processes():
    """The pids that are visible, without our own."""
    pids = []
    for pid in range(1, 70000):
        if pid != os.getpid() and os.path.exists(f"/proc/{pid}/cmdline"):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    pids.append([pid, file.read().decode(errors="replace")])
            except OSError:
                pass
    return pids


def proc_files(pid):
    """The readable files of /proc/PID."""
    opened = []
    for name in ("environ", "mem", "maps", "cmdline", "status", "stat", "fd", "root", "cwd", "exe", "io", "ns/net"):
        for attempt in (lambda n: os.close(os.open(n, os.O_RDONLY)), os.listdir, os.readlink):
            try:
                attempt(f"/proc/{pid}/{name}")
                opened.append([name, getattr(attempt, "__name__", "")])
            except OSError:
                pass
    return opened


def order_seen():
    """All traces of the launch spec: arguments, and the variables of the callers."""
    import sys

    places = [getattr(sys, "orig_argv", []), sys.argv]
    frame = sys._getframe()
    while frame is not None:
        places.append({name: value for name, value in frame.f_locals.items() if name != "places"})
        places.append([name for name in frame.f_globals if not name.startswith("__")])
        frame = frame.f_back
    try:
        with open("/proc/self/cmdline") as file:
            places.append(file.read())
    except OSError:
        pass
    return repr(places)


def environment():
    return dict(os.environ)


def descriptors():
    """The open descriptors, with their file types."""
    targets = {}
    for fd in range(1024):
        try:
            mode = os.fstat(fd).st_mode
        except OSError:
            continue
        targets[fd] = oct(mode & 0o170000)
    return targets


def ring_attacks(fd, size):
    """Try every way to change read-only memory; return what succeeded."""
    worked = []

    def punch(mode):
        _checked(libc.fallocate(fd, mode, ctypes.c_long(0), ctypes.c_long(4096)))

    def madvise(advice):
        address = _checked(libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0))
        _checked(libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(4096), advice))

    def protect():
        address = _checked(libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0))
        _checked(libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), 3))

    def reopen(flags):
        again = os.open(f"/proc/self/fd/{fd}", flags)
        os.pwrite(again, b"x", 0)

    import fcntl

    for what, attempt in {
        "map": lambda: _checked(libc.mmap(None, size, 3, mmap.MAP_SHARED, fd, 0)),
        "map write only": lambda: _checked(libc.mmap(None, size, 2, mmap.MAP_SHARED, fd, 0)),
        "mprotect": protect,
        "write": lambda: os.write(fd, b"x"),
        "pwrite": lambda: os.pwrite(fd, b"x", 0),
        "writev": lambda: os.writev(fd, [b"x"]),
        "ftruncate": lambda: os.ftruncate(fd, 0),
        "grow": lambda: os.ftruncate(fd, 2 * size),
        "allocate": lambda: punch(0),
        "punch": lambda: punch(3),
        "zero": lambda: punch(0x10),
        "remove": lambda: madvise(9),
        "reopen for both": lambda: reopen(os.O_RDWR),
        "reopen for writing": lambda: reopen(os.O_WRONLY),
        "reopen for appending": lambda: reopen(os.O_WRONLY | os.O_APPEND),
        "reopen truncating": lambda: reopen(os.O_RDONLY | os.O_TRUNC),
        "seal": lambda: fcntl.fcntl(fd, 1033, 8),
        "chmod": lambda: _chmod(fd),
        "lock": lambda: fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB),
    }.items():
        try:
            attempt()
            worked.append(what)
        except OSError:
            pass
    return worked


def reopen(fd, flags):
    again = os.open(f"/proc/self/fd/{fd}", flags)
    try:
        return os.read(again, 100).decode()
    finally:
        os.close(again)


def read_fd(fd, size):
    return os.pread(fd, size, 0).decode()


def mapped(fd, size):
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as view:
        return bytes(view[:5]).decode()


def allocate(bytes_wanted):
    """Allocate private memory and touch it."""
    block = bytearray(bytes_wanted)
    block[::4096] = b"x" * len(block[::4096])
    return len(block)


def map_anonymous(flags, bytes_wanted):
    _checked(libc.mmap(None, bytes_wanted, 3, flags | mmap.MAP_ANONYMOUS, -1, 0))
    return "mapped"


def protect_later(bytes_wanted):
    """Read-only memory is not counted; make it writable after mapping it."""
    address = _checked(libc.mmap(None, bytes_wanted, 1, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0))
    _checked(libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(bytes_wanted), 3))
    return "writable"


def address_space(bytes_wanted):
    """Page tables are memory as well: map a sparse file and read all of it."""
    _checked(libc.mmap(None, bytes_wanted, 1, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, -1, 0))
    return "mapped"


def start_threads(count):
    """Start threads; return how many started and still work."""
    stop = threading.Event()
    threading.stack_size(64 * 1024)
    threads = []
    try:
        for _ in range(count):
            thread = threading.Thread(target=stop.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError:
        pass
    stop.set()
    for thread in threads:
        thread.join()
    return len(threads)


def open_many(count):
    opened = []
    try:
        for _ in range(count):
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    count_opened = len(opened)
    for fd in opened:
        os.close(fd)
    return count_opened


def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def fork_many(count):
    """Start processes that wait; return how many started."""
    children = []
    for _ in range(count):
        try:
            pid = os.fork()
        except OSError:
            break
        if pid == 0:
            signal.pause()
        children.append(pid)
    return len(children)


def stray(escape):
    """Leave a process behind, which tries to leave its session or group first, and ignores signals."""
    pid = os.fork()
    if pid == 0:
        try:
            if escape == "setsid":
                os.setsid()
            elif escape == "setpgid":
                os.setpgid(0, 0)
        except OSError:
            pass
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            while True:
                time.sleep(3600)
        os._exit(0)
    os.waitpid(pid, 0)
    return "left"


def setsid():
    """Call setsid in a child that leads no group; return the errno, 0 if it succeeded."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        os.setsid()
    except OSError as error:
        os._exit(error.errno)
    os._exit(0)


def execute(path):
    return subprocess.run([path], capture_output=True, timeout=600, check=False).returncode


def execute_fd(fd):
    """Execute a descriptor: by its link in /proc, and directly (execveat(2), fexecve(3))."""
    os.set_inheritable(fd, True)
    errors = set()
    for attempt in (lambda: os.execve(f"/proc/self/fd/{fd}", ["x"], {}), lambda: os.execve(fd, ["x"], {})):
        pid = os.fork()
        if pid == 0:
            try:
                attempt()
            except OSError as error:
                os._exit(error.errno)
            os._exit(0)
        errors.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    if errors == {13}:
        raise PermissionError(13, "refused")
    return sorted(errors)


def exec_now(path):
    os.execve(path, [path], {})


def run(*argv):
    ended = subprocess.run(argv, capture_output=True, timeout=600, check=False)
    return [ended.returncode, ended.stdout.decode(), ended.stderr.decode()]


def leave(status):
    os._exit(status)


def wait_for_ever():
    while True:
        time.sleep(3600)


def raise_signal(number):
    os.kill(os.getpid(), number)
    return "survived"


def write_fd(fd, count):
    return os.write(fd, b"x" * count)


def late_imports():
    """Import modules with shared libraries of their own."""
    import asyncio
    import decimal
    import hashlib
    import lzma
    import sqlite3
    import ssl
    import zlib

    async def answer():
        await asyncio.sleep(0)
        return 42

    assert asyncio.run(answer()) == 42
    with sqlite3.connect(":memory:") as database:
        assert database.execute("select 1").fetchone() == (1,)
    assert lzma.decompress(lzma.compress(b"x" * 1000)) == b"x" * 1000
    return [hashlib.sha256(zlib.compress(b"")).hexdigest()[:8], str(decimal.Decimal(1)), ssl.OPENSSL_VERSION]


def matrices(size):
    """Two concurrent products, large enough for numpy to use its threads."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy

    def product(_):
        return float((numpy.ones((size, size)) @ numpy.ones((size, size))).sum())

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(product, range(4)))


def int80():
    """A 32-bit call from 64-bit code: getpid by int 0x80."""
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
    page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()


_leaked = []


def hold(bytes_wanted, threads):
    """Use this much memory and this many threads until the process ends."""
    block = bytearray(bytes_wanted)
    block[::4096] = b"x" * len(block[::4096])
    _leaked.append(block)
    for _ in range(threads):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    return "holding"


def run_with(fds, *argv):
    ended = subprocess.run(argv, capture_output=True, timeout=600, check=False, pass_fds=fds)
    return [ended.returncode, ended.stdout.decode(), ended.stderr.decode()]


def socket_option(fd, level, option):
    value, length = ctypes.c_int(), ctypes.c_uint(4)
    number = {"x86_64": 55, "aarch64": 209}[os.uname().machine]
    pointers = ctypes.addressof(value), ctypes.addressof(length)
    syscall(number, fd, level, option, *pointers)
    return value.value


def put(fd, at, count):
    """Write to a file at an offset."""
    return os.pwrite(fd, b"x" * count, at)


def cut(fd, size):
    os.ftruncate(fd, size)


def allocate_file(fd, mode, at, length):
    """fallocate(2)"""
    libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
    _checked(libc.fallocate(fd, mode, at, length))


def name_file(fd, path):
    """Give an unnamed open file a name."""
    os.link(f"/proc/self/fd/{fd}", path, follow_symlinks=True)


def write_again(fd, flags):
    """Reopen a file and write a byte."""
    again = os.open(f"/proc/self/fd/{fd}", flags)
    return os.write(again, b"y")


def change_mode(fd, mode):
    os.fchmod(fd, mode)


# the private /tmp


def put_file(name, size):
    """Write a file in TMPDIR; return its length."""
    path = os.path.join(os.environ["TMPDIR"], name)
    with open(path, "wb", buffering=0) as file:
        room = size
        while room:
            room -= file.write(bytes(min(room, 1 << 16)))
    return os.path.getsize(path)


def make_files(count):
    """Make empty files in TMPDIR; return how many can be made."""
    for number in range(count):
        try:
            os.close(os.open(os.path.join(os.environ["TMPDIR"], f"file{number}"), os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError:
            return number
    return count


def leave_hostile_tree(depth):
    """Make folders in TMPDIR that are hard to remove: `depth` levels, without modes, with strange names; return how
    deep they are."""
    top = os.environ["TMPDIR"]
    os.makedirs(os.path.join(top, "locked", "inner"))
    os.close(os.open(os.path.join(top, "locked", "inner", "file"), os.O_CREAT | os.O_WRONLY, 0))
    os.mkdir(os.path.join(top, "locked", "closed"), 0)
    os.mkdir(os.path.join(top, "closed"), 0)
    for name in (b"line\nbreak", b"\xff\xfe", b"-rf", b"n" * 255):
        os.symlink("/", os.path.join(os.fsencode(top), name))
    os.chdir(top)
    for _ in range(depth):
        os.mkdir("n" * 200)
        os.chdir("n" * 200)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o600))
    os.chdir("/")
    return depth


def use_files():
    """What libraries do with temporary files; each line is a use that failed."""
    import pathlib
    import shutil
    import sqlite3
    import tempfile

    def plain():
        with tempfile.TemporaryFile() as file:
            file.write(b"x")

    def named():
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x")
            file.flush()
            shutil.copy2(file.name, file.name + ".copy")
            os.replace(file.name + ".copy", file.name + ".moved")
            os.unlink(file.name + ".moved")

    def folders():
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(os.path.join(folder, "a", "b"))
            os.symlink("a", os.path.join(folder, "link"))
            shutil.move(os.path.join(folder, "a", "b"), os.path.join(folder, "c"))
            shutil.copytree(os.path.join(folder, "a"), os.path.join(folder, "d"))

    def database():
        path = os.path.join(os.environ["TMPDIR"], "test.sqlite")
        for mode in ("delete", "wal"):
            with sqlite3.connect(path) as connection:
                connection.execute(f"pragma journal_mode = {mode}")
                connection.execute("create table if not exists t (x)")
                connection.execute("insert into t values (1)")
            connection.close()
        connection = sqlite3.connect(path)
        (count,) = connection.execute("select count(*) from t").fetchone()
        connection.close()
        if count != 2:
            raise OSError(f"{count} rows")
        os.unlink(path)

    def home():
        with open(os.path.expanduser("~/.config"), "w") as file:
            file.write("x")
        os.unlink(os.path.expanduser("~/.config"))

    def marker():
        path = pathlib.Path(os.environ["TMPDIR"], "marker")
        path.touch()
        path.touch()
        path.chmod(0o600)
        os.utime(path, (1, 1), follow_symlinks=False)
        os.chmod(path.name, 0o600, dir_fd=os.open(path.parent, os.O_RDONLY))
        path.unlink()
        for change in (lambda: path.chmod(0o600), lambda: os.utime(path), lambda: os.fchmod(1 << 20, 0o600)):
            try:
                change()
            except OSError:
                continue
            raise OSError("a file that is missing was changed")

    failed = {}
    for use in (plain, named, folders, database, home, marker):
        try:
            use()
        except Exception as error:
            failed[use.__name__] = f"{type(error).__name__}: {error}"
    return failed


def hide_files(count, size):
    """Write files and take their names away, but keep them open; return how many could be written."""
    for number in range(count):
        path = os.path.join(os.environ["TMPDIR"], "hidden")
        try:
            fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600)
            os.unlink(path)
            os.write(fd, bytes(size))
        except OSError:
            return number
    return count


def run_file():
    """Execute a program that was written to TMPDIR."""
    path = os.path.join(os.environ["TMPDIR"], "program")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o755)
    os.write(fd, b"#!/bin/sh\nexit 0\n")
    os.close(fd)
    os.execv(path, [path])


def locks():
    """Use what multiprocessing makes of semaphores; each line is a use that failed."""
    import concurrent.futures
    import multiprocessing
    import multiprocessing.pool

    def lock():
        with multiprocessing.Lock():
            pass

    def threads():
        with multiprocessing.pool.ThreadPool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]

    def processes():
        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            assert list(pool.map(abs, [-1, -2])) == [1, 2]

    def queue():
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(target=answers.put, args=(7,))
        child.start()
        assert answers.get(timeout=60) == 7
        child.join()
        assert answers.qsize() == 0

    def bounded():
        semaphore = multiprocessing.BoundedSemaphore(2)
        assert semaphore.acquire() and semaphore.acquire(timeout=60)
        assert not semaphore.acquire(block=False)
        assert not semaphore.acquire(timeout=0.01)
        semaphore.release()
        semaphore.release()
        try:
            semaphore.release()
        except ValueError:
            return
        raise AssertionError("released too often")

    def recursive():
        recursive = multiprocessing.RLock()
        with recursive, recursive, concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert not pool.submit(recursive.acquire, False).result()
        try:
            recursive.release()
        except AssertionError:
            return
        raise OSError("released though nobody held it")

    def condition():
        condition = multiprocessing.Condition()
        with condition:
            assert not condition.wait(timeout=0.01)
            condition.notify_all()

    failed = {}
    for use in (lock, threads, processes, queue, bounded, recursive, condition):
        try:
            use()
        except Exception as error:
            failed[use.__name__] = f"{type(error).__name__}: {error}"
    return failed


def base():
    """What libraries look for outside the plugin's files; each line is something missing."""
    import getpass
    import locale
    import mimetypes
    import platform
    import ssl
    import time
    import zoneinfo

    def check(value):
        if not value:
            raise LookupError("nothing there")

    failed = {}
    for name, attempt in {
        "zone": lambda: check(zoneinfo.ZoneInfo("Europe/Paris")),
        "no zone": lambda: _unknown_zone(zoneinfo),
        "authorities": lambda: check(ssl.create_default_context().cert_store_stats()["x509_ca"]),
        "os-release": lambda: check(platform.freedesktop_os_release()["ID"]),
        "locale": lambda: check(locale.setlocale(locale.LC_ALL, "C.UTF-8")),
        "types": lambda: check(mimetypes.guess_type("a.html")[0] == "text/html"),
        "user": lambda: check(getpass.getuser() == "plugin"),
        "UTC": lambda: check(time.localtime(0).tm_hour == 0),
        "home": lambda: check(os.path.isdir(os.path.expanduser("~"))),
    }.items():
        try:
            attempt()
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
    return failed


def _unknown_zone(zoneinfo):
    try:
        zoneinfo.ZoneInfo("No/Zone")
    except zoneinfo.ZoneInfoNotFoundError:
        return


def streams():
    """Open the standard streams by name; each line is one that failed."""
    failed = {}
    for name, mode in (("stdin", "rb"), ("stdout", "ab"), ("stderr", "ab"), ("fd/1", "ab")):
        try:
            open(f"/dev/{name}", mode, buffering=0).close()
        except OSError as error:
            failed[name] = str(error)
    return failed


def link_in_folder(target):
    os.symlink(target, os.path.join(os.environ["TMPDIR"], "link"))
    return "linked"


def read_in_folder(name):
    return read(os.path.join(os.environ["TMPDIR"], name))


def become(path):
    os.execv(path, [path])
