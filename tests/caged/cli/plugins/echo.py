"""Plugins that report their configuration and the declared facts."""

from douane_plugin import Inspector, Reject


class Echo(Inspector):
    """Report its settings, one of each type; a text as hexadecimal digits, so that every text is valid."""

    reads = "nothing"

    def __init__(self, text: str = "", number: int = 0, part: float = 0.5, sure: bool = False):
        self.settings = {"text": text.encode().hex(), "number": number, "part": part, "sure": sure}

    def inspect(self, image):
        self.warn("said", "a warning")
        return self.settings


class Picky(Inspector):
    """Refuses what begins so."""

    reads = "head:16"

    def __init__(self, begins: str):
        self.begins = begins.encode()

    def inspect(self, image):
        if image.read(len(self.begins)) == self.begins:
            raise Reject("begins-so", f"the image begins with {self.begins!r}; send another one")


class Property(Inspector):
    """What was declared for the image, and its name."""

    reads = "nothing"

    def inspect(self, image):
        return {"name": image.name or "", "colour": image.properties.get("colour", "")}
