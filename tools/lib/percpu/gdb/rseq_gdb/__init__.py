# SPDX-License-Identifier: GPL-2.0
"""Restartable sequences in gdb 13 and later.

inferior    memory, symbols and linker sections of the program
area        the areas that its threads have registered
sections    the sections that it has, by their descriptors
run         running a section as a whole, and stepping that way
stops       breakpoints at the ways out of a section that a step led into
commands    the commands
"""
