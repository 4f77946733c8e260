"""TIFFs of every depth, number of channels, layout and compression are read to the last bit, or exactly as said."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.pictures import cmyk_profile, noise, saved, tiff_file
from support.readers import said_by, vips_samples

from hatcli.errors import InputError
from hatcli.image import color, decode, ifd
from hatcli.image.samples import upright

HEIGHT, WIDTH = 6, 9
EXTRA, PREDICTOR, PLANAR, FORMAT = 338, 317, 284, 339
ASSOCIATED, STRAIGHT, OTHER = 1, 2, 0


def fields_of(channels: int, bits: int, *, photometric: int, **more: int) -> dict[int, tuple[int, ...]]:
    fields = {256: (WIDTH,), 257: (HEIGHT,), 258: (bits,) * channels, 262: (photometric,), 277: (channels,)}
    return {**fields, 278: (HEIGHT,)}


def stored(values: NDArray[Any], *, split: bool) -> list[bytes]:
    if not split:
        return [values.tobytes()]
    return [np.ascontiguousarray(values[..., channel]).tobytes() for channel in range(values.shape[2])]


def tiled(values: NDArray[Any], *, side: int, predictor: int) -> list[bytes]:
    """Deflated tiles of `side` pixels, their edges filled up, with differences to the left if `predictor` is 2."""

    def tiles() -> Iterator[bytes]:
        for top in range(0, values.shape[0], side):
            for left in range(0, values.shape[1], side):
                tile = np.zeros((side, side, values.shape[2]), values.dtype)
                piece = values[top : top + side, left : left + side]
                tile[: piece.shape[0], : piece.shape[1]] = piece
                if predictor == 2:
                    tile[:, 1:] -= tile[:, :-1].copy()
                yield zlib.compress(tile.tobytes())

    return list(tiles())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(("bits", "channels", "extra"), [
    (8, 2, (STRAIGHT,)), (8, 3, (STRAIGHT, OTHER)), (16, 2, (STRAIGHT,)), (16, 3, (OTHER, STRAIGHT)),
])  # fmt: skip
def test_gray_with_alpha_and_more_is_exact(
    order: str, split: bool, bits: int, channels: int, extra: tuple[int, ...]
) -> None:
    samples = noise(HEIGHT, WIDTH, channels, bits=bits)
    fields = {**fields_of(channels, bits, photometric=1), PLANAR: (2 if split else 1,), EXTRA: extra}
    got = decode.decode(
        data := tiff_file(stored(samples.astype(f"{order}u{bits // 8}"), split=split), fields, order=order)
    )
    assert np.array_equal(got.pixels, samples[..., :1])
    assert got.alpha is not None
    assert np.array_equal(got.alpha, samples[..., 1 + extra.index(STRAIGHT)])
    told = decode.describe(data)
    assert (told.width, told.height, told.bits, told.channels, told.alpha) == (WIDTH, HEIGHT, bits, 1, True)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("extra", [(OTHER, OTHER), (STRAIGHT, OTHER), (OTHER, STRAIGHT)])
def test_channels_beyond_colour_and_alpha_are_passed_over(split: bool, bits: int, extra: tuple[int, ...]) -> None:
    samples = noise(HEIGHT, WIDTH, 5, bits=bits)
    fields = {**fields_of(5, bits, photometric=2), PLANAR: (2 if split else 1,), EXTRA: extra}
    got = decode.decode(tiff_file(stored(samples, split=split), fields))
    assert np.array_equal(got.pixels, samples[..., :3])
    assert (got.alpha is not None) == (STRAIGHT in extra)
    assert got.alpha is None or np.array_equal(got.alpha, samples[..., 3 + extra.index(STRAIGHT)])


@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("channels", [2, 5])
def test_tiles_are_put_together_and_their_differences_summed(predictor: int, channels: int) -> None:
    samples = noise(37, 41, channels, bits=16)
    fields = {
        **fields_of(channels, 16, photometric=1 if channels == 2 else 2),
        256: (41,), 257: (37,), 259: (8,), PREDICTOR: (predictor,), EXTRA: (STRAIGHT,) + (OTHER,) * (channels - 4),
    }  # fmt: skip
    del fields[278]
    body = tiff_file(tiled(samples, side=16, predictor=predictor), fields)
    head = ifd.header(body)
    entries = dict(ifd.read(body, head.first, order="<").entries)
    renamed = [
        ifd.Entry({273: 324, 279: 325}.get(tag, tag), entry.kind, entry.count, entry.value)
        for tag, entry in entries.items()
    ]
    renamed += [ifd.numbers(322, ifd.SHORT, 16, order="<"), ifd.numbers(323, ifd.SHORT, 16, order="<")]
    data = body[: head.first] + ifd.layout(renamed, at=head.first, order="<")
    got = decode.decode(data)
    colors = 1 if channels == 2 else 3
    assert np.array_equal(got.pixels, samples[..., :colors])
    assert got.alpha is not None
    assert np.array_equal(got.alpha, samples[..., colors])


@pytest.mark.parametrize("compression", ["lzw:2", "lzw", "packbits", "zip:2"])
def test_sixteen_bit_gray_and_alpha_of_libtiffs_compressions_is_exact(tmp_path: Path, compression: str) -> None:
    samples = noise(HEIGHT, WIDTH, 2, bits=16)
    plain, packed = tmp_path / "plain.tif", tmp_path / "packed.tif"
    plain.write_bytes(tiff_file([samples.tobytes()], {**fields_of(2, 16, photometric=1), EXTRA: (STRAIGHT,)}))
    said_by("tiffcp", "-c", compression, plain, packed)
    got = decode.read(packed)
    assert got.alpha is not None
    assert np.array_equal(np.dstack([got.pixels, got.alpha]), samples)


@pytest.mark.parametrize(("bits", "channels"), [(16, 1), (32, 1), (64, 1), (32, 3), (64, 4), (32, 2)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_floating_point_of_all_widths_has_white_at_one(bits: int, channels: int, order: str) -> None:
    values = np.random.default_rng(0).random((HEIGHT, WIDTH, channels)).astype(f"{order}f{bits // 8}")
    has_alpha = channels in (2, 4)
    fields = {**fields_of(channels, bits, photometric=2 if channels > 2 else 1), FORMAT: (3,) * channels}
    if has_alpha:
        fields[EXTRA] = (STRAIGHT,)
    data = tiff_file([values.tobytes()], fields, order=order)
    got = decode.decode(data)
    wanted = np.rint(values.astype(np.float64) * 65535)
    assert got.bits == decode.describe(data).bits == 16
    assert np.array_equal(got.pixels, wanted[..., : got.pixels.shape[2]])
    assert (got.alpha is not None) == has_alpha
    assert got.alpha is None or np.array_equal(got.alpha, wanted[..., -1])
    assert got.notes == ("floating-point samples read with white at 1",)


def test_floating_point_with_its_own_predictor_is_read_as_libtiff_writes_it(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((HEIGHT, WIDTH, 3)).astype(np.float32)
    plain, packed = tmp_path / "plain.tif", tmp_path / "packed.tif"
    plain.write_bytes(tiff_file([values.tobytes()], {**fields_of(3, 32, photometric=2), FORMAT: (3, 3, 3)}))
    said_by("tiffcp", "-c", "zip:3", plain, packed)
    assert np.array_equal(decode.read(packed).pixels, np.rint(values.astype(np.float64) * 65535))


def test_floating_point_that_was_sharpened_beyond_white_is_cut_there_and_told() -> None:
    values = np.linspace(0, 1.1, 12, dtype=np.float32).reshape(3, 4)
    got = decode.decode(saved(values, "TIFF"))
    assert np.array_equal(got.pixels[..., 0], np.rint(values.astype(np.float64).clip(0, 1) * 65535))
    assert got.notes == ("floating-point samples read with white at 1, and what is brighter cut off",)


@pytest.mark.parametrize("channels", [1, 3])
def test_integers_of_32_bits_are_never_taken_for_signed_ones(channels: int) -> None:
    samples = noise(HEIGHT, WIDTH, channels, bits=16)
    fields = fields_of(channels, 32, photometric=1 if channels == 1 else 2)
    got = decode.decode(tiff_file([(samples.astype(np.uint32) * 65537).tobytes()], fields))
    assert np.array_equal(got.pixels, samples)
    assert got.notes == ("32-bit samples were read as 16-bit ones",)
    small = decode.decode(tiff_file([samples.astype(np.uint32).tobytes()], fields))
    assert np.array_equal(small.pixels, samples)


@pytest.mark.parametrize("profile", [None, cmyk_profile()])
def test_cmyk_with_alpha_is_converted_as_without_and_keeps_its_alpha(profile: bytes | None) -> None:
    samples = noise(HEIGHT, WIDTH, 5)
    data = tiff_file([samples.tobytes()], {**fields_of(5, 8, photometric=5), EXTRA: (STRAIGHT,)})
    if profile is not None:
        head = ifd.header(data)
        entries = [*ifd.read(data, head.first, order="<").entries.values(), ifd.Entry(34675, 7, len(profile), profile)]
        data = data[: head.first] + ifd.layout(entries, at=head.first, order="<")
    got = decode.decode(data)
    plain, _ = color.cmyk_to_rgb(Image.fromarray(np.ascontiguousarray(samples[..., :4]), "CMYK"), profile)
    assert np.array_equal(got.pixels, np.asarray(plain))
    assert got.alpha is not None
    assert np.array_equal(got.alpha, samples[..., 4])
    assert got.icc is None
    assert decode.describe(data).channels == 3


@pytest.mark.parametrize("kind", ["gray", "gray16", "rgb16", "gray16 alpha"])
def test_a_resolution_turns_with_its_tiff(kind: str) -> None:
    channels, bits = {"gray": (1, 8), "gray16": (1, 16), "rgb16": (3, 16), "gray16 alpha": (2, 16)}[kind]
    samples = noise(HEIGHT, WIDTH, channels, bits=bits)
    data = tiff_file(
        [samples.tobytes()], {**fields_of(channels, bits, photometric=2 if channels == 3 else 1), 274: (6,)}
    )
    head = ifd.header(data)
    resolution = [ifd.rational(282, 300, order="<"), ifd.rational(283, 200, order="<")]
    entries = [*ifd.read(data, head.first, order="<").entries.values(), *resolution]
    got = decode.decode(data[: head.first] + ifd.layout(entries, at=head.first, order="<"))
    assert np.array_equal(got.pixels[..., 0], upright(samples[..., 0], 6))
    assert got.dpi == (200, 300)


def test_vips_and_we_see_the_same_in_a_tiled_bigtiff_of_floats(tmp_path: Path) -> None:
    Image.fromarray(noise(40, 50, 3)).save(tmp_path / "source.png")
    options = "compression=deflate,predictor=float,tile,tile-width=16,tile-height=16,bigtiff"
    said_by("vips", "cast", tmp_path / "source.png", tmp_path / "float.v", "float")
    said_by("vips", "copy", tmp_path / "float.v", f"{tmp_path / 'float.tif'}[{options}]")
    said_by("vips", "cast", tmp_path / "float.tif", tmp_path / "back.png", "uchar")
    wanted = vips_samples(tmp_path / "back.png", tmp_path)
    got = decode.read(tmp_path / "float.tif")
    assert got.notes == ("floating-point samples read with white at 255",)
    assert np.array_equal(got.pixels, wanted.astype(np.uint16) * 257)


@pytest.mark.parametrize("compression", [1, 8])
def test_a_tiff_cut_off_in_channels_that_only_we_read_is_refused(compression: int) -> None:
    samples = noise(40, WIDTH, 5, bits=16).tobytes()
    body = samples if compression == 1 else zlib.compress(samples)
    fields = {**fields_of(5, 16, photometric=2), 257: (40,), 278: (40,), 259: (compression,), EXTRA: (STRAIGHT, OTHER)}
    data = tiff_file([body], fields)
    entries = ifd.read(data, ifd.header(data).first, order="<").entries
    end = 8 + len(ifd.layout(entries.values(), at=8, order="<"))
    kept = [entry for tag, entry in entries.items() if tag not in (273, 279)]
    places = [ifd.numbers(273, ifd.LONG, end, order="<"), ifd.numbers(279, ifd.LONG, len(body), order="<")]
    whole = data[:4] + (8).to_bytes(4, "little") + ifd.layout([*kept, *places], at=8, order="<") + body
    assert decode.decode(whole).alpha is not None
    with pytest.raises(InputError):
        decode.decode(whole[: end + len(body) // 2])


def packed_bits(samples: NDArray[Any], bits: int) -> bytes:
    """Rows of samples of so many bits, the highest first, each row filled up to a byte."""
    rows = [np.unpackbits(row.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, -bits:] for row in samples]
    return b"".join(np.packbits(row.reshape(-1)).tobytes() for row in rows)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("bits", "channels"), [
    (1, 3), (2, 2), (4, 3), (4, 4), (10, 1), (10, 3), (12, 1), (12, 3), (12, 4), (14, 2),
])  # fmt: skip
def test_samples_that_lie_across_bytes_are_stretched_exactly(order: str, bits: int, channels: int) -> None:
    peak, full = 2**bits - 1, 255 if bits < 8 else 65535
    stored = np.random.default_rng(0).integers(0, peak + 1, (HEIGHT, WIDTH, channels))
    fields = fields_of(channels, bits, photometric=1 if channels < 3 else 2)
    has_alpha = channels in (2, 4)
    fields |= {EXTRA: (STRAIGHT,)} if has_alpha else {}
    data = tiff_file([packed_bits(stored.reshape(HEIGHT, -1), bits)], fields, order=order)
    got = decode.decode(data)
    wanted = np.rint(stored * (full / peak))
    assert np.array_equal(got.pixels, wanted[..., :-1] if has_alpha else wanted)
    assert (got.alpha is not None) == has_alpha
    assert got.alpha is None or np.array_equal(got.alpha, wanted[..., -1])
    told = decode.describe(data)
    assert (told.bits, told.channels, told.alpha) == (got.bits, got.pixels.shape[2], has_alpha)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_signed_samples_have_white_at_their_highest(bits: int, order: str) -> None:
    peak = 2 ** (bits - 1) - 1
    samples = np.random.default_rng(0).integers(0, peak + 1, (HEIGHT, WIDTH, 1))
    fields = {**fields_of(1, bits, photometric=1), FORMAT: (2,), 259: (8,)}
    data = tiff_file([zlib.compress(samples.astype(f"{order}i{bits // 8}").tobytes())], fields, order=order)
    got = decode.decode(data)
    assert np.array_equal(got.pixels, np.rint(samples * (65535 / peak)))
    assert got.notes == (f"signed samples were read with white at {peak}",)


@pytest.mark.parametrize(("bits", "channels"), [(8, 1), (8, 3), (8, 4), (16, 1), (16, 3)])
def test_a_big_endian_bigtiff_is_read_as_the_other_one(bits: int, channels: int) -> None:
    samples = noise(HEIGHT, WIDTH, channels, bits=bits)
    fields = fields_of(channels, bits, photometric=1 if channels == 1 else 2)
    fields |= {EXTRA: (STRAIGHT,)} if channels == 4 else {}
    body = samples.astype(f">u{bits // 8}").tobytes()
    entries = [ifd.numbers(tag, ifd.SHORT, *values, order=">") for tag, values in fields.items()]
    entries += [ifd.numbers(273, ifd.LONG8, 16, order=">"), ifd.numbers(279, ifd.LONG8, len(body), order=">")]
    at = 16 + len(body) + len(body) % 2
    start = b"MM" + struct.pack(">HHHQ", 43, 8, 0, at) + body + b"\0" * (len(body) % 2)
    got = decode.decode(start + ifd.layout(entries, at=at, order=">", big=True))
    assert np.array_equal(got.to_numpy().reshape(samples.shape), samples)


@pytest.mark.parametrize(("bits", "channels"), [(8, 4), (16, 1), (16, 3), (32, 1)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_stored_with_their_lowest_bit_first_are_turned_round(bits: int, channels: int, order: str) -> None:
    samples = noise(HEIGHT, WIDTH, channels, bits=min(bits, 16))
    wide = samples.astype(np.uint64) * (65537 if bits == 32 else 1)
    plain = np.frombuffer(wide.astype(f"{order}u{bits // 8}").tobytes(), np.uint8)
    turned = np.packbits(np.unpackbits(plain), bitorder="little").tobytes()
    fields = {**fields_of(channels, bits, photometric=1 if channels == 1 else 2), 266: (2,)}
    fields |= {EXTRA: (STRAIGHT,)} if channels == 4 else {}
    got = decode.decode(tiff_file([turned], fields, order=order))
    assert np.array_equal(got.to_numpy().reshape(samples.shape), samples)


@pytest.mark.parametrize(("bits", "channels", "order"), [(16, 1, "<"), (16, 1, ">"), (8, 2, "<"), (16, 2, ">")])
def test_white_at_zero_is_turned_round_for_every_depth(bits: int, channels: int, order: str) -> None:
    samples = noise(HEIGHT, WIDTH, channels, bits=bits)
    fields = fields_of(channels, bits, photometric=0)
    fields |= {EXTRA: (STRAIGHT,)} if channels == 2 else {}
    got = decode.decode(tiff_file([samples.astype(f"{order}u{bits // 8}").tobytes()], fields, order=order))
    assert np.array_equal(got.pixels, 2**bits - 1 - samples[..., :1])
    assert channels == 1 or (got.alpha is not None and np.array_equal(got.alpha, samples[..., 1]))


def test_a_table_of_colours_that_has_eight_bits_only_is_not_taken_for_black() -> None:
    table = noise(3, 256, 1)[..., 0]  # as libtiff knows it: all red, all green, all blue
    indices = noise(HEIGHT, WIDTH, 1)
    got = decode.decode(
        tiff_file([indices.tobytes()], {**fields_of(1, 8, photometric=3), 320: tuple(table.ravel().tolist())})
    )
    assert np.array_equal(got.pixels, table[:, indices[..., 0]].transpose(1, 2, 0))


def test_a_compression_that_is_not_known_is_told_by_its_name() -> None:
    fields = {**fields_of(3, 8, photometric=2), 259: (50001,)}
    with pytest.raises(InputError, match="its compression, WebP, cannot be undone here") as refused:
        decode.decode(tiff_file([bytes(200)], fields))
    assert refused.value.hint is not None
    assert "tiffcp" in refused.value.hint


def test_coarser_colours_without_compression_are_refused_and_not_called_cut_off() -> None:
    units = bytes(6 * (HEIGHT // 2) * (WIDTH + 1) // 2)  # four of brightness and two of colour
    with pytest.raises(InputError, match="this kind of TIFF is not supported"):
        decode.decode(tiff_file([units], {**fields_of(3, 8, photometric=6), 530: (2, 2)}))
