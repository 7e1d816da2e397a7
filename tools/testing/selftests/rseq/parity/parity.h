/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Parity tests of rseq(2): what every part of them shares.
 *
 * A case runs in a child process of its own, which is the only user of rseq on
 * its CPU. It writes what it observes, line by line, into memory shared with
 * the parent; the parent adds how the child ended, the registered area and the
 * statistics. The lines hold nothing that may differ between two runs, so two
 * kernels behave alike exactly if their records are equal.
 */
#ifndef PARITY_H
#define PARITY_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <ucontext.h>

#include "rseq.h"

#ifndef ENOTSUPP
#define ENOTSUPP	524	/* errno of prctl(2), not known to libc */
#endif

#ifndef PR_RSEQ_SLICE_EXTENSION
#define PR_RSEQ_SLICE_EXTENSION		79
#define PR_RSEQ_SLICE_EXTENSION_GET	1
#define PR_RSEQ_SLICE_EXTENSION_SET	2
#define PR_RSEQ_SLICE_EXT_ENABLE	0x01
#endif

#ifndef __NR_rseq_slice_yield
#define __NR_rseq_slice_yield		471
#endif

#define FLAG_UNREGISTER			(1 << 0)
#define FLAG_SLICE_EXT_DEFAULT_ON	(1 << 1)
#define CS_FLAG_SLICE_EXT_AVAILABLE	(1U << 4)
#define CS_FLAG_SLICE_EXT_ENABLED	(1U << 5)

#define V1_LEN		32	/* the original length, the only one of v1 */
#define V2_LEN		33	/* AT_RSEQ_FEATURE_SIZE */
#define AREA_BYTES	64	/* bytes of the area that are recorded */
#define POISON		0xa5	/* what every byte of the area's page holds at first */
#define POISON_WORD	0xa5a5a5a5u
#define SLICE_POISON	0xa5a5a500u	/* poison that requests no slice extension */

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))
#define BITS64		(sizeof(long) == 8)

/* How a task registers, and whether the kernel checks (debugfs rseq/debug). */
struct config {
	const char *name;
	unsigned int len;
	int flags;
	bool v2;
	bool slice;
	bool debug;
};

/* What this kernel and this machine are, found once. */
struct facts {
	bool slice_key;		/* not switched off by rseq_slice_ext= */
	uint64_t task_size;	/* first address beyond user space */
	int cpu_a;		/* where children run */
	int cpu_b;		/* where they migrate to, and where the parent runs */
};

/* Memory shared by parent and child. The section's code knows the first words. */
struct run {
	volatile uint32_t inside;	/* the critical section was entered */
	volatile uint32_t outside;	/* ... and left */
	unsigned long load;		/* address that TRIGGER_LOAD reads */
	volatile uint32_t go;		/* parent to child: all is prepared */
	volatile uint32_t stop;		/* to partners of the child: end */
	volatile uint32_t preempted;	/* the rival ran */
	volatile pid_t move;		/* for the rival: move this task */
	volatile long fastp;		/* statistics before it was moved */
	volatile uint32_t late;		/* the parent's help came too late */
	uint32_t started;		/* rseq(2) was called */
	long switches;			/* involuntary context switches before that */
	uint64_t cs;			/* descriptor in use, shown as "cs" */
	uint32_t seen;			/* signals handled, a bit each */
	uint32_t failed;
	size_t len, why_len;
	char log[16384];		/* the record's lines, '\n' separated */
	char why[4096];			/* expectations that did not hold */
};

/* What the parent does while the child runs. */
enum drive {
	DRIVE_WAIT,		/* nothing */
	DRIVE_PREEMPT,		/* preempts it once, when it is in its section */
	DRIVE_TICK,		/* preempts it every half millisecond, until it ends */
	DRIVE_SIGNAL,		/* sends SIGUSR1 from another CPU */
	DRIVE_MIGRATE,		/* moves it to another CPU */
	DRIVE_STEP,		/* single-steps it with ptrace */
};

enum stats_mode {
	STATS_EXACT,		/* the counters are fully determined by the case */
	STATS_CLASS,		/* only whether they moved is */
	STATS_NONE,
};

/* How a child may end. */
#define END_OK		"exit"
#define END_CAUGHT	"caught"	/* its handler got SIGSEGV */
#define END_KILLED	"killed:11"	/* SIGSEGV, not caught */
#define EXIT_CAUGHT	3

