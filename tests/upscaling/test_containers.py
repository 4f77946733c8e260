"""Memory of containers: limits met by what is used, not by the page cache; both versions of control groups, nested."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatcli.upscaling import containers, device

GB = 10**9


class Groups:
    """A tree of control groups as the kernel shows it, and a process somewhere in it."""

    def __init__(self, folder: Path) -> None:
        self.mounted = folder / "cgroup"
        self.membership = folder / "membership"
        self.mounted.mkdir()

    def group(self, path: str, *, limit: object, used: int, inactive: int = 0) -> None:
        """A group of version 2."""
        files = {"memory.max": limit, "memory.current": used, "memory.stat": f"anon 5\ninactive_file {inactive}\n"}
        self._write(self.mounted / path, files)

    def legacy_group(self, path: str, *, limit: int, used: int, inactive: int = 0) -> None:
        """A group of version 1, whose own count leaves its children out and whose total does not."""
        self._write(
            self.mounted / "memory" / path,
            {
                "memory.limit_in_bytes": limit,
                "memory.usage_in_bytes": used,
                "memory.stat": f"inactive_file 7\ntotal_inactive_file {inactive}\n",
            },
        )

    def free(self, *membership: str) -> int | None:
        self.membership.write_text("".join(f"{line}\n" for line in membership))
        return containers.free_memory(self.mounted, self.membership)

    def _write(self, folder: Path, files: dict[str, object]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in files.items():
            (folder / name).write_text(f"{value}\n" if name != "memory.stat" else str(value))


@pytest.fixture
def tree(tmp_path: Path) -> Groups:
    return Groups(tmp_path)


def test_page_cache_that_nobody_looks_at_is_free(tree: Groups) -> None:
    tree.group("", limit=4 * GB, used=4 * GB - 1000, inactive=3 * GB)
    assert tree.free("0::/") == 3 * GB + 1000


def test_the_tightest_of_nested_groups_decides(tree: Groups) -> None:
    tree.group("", limit="max", used=60 * GB)
    tree.group("pods", limit=8 * GB, used=7 * GB)
    tree.group("pods/mine", limit=6 * GB, used=2 * GB)
    assert tree.free("0::/pods/mine") == GB
    tree.group("pods/mine", limit=6 * GB, used=5 * GB + GB // 2)
    assert tree.free("0::/pods/mine") == GB // 2
    assert tree.free("0::/pods") == GB


def test_version_1_counts_with_its_own_names(tree: Groups) -> None:
    unlimited = 9223372036854771712
    tree.legacy_group("", limit=unlimited, used=9 * GB)
    tree.legacy_group("docker/abc", limit=2 * GB, used=2 * GB, inactive=GB)
    assert tree.free("9:cpu,memory:/docker/abc", "1:name=systemd:/docker/abc") == GB


def test_a_group_named_from_outside_the_container_is_the_one_that_is_mounted(tree: Groups) -> None:
    tree.legacy_group("", limit=3 * GB, used=GB)  # the container's own, bound over the root
    assert tree.free("4:memory:/kubepods/pod7/abc") == 2 * GB
    tree.group("", limit=5 * GB, used=GB)
    assert tree.free("0::/../../somewhere/else") == 4 * GB


def test_version_2_may_be_mounted_beside_version_1(tree: Groups) -> None:
    tree.group("unified/mine", limit=3 * GB, used=2 * GB)
    assert tree.free("12:pids:/mine", "0::/mine") == GB


@pytest.mark.parametrize(
    "membership", [(), ("0::/",), ("nonsense",), ("0::/gone",), ("3:cpuset:/x",), ("4:memory:",)], ids=str
)
def test_without_a_limit_there_is_none(tree: Groups, membership: tuple[str, ...]) -> None:
    tree.group("", limit="max", used=GB)
    assert tree.free(*membership) is None
    assert containers.free_memory(tree.mounted, tree.mounted / "no such file") is None


def test_a_group_over_its_limit_leaves_nothing(tree: Groups) -> None:
    tree.group("", limit=GB, used=2 * GB)
    assert tree.free("0::/") == 0


def test_odd_contents_are_no_limit_and_no_traceback(tree: Groups) -> None:
    tree.group("", limit=3 * GB, used=GB)
    (tree.mounted / "memory.stat").write_text("inactive_file\n\ninactive_file many\n\0\n")
    assert tree.free("0::/") == 2 * GB
    (tree.mounted / "memory.current").write_text("")
    assert tree.free("0::/") is None


def test_a_plan_asks_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "free_memory", lambda: 12345)
    assert device.free_memory(device.choose("cpu").device) == 12345
