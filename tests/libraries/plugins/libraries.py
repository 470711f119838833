"""Plugins that each use one library as operators do. None needs a grant or another key."""

import io
import os

from douane_plugin import Inspector

TEMPORARY = os.environ["TMPDIR"]


class Cel(Inspector):
    """A policy in the Common Expression Language."""

    def inspect(self, image):
        import celpy

        environment = celpy.Environment()
        program = environment.program(environment.compile("size <= 100 && format in ['raw', 'qcow2']"))
        facts = celpy.json_to_cel({"size": sum(map(len, image)) // 2**20, "format": image.disk_format or "raw"})
        return {"allowed": bool(program.evaluate(facts))}


class Duckdb(Inspector):
    """A query over a table in a file."""

    def inspect(self, image):
        import duckdb

        with duckdb.connect(os.path.join(TEMPORARY, "facts.duckdb")) as connection:
            connection.execute("create table blocks as select range as number from range(100000)")
            (rows,) = connection.execute("select count(*) from blocks").fetchone()
        return {"rows": rows}


class Sqlalchemy(Inspector):
    """An ORM's engine on SQLite, in memory and in a file."""

    reads = "nothing"

    def inspect(self, image):
        import sqlalchemy as sa

        for url in ("sqlite://", f"sqlite:///{TEMPORARY}/facts.sqlite"):
            with sa.create_engine(url).begin() as connection:
                connection.execute(sa.text("create table facts (name text)"))
                connection.execute(sa.text("insert into facts values ('a')"))


class Dissect(Inspector):
    """The partitions of a disk, read at random."""

    reads = "random"

    def inspect(self, image):
        from dissect.target.containers.raw import RawContainer
        from dissect.volume.disk import Disk

        disk = Disk(RawContainer(image.file))
        return {"partitions": len(disk.partitions)}


class Telemetry(Inspector):
    """Spans and metrics with OpenTelemetry, which asks the process and its cgroup who they are."""

    reads = "nothing"

    def inspect(self, image):
        from opentelemetry.sdk.resources import ProcessResourceDetector, get_aggregated_resources
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

        provider = TracerProvider(resource=get_aggregated_resources([ProcessResourceDetector()]))
        text = io.StringIO()
        provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=text)))
        with provider.get_tracer("site").start_as_current_span("inspect"):
            pass
        provider.shutdown()
        return {"spans": text.getvalue().count('"name": "inspect"')}


class Psutil(Inspector):
    """The process about itself."""

    reads = "nothing"

    def inspect(self, image):
        import psutil

        process = psutil.Process()
        return {"facts": process.memory_info().rss > 0 and process.num_threads() > 0 and psutil.cpu_count() > 0}


class Numpy(Inspector):
    """The entropy of the image, with the threads of BLAS."""

    def inspect(self, image):
        import numpy as np

        counts = np.zeros(256)
        for chunk in image:
            counts += np.bincount(np.frombuffer(chunk, dtype=np.uint8), minlength=256)
        square = np.random.default_rng(1).random((200, 200))
        shares = counts[counts > 0] / counts.sum()
        return {"entropy": float(-shares @ np.log2(shares)), "threads": bool((square @ square).any())}


class Pandas(Inspector):
    """A table of findings, to a file and back."""

    reads = "nothing"

    def inspect(self, image):
        import pandas as pd

        path = os.path.join(TEMPORARY, "table.csv")
        pd.DataFrame({"when": pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin")}).to_csv(path)
        return {"rows": len(pd.read_csv(path))}


class Parsers(Inspector):
    """Text formats and schemas."""

    reads = "nothing"

    def inspect(self, image):
        import jsonschema
        import pydantic
        import yaml
        from lxml import etree

        class Policy(pydantic.BaseModel):
            formats: list[str]

        policy = Policy(**yaml.safe_load("formats: [raw]"))
        jsonschema.validate({"a": 1}, {"type": "object", "properties": {"a": {"type": "integer"}}})
        etree.fromstring(b"<a><b/></a>")
        return {"formats": len(policy.formats)}


class Signatures(Inspector):
    """A signature over the image's digest."""

    def inspect(self, image):
        import hashlib

        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        digest = hashlib.sha256()
        for chunk in image:
            digest.update(chunk)
        key = Ed25519PrivateKey.generate()
        key.public_key().verify(key.sign(digest.digest()), digest.digest())


class Standard(Inspector):
    """Python's own library where it looks outside: zones, certificates, types, users, archives, mail."""

    reads = "nothing"

    def inspect(self, image):
        import getpass
        import locale
        import mimetypes
        import platform
        import shutil
        import ssl
        import tempfile
        import zoneinfo
        from ctypes.util import find_library

        locale.setlocale(locale.LC_ALL, "")
        find_library("z")
        mimetypes.guess_type("disk.qcow2")
        platform.freedesktop_os_release()
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "a"), "w") as file:
                file.write("a")
            shutil.unpack_archive(shutil.make_archive(folder + "x", "gztar", folder), os.path.join(folder, "again"))
        return {
            "zones": len(zoneinfo.available_timezones()) > 100,
            "authorities": ssl.create_default_context().cert_store_stats()["x509_ca"] > 0,
            "user": getpass.getuser(),
        }


class Pools(Inspector):
    """Threads and processes beside each other; needs the key `processes`."""

    reads = "nothing"

    def inspect(self, image):
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
        from multiprocessing.pool import ThreadPool

        with ThreadPoolExecutor(4) as threads:
            results = sum(threads.map(abs, range(-10, 0)))
        with ThreadPool(4) as threads:
            results += sum(threads.map(abs, range(-10, 0)))
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(4, mp_context=context) as processes:
            results += sum(processes.map(abs, range(-10, 0)))
        with context.Pool(2) as pool:
            results += sum(pool.map(abs, range(-10, 0)))
        return {"results": results}
