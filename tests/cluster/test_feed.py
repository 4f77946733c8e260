"""Jobs that come while they are worked on: in order, none lost, whichever message comes first."""

from __future__ import annotations

import threading
from pathlib import Path

from hatcli.batch.inputs import InputFile
from hatcli.batch.plan import Job
from hatcli.cluster.feed import Feed


def jobs(*names: str) -> list[Job]:
    return [Job(InputFile(Path(name), Path(name)), Path(name + ".out")) for name in names]


def test_jobs_that_come_after_the_last_word_are_still_taken() -> None:
    feed = Feed()
    feed.finish(3)

    def come() -> None:
        feed.put(jobs("a", "b"))
        feed.put(jobs("c"))

    thread = threading.Timer(0.05, come)
    thread.start()
    assert [job.source.label for job in feed] == ["a", "b", "c"]
    thread.join()


def test_a_stopped_feed_gives_nothing_more() -> None:
    feed = Feed()
    feed.put(jobs("a", "b"))
    taken = iter(feed)
    assert next(taken).source.label == "a"
    feed.stop()
    assert list(taken) == []
