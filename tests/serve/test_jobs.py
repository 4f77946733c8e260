"""Jobs by HTTP: from upload to result, cancelled, retried, moved, removed, previewed, streamed."""

from __future__ import annotations

import io
import json
import re
import socket
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.serving import Serving, png, size_of, until

JOBS = "/api/v1/jobs"


class Stream:
    """A line on which events come."""

    def __init__(self, server: Serving, last: str | None = None) -> None:
        self.line = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        again = "" if last is None else f"Last-Event-ID: {last}\r\n"
        head = f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n{again}\r\n"
        self.line.sendall(head.encode())
        self.text = b""

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.line.close()

    def read(self, wanted: str) -> list[tuple[str, str, Any]]:
        """All events so far, when one of them holds this text: id, kind, data."""
        while wanted.encode() not in self.text:
            piece = self.line.recv(65536)
            assert piece, self.text
            self.text += piece
        found = re.findall(rb"id: (\d+)\nevent: (\w+)\ndata: (\{.*\})\n\n", self.text)
        return [(number.decode(), kind.decode(), json.loads(data)) for number, kind, data in found]


def test_a_picture_comes_back_larger_and_everything_known_is_told(server: Serving) -> None:
    answer = server.submit(png(20, 10), name="photo.png", scale="3", format="webp", lossless=1)
    assert answer.status == 202
    job = answer.json
    assert (job["source_width"], job["source_height"], job["width"], job["height"]) == (20, 10, 60, 30)
    assert job["output"] == "photo_x3.webp"
    done = server.wait(job["id"])
    assert done["model"] == "hat-t"
    assert done["done"] == 1.0
    assert done["created"] <= done["started"] <= done["ended"]
    result = server.ask("GET", f"{JOBS}/{job['id']}/result")
    assert result.headers["content-type"] == "image/webp"
    assert done["result_bytes"] == len(result.body)
    assert size_of(result.body) == (60, 30)
    part = server.ask("GET", f"{JOBS}/{job['id']}/result", headers={"Range": "bytes=4-11"})
    assert part.status == 206
    assert part.body == result.body[4:12]


def test_the_result_is_that_of_the_command_line(server: Serving, tmp_path: Path) -> None:
    import hatcli
    from hatcli.upscaling.size import Target

    content = png(40, 30, seed=3)
    (tmp_path / "in.png").write_bytes(content)
    hatcli.load("hat-t", device="cpu").upscale(tmp_path / "in.png", Target(scale=2.0)).save(tmp_path / "out.png")
    id = server.submit(content, model="hat-t").json["id"]
    server.wait(id)
    with Image.open(io.BytesIO(server.ask("GET", f"{JOBS}/{id}/result").body)) as served:
        assert np.array_equal(np.asarray(served), np.asarray(Image.open(tmp_path / "out.png")))


def test_a_running_job_is_left_at_its_next_tile_and_can_be_tried_again(server: Serving) -> None:
    id = server.submit(png(500, 400), tile=64).json["id"]
    next_one = server.submit(png()).json["id"]
    server.wait(id, "running")
    cancelled = server.ask("POST", f"{JOBS}/{id}/cancel")
    assert cancelled.json["state"] == "cancelled"
    assert server.ask("POST", f"{JOBS}/{id}/cancel").status == 409
    assert server.ask("GET", f"{JOBS}/{id}/result").status == 409
    server.wait(next_one)
    assert server.ask("POST", f"{JOBS}/{id}/retry").json["state"] == "queued"
    assert server.ask("DELETE", f"{JOBS}/{id}").json["state"] == "cancelled"
    assert server.ask("DELETE", f"{JOBS}/{id}").status == 204
    assert server.ask("GET", f"{JOBS}/{id}").status == 404


def test_removal_leaves_no_file(server: Serving, place: Path) -> None:
    id = server.submit(png()).json["id"]
    server.wait(id)
    server.ask("GET", f"{JOBS}/{id}/thumbnail")
    assert (place / "state" / "jobs" / id).is_dir()
    assert server.ask("DELETE", f"{JOBS}/{id}").status == 204
    assert not (place / "state" / "jobs" / id).exists()


