/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests print KTAP: ok() once for each, tap_end() at the end. There is no plan: that would have to
 * come first.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#define TAP_SKIP	4

static int tap_count, tap_failures;

static inline __attribute__((format(printf, 2, 3))) bool ok(bool passed, const char *format, ...)
{
	va_list args;

	if (!tap_count)
		printf("TAP version 13\n");
	printf("%sok %d ", passed ? "" : "not ", ++tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	tap_failures += !passed;
	return passed;
}

static inline int tap_end(void)
{
	printf("# %d tests, %d failed\n", tap_count, tap_failures);
	return tap_failures || !tap_count;
}

#endif /* TAP_H */
