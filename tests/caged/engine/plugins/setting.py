"""Plugins that set properties of the image itself, and that go by what others found."""

from douane_plugin import Inspector, Reject, Transform


class Sets(Inspector):
    reads = "nothing"

    def __init__(self, name: str, value: str = "x", remove: bool = False):
        self.name, self.value = name, None if remove else value

    def inspect(self, image):
        self.propose(self.name, self.value)


class SetsMany(Inspector):
    reads = "nothing"

    def inspect(self, image):
        for number in range(65):
            self.propose(f"hw_{number}", number)


class Makes(Transform):
    def transform(self, image):
        self.propose("hw_made", True)
        for chunk in image:
            yield bytes(chunk)


class Finds(Inspector):
    def inspect(self, image):
        size = sum(len(chunk) for chunk in image)
        return {"size": size, "big": size > 1000}


class GoesBy(Inspector):
    """Accepts what others found to be big, tells who sent it."""

    reads = "findings"

    def __init__(self, finding: str = "finds.big"):
        self.finding = finding

    def inspect(self, image):
        if self.finding not in image.findings:
            raise Reject("not-found", f"nobody found {self.finding}, but {sorted(image.findings)}")
        if not image.findings[self.finding]:
            raise Reject("too-small", "the image is too small")
        self.propose("os_owner", f"{image.owner} {','.join(image.roles)}")
        return {"went_by": len(image.findings)}


class Looks(Inspector):
    """Reads, so it is told nothing of what others found."""

    def inspect(self, image):
        assert not image.findings
        list(image)
