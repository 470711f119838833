"""`make formats`: what it counts is what the tools say, and its exit code is Douane's thresholds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parents[3]
HEAD = "file\ttrue_format\tverdict\twhy\n"
Compare = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    """``compare({file: (bytes, true_format, verdict)})``: exit code and JSON, of an archive or an unpacked folder."""

    def go(images: dict[str, tuple[bytes, str, str]], *, packed: bool = False) -> tuple[int, dict[str, Any]]:
        folder = tmp_path / "corpus" / "some"
        folder.mkdir(parents=True)
        lines = [HEAD]
        for name, (data, true_format, verdict) in images.items():
            (folder / name).write_bytes(data)
            lines.append(f"{name}\t{true_format}\t{verdict}\ta test\n")
        (tmp_path / "corpus" / "some.manifest.tsv").write_text("".join(lines))
        if packed:
            with (tmp_path / "corpus" / "some.tar.zst").open("wb") as archive:
                tar = subprocess.run(["tar", "c", "-C", folder, "."], stdout=subprocess.PIPE, check=True).stdout
                subprocess.run(["zstd", "-q"], input=tar, stdout=archive, check=True)
            folder.rename(tmp_path / "elsewhere")
        output = tmp_path / "told.json"
        words = [sys.executable, "-m", "bench.formats", "--corpus", str(tmp_path / "corpus"), "--json", str(output)]
        process = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=False)
        assert process.returncode in (0, 1), process.stderr
        return process.returncode, json.loads(output.read_text())

    return go


@pytest.mark.parametrize("packed", [False, True], ids=["unpacked", "packed"])
def test_right_answers_are_counted(compare: Compare, qemu_img: Callable[..., bytes], packed: bool) -> None:
    good = qemu_img("qcow2")
    images = {"good.qcow2": (good, "qcow2", "safe"), "text": (b"x" * 5000, "raw", "safe")}
    status, results = compare(images, packed=packed)
    assert (status, results["images"], results["missed"], results["disagreements"]) == (0, 2, [], [])
    for tool in results["tools"].values():
        assert (tool["detected"], tool["asked"], tool["uncaught"]) == (2, 2, 0)
    assert results["tools"]["douane"]["sizes"] == {"right": 2}


def test_passed_unsafe_image_fails_the_command(compare: Compare, qemu_img: Callable[..., bytes]) -> None:
    status, results = compare({"good.qcow2": (qemu_img("qcow2"), "qcow2", "unsafe")})
    assert status == 1
    assert results["tools"]["douane"]["verdicts"] == {"unsafe passed": 1}
    assert results["disagreements"][0]["faults"] == ["unsafe passed"]


def test_refused_safe_image_fails_the_command(compare: Compare, qemu_img: Callable[..., bytes]) -> None:
    marked = bytearray(qemu_img("qcow2"))
    marked[79] |= 2  # corrupt, which only Douane looks at
    status, results = compare({"marked.qcow2": (bytes(marked), "qcow2", "safe")})
    assert status == 1
    assert {name: dict(tool["verdicts"]) for name, tool in results["tools"].items()} == {
        "douane": {"safe refused": 1},
        "oslo": {"safe passed": 1},
        "qemu": {"safe passed": 1},
    }


def test_exception_of_a_tool_is_counted(compare: Compare) -> None:
    text = b"an ordinary text\n" * 40 + "é".encode()
    status, results = compare({"text": (text, "raw", "safe")})
    assert status == 0
    assert {name: tool["uncaught"] for name, tool in results["tools"].items()} == {"douane": 0, "oslo": 1, "qemu": 0}


def test_missing_images_are_reported(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "bench.formats", "--corpus", str(tmp_path)]
    process = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "manifest" in process.stderr
