# SPDX-License-Identifier: GPL-2.0
"""Temporary breakpoints at the ways out of a section that a step led into.

The thread goes to the abort address when it is resumed. Without a breakpoint the next step
would end behind the first instruction there, or not at all.
"""
from typing import List

import gdb

from . import area, run, sections

_placed: List[gdb.Breakpoint] = []


def clear() -> None:
    """Removes those that are left."""
    for breakpoint in _placed:
        if breakpoint.is_valid() and not breakpoint.hit_count:  # else gdb deletes it
            breakpoint.delete()
    _placed.clear()


def _on_stop(_event: gdb.Event) -> None:
    if run.busy:
        return
    clear()
    section = sections.in_progress(area.find()) if not run.reason() else None
    if section:
        print(f"In the section of {section}: it will be aborted")
        for address in (section.abort, *section.exits):
            _placed.append(run.watch(address, temporary=True))


gdb.events.stop.connect(_on_stop)
