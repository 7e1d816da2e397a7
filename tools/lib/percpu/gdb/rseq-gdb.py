# SPDX-License-Identifier: GPL-2.0
"""gdb and restartable sequences: "source" this file, then see "help info rseq"."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import rseq_gdb.commands  # noqa: E402,F401
