// SPDX-License-Identifier: GPL-2.0
/*
 * Differential fuzzing of rseq(2): prints records that are to be equal on two kernels.
 *
 * See fuzz.h for what a case is; scripts/rseq-fuzz compares and shrinks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define REST_EVERY	64	/* cases, then the kernel's own tasks get this CPU for a while */

static void usage(FILE *f)
{
	fputs("Usage: rseq_fuzz [--debug] SEED FIRST COUNT\n"
	      "       rseq_fuzz [--debug] --all-masks SEED CASE\n"
	      "       rseq_fuzz [--debug] --show SEED CASE [MASK]\n"
	      "\n"
	      "Takes COUNT cases of SEED and prints a line for each: its number and a hash of its\n"
	      "record. --all-masks takes one case with every choice of its steps; --show prints the\n"
	      "record of a case. --debug switches the kernel's checks on (debugfs rseq/debug).\n", f);
}

/* Just after boot, timers wait for the next tick. Returns 0 when they do not any more. */
static int wait_for_timers(void)
{
	for (int i = 0; i < 5000; i++) {
		struct timespec start, end;

		clock_gettime(CLOCK_MONOTONIC, &start);
		sleep_us(20);
		clock_gettime(CLOCK_MONOTONIC, &end);
		if (end.tv_sec == start.tv_sec && end.tv_nsec - start.tv_nsec < 500000)
			return 0;
	}
	return -1;
}

/* Returns 0, or -1 with a message if this cannot be tested here. */
static int prepare(bool debug)
{
	if (geteuid()) {
		fprintf(stderr, "# must run as root\n");
		return -1;
	}
	if (debugfs_setup()) {
		fprintf(stderr, "# no debugfs rseq/: mount debugfs on /sys/kernel/debug\n");
		return -1;
	}
	if (facts.cpu_b < 0) {
		fprintf(stderr, "# needs two CPUs\n");
		return -1;
	}
	if ((debug && set_debug(true)) || write_file(slice_ext_file, "50000") < 0) {
		perror("# debugfs rseq/");
		return -1;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	set_cpu(0, facts.cpu_a);
	if (rival_start()) {
		perror("# rival");
		return -1;
	}
	set_fifo(0, PRIO_CHILD);
	if (wait_for_timers()) {
		fprintf(stderr, "# this machine has no high-resolution timers\n");
		return -1;
	}
	return stop_fair_servers();
}

/* Records that are the same in each run: false if there is none. */
static bool print_case(uint64_t seed, uint64_t number, uint32_t mask, const char *name, bool show)
{
	bool ok = run_fuzz(seed, number, mask);

	if (show)
		printf("%s", run->log);
	if (!ok)
		printf("%s disturbed: %s\n", name, run->why);
	else if (!show)
		printf("%s %016llx\n", name, (unsigned long long)hash_of(run->log));
	return ok;
}

static bool print_cases(uint64_t seed, uint64_t first, uint64_t count)
{
	char name[32];
	bool ok = true;

	for (uint64_t i = first; i < first + count; i++) {
		snprintf(name, sizeof(name), "%llu", (unsigned long long)i);
		ok &= print_case(seed, i, ALL_STEPS, name, false);
		if (!(i % REST_EVERY))
			sleep_us(2000);
	}
	return ok;
}

static bool print_masks(uint64_t seed, uint64_t number)
{
	char name[32];
	bool ok = true;

	for (uint32_t mask = 0; mask <= ALL_STEPS; mask++) {
		snprintf(name, sizeof(name), "%03x", mask);
		ok &= print_case(seed, number, mask, name, false);
		if (!(mask % REST_EVERY))
			sleep_us(2000);
	}
	return ok;
}

/*
 * Start again with @name set to @value, which holds from then on, and from memory: a
 * case that executes this program does not wait for a file.
 */
static int start_again(char **argv, const char *name, const char *value)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = memfd_create("rseq_fuzz", MFD_CLOEXEC);

	while (from >= 0 && to >= 0 && sendfile(to, from, NULL, 1 << 20) > 0)
		;
	if (!setenv(name, value, 1))
		fexecve(to, argv, environ);
	perror("# rseq_fuzz in memory");
	return -1;
}

/* Without an area of libc's own, which would be in the way. */
static int start_without_area(char **argv)
{
	static const char tunable[] = "glibc.pthread.rseq=0";
	const char *tunables = getenv("GLIBC_TUNABLES");
	char value[1024];

	if (tunables && strstr(tunables, tunable))
		return 0;
	snprintf(value, sizeof(value), "%s%s%s", tunables ?: "", tunables ? ":" : "", tunable);
	return start_again(argv, "GLIBC_TUNABLES", value);
}

/* With the memory at its places: where the stack begins is up to the kernel. */
static int start_with_memory(char **argv)
{
	static const char name[] = "RSEQ_FUZZ_STARTS";
	const char *starts = getenv(name);
	char value[2] = { starts ? *starts + 1 : '1' };

	if (!memory_create())
		return 0;
	if (*value <= '9')
		return start_again(argv, name, value);
	fprintf(stderr, "# the memory that is used has no place\n");
	return -1;
}

int main(int argc, char **argv)
{
	bool debug = false, ok;
	uint64_t arg[3] = { 0 };
	const char *mode = "";
	char **args = argv + 1;

	if (start_without_area(argv))
		return 1;
	if (argc == 5 && !strcmp(argv[1], "--go-on")) {
		rival_fd = atoi(argv[3]);
		if (memory_map(atoi(argv[2]))) {
			fuzz->late = 1;
			return 1;
		}
		go_on(atoi(argv[4]));
	}
	if (*args && !strcmp(*args, "--debug")) {
		debug = true;
		args++;
	}
	if (*args && !strncmp(*args, "--", 2))
		mode = *args++;
	for (int i = 0; i < 3 && args[i]; i++)
		arg[i] = strtoull(args[i], NULL, 0);
	if (!strcmp(mode, "--help")) {
		usage(stdout);
		return 0;
	}
	if (!args[0] || !args[1] || (!*mode && !args[2])) {
		usage(stderr);
		return 2;
	}
	find_facts();
	if (start_with_memory(argv) || prepare(debug))
		return 4;
	if (!*mode)
		ok = print_cases(arg[0], arg[1], arg[2]);
	else if (!strcmp(mode, "--all-masks"))
		ok = print_masks(arg[0], arg[1]);
	else
		ok = print_case(arg[0], arg[1], args[2] ? arg[2] : ALL_STEPS, "case", true);
	fflush(stdout);
	tear_down();
	return !ok;
}
