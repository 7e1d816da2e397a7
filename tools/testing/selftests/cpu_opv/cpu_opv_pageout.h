/* SPDX-License-Identifier: GPL-2.0 */
/* Tests of cpu_opv(2): memory that is swapped out. */
#ifndef CPU_OPV_PAGEOUT_H
#define CPU_OPV_PAGEOUT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * For a process of its own: swap space on a loop device, a mount namespace, and if possible a
 * cgroup, so that only its memory is reclaimed. Returns why that is not possible, or NULL.
 */
const char *pageout_begin(void);
void pageout_end(void);

/* Of the pages at @mem, those that are in memory, be it only in the swap cache. */
size_t resident_pages(void *mem, size_t size);

/*
 * Swaps out private or shared anonymous memory, all of which is there. Returns whether the page
 * table has none of it any more.
 */
bool pageout(void *mem, size_t size);

#endif /* CPU_OPV_PAGEOUT_H */
