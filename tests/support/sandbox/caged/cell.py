"""What the tests run inside a cage: does what it is told over the channel, and tells how that ended."""

import importlib
import os
import sys


def main(channel: int) -> None:
    """Answer orders, each a line of JSON: [function, *arguments]. Ends when the channel does."""
    import json

    import attacks

    while True:
        line = b""
        while not line.endswith(b"\n"):
            more = os.read(channel, 1 << 16)
            if not more:
                os._exit(0)
            line += more
        name, *arguments = json.loads(line)
        module, _, function = name.rpartition(".")
        where = importlib.import_module(module) if module else attacks
        try:
            answer = {"returned": getattr(where, function)(*arguments)}
        except OSError as error:
            answer = {"refused": error.errno, "text": str(error)}
        except BaseException as error:  # the test decides what it means
            answer = {"raised": type(error).__name__, "text": str(error)}
        try:
            os.write(channel, json.dumps(answer, default=str).encode() + b"\n")
        except OSError:
            sys.exit(0)
