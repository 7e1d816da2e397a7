// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): random vectors on all kinds of memory, each by every way that the kernel
 * has. Result, errno and every byte have to be the model's, so all ways agree.
 *
 * The seed is printed; with -s it is the same run again. A vector that fails is made smaller until
 * no part of it can be left out.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cpu_opv_ways.h"

#include "../kselftest.h"

#define DEFAULT_CASES	10000
#define BATCH		500
#define MAX_AGAIN	50
#define MAX_FAILED	3	/* cases that are printed */

static uint64_t seed;
static long nr_cases = DEFAULT_CASES, first_case;
static int failed_cases;
static long again;

/* What is under way. */
static const struct way *way;
static bool rivals;
static struct {
	int ret;
	struct outcome want;
	bool differs;
	struct place where;
	unsigned char byte, want_byte;
	bool child;		/* has other memory than before */
} got;

/* ---- one call ---- */

/* A child that has the same pages, which must not change for it. */
static pid_t share_pages(int go[2])
{
	struct region *r = &regions[FORKED];
	pid_t pid;
	char byte;

	if (pipe(go))
		return -1;
	pid = fork();
	if (pid)
		return pid;
	close(go[1]);
	if (read(go[0], &byte, 1))
		_exit(2);
	_exit(memcmp(r->mem, before[FORKED], REGION_BYTES) != 0);
}

static bool child_kept_pages(pid_t pid, int go[2])
{
	int status = 0;

	close(go[0]);
	close(go[1]);
	return pid < 0 || (waitpid(pid, &status, 0) == pid && !status);
}

static int call_until_told(struct cpu_op *vec, int cnt, bool pinned)
{
	int ret, tries = 0;

	for (;;) {
		ret = call(vec, cnt, way_target(way, pinned), 0);
		if (ret != -EAGAIN || ret == got.want.ret || rivals || tries++ == MAX_AGAIN)
			return ret;
		again++;
	}
}

static bool as_expected(const struct ways_case *c)
{
	bool other = false;

	for (int i = 0; i < got.want.nr_others; i++)
		other |= got.ret == got.want.others[i];
	if (got.ret != got.want.ret && !other)
		return false;
	/* An error that is as good has left everything as it was. */
	if (got.ret != got.want.ret || got.ret < 0) {
		got.differs = !case_compare(c, before, &got.where);
		if (got.differs && got.where.offset >= 0)
			got.want_byte = before[got.where.region][got.where.offset];
	} else {
		got.differs = !case_compare(c, after, &got.where);
		if (got.differs && got.where.offset >= 0)
			got.want_byte = after[got.where.region][got.where.offset];
	}
	if (got.differs && got.where.offset >= 0)
		got.byte = *byte_at(&got.where);
	return !got.differs;
}

static bool case_fails(const struct ways_case *c)
{
	struct cpu_op vec[MAX_OPS];
	int go[2], cnt;
	pid_t pid = -1;
	bool forked = case_uses(c, FORKED), good;

	memset(&got, 0, sizeof(got));
	model_expect(c, way, rivals, &got.want);
	case_reset(c);
	if (forked)
		pid = share_pages(go);
	cnt = case_vector(c, vec);
	got.ret = call_until_told(vec, cnt, c->pinned);
	good = as_expected(c);
	if (forked) {
		got.child = !child_kept_pages(pid, go);
		good &= !got.child;
	}
	return !good;
}

/* What others do is not the same each time. */
static bool case_may_fail(const struct ways_case *c)
{
	for (int i = 0; i < (rivals ? 200 : 2); i++) {
		if (case_fails(c))
			return true;
	}
	return false;
}

/* ---- what is printed ---- */

static void print_result(const char *what, int ret)
{
	if (ret < 0)
		ksft_print_msg("  %s: %s\n", what, strerror(-ret));
	else
		ksft_print_msg("  %s: %d\n", what, ret);
}

