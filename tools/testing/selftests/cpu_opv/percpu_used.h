/* SPDX-License-Identifier: GPL-2.0 */
/* How per-CPU data was changed: see percpu_data.h. */
#ifndef PERCPU_USED_H
#define PERCPU_USED_H

/* Of the thread and its signal handlers; sequences are counted where they are. */
struct percpu_used {
	long ops;			/* percpu_by_either was called */
	long tries, aborts;		/* of restartable sequences */
};

extern __thread struct percpu_used percpu_used;

#endif /* PERCPU_USED_H */
