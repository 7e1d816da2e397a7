// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/* The environment, read once, before it is needed: a signal handler must not call getenv(). */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static struct percpu_policy policy;
static bool known;

/* The number of the value of @name in @values, which end with NULL; 0 if it is not set. */
static int choice(const char *name, const char *const values[])
{
	const char *value = secure_getenv(name);

	if (!value || !*value)
		return 0;
	for (int i = 0; values[i]; i++) {
		if (!strcmp(value, values[i]))
			return i;
	}
	fprintf(stderr, "percpu: %s=%s is ignored: it can be", name, value);
	for (int i = 0; values[i]; i++)
		fprintf(stderr, " %s", values[i]);
	fputc('\n', stderr);
	return 0;
}

static __attribute__((constructor(101))) void read_environment(void)
{
	static const char *const disable[] = { "0", "1", "random", NULL };
	static const char *const fallback[] = { "cpu_opv", "none", NULL };
	static const char *const debug[] = { "0", "1", NULL };

	if (known)
		return;
	policy.sequences = (enum percpu_try)choice("RSEQ_DISABLE", disable);
	policy.no_cpu_opv = choice("PERCPU_FALLBACK", fallback);
	policy.debug = choice("PERCPU_DEBUG", debug);
	known = true;
}

/* Constructors that run before this one, in other libraries, may have come here already. */
const struct percpu_policy *percpu_policy(void)
{
	if (!known)
		read_environment();
	return &policy;
}
