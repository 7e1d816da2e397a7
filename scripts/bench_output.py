# SPDX-License-Identifier: GPL-2.0
"""What the benchmarks among the selftests print, for the scripts that report it."""

import glob

COLUMNS = ("median", "p99", "max")


def read_runs(pattern, column):
    """One column of the results in all files that match: {name: [value of each run, ...]}."""
    values = {}
    for path in sorted(glob.glob(pattern)):
        with open(path, encoding="ascii") as output:
            for line in output:
                fields = line.split()
                if len(fields) == 3 + len(COLUMNS) and fields[0] == "bench":
                    value = float(fields[2 + COLUMNS.index(column)])
                    values.setdefault(fields[1], []).append(value)
    return values
