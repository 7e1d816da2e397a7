/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differential fuzzing of rseq(2): what every part of it shares.
 *
 * A seed and a number are a case: some steps, each drawn from random numbers of its
 * own, so that a step stays what it is when others are left out. A child process
 * takes the steps and records what it observes. Nothing in a record may depend on
 * time or place: what interrupts the child does so at a known instruction, it is
 * the only task that runs on its CPU, and an attempt that something else disturbed
 * is thrown away. Two kernels behave alike if their records are equal.
 *
 * The record, the statistics and the names of areas are those of the parity tests.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "../parity/parity.h"

#define NR_STEPS	10	/* of a case */
#define ALL_STEPS	((1U << NR_STEPS) - 1)

#define PRIO_CHILD	50	/* and of the driver, on the same CPU */
#define PRIO_RIVAL	60

/* ---- random numbers ---- */

struct rng {
	uint64_t state;
};

uint64_t draw64(struct rng *r);
unsigned int draw(struct rng *r, unsigned int n);	/* 0 to n - 1 */
bool chance(struct rng *r, unsigned int n, unsigned int of);
struct rng rng_of(uint64_t seed, uint64_t number, unsigned int step);
uint64_t draw_address(struct rng *r);
uint32_t draw_word(struct rng *r);
#define pick(r, a)	((a)[draw(r, ARRAY_LEN(a))])

/* ---- memory ---- */

/* Pages that hold areas and descriptors. */
enum slot {
	SLOT_SHARED,
	SLOT_PRIVATE,		/* the child's own after a write, as those of programs */
	SLOT_TOP,		/* the last page of user space */
	SLOT_CS,		/* descriptors; nothing is mapped behind it */
	NR_SLOTS,
};

extern unsigned char *slot_page[NR_SLOTS];	/* NULL: cannot be had */
extern unsigned char *slot_alias[NR_SLOTS];	/* always accessible; NULL: none */
extern int slot_pkey;				/* denies all access; -1: none */
extern unsigned char *scratch;			/* of whoever needs a place to copy to */
extern int fuzz_memfd;

int memory_create(void);
int memory_map(int fd);
void memory_reset(void);
int memory_restore(enum slot slot);
struct rseq_abi *alias_of(struct rseq_abi *a);

/* What a rival or a tracer does to the child's memory or registers meanwhile. */
enum deed {
	DEED_NONE,
	DEED_WRITE,		/* to the area or the descriptor */
	DEED_MIGRATE,
	DEED_SIGNAL,
	DEED_JUMP,		/* tracer only: change the instruction pointer */
	DEED_SWALLOW,		/* tracer only: the signal is not delivered */
};

/* Memory shared by all tasks. The section's code knows the first words. */
struct fuzz {
	volatile uint32_t inside;	/* the section was entered */
	volatile uint32_t outside;	/* ... and left */
	volatile uint32_t nr;		/* system call of FUZZ_SYSCALL */
	volatile uint32_t spins;	/* of the spinning instruction, at most */
	volatile uint64_t load;		/* address that FUZZ_LOAD reads */
	volatile pid_t pid;		/* who takes the steps */
	volatile enum deed deed;	/* for the rival, or for the tracer */
	volatile uint64_t deed_seed;
	volatile uint32_t wished;	/* for the rival to come */
	volatile long delay;		/* microseconds from then to its coming */
	volatile uint32_t came;		/* it did */
	volatile uint32_t anywhere;	/* it may come outside of the section */
	volatile uint32_t missed;	/* it came elsewhere */
	volatile uint32_t late;		/* ... or not at all: a new attempt is needed */
	volatile uint32_t armed;	/* the tracer does its deed at the next stop */
	volatile long switches;		/* involuntary ones that were meant to be */
	volatile long put_off;		/* of these, such that may have become voluntary ones */
	volatile uint32_t uncounted;	/* switches depend on the kernel's own tasks */
	uint32_t copied;		/* who takes the steps is no child of the driver */
	uint32_t faults;		/* SIGSEGV handled */
	uint64_t area;			/* last one that was registered */
	uint32_t len, sig;		/* ... with these */
	uint64_t seed, number;		/* the case */
	uint32_t mask;			/* steps that are taken */
	struct facts facts;
};

extern struct fuzz *fuzz;

/* section.c */
enum {
	FUZZ_NONE,
	FUZZ_UD2,		/* SIGILL */
	FUZZ_INT3,		/* SIGTRAP */
	FUZZ_SYSCALL,
	FUZZ_LOAD,		/* a fault, if there is nothing to read */
	FUZZ_SPIN,		/* one instruction, for a while */
	NR_TRIGGERS,
};

int fuzz_enter(struct rseq_abi *a, uint64_t cs, int trigger, struct fuzz *fuzz);
extern char fuzz_start[], fuzz_ud2[], fuzz_int3[], fuzz_spin[], fuzz_commit[], fuzz_abort[];
extern char fuzz_abort_zero[];
unsigned long fuzz_label(struct rng *r);
unsigned long fuzz_trigger_ip(int trigger);
const char *fuzz_ip_name(unsigned long ip);

/* steps.c */
void go_on(unsigned int step);

/* signal.c */
void on_signals(void);
bool survived(void (*what)(struct rng *r), struct rng *r);
void note_last_area(const char *field);
extern bool ending;

/* writes.c */
uint64_t draw_pointer(struct rng *r);
void write_descriptor(struct rng *r);
void write_something(struct rng *r);
struct rseq_abi *last_area(void);

/* rival.c */
extern int rival_fd;
int rival_start(void);
void rival_wish(enum deed deed, uint64_t seed);
void rival_cancel(void);
void rival_dismiss(void);

/* run.c */
uint64_t hash_of(const char *text);
bool run_fuzz(uint64_t seed, uint64_t number, uint32_t mask);

#endif /* FUZZ_H */
