"""The processor time of an upload into an object store, against boto3's for the same bytes in the same parts.

Both write random bytes in pieces of 1 MiB, as they come out of a ring, in parts of 8 MiB, four at a time, over plain
HTTP to a server that discards them. Ours does not sign the bytes, as it does over TLS; boto3 works as it does by
default.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from bench.driving import WrongOutcome
from bench.harness import MiB, Row, Settings, in_turn, medians

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from support.glance.environments import Environment  # the folder is added above

OURS = """
import resource, sys, uuid
from douane.stores import open_store
port, credentials, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store("s3://bucket/images", {
    "endpoint": f"http://127.0.0.1:{port}", "credentials_file": credentials, "unsigned_payload": True})
piece = memoryview(__import__("random").Random(1).randbytes(1 << 20))
store.identity()
def seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
before = seconds()
staged = store.stage(str(uuid.uuid4()))
for offset in range(0, size, len(piece)):
    staged.write(piece, offset)
staged.finish(size)
store.publish(staged, str(uuid.uuid4()))
print(seconds() - before)
"""
BOTO3 = """
import resource, sys, uuid
import boto3
from boto3.s3.transfer import TransferConfig
port, size = sys.argv[1], int(sys.argv[3])
client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
    aws_access_key_id="key", aws_secret_access_key="secret")
piece = __import__("random").Random(1).randbytes(1 << 20)
class Source:
    left = size
    def read(self, count=-1):
        pieces = []
        while self.left and (count < 0 or count > 0):
            part = piece[:min(len(piece), self.left, count if count > 0 else len(piece))]
            pieces.append(part)
            self.left -= len(part)
            count -= len(part)
        return b"".join(pieces)
def seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
before = seconds()
config = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20, max_concurrency=4)
client.upload_fileobj(Source(), "bucket", str(uuid.uuid4()), Config=config)
print(seconds() - before)
"""


def measure(settings: Settings) -> list[Row]:
    """The row of the object store."""
    size = settings.size(1024 * MiB, 64 * MiB)
    credentials = settings.directory / f"credentials-{uuid.uuid4()}"
    credentials.write_text("[default]\naws_access_key_id = key\naws_secret_access_key = secret\n")
    with _server() as port:
        runs = {
            "ours": lambda: _run(sys.executable, OURS, port, credentials, size),
            "boto3": lambda: _run(Environment("clients").program("python"), BOTO3, port, credentials, size),
        }
        samples = in_turn(settings.times(5), runs)
    credentials.unlink()
    middle = medians(samples)
    what = f"upload of {size // MiB} MiB into an object store, processor time"
    return [Row(what, middle["ours"], middle["boto3"], "boto3", "s", max_ratio=0.25, samples=samples)]


@contextlib.contextmanager
def _server() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-m", "bench.machines.discarding_s3"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def _run(python: str, program: str, port: int, credentials: Path, size: int) -> float:
    ended = subprocess.run(
        [python, "-c", program, str(port), str(credentials), str(size)], check=False, capture_output=True, text=True
    )
    if ended.returncode:
        raise WrongOutcome(f"an upload failed: {ended.stderr[-1000:]}")
    return float(ended.stdout)
