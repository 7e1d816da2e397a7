// SPDX-License-Identifier: GPL-2.0
/* The record of the parity tests, line by line, and what was expected of it. */
#include <stdarg.h>

#include "parity.h"
#include "run.h"

static void append(char *buf, size_t size, size_t *len, const char *fmt, va_list ap)
{
	int n = vsnprintf(buf + *len, size - *len, fmt, ap);

	if (n > 0)
		*len += (size_t)n < size - *len ? (size_t)n : size - *len - 1;
}

/* Append to @buf, of which @len bytes are in use. What does not fit is lost. */
void add(char *buf, size_t size, size_t *len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append(buf, size, len, fmt, ap);
	va_end(ap);
}

void note(const char *field, const char *fmt, ...)
{
	va_list ap;

	add(run->log, sizeof(run->log), &run->len, "%s=", field);
	va_start(ap, fmt);
	append(run->log, sizeof(run->log), &run->len, fmt, ap);
	va_end(ap);
	add(run->log, sizeof(run->log), &run->len, "\n");
}

void differs(const char *field, const char *got, const char *want)
{
	run->failed++;
	add(run->why, sizeof(run->why), &run->why_len, "%s: got %s, expected %s\n", field, got,
	    want);
}

void expect_text(const char *field, const char *got, const char *want)
{
	note(field, "%s", got);
	if (strcmp(got, want))
		differs(field, got, want);
}

void expect(const char *field, long got, long want)
{
	char a[24], b[24];

	snprintf(a, sizeof(a), "%ld", got);
	snprintf(b, sizeof(b), "%ld", want);
	expect_text(field, a, b);
}

void expect_true(const char *field, bool holds)
{
	expect_text(field, holds ? "yes" : "no", "yes");
}
