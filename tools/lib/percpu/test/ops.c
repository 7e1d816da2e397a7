// SPDX-License-Identifier: GPL-2.0
/*
 * Each operation, with each result, in both modes, on the thread's own index and on another one:
 * what it returns, what it changes, and errors where it cannot be done. What has to work follows
 * from what percpu_get_info() tells; the callers vary the environment.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <percpu/percpu.h>

#include "tap.h"

static enum rseq_percpu_mode mode;
static int place;
static int expected_error;	/* 0: operations have to work */

static struct {
	intptr_t v, v2, load;
	struct percpu_node node, node2;
	char dst[64];
} data;

static bool result(int ret, int expected)
{
	if (expected_error)
		return ret == -1 && errno == expected_error;
	return ret == expected;
}

static void check(bool passed, const char *what)
{
	ok(passed, "%s, by %s, %s", what, mode == RSEQ_PERCPU_CPU_ID ? "CPU" : "mm_cid",
	   place == percpu_current_index(mode) ? "own" : "another");
}

/* What a word is that was changed from @from to @to, if that was possible. */
static bool became(const intptr_t *v, intptr_t from, intptr_t to)
{
	return *v == (expected_error ? from : to);
}

static void addv(void)
{
	data.v = 5;
	check(result(percpu_addv(mode, &data.v, -7, place), 0) && became(&data.v, 5, -2), "addv");
	data.v = 5;
	check(result(percpu_addv(mode, &data.v, (intptr_t)1 << 40, place), 0) &&
	      became(&data.v, 5, 5 + ((intptr_t)1 << 40)), "addv of a large number");
}

static void cmpeqv_storev(void)
{
	data.v = 5;
	check(result(percpu_cmpeqv_storev(mode, &data.v, 5, 6, place), 0) && became(&data.v, 5, 6),
	      "cmpeqv_storev");
	data.v = 5;
	check(result(percpu_cmpeqv_storev(mode, &data.v, 4, 6, place), 1) && data.v == 5,
	      "cmpeqv_storev that differs");
}

static void cmpnev_storeoffp_load(void)
{
	struct { intptr_t other, next; } node = { 1, 77 };

	data.v = (intptr_t)&node;
	data.load = 0;
	check(result(percpu_cmpnev_storeoffp_load(mode, &data.v, 3, sizeof(intptr_t), &data.load,
						  place), 0) &&
	      became(&data.v, (intptr_t)&node, 77) && became(&data.load, 0, (intptr_t)&node),
	      "cmpnev_storeoffp_load");
	data.v = 3;
	check(result(percpu_cmpnev_storeoffp_load(mode, &data.v, 3, sizeof(intptr_t), &data.load,
						  place), 1) && data.v == 3,
	      "cmpnev_storeoffp_load that equals");
}

static void cmpeqv_storev_storev(void)
{
	for (int release = 0; release < 2; release++) {
		int (*op)(enum rseq_percpu_mode m, intptr_t *v, intptr_t expect, intptr_t *v2,
			  intptr_t newv2, intptr_t newv, int index) =
			release ? percpu_cmpeqv_storev_storev_release : percpu_cmpeqv_storev_storev;

		data.v = 5;
		data.v2 = 1;
		check(result(op(mode, &data.v, 5, &data.v2, 2, 6, place), 0) &&
		      became(&data.v, 5, 6) && became(&data.v2, 1, 2),
		      release ? "cmpeqv_storev_storev_release" : "cmpeqv_storev_storev");
		data.v = 5;
		data.v2 = 1;
		check(result(op(mode, &data.v, 4, &data.v2, 2, 6, place), 1) && data.v == 5 &&
		      data.v2 == 1, "the same that differs");
	}
}

static void cmpeqv_cmpeqv_storev(void)
{
	data.v = 5;
	data.v2 = 1;
	check(result(percpu_cmpeqv_cmpeqv_storev(mode, &data.v, 5, &data.v2, 1, 6, place), 0) &&
	      became(&data.v, 5, 6), "cmpeqv_cmpeqv_storev");
	data.v = 5;
	check(result(percpu_cmpeqv_cmpeqv_storev(mode, &data.v, 4, &data.v2, 1, 6, place), 1) &&
	      data.v == 5, "cmpeqv_cmpeqv_storev, the first differs");
	check(result(percpu_cmpeqv_cmpeqv_storev(mode, &data.v, 5, &data.v2, 2, 6, place), 2) &&
	      data.v == 5, "cmpeqv_cmpeqv_storev, the second differs");
}

