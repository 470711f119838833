"""Plugins that use granted files and folders by path, with the libraries of operators."""

import os

from douane_plugin import Inspector, Reject


class Looks(Inspector):
    """Publishes what it sees of its grants `data` (a folder) and `file`."""

    reads = "nothing"

    def inspect(self, image):
        folder, file = self.grant("data"), self.grant("file")
        with open(file.path, "rb") as again:
            same = again.read() == file.read()
        with open(os.path.join(folder, "text")) as named:
            text = named.read()
        return {
            "folder": folder.path,
            "names": " ".join(sorted(os.listdir(folder))),
            "text": text,
            "file": file.path,
            "name": file.name,
            "same": same,
        }


class OnlyContent(Inspector):
    """Reads a file of the system, which has no path here."""

    reads = "nothing"

    def inspect(self, image):
        try:
            path = self.grant("file").path
        except LookupError as error:
            path = str(error)
        return {"content": self.grant("file").read().decode(), "path": path, "name": self.grant("file").name}


class Magic(Inspector):
    """The type of the image, by python-magic and its compiled rules."""

    reads = "head:4096"

    def inspect(self, image):
        import magic

        return {"type": magic.Magic(magic_file=self.grant("rules").path, mime=True).from_buffer(image.read(4096))}


class Yara(Inspector):
    """Refuse what the rules of a folder find; they include each other."""

    def inspect(self, image):
        import yara

        folder = self.grant("rules").path
        names = [name for name in os.listdir(folder) if name.endswith(".yar")]
        rules = yara.compile(filepaths={name: f"{folder}/{name}" for name in names})
        matches = rules.match(data=image.read(1 << 20))
        if matches:
            raise Reject("rule", f"the rule {matches[0].rule} finds something")
        return {"rules": sum(1 for _ in rules)}


class Listed(Inspector):
    """Accept names that a database lists."""

    reads = "nothing"

    def inspect(self, image):
        import sqlite3

        path = os.path.join(self.grant("lists"), "allowed.db")
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            if not connection.execute("select 1 from allowed where name = ?", (image.name,)).fetchone():
                raise Reject("not-listed", "no image of this name is allowed")


class FollowsLink(Inspector):
    """Opens a link that leads out of its folder."""

    reads = "nothing"

    def inspect(self, image):
        with open(os.path.join(self.grant("data"), "link")) as file:
            self.log.info(file.read())


class Scans(Inspector):
    """Runs gpgv on the image and a granted signature."""

    reads = "random"

    def inspect(self, image):
        import subprocess

        words = ["gpgv", "--keyring", self.grant("keys").path, self.grant("signature").path, image.path]
        done = subprocess.run(words, check=False, capture_output=True, text=True, pass_fds=[image.file.fileno()])
        if done.returncode:
            raise Reject("signature", f"it is not signed: {done.stderr.splitlines()[-1]}")