def test_moved_jobs_run_in_their_new_order(server: Serving) -> None:
    busy = server.submit(png(400, 400), tile=64).json["id"]
    server.wait(busy, "running")
    first, second, third = (server.submit(png(), name=f"{number}.png").json["id"] for number in range(3))
    assert server.ask("POST", f"{JOBS}/{third}/move", json.dumps({"before": first})).status == 200
    assert server.ask("POST", f"{JOBS}/{first}/move", json.dumps({"before": None})).status == 200
    waiting = [job["id"] for job in server.jobs().values() if job["state"] == "queued"]
    assert waiting == [third, second, first]
    server.ask("POST", f"{JOBS}/{busy}/cancel")
    began = [server.wait(id)["started"] for id in (third, second, first)]
    assert began == sorted(began)


def test_a_preview_goes_before_the_queue_and_is_the_piece_of_the_picture(server: Serving) -> None:
    busy = server.submit(png(400, 400, seed=5), tile=64).json["id"]
    server.wait(busy, "running")
    waiting = server.submit(png(300, 300)).json["id"]
    preview = server.ask("POST", "/api/v1/previews", job=busy, scale=2, model="hat-t", x=390, y=7, size=32)
    assert preview.status == 202
    assert server.ask("GET", f"{JOBS}/{preview.json['id']}").json["position"] < server.job(waiting)["position"]
    server.ask("POST", f"{JOBS}/{busy}/cancel")
    assert server.wait(preview.json["id"])["started"] < server.wait(waiting)["started"]
    with Image.open(io.BytesIO(server.ask("GET", f"{JOBS}/{preview.json['id']}/view/source").body)) as piece:
        whole = Image.open(io.BytesIO(png(400, 400, seed=5)))
        assert np.array_equal(np.asarray(piece.convert("RGB")), np.asarray(whole.crop((368, 7, 400, 39))))
    assert size_of(server.ask("GET", f"{JOBS}/{preview.json['id']}/view/result").body) == (64, 64)


def test_the_zip_holds_results_of_equal_names_apart(server: Serving) -> None:
    ids = [
        server.submit(png(seed=number), name=name).json["id"] for number, name in enumerate(["p.png", "P.png", "p.png"])
    ]
    for id in ids:
        server.wait(id)
    answer = server.ask("GET", f"{JOBS}/zip", ids=",".join(ids))
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len({name.lower() for name in names}) == 3
        for id, name in zip(ids, names, strict=True):
            assert archive.read(name) == server.ask("GET", f"{JOBS}/{id}/result").body


def test_events_tell_a_jobs_whole_life_and_are_replayed(server: Serving) -> None:
    with Stream(server) as stream:
        assert stream.read("hello")[0][1:] == ("hello", {"reset": False})
        id = server.submit(png(300, 200), tile=64).json["id"]
        server.wait(id)
        events = [event for event in stream.read('"state": "done"') if event[2].get("id") == id]
    states = [data["state"] for _, _, data in events]
    assert states[0] == "queued"
    assert states[-1] == "done"
    assert set(states) == {"queued", "running", "done"}
    assert any(data["tiles"] > 1 and 0 < data["done"] < 1 for _, _, data in events)
    numbers = [int(number) for number, _, _ in events]
    assert numbers == sorted(set(numbers))
    server.ask("DELETE", f"{JOBS}/{id}")
    with Stream(server, last=events[0][0]) as again:
        told = [(kind, data) for _, kind, data in again.read("removed") if data.get("id") == id]
    replayed = [(kind, data["state"] if kind == "job" else kind) for kind, data in told]
    assert replayed == [*(("job", state) for state in states[1:]), ("removed", "removed")]


@pytest.mark.parametrize("last", ["1", "99999999999999999", "x", "-1", "9" * 400])
def test_who_was_away_for_too_long_is_told_to_begin_anew(server: Serving, last: str) -> None:
    with Stream(server, last=last) as stream:
        assert stream.read("hello")[0][2] == {"reset": True}


def test_listeners_that_vanish_are_forgotten(server: Serving) -> None:
    def listeners() -> int:
        text = server.ask("GET", "/api/v1/metrics").body.decode()
        return int(text.split("\nhat_event_streams ")[1].split()[0])

    before = listeners()
    streams = [Stream(server) for _ in range(20)]
    for stream in streams:
        stream.read("hello")
    assert listeners() >= before + 20
    for stream in streams:
        stream.line.close()
    until(lambda: listeners() <= before)


def test_a_listener_that_does_not_read_holds_nobody_up(server: Serving) -> None:
    stream = Stream(server)
    stream.read("hello")
    ids = [server.submit(png(), name=f"{number}.png").json["id"] for number in range(5)]
    assert [server.wait(id)["state"] for id in ids] == ["done"] * 5
    stream.line.close()


