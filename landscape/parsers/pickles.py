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
MAX_OPCODES = 2_000_000  # objects take at most some 500 bytes each; 10 000 tensors need 400 000
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
        r"""The object in the pickle at `start`.

        Raises:
            CodeError, FileError: see `Machine`.

        >>> Machine({}).load(b"\x80\x02K\x03K\x05\x86.")
        (3, 5)
        """
        self.data, self.end = data, start
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.depths: dict[int, tuple[int, Any]] = {}  # id -> (depth, the object, kept so that its id is not reused)
        self.made = 0  # arguments of all calls, and entries and bytes of what they returned
        self.take_protocol()
        try:
            for _ in range(MAX_OPCODES):
                if (code := self.take(1)) == b".":
                    return self.pop()
                _OPCODES[code](self)
        except KeyError:
            raise FileError(_DAMAGED.format(f"uses opcode {code.hex()}, which data does not need")) from None
        except (IndexError, TypeError, ValueError, struct.error, OverflowError):
            raise FileError(_DAMAGED.format("makes no sense")) from None
        raise FileError(f"The file's table of contents has more than {MAX_OPCODES} entries. Save model.state_dict().")

    def take_protocol(self) -> None:
        """Skip the opcode of the protocol.

        Raises:
            FileError: there is none, or it is not protocol 2 to 5.
        """
        if self.data[self.end : self.end + 1] != b"\x80" or self.data[self.end + 1 : self.end + 2] > b"\x05":
            raise FileError(_DAMAGED.format("is not a pickle of protocol 2 to 5"))
        self.end += 2

    # --- bytes and stack

    def take(self, count: int) -> bytes:
        """The next `count` bytes.

        Raises:
            FileError: there are fewer.
        """
        part = self.data[self.end : self.end + count]
        if len(part) != count:
            raise FileError(_DAMAGED.format("breaks off"))
        self.end += count
        return part

    def number(self, form: str) -> Any:
        """The next number, of a format of `struct`; raises as `take`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def run(self, form: str) -> bytes:
        """Bytes preceded by their length.

        Raises:
            FileError: there are fewer, or they are longer than `max_text`.
        """
        length = self.number(form)
        if not 0 <= length <= self.max_text:
            raise FileError(_DAMAGED.format(f"holds a text of {length} bytes; at most {self.max_text} are read"))
        return self.take(length)

    def line(self) -> str:
        """Text up to the next line break.

        Raises:
            FileError: there is no line break within `MAX_TEXT` bytes.
        """
        end = self.data.find(b"\n", self.end, self.end + MAX_TEXT)
        if end < 0:
            raise FileError(_DAMAGED.format("breaks off"))
        text = self.data[self.end : end].decode()
        self.end = end + 1
        return text

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take a value off the stack.

        Raises:
            ValueError: it is a mark.
        """
        value = self.stack.pop()
        if value is _Mark:
            raise ValueError
        return value

    def since_mark(self) -> list[Any]:
        """Take everything above the last mark off the stack, and the mark.

        Raises:
            ValueError: there is no mark.
        """
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _Mark:
                items = self.stack[at + 1 :]
                del self.stack[at:]
                return items
        raise ValueError

    def top(self, kind: type) -> Any:
        """The value on top of the stack, which stays there.

        Raises:
            ValueError: its type is not exactly `kind`.
        """
        if type(self.stack[-1]) is not kind:
            raise ValueError
        return self.stack[-1]

    # --- containers

    def note(self, container: Any, items: Any) -> None:
        """Remember how deep `container` is, now that it holds `items`.

        Raises:
            FileError: deeper than `MAX_DEPTH`.
        """
        inner = max((self.depths[id(item)][0] for item in items if id(item) in self.depths), default=0)
        depth = max(inner + 1, self.depths.get(id(container), (1,))[0])
        if depth > MAX_DEPTH:
            raise FileError(f"The file nests its contents more than {MAX_DEPTH} deep. Save model.state_dict().")
        self.depths[id(container)] = depth, container

    def tuple_of(self, items: list[Any]) -> None:
        """Push a tuple; raises as `note`."""
        made = tuple(items)
        self.note(made, made)
        self.push(made)

    def append(self, items: list[Any]) -> None:
        """Extend the list on top of the stack; raises as `top` and `note`."""
        self.top(list).extend(items)
        self.note(self.stack[-1], items)

    def add(self, items: list[Any]) -> None:
        """Add to the set on top of the stack.

        Raises:
            ValueError: an item is not a text or number, or no set is on top.
        """
        if not all(type(item) in (str, int, float, bool) for item in items):
            raise ValueError
        self.top(set).update(items)

    def set_items(self, items: list[Any]) -> None:
        """Set keys and values, which alternate in `items`, of the dictionary on top of the stack.

        Raises:
            FileError: a key is not a text or number, or the dictionary becomes too deep.
            ValueError: a key without a value, or no dictionary is on top.
        """
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
        """Replace a name and its arguments on the stack by what the maker of the name returns.

        Raises:
            CodeError: the name has no maker.
            FileError: the arguments are nested too deep, or calls have copied more than the pickle holds.
            ValueError: they are not a name and a tuple.
        """
        arguments, name = self.pop(), self.pop()
        if type(name) is not Name or type(arguments) is not tuple:
            raise ValueError
        if name.path not in self.makers:
            raise CodeError(name.path)
        made = self.makers[name.path](*arguments)
        self.made += len(arguments) + (len(made) if type(made) in (dict, bytes) else 0)
        if self.made > len(self.data):
            raise FileError("The file's table of contents repeats its contents many times. Save model.state_dict().")
        self.note(made, arguments)
        self.push(made)

    def build(self) -> None:
        """Give the object below the top of the stack the state on top: kept by an `Opaque`, ignored for a dictionary.

        Raises:
            CodeError: any other object, or a state that is not metadata.
            ValueError: a mark is on top.
        """
        state, target = self.pop(), self.stack[-1]
        if type(target) is Opaque:
            target.state = state
        elif type(target) is not dict or type(state) is not dict or state.keys() - {"_metadata"}:
            raise CodeError("an object with a state of its own")

    def persist(self) -> None:
        """Replace a persistent id on the stack by its object.

        Raises:
            ValueError: the pickle was not expected to have any, or a mark is on top.
        """
        identity = self.pop()
        if self.persistent is None:
            raise ValueError
        self.push(self.persistent(identity))

    def named(self, module: Any, name: Any) -> None:
        """Push the `Name` of a global.

        Raises:
            ValueError: not two texts of `MAX_TEXT` characters together.
        """
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
