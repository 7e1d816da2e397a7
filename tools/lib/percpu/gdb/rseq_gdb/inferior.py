# SPDX-License-Identifier: GPL-2.0
"""Memory, symbols and linker sections of the program, running or in a core file."""
import contextlib
import re
import struct
from typing import Dict, Iterator, List, Optional, Tuple

import gdb

THREAD_POINTERS = {"i386:x86-64": "fs_base", "aarch64": "tpidr", "riscv:rv64": "tp"}
MASK = 2**64 - 1


def read(layout: str, address: int) -> tuple:
    """What struct.unpack() makes of the memory at address."""
    layout = "<" + layout
    memory = gdb.selected_inferior().read_memory(address, struct.calcsize(layout))
    return struct.unpack(layout, memory)


def evaluate(expression: str) -> Optional[int]:
    """The value of an expression of C; None if its symbols or its memory are not there."""
    try:
        with gdb.with_parameter("language", "c"):
            return int(gdb.parse_and_eval(expression))
    except gdb.error:
        return None


def thread_pointer() -> Optional[int]:
    """Of the selected thread."""
    register = THREAD_POINTERS.get(gdb.newest_frame().architecture().name())
    value = register and evaluate(f"(unsigned long) ${register}")
    return value or None


def auxiliary(key: int) -> int:
    """A value of the auxiliary vector, 0 if it is not there."""
    try:
        vector = gdb.execute("info auxv", to_string=True)
    except gdb.error:
        return 0
    found = re.search(rf"^{key}\s.*\s(\w+)$", vector, re.MULTILINE)
    return int(found[1], 0) if found else 0


def linker_sections() -> Dict[str, List[Tuple[int, int]]]:
    """The ranges of addresses of all linker sections of a name, in all files."""
    found: Dict[str, List[Tuple[int, int]]] = {}
    line = re.compile(r"^\s*(0x[0-9a-f]+) - (0x[0-9a-f]+) is (\S+)", re.MULTILINE)
    for start, end, name in line.findall(gdb.execute("info files", to_string=True)):
        found.setdefault(name, []).append((int(start, 16), int(end, 16)))
    return found


def function(pc: int) -> Tuple[str, str]:
    """The function and the file that pc is in."""
    text = gdb.execute(f"info symbol {pc:#x}", to_string=True)
    found = re.match(r"(.*?)(?: \+ \d+)? in section ", text)
    space = gdb.current_progspace()
    path = space.solib_name(pc) or space.filename or ""
    return found[1] if found else "??", path.rsplit("/", 1)[-1]


@contextlib.contextmanager
def selected(thread: gdb.InferiorThread) -> Iterator[None]:
    """With thread as the selected one."""
    before, frame = gdb.selected_thread(), gdb.selected_frame()
    thread.switch()
    try:
        yield
    finally:
        before.switch()
        frame.select()
