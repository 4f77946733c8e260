"""What the catalogue says is what its sources say, and every name leads to the file that was meant."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatcli.errors import UsageError, WeightsError
from hatcli.models import catalog, store
from hatcli.models.catalog import Entry

DATA = Path(__file__).parent.parent / "data" / "models"
OFFICIAL = [entry for entry in catalog.entries() if entry.author == "XPixelGroup"]
DOWNLOADS = [entry for entry in catalog.entries() if not entry.bundled]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _facts() -> dict[str, dict[str, Any]]:
    """By the published file's name, which the catalogue keeps."""
    return {fact["filename"]: fact for fact in json.loads((DATA / "checkpoints.json").read_text(encoding="utf-8"))}


def _pretend_installed(entry: Entry) -> Path:
    path = store.weights_path(entry.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


@pytest.mark.parametrize("entry", DOWNLOADS, ids=lambda entry: entry.id)
def test_every_download_agrees_with_the_gathered_facts(entry: Entry) -> None:
    fact = _facts()[entry.filename]
    assert (entry.variant, entry.scale) == (fact["variant"], fact["scale"])
    assert (entry.size, entry.size_estimate, entry.sha256) == (fact["size"], fact["size_derived"], fact["sha256"])
    assert entry.licence == fact["licence"]
    assert fact["author"].startswith(entry.author)


@pytest.mark.parametrize("entry", DOWNLOADS, ids=lambda entry: entry.id)
def test_every_source_is_a_gathered_one_and_none_is_left_out(entry: Entry) -> None:
    expected = {source["url"] for source in _facts()[entry.filename]["sources"]}
    shown = {
        f"https://drive.google.com/file/d/{source.drive}/view" if source.drive else source.address
        for source in entry.sources
    }
    assert shown == expected


@pytest.mark.parametrize("entry", DOWNLOADS, ids=lambda entry: entry.id)
def test_sources_have_the_forms_that_can_be_fetched(entry: Entry) -> None:
    for source in entry.sources:
        assert sum(value is not None for value in (source.repo, source.url, source.drive)) == 1
        assert source.address.startswith("https://")
        if source.repo is not None:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", source.repo)
            assert re.fullmatch(r"main|[0-9a-f]{40}", source.revision or "")
            assert ".." not in (source.path or "")
            assert (source.path or "").endswith((".pth", ".safetensors"))
    kinds = [0 if source.repo else 1 if source.url else 2 for source in entry.sources]
    assert kinds == sorted(kinds)  # the Hub first, Google Drive last


@pytest.mark.parametrize("entry", DOWNLOADS, ids=lambda entry: entry.id)
def test_what_is_downloaded_can_be_verified(entry: Entry) -> None:
    assert entry.sha256 is not None
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert entry.size is not None or entry.size_estimate is not None


def test_no_two_entries_share_a_file() -> None:
    for attribute in ("id", "filename", "sha256"):
        values = [getattr(entry, attribute) for entry in DOWNLOADS]
        assert len(set(values)) == len(values)


def test_all_official_models_and_every_community_model_with_a_known_hash_are_listed() -> None:
    listed = {entry.filename for entry in DOWNLOADS}
    facts = _facts().values()
    assert {fact["filename"] for fact in facts if fact["official"]} <= listed
    stems = {Path(name).stem for name in listed}  # one file a model is enough where both formats are published
    assert {Path(fact["filename"]).stem for fact in facts if fact["sha256"]} <= stems


def test_licences_are_known_and_non_commercial_ones_are_marked() -> None:
    for entry in catalog.entries():
        assert entry.licence in {"Apache-2.0", "CC-BY-4.0", "CC-BY-NC-SA-4.0"}
        assert entry.commercial is ("-NC" not in entry.licence)
        assert entry.author


def test_scores_are_published_ones_and_none_is_invented() -> None:
    with open(DATA / "published.tsv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    published = {
        (row["name"], int(row["scale"]), row["dataset"]): (
            float(row["psnr"]),
            float(row["ssim"]) if row["ssim"] else None,
        )
        for row in rows
    }
    claimed = {
        (entry.name, entry.scale, score.dataset): (score.psnr, score.ssim)
        for entry in DOWNLOADS
        for score in entry.scores
    }
    assert claimed == published
    assert all(entry.scores_source for entry in catalog.entries() if entry.scores)


def test_parameters_and_multiply_adds_are_those_of_the_network() -> None:
    import torch

    from hatcli.network.config import preset
    from hatcli.network.hat import HAT

    for variant, scale in {(entry.variant, entry.scale) for entry in catalog.entries()}:
        config = preset(variant.lower(), upscale=scale)
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in HAT(config).parameters())
        multi_adds = round(config.multiply_adds() * 64 * 64)
        for entry in catalog.entries():
            if (entry.variant, entry.scale) == (variant, scale):
                assert entry.parameters in (None, parameters)
                assert entry.multi_adds in (None, multi_adds)


