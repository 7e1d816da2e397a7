// SPDX-License-Identifier: GPL-2.0
/* Parity cases: the files and interfaces around rseq(2). They know no configuration. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "parity.h"

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE	27
#define AT_RSEQ_ALIGN		28
#endif

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION	0x420f
#endif

/* Not known to be bad to the compiler. */
static char *volatile bad_pointer = (char *)8;

/* ---- debugfs ---- */


static int write_count(const char *path, const char *text, size_t count)
{
	int fd = open(path, O_WRONLY), ret;

	if (fd < 0)
		return -errno;
	ret = result(write(fd, text, count));
	close(fd);
	return ret;
}

struct write_case {
	const char *text;
	int want;	/* 0: all of it is taken */
	const char *then;
};

static void try_writes(const char *path, const struct write_case *c, size_t nr, const char *reset)
{
	char field[80], text[16];

	for (size_t i = 0; i < nr; i++) {
		int len = strlen(c[i].text), fd;

		expect("reset", write_file(path, reset), strlen(reset));
		snprintf(field, sizeof(field), "write.%zu", i);
		note(field, "%.*s", (int)strcspn(c[i].text, "\n"), c[i].text);
		snprintf(field, sizeof(field), "write.%zu.ret", i);
		expect(field, write_file(path, c[i].text), c[i].want ?: len);
		fd = open(path, O_RDONLY);
		len = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[len > 0 ? len - 1 : 0] = '\0';
		snprintf(field, sizeof(field), "write.%zu.then", i);
		expect_text(field, text, c[i].then);
	}
}

static void child_debug_on(const struct test_case *tc)
{
	static const struct write_case on[] = {
		{ "1", 0, "1" }, { "y", 0, "1" }, { "Y", 0, "1" }, { "t", 0, "1" },
		{ "T", 0, "1" }, { "on", 0, "1" }, { "ON", 0, "1" }, { "On", 0, "1" },
		{ "yes", 0, "1" }, { "1\n", 0, "1" }, { "1abc", 0, "1" }, { "onx", 0, "1" },
		{ "yellow submarine", 0, "1" }, { "2", -EINVAL, "0" }, { "o", -EINVAL, "0" },
		{ "ox", -EINVAL, "0" }, { " 1", -EINVAL, "0" }, { "\n", -EINVAL, "0" },
		{ "", -EINVAL, "0" }, { "-1", -EINVAL, "0" }, { "x", -EINVAL, "0" },
	};

	try_writes(debug_file, on, ARRAY_LEN(on), "0");
}

static void child_debug_off(const struct test_case *tc)
{
	static const struct write_case off[] = {
		{ "0", 0, "0" }, { "n", 0, "0" }, { "N", 0, "0" }, { "f", 0, "0" },
		{ "F", 0, "0" }, { "of", 0, "0" }, { "off", 0, "0" }, { "OFF", 0, "0" },
		{ "no", 0, "0" }, { "0\n", 0, "0" }, { "00000", 0, "0" }, { "3", -EINVAL, "1" },
	};

	try_writes(debug_file, off, ARRAY_LEN(off), "1");
	expect("off", write_file(debug_file, "0"), 1);
}

static void child_slice_nsec(const struct test_case *tc)
{
	static const struct write_case nsec[] = {
		{ "5000", 0, "5000" }, { "50000", 0, "50000" }, { "5001\n", 0, "5001" },
		{ "+6000", 0, "6000" }, { "0006000", 0, "6000" }, { "49999", 0, "49999" },
		{ "4999", -ERANGE, "7000" }, { "50001", -ERANGE, "7000" }, { "0", -ERANGE, "7000" },
		{ "4294967295", -ERANGE, "7000" }, { "4294967296", -EINVAL, "7000" },
		{ "4294974296", -EINVAL, "7000" }, { "18446744073709551616", -EINVAL, "7000" },
		{ "-6000", -EINVAL, "7000" }, { "-1", -EINVAL, "7000" }, { "", -EINVAL, "7000" },
		{ "\n", -EINVAL, "7000" }, { "x", -EINVAL, "7000" }, { "0x2000", -EINVAL, "7000" },
		{ "6000 ", -EINVAL, "7000" }, { " 6000", -EINVAL, "7000" },
		{ "6000\n\n", -EINVAL, "7000" }, { "6000.5", -EINVAL, "7000" },
		{ "6_000", -EINVAL, "7000" }, { "6e3", -EINVAL, "7000" },
		/* No more than 34 characters are looked at. */
		{ "0000000000000000000000000000006000", 0, "6000" },
		{ "00000000000000000000000000000006000", -ERANGE, "7000" },
		{ "00000000000000000000000000000006000xyz", -ERANGE, "7000" },
		{ "0000000000000000000000000000006000xyz", 0, "6000" },
	};

	if (access(slice_ext_file, F_OK)) {
		note("slice_ext_nsec", "%d", -errno);
		return;
	}
	try_writes(slice_ext_file, nsec, ARRAY_LEN(nsec), "7000");
	expect("reset", write_file(slice_ext_file, "5000"), 4);
}