def test_readers_that_do_not_read_hold_nobody_up_and_cost_no_memory(server: Serving) -> None:
    id = server.submit(png(100, 100), format="bmp").json["id"]
    size = server.wait(id)["result_bytes"]
    many = ",".join([id] * 200)
    head = f"GET {JOBS}/zip?ids={many} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n\r\n"
    before = server.memory()
    lines = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(40)]
    for line in lines:
        line.sendall(head.encode())
        assert line.recv(100).startswith(b"HTTP/1.1 200")
    assert server.wait(server.submit(png()).json["id"])["state"] == "done"
    assert server.memory() - before < 40e6 < 40 * 200 * size
    read = 0
    while piece := lines[0].recv(1 << 20):  # one that was slow gets all of it after all
        read += len(piece)
        if read > 200 * size:
            break
    assert read > 200 * size
    for line in lines:
        line.close()


def test_a_client_that_vanishes_in_the_upload_leaves_nothing(server: Serving, place: Path) -> None:
    jobs, uploads = set(server.jobs()), place / "state" / "uploads"
    head = f"POST {JOBS}?scale=2 HTTP/1.1\r\nHost: localhost\r\nX-Hat: 1\r\nAuthorization: Bearer {server.token}\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(f"{head}Content-Length: 5000000\r\n\r\n".encode() + bytes(100_000))
        until(lambda: list(uploads.iterdir()))
    until(lambda: not list(uploads.iterdir()))
    assert set(server.jobs()) == jobs


def test_a_hundred_uploads_at_once_are_a_hundred_jobs(server: Serving) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def send(number: int) -> str:
        return str(server.submit(png(16, 16, seed=number), name=f"{number}.png").json["id"])

    with ThreadPoolExecutor(100) as clients:
        ids = list(clients.map(send, range(100)))
    assert len(set(ids)) == 100
    assert set(ids) <= set(server.jobs())
    for id in ids:
        server.ask("DELETE", f"{JOBS}/{id}")


def test_the_page_and_its_files_come_with_a_tag(server: Serving) -> None:
    page = server.ask("GET", "/")
    assert page.headers["content-type"].startswith("text/html")
    again = server.ask("GET", "/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status == 304
    assert not again.body


def test_sizes_and_formats_are_as_asked_for(server: Serving) -> None:
    sixteen = io.BytesIO()
    Image.fromarray(np.arange(30 * 20, dtype=np.uint16).reshape(20, 30) * 100).save(sixteen, "PNG")
    ids = {
        server.submit(sixteen.getvalue(), scale=2, name="deep.png").json["id"]: ("PNG", (60, 40)),
        server.ask("POST", JOBS, png(20, 10), long_edge=50, format="jpg", quality=80).json["id"]: ("JPEG", (50, 25)),
        server.ask("POST", JOBS, png(20, 10), width=30, name="no ending").json["id"]: ("PNG", (30, 15)),
    }
    for id, (kind, size) in ids.items():
        server.wait(id)
        with Image.open(io.BytesIO(server.ask("GET", f"{JOBS}/{id}/result").body)) as image:
            assert (image.format, image.size) == (kind, size)


def test_two_devices_share_the_pictures_below_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    names = [f"{number}.png" for number in range(3)]
    for number, name in enumerate(names):
        (root / name).write_bytes(png(seed=number))
    with Serving(tmp_path / "state", "--device", "cpu,cpu", "--threads", "1", "--root", str(root)) as server:
        busy = server.submit(png(1500, 1500), tile=32).json["id"]
        server.wait(busy, "running")
        body = json.dumps({"paths": names, "scale": 2})
        jobs = server.ask("POST", f"{JOBS}/from-root", body).json["jobs"]
        assert {server.wait(job["id"], "done", "failed")["state"] for job in jobs} == {"done"}
        assert server.ask("POST", f"{JOBS}/{busy}/cancel").status == 200  # it was running all the time
        again = server.ask("POST", f"{JOBS}/{jobs[0]['id']}/retry").json["id"]
        assert server.wait(again, "done", "failed")["notes"] == ["it is finished already"]
    assert {size_of((root / f"{number}_x2.png").read_bytes()) for number in range(3)} == {(24, 18)}


def test_health_needs_no_token_and_tells_no_secret(server: Serving) -> None:
    answer = server.ask("GET", "/api/v1/health", headers={"Authorization": ""})
    assert answer.json["status"] == "ok"
    assert set(answer.json) == {"status", "paused", "version"}