struct test_case {
	char name[80];		/* empty: there is no such case in this configuration */
	void (*child)(const struct test_case *tc);
	const void *arg;
	int num[3];		/* parameters of the child */
	enum drive drive;
	enum stats_mode stats;
	int switches;		/* the child preempts itself so often; -1: any number */
	const char *end;	/* expected; NULL: recorded only */
	int fixups;		/* expected in the statistics; -1: recorded only */
};

struct test_group {
	const char *name;
	size_t nr;
	void (*get)(size_t i, struct test_case *tc);
};

extern const struct config configs[];
extern const struct config *cfg;	/* the one of the moment */
extern struct facts facts;
extern struct run *run;

/* setup.c */
int set_up(void);
void tear_down(void);
void find_facts(void);
int arena_fd(void);
void *arena_map(int fd);
void set_cpu(pid_t pid, int cpu);
void set_fifo(pid_t pid, int prio);
void sleep_us(long us);
bool wait_for(volatile uint32_t *flag, long ms);

/* run.c */
struct outcome {
	bool failed;
	char text[32768];	/* the record's lines */
	char why[8192];
};

void run_case(const struct test_case *tc, struct outcome *out);
void parity_on_signal(int sig, siginfo_t *info, ucontext_t *uc);
unsigned long get_ip(const ucontext_t *uc);
void set_ip(ucontext_t *uc, const char *ip);

/* record.c */
void note(const char *field, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void expect(const char *field, long got, long want);
void expect_text(const char *field, const char *got, const char *want);
void expect_true(const char *field, bool holds);

/* area.c: the area in shared memory, and two ways to reach it */
extern unsigned char *area_page;	/* as it is registered */
extern unsigned char *alias_page;	/* of the test only: never unmapped */
extern unsigned char *cs_page;		/* holds descriptors; nothing is mapped behind it */
struct rseq_abi *area(void);
struct rseq_abi *alias(void);
struct rseq_abi *area_in(unsigned char *page);
void poison_area(void);
void register_area(void);
void poison_slice(void);
int sys_rseq(void *ptr, uint32_t len, int flags, uint32_t sig);
int result(long ret);
void note_area(const char *field);
void format_area(char *buf, size_t size, const struct rseq_abi *a);

/* cases_task.c: the child's part after execve(2) */
void exec_probe(void);

/* section.c: one critical section, with every way to be interrupted in it */
enum trigger {
	TRIGGER_NONE,
	TRIGGER_UD2,		/* SIGILL: a signal */
	TRIGGER_SYSCALL,	/* getpid() in the section */
	TRIGGER_SPIN,		/* wait for an interrupt */
	TRIGGER_LOAD,		/* read run->load: a page fault */
};

enum section_result {
	SECTION_COMMIT,
	SECTION_ABORT,
	SECTION_ABORT_LOW,
	SECTION_ABORT_INSIDE,
	SECTION_ABORT_NOSIG,
};

int parity_cs_enter(struct rseq_abi *a, uint64_t cs, int trigger, struct run *run);
extern char parity_handler[], parity_cs_start[], parity_cs_ud2[], parity_cs_syscall[];
extern char parity_cs_load[], parity_cs_spin[], parity_cs_commit[];
extern char parity_abort[], parity_abort_low[], parity_abort_inside[], parity_abort_nosig[];
const char *section_name(int result);
struct label {	/* tables of them are ascending */
	const char *name;
	const char *addr;
};

const char *label_name(const struct label *labels, size_t nr, unsigned long ip);
const char *ip_name(unsigned long ip);
unsigned long trigger_ip(int trigger);
struct rseq_abi_cs *valid_cs(void);
void expect_section(int trigger, int want);

/* debugfs.c */
#define NR_STATS 12
extern const char *const stat_names[NR_STATS];
extern const char debug_file[], slice_ext_file[], stats_file[];
int debugfs_setup(void);
bool read_stats(long val[NR_STATS]);
long stat_of(const char *name);
int write_file(const char *path, const char *text);
int set_debug(bool on);
int stop_fair_servers(void);
void restart_fair_servers(void);

extern const struct test_group register_group, unregister_group, section_group, area_group;
extern const struct test_group ids_group, event_group, task_group, prctl_group, slice_group;
extern const struct test_group files_group, ptrace_group, trace_group;

#endif /* PARITY_H */
