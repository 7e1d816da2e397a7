// SPDX-License-Identifier: GPL-2.0
/* How long the longest call of cpu_opv_bench has interrupts off. */
#include "cpu_opv_bench.h"

#define STATS	"/sys/kernel/debug/cpu_opv/stats"
#define ROUND	100

static uint64_t read_longest(void)
{
	FILE *f = fopen(STATS, "r");
	unsigned long ns;
	char line[80];
	int found = 0;

	if (!f)
		err(1, "%s", STATS);
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "longest_ns: %lu", &ns) == 1;
	fclose(f);
	if (!found)
		errx(1, "%s has no longest_ns", STATS);
	return ns;
}

/* The longest of one call at a time. */
void measure_section(void)
{
	const struct vector *vec = find_vector("maximal");
	uint64_t calls[ROUND], sections[ROUND];

	if (!bench_write(STATS, "0")) {
		printf("no %s: CONFIG_CPU_OPV_STATS is off\n", STATS);
		return;
	}
	for (int i = 0; i < ROUND; i++) {
		bench_write(STATS, "0");
		calls[i] = sample_call(&places[0], vec);
		sections[i] = read_longest();
	}
	bench_report("maximal/local", calls, ROUND, 1);
	bench_report("maximal/interrupts-off", sections, ROUND, 1);
}
