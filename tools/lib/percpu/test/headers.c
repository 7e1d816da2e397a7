// SPDX-License-Identifier: GPL-2.0
/* Compiled twice, as main program and with OTHER_FILE. */
#include "headers.h"

#ifdef __cplusplus
#define USE(all, index, mode)	use_all<mode>(all, index)
#else
#define USE(all, index, mode)	use_all(all, index, mode)
#endif

#ifdef OTHER_FILE
int use_in_other_file(struct all *all, int index)
{
	return USE(all, index, RSEQ_PERCPU_CPU_ID);
}
#else
int main(void)
{
	static struct all all[2];
	struct percpu_counter *counter = percpu_counter_create();
	const enum rseq_percpu_mode mode = RSEQ_PERCPU_CPU_ID;
	int ret = 1;

	/* The thread may be moved to another CPU. */
	for (int tries = 0; ret && tries < 100; tries++) {
		struct all none = all[1];

		all[0] = none;
		ret = USE(&all[0], percpu_current_index(mode), RSEQ_PERCPU_CPU_ID);
		all[0] = none;
		ret |= use_in_other_file(&all[0], percpu_current_index(mode));
	}
	percpu_counter_add(counter, 2);
	return ret || percpu_counter_sum(counter) != 2;
}
#endif
