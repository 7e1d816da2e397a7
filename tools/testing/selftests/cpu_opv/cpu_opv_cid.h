/* SPDX-License-Identifier: GPL-2.0 */
/* Tests of cpu_opv(2) by concurrency ID: what they share. */
#ifndef CPU_OPV_CID_H
#define CPU_OPV_CID_H

#include "cpu_opv_control.h"

struct rseq_abi;

/* IDs are below this. */
extern int nr_ids;

/* As check_settings(); tests want an ID for each of two threads, and some that are left. */
const char *check_cids(int cpus_needed);

/* Of the calling thread, and of the one whose rseq area this is. */
int own_cid(void);
int cid_in(const struct rseq_abi *area);
/* One that is neither. */
int other_cid(int a, int b);

/*
 * Whether IDs belong to CPUs now, and not to threads: the caller's one is another one on each CPU.
 * Leaves the caller on cpus[0] only.
 */
bool cpus_own_cids(void);

/* So many threads of this program that sleep for ever: with them, IDs belong to CPUs. */
bool sleepers_start(int nr);

/* ---- a thread that stays on a CPU, and spins or sleeps there ---- */

enum duty { SPIN, SLEEP, END };

struct other {
	int cpu;
	int policy;		/* as in sched(7) */

	int duty;
	pid_t tid;
	const struct rseq_abi *area;
	unsigned long rounds;
	pthread_t thread;
};

/* It spins. Returns false if it cannot be. */
bool other_start(struct other *other, int cpu, int policy);
/* When these return, it does. */
bool other_spin(struct other *other);
bool other_sleep(struct other *other);
void other_end(struct other *other);

/* The same for a process of this address space, which has an rseq area of its own. */
int other_main(struct other *other, const struct rseq_abi *area);
void other_tell_end(struct other *other);

#endif /* CPU_OPV_CID_H */
