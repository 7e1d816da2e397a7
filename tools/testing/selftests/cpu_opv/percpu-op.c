// SPDX-License-Identifier: GPL-2.0
/* Which threads try restartable sequences: see percpu-op.h. */
#include <string.h>
#include <sys/auxv.h>

#include "percpu-op.h"

__thread int percpu_op_choice;

static enum { TRY, NEVER, IN_HALF } policy;

/* A signal handler must not call getenv(). */
static __attribute__((constructor)) void read_environment(void)
{
	const char *value = getenv("RSEQ_DISABLE");

	if (!value || !*value || !strcmp(value, "0"))
		policy = TRY;
	else if (!strcmp(value, "1"))
		policy = NEVER;
	else if (!strcmp(value, "random"))
		policy = IN_HALF;
	else
		rseq_bug("RSEQ_DISABLE=%s is none of 0, 1, random", value);
}

/*
 * Of two threads that ask one after the other, one tries sequences, the other does not, and which
 * one is random: by the random bytes that the kernel gives to each program.
 */
static bool toss(void)
{
	static unsigned int asked;
	const unsigned char *bytes = (void *)getauxval(AT_RANDOM);
	unsigned int n = __atomic_fetch_add(&asked, 1, __ATOMIC_RELAXED);
	unsigned int bit = n / 2 % 128;

	return (bytes[bit / 8] >> bit % 8 ^ n) & 1;
}

void percpu_op_choose(void)
{
	int undecided = 0;
	bool try = policy == TRY || (policy == IN_HALF && toss());

	/* A signal handler may have decided already. */
	__atomic_compare_exchange_n(&percpu_op_choice, &undecided, try ? 1 : -1, false,
				    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
