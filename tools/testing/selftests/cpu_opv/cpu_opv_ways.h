/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of cpu_opv(2): random vectors, each by every way that the kernel has. What they share.
 *
 * A case is drawn from the seed and its number alone. Its addresses are places in regions, each of
 * which is a kind of memory, so that cases can be run again, made smaller and printed.
 */
#ifndef CPU_OPV_WAYS_H
#define CPU_OPV_WAYS_H

#include "cpu_opv_control.h"

#define REGION_PAGES	3
#define REGION_BYTES	(REGION_PAGES * 4096)
#define MAX_OPS		CPU_OP_VEC_LEN_MAX

#define MAY_READ	1
#define MAY_WRITE	2

enum region_id {
	ANON,			/* private, there: what others are replaced by */
	UNTOUCHED, ZEROES, FORKED, SHARED, FILE_SHARED, FILE_ALIAS, FILE_PRIVATE,
	TRANSPARENT_HUGE, HUGETLB, STACK, TAGGED, SECRET, RIVAL,
	READ_ONLY, READ_ONLY_FILE, MIXED, GUARDED, PAST_END, NO_ACCESS, HOLE,
	LOW, NON_CANONICAL, KERNEL, TOP, NR_REGIONS
};

struct region {
	const char *name;
	int weight;			/* how often it is drawn */
	uint64_t base;			/* of the addresses in operands; page aligned */
	unsigned char *mem;		/* the same, if it is an address */
	unsigned char *view;		/* where the test reads and writes what is in it */
	enum region_id frames;		/* the region whose memory it is */
	unsigned char rights[REGION_PAGES];
	bool available;
	bool zero;			/* has no contents before the call */
	bool in_place_only;		/* cannot be pinned */
	bool closed;			/* operands stay inside: what is around it is not known */
	void (*reset)(struct region *region, const unsigned char *contents);
};

struct place {
	enum region_id region;
	int offset;
	bool expect_fault;
};

struct ways_op {
	int type;
	uint32_t len;
	struct place at[2];		/* a and b, dst and src, or p */
	uint64_t arg;			/* count, mask or bits */
};

enum wrong_kind { RIGHT, WRONG_LENGTH, WRONG_CODE, WRONG_BYTE, WRONG_ALIGNMENT, NR_WRONG_KINDS };

struct ways_case {
	int cnt;
	struct ways_op ops[MAX_OPS];
	bool pinned;			/* the caller may run on its CPU only */
	bool paged_out;			/* the kernel was told to swap out what can be */
	enum wrong_kind wrong;
	int wrong_op;
};

/* What the call may do. */
struct outcome {
	int ret;			/* or -errno; the model's memory belongs to it */
	int nr_others;
	int others[2 * MAX_OPS + 4];	/* as good, but nothing has changed */
};

enum cpu_state { THIS_CPU, IDLE, BUSY_OWN, BUSY_OTHER, OFFLINE, NR_CPU_STATES };

struct way {
	enum cpu_state state;
	bool migrate;			/* kernel.cpu_opv_remote */
};

/* ---- cpu_opv_ways_memory.c ---- */

extern struct region regions[NR_REGIONS];

/* Returns why it cannot be, or NULL. */
const char *regions_map(void);
void regions_list(void);
/* What is in them before each call, and after it as the model says. */
extern unsigned char before[NR_REGIONS][REGION_BYTES], after[NR_REGIONS][REGION_BYTES];
void regions_contents(uint64_t seed);
bool case_uses(const struct ways_case *c, enum region_id region);
/* Memory gets to be as it is before a call. */
void case_reset(const struct ways_case *c);
/* Returns false, and where it is, if a byte is not as in @want. */
bool case_compare(const struct ways_case *c, unsigned char want[NR_REGIONS][REGION_BYTES],
		  struct place *where);
unsigned char *byte_at(const struct place *at);

/* ---- cpu_opv_ways_model.c ---- */

bool is_store(const struct ways_op *op);
int operands_of(const struct ways_op *op);
bool runs_in_place(const struct ways_case *c);
void model_expect(const struct ways_case *c, const struct way *way, bool rivals,
		  struct outcome *out);

/* ---- cpu_opv_ways_draw.c ---- */

void case_draw(struct ways_case *c, uint64_t seed, uint64_t number, bool rivals);
int case_vector(const struct ways_case *c, struct cpu_op *vec);
void case_print(const struct ways_case *c);
/* Smaller ones, as long as @fails says so. */
void case_shrink(struct ways_case *c, bool (*fails)(const struct ways_case *c));

/* ---- cpu_opv_ways_places.c ---- */

/* What the kernel counted for a way, and what it had to. */
struct way_stats {
	long ran, eligible, unpinned;	/* vectors; without pins; that may move the caller */
	long local, locked, interrupted, migrated, in_place, pinned;
};

#define NR_WAYS		9
extern const struct way ways[NR_WAYS];
extern struct way_stats way_stats[NR_WAYS];

const char *way_name(const struct way *way, char *buf, size_t size);
/* Returns false if it cannot be had. */
bool way_begin(const struct way *way);
void way_end(const struct way *way);
void ways_end(void);		/* no state is left */
/* Where the caller is to be before each call. Returns the CPU to call for. */
int way_target(const struct way *way, bool pinned);
void ways_judge(void);

/* A thread that does to memory what does not change what is in it. */
bool rivals_start(void);
void rivals_stop(void);

#endif /* CPU_OPV_WAYS_H */