@pytest.mark.parametrize(
    ("name", "scale", "expected"),
    [
        ("hat", 3, "HAT_SRx3_ImageNet-pretrain.pth"),
        ("hat", None, "HAT_SRx4_ImageNet-pretrain.pth"),
        ("HAT", 2, "HAT_SRx2_ImageNet-pretrain.pth"),
        ("hat-df2k", 4, "HAT_SRx4.pth"),
        ("hat-s", 2, "HAT-S_SRx2.pth"),
        ("hat-l", 3, "HAT-L_SRx3_ImageNet-pretrain.pth"),
        ("real-hat", 4, "Real_HAT_GAN_SRx4.pth"),
        ("real_hat_sharp", 4, "Real_HAT_GAN_sharper.pth"),
        ("real-hat-sharper", None, "Real_HAT_GAN_sharper.pth"),
        ("hat-x2", None, "HAT_SRx2_ImageNet-pretrain.pth"),
        ("HAT_SRx4", None, "HAT_SRx4.pth"),
        ("HAT-L_SRx2_ImageNet-pretrain.pth", None, "HAT-L_SRx2_ImageNet-pretrain.pth"),
        ("4xNomos8kSCHAT-S", None, "4xNomos8kSCHAT-S.pth"),
        ("nomos-hat-s", 4, "4xNomos8kSCHAT-S.pth"),
        ("hat-t", 3, "hat-t-x3.safetensors"),
    ],
)
def test_names_people_type_lead_to_the_file_they_mean(name: str, scale: int | None, expected: str) -> None:
    assert catalog.resolve(name, scale=scale).filename == expected


@pytest.mark.parametrize(("wanted", "given"), [(2, 2), (3, 3), (4, 4), (8, 4), (16, 4), (None, 4)])
def test_a_scale_without_weights_gets_the_nearest_that_reaches_it_else_the_largest(
    wanted: int | None, given: int
) -> None:
    assert catalog.resolve("hat-s", scale=wanted).scale == given


def test_a_model_for_one_scale_serves_every_scale() -> None:
    assert [entry.scale for entry in catalog.family("real-hat")] == [4]
    assert catalog.resolve("real-hat", scale=2).scale == 4
    assert [entry.scale for entry in catalog.family("hat")] == [2, 3, 4]
    assert [entry.scale for entry in catalog.family("HAT_SRx3.pth")] == [3]


def test_no_name_means_two_things() -> None:
    spelled: dict[str, str] = {}
    for entry in catalog.entries():
        for name in (entry.id, entry.filename, *entry.aliases):
            plain = catalog._plain(name)
            assert spelled.setdefault(plain, entry.id) == entry.id
            assert plain not in catalog.names()
            assert catalog.resolve(name) == entry


@pytest.mark.parametrize(
    ("typed", "meant"), [("hta", "hat"), ("real-hatt", "real-hat"), ("hat-m", "hat-s"), ("nomos-hat", "nomos-hat-s")]
)
def test_a_mistyped_name_is_answered_with_similar_ones(typed: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        catalog.resolve(typed)
    assert typed in caught.value.message
    assert meant in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "hat\x1b[2J", "", "..", "C:\\weights", "x" * 5000])
