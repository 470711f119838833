import sys

from douane_plugin import Defer, Incomplete, Inspector, Reject


class Answers(Inspector):
    """Every way to end."""

    reads = "head:16"

    def __init__(self, answer: str):
        self.answer = answer
        if answer == "bad-value":
            raise ValueError("answer may not be bad-value")
        if answer == "no-start":
            raise RuntimeError("the rules are not there")

    def inspect(self, image):
        image.read(3)
        if self.answer == "reject":
            said = Reject("a-code_1.2", "why, and what to do")
            assert (said.code, said.message) == ("a-code_1.2", "why, and what to do")
            raise said
        if self.answer == "incomplete":
            said = Incomplete("not-all", "it could not be opened")
            assert (said.code, said.message) == ("not-all", "it could not be opened")
            raise said
        if self.answer == "defer":
            said = Defer(2.5, "the rules are loading")
            assert (said.retry_after, said.message, said.code) == (2.5, "the rules are loading", "deferred")
            raise said
        if self.answer == "exit":
            sys.exit(0)
        if self.answer == "crash":
            raise RuntimeError("a fault of mine")
        if self.answer == "true":
            return True
        if self.answer == "outside":
            return {"other.key": 1}
        if self.answer == "prefixed":
            return {"recorded.key": 1}
        return None


class Wrongly(Inspector):
    """What the contract says raises ValueError does so."""

    reads = "head:100"

    def inspect(self, image):
        raised = []
        for number, wrong in enumerate(
            (
                lambda: Reject("Not A Code", "text"),
                lambda: Reject("code", ""),
                lambda: Incomplete("", "text"),
                lambda: Defer(0, "text"),
                lambda: self.warn("Not A Code", "text"),
                lambda: self.propose("no name", 1),
                lambda: self.propose("name", []),
                lambda: image.read(-1),
                lambda: image.windows(4, overlap=4),
                lambda: image.windows(0),
                lambda: image.file,
                lambda: image.path,
                lambda: image.becomes(disk_format="raw"),
                lambda: image.unchanged(),
            )
        ):
            try:
                wrong()
            except ValueError:
                raised.append(number)
        return {"raised": len(raised)}
