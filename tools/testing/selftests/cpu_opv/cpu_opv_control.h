/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of cpu_opv(2) that change the system around it: settings, CPUs, limits
 * on where tasks may run. What they share.
 */
#ifndef CPU_OPV_CONTROL_H
#define CPU_OPV_CONTROL_H

#include <pthread.h>

#include "cpu_opv_test.h"

#define NR_ELEMS(a)	((int)(sizeof(a) / sizeof((a)[0])))
#define MAX_CPUS	64	/* that tests use */

#define REMOTE		"/proc/sys/kernel/cpu_opv_remote"

/* ---- cpu_opv_control.c ---- */

/*
 * Where this process may run, highest number first: 0 is what a CPU number is by
 * mistake.
 */
extern int nr_cpus, cpus[MAX_CPUS];

/* In main(). All that the tests change is as before when it ends. */
void save_settings(void);
/* Returns why the test cannot run, or NULL; settings are as at the start. */
const char *check_settings(int cpus_needed);
void restore_settings(void);

long long time_us(void);
void pin(pid_t tid, int cpu);
void start_on(int cpu);
int current_cpu(void);
bool status_line(const char *name, char *buf, size_t size);
bool may_run_on(int cpu);

/* Return 0 or an errno. */
int write_setting(const char *path, const char *value);
int set_online(int cpu, bool online);

long possible_cpus(void);

/* Statistics; -1: the kernel has none. */
long read_stat(const char *name);
bool wait_for_stat(const char *name, long value, long ms);
bool nothing_held(void);

/* How user code was kept off the CPU, or the concurrency ID. */
struct exclusions {
	long local, locked, interrupted, migrated, taken;
};

bool exclusions_now(struct exclusions *now);
bool exclusions_since(const struct exclusions *before, struct exclusions *since);
bool exclusions_remote(const struct exclusions *since, long *remote, long *other);

/* A vector as long as it can be, all operands of which cross pages. */
#define MAXIMAL_PAGES		(4 * CPU_OP_VEC_LEN_MAX)
char *maximal_memory(int flags);
void maximal_vec(struct cpu_op *vec, char *mem);

/* Memory that userfaultfd(2) is asked for, and nobody answers. Returns its descriptor, or -1. */
int missing_memory(char *mem, size_t size);

/* ---- cpu_opv_cpuset.c ---- */

/* A cgroup with the cpuset controller. */
struct cpuset {
	bool created, enabled;
};

/* Returns why it cannot be, or NULL. */
const char *cpuset_create(struct cpuset *cpuset);
void cpuset_remove(struct cpuset *cpuset);
/* Return 0 or an errno. */
int cpuset_set(const int *list, int nr);
int cpuset_enter(void);		/* the calling process */

/* ---- cpu_opv_load.c: other tasks ---- */

/* With a small stack, so that there can be many. Returns 0 or an errno. */
int start_small_thread(pthread_t *thread, void *(*fn)(void *), void *arg);

/* Children, which end with their parents. @ms: how long to wait */
pid_t start_child(int (*fn)(void *), void *arg);
bool wait_child(pid_t pid, int *status, long ms);
bool kill_child(pid_t pid, long ms);
int run_child(int (*fn)(void *), void *arg, long ms);

/* For children. Maximal vectors for the CPU at @arg, until one fails. */
int maximal_calls(void *arg);
/* Returns KSFT_PASS if short and maximal vectors work for all CPUs. */
int use_every_cpu(void *arg);

/* A task that never sleeps; @policy as in sched(7) */
struct spinner {
	pid_t pid;
	volatile unsigned long *rounds;
};

bool spinner_start(struct spinner *spinner, int cpu, int policy);
bool spinner_runs(const struct spinner *spinner);
void spinner_stop(struct spinner *spinner);

/*
 * Threads that increment counters, each of which belongs to a CPU, by vectors
 * that compare and store: two at a time would lose increments.
 */
#define LOAD_THREADS	8

struct load {
	/* What they do */
	int nr_threads, nr_cpus;
	int cpus[MAX_CPUS];
	long wanted;		/* increments of a thread; 0: until load_stop() */
	bool may_refuse;	/* ENXIO is as good as success */
	bool stop;

	/* What became of it */
	intptr_t counters[MAX_CPUS];
	struct worker {
		struct load *load;
		pthread_t thread;
		pid_t tid;
		int cpu;		/* where it was last */
		char *src, *dst;
		int last[MAX_CPUS];	/* 0 or errno of the last calls */
		long rounds;		/* it called for every CPU */
		long done[MAX_CPUS], refused, again, changed;
		int error;
	} workers[LOAD_THREADS];
};

/* In shared memory: the threads can be those of a child. */
struct load *load_new(int nr_threads, const int *targets, int nr_targets);
void load_start(struct load *load);
void load_stop(struct load *load);	/* and wait */
bool load_rounds(struct load *load, int worker, long rounds);	/* wait for so many more */
struct load_result {
	long done, refused, again, changed, lost;
	int error;
} load_result(const struct load *load);

#endif /* CPU_OPV_CONTROL_H */
