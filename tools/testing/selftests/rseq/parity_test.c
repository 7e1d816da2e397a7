// SPDX-License-Identifier: GPL-2.0
/*
 * Parity tests of rseq(2).
 *
 * Without arguments: a kselftest that checks what the specification fixes.
 * --record FILE [SUBSTRING]: writes all that was observed to FILE (- is stdout),
 * to be compared between kernels; of the cases with SUBSTRING in their names.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parity.h"
#include "parity_percpu.h"

#include "../kselftest_harness.h"

const struct config configs[] = {
	{ "v1", V1_LEN, 0, .v2 = false },
	{ "v2", V2_LEN, 0, .v2 = true },
	{ "v2-slice", V2_LEN, FLAG_SLICE_EXT_DEFAULT_ON, .v2 = true, .slice = true },
	{ "v1-debug", V1_LEN, 0, .v2 = false, .debug = true },
	{ "v2-debug", V2_LEN, 0, .v2 = true, .debug = true },
	{ "v2-slice-debug", V2_LEN, FLAG_SLICE_EXT_DEFAULT_ON, .v2 = true, .slice = true,
	  .debug = true },
};

#define NR_CONFIGS	ARRAY_LEN(configs)

static const struct test_group *const groups[] = {
	&register_group, &unregister_group, &section_group, &area_group, &ids_group,
	&event_group, &task_group, &prctl_group, &slice_group, &ptrace_group, &trace_group,
};

static bool get_case(const struct test_group *group, size_t i, struct test_case *tc)
{
	*tc = (struct test_case){ .fixups = -1 };
	group->get(i, tc);
	return *tc->name;
}

/* ---- the selftest ---- */

FIXTURE(parity) {
};

FIXTURE_VARIANT(parity) {
	const struct config *cfg;
};

FIXTURE_VARIANT_ADD(parity, v1) { &configs[0] };
FIXTURE_VARIANT_ADD(parity, v2) { &configs[1] };
FIXTURE_VARIANT_ADD(parity, v2_slice) { &configs[2] };
FIXTURE_VARIANT_ADD(parity, v1_debug) { &configs[3] };
FIXTURE_VARIANT_ADD(parity, v2_debug) { &configs[4] };
FIXTURE_VARIANT_ADD(parity, v2_slice_debug) { &configs[5] };

FIXTURE_SETUP(parity)
{
	if (set_up())
		SKIP(return, "see above");
	cfg = variant->cfg;
	ASSERT_EQ(set_debug(cfg->debug), 0);
}

FIXTURE_TEARDOWN(parity)
{
	tear_down();
}

/* Every case of a group has to be as specified; those that are not are named. */
static void test_group(struct __test_metadata *_metadata, const struct test_group *group)
{
	static struct outcome out;

	for (size_t i = 0; i < group->nr; i++) {
		struct test_case tc;

		if (!get_case(group, i, &tc))
			continue;
		run_case(&tc, &out);
		EXPECT_FALSE(out.failed)
			TH_LOG("%s/%s: %s", group->name, tc.name, out.why);
	}
}

