/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_SCHED_EXCLUDE_H
#define _LINUX_SCHED_EXCLUDE_H

#include <linux/types.h>

/**
 * typedef sched_exclude_fn_t - What runs while user code is kept off
 * @arg:	As passed by the caller
 * @own:	User accesses reach the memory of the caller, with its rights. They
 *		must not be resolved by page faults: see pagefault_disable()
 *
 * Runs with interrupts off, maybe in an interrupt or with a runqueue locked:
 * must not sleep, print, wake up, allocate or take locks.
 */
typedef void (*sched_exclude_fn_t)(void *arg, bool own);

/**
 * enum sched_occupant - What sched_exclude_locked() tells of a user task
 * @SCHED_OCCUPANT:		The CPU runs one
 * @SCHED_OCCUPANT_SAME_MM:	It has the mm of the caller
 * @SCHED_OCCUPANT_REALTIME:	It is of a real-time class
 * @SCHED_OCCUPANT_ISOLATED:	The CPU is isolated
 */
enum sched_occupant {
	SCHED_OCCUPANT		= 1,
	SCHED_OCCUPANT_SAME_MM	= 2,
	SCHED_OCCUPANT_REALTIME	= 4,
	SCHED_OCCUPANT_ISOLATED	= 8,
};

/**
 * enum sched_cid - What sched_exclude_cid() tells when it has called the function
 * @SCHED_CID_TAKEN:	No thread that runs had the ID
 * @SCHED_CID_RUNNING:	A thread that had it was interrupted
 */
enum sched_cid {
	SCHED_CID_TAKEN,
	SCHED_CID_RUNNING,
};

int sched_exclude_permitted(int cpu);
int sched_exclude_locked(int cpu, sched_exclude_fn_t fn, void *arg);
int sched_exclude_interrupt(int cpu, sched_exclude_fn_t fn, void *arg);
int sched_exclude_cid(int cid, sched_exclude_fn_t fn, void *arg);
int sched_exclude_cid_wait(void);

#endif /* _LINUX_SCHED_EXCLUDE_H */
