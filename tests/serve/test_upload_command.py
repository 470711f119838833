"""`douane upload` against the real service, over lines that break, doors that die and credentials of Keystone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.breaking_proxy import BreakingProxy
from support.judged import write_config
from support.open_uploads import opened
from support.processes import SECONDS
from support.program import Program
from support.serve import Serve, serving
from support.terminals import on_a_terminal
from support.waiting import until

DATA = os.urandom(20_000_000)
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("judged")
    with serving(folder / "home", write_config(folder)) as started:
        yield started


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "disk.raw"
    path.write_bytes(DATA)
    return path


def words(*more: str | Path) -> list[str]:
    return [sys.executable, "-m", "douane", "upload", *map(str, more)]


def upload(
    url: str | None, *more: str | Path, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    environment = {**CLEAN, **({} if url is None else {"OS_ENDPOINT": url})}
    environment |= env or {}
    options = {"capture_output": True, "text": True, "timeout": SECONDS, **options}
    return subprocess.run(words(*more), env=environment, check=False, **options)


def content(serve: Serve, image_id: str) -> bytes:
    return serve.client.get(f"/v2/images/{image_id}/file").content


@pytest.mark.parametrize("ways", [(), ("--import",)], ids=["file", "import"])
def test_an_upload_over_ten_broken_lines_is_the_file(judged: Serve, image: Path, ways: tuple[str, ...]) -> None:
    breaks = [len(DATA) * number // 11 for number in range(1, 11)]
    proxy = BreakingProxy(judged.address, breaks)
    ended = upload(proxy.url, image, "--name", "broken", "--property", "a=b", *ways)
    proxy.close()
    assert ended.returncode == 0, ended.stderr
    assert proxy.broken == 10
    document = judged.image(ended.stdout.strip())
    assert (document["status"], document["name"], document["a"]) == ("active", "broken", "b")
    assert content(judged, document["id"]) == DATA
    assert "equal by md5, sha256" in ended.stderr


def test_a_refused_image_ends_with_1_and_its_sentence(judged: Serve, tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"bad" + DATA[:1000])
    for ways in ((), ("--import",)):
        ended = upload(judged.url, tmp_path / "x.raw", *ways)
        assert ended.returncode == 1
        assert "bad: the image says that it is bad" in ended.stdout
        ended = upload(judged.url, tmp_path / "x.raw", "--json", *ways)
        document = json.loads(ended.stdout)
        assert (ended.returncode, document["outcome"], document["code"]) == (1, "refused", "bad")


def test_an_upload_that_was_killed_goes_on_with_its_image(judged: Serve, image: Path) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, length=len(DATA), first=DATA[:7_000_000])
    ended = upload(judged.url, image, "--image", image_id, "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["sums"]["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert document["compared"] == ["md5", "sha256"]
    assert content(judged, image_id) == DATA
    assert judged.client.head(path).headers["upload-complete"] == "?1"


def test_another_file_does_not_go_on_with_an_upload(judged: Serve, image: Path) -> None:
    image_id = judged.create()
    opened(judged, image_id, length=len(DATA) + 1)
    ended = upload(judged.url, image, "--image", image_id)
    assert ended.returncode == 3 and "is of another file" in ended.stderr


def test_a_file_with_other_bytes_that_goes_on_is_noticed_by_its_sums(judged: Serve, tmp_path: Path) -> None:
    image_id = judged.create()
    opened(judged, image_id, length=1000, first=b"w" * 500)
    (tmp_path / "x.raw").write_bytes(b"r" * 1000)
    ended = upload(judged.url, tmp_path / "x.raw", "--image", image_id)
    assert ended.returncode == 3 and "has other bytes than the file" in ended.stderr
    assert not ended.stdout


def test_a_door_that_is_killed_in_the_middle_is_waited_for(judged: Serve, image: Path) -> None:
    killing = threading.Thread(target=lambda: kill_when_bytes_come(judged, proxy))
    proxy = BreakingProxy(judged.address)
    killing.start()
    ended = upload(proxy.url, image)
    killing.join()
    proxy.close()
    assert ended.returncode == 0, ended.stderr
    assert "another attempt in" in ended.stderr
    assert content(judged, ended.stdout.strip()) == DATA


def kill_when_bytes_come(serve: Serve, proxy: BreakingProxy) -> None:
    until("bytes come", lambda: proxy.sent > 3_000_000, pause=0.001)
    serve.kill("douane.api.process.door")


def test_what_comes_from_a_pipe_is_sent_in_one_piece(judged: Serve) -> None:
    ended = upload(judged.url, "-", "--name", "n", "--disk-format", "raw", input=DATA, text=False)
    assert ended.returncode == 0, ended.stderr
    assert content(judged, ended.stdout.decode().strip()) == DATA


def test_a_pipe_over_a_line_that_breaks_is_undecided(judged: Serve) -> None:
    proxy = BreakingProxy(judged.address, [5_000_000])
    ended = upload(proxy.url, "-", "--name", "n", "--disk-format", "raw", input=DATA, text=False)
    proxy.close()
    assert ended.returncode == 3 and b"from a pipe cannot be sent again" in ended.stderr


def test_a_terminal_gets_a_bar_and_a_log_gets_lines(judged: Serve, image: Path, tmp_path: Path) -> None:
    code, text = on_a_terminal(Program(tmp_path), "upload", image, "--url", judged.url)
    assert code == 0 and "━" in text and "upload: 50 %" not in text
    ended = upload(judged.url, image)
    shares = [int(share) for share in re.findall(r"upload: (\d+) % of", ended.stderr)]
    assert shares == sorted(shares) and shares[-1] == 100


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (("missing.raw",), 3, "cannot be read"),
        (("x.unknown",), 2, "--disk-format is needed"),
        (("-", "--disk-format", "raw"), 2, "--name is needed"),
        (("x.raw", "--property", "nonsense"), 2, "is not of the form K=V"),
        (("x.raw", "--property", "os_glance_x=1"), 3, "the image is not made"),
        (("x.raw", "--image", "11111111-1111-4111-8111-111111111111"), 3, "the upload is refused"),
        (("x.raw", "--image", "i", "--name", "n"), 2, "has a name"),
        (("x.raw", "--url", "ftp://x"), 2, "is no URL of an image service"),
        (("x.raw", "--store", "nowhere"), 3, "nowhere"),
    ],
)
def test_what_is_wrong_is_said_with_the_right_exit_code(
    judged: Serve, tmp_path: Path, more: tuple[str, ...], code: int, sentence: str
) -> None:
    for name in ("x.raw", "x.unknown"):
        (tmp_path / name).write_bytes(b"x")
    ended = upload(judged.url, *more, cwd=tmp_path)
    assert ended.returncode == code, ended.stderr
    assert sentence in ended.stderr


def test_a_service_that_is_away_is_given_up_in_time(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"x")
    ended = upload("http://127.0.0.1:1", tmp_path / "x.raw", "--patience", "1", "--json")
    assert ended.returncode == 3
    assert json.loads(ended.stdout)["code"] == "service-away"


def test_without_a_service_the_environment_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"x")
    ended = upload(None, tmp_path / "x.raw")
    assert ended.returncode == 2 and "OS_AUTH_URL" in ended.stderr


def test_a_drained_service_is_waited_for(judged: Serve, tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"x")
    switch = judged.home / "run" / "no-imports"
    switch.touch()
    try:
        ended = upload(judged.url, tmp_path / "x.raw", "--patience", "30")
        # It says 60 seconds, which is longer than anybody here has patience for.
        assert ended.returncode == 3 and "stopped imports" in ended.stderr
    finally:
        switch.unlink()