static void file_facts(const char *path)
{
	struct stat st;
	char text[8];
	int fd;

	if (stat(path, &st)) {
		note("stat", "%d", -errno);
		return;
	}
	note("mode", "%o size %ld links %ld", st.st_mode, (long)st.st_size, (long)st.st_nlink);
	fd = open(path, O_RDWR);
	note("open", "%d", fd < 0 ? -errno : 0);
	note("read_at_1000", "%d", result(pread(fd, text, sizeof(text), 1000)));
	note("read_bad_pointer", "%d", result(read(fd, bad_pointer, 1)));
	note("lseek_end", "%d", result(lseek(fd, 0, SEEK_END)));
	note("lseek_back", "%d", result(lseek(fd, -1, SEEK_SET)));
	note("write_bad_pointer", "%d", result(write(fd, bad_pointer, 1)));
	note("write_nothing", "%d", result(write(fd, "", 0)));
	note("truncate", "%d", result(ftruncate(fd, 0)));
	close(fd);
	/* A NUL ends the number or the word. */
	note("write_nul", "%d", write_count(path, "1\0x", 3));
	note("write_nul_5", "%d", write_count(path, "5000\0x", 6));
	note("write_pages", "%d", write_count(path, (char *)cs_page, getpagesize()));
}

static void child_file_facts(const struct test_case *tc)
{
	memset(cs_page, '0', getpagesize());
	cs_page[0] = '1';
	file_facts(tc->arg);
	write_file(debug_file, "0");
	write_file(slice_ext_file, "5000");
}

/* Names and columns of the statistics, without the figures. */
static void child_stats_format(const struct test_case *tc)
{
	char line[128], name[80];
	FILE *f = fopen(stats_file, "re");

	while (f && fgets(line, sizeof(line), f)) {
		int n = 0;
		long val;

		if (sscanf(line, "%79s %ld%n", name, &val, &n) != 2)
			note("line", "%s", line);
		else
			note("line", "%s ends at column %d with %d", name, n, line[n]);
	}
	expect_true("end", f && feof(f));
}

static void child_auxv(const struct test_case *tc)
{
	expect("AT_RSEQ_FEATURE_SIZE", getauxval(AT_RSEQ_FEATURE_SIZE), V2_LEN);
	expect("AT_RSEQ_ALIGN", getauxval(AT_RSEQ_ALIGN), 64);
}

static const struct {
	const char *name;
	void (*child)(const struct test_case *tc);
	const void *arg;
} cases[] = {
	{ "debug_on", child_debug_on },
	{ "debug_off", child_debug_off },
	{ "slice_ext_nsec", child_slice_nsec },
	{ "facts.debug", child_file_facts, debug_file },
	{ "facts.slice_ext_nsec", child_file_facts, slice_ext_file },
	{ "facts.stats", child_file_facts, stats_file },
	{ "stats_format", child_stats_format },
	{ "auxv", child_auxv },
};

static void get_files(size_t i, struct test_case *tc)
{
	snprintf(tc->name, sizeof(tc->name), "%s", cases[i].name);
	tc->child = cases[i].child;
	tc->arg = cases[i].arg;
	tc->end = END_OK;
	tc->stats = STATS_NONE;
}

const struct test_group files_group = { "files", ARRAY_LEN(cases), get_files };

/* ---- ptrace ---- */

struct rseq_configuration {
	uint64_t rseq_abi_pointer;
	uint32_t rseq_abi_size, signature, flags, pad;
};

static void get_configuration(const char *field, pid_t pid, const struct rseq_configuration *want)
{
	struct rseq_configuration conf;
	unsigned char *byte = (unsigned char *)&conf;
	char name[32];
	long ret;

	memset(&conf, POISON, sizeof(conf));
	errno = 0;
	ret = ptrace(PTRACE_GET_RSEQ_CONFIGURATION, pid, sizeof(conf), &conf);
	expect(field, result(ret), sizeof(conf));
	snprintf(name, sizeof(name), "%s.same", field);
	expect_true(name, !memcmp(&conf, want, sizeof(conf)));

	/* Less is asked for, less is written; the size of all is returned. */
	for (size_t size = 0; size <= 40; size += 8) {
		size_t written = 0;

		memset(&conf, POISON, sizeof(conf));
		ret = ptrace(PTRACE_GET_RSEQ_CONFIGURATION, pid, size, &conf);
		for (size_t i = 0; i < sizeof(conf); i++)
			written += byte[i] != POISON;
		snprintf(name, sizeof(name), "%s.size_%zu", field, size);
		note(name, "%d, %zu bytes", result(ret), written);
	}
	snprintf(name, sizeof(name), "%s.bad_pointer", field);
	expect(name, result(ptrace(PTRACE_GET_RSEQ_CONFIGURATION, pid, 24, bad_pointer)), -EFAULT);
	snprintf(name, sizeof(name), "%s.bad_pointer_0", field);
	note(name, "%d", result(ptrace(PTRACE_GET_RSEQ_CONFIGURATION, pid, 0, bad_pointer)));
}

static void child_configuration(const struct test_case *tc)
{
	struct rseq_configuration none = { 0 }, conf = {
		.rseq_abi_pointer = (unsigned long)area(),
		.rseq_abi_size = cfg->len,
		.signature = RSEQ_SIG,
	};
	int status;
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		sys_rseq(area(), cfg->len, cfg->flags, RSEQ_SIG);
		raise(SIGSTOP);
		sys_rseq(area(), cfg->len, FLAG_UNREGISTER, RSEQ_SIG);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	get_configuration("before", pid, &none);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	waitpid(pid, &status, 0);
	get_configuration("registered", pid, &conf);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	waitpid(pid, &status, 0);
	get_configuration("unregistered", pid, &none);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	waitpid(pid, &status, 0);
	expect("end", status, 0);
}

static void get_ptrace(size_t i, struct test_case *tc)
{
	snprintf(tc->name, sizeof(tc->name), "configuration");
	tc->child = child_configuration;
	tc->end = END_OK;
	tc->stats = STATS_NONE;
}

const struct test_group ptrace_group = { "ptrace", 1, get_ptrace };
