# SPDX-License-Identifier: GPL-2.0
"""The areas that threads have registered by rseq(2)."""
import ctypes
from typing import Iterator, NamedTuple, Optional, Tuple

import gdb

from . import inferior

PTRACE_GET_RSEQ_CONFIGURATION = 0x420F
AT_RSEQ_FEATURE_SIZE = 27
ORIGINAL_SIZE = 32  # of the area of version 1
ORIGINAL_FEATURES = 20  # its bytes that had a meaning at first
RSEQ_CS = 8  # offset

# Who registers areas, where, and how large; a size that is not positive tells that it did not.
OWNERS = (
    ("glibc", "(long) $tp + *(long *) &__rseq_offset", "*(int *) &__rseq_size"),
    ("rseq_offset", "(long) $tp + *(long *) &rseq_offset", "*(int *) &rseq_size"),
    ("__rseq_abi", "(long) &__rseq_abi", "32"),
)


class Area(NamedTuple):
    """Where the area of a thread is; the signature if the kernel could be asked."""

    address: int
    size: int
    signature: Optional[int] = None

    @property
    def version(self) -> int:
        """2: the kernel kills a thread that writes to fields that are the kernel's."""
        return 2 if self.size > ORIGINAL_SIZE else 1

    @property
    def section(self) -> int:
        """The address of the descriptor in rseq_cs; 0 if there is none."""
        return inferior.read("Q", self.address + RSEQ_CS)[0]


class _Configuration(ctypes.Structure):
    _fields_ = [
        ("address", ctypes.c_uint64),
        ("size", ctypes.c_uint32),
        ("signature", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
    ]


def _by_ptrace() -> Optional[_Configuration]:
    """What the kernel knows of the selected thread, if gdb itself traces it."""
    connection = gdb.selected_inferior().connection
    if connection is None or connection.type != "native":
        return None
    ptrace = ctypes.CDLL(None).ptrace
    ptrace.restype = ctypes.c_long
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    known = _Configuration()
    lwp = gdb.selected_thread().ptid[1]
    size = ctypes.sizeof(known)
    done = ptrace(PTRACE_GET_RSEQ_CONFIGURATION, lwp, size, ctypes.byref(known))
    return known if done >= size else None


def _by_symbols() -> Iterator[Tuple[str, int, int]]:
    """Owner, address and size of areas that the selected thread can have."""
    pointer = inferior.thread_pointer()
    for name, where, size in OWNERS:
        if "$tp" in where:
            if pointer is None:
                continue
            where = where.replace("$tp", f"{pointer:#x}")
        address, length = inferior.evaluate(where), inferior.evaluate(size)
        if address is not None and length is not None and length > 0:
            yield name, address & inferior.MASK, max(length, ORIGINAL_SIZE)


def find() -> Optional[Area]:
    """The area of the selected thread; None if it has none, as far as can be seen."""
    known = _by_ptrace()
    if known is not None:
        return Area(known.address, known.size, known.signature) if known.address else None
    for _, address, size in _by_symbols():
        return Area(address, size)
    return None


def owner(area: Area) -> str:
    """Who registered it."""
    names = (name for name, address, _ in _by_symbols() if address == area.address)
    return next(names, "elsewhere")


class Fields(NamedTuple):
    """What an area contains; None where the kernel does not write it."""

    cpu_id: int
    flags: int
    node_id: Optional[int]
    mm_cid: Optional[int]
    slice: Optional[str]


def fields(area: Area) -> Fields:
    """Of an area in memory."""
    features = inferior.auxiliary(AT_RSEQ_FEATURE_SIZE) or ORIGINAL_FEATURES
    _, cpu_id, _, flags, node_id, mm_cid = inferior.read("IiQIII", area.address)
    state = None
    if area.version > 1 and features >= ORIGINAL_SIZE:
        request, granted = inferior.read("BB", area.address + 28)
        state = "granted" if granted else "requested" if request else \
            "on" if flags & 32 else "off" if flags & 16 else "no"
    return Fields(cpu_id, flags, node_id if features >= 24 else None,
                  mm_cid if features >= 28 else None, state)
