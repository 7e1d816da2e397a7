# SPDX-License-Identifier: GPL-2.0
"""The commands."""
import re
from typing import Callable, Iterator, List, Sequence

import gdb

from . import area, inferior, run, sections, step, stops


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


class InfoRseq(gdb.Command):
    """Show the rseq(2) areas of all threads.

Version 2 is an area of more than 32 bytes, whose fields the kernel alone may write, but
for rseq_cs and the request for a longer time slice. "Slice" is "no" if the kernel has no
such thing, "off" or "on", or else "requested" or "granted". "By" tells who registered the
area: glibc, a library that has its offset in rseq_offset, as librseq does, or its address
in __rseq_abi, or somebody "elsewhere". A section follows if the thread is in one.

The kernel is asked if gdb runs on the same machine as the program. Else, and in core
files, symbols tell where an area would be, and "Signature" is not known."""

    HEAD = ("  Id", "Area", "Version", "Size", "CPU", "Node", "mm_cid", "Slice", "Flags",
            "Signature", "By")

    def __init__(self) -> None:
        super().__init__("info rseq", gdb.COMMAND_STATUS)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Called by gdb."""
        current = gdb.selected_thread()
        if current is None:
            raise gdb.GdbError("No thread.")
        rows: List[Sequence[str]] = [self.HEAD]
        notes = {}
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):
            number = ("* " if thread == current else "  ") + str(thread.num)
            if thread.is_running():
                rows.append((number, "(running)", *[""] * 9))
                continue
            with inferior.selected(thread):
                found = area.find()
                if found is None:
                    rows.append((number, "(none)", *[""] * 9))
                    continue
                rows.append((number, *self._row(found)))
                notes[len(rows)] = self._section(found)
        for index, line in enumerate(_table(rows), 1):
            print(line)
            if notes.get(index):
                print(f"      {notes[index]}")

    @staticmethod
    def _row(found: area.Area) -> Sequence[str]:
        try:
            have = area.fields(found)
        except gdb.MemoryError:
            return (f"{found.address:#x}", *["?"] * 8, area.owner(found))
        cpu = have.cpu_id - 2**32 if have.cpu_id >= 2**31 else have.cpu_id
        signature = None if found.signature is None else f"{found.signature:#x}"
        return (f"{found.address:#x}", f"v{found.version}", str(found.size), str(cpu),
                _or_dash(have.node_id), _or_dash(have.mm_cid), _or_dash(have.slice),
                f"{have.flags:#x}", _or_dash(signature), area.owner(found))

    @staticmethod
    def _section(found: area.Area) -> str:
        section = sections.in_progress(found)
        return f"in the section of {section}, abort {section.abort:#x}" if section else ""


class InfoSections(gdb.Command):
    """Show the sections of restartable sequences of the program and its libraries.
Usage: info rseq-sections [REGEXP]

With REGEXP, those whose function or file matches it."""

    HEAD = ("Start", "Length", "Abort", "Function", "File", "Exit points")

    def __init__(self) -> None:
        super().__init__("info rseq-sections", gdb.COMMAND_STATUS)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Called by gdb."""
        wanted = re.compile(argument)
        rows: List[Sequence[str]] = [self.HEAD]
        for section in sorted(sections.every(), key=lambda s: s.start):
            name, file = inferior.function(section.start)
            if wanted.search(name) or wanted.search(file):
                exits = " ".join(f"{address:#x}" for address in section.exits) or "-"
                rows.append((f"{section.start:#x}", str(section.length), f"{section.abort:#x}",
                             name, file, exits))
        if len(rows) > 1:
            print(*_table(rows), sep="\n")
        elif gdb.selected_inferior().pid:
            print("No sections.")
        else:
            print("No sections, as far as can be seen before the program runs.")


def _steps(argument: str, one: Callable[[step.Steps], bool]) -> None:
    connection = gdb.selected_inferior().connection
    if gdb.selected_thread() is None or connection is None or connection.type == "core":
        raise gdb.GdbError("The program is not being run.")
    count = int(gdb.parse_and_eval(argument)) if argument else 1
    stops.clear()
    steps = step.Steps()
    try:
        while count > 0 and one(steps):
            count -= 1
    except gdb.error as error:
        raise gdb.GdbError(str(error)) from error
    steps.report()


class StepInstruction(gdb.Command):
    """Step one instruction, or one section of a restartable sequence as a whole.
Usage: rseq-stepi [N]

From the instruction that enters a section the thread goes on to its end, to another of its
exit points, or to its abort address. Breakpoints in the section are passed over. A section
in which the thread has already stopped is aborted.
Argument N means step N times (or till the program stops for another reason)."""

    def __init__(self) -> None:
        super().__init__("rseq-stepi", gdb.COMMAND_RUNNING)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Called by gdb."""
        _steps(argument, lambda steps: steps.step("stepi"))


class NextLine(gdb.Command):
    """Step to the next line, through calls, with sections as a whole.
Usage: rseq-next [N]

As "next", but sections of restartable sequences in this line come to their end. See "help
rseq-stepi".
Argument N means step N times (or till the program stops for another reason)."""

    def __init__(self) -> None:
        super().__init__("rseq-next", gdb.COMMAND_RUNNING)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Called by gdb."""
        _steps(argument, step.next_line)


InfoRseq()
InfoSections()
StepInstruction()
NextLine()
