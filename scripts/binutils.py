# SPDX-License-Identifier: GPL-2.0
"""What objdump, nm and size tell of a kernel, for the scripts that report it."""

import os
import subprocess
import sys


def lines(*command):
    """Output of a tool of binutils."""
    script = os.path.basename(sys.argv[0])
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            yield from process.stdout
    except FileNotFoundError:
        sys.exit(f"{script}: no {command[0]}: install binutils")
    if process.returncode:
        sys.exit(f"{script}: {' '.join(command)} failed: is that kernel built?")


def object_text(directory, patterns):
    """Bytes of code in the objects below directory that match."""
    total = 0
    for pattern in patterns:
        for path in directory.glob(pattern):
            for line in lines("size", "-A", str(path)):
                fields = line.split()
                if fields and fields[0].startswith((".text", ".noinstr.text", ".init.text",
                                                    ".exit.text")):
                    total += int(fields[1])
    return total
