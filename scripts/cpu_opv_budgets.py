# SPDX-License-Identifier: GPL-2.0
"""What cpu_opv(2) may cost."""

# Of which CPU, and what that is doing: idle, busy with a thread of the caller's process or with
# another process, offline; "migrate" is a busy one to which the caller goes.
PLACES = ("local", "idle", "busy-own", "busy-other", "offline", "migrate")

# Medians of calls, in multiples of getppid(), in the order of PLACES. Not all have a budget.
CALLS = {
    "empty": (1.2, 1.8, 12, 12, 1.8),
    "add": (1.6, 2.5, 12.5, 16.5, 2.5),
    "cmpeqv_storev": (2.0, 3, 13.5, 21, 3),
    "cmpxchg": (8, 12),
    "cmpeqv_memcpy_storev-64": (12,),
    "add-16": (12,),
    "memcpy-crossing": (14,),
    "memcpy-32-pages": (52,),
    "memcpy-32-scattered": (95,),
    "maximal": (52,),
}

# An ADD for a concurrency ID, by who has that; with a thousand threads, which have IDs by CPU,
# "-many", so many times what it is with few at most.
CIDS = {"cid-own": 1.7, "cid-nobody": 4, "cid-blocked": 4, "cid-running": 14}
CIDS_MANY = 1.5

# Where they are missed: what is held instead. That is what it takes now, and 2 % more.
HELD = {
    ("empty", "idle"): 2.38,
    ("empty", "offline"): 2.38,
    ("add", "idle"): 3.44,
    ("add", "offline"): 3.44,
    ("cmpeqv_storev", "idle"): 4.37,
    ("cmpeqv_storev", "offline"): 4.37,
    ("cmpxchg", "local"): 11.3,
    ("cmpeqv_memcpy_storev-64", "local"): 17.0,
    ("add-16", "local"): 17.4,
    ("memcpy-32-pages", "local"): 55.7,
    ("memcpy-32-scattered", "local"): 104,
    ("maximal", "local"): 59.8,
}

# Function-call interrupts of a call.
INTERRUPTS = {"idle": 0, "busy-own": 1, "busy-other": 1}

# The longest section with interrupts off: part of the longest call.
SECTION = 0.1

# Calls in a second of many threads, at least: part of what few threads get done. By the CPU that
# each call is for. Two threads leave CPUs idle, for which a call costs less than for others.
FEW = {"own-cpu": "2-threads", "any-cpu": "8-threads"}
MANY = 0.95

# Atomic instructions on memory, of a call that runs in place on its own CPU.
ATOMICS = 0


def of_call(name, where):
    """The budget, or None."""
    if where in CIDS:
        return CIDS[where]
    return dict(zip(PLACES, CALLS.get(name, ()))).get(where)
