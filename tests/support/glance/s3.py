"""An S3 service for the tests: moto's server, which keeps its buckets in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .environments import Environment
from .processes import ServerProcess, answers, free_port

BUCKET = "images"
PART_BYTES = 5 << 20
"""The smallest part that S3 takes."""


class S3:
    """A service on loopback, which takes any user's word."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        argv = [Environment("clients").program("moto_server"), "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = ServerProcess(argv, folder / "s3.log", {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"})

    def start(self) -> None:
        """Start it. Raises DidNotStart."""
        self._process.start(lambda: answers("127.0.0.1", self.port))

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()

    def store_options(self) -> Mapping[str, str]:
        """The options of a store of Glance's that uploads in parts whatever is longer than a part."""
        return {
            "s3_store_host": f"http://127.0.0.1:{self.port}",
            "s3_store_access_key": "any",
            "s3_store_secret_key": "any",
            "s3_store_bucket": BUCKET,
            "s3_store_create_bucket_on_put": "true",
            "s3_store_bucket_url_format": "path",
            "s3_store_large_object_size": str(PART_BYTES >> 20),
            "s3_store_large_object_chunk_size": str(PART_BYTES >> 20),
        }

    def has_begun(self, image: str) -> bool:
        """True if an upload in parts was ever begun for `image`."""
        return f'"POST /{BUCKET}/{image}?uploads' in self._process.tail(10_000_000)

    def unfinished(self) -> list[str]:
        """The keys of the uploads that were begun, and neither completed nor ended."""
        uploads = self._client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
        return [upload["Key"] for upload in uploads]

    def data(self, image: str) -> bytes:
        """The bytes of the object `image`."""
        data: bytes = self._client().get_object(Bucket=BUCKET, Key=image)["Body"].read()
        return data

    def _client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