static void cmpeqv_memcpy_storev(void)
{
	static const char text[] = "a text of some bytes";

	for (int release = 0; release < 2; release++) {
		int (*op)(enum rseq_percpu_mode m, intptr_t *v, intptr_t expect, void *dst,
			  const void *src, size_t len, intptr_t newv, int index) =
			release ? percpu_cmpeqv_memcpy_storev_release : percpu_cmpeqv_memcpy_storev;

		data.v = 5;
		memset(&data.dst, 0, sizeof(data.dst));
		check(result(op(mode, &data.v, 5, data.dst, text, sizeof(text), 6, place), 0) &&
		      became(&data.v, 5, 6) &&
		      !strcmp(data.dst, expected_error ? "" : text) && !data.dst[sizeof(text)],
		      release ? "cmpeqv_memcpy_storev_release" : "cmpeqv_memcpy_storev");
		memset(&data.dst, 0, sizeof(data.dst));
		check(result(op(mode, &data.v, 4, data.dst, text, sizeof(text), 7, place), 1) &&
		      became(&data.v, 5, 6) && !data.dst[0], "the same that differs");
		check(result(op(mode, &data.v, data.v, data.dst, text, 0, 7, place), 0) &&
		      !data.dst[0], "the same of 0 bytes");
	}
}

static void list(void)
{
	struct percpu_list head = { 0 };
	struct percpu_node *node = &data.node;

	check(result(percpu_list_push(mode, &head, &data.node, place), 0) &&
	      result(percpu_list_push(mode, &head, &data.node2, place), 0), "push");
	check(result(percpu_list_pop(mode, &head, &node, place), expected_error ? -1 : 0) &&
	      node == (expected_error ? NULL : &data.node2), "pop");
	node = NULL;
	check((expected_error ? percpu_list_take(mode, &head, &node, place) == 1 :
	       !percpu_list_take(mode, &head, &node, place)) &&
	      node == (expected_error ? NULL : &data.node), "take");
	check(result(percpu_list_pop(mode, &head, &node, place), 1) && !node,
	      "pop from an empty list");
}

/* A node that is not there any more is an error, not a signal, for cpu_opv(2). */
static void bad_address(void)
{
	void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	errno = 0;
	check(percpu_addv(mode, page, 1, place) == -1 &&
	      errno == (expected_error ? expected_error : EFAULT), "addv of an invalid address");
	munmap(page, 4096);
}

static void all(void)
{
	addv();
	cmpeqv_storev();
	cmpnev_storeoffp_load();
	cmpeqv_storev_storev();
	cmpeqv_cmpeqv_storev();
	cmpeqv_memcpy_storev();
	list();
}

int main(void)
{
	struct percpu_info info;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return TAP_SKIP;
	percpu_get_info(&info, sizeof(info));
	printf("# rseq %d by %d, sequences %d, mm_cid %d, cpu_opv %d, by mm_cid %d\n",
	       info.rseq_version, info.owner, info.sequences, info.mm_cid, info.cpu_opv,
	       info.cpu_opv_mm_cid);
	for (int m = RSEQ_PERCPU_CPU_ID; m <= RSEQ_PERCPU_MM_CID; m++) {
		bool sequences = m == RSEQ_PERCPU_CPU_ID ? info.sequences : info.mm_cid;
		bool remote = m == RSEQ_PERCPU_CPU_ID ? info.cpu_opv : info.cpu_opv_mm_cid;
		int own;

		mode = m;
		own = percpu_current_index(mode);
		ok(own >= 0 && own < percpu_nr_indices(), "index %d of %d", own,
		   percpu_nr_indices());
		ok(percpu_available(mode) == (sequences || remote), "available");
		ok(percpu_remote_available(mode) == remote, "available for others");
		place = own;
		expected_error = sequences || remote ? 0 : ENOSYS;
		all();
		if (percpu_nr_indices() > 1) {
			place = own ? 0 : 1;
			expected_error = remote ? 0 : sequences ? ENXIO : ENOSYS;
			all();
			bad_address();
		}
		place = percpu_nr_indices() + 100000;
		expected_error = remote ? (m == RSEQ_PERCPU_CPU_ID ? ENXIO : EINVAL) :
				 sequences ? ENXIO : ENOSYS;
		addv();
	}
	return tap_end();
}
