# SPDX-License-Identifier: GPL-2.0
"""Stepping that runs sections as a whole."""
import collections
import re
from typing import Optional

import gdb

from . import area, run, sections


class Steps:
    """Steps of one command."""

    def __init__(self) -> None:
        self.area = area.find()
        self.ways: "collections.Counter[str]" = collections.Counter()
        self.last = ""

    def step(self, command: str) -> bool:
        """An instruction or a section. Whether the program stopped for just that."""
        self.last = ""
        pc = gdb.newest_frame().pc()
        self.area = self.area or area.find()
        section = sections.in_progress(self.area) or sections.entered_by(pc)
        if section:
            way = run.through(section)
            if way is None:
                return False
            self.ways[way] += 1
            self.last = f"Section of {section}: {way}"
            return True
        run.resume(command)
        if run.reason():
            return False
        entered = sections.in_progress(self.area)
        if entered:
            sections.learn(pc, entered)
        return True

    def report(self) -> None:
        """To the user: what happened, and where the program is."""
        ways = ", ".join(f"{count} {way}" for way, count in sorted(self.ways.items()))
        if self.last and sum(self.ways.values()) == 1:
            print(self.last)
        elif ways:
            print(f"Sections: {ways}")
        if not self.last and run.reason():
            print(run.reason())
        if gdb.selected_thread():
            gdb.execute("frame")


def _block(pc: int) -> Optional[gdb.Block]:
    """The function that pc is in, not one inlined into it."""
    try:
        block = gdb.block_for_pc(pc)
    except RuntimeError:
        return None
    while block and block.superblock and not block.superblock.is_static:
        block = block.superblock
    return block


def _new_line(origin: gdb.Frame, line: int) -> bool:
    """Whether the thread is at the beginning of a line other than the one of origin."""
    frame = gdb.newest_frame()
    if origin.is_valid() and frame != origin:
        return False  # in a function that was inlined there
    found = frame.find_sal()
    if not found.symtab or found.pc != frame.pc() or (origin.is_valid() and found.line == line):
        return False
    # gdb shows an address where a line goes on, which it does not tell in another way.
    return not re.match(r"#0 +0x", gdb.execute("frame", to_string=True))


def next_line(steps: Steps) -> bool:
    """As "next" does. Whether the program stopped for just that."""
    while gdb.newest_frame().name() is None:  # where "next" fails: what follows an abort
        if not steps.step("nexti"):
            return False
    origin = gdb.newest_frame()
    line, block = origin.find_sal(), _block(origin.pc())
    if not block or not line.symtab or not (
            sections.in_progress(steps.area) or sections.any_in(block.start, block.end)):
        run.resume("next")
        return not run.reason()
    caller = origin
    while caller.type() == gdb.INLINE_FRAME:
        caller = caller.older()
    caller = caller.older()
    back = caller.pc() if caller else None
    while steps.step("nexti"):
        pc = gdb.newest_frame().pc()
        if pc == back:
            return True
        if block.start <= pc < block.end:
            if _new_line(origin, line.line):
                return True
        elif _block(pc) and not origin.is_valid():
            return True  # it jumped to another function
    return False
