# SPDX-License-Identifier: GPL-2.0
"""The sections of the program and its libraries, as their descriptors tell."""
from typing import Dict, List, NamedTuple, Optional, Tuple

import gdb

from . import inferior
from .area import Area

LONGEST_INSTRUCTION = 15


class Section(NamedTuple):
    """A section: what lies from start to end, and the ways out of it."""

    descriptor: int
    start: int
    length: int
    abort: int
    exits: Tuple[int, ...] = ()

    @property
    def end(self) -> int:
        """The address of the first instruction behind it."""
        return self.start + self.length

    def __contains__(self, pc: object) -> bool:
        return isinstance(pc, int) and self.start <= pc < self.end

    def __str__(self) -> str:
        name, file = inferior.function(self.start)
        return f"{name} ({file}), {self.start:#x}-{self.end:#x}"


_found: List[Section] = []
_by_start: Dict[int, Section] = {}
_entries: Dict[int, Section] = {}  # sections behind instructions that are not before start
_complete = False


def at_descriptor(address: int, exits: Tuple[int, ...] = ()) -> Optional[Section]:
    """The section whose descriptor is there; None if there is none."""
    try:
        head, start, length, abort = inferior.read("QQQQ", address)
    except gdb.MemoryError:
        return None
    return Section(address, start, length, abort, exits) if start and not head else None


def _words(ranges: List[Tuple[int, int]]) -> List[int]:
    words: List[int] = []
    for start, end in ranges:
        words += inferior.read(f"{(end - start) // 8}Q", start)
    return words


def every() -> List[Section]:
    """All that the linker sections name, as far as these have been relocated yet."""
    global _complete
    if _complete:
        return _found
    linked = inferior.linker_sections()
    pairs = _words(linked.get("__rseq_exit_point_array", []))
    exits: Dict[int, Tuple[int, ...]] = {}
    for start, leave in zip(pairs[::2], pairs[1::2]):
        exits[start] = exits.get(start, ()) + (leave,)
    pointers = _words(linked.get("__rseq_cs_ptr_array", []))
    _found.clear()
    for pointer in sorted(set(pointers)):
        section = at_descriptor(pointer) if pointer else None
        if section:
            _found.append(section._replace(exits=exits.get(section.start, ())))
    _by_start.clear()
    _by_start.update((section.start, section) for section in _found)
    _complete = len(_found) == len(set(pointers)) and gdb.selected_inferior().pid != 0
    return _found


def forget(_event: object = None) -> None:
    """The program or its libraries are other ones."""
    global _complete
    _complete = False
    _entries.clear()


def in_progress(area: Optional[Area]) -> Optional[Section]:
    """The section that the selected thread is in, by its area and its program counter."""
    section = at_descriptor(area.section) if area and area.section else None
    if section is None or gdb.newest_frame().pc() not in section:
        return None
    every()
    return _by_start.get(section.start, section)


def entered_by(pc: int) -> Optional[Section]:
    """The section that begins behind the instruction at pc: by it a thread enters."""
    if pc in _entries:
        return _entries[pc]
    every()
    near = [n for n in range(1, LONGEST_INSTRUCTION + 1) if pc + n in _by_start]
    if not near:
        return None
    length = gdb.newest_frame().architecture().disassemble(pc)[0]["length"]
    return _by_start[pc + length] if length in near else None


def any_in(start: int, end: int) -> bool:
    """Whether there is a section in the code from start to end."""
    return any(start <= section.start < end for section in [*every(), *_entries.values()])


def learn(pc: int, section: Section) -> None:
    """The instruction at pc leads into a section that no linker section names."""
    _entries[pc] = section


gdb.events.new_objfile.connect(forget)
gdb.events.clear_objfiles.connect(forget)
gdb.events.exited.connect(forget)
