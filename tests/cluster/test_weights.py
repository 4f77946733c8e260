"""Weights on a node are the driver's, byte for byte, or refused: whatever lies there under their names."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.networks import tiny

from hatcli.cluster import weights
from hatcli.cluster.weights import SentModel, Weights, WeightsFile
from hatcli.errors import HatError, OutputError, WeightsError
from hatcli.models import catalog, opening, receipt, store
from hatcli.models.opening import Model
from hatcli.network import checkpoint
from hatcli.network.hat import HAT


def saved(path: Path, seed: int) -> Path:
    """A tiny x2 network of its own."""
    torch.manual_seed(seed)
    network = HAT(tiny(upscale=2))
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write(path, config=network.config, state=network.state_dict())
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The driver's."""
    return saved(tmp_path / "driver" / "mine.safetensors", 1)


@pytest.fixture
def node(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """What the driver says of its model, on a node that does not have it."""
    opened = opening.open(str(model))
    sent = weights.described(opened)
    content = model.read_bytes()
    monkeypatch.setenv("HAT_HOME", str(tmp_path / "node"))
    model.unlink()
    (tmp_path / "right").write_bytes(content)
    return sent


def right(tmp_path: Path) -> bytes:
    return (tmp_path / "right").read_bytes()


def other(path: Path) -> None:
    saved(path, 2)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def exchanged(path: Path) -> None:
    """Another file of the same length and time takes the name."""
    times = path.stat()
    one_byte(copy := Path(shutil.copy(path, path.with_name("copy"))))
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    copy.replace(path)


SPOILT = [other, truncated, one_byte, empty, gone, exchanged]


def its_own(sent: Weights) -> Path:
    """Where the node has a file of the driver's name."""
    return Path(sent.files[0].path)


def its_kept(sent: Weights) -> Path:
    """Where it keeps what came from the driver."""
    return sent.files[0].kept


def of_catalogue(sent: Weights) -> Path:
    """Where it has an installed model."""
    return store.weights_path("hat-s-x2")


def is_the_drivers(model: Model, tmp_path: Path) -> bool:
    expected = checkpoint.load(tmp_path / "right").state_dict()
    return all(torch.equal(value, expected[key]) for key, value in model[2].state_dict().items())


def opened(sent: Weights) -> Model:
    model = weights.opened(sent)
    assert isinstance(model, Model)
    return model


@pytest.mark.parametrize("place", [its_own, its_kept, of_catalogue])
@pytest.mark.parametrize("spoil", SPOILT)
def test_a_file_that_differs_on_a_node_is_not_used_and_the_drivers_comes_instead(
    node: Weights, tmp_path: Path, place: Callable[[Weights], Path], spoil: Callable[[Path], None]
) -> None:
    path = place(node)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(right(tmp_path))
    assert weights.missing(node) == [], "it has it"
    spoil(path)
    assert weights.missing(node) == node.files
    with pytest.raises(WeightsError, match="are gone"):
        weights.opened(node)
    weights.keep(node.files[0], [right(tmp_path)[:1000], right(tmp_path)[1000:]])
    assert weights.missing(node) == []
    assert is_the_drivers(opened(node), tmp_path)


def found(sent: Weights) -> Model:
    """The node's model, before any of its files is read."""
    file = sent.files[0]
    return Model("mine", {2: file.kept}, hashes={2: file.sha256})


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_file_that_is_exchanged_before_it_is_read_is_refused(
    node: Weights, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    weights.keep(node.files[0], [right(tmp_path)])
    spoil(its_kept(node))
    with pytest.raises(WeightsError, match=r"has changed since|cannot be read any more") as caught:
        _ = found(node)[2]
    assert caught.value.hint == "run the same command again"
    assert "Errno" not in caught.value.message


@pytest.mark.parametrize("spoil", [other, exchanged])
def test_a_file_that_is_exchanged_while_it_is_read_is_refused(
    node: Weights, tmp_path: Path, spoil: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.keep(node.files[0], [right(tmp_path)])
    load = checkpoint.load

    def late(path: Path) -> HAT:
        spoil(path)
        return load(path)

    monkeypatch.setattr(checkpoint, "load", late)
    model = found(node)
    with pytest.raises(WeightsError, match="has changed while it was read"):
        _ = model[2]
    with pytest.raises(WeightsError, match="has changed"):
        _ = model[2]  # nor the second time


@pytest.mark.parametrize("factor", [None, 2.0, 4.0])
@pytest.mark.parametrize("spoil", SPOILT)
def test_a_file_that_is_exchanged_when_a_worker_has_begun_changes_nothing(
    node: Weights, tmp_path: Path, spoil: Callable[[Path], None], factor: float | None
) -> None:
    weights.keep(node.files[0], [right(tmp_path)])
    model = weights.opened(node, factor=factor)
    assert isinstance(model, Model)
    spoil(its_kept(node))
    assert is_the_drivers(model, tmp_path)


def test_a_file_that_is_written_over_while_its_network_is_in_use_changes_nothing(node: Weights, tmp_path: Path) -> None:
    weights.keep(node.files[0], [right(tmp_path)])
    model = opened(node)
    assert is_the_drivers(model, tmp_path)
    path = its_kept(node)
    with path.open("r+b") as file:  # the same file, not another one of that name
        file.write(bytes(path.stat().st_size))
    assert is_the_drivers(model, tmp_path)


@pytest.mark.parametrize("pieces", [[], [b""], [b"something else"]])
def test_weights_that_come_damaged_are_refused_and_not_kept(node: Weights, pieces: list[bytes]) -> None:
    with pytest.raises(WeightsError, match=r"mine\.safetensors came damaged"):
        weights.keep(node.files[0], pieces)
    assert not its_kept(node).exists()
    assert weights.missing(node) == node.files


def test_nothing_is_put_in_the_place_of_a_link(node: Weights, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    its_kept(node).parent.mkdir(parents=True)
    its_kept(node).symlink_to(victim)
    assert weights.missing(node) == node.files
    with pytest.raises(OutputError, match="is a link"):
        weights.keep(node.files[0], [right(tmp_path)])
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_driver_whose_own_file_has_changed_sends_no_other_one(model: Path, spoil: Callable[[Path], None]) -> None:
    sent = weights.described(opening.open(str(model)))
    assert b"".join(weights.pieces(sent.files[0])) == model.read_bytes()
    spoil(model)
    with pytest.raises(WeightsError, match=r"mine\.safetensors .*(have changed|are gone)") as caught:
        list(weights.pieces(sent.files[0]))
    assert caught.value.hint == "run the same command again"


def test_the_journal_and_the_nodes_hear_of_the_same_bytes(model: Path) -> None:
    first = opening.open(str(model))
    assert isinstance(first, Model)
    digest, sha256 = first.digest, hashlib.sha256(model.read_bytes()).hexdigest()
    other(model)
    assert weights.described(first).files[0].sha256 == sha256
    assert first.digest == digest


def test_an_installed_model_whose_receipt_says_another_digest_is_not_what_goes_to_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAT_HOME", str(tmp_path / "home"))
    path = saved(store.weights_path("hat-s-x2"), 1)
    receipt.write("hat-s-x2", noted := receipt.digest(path))
    other(path)
    assert catalog.installed_path(catalog.resolve("hat-s-x2")) == path
    sent = weights.described(opening.open("hat-s"))
    assert [file.sha256 for file in sent.files] == [noted]
    assert weights.missing(sent) == sent.files
    with pytest.raises(WeightsError, match="have changed"):
        list(weights.pieces(sent.files[0]))


def test_another_architecture_is_opened_only_from_the_very_bytes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = WeightsFile(2, str(model), receipt.digest(model))
    sent = Weights((SentModel("mine", None, "ESRGAN", (file,)),))
    really = opening.open

    def late(name: str) -> object:
        other(Path(name))
        return really(name)

    assert isinstance(weights.opened(sent), Model)
    monkeypatch.setattr(opening, "open", late)
    with pytest.raises(HatError, match="has changed while it was read"):
        weights.opened(sent)
