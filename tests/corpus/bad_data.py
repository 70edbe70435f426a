"""Bad data sets, by class of defect: name -> (content, words that the verdict must contain)."""

import io
import struct
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

from tests.corpus.parts import npy, zipped_arrays

IMAGES, LABELS = np.arange(4 * 12, dtype=np.uint8).reshape(4, 3, 2, 2), np.arange(4) % 2
Files = dict[str, tuple[bytes, str]]


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{"images": IMAGES, "labels": LABELS, **arrays})
    return file.getvalue()


def h5(write: Callable[[h5py.File], object]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        write(opened)
    return file.getvalue()


def impossible_shapes() -> Files:
    shapes = ("(2**70, 0)", "(1180591620717411303424, 0)", "(1099511627776, 1099511627776, 0)", "(0,) * 3", "(1,)" * 2)
    said = ("no sense", "no array can have", "no array can have", "no sense", "no sense")
    labels = npy("(1,)", b"\0")
    return {
        f"images of shape {shape}": (zipped_arrays(images=npy(shape), labels=labels), words)
        for shape, words in zip(shapes, said, strict=True)
    } | {
        "nine axes": (zipped_arrays(images=npy(str((1,) * 9), b"\0"), labels=labels), "no array can have"),
        "a mean of an impossible shape": (npz(mean=np.zeros((2, 0)), std=np.zeros(3)), "3 finite numbers"),
        "a mean for every pixel": (npz(mean=np.zeros((70, 70)), std=np.zeros(3)), "one number per channel"),
        "an HDF5 of impossible length": (
            h5(lambda file: file.create_dataset("images", shape=(1 << 60, 0), dtype="u1")), "no array can have",
        ),
        "no rows": (npz(images=IMAGES[:0], labels=LABELS[:0]), "is empty"),
    }  # fmt: skip


def scalars() -> Files:
    def number(file: h5py.File) -> None:
        file["images"], file["labels"] = 3.5, 1

    def with_images(file: h5py.File) -> None:
        file["images"], file["labels"] = IMAGES, 1

    def one_image(file: h5py.File) -> None:
        file["images"], file["labels"] = 3.5, LABELS

    def nothing(file: h5py.File) -> None:
        file["images"], file["labels"] = h5py.Empty("f4"), LABELS

    return {
        "an HDF5 of two numbers": (h5(number), "shape ()"),
        "an HDF5 with a number for images": (h5(one_image), "shape ()"),
        "an HDF5 with one label": (h5(with_images), "shape ()"),
        "an HDF5 with an empty value": (h5(nothing), "no array of numbers"),
        "an npz of two numbers": (npz(images=np.float32(1), labels=np.int64(1)), "shape ()"),
        "one token": (zipped_arrays(tokens=npy("()", bytes(8), "<i8")), "shape ()"),
    }


def statistics() -> Files:
    good = np.full(3, 0.5)
    pairs = {
        "a deviation of 1e-300": (good, np.full(3, 1e-300)),
        "a deviation of 1e-5": (good, np.full(3, 1e-5)),
        "a negative deviation": (good, -good),
        "a deviation of zero": (good, 0 * good),
        "a deviation that is not a number": (good, good * np.nan),
        "a mean of 1e300": (np.full(3, 1e300), good),
        "statistics of pixels up to 255": (good * 255, good * 100),
        "an infinite mean": (good * np.inf, good),
        "two channels of three": (good[:2], good[:2]),
    }
    said = {"not a number": "3 finite", "infinite": "3 finite", "two channels": "3 finite", "": "of pixels in [0, 1]"}
    return {
        name: (npz(mean=mean, std=std), next(words for key, words in said.items() if key in name))
        for name, (mean, std) in pairs.items()
    }


GOOD = npz()
END = len(GOOD) - 22  # position of the end record
COUNT, SIZE, START = struct.unpack("<HLL", GOOD[END + 10 : END + 20])


def ended(count: int, size: int, start: int, *, length: int = 44, place: int = END) -> bytes:
    """A good archive with the numbers of its plain end record, and with a good zip64 record of `length` at `place`."""
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", length, 45, 45, 0, 0, COUNT, COUNT, SIZE, START)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, place, 1)
    return GOOD[:END] + record + locator + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, size, start, 0)


def contradicting_zips() -> Files:
    """Zip archives in which two programs would see different files."""
    local = bytearray(GOOD)
    local[14:18] = b"1234"  # the checksum in the first local header
    return {
        "end records of two lengths": (ended(COUNT, SIZE - 1, START), "contradict"),
        "end records of two places": (ended(COUNT, SIZE, 0), "contradict"),
        "end records of two counts": (ended(1, SIZE, START), "contradict"),
        "a locator of another place": (ended(COUNT, SIZE, START, place=0), "at the end"),
        "a zip64 record of another length": (ended(COUNT, SIZE, START, length=45), "at the end"),
        "two checksums": (bytes(local), "two sizes or checksums"),
        "too many arrays": (npz(**{f"a{n}": np.zeros(1) for n in range(1001)}), "at most 1000"),
    }


# What the contradictions are made from: two records that agree, or of which one refers to the other.
AGREEING_ZIPS = (ended(COUNT, SIZE, START), ended(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF))

BAD_DATA: Files = {**impossible_shapes(), **scalars(), **statistics(), **contradicting_zips()}
