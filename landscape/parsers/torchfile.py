"""Reads files of torch.save, zip and legacy, without torch: a `StoredTensor` takes the place of every tensor.

Neither torch.load nor pickle is called: the names a file may use are the keys of `_makers`, which make descriptions
only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .archive import Archive
from .pickles import Machine, Maker, Name, Opaque
from .source import FileError, Source, printable
from .tensors import StoredTensor, item_size, stored

MAX_TABLE = 4 << 20  # bytes of the pickle
MAX_TOTAL = 1 << 40
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001

STORAGES = {
    "torch.FloatStorage": "F32",
    "torch.DoubleStorage": "F64",
    "torch.HalfStorage": "F16",
    "torch.BFloat16Storage": "BF16",
    "torch.LongStorage": "I64",
    "torch.IntStorage": "I32",
    "torch.ShortStorage": "I16",
    "torch.CharStorage": "I8",
    "torch.ByteStorage": "U8",
    "torch.BoolStorage": "BOOL",
    "torch.ComplexFloatStorage": "C64",
    "torch.ComplexDoubleStorage": "C128",
    "torch.QInt8Storage": "QINT8",
    "torch.QUInt8Storage": "QUINT8",
    "torch.QInt32Storage": "QINT32",
    "torch.cuda.FloatStorage": "F32",
    "torch.cuda.DoubleStorage": "F64",
    "torch.cuda.HalfStorage": "F16",
    "torch.cuda.BFloat16Storage": "BF16",
    "torch.cuda.LongStorage": "I64",
    "torch.cuda.IntStorage": "I32",
    "torch.cuda.ByteStorage": "U8",
    "torch.cuda.BoolStorage": "BOOL",
}
# Harmless objects beside the weights, recognized by name and ignored.
_LEFT_ASIDE = (
    "argparse.Namespace",
    "torch.device",
    "torch.Size",
    "torch.serialization._get_layout",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "_codecs.encode",
)
_NOT_DENSE = ("_rebuild_sparse_tensor", "_rebuild_sparse_csr_tensor", "_rebuild_qtensor", "_rebuild_nested_tensor")


@dataclass(frozen=True)
class _Storage:
    """A storage that the pickle refers to; in legacy files its position is only known later."""

    key: str
    dtype: str
    count: int


Place = Callable[[_Storage], int]  # position of the first byte of a storage


def read_zip(source: Source) -> Any:
    """The content of a file of torch.save (torch 1.6 and later).

    Raises:
        FileError: it is damaged, a program, or holds anything but data.
    """
    archive = Archive(source, compressed=False, most=MAX_TOTAL)
    prefix = _prefix(archive)
    table, order = archive.read(f"{prefix}/data.pkl", MAX_TABLE), f"{prefix}/byteorder"
    if order in archive.entries and archive.read(order, 16) != b"little":
        raise FileError("The file was written on a big-endian machine. Save it as safetensors there.")
    archive.verify()

    def place(storage: _Storage) -> int:
        entry = archive.entries.get(f"{prefix}/data/{storage.key}")
        if entry is None or entry.size != storage.count * item_size(storage.dtype):
            raise FileError("The file is damaged: the numbers of a tensor are missing or not as many as it says.")
        return entry.start

    makers = _makers(source, place)
    return Machine(makers, persistent=_storage).load(table)


def _prefix(archive: Archive) -> str:
    names = list(archive.entries)
    if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
        raise FileError(
            "This is a TorchScript program, which holds code. Save the weights instead: "
            "torch.save(model.state_dict(), 'checkpoint.pt')."
        )
    if any(name.endswith(("/models/model.json", "/serialized_exported_program.json")) for name in names):
        raise FileError(
            "This is a program of torch.export, which holds code. Save the weights with torch.save(model.state_dict(), "
            "'checkpoint.pt'), or weights and network with landscape.pack(model, example_input)."
        )
    tables = [name for name in names if name.endswith("/data.pkl") or name == "data.pkl"]
    if len(tables) != 1 or "/" not in tables[0]:
        raise FileError("This zip archive is not a checkpoint of torch.save: it has no data.pkl, or several.")
    prefix = tables[0].removesuffix("/data.pkl")
    if not all(name.startswith(f"{prefix}/") for name in names):
        raise FileError("This zip archive is not a checkpoint of torch.save: it holds other files as well.")
    return prefix


def read_legacy(source: Source) -> Any:
    """The content of a file of torch.save before torch 1.6: four pickles, then the storages one after another.

    Raises:
        FileError: it is damaged, has no complete list of its storages, or holds anything but data.
    """
    data = source.read(0, min(source.size, MAX_TABLE + 65536))
    places: dict[str, int] = {}
    used: dict[str, _Storage] = {}

    def note(identity: Any) -> _Storage:
        storage = _storage(identity)
        if used.setdefault(storage.key, storage) != storage:
            raise FileError("The file is damaged: two tensors disagree about the numbers they share.")
        return storage

    machine = Machine(_makers(source, lambda storage: places[storage.key], late=True), persistent=note)
    if machine.load(data) != _MAGIC or machine.load(data, machine.end) != _PROTOCOL:
        raise FileError("The file is a pickle, but not one of torch.save. Save it with torch.save(model.state_dict()).")
    described = machine.load(data, machine.end)
    if type(described) is not dict or described.get("little_endian") is not True:
        raise FileError("The file was written on a big-endian machine. Save it as safetensors there.")
    content = machine.load(data, machine.end)
    keys = machine.load(data, machine.end)
    if type(keys) is not list or not all(type(key) is str for key in keys) or sorted(keys) != sorted(used):
        raise FileError("The file does not list the numbers of all of its tensors. Save it with a newer torch.")
    places |= _positions(source, machine.end, [used[key] for key in keys])
    return _settled(content)


def _positions(source: Source, at: int, storages: list[_Storage]) -> dict[str, int]:
    """Key -> position; every storage is its length, then its numbers, and the last ends the file."""
    places = {}
    for storage in storages:
        if int.from_bytes(source.read(at, 8), "little") != storage.count:
            raise FileError("The file is damaged: a tensor is not stored with as many numbers as it says.")
        places[storage.key], at = at + 8, at + 8 + storage.count * item_size(storage.dtype)
    if at != source.size:
        raise FileError("The file is damaged: it does not end where its tensors do. Copy or save it again.")
    return places


@dataclass(frozen=True, eq=False)
class _Late:
    """A tensor of a legacy file whose position is not known yet."""

    make: Callable[[], StoredTensor]


def _settled(content: Any) -> Any:
    """`content` with the `_Late` tensors in its dictionaries made, down to the depth at which weights are nested.

    What is there many times is made once: a small table can name the same large dictionary a million times.
    """
    made: dict[tuple[int, int], Any] = {}  # (id, depth); `content` keeps all of its objects, so no id is used again

    def settle(part: Any, depth: int) -> Any:
        if type(part) is _Late:
            make: Callable[[], Any] = part.make
        elif type(part) is dict and depth < 4:
            make = lambda: {name: settle(value, depth + 1) for name, value in part.items()}  # noqa: E731
        else:
            return part
        if (id(part), depth) not in made:
            made[id(part), depth] = make()
        return made[id(part), depth]

    return settle(content, 0)


def _storage(identity: Any) -> _Storage:
    """("storage", type, key, location, count), and in legacy files None for "not a view"."""
    if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
        raise FileError("The file is damaged: a tensor does not say where its numbers are.")
    kind, key, count = identity[1], identity[2], identity[4]
    if type(kind) is not Name or kind.path not in STORAGES:
        found = printable(kind.path) if type(kind) is Name else "nothing"
        raise FileError(f"The file holds numbers of type {found}, which is not read. Save them as float32.")
    if type(key) is not str or type(count) is not int or not 0 <= count < 2**40 or identity[5:] not in ((), (None,)):
        raise FileError("The file is damaged: a tensor does not say where its numbers are.")
    return _Storage(key, STORAGES[kind.path], count)


def _makers(source: Source, place: Place, *, late: bool = False) -> dict[str, Maker]:
    def tensor(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> Any:
        if type(storage) is not _Storage or len(more) > 3:
            raise ValueError

        def make() -> StoredTensor:
            start = place(storage)
            return stored(source, start, storage.count, storage.dtype, shape=shape, strides=strides, offset=offset)

        return _Late(make) if late else make()

    def parameter(data: Any, *_: Any) -> Any:
        if type(data) not in (StoredTensor, _Late):
            raise ValueError
        return data

    return {
        "torch._utils._rebuild_tensor_v2": tensor,
        "torch._utils._rebuild_tensor": tensor,
        "torch._utils._rebuild_parameter": parameter,
        "collections.OrderedDict": _ordered,
        **{name: _aside(name) for name in _LEFT_ASIDE},
        **{f"torch._utils.{name}": _not_dense for name in _NOT_DENSE},
    }


def _ordered(*pairs: Any) -> dict[Any, Any]:
    if not pairs:
        return {}
    [items] = pairs
    if type(items) is not list or not all(type(item) in (list, tuple) and len(item) == 2 for item in items):
        raise ValueError
    if not all(type(key) is str for key, _ in items):
        raise ValueError
    return dict(items)


def _aside(name: str) -> Maker:
    return lambda *_: Opaque(name)


def _not_dense(*_: Any) -> Any:
    raise FileError("The file holds a sparse, nested or quantized tensor; only dense real tensors are read.")
