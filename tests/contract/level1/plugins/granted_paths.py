import os

from douane_plugin import Inspector


class GrantedPaths(Inspector):
    """A file and a folder, by their paths."""

    reads = "nothing"

    def __init__(self):
        self.lists = self.grant("lists")
        assert self.grant("lists") is self.lists

    def inspect(self, image):
        rules = self.grant("rules")
        with open(rules.path, "rb") as file:
            assert file.read() == rules.read()
        assert rules.name == rules.path
        assert os.fspath(self.lists) == self.lists.path
        lists = []
        for name in ("a", os.path.join("deep", "b")):
            with open(os.path.join(self.lists, name)) as file:
                lists.append(file.read())
        rules.seek(0)
        return {"rules": rules.read().decode(), "lists": ", ".join(lists)}
