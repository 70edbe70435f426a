"""Bad files, by class of defect: name -> (content, words that the verdict must contain)."""

import io
import os
import pickle
import struct
import subprocess
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import torch
from safetensors.torch import save

from tests.corpus.parts import (
    GOOD,
    calling,
    entry,
    flipped,
    legacy,
    members,
    numbers,
    one_tensor,
    safetensors,
    saved,
    storage,
    table,
    tensor,
    text,
    torch_zip,
    with_changed,
    zipped,
)

Files = dict[str, tuple[bytes, str]]

PLAIN = saved(GOOD)
TINY = one_tensor(tensor())
ONE = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


def not_checkpoints() -> Files:
    return {
        "empty": (b"", "empty"),
        "text": (b"hello\n" * 100, "not a checkpoint"),
        "picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a checkpoint"),
        "zip of a letter": (zipped({"letter": b"hello"}), "no data.pkl"),
        "program of TorchScript": (
            zipped({"m/data.pkl": b"", "m/code/x.py": b"", "m/constants.pkl": b""}),
            "TorchScript",
        ),
        "program of torch.export": (zipped({"p/models/model.json": b"{}", "p/data.pkl": b""}), "torch.export"),
        "tar of old torch": (tar(), "not a checkpoint"),
        "a list": (saved([1, 2]), "list"),
        "one tensor": (saved(torch.ones(3)), "a tensor"),
        "numbers for tensors": (saved({"conv1.weight": 3}), "conv1.weight"),
        "lists for tensors": (saved({"state_dict": {"conv1.weight": [1.0]}}), "a list"),
        "keys that are numbers": (saved({1: torch.ones(1)}), "'1'"),
        "nothing inside": (saved({}), "no parameters"),
    }


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    return file.getvalue()


