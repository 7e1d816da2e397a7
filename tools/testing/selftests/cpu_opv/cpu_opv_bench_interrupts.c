// SPDX-License-Identifier: GPL-2.0
/* How often a call for another CPU interrupts it, as /proc/interrupts tells. */
#include "cpu_opv_bench.h"
#include <fcntl.h>

#define INTERRUPTS	"/proc/interrupts"

/* Function-call interrupts of AWAY so far. */
static uint64_t read_interrupts(void)
{
	static char text[1 << 14];
	unsigned long counts[AWAY + 1];
	int fd = open(INTERRUPTS, O_RDONLY);
	size_t len = 0;
	const char *line;
	ssize_t n;

	if (fd < 0)
		err(1, INTERRUPTS);
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = 0;
	line = strstr(text, "CAL:");
	if (!line || sscanf(line, "CAL: %lu %lu", &counts[HOME], &counts[AWAY]) != AWAY + 1)
		errx(1, INTERRUPTS " does not tell of function calls");
	return counts[AWAY];
}

static uint64_t sample_interrupts(const struct place *place, const void *vector)
{
	uint64_t before = read_interrupts();

	sample_call(place, vector);
	return read_interrupts() - before;
}

void measure_interrupts(const struct place *place)
{
	if (place->kind & (PLACE_IDLE | PLACE_BUSY))
		measure("interrupts", place, sample_interrupts, find_vector("add"));
}