def test_names_with_path_tricks_or_control_characters_are_refused_in_one_short_line(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        catalog.resolve(name)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("name", ["../evil", "a/b", "a\\b", ".hidden", "", "a..b", "x" * 200, "CON:", "a\n", "hat."])
def test_no_entry_can_be_made_that_would_be_written_outside_the_store(name: str) -> None:
    entry = catalog.resolve("hat-x4")
    with pytest.raises(WeightsError):
        replace(entry, id=name)
    with pytest.raises(WeightsError):
        replace(entry, filename=name)


def test_weights_live_in_hat_home_and_never_in_the_package(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.root() == home
    monkeypatch.setenv("HAT_HOME", "~/weights here")
    assert store.root() == Path.home() / "weights here"
    monkeypatch.delenv("HAT_HOME")
    package = Path(catalog.__file__).parents[1]
    assert store.root().is_absolute()
    assert not store.root().is_relative_to(package)
    assert "site-packages" not in store.root().parts


def test_an_entry_is_installed_once_its_file_is_there(home: Path) -> None:
    entry = catalog.resolve("hat-s", scale=4)
    assert catalog.installed_path(entry) is None
    assert not home.exists()  # looking makes nothing
    path = _pretend_installed(entry)
    assert catalog.installed_path(entry) == path


@pytest.mark.skipif(not hasattr(Path, "symlink_to"), reason="no links here")
def test_a_link_or_folder_in_the_place_of_weights_is_refused(home: Path, tmp_path: Path) -> None:
    entry = catalog.resolve("hat-s", scale=4)
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    path = store.weights_path(entry.id)
    path.parent.mkdir(parents=True)
    path.mkdir()
    with pytest.raises(WeightsError, match="is not a file"):
        catalog.installed_path(entry)
    path.rmdir()
    try:
        path.symlink_to(secret)
    except OSError:
        pytest.skip("links need a privilege here")
    with pytest.raises(WeightsError, match="is a link"):
        catalog.installed_path(entry)
    path.unlink()
    path.symlink_to(tmp_path / "nothing")
    with pytest.raises(WeightsError, match="is a link"):
        catalog.installed_path(entry)


def best_installed(factor: float | None = None) -> catalog.Entry:
    return catalog.best(catalog.installed(), factor)


def test_auto_takes_the_best_installed_clean_model_for_the_scale(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "bundled", lambda filename: None)
    with pytest.raises(WeightsError, match="no model is installed"):
        best_installed(4)
    _pretend_installed(catalog.resolve("real-hat"))  # never by itself: it invents detail
    with pytest.raises(WeightsError):
        best_installed(4)
    _pretend_installed(catalog.resolve("hat-s", scale=4))
    assert best_installed(4).id == "hat-s-x4"
    assert best_installed(2).id == "hat-s-x4"  # reaches it
    _pretend_installed(catalog.resolve("hat-df2k", scale=2))
    _pretend_installed(catalog.resolve("hat", scale=4))
    assert best_installed(4).id == "hat-x4"
    assert best_installed(2).id == "hat-df2k-x2"
    assert best_installed(3).id == "hat-x4"
    assert best_installed(8).id == "hat-x4"
    assert best_installed().id == "hat-x4"


def test_auto_passes_over_a_link_in_the_place_of_weights(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "bundled", lambda filename: None)
    _pretend_installed(catalog.resolve("hat-s", scale=4))
    store.weights_path("hat-x4").mkdir()
    assert best_installed(4).id == "hat-s-x4"


def test_bundled_weights_are_found_in_a_wheel_and_in_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "hat-t-x4.safetensors"
    package = tmp_path / "hatcli"
    (package / "models").mkdir(parents=True)
    monkeypatch.setattr(store, "__file__", str(package / "models" / "store.py"))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / name).write_bytes(b"checkout")
    assert store.bundled(name) is None  # some other package's folder beside ours
    (tmp_path / "pyproject.toml").touch()
    assert store.bundled(name) == tmp_path / "weights" / name
    (package / "weights").mkdir()
    (package / "weights" / name).write_bytes(b"wheel")
    assert store.bundled(name) == package / "weights" / name
    assert catalog.installed_path(catalog.resolve("hat-t", scale=4)) == package / "weights" / name


@pytest.mark.parametrize("entry", [entry for entry in catalog.entries() if entry.bundled], ids=lambda entry: entry.id)
def test_bundled_weights_are_what_the_catalogue_says(entry: Entry) -> None:
    from hatcli.models import receipt

    path = catalog.installed_path(entry)
    if path is None:
        pytest.skip("not trained yet")
    if entry.sha256 is not None:
        assert receipt.digest(path) == entry.sha256
    if entry.size is not None:
        assert path.stat().st_size == entry.size
    from hatcli.network import checkpoint

    assert checkpoint.read(path).config.upscale == entry.scale


def test_looking_up_a_model_imports_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, hatcli.models.download as d; d.catalog.resolve('hat'); sys.exit('torch' in sys.modules)"
    root = Path(catalog.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
