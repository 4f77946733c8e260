"""Several processes and interruptions: one transfer, nothing half-installed, settings taken from the environment."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.fake_hub import COMMIT, REPO, FakeHub, Published
from support.tiny_model import PTH, entry_for, finish, verdict_on

from hatcli.models import catalog, download, store

FETCH = """
import dataclasses, sys
from hatcli.errors import HatError
from hatcli.models import catalog, download
repo, revision, size, sha256 = sys.argv[1:]
source = catalog.WebSource(repo=repo, revision=revision, path="HAT/tiny.pth")
entry = dataclasses.replace(catalog.resolve("hat-s", scale=2), id="tiny-x2", filename="tiny.pth",
    size=int(size), sha256=sha256, parameters=None, sources=(source,))
try:
    for event in download.fetch(entry):
        print(event.stage, event.done, flush=True)
except HatError as error:
    print(error.message, file=sys.stderr)
    sys.exit(error.exit_code)
except KeyboardInterrupt:
    sys.exit(130)
"""


def _start(hub: FakeHub, *, before: str = "", **variables: str) -> subprocess.Popen[str]:
    """Another process that fetches the tiny model from the fake Hub, found by its environment alone."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(catalog.__file__).parents[2]),
        "HF_ENDPOINT": hub.url() + "/",
        "HF_HOME": str(store.root().parent / "hf-home"),
        "OMP_NUM_THREADS": "1",
        **variables,
    }
    arguments = [REPO, COMMIT, str(len(PTH)), hashlib.sha256(PTH).hexdigest()]
    return subprocess.Popen(
        [sys.executable, "-c", before + FETCH, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, told = process.communicate(timeout=120)
    return process.returncode, told


def test_the_environment_variables_of_the_hub_are_honoured_and_no_telemetry_is_sent(
    hub: FakeHub, tiny: Published
) -> None:
    tiny.token = "Bearer hf_from_home"
    token = store.root().parent / "hf-home" / "token"
    token.parent.mkdir(parents=True)
    token.write_text("hf_from_home")
    assert _end(_start(hub, HF_HUB_OFFLINE="1"))[0] == 3
    assert hub.seen == []
    assert _end(_start(hub)) == (0, "")
    assert catalog.installed_path(entry_for(PTH)) is not None
    assert {seen.path for seen in hub.seen} == {f"/{REPO}/resolve/{COMMIT}/HAT/tiny.pth"}


def test_four_processes_at_once_make_one_transfer(hub: FakeHub, tiny: Published) -> None:
    tiny.chunk_pause = 0.01
    ends = [_end(process) for process in [_start(hub) for _ in range(4)]]
    assert ends == [(0, "")] * 4
    assert len(hub.bodies()) == 1
    assert verdict_on(entry_for(PTH)) == "intact"


@pytest.mark.skipif(sys.platform == "win32", reason="no signals between processes")
@pytest.mark.parametrize(("how", "status"), [("SIGINT", 130), ("SIGKILL", -9)])
def test_ctrl_c_or_a_kill_leaves_nothing_half_installed_and_the_next_run_goes_on(
    hub: FakeHub, tiny: Published, how: str, status: int
) -> None:
    tiny.chunk_pause = 0.1
    process = _start(hub)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("downloading") and int(line.split()[1]) > 8000:
            break
    process.send_signal(getattr(signal, how))
    assert _end(process) == (status, "")
    entry = entry_for(PTH)
    assert catalog.installed_path(entry) is None
    kept = download.kept_bytes(entry)
    assert 0 < kept < len(PTH)
    tiny.chunk_pause, hub.seen = 0.0, []
    finish(entry)
    assert [seen.range for seen in hub.bodies()] == [f"bytes={kept}-"]


def test_closing_the_generator_frees_the_lock_and_keeps_what_arrived(hub: FakeHub, tiny: Published) -> None:
    fetching = download.fetch(entry_for(PTH))
    while next(fetching).done < 10_000:
        pass
    fetching.close()
    assert download.kept_bytes(entry_for(PTH)) >= 10_000
    finish(entry_for(PTH))


def test_waiting_for_another_process_is_reported(hub: FakeHub, tiny: Published) -> None:
    first = download.fetch(entry_for(PTH))
    next(first)
    second = download.fetch(entry_for(PTH))
    assert next(second).stage == "waiting"
    for _ in first:
        pass
    for _ in second:
        pass
    assert len(hub.bodies()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits")
def test_a_disk_that_fills_up_during_the_transfer_ends_with_exit_code_5_and_nothing_installed(
    hub: FakeHub, tiny: Published
) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))"
    status, told = _end(_start(hub, before=limit))
    assert status == 5, told
    assert "cannot write" in told
    assert catalog.installed_path(entry_for(PTH)) is None
