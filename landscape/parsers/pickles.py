"""Pickles as data: an interpreter of the few opcodes that plain containers and tensors need, which executes nothing.

A global is a name; "calling" it runs our own maker for that name, or raises. So there is no gap between what is checked
and what runs, and no other library parses the file. The result holds only exact dicts, lists, tuples, sets, texts,
numbers, and what the makers return.

Source: the opcodes as documented in Python's Lib/pickletools.py.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .source import FileError, printable

MAX_TEXT, MAX_DEPTH = 4096, 50
Maker = Callable[..., Any]

_DAMAGED = "The file is damaged: its table of contents {}. Copy or save it again."


class CodeError(FileError):
    """The pickle names something that is not data, and that could run code in an ordinary unpickler."""

    def __init__(self, name: str):
        super().__init__(
            f"The file holds Python objects besides tensors ({printable(name)}), which are not read because they can "
            "run code. Save the weights alone: torch.save(model.state_dict(), 'checkpoint.pt')."
        )


@dataclass(frozen=True)
class Name:
    """A global of the pickle: "torch.FloatStorage". Nothing is imported."""

    path: str


@dataclass(eq=False)
class Opaque:
    """An object that was recognized and ignored."""

    name: str
    state: Any = field(default=None, repr=False)


_Mark = object()


class Machine:
    """Runs one pickle; `end` is the position after it.

    Raises:
        CodeError: a name without a maker is called or given a state.
        FileError: an unsupported opcode, an exceeded limit, or bytes that are not a pickle.
    """

    def __init__(
        self,
        makers: Mapping[str, Maker],
        *,
        persistent: Callable[[Any], Any] | None = None,
        max_text: int = MAX_TEXT,
        raw: bool = False,
    ):
        """
        Args:
            makers: name -> function of the arguments of the call; must be harmless for any arguments.
            persistent: function of the persistent id of an object stored outside the pickle.
            max_text: longest text or run of bytes.
            raw: whether Python 2's strings stay bytes; otherwise they become text.
        """
        self.makers, self.persistent, self.max_text, self.raw = makers, persistent, max_text, raw

    def load(self, data: bytes, start: int = 0) -> Any:
        """The object in the pickle at `start`."""
        self.data, self.end = data, start
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.depths: dict[int, tuple[int, Any]] = {}  # id -> (depth, the object, kept so that its id is not reused)
        self.take_protocol()
        try:
            while (code := self.take(1)) != b".":
                _OPCODES[code](self)
            return self.pop()
        except KeyError:
            raise FileError(_DAMAGED.format(f"uses opcode {code.hex()}, which data does not need")) from None
        except (IndexError, TypeError, ValueError, struct.error, OverflowError):
            raise FileError(_DAMAGED.format("makes no sense")) from None

    def take_protocol(self) -> None:
        if self.data[self.end : self.end + 1] != b"\x80" or self.data[self.end + 1 : self.end + 2] > b"\x05":
            raise FileError(_DAMAGED.format("is not a pickle of protocol 2 to 5"))
        self.end += 2

    # --- bytes and stack

    def take(self, count: int) -> bytes:
        part = self.data[self.end : self.end + count]
        if len(part) != count:
            raise FileError(_DAMAGED.format("breaks off"))
        self.end += count
        return part

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def run(self, form: str) -> bytes:
        """Bytes preceded by their length."""
        length = self.number(form)
        if not 0 <= length <= self.max_text:
            raise FileError(_DAMAGED.format(f"holds a text of {length} bytes; at most {self.max_text} are read"))
        return self.take(length)

    def line(self) -> str:
        end = self.data.find(b"\n", self.end, self.end + MAX_TEXT)
        if end < 0:
            raise FileError(_DAMAGED.format("breaks off"))
        text = self.data[self.end : end].decode()
        self.end = end + 1
        return text

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _Mark:
            raise ValueError
        return value

    def since_mark(self) -> list[Any]:
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _Mark:
                items = self.stack[at + 1 :]
                del self.stack[at:]
                return items
        raise ValueError

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise ValueError
        return self.stack[-1]

    # --- containers

    def note(self, container: Any, items: Any) -> None:
        """Remember how deep `container` is, now that it holds `items`."""
        inner = max((self.depths[id(item)][0] for item in items if id(item) in self.depths), default=0)
        depth = max(inner + 1, self.depths.get(id(container), (1,))[0])
        if depth > MAX_DEPTH:
            raise FileError(f"The file nests its contents more than {MAX_DEPTH} deep. Save model.state_dict().")
        self.depths[id(container)] = depth, container

    def tuple_of(self, items: list[Any]) -> None:
        made = tuple(items)
        self.note(made, made)
        self.push(made)

    def append(self, items: list[Any]) -> None:
        self.top(list).extend(items)
        self.note(self.stack[-1], items)

    def add(self, items: list[Any]) -> None:
        if not all(type(item) in (str, int, float, bool) for item in items):
            raise ValueError
        self.top(set).update(items)

    def set_items(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise ValueError
        for key in items[::2]:  # a deep tuple as a key would exhaust the C stack when it is hashed
            if type(key) not in (str, int, bytes, float, bool, type(None)):
                raise FileError("The file uses something else than text or numbers as keys. Save model.state_dict().")
        if type(self.stack[-1]) is Opaque:
            return
        self.top(dict).update(zip(items[::2], items[1::2], strict=True))
        self.note(self.stack[-1], items[1::2])

    # --- names

    def call(self) -> None:
        arguments, name = self.pop(), self.pop()
        if type(name) is not Name or type(arguments) is not tuple:
            raise ValueError
        if name.path not in self.makers:
            raise CodeError(name.path)
        made = self.makers[name.path](*arguments)
        self.note(made, arguments)
        self.push(made)

    def build(self) -> None:
        state, target = self.pop(), self.stack[-1]
        if type(target) is Opaque:
            target.state = state
        elif type(target) is not dict or type(state) is not dict or state.keys() - {"_metadata"}:
            raise CodeError("an object with a state of its own")

    def persist(self) -> None:
        identity = self.pop()
        if self.persistent is None:
            raise ValueError
        self.push(self.persistent(identity))

    def named(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str or len(module) + len(name) > MAX_TEXT:
            raise ValueError
        self.push(Name(f"{module}.{name}"))


def _text(raw: bytes, machine: Machine) -> Any:
    return raw if machine.raw else raw.decode("latin-1")


def _long(machine: Machine) -> None:
    raw = machine.take(machine.number("<B"))
    if len(raw) > 16:
        raise ValueError
    machine.push(int.from_bytes(raw, "little", signed=True))


def _memoize(machine: Machine, index: int) -> None:
    if machine.stack[-1] is _Mark:
        raise ValueError
    machine.memo[index] = machine.stack[-1]


def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.named(module, name)


def _new_object(machine: Machine) -> None:
    machine.call()


def _remembered(machine: Machine, index: int) -> Any:
    if index not in machine.memo:
        raise ValueError
    return machine.memo[index]


_OPCODES: dict[bytes, Callable[[Machine], Any]] = {
    b"\x95": lambda m: m.number("<Q"),  # a frame: only its length
    b"(": lambda m: m.push(_Mark),
    b"0": lambda m: m.pop(),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"J": lambda m: m.push(m.number("<i")),
    b"I": lambda m: m.push(int(m.line())),
    b"\x8a": _long,
    b"G": lambda m: m.push(m.number(">d")),
    b"X": lambda m: m.push(m.run("<I").decode()),
    b"\x8c": lambda m: m.push(m.run("<B").decode()),
    b"U": lambda m: m.push(_text(m.run("<B"), m)),
    b"T": lambda m: m.push(_text(m.run("<i"), m)),
    b"C": lambda m: m.push(m.run("<B")),
    b"B": lambda m: m.push(m.run("<I")),
    b"\x8e": lambda m: m.push(m.run("<Q")),
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.tuple_of([m.pop()]),
    b"\x86": lambda m: m.tuple_of([m.pop(), m.pop()][::-1]),
    b"\x87": lambda m: m.tuple_of([m.pop(), m.pop(), m.pop()][::-1]),
    b"t": lambda m: m.tuple_of(m.since_mark()),
    b"]": lambda m: m.push([]),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.since_mark()),
    b"\x8f": lambda m: m.push(set()),
    b"\x90": lambda m: m.add(m.since_mark()),
    b"}": lambda m: m.push({}),
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"q": lambda m: _memoize(m, m.number("<B")),
    b"r": lambda m: _memoize(m, m.number("<I")),
    b"\x94": lambda m: _memoize(m, len(m.memo)),
    b"h": lambda m: m.push(_remembered(m, m.number("<B"))),
    b"j": lambda m: m.push(_remembered(m, m.number("<I"))),
    b"c": lambda m: m.named(m.line(), m.line()),
    b"\x93": _stack_global,
    b"R": lambda m: m.call(),
    b"\x81": _new_object,
    b"b": lambda m: m.build(),
    b"Q": lambda m: m.persist(),
}
