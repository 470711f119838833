"""Attempts to get out of a granted folder, and to change it. Each returns the names of what succeeded."""

import errno
import fcntl
import os


def _succeeded(attempts):
    names = []
    for name, attempt in attempts.items():
        try:
            outcome = attempt()
        except OSError:
            continue
        if outcome is not False:
            names.append(name)
    return names


def _read(path, **keywords):
    fd = os.open(path, os.O_RDONLY, **keywords)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def _below(folder, flags, path):
    fd = os.open(folder, flags)
    try:
        return _read(path, dir_fd=fd)
    finally:
        os.close(fd)


def _from_inside(folder, path, change):
    back = os.open("/", os.O_PATH)
    try:
        change(folder)
        return _read(path)
    finally:
        os.fchdir(back)
        os.close(back)


def _change_by_descriptor(folder):
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fchdir(fd)
    finally:
        os.close(fd)


def _through_proc(folder, rest):
    fd = os.open(folder, os.O_RDONLY)
    try:
        return _read(f"/proc/self/fd/{fd}/{rest}")
    finally:
        os.close(fd)


def _linked(target, link=os.symlink):
    place = os.path.join(os.environ["TMPDIR"], "way-out")
    link(target, place)
    try:
        return _read(place)
    finally:
        os.unlink(place)


def out_of(folder, secret, links):
    """Read the file `secret`, which is beside `folder`; `links` are in the folder and lead there."""
    name = os.path.basename(secret)
    directory = os.O_RDONLY | os.O_DIRECTORY
    attempts = {
        "by its path": lambda: _read(secret),
        "by ..": lambda: _read(f"{folder}/../{name}"),
        "by .. of a folder in it": lambda: _read(f"{folder}/deep/../../{name}"),
        "by .. from a descriptor": lambda: _below(folder, directory, f"../{name}"),
        "by .. from a descriptor that opens nothing": lambda: _below(folder, os.O_PATH, f"../{name}"),
        "from its parent": lambda: _below(f"{folder}/..", os.O_PATH, name),
        "from its parent, opened for listing": lambda: _below(os.path.dirname(folder), directory, name),
        "by chdir": lambda: _from_inside(folder, f"../{name}", os.chdir),
        "by fchdir": lambda: _from_inside(folder, f"../{name}", _change_by_descriptor),
        "by /proc/self/fd": lambda: _through_proc(folder, f"../{name}"),
        "by /proc/self/root": lambda: _read(f"/proc/self/root{secret}"),
        "by /proc/self/cwd": lambda: _from_inside(folder, f"/proc/self/cwd/../{name}", os.chdir),
        "by a link of its own": lambda: _linked(secret),
        "by a link of its own through the folder": lambda: _linked(f"{folder}/../{name}"),
        "by a hard link": lambda: _linked(secret, os.link),
        "listing its parent": lambda: name in os.listdir(os.path.dirname(folder)),
        **{f"by the link {link}": lambda link=link: _read(f"{folder}/{link}") for link in links},
    }
    return _succeeded(attempts)


def _locked(path, lock):
    with open(path, "rb") as file:
        lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _moved(source, target):
    os.rename(source, target)


def _hard_linked(path):
    place = os.path.join(os.environ["TMPDIR"], "hard-link")
    os.link(path, place)
    return _read(place)


def change(folder, name):
    """Change the file `name` of `folder`, or the folder."""
    path, own = os.path.join(folder, name), os.path.join(os.environ["TMPDIR"], "own")
    with open(own, "wb") as file:
        file.write(b"own")
    attempts = {
        "move a file out": lambda: _moved(path, own + "-moved"),
        "move a file in": lambda: _moved(own, path),
        "move the folder": lambda: _moved(folder, own + "-folder"),
        "link a file out": lambda: _hard_linked(path),
        "link a file in": lambda: os.link(own, path + "-own"),
        "lock by flock": lambda: _locked(path, fcntl.flock),
        "lock by fcntl": lambda: _locked(path, fcntl.lockf),
        "open for writing by /proc/self/fd": lambda: _written(path),
        "truncate": lambda: os.truncate(path, 0),
        "remove the folder": lambda: os.rmdir(os.path.join(folder, "deep")),
    }
    return _succeeded(attempts)


def _written(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.close(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY))
    finally:
        os.close(fd)


def run(path):
    """Execute a granted file. Raises OSError."""
    import subprocess

    try:
        return subprocess.run([path], capture_output=True, check=False).returncode
    except PermissionError as error:
        raise OSError(errno.EACCES, "refused") from error


def contents(folder):
    """The text of every file in `folder`, by path; None for one that cannot be read."""
    texts = {}
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                texts[os.path.relpath(os.path.join(place, name), folder)] = _read(os.path.join(place, name)).decode()
            except OSError:
                texts[os.path.relpath(os.path.join(place, name), folder)] = None
    return texts


def query(path, options):
    """Ask SQLite for the only value of the table `allowed`."""
    import sqlite3

    with sqlite3.connect(f"file:{path}?{options}", uri=True) as connection:
        return connection.execute("select name from allowed").fetchone()[0]
