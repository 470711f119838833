"""A command that reads an image says so when what it was to read has no end, instead of reading for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from douane.cli.main import douane
from douane.engine import PlanError, open_source
from douane.errors import DouaneError


@pytest.mark.parametrize(
    "words",
    [
        "ls IMAGE",
        "cat IMAGE /etc/hostname",
        "sbom IMAGE",
        "inspect IMAGE",
        "inspect --guest IMAGE",
        "check IMAGE",
        "import IMAGE",
        "verify IMAGE /dev/null --key KEY",
        "upload IMAGE --disk-format raw --url http://localhost:1",
    ],
)
def test_a_device_without_an_end_is_refused_by_every_command(words: str, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    arguments = words.replace("IMAGE", "/dev/zero").replace("KEY", str(key)).split()
    result = CliRunner().invoke(douane, arguments, env={"DOUANE_HOME": str(tmp_path / "home")})
    assert isinstance(result.exception, DouaneError)
    assert "/dev/zero is a character device, which has no end" in str(result.exception)


def test_standard_input_that_has_no_end_is_refused_and_the_null_device_is_empty() -> None:
    saved = os.dup(0)
    try:
        with open("/dev/urandom", "rb") as endless, open("/dev/null", "rb") as empty:
            os.dup2(endless.fileno(), 0)
            with pytest.raises(PlanError, match="standard input is a character device, which has no end"):
                open_source("-")
            os.dup2(empty.fileno(), 0)
            assert open_source("-").size is None
    finally:
        os.dup2(saved, 0)
        os.close(saved)