#define TEST_GROUP(name)						\
	TEST_F_TIMEOUT(parity, name, 300)				\
	{								\
		test_group(_metadata, &name##_group);			\
	}

TEST_GROUP(register)
TEST_GROUP(unregister)
TEST_GROUP(section)
TEST_GROUP(area)
TEST_GROUP(ids)
TEST_GROUP(event)
TEST_GROUP(task)
TEST_GROUP(prctl)
TEST_GROUP(slice)
TEST_GROUP(ptrace)
TEST_GROUP(trace)

/* They know no configuration. */
TEST(files)
{
	if (set_up())
		SKIP(return, "see above");
	cfg = &configs[0];
	ASSERT_EQ(set_debug(false), 0);
	test_group(_metadata, &files_group);
	tear_down();
}

FIXTURE(percpu) {
};

FIXTURE_VARIANT(percpu) {
	bool v2, mm_cid;
};

FIXTURE_VARIANT_ADD(percpu, v1_cpu_id) { false, false };
FIXTURE_VARIANT_ADD(percpu, v1_mm_cid) { false, true };
FIXTURE_VARIANT_ADD(percpu, v2_cpu_id) { true, false };
FIXTURE_VARIANT_ADD(percpu, v2_mm_cid) { true, true };

FIXTURE_SETUP(percpu)
{
}

FIXTURE_TEARDOWN(percpu)
{
}

TEST_F_TIMEOUT(percpu, exact, 120)
{
	struct percpu_result res;

	ASSERT_EQ(percpu_run(variant->v2, variant->mm_cid, &res), 0);
	TH_LOG("%ld increments, %ld in handlers, %ld aborts", res.counted, res.signals,
	       res.aborts);
	EXPECT_EQ(res.counted, res.expected);
	EXPECT_EQ(res.nodes, res.expected_nodes);
	EXPECT_TRUE(res.intact);
	/* Otherwise nothing was tested. */
	EXPECT_GT(res.signals, 0);
	EXPECT_GT(res.aborts, 0);
}

/* ---- the record ---- */

static void record_case(FILE *f, const char *name, const struct test_case *tc)
{
	static struct outcome out;
	char *line, *save;

	run_case(tc, &out);
	for (line = strtok_r(out.text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		fprintf(f, "%s %s\n", name, line);
	for (line = strtok_r(out.why, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		fprintf(f, "# %s %s\n", name, line);
}

static void record_group(FILE *f, const struct test_group *group, const char *only)
{
	for (size_t i = 0; i < group->nr; i++) {
		struct test_case tc;
		char name[160];

		if (!get_case(group, i, &tc))
			continue;
		snprintf(name, sizeof(name), "%s/%s/%s", cfg->name, group->name, tc.name);
		if (!only || strstr(name, only))
			record_case(f, name, &tc);
	}
}

static int record_config(FILE *f, const char *only)
{
	if (set_debug(cfg->debug)) {
		printf("# cannot write %s\n", debug_file);
		return KSFT_FAIL;
	}
	for (size_t g = 0; g < ARRAY_LEN(groups); g++)
		record_group(f, groups[g], only);
	/* They know no configuration, and change debug mode. */
	if (cfg == &configs[0])
		record_group(f, &files_group, only);
	return KSFT_PASS;
}

/*
 * All is written at the end: the programs that carry the output away use rseq
 * themselves, through their libc, and would count in the statistics.
 */
static int record(const char *path, const char *only)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len), *to = stdout;
	int ret = KSFT_PASS;

	if (set_up())
		return KSFT_SKIP;
	fprintf(f, "kernel bits=%d slice=%s\n", BITS64 ? 64 : 32, facts.slice_key ? "on" : "off");
	for (size_t c = 0; c < NR_CONFIGS && !ret; c++) {
		cfg = &configs[c];
		ret = record_config(f, only);
	}
	tear_down();
	fclose(f);
	if (strcmp(path, "-"))
		to = fopen(path, "we");
	if (!to || fwrite(text, 1, len, to) != len || fflush(to)) {
		perror(path);
		return KSFT_FAIL;
	}
	return ret;
}

/* A case went on in a new program, with no more than the shared memory. */
static int probe(int fd, size_t config)
{
	if (config >= NR_CONFIGS || !arena_map(fd))
		return KSFT_FAIL;
	cfg = &configs[config];
	find_facts();
	exec_probe();
	return KSFT_PASS;
}

int main(int argc, char **argv)
{
	static const char tunable[] = "glibc.pthread.rseq=0";
	const char *tunables = getenv("GLIBC_TUNABLES");

	/* The area that libc registers for itself would be in the way. */
	if (!tunables || !strstr(tunables, tunable)) {
		char *value;

		if (asprintf(&value, "%s%s%s", tunables ?: "", tunables ? ":" : "", tunable) < 0 ||
		    setenv("GLIBC_TUNABLES", value, 1))
			return KSFT_FAIL;
		execv("/proc/self/exe", argv);
		perror("# /proc/self/exe");
		return KSFT_FAIL;
	}
	if (argc > 3 && !strcmp(argv[1], "--exec-probe"))
		return probe(atoi(argv[2]), atoi(argv[3]));
	if (argc > 2 && !strcmp(argv[1], "--record"))
		return record(argv[2], argc > 3 ? argv[3] : NULL);
	return test_harness_run(argc, argv);
}
