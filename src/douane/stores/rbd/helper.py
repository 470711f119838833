"""Speaks to Ceph for Douane, in a process of its own: ``/usr/bin/python3 -I helper.py FD``.

The bindings of librbd are a package of the system's Python only. This file imports them, and nothing of Douane.

On the socket FD come lines of JSON, each a command with its arguments; the answer is a line of JSON, ``{"ok": …}`` or
``{"errno": …, "message": …}``. Behind a command "write" come its bytes; it is not answered. After the answer to "read"
come the bytes, and the answer to "list" is several lines. An error of a write is a line without a command, and the end:
whoever gets it ends this process. So does the end of the socket, also in the middle of a command.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Any

MAX_LINE = 1 << 16
MAX_PIECE = 8 << 20
PIECES_IN_FLIGHT = 4
NAMES_IN_A_LINE = 500
LOCK_SECONDS = 120
"""After which the lock of a helper that died in a renaming is gone."""

LOCK_WAITING_SECONDS = 20.0
CLOSING_SECONDS = 60.0
"""For the end of the image that is open, after the other side has gone."""


class Writes:
    """Gathers writes to pieces of one object, and has some of them in flight."""

    def __init__(self, image: Any, object_size: int, fail: Any) -> None:
        self.image = image
        self.object_size = min(object_size, MAX_PIECE)
        self.fail = fail
        self.start = 0
        self.filled = 0
        self.buffer = memoryview(bytearray(self.object_size))
        self.room = threading.Semaphore(PIECES_IN_FLIGHT)

    def receive(self, sock: socket.socket, offset: int, length: int) -> None:
        while length:
            if self.filled and offset != self.start + self.filled:
                self.send()
            if not self.filled:
                self.start = offset
            end = self.object_size - offset % self.object_size  # a piece ends where its object ends
            part = min(length, end, self.object_size - self.filled)
            receive_into(sock, self.buffer[self.filled : self.filled + part])
            self.filled += part
            offset += part
            length -= part
            if part == end or self.filled == self.object_size:
                self.send()

    def send(self) -> None:
        if self.filled:
            piece = bytes(self.buffer[: self.filled])  # the bindings take nothing else
            self.filled = 0
            self.room.acquire()
            self.image.aio_write(piece, self.start, self.ended)

    def ended(self, completion: Any) -> None:
        result = completion.get_return_value()
        self.room.release()
        if result < 0:
            self.fail(-result)

    def flush(self) -> None:
        self.send()
        for _ in range(PIECES_IN_FLIGHT):
            self.room.acquire()
        self.room.release(PIECES_IN_FLIGHT)
        self.image.flush()


class Helper:
    """One connection to a cluster, and one image."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sending = threading.Lock()
        self.failed = False
        self.rbd: Any = None
        self.cluster: Any = None
        self.ioctx: Any = None
        self.image: Any = None
        self.writes: Any = None
        self.snapshot: tuple[str, str, Any] | None = None

    def run(self) -> None:
        while True:
            line = self.read_line()
            if not line:
                break
            command = json.loads(line)
            name = command.pop("command")
            if name == "write":
                self.writes.receive(self.sock, **command)
                continue
            try:
                answer = getattr(self, "do_" + name)(**command)
            except Answered:
                continue
            except Exception as error:  # whatever the bindings raise
                self.answer(describe(error))
            else:
                self.answer({"ok": answer})

    def end(self) -> None:
        """Give up the claim on the image; otherwise others see it for 30 seconds."""
        self.do_close()
        if self.ioctx is not None:
            self.ioctx.close()
        if self.cluster is not None:
            self.cluster.shutdown()

    def read_line(self) -> bytes:
        """A line, byte by byte only until its length is known to be small: the bytes behind it are not for us."""
        line = b""
        while not line.endswith(b"\n"):
            head = self.sock.recv(MAX_LINE, socket.MSG_PEEK)
            if not head:
                return b""
            end = head.find(b"\n") + 1 or len(head)
            line += self.sock.recv(end)
            if len(line) > MAX_LINE:
                raise SystemExit("a line is too long")
        return line

    def answer(self, value: dict[str, Any]) -> None:
        with self.sending:
            if not self.failed:
                self.sock.sendall(json.dumps(value).encode() + b"\n")

    def write_failed(self, number: int) -> None:
        self.answer({"errno": number, "message": os.strerror(number), "command": "write"})
        self.failed = True

    # commands

    def do_connect(
        self, conf: str | None, user: str, keyring: str | None, pool: str, options: dict[str, str]
    ) -> dict[str, Any]:
        import rados
        import rbd

        self.rbd = rbd
        settings = dict(options)
        if keyring is not None:
            settings["keyring"] = keyring
        self.cluster = rados.Rados(conffile=conf or "", name="client." + user, conf=settings)
        self.cluster.connect(timeout=int(options["client_mount_timeout"]))
        self.fsid = self.cluster.get_fsid()
        try:
            self.ioctx = self.cluster.open_ioctx(pool)
        except rados.ObjectNotFound:
            return {"fsid": self.fsid, "has_pool": False}
        return {"fsid": self.fsid, "has_pool": True}

    def do_create(self, name: str, order: int) -> dict[str, Any]:
        self.rbd.RBD().create(
            self.ioctx, name, 0, order=order, old_format=False, features=self.rbd.RBD_FEATURE_LAYERING
        )
        return self.do_open(name, None, False)

    def do_open(self, name: str, snap: str | None, read_only: bool) -> dict[str, Any]:
        self.do_close()
        self.image = self.rbd.Image(self.ioctx, name, snapshot=snap, read_only=read_only)
        if snap is not None:
            key = f"snapshot_{self.image.snap_get_id(snap):016x}"
            header = "rbd_header." + self.image.id()
            self.snapshot = (header, key, self.record(header, key))
        stat = self.image.stat()
        if not read_only:
            self.writes = Writes(self.image, stat["obj_size"], self.write_failed)
        return {"size": stat["size"], "id": self.image.id(), "watchers": len(list(self.image.watchers_list()))}

    def do_flush(self) -> None:
        self.writes.flush()

    def do_resize(self, size: int) -> None:
        self.writes.flush()
        self.image.resize(size)

    def do_read(self, offset: int, length: int) -> None:
        data = self.image.read(offset, length)
        # Objects that are missing are read as zeros, also those of an image that was deleted meanwhile. Before its
        # objects go, the snapshot is unprotected, which is in this record.
        if self.snapshot is not None and self.record(*self.snapshot[:2]) != self.snapshot[2]:
            raise OSError(errno.ENOENT, "the image was deleted while it was read")
        with self.sending:
            self.sock.sendall(json.dumps({"ok": len(data)}).encode() + b"\n")
            self.sock.sendall(data)
        raise Answered

    def do_close(self) -> None:
        image, self.image, self.writes, self.snapshot = self.image, None, None, None
        if image is not None:
            image.close()

    def record(self, header: str, key: str) -> Any:
        """The header's record of a snapshot; None if it is gone."""
        import rados

        with rados.ReadOpCtx() as operation:
            values, _ = self.ioctx.get_omap_vals_by_keys(operation, (key,))
            try:
                self.ioctx.operate_read_op(operation, header)
            except rados.ObjectNotFound:
                return None
            return dict(values).get(key)

    def do_list(self) -> None:
        names = self.rbd.RBD().list(self.ioctx)
        for start in range(0, len(names), NAMES_IN_A_LINE):
            self.answer({"names": names[start : start + NAMES_IN_A_LINE]})

    def do_snapshots(self, name: str) -> dict[str, bool]:
        """Whether each snapshot is protected, by its name; those that only clones hold are named by their ids."""
        with self.rbd.Image(self.ioctx, name, read_only=True) as image:
            user = self.rbd.RBD_SNAP_NAMESPACE_TYPE_USER
            return {
                snap["name"]: snap["namespace"] == user and image.is_protected_snap(snap["name"])
                for snap in image.list_snaps()
            }

    def do_make_snapshot(self, name: str, snap: str | None) -> None:
        with self.rbd.Image(self.ioctx, name) as image:
            image.create_snap(snap)

    def do_protect(self, name: str, snap: str | None) -> None:
        with self.rbd.Image(self.ioctx, name) as image:
            image.protect_snap(snap)

    def do_unprotect(self, name: str, snap: str | None) -> None:
        with self.rbd.Image(self.ioctx, name) as image:
            image.unprotect_snap(snap)

    def do_remove_snapshot(self, name: str, snap: str | None) -> None:
        with self.rbd.Image(self.ioctx, name) as image:
            image.remove_snap(snap)

    def do_clones(self, name: str, snap: str | None) -> int:
        """The number of images that were cloned from the snapshot."""
        with self.rbd.Image(self.ioctx, name, snapshot=snap, read_only=True) as image:
            return len(list(image.list_children2()))

    def do_rename(self, name: str, new_name: str, snap: str) -> None:
        """Rename an image that has the snapshot; what is left of a renaming or a deletion that ended between its steps
        is no obstacle. Two renamings to one name at once both succeed in librbd, so the second waits for the first."""
        lock = "douane.rename." + new_name
        self.lock(lock)
        try:
            self.rename(name, new_name, snap)
        finally:
            self.ioctx.remove_object(lock)  # and the lock with it: only its holder does so

    def lock(self, name: str) -> None:
        import rados

        deadline = time.monotonic() + LOCK_WAITING_SECONDS
        while True:
            try:
                self.ioctx.lock_exclusive(name, "rename", "douane", duration=LOCK_SECONDS)
                return
            except rados.ObjectBusy:
                if time.monotonic() > deadline:
                    raise
                self.alive()
                time.sleep(0.05)

    def rename(self, name: str, new_name: str, snap: str) -> None:
        rename = self.rbd.RBD().rename
        try:
            rename(self.ioctx, name, new_name)
        except self.rbd.ImageExists:
            with self.rbd.Image(self.ioctx, new_name, read_only=True) as image:
                id_of_new, watchers = image.id(), list(image.watchers_list())
                snapshots = [each["name"] for each in image.list_snaps()]
            with self.rbd.Image(self.ioctx, name, read_only=True) as image:
                id_of_old = image.id()
            if id_of_new == id_of_old:
                # librbd writes the new name, then changes the list of names, then deletes the old name.
                if new_name in self.rbd.RBD().list(self.ioctx):
                    self.ioctx.remove_object("rbd_id." + name)
                    return
                self.ioctx.remove_object("rbd_id." + new_name)
            elif snap not in snapshots and not snapshots and not watchers:
                self.rbd.RBD().remove(
                    self.ioctx, new_name, on_progress=self.alive
                )  # half deleted: all have the snapshot
            else:
                raise
            rename(self.ioctx, name, new_name)

    def do_remove(self, name: str) -> None:
        self.rbd.RBD().remove(self.ioctx, name, on_progress=self.alive)

    def do_room(self, pool: str) -> dict[str, Any]:
        """Bytes that the pool can still take, and whether it is full."""
        _, output, _ = self.cluster.mon_command(json.dumps({"prefix": "df", "format": "json"}), b"")
        pools = json.loads(output)["pools"]
        free = [each["stats"]["max_avail"] for each in pools if each["name"] == pool]
        _, output, _ = self.cluster.mon_command(json.dumps({"prefix": "osd dump", "format": "json"}), b"")
        flags = [each["flags_names"] for each in json.loads(output)["pools"] if each["pool_name"] == pool]
        return {"free": free[0] if free else None, "is_full": any("full" in names.split(",") for names in flags)}

    def alive(self, *_: Any) -> int:
        self.answer({"alive": True})
        return 0


class Answered(Exception):
    """The command has sent its answer."""


def describe(error: Exception) -> dict[str, Any]:
    number = getattr(error, "errno", None) or errno.EIO
    if isinstance(error, ImportError):
        number = errno.ENOPKG
    return {"errno": int(number), "message": f"{type(error).__name__}: {error}"[:2000]}


def receive_into(sock: socket.socket, view: memoryview) -> None:
    while view:
        count = sock.recv_into(view)
        if not count:
            raise SystemExit("the other side has gone")
        view = view[count:]


def end_with(sock: socket.socket) -> None:
    """Ends this process some time after the other side has gone, whatever it does then."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    poll.poll()
    threading.Event().wait(CLOSING_SECONDS)
    os._exit(1)


def main() -> None:
    # The terminal's interrupt is for Douane, which still has to clean up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=end_with, args=(sock,), daemon=True).start()
    helper = Helper(sock)
    # The other side may go in the middle of a command.
    with contextlib.suppress(SystemExit, BrokenPipeError, ConnectionResetError):
        helper.run()
    helper.end()
    os._exit(0)


if __name__ == "__main__":
    main()