def broken_zips() -> Files:
    inside = members(PLAIN)
    two = zipped({**inside, "archive/more/data.pkl": inside["archive/data.pkl"]})
    return {
        "cut off": (PLAIN[:-5000], "damaged"),
        "half": (PLAIN[: len(PLAIN) // 2], "damaged"),
        "only a directory": (PLAIN[-60:], "not a checkpoint"),
        "flipped bit in the numbers": (flipped(PLAIN, len(PLAIN) // 2), "checksum"),
        "flipped bit in the table": (flipped(PLAIN, PLAIN.index(b"layer1")), "checksum"),
        "bytes after the end": (PLAIN + b"\0", "at the end"),
        "bytes before the beginning": (b"PK\x03\x04" + PLAIN, "damaged"),
        "two archives in one": (PLAIN + PLAIN, "damaged"),
        "a comment with a second end": (PLAIN[:-2] + struct.pack("<H", 22) + PLAIN[-22:], "damaged"),
        "compressed": (zipped(inside, zipfile.ZIP_DEFLATED), "compressed"),
        "a bomb": (zipped({"archive/data.pkl": bytes(50 << 20)}, zipfile.ZIP_DEFLATED), "compressed"),
        "two tables": (two, "several"),
        "other files as well": (zipped({**inside, "other/file": b""}), "other files"),
        "the same name twice": (twice(), "twice"),
        "two entries in one place": (overlapping(), "damaged"),
        "local name is another": (PLAIN.replace(b"archive/data/7", b"archive/data/X", 1), "names"),
        "encrypted": (marked_encrypted(), "encrypted"),
        "a link": (link(), "link"),
        "a place outside": (zipped({**inside, "archive/../../etc/x": b""}), "outside"),
        "an absolute place": (zipped({**inside, "/etc/x": b""}), "outside"),
        "a backslash": (zipped(inside).replace(b"archive/version", b"archive\\version"), "outside"),
        "too many entries": (zipped({f"archive/data/{index}": b"" for index in range(20_001)}), "20000"),
        "a table over 4 MiB": (torch_zip(b"\x80\x02" + bytes(5 << 20)), "4194304"),
        "big-endian": (zipped({**inside, "archive/byteorder": b"big"}), "big-endian"),
        "numbers missing": (zipped({k: v for k, v in inside.items() if k != "archive/data/3"}), "missing"),
        "numbers too short": (zipped({**inside, "archive/data/3": b"1234"}), "not as many"),
        "numbers too long": (zipped({**inside, "archive/data/3": bytes(1 << 16)}), "not as many"),
    }  # fmt: skip


def twice() -> bytes:
    file = zipped({**members(PLAIN), "archive/data/X": b"other"})
    return file.replace(b"archive/data/X", b"archive/data/7")


def overlapping() -> bytes:
    """Two directory entries for one local header."""
    file = bytearray(TINY)
    directory = file.index(b"PK\x01\x02")
    second = file.index(b"PK\x01\x02", directory + 4)
    file[second + 42 : second + 46] = file[directory + 42 : directory + 46]
    return bytes(file)


def marked_encrypted() -> bytes:
    file = bytearray(TINY)
    file[file.index(b"PK\x01\x02") + 8] |= 1
    return bytes(file)


def link() -> bytes:
    file = io.BytesIO(TINY)
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("archive/link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return file.getvalue()


def hostile_pickles() -> Files:
    """Pickles that torch.load(weights_only=True) refuses, crashes on, or loads."""
    deep = b"\x80\x02" + b")" + b"\x85" * 3_000_000 + b"."
    key = b"\x80\x02}" + b")" + b"\x85" * 3_000_000 + b"K\x01s."
    chain = b"\x80\x02" + b"c_codecs\nencode\n" * 30 + text("é" * 1000) + (text("utf8") + b"\x86R") * 30 + b"."
    return {
        "a deep tuple": (torch_zip(deep), "50 deep"),
        "a deep tuple as a key": (torch_zip(key), "50 deep"),
        "a tuple as a key": (torch_zip(b"\x80\x02}K\x01\x85K\x01s."), "as keys"),
        "nested lists": (torch_zip(b"\x80\x02" + b"]" * 60 + b"a" * 59 + b"."), "50 deep"),
        "a list within itself": (torch_zip(b"\x80\x02]q\x00h\x00a."), "list"),
        "a chain of encodings": (torch_zip(chain), "not a dictionary"),
        "a long text": (torch_zip(table(weight=text("x" * 5000))), "5000"),
        "protocol 0": (torch_zip(pickle.dumps({"a": 1}, protocol=0)), "protocol"),
        "protocol 9": (torch_zip(b"\x80\x09}."), "protocol"),
        "opcode INST": (torch_zip(b"\x80\x02(ios\nsystem\n."), "opcode 69"),
        "opcode OBJ": (torch_zip(b"\x80\x02(cos\nsystem\no."), "opcode 6f"),
        "opcode EXT1": (torch_zip(b"\x80\x02\x82\x01."), "opcode 82"),
        "opcode PERSID": (torch_zip(b"\x80\x02Pstorage\n."), "opcode 50"),
        "a memo that was never set": (torch_zip(b"\x80\x02h\x05."), "no sense"),
        "an empty stack": (torch_zip(b"\x80\x02}s."), "no sense"),
        "no end": (torch_zip(b"\x80\x02}"), "breaks off"),
        "a text longer than the file": (torch_zip(b"\x80\x02X\xff\xff\x00\x00abc."), "65535"),
        "a huge number": (torch_zip(b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b"."), "no sense"),
        "a tensor with a state": (one_tensor(tensor() + b"}" + text("x") + b"K\x01sb"), "state"),
        "a dictionary with attributes": (torch_zip(b"\x80\x02}}" + text("__class__") + b"K\x01sb."), "state"),
        "a parameter of a number": (one_tensor(b"ctorch._utils\n_rebuild_parameter\n(K\x01\x89NtR"), "no sense"),
        "numbers of an unknown type": (one_tensor(tensor(kind="torch\nNopeStorage")), "NopeStorage"),
        "numbers of type os": (one_tensor(tensor(kind="os\nsystem")), "os.system"),
        "numbers outside the file": (one_tensor(tensor(key="../../etc/passwd")), "missing"),
        "a storage that is no storage": (one_tensor(b"(" + text("module") + b"K\x01K\x01K\x01K\x01tQ"), "where"),
    }


def lying_tensors() -> Files:
    parts: dict[str, tuple[bytes, str]] = {
        "stride 0, four terabytes": (tensor((1 << 20, 1 << 20), (0, 0)), "repeats"),
        "stride 0, a little": (tensor((8, 2), (0, 1)), "repeats"),
        "past the end": (tensor((3, 2), (2, 1)), "outside"),
        "an offset past the end": (tensor(offset=4), "outside"),
        "a negative offset": (tensor(offset=b"J\xff\xff\xff\xff"), "no sense"),
        "a negative size": (tensor((b"J\xff\xff\xff\xff", 2)), "no sense"),
        "a negative stride": (tensor(strides=(b"J\xfe\xff\xff\xff", 1)), "no sense"),
        "an overflowing size": (tensor((1 << 62, 1 << 62)), "no sense"),
        "strides missing": (tensor(strides=(1,)), "no sense"),
        "sizes that are no numbers": (tensor((b"\x88", b"G@\x00\x00\x00\x00\x00\x00\x00")), "no sense"),
        "seventy axes": (tensor((1,) * 70, (1,) * 70), "8 axes"),
        "more numbers than stored": (tensor(count=1 << 30), "not as many"),
    }
    return {name: (one_tensor(value), said) for name, (value, said) in parts.items()}


def other_tensors() -> Files:
    sparse = torch.sparse_coo_tensor(torch.tensor([[0]]), torch.tensor([1.0]), (2,), check_invariants=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = saved({"weight": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)})
    return {
        "sparse": (saved({"weight": sparse}), "sparse"),
        "lying sparse": (saved({"weight": sparse}).replace(b"K\x02", b"K\x00"), "checksum"),
        "quantized": (quantized, "quantized"),
        "complex": (saved(with_changed("conv1.weight", torch.ones(8, 1, 3, 3, dtype=torch.complex64))), "C64"),
        "whole numbers": (saved(with_changed("conv1.weight", torch.ones(8, 1, 3, 3, dtype=torch.int64))), "I64"),
        "NaN": (save(with_changed("linear.bias", torch.full((10,), torch.nan))), "linear.bias"),
        "infinite": (save(with_changed("linear.bias", torch.full((10,), torch.inf))), "linear.bias"),
        "too large for float32": (saved(with_changed("linear.bias", torch.ones(10).double() * 1e300)), "too large"),
        "a negative variance": (save(with_changed("bn1.running_var", -torch.ones(8))), "bn1.running_var"),
    }  # fmt: skip


def other_networks() -> Files:
    both = {**{f"module.{name}": value for name, value in GOOD.items()}, "conv1.weight": GOOD["conv1.weight"]}
    return {
        "an unknown network": (save({"encoder.weight": torch.zeros(3, 4, 5)}), "encoder.weight"),
        "a misshapen parameter": (save(with_changed("layer1.0.conv1.weight", torch.zeros(8, 9, 3, 3))), "conv1.w"),
        "a missing parameter": (save({k: v for k, v in GOOD.items() if k != "linear.bias"}), "linear.bias"),
        "an extra parameter": (save({**GOOD, "head.weight": torch.zeros(3, 3)}), "head.weight"),
        "names with and without a prefix": (saved(both), "twice"),
        "a name of ours": (save({"@average/conv1.weight": torch.zeros(1)}), "@"),
        "the same numbers again and again": (saved(repeated()), "repeat"),
        "ten thousand and one tensors": (many(), "10000"),
    }  # fmt: skip


def many() -> bytes:
    return safetensors({f"t{n}": entry([], 4 * n, 4 * n + 4) for n in range(10_001)}, bytes(40_004))


def repeated() -> dict[str, torch.Tensor]:
    same = torch.ones(64, 64)
    return {f"{index}.weight": same for index in range(12)}


def broken_legacy() -> Files:
    good = legacy({"weight": torch.ones(2, 2)})
    end = good.rindex(b"\x80\x02]")
    content = good[:end]
    shared = torch.ones(8)
    return {
        "legacy: no storages listed": (content + b"\x80\x02].", "does not list"),
        "legacy: other storages listed": (content + pickle.dumps(["1"], 2) + good[-24:], "does not list"),
        "legacy: cut off": (good[:-3], "damaged"),
        "legacy: bytes after the end": (good + b"\0", "does not end"),
        "legacy: another length": (good[:-24] + struct.pack("<q", 3) + good[-16:], "as many"),
        "legacy: a negative length": (good[:-24] + struct.pack("<q", -1) + good[-16:], "as many"),
        "legacy: another magic": (pickle.dumps(1, 2) * 5, "not one of torch.save"),
        "legacy: big-endian": (good.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"), "big-endian"),
        "legacy: a view of a storage": (legacy({"a": shared}).replace(b"Ntq\x07Q", b"]tq\x07Q"), "where"),
        "legacy: storages that disagree": (disagreeing(), "disagree"),
    }


def disagreeing() -> bytes:
    head = legacy({})
    head = head[: head.rindex(b"\x80\x02}")]
    views = [storage(count).replace(b"tQ", b"NtQ") for count in (4, 5)]
    make = b"ctorch._utils\n_rebuild_tensor_v2\n(%bK\x00" + numbers((2, 2)) + numbers((2, 1)) + b"\x89NtR"
    first, second = (make % view for view in views)
    return head + table(a=first, b=second) + pickle.dumps(["0"], 2) + struct.pack("<q", 4) + bytes(16)


def broken_safetensors() -> Files:
    good = {"a": entry([2], 0, 8), "b": entry([2], 8, 16)}
    return {
        "safetensors: cut off": (save(GOOD)[:-100], "damaged"),
        "safetensors: longer than it says": (save(GOOD) + b"\0\0\0\0", "does not end"),
        "safetensors: a header longer than the file": (safetensors(good, bytes(16), 1 << 20), "damaged"),
        "safetensors: a header of petabytes": (safetensors(good, bytes(16), 1 << 50), "25000000"),
        "safetensors: no JSON": (safetensors(b"{nonsense", b""), "not JSON"),
        "safetensors: deep JSON": (safetensors(b'{"a":' + b"[" * 100_000), "not JSON"),
        "safetensors: a name twice": (safetensors(b"{%b,%b}" % (ONE, ONE), bytes(4)), "twice"),
        "safetensors: overlapping": (safetensors({**good, "b": entry([2], 4, 12)}, bytes(12)), "overlap"),
        "safetensors: a gap": (safetensors({**good, "b": entry([2], 12, 20)}, bytes(20)), "gaps"),
        "safetensors: shape and size differ": (safetensors({"a": entry([3], 0, 8)}, bytes(8)), "outside"),
        "safetensors: fewer numbers": (safetensors({"a": entry([1], 0, 8)}, bytes(8)), "but 2 numbers"),
        "safetensors: negative place": (safetensors({"a": entry([1], -4, 0)}, bytes(4)), "outside"),
        "safetensors: backwards": (safetensors({"a": entry([1], 4, 0)}, bytes(4)), "outside"),
        "safetensors: negative size": (safetensors({"a": entry([-1, -2], 0, 8)}, bytes(8)), "no sense"),
        "safetensors: infinite size": (safetensors(b"{%b}" % ONE.replace(b"[1]", b"[NaN]"), bytes(4)), "not JSON"),
        "safetensors: an unknown type": (safetensors({"a": entry([1], 0, 4, "F99")}, bytes(4)), "F99"),
        "safetensors: no type": (safetensors({"a": {"shape": [1], "data_offsets": [0, 4]}}, bytes(4)), "described"),
        "safetensors: metadata of numbers": (safetensors({"__metadata__": {"a": 1}, **good}, bytes(16)), "metadata"),
        "safetensors: a very long name": (safetensors({"x" * 2000: entry([1], 0, 4)}, bytes(4)), "1000"),
    }  # fmt: skip


def bad_files() -> Iterator[tuple[str, bytes, str]]:
    """(name, content, words of the verdict) of every bad checkpoint."""
    classes: list[Any] = [
        not_checkpoints, broken_zips, hostile_pickles, lying_tensors, other_tensors, other_networks, broken_legacy,
        broken_safetensors,
    ]  # fmt: skip
    for kind in classes:
        for name, (content, said) in kind().items():
            yield name, content, said


def live_pickles(mark: str) -> dict[str, bytes]:
    """Pickles that create the file `mark` when they are unpickled."""
    write = f"open({mark!r}, 'w').close()"
    hidden = pickle.dumps({"epoch": 1, "callbacks": [{"state": Lazy(exec, write)}], "state_dict": {}}, protocol=2)
    return {
        "exec": calling(exec, write),
        "eval": calling(eval, write),
        "open": calling(open, mark, "w"),
        "os.mkdir": calling(os.mkdir, mark),
        "os.system": calling(os.system, f"touch {mark}"),
        "a process": calling(subprocess.check_call, ["touch", mark]),
        "torch.save": calling(torch.save, {}, mark),
        "a list over map": calling(list, Lazy(map, exec, [write])),
        "deep inside": hidden,
    }


class Lazy:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def live_files(mark: str) -> Iterator[tuple[str, bytes]]:
    """Every such pickle in the layout of a zip and of a legacy file."""
    empty = legacy({})
    head = empty[: empty.rindex(b"\x80\x02}")]
    for name, pickled in live_pickles(mark).items():
        yield f"{name}, zip", torch_zip(pickled)
        yield f"{name}, legacy", head + pickled + pickle.dumps([], 2)
