// SPDX-License-Identifier: GPL-2.0
/* Writes to the area and to the descriptor: by the child, or by others meanwhile. */
#include <stdlib.h>
#include <unistd.h>

#include "fuzz.h"

/* The one that was registered last, or one that might be. */
struct rseq_abi *last_area(void)
{
	if (fuzz->area)
		return (struct rseq_abi *)(unsigned long)fuzz->area;
	return (struct rseq_abi *)(slot_page[SLOT_SHARED] + 128);
}

static unsigned char *last_descriptor(uint64_t ptr)
{
	unsigned long offset = ptr - (unsigned long)slot_page[SLOT_CS];

	if (offset > 4096 - sizeof(struct rseq_abi_cs))
		offset = 0;
	return slot_alias[SLOT_CS] + offset;
}

/* A value for rseq_cs. */
uint64_t draw_pointer(struct rng *r)
{
	static const int offsets[] = { 0, 1, 8, 512, 4096 - 32, 4096 - 31, 4096 - 24, 4096 - 16 };

	if (chance(r, 1, 6))
		return draw_address(r);
	run->cs = (unsigned long)slot_page[SLOT_CS];
	if (chance(r, 1, 4))
		run->cs += pick(r, offsets);
	return run->cs;
}

/* A valid descriptor with, at times, something else in some of its fields. */
void write_descriptor(struct rng *r)
{
	static const char *const targets[] = { fuzz_abort, fuzz_abort_zero, fuzz_spin };
	struct rseq_abi_cs cs = {
		.start_ip = (unsigned long)fuzz_start,
		.post_commit_offset = fuzz_commit - fuzz_start,
		.abort_ip = (unsigned long)fuzz_abort,
	};

	if (chance(r, 1, 12))
		cs.version = draw_word(r);
	if (chance(r, 1, 12))
		cs.flags = draw_word(r);
	if (chance(r, 1, 5))
		cs.start_ip = draw_address(r);
	if (chance(r, 1, 5))
		cs.post_commit_offset = draw_address(r) - (chance(r, 3, 4) ? cs.start_ip : 0);
	if (chance(r, 1, 6))
		cs.abort_ip = (unsigned long)pick(r, targets);
	else if (chance(r, 1, 5))
		cs.abort_ip = draw_address(r);
	memcpy(last_descriptor(run->cs), &cs, sizeof(cs));
	note("descriptor", "start:%llx length:%llx abort:%llx version:%x flags:%x",
	     (unsigned long long)cs.start_ip, (unsigned long long)cs.post_commit_offset,
	     (unsigned long long)cs.abort_ip, cs.version, cs.flags);
}

/* Any field of the area, any value. What is private to the child only it can write. */
static void write_area(struct rng *r)
{
	static const char *const fields[] = {
		"cpu_id_start", "cpu_id", "rseq_cs", "rseq_cs.high", "flags", "node_id", "mm_cid",
		"slice_ctrl", "beyond",
	};
	struct rseq_abi *a = last_area(), *alias = alias_of(a);
	unsigned int field = draw(r, ARRAY_LEN(fields));
	volatile uint32_t *words = (volatile uint32_t *)alias;
	uint32_t value = draw_word(r);
	uint64_t ptr = draw_pointer(r);

	if (chance(r, 1, 3))
		field = 2;
	if (chance(r, 1, 6))
		field = 7;
	if (alias == a && getpid() != fuzz->pid)
		return;
	if (field == 2) {
		note("write", "%s %s%llx", fields[field], ptr == run->cs ? "cs " : "",
		     (unsigned long long)ptr);
		words[2] = ptr;
		words[3] = ptr >> 32;
		return;
	}
	note("write", "%s %x", fields[field], value);
	words[field] = value;
}

void write_something(struct rng *r)
{
	if (chance(r, 1, 4))
		write_descriptor(r);
	else
		write_area(r);
}
