# SPDX-License-Identifier: GPL-2.0
"""Running a section as a whole.

The kernel aborts a section when its thread stops in it, so a debugger must not stop there:
from the instruction that enters a section the thread goes on to one of the ways out, where
breakpoints wait.
"""
import contextlib
import re
from typing import Iterator, List, Optional

import gdb

from .sections import Section

busy = False  # it is us, not the user, who resumes the program
_hit: List[gdb.Breakpoint] = []
_reason = ""


def _note(event: gdb.Event) -> None:
    global _hit, _reason
    _hit = event.breakpoints if isinstance(event, gdb.BreakpointEvent) else []
    _reason = ""
    if isinstance(event, gdb.SignalEvent):
        _reason = f"Signal {event.stop_signal}"
    elif isinstance(event, gdb.ExitedEvent):
        _reason = "Exited"
    else:
        # Not every breakpoint is one for Python.
        found = re.search(r"breakpoint \d+", gdb.execute("info program", to_string=True))
        _reason = found[0].capitalize() if found else ""


gdb.events.stop.connect(_note)
gdb.events.exited.connect(_note)


def resume(command: str) -> None:
    """Executes a command that resumes the program, until it stops again, and prints nothing."""
    global busy
    busy = True
    try:
        with gdb.with_parameter("suppress-cli-notifications", True):
            gdb.execute(command, to_string=True)
    finally:
        busy = False


def reason() -> str:
    """Why the program stopped, if for another reason than that a step was done."""
    return _reason


def watch(address: int, **options: bool) -> gdb.Breakpoint:
    """A breakpoint for the selected thread."""
    breakpoint = gdb.Breakpoint(f"*{address:#x}", **options)
    breakpoint.thread = gdb.selected_thread().global_num
    return breakpoint


@contextlib.contextmanager
def _without_breakpoints(section: Section, pc: int) -> Iterator[None]:
    """Those of the user that would stop the thread at pc, or in the section."""
    disabled = []
    for breakpoint in gdb.breakpoints():
        places = [location.address for location in breakpoint.locations]
        if breakpoint.enabled and any(at == pc or at in section for at in places):
            breakpoint.enabled = False
            disabled.append(breakpoint)
    try:
        yield
    finally:
        for breakpoint in disabled:
            breakpoint.enabled = True


def through(section: Section) -> Optional[str]:
    """From its entry, or from where the thread stopped in it, to one of the ways out.

    Tells which; None if something else stopped the program.
    """
    ways = {address: "left" for address in section.exits}
    ways.update({section.end: "ended", section.abort: "aborted"})
    pc = gdb.newest_frame().pc()
    with _without_breakpoints(section, pc), gdb.with_parameter("scheduler-locking", "on"):
        own = [watch(address, internal=True) for address in ways]
        try:
            resume("continue")
            hit = bool(_hit) and all(breakpoint in own for breakpoint in _hit)
        finally:
            for breakpoint in own:
                breakpoint.delete()
    return ways.get(gdb.newest_frame().pc()) if hit else None
