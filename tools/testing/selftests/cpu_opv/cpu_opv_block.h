/* SPDX-License-Identifier: GPL-2.0 */
/* Tests of cpu_opv(2): blocks of memory, which can go offline. */
#ifndef CPU_OPV_BLOCK_H
#define CPU_OPV_BLOCK_H

#include <stdbool.h>
#include <sys/types.h>

long long block_size(void);	/* -1: memory cannot go offline */

/* The number of the block that has the page at @addr of process @pid; -1: not known */
long block_of(pid_t pid, const void *addr);

/*
 * Moves a page to @mem that is in a block that can go offline. Returns false if there is no such
 * block.
 */
bool place_page(char *mem);

/* @state: "offline" or "online_movable". Returns 0 or an errno. */
int block_set(long block, const char *state);

#endif /* CPU_OPV_BLOCK_H */
