/* SPDX-License-Identifier: GPL-2.0 */
/* Parity tests of rseq(2): what running a case consists of. */
#ifndef PARITY_RUN_H
#define PARITY_RUN_H

#include "parity.h"

#define PRIO_CHILD	50
#define PRIO_PARENT	60	/* and of the rival */
#define CHILD_MS	10000	/* no case takes longer */

/* The child that runs a case, as its parent sees it. */
struct child {
	pid_t pid;
	bool done;
	int status;
	long switches;		/* involuntary ones, in all */
	long preemptions;	/* of these, by the rival */
};

/* run.c */
bool reap(struct child *c, long ms);
unsigned long traced_ip(pid_t pid);

/* drive.c */
int start_rival(void);
void drive(const struct test_case *tc, struct child *c);

/* record.c */
void add(char *buf, size_t size, size_t *len, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void differs(const char *field, const char *got, const char *want);

#endif /* PARITY_RUN_H */
