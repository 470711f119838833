"""Plugins that say what they were told."""

from douane_plugin import Inspector, Reject


class Told(Inspector):
    """Its settings, each type that there is; texts as hexadecimal digits, so that every text can be told."""

    reads = "nothing"

    def __init__(self, text: str = "", number: int = 0, part: float = 0.5, sure: bool = False):
        self.told = {"text": text.encode().hex(), "number": number, "part": part, "sure": sure}

    def inspect(self, image):
        self.warn("said", "a warning")
        return self.told


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
