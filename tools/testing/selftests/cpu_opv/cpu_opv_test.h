/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of cpu_opv(2): what every part of them shares.
 *
 * Vectors run on memory of an arena, and on a model of it with the operations
 * written in plain C. After every call all bytes of the arena have to be as in
 * the model, whether the call failed or not.
 */
#ifndef CPU_OPV_TEST_H
#define CPU_OPV_TEST_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cpu-op.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

extern size_t page_size;

/* cpu_opv_setup.c: where the vectors run, and how the test went */

void set_up_program(void);
const char *set_up(const char *strategy);
void expect_nothing_left(void);
bool remote(void);
int target_cpu(void);
int other_cpu(void);
void stay_on(int cpu);
void stay_anywhere(void);
int failures(void);
const char *skipped(void);
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void explain(int before, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void comment(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void expect(const char *what, long long got, long long want);

/* cpu_opv_util.c: files, children, random numbers */
uint64_t random64(void);
size_t random_below(size_t limit);
long now_ms(void);
void sleep_ms(long ms);
bool wait_until(volatile int *value, int want);
pid_t fork_child(void);
void reap_child(pid_t pid);
bool read_text(const char *path, char *buf, size_t size);
bool write_text(const char *path, const char *text);
long read_field(const char *path, const char *name);
long pages_pinned(void);
bool find_mapping(const char *name, uint64_t *start, uint64_t *end);
int loop_attach(int fd, char *path, size_t size);
int unnamed_file(const char *dir, size_t size);

/* cpu_opv_arena.c: memory, and what it has to hold */
struct arena {
	unsigned char *mem;
	unsigned char *model;	/* the same for children */
	size_t size;
	size_t guard;		/* bytes around it that belong to the mapping */
};

#define AS_MODEL	(-10000)	/* a result that only the model knows */

bool arena_map(struct arena *a, size_t pages);
bool arena_adopt(struct arena *a, void *mem, size_t size);
bool arena_private_model(struct arena *a);
void arena_unmap(struct arena *a);
void arena_fill(struct arena *a);
void arena_set(struct arena *a, void *at, const void *bytes, size_t len);
void arena_flip(struct arena *a, void *at);
bool arena_check(const struct arena *a, const char *what);
int call(struct cpu_op *vec, int cnt, int cpu, unsigned int flags);
bool check_call(struct arena *a, struct cpu_op *vec, int cnt, int cpu, unsigned int flags,
		int want);
bool check_vec(struct arena *a, struct cpu_op *vec, int cnt, int want);
bool check_op(struct arena *a, struct cpu_op op, int want);

/* cpu_opv_model.c */
int model_run(struct arena *a, const struct cpu_op *vec, int cnt);
void describe_op(char *buf, size_t size, const struct arena *a, const struct cpu_op *op);
void check_random(struct arena *a, int rounds);
void check_random_words(struct arena *a, int rounds);

/* The operands of all operations, with the offsets of their members. */
struct operand {
	enum cpu_op_type type;
	const char *name;
	size_t addr, expect_fault, other_expect_fault;	/* 0: no other operand */
	bool write;
	bool words_only;
};

#define NR_OPERANDS	12
extern const struct operand operands[NR_OPERANDS];
bool is_word_op(int type);
struct cpu_op valid_op(int type, void *p, void *q, size_t len);
void set_operand(struct cpu_op *op, const struct operand *operand, uint64_t addr);
void set_byte(struct cpu_op *op, size_t offset, unsigned char value);

/* cpu_opv_ops.c */
void test_compare(void);
void test_memcpy(void);
void test_arithmetic(void);
void test_shift(void);
void test_mb(void);
void test_random(void);

/* cpu_opv_overlap.c */
void test_crossing(void);
void test_overlap(void);
void test_overlap_crossing(void);
void test_alias(void);
void test_alias_order(void);

/* cpu_opv_vectors.c */
void test_stopping(void);
void test_empty(void);
void test_queries(void);
void test_limits(void);
void test_maximal(void);
void test_vector_memory(void);
void test_vector_is_operand(void);

/* cpu_opv_leading.c: comparisons before the first store */
void test_leading(void);
void test_leading_crossing(void);
void test_pop_and_unmap(void);

/* cpu_opv_threads.c */
void test_fence(void);
void test_no_tearing(void);
void test_changing_vector(void);

/* cpu_opv_errors.c */
void test_bad_calls(void);
void test_bad_codes(void);
void test_bad_lengths(void);
void test_bad_shifts(void);
void test_misaligned(void);
void test_reserved_bytes(void);
void test_precedence(void);

/* cpu_opv_faults.c: operands that cannot be accessed */
void on_arena(void (*test)(struct arena *a));
void check_operands(struct arena *a, uint64_t addr, bool reads, bool writes);
void test_fault_addresses(void);
void test_fault_mappings(void);
void test_fault_crossing(void);

/* cpu_opv_special.c: mappings that are not of pages that anybody may have */
void test_fault_vdso(void);
void test_fault_device(void);
void test_fault_secret(void);
void test_fault_keys(void);

/* cpu_opv_order.c: which of several operands fails, and the vector itself */
void test_fault_order(void);
void test_no_bytes(void);
void test_bad_vector(void);

/* cpu_opv_memory.c: the kinds of memory that a program can have */
struct memory {
	/* Maps a->mem, which must not be touched, and sets the model. */
	bool (*map)(struct arena *a);
	/* More to check, or NULL. */
	void (*verify)(struct arena *a);
	/* Or NULL, which is munmap(). */
	void (*unmap)(struct arena *a);
};

#define NR_FIRST_VECS	8
#define MEMORY_PAGES	4
void first_vec(struct arena *a, int i);
void check_memory(const struct memory *memory);
void test_untouched(void);
void test_fork(void);
void test_shared(void);
void test_huge(void);
void test_hugetlb(void);
void test_mlocked(void);

/* cpu_opv_files.c */
void test_memfd(void);
void test_file_shared(void);
void test_file_private(void);
void test_block_device(void);
void check_refused_stores(struct arena *a);

/* cpu_opv_swap.c */
void test_swapped(void);

/* cpu_opv_paging.c */
void test_ksm(void);
void test_userfaultfd(void);

/* cpu_opv_coherence.c */
void test_coherent(void);
void test_unmapping(void);

/* cpu_opv_fail.c */
void test_no_memory(void);

#endif /* CPU_OPV_TEST_H */
