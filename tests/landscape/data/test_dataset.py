"""Data sets: the digits, user-supplied files, subsets, digests."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from landscape.data import Dataset, load, load_file
from landscape.errors import DataError, UnknownNameError
from tests.corpus.parts import npy, zipped_arrays


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def pixels(*shape: int) -> Any:
    return rng().integers(0, 256, shape, dtype=np.uint8)


def labels(count: int, classes: int = 4) -> Any:
    return np.arange(count, dtype=np.int64) % classes


def written(folder: Path, **arrays: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return path


def test_the_digits_are_scikit_learns_each_in_one_split() -> None:
    from sklearn.datasets import load_digits

    source = load_digits()
    train, test = load("digits", "train"), load("digits", "test")
    assert (len(train), len(test), train.classes) == (1500, 297, 10)
    ours = torch.cat([train.images, test.images]).double() * train.std[0] + train.mean[0]
    labeled = torch.cat([(ours * 16).round().flatten(1), torch.cat([train.labels, test.labels])[:, None]], dim=1)
    assert sorted(labeled.tolist()) == sorted(np.column_stack([source.data, source.target]).tolist())


def test_the_training_digits_have_mean_zero_and_deviation_one() -> None:
    images = load("digits").images
    assert images.shape == (1500, 1, 8, 8)
    assert images.dtype == torch.float32
    assert images.mean().item() == pytest.approx(0, abs=2e-4)
    assert images.std().item() == pytest.approx(1, abs=2e-4)


def test_every_digit_is_in_both_splits() -> None:
    assert load("digits", "train").labels.bincount().min() > 130
    assert load("digits", "test").labels.bincount().min() > 20


def test_loading_digits_does_not_import_scikit_learn() -> None:
    code = "import sys; from landscape.data.builtin import load; load('digits'); assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"data set 'mnist'\. Known: digits"):
        load("mnist")
    with pytest.raises(UnknownNameError, match=r"split 'validation'\. Known: train, test"):
        load("digits", "validation")


def test_the_digest_is_sha256_of_shapes_types_and_bytes() -> None:
    dataset = Dataset("two", "all", torch.zeros(2, 1, 1, 3), torch.tensor([0, 1]), 2, (), ())
    text = b'[[[2, 1, 1, 3], "torch.float32"], [[2], "torch.int64"]]'
    expected = hashlib.sha256(text + bytes(24) + bytes(8) + b"\x01" + bytes(7)).hexdigest()
    assert dataset.digest == expected


def test_the_digits_are_the_ones_our_records_name() -> None:
    assert load("digits").digest == "54057931c48baa262d3a0f26b334a5805cadd54ee883939656b904c3422f1876"


def test_the_digest_tells_order_values_labels_and_shape_apart() -> None:
    whole = load("digits")
    variants = [
        whole,
        whole.subset(1499),
        Dataset("digits", "train", whole.images.flip(0), whole.labels, 10, (), ()),
        Dataset("digits", "train", whole.images, whole.labels.flip(0), 10, (), ()),
        Dataset("digits", "train", whole.images.view(-1, 1, 4, 16), whole.labels, 10, (), ()),
    ]
    assert len({variant.digest for variant in variants}) == len(variants)
    assert Dataset("other name", "test", whole.images, whole.labels, 10, (), ()).digest == whole.digest


def indices(part: Dataset, whole: Dataset) -> list[int]:
    """Where the samples of `part` are in `whole`, by bytes (images of the digits are distinct enough)."""
    position = {image.numpy().tobytes(): index for index, image in enumerate(whole.images)}
    return [position[image.numpy().tobytes()] for image in part.images]


def test_a_subset_keeps_the_order_and_belongs_to_its_seed() -> None:
    whole = load("digits")
    part = whole.subset(100, 7)
    chosen = indices(part, whole)
    assert len(set(chosen)) == 100
    assert chosen == sorted(chosen)
    assert torch.equal(part.labels, whole.labels[chosen])
    assert part.digest == whole.subset(100, 7).digest
    assert part.digest != whole.subset(100, 8).digest
    assert chosen[:3] == [5, 20, 25]  # the same on every machine and version


def test_subsets_of_one_seed_are_nested_and_spread_evenly() -> None:
    whole = load("digits")
    assert set(indices(whole.subset(50), whole)) < set(indices(whole.subset(60), whole))
    assert np.mean(indices(whole.subset(500), whole)) == pytest.approx(750, abs=4 * 433 / 500**0.5)


def test_a_subset_of_everything_is_everything() -> None:
    whole = load("digits", "test")
    assert whole.subset(297, 5).digest == whole.digest


@pytest.mark.parametrize("count", [0, -1, 298])
def test_an_impossible_subset_says_how_many_there_are(count: int) -> None:
    with pytest.raises(DataError, match=f"{count} samples is not possible: the test split of digits has 297"):
        load("digits", "test").subset(count)


@pytest.mark.parametrize("shape", [(7, 4, 5, 3), (7, 3, 4, 5), (7, 4, 5, 1), (7, 1, 4, 5)])
def test_uint8_images_are_scaled_and_normalized_per_channel(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = pixels(*shape)
    dataset = load_file(written(tmp_path, images=images, labels=labels(7)))
    first = np.moveaxis(images, -1, 1) if shape[-1] in (1, 3) else images
    scaled = first.astype(np.float64) / 255
    mean, std = scaled.mean(axis=(0, 2, 3)), scaled.std(axis=(0, 2, 3))
    expected = (scaled - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(dataset.images.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dataset.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(dataset.std, std, rtol=1e-12)
    assert (dataset.name, dataset.split, dataset.classes, len(dataset)) == ("mine", "all", 4, 7)
    assert dataset.images.dtype == torch.float32
    assert dataset.images.is_contiguous()


def test_a_constant_channel_becomes_zero_and_not_nan(tmp_path: Path) -> None:
    dataset = load_file(written(tmp_path, images=np.full((2, 4, 4, 1), 9, np.uint8), labels=labels(2)))
    assert torch.equal(dataset.images, torch.zeros(2, 1, 4, 4))
    assert dataset.std == (1.0,)


def test_float32_images_are_taken_as_they_are(tmp_path: Path) -> None:
    images = rng().normal(size=(5, 2, 3, 4)).astype(np.float32)
    dataset = load_file(written(tmp_path, images=images, labels=labels(5).astype(np.uint8)))
    assert np.array_equal(dataset.images.numpy(), images)
    assert (dataset.mean, dataset.std) == ((), ())
    assert dataset.labels.dtype == torch.int64


def test_compressed_fortran_ordered_and_big_endian_arrays_read_the_same(tmp_path: Path) -> None:
    images = rng().normal(size=(5, 2, 3, 4)).astype(np.float32)
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, images=np.asfortranarray(images).astype(">f4"), labels=labels(5).astype(">i2"))
    dataset = load_file(path)
    assert np.array_equal(dataset.images.numpy(), images)
    assert dataset.labels.tolist() == [0, 1, 2, 3, 0]


IMAGES = pixels(4, 6, 6, 3)
FLOATS = np.zeros((4, 1, 2, 2), np.float32)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": IMAGES}, "no array 'labels'"),
        ({"labels": labels(4)}, "no array 'images'"),
        ({"images": IMAGES, "labels": labels(3)}, "4 images but 3 labels"),
        ({"images": IMAGES, "labels": labels(4) - 1}, "'labels' run from -1 to 2; expected 0"),
        ({"images": IMAGES, "labels": np.array([0, 0, 0, 2**64 - 1], np.uint64)}, "18446744073709551615"),
        ({"images": IMAGES, "labels": labels(4).astype(float)}, "type float64; expected integers"),
        ({"images": IMAGES, "labels": labels(4)[:, None]}, "shape (4, 1)"),
        ({"images": FLOATS[:0], "labels": labels(0)}, "'labels' is empty"),
        ({"images": FLOATS[:, :, :0], "labels": labels(4)}, "shape (4, 1, 0, 2)"),
        ({"images": IMAGES[0], "labels": labels(6)}, "shape (6, 1, 6, 3): axis 1 and axis 3"),
        ({"images": IMAGES.astype(np.int32), "labels": labels(4)}, "type int32; expected uint8, or float32"),
        ({"images": FLOATS + np.float32(np.nan), "labels": labels(4)}, "NaN or infinity"),
        ({"images": FLOATS - np.float32(np.inf), "labels": labels(4)}, "NaN or infinity"),
        ({"images": pixels(4, 3, 8, 3), "labels": labels(4)}, "axis 1 and axis 3 could both be the channels"),
        ({"images": pixels(4, 8, 8, 8), "labels": labels(4)}, "no axis for the channels"),
        ({"images": IMAGES, "labels": np.array([0, 1, "a", None], object)}, "Python objects"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_words(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        load_file(written(tmp_path, **arrays))
    assert said in str(caught.value)


GOOD = zipped_arrays(images=npy("(1, 1, 2, 2)") + bytes(4), labels=npy("(1,)", dtype="<i8") + bytes(8))
SIZE = len(npy("(1, 1, 2, 2)") + bytes(4)).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x80\x04\x95not a zip", "not a usable .npz"),
        (GOOD[:-30], "damaged"),
        (zipped_arrays(images=b"", labels=b""), "its header makes no sense"),
        (zipped_arrays(images=npy("(10**9,)"), labels=npy("(1,)")), "its header makes no sense"),
        (zipped_arrays(images=npy(f"({10**14}, 1, 1, 1)") + bytes(9), labels=npy("(1,)") + b"\0"), "another number of"),
        (zipped_arrays(images=npy("(1000000, 1000000)", dtype="|S0"), labels=b""), "text, not numbers"),
        (GOOD.replace(SIZE, b"\xf0\xff\xff\xff", 2), "at most 4294967296 are read"),
        (
            zipped_arrays(images=npy("(-4, 1, -1, 1)") + bytes(4), labels=npy("(1,)", dtype="<i8") + bytes(8)),
            "(-4, 1, -1, 1)",
        ),
    ],
    ids=range(9),
)
def test_a_damaged_or_lying_file_is_refused_in_words(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_file(path)
    assert said in str(caught.value)


def test_the_hand_made_file_is_good_before_it_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "good.npz").write_bytes(GOOD)
    assert len(load_file(tmp_path / "good.npz")) == 1


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.npz cannot be read: No such file"):
        load_file(tmp_path / "none.npz")


def test_no_mutation_of_a_file_ends_in_anything_but_a_data_set_or_a_sentence(tmp_path: Path) -> None:
    path, generator, said = tmp_path / "mutant.npz", rng(), set()
    for _ in range(400):
        content = bytearray(GOOD)
        for position in generator.integers(0, len(content), 3):
            content[position] = generator.integers(0, 256)
        path.write_bytes(content)
        try:
            load_file(path)
        except DataError as error:
            said.add(str(error))
    assert len(said) > 10
    assert max(map(len, said)) < 600
