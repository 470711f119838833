from douane_plugin import Inspector, Reject


class Documents(Inspector):
    reads = "head:4"

    def __init__(self, refuse: bool = False):
        self.refuse = refuse

    def inspect(self, image):
        packages = [{"name": "bash", "bytes": 1 << 63, "ratio": 0.5, "of": None}]
        self.attach("packages", packages)
        packages.clear()
        self.attach("notes", "first")
        self.attach("notes", {"head": image.read(4).hex(), "deep": [[["é", True]]]})
        if self.refuse:
            raise Reject("unwanted", "the image has packages")
