import hashlib

from douane_plugin import Inspector, Reject, Transform


class Count(Inspector):
    def inspect(self, image):
        return {"bytes": sum(len(chunk) for chunk in image)}


class Sha(Inspector):
    def inspect(self, image):
        digest = hashlib.sha256()
        for chunk in image:
            digest.update(chunk)
        return {"256": digest.hexdigest()}


class NoEvil(Inspector):
    def inspect(self, image):
        for part in image.windows(1 << 20, 3):
            if b"EVIL" in bytes(part):
                raise Reject("evil", "there is evil in it")


class Talkative(Inspector):
    """Returns as much as a plugin may."""

    def inspect(self, image):
        for _ in range(100):
            self.warn("long", "\N{GRINNING FACE}" * 1000)
        return {f"p{number}": "\N{GRINNING FACE}" * 4096 for number in range(64)}


class Slow(Inspector):
    """Waits until the test writes a byte into the granted file "gate"."""

    def inspect(self, image):
        import time

        for _ in image:
            pass
        gate = self.grant("gate")
        while not gate.read(1):
            gate.seek(0)
            self.alive()
            time.sleep(0.02)


class Upper(Transform):
    def transform(self, image):
        for chunk in image:
            yield bytes(chunk).upper()