static void report(struct ways_case *c, long number)
{
	char name[80];
	int ops = c->cnt;

	case_shrink(c, case_may_fail);
	ksft_print_msg("case %ld of seed %#llx%s; %s; made smaller from %d operations:\n", number,
		       (unsigned long long)seed, rivals ? ", with a rival" : "",
		       way_name(way, name, sizeof(name)), ops);
	case_print(c);
	if (!case_may_fail(c)) {
		ksft_print_msg("  it does not fail again\n");
		return;
	}
	print_result("result", got.ret);
	print_result("expected", got.want.ret);
	for (int i = 0; i < got.want.nr_others; i++)
		print_result("or", got.want.others[i]);
	if (got.differs && got.where.offset < 0)
		ksft_print_msg("  the file of private pages was changed\n");
	else if (got.differs)
		ksft_print_msg("  %s+%#x is %#x, expected %#x\n", regions[got.where.region].name,
			       got.where.offset, got.byte, got.want_byte);
	if (got.child)
		ksft_print_msg("  memory of a child was changed\n");
}

/* ---- all cases ---- */

/* What takes long, as to wait for the turn on a busy CPU, or is the same again. */
static bool left_out(long number)
{
	if (way->migrate && (way->state == BUSY_OWN || way->state == BUSY_OTHER))
		return number % 8;
	return way->migrate && way->state == OFFLINE && number % 4;
}

static void count(const struct ways_case *c)
{
	struct way_stats *s = &way_stats[way - ways];

	if (got.ret < 0)
		return;
	s->ran++;
	s->unpinned += !c->pinned;
	s->eligible += runs_in_place(c);
}

static bool run_way(long first, long end)
{
	struct ways_case c;
	char name[80];

	if (!way_begin(way)) {
		fail("no %s", way_name(way, name, sizeof(name)));
		way_end(way);
		return false;
	}
	for (long n = first; n < end && failed_cases < MAX_FAILED; n++) {
		case_draw(&c, seed, n, rivals);
		if (left_out(n))
			continue;
		if (case_fails(&c)) {
			failed_cases++;
			report(&c, n);
		} else {
			count(&c);
		}
	}
	way_end(way);
	return true;
}

static void run_cases(const char *name, long nr, bool with_rivals)
{
	int before_failed = failed_cases, before = failures();

	rivals = with_rivals;
	if (rivals && !rivals_start())
		fail("no thread");
	for (long n = first_case; n < first_case + nr && failed_cases < MAX_FAILED; n += BATCH) {
		long end = n + BATCH < first_case + nr ? n + BATCH : first_case + nr;

		for (int i = 0; i < NR_WAYS && failed_cases < MAX_FAILED; i++) {
			way = &ways[i];
			if (!run_way(n, end))
				break;
		}
		ways_end();
	}
	if (rivals)
		rivals_stop();
	ksft_print_msg("%ld cases, %ld calls to be made again\n", nr, again);
	ksft_test_result(failed_cases == before_failed && failures() == before, "%s\n", name);
}

static void usage(const char *program)
{
	printf("Usage: %s [-s SEED] [-n CASES] [-c FIRST]\n", program);
	exit(KSFT_FAIL);
}

static void read_options(int argc, char **argv)
{
	struct timespec now;
	int opt;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = now.tv_sec * 1000003ULL ^ now.tv_nsec;
	while ((opt = getopt(argc, argv, "s:n:c:")) != -1) {
		switch (opt) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			nr_cases = strtol(optarg, NULL, 0);
			break;
		case 'c':
			first_case = strtol(optarg, NULL, 0);
			break;
		default:
			usage(argv[0]);
		}
	}
	if (optind < argc || nr_cases < 10)
		usage(argv[0]);
}

int main(int argc, char **argv)
{
	const char *why;

	read_options(argc, argv);
	save_settings();
	ksft_print_header();
	why = check_settings(2);
	if (!why && read_stat("calls") < 0)
		ksft_print_msg("the kernel has no statistics of cpu_opv(2)\n");
	if (!why)
		why = regions_map();
	if (why)
		ksft_exit_skip("%s\n", why);
	ksft_set_plan(3);
	ksft_print_msg("seed %#llx, %ld cases\n", (unsigned long long)seed, nr_cases);
	regions_list();
	regions_contents(seed);

	run_cases("alone", nr_cases - nr_cases / 10, false);
	if (read_stat("calls") >= 0) {
		int before = failures();

		ways_judge();
		ksft_test_result(failures() == before, "statistics\n");
	} else {
		ksft_test_result_skip("statistics\n");
	}
	run_cases("with a rival", nr_cases / 10, true);
	ksft_finished();
}
