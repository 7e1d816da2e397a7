/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of cpu_opv(2): what calls take from tasks that have nothing to do with
 * them. What they share.
 */
#ifndef CPU_OPV_BYSTANDER_H
#define CPU_OPV_BYSTANDER_H

#include "cpu_opv_control.h"

/* The CPU that the calls are for. Callers are on the third of cpus[] and those behind it. */
#define TARGET		(cpus[0])

/* ---- times ---- */

struct times {
	int nr, max;
	long *ns;		/* of each; shared with children */
};

long long time_ns(void);
bool times_new(struct times *times, int max);
void times_add(struct times *times, long ns);
long times_worst(const struct times *times);
long times_rank(const struct times *times, int permille);	/* 999: 99.9th percentile */
long median(long *values, int nr);

/* The test itself: gets a CPU at once, on one that is not the target. Not its children. */
void supervise(void);

/* Of CPU @cpu in the line @name of /proc/interrupts, or -1 */
long interrupts(const char *name, int cpu);

/*
 * ---- many processes that begin at once ----
 *
 * In shared memory. Not a pipe: those who read it are let through by its lock, one after
 * the other, each when it gets a CPU beside all that are spinning by then.
 */
struct gate {
	int open;
};

void gate_wait(struct gate *gate);
void gate_open(struct gate *gate);

struct children {
	int nr;
	pid_t *pids;
};

/* Processes that run @fn. Returns false if there cannot be so many. */
bool children_start(struct children *children, int nr, int (*fn)(void *), void *arg);
/* Waits for their end. Returns how many of them passed. */
int children_end(struct children *children);

/* ---- who calls: threads of a process of nobody ---- */

#define MAX_CALLERS	16
#define OWN_CPU		(-1)
#define NOBODY		65534

enum vector {
	NO_OPS,
	ONE_ADD,
	LONG,			/* as many operations and bytes as can be, in two pages */
	MAXIMAL,		/* the same in as many pages as can be */
};

struct callers {
	/* What they do */
	int nr;
	int target;		/* or OWN_CPU; see callers_aim() */
	bool pinned;		/* to the CPUs where they start, otherwise to that and the target */
	enum vector vector;
	const char *cgroup;	/* or NULL */

	/* What became of it */
	pid_t pid;
	bool stop;
	int ready;
	struct caller {
		long done[2];	/* for their own CPU, and for the target */
		long busy, again;
		int error;
	} callers[MAX_CALLERS];
};

/* @mem: maximal_memory(). Returns the number of operations. */
int make_vec(enum vector kind, struct cpu_op *vec, char *mem);

/* Drops all privileges. Returns 0 or an errno. */
int become_nobody(void);
struct callers *callers_start(const struct callers *like);
void callers_stop(struct callers *callers);
void callers_aim(struct callers *callers, int target);
long callers_done(const struct callers *callers);	/* for the target */
long callers_refused(const struct callers *callers);	/* EBUSY */
int callers_error(const struct callers *callers);
/* CPU time that their process has had. */
long long callers_spent_ns(const struct callers *callers);

/* ---- what the target loses ---- */

/*
 * A task on the target, of this policy (sched(7)); one like it on the second of cpus[],
 * where nothing else is; and one of the lowest class on each CPU that is left.
 *
 * What the first one does is compared not with the time, but with what the second one
 * does, which nobody calls for. Emulated CPUs that take turns (scripts/qemu --icount) are
 * then always busy, and have equal turns, but for those that end theirs early because
 * they send an interrupt or wait.
 */
bool observers_start(int policy);
void observers_stop(void);

struct progress {
	long long ns;
	unsigned long there, control;	/* rounds of the tasks */
};

struct progress progress_now(void);
struct progress progress_since(const struct progress *start);
/* The part of its time that the task on the target lost. */
double progress_lost(const struct progress *without, const struct progress *with);

/*
 * Wakes up several times in a millisecond, on the last of cpus[]. Emulated CPUs
 * take turns of no more than the time to the next timer: what is late is so because
 * of what runs on its own CPU, not because it was not its turn.
 */
bool pacer_start(void);
void pacer_stop(void);

#endif /* CPU_OPV_BYSTANDER_H */
