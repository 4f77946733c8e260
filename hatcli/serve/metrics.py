"""Numbers about the server in the text format that Prometheus reads."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

from hatcli.serve.desk import Desk


def text(desk: Desk, *, listeners: int, paused: bool, counters: Mapping[str, float]) -> str:
    """All of them."""
    disk = desk.disk()
    lines = ["# HELP hat_jobs Jobs by state.", "# TYPE hat_jobs gauge"]
    lines += [f'hat_jobs{{state="{state}"}} {count}' for state, count in desk.queue.counts().items()]
    gauges = {
        "hat_event_streams": ("Open event streams.", listeners),
        "hat_disk_free_bytes": ("Free bytes of the disk.", disk["free_bytes"]),
        "hat_kept_bytes": ("Bytes of pictures and results that are kept.", disk["kept_bytes"]),
        "hat_paused": ("1 while no job can be done.", int(paused)),
        "process_resident_memory_bytes": ("Memory of the server itself.", psutil.Process().memory_info().rss),
    }
    for name, (about, value) in gauges.items():
        lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge", f"{name} {value}"]
    for name, total in counters.items():
        lines += [f"# TYPE {name} counter", f"{name} {total:.0f}"]
    return "\n".join(lines) + "\n"
