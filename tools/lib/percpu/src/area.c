// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * Registration: who has done it, doing it where nobody has, and whether the thread tries sequences.
 *
 * All of it can happen in a signal handler, also one that interrupts it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE	27
#define AT_RSEQ_ALIGN		28
#endif
#define RSEQ_UNREGISTER		1

/* The kernel accepts an area of this size and alignment always, with the fields up to mm_cid. */
#define ORIGINAL_SIZE		32
/* What kernels have that do not tell. */
#define ORIGINAL_FEATURES	20

/* With a larger alignment, glibc could not load the library by dlopen(3). */
#define AREA_ROOM		64

#define INITIAL_EXEC		__attribute__((tls_model("initial-exec")))

/* Not there in all C libraries. The types are those of glibc. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

__thread struct percpu_thread percpu_thread INITIAL_EXEC;

/*
 * In the thread's own memory, which is not used for anything else before the kernel is done with
 * the thread.
 */
static __thread union {
	struct percpu_area area;
	char room[AREA_ROOM];
} own INITIAL_EXEC __attribute__((aligned(AREA_ROOM))) = {
	.area = { .cpu_id = -1 },
};

static __thread struct {
	enum { UNKNOWN, LIBC, OWN, FAILED, GONE } state;
	unsigned int size;
	int error;
	int tries;		/* > 0: sequences, < 0: none, 0: not decided */
} thread INITIAL_EXEC;

static struct {
	ptrdiff_t offset;
	unsigned int size;	/* 0: it has registered none */
	bool known;
} libc;

static pthread_key_t key;
static bool have_key;

static bool is_registered(const struct percpu_area *area)
{
	return (int)area->cpu_id >= 0;
}

/* Weak references to a shared library may have been left unresolved when the program was linked. */
static void find_libc(void)
{
	const ptrdiff_t *offset = &__rseq_offset;
	const unsigned int *size = &__rseq_size;

	if (!offset || !size) {
		offset = dlsym(RTLD_DEFAULT, "__rseq_offset");
		size = dlsym(RTLD_DEFAULT, "__rseq_size");
	}
	if (offset && size) {
		libc.offset = *offset;
		libc.size = *size;
	}
	libc.known = true;
}

static void end_of_thread(void *unused __attribute__((unused)))
{
	percpu_unregister_thread();
}

static __attribute__((constructor(102))) void prepare(void)
{
	if (!libc.known)
		find_libc();
	if (!libc.size && !have_key)
		have_key = !pthread_key_create(&key, end_of_thread);
}

static struct percpu_area *libc_area(void)
{
	if (!libc.known)
		prepare();
	return libc.size ? (void *)((char *)__builtin_thread_pointer() + libc.offset) : NULL;
}

static int sys_rseq(unsigned int size, int flags)
{
	return syscall(SYS_rseq, &own.area, size, flags, PERCPU_SIG);
}

/* Asked for once, as it is needed for each operation that has no area; getauxval() changes errno. */
unsigned int percpu_feature_size(void)
{
	static unsigned int known;
	unsigned int size = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (!size) {
		int saved = errno;

		size = getauxval(AT_RSEQ_FEATURE_SIZE);
		if (!size)
			size = ORIGINAL_FEATURES;
		__atomic_store_n(&known, size, __ATOMIC_RELAXED);
		errno = saved;
	}
	return size;
}

/*
 * The kernel says EINVAL if the thread has another area already: then also for one of the original
 * size, which it has always accepted. EBUSY tells that it is this area: of a signal handler that
 * was here meanwhile, or inherited by fork(2).
 */
static int register_own(void)
{
	unsigned int size = percpu_feature_size();

	if (size > AREA_ROOM || getauxval(AT_RSEQ_ALIGN) > AREA_ROOM || size < ORIGINAL_SIZE)
		size = ORIGINAL_SIZE;
	for (;;) {
		if (!sys_rseq(size, 0) || errno == EBUSY) {
			thread.size = size;
			return 0;
		}
		if (errno != EINVAL)
			return errno;
		if (size == ORIGINAL_SIZE)
			return EBUSY;
		size = ORIGINAL_SIZE;
	}
}

static void find_area(void)
{
	const struct percpu_area *area = libc_area();

	if (area) {
		thread.size = libc.size > ORIGINAL_SIZE ? libc.size : ORIGINAL_SIZE;
		thread.state = is_registered(area) ? LIBC : FAILED;
		thread.error = thread.state == FAILED ? ENOSYS : 0;
		return;
	}
	thread.error = register_own();
	thread.state = thread.error ? FAILED : OWN;
	if (!thread.error && have_key)
		pthread_setspecific(key, &own);
}

/*
 * Of two threads that ask one after the other, one tries sequences, the other does not, and which
 * one is random: by the random bytes that the kernel gives to each program.
 */
static bool toss(void)
{
	static unsigned int asked;
	const unsigned char *bytes = (const unsigned char *)getauxval(AT_RANDOM);
	unsigned int n = __atomic_fetch_add(&asked, 1, __ATOMIC_RELAXED);
	unsigned int bit = n / 2 % 128;

	return (bytes[bit / 8] >> bit % 8 ^ n) & 1;
}

static void decide_tries(void)
{
	enum percpu_try sequences = percpu_policy()->sequences;
	bool try = sequences == PERCPU_TRY || (sequences == PERCPU_IN_HALF && toss());
	int undecided = 0;

	__atomic_compare_exchange_n(&thread.tries, &undecided, try ? 1 : -1, false,
				    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static struct percpu_area *usable_area(void)
{
	return thread.state == LIBC ? libc_area() : thread.state == OWN ? &own.area : NULL;
}

static bool has_mm_cid(void)
{
	return percpu_feature_size() >= offsetof(struct percpu_area, mm_cid) + sizeof(uint32_t);
}

static void decide(void)
{
	int saved = errno;

	if (!thread.tries)
		decide_tries();
	if (thread.state == UNKNOWN)
		find_area();
	if (thread.tries > 0) {
		percpu_thread.area[RSEQ_PERCPU_CPU_ID] = usable_area();
		percpu_thread.area[RSEQ_PERCPU_MM_CID] = has_mm_cid() ? usable_area() : NULL;
	}
	errno = saved;
}

struct percpu_area *percpu_area_decide(enum rseq_percpu_mode mode)
{
	if (!thread.tries || thread.state == UNKNOWN)
		decide();
	return percpu_thread.area[mode];
}

int percpu_current_index_slow(enum rseq_percpu_mode mode)
{
	const struct percpu_area *area;
	unsigned int cpu;

	percpu_area_decide(mode);
	area = usable_area();
	if (area && (mode == RSEQ_PERCPU_CPU_ID || has_mm_cid()))
		return *percpu_area_index(area, mode);
	if (mode == RSEQ_PERCPU_MM_CID || syscall(SYS_getcpu, &cpu, NULL, NULL))
		return 0;
	return cpu;
}

int percpu_register_thread(void)
{
	if (thread.state == GONE || thread.state == FAILED)
		thread.state = UNKNOWN;
	percpu_area_decide(RSEQ_PERCPU_CPU_ID);
	if (!thread.error)
		return 0;
	errno = thread.error;
	return -1;
}

int percpu_unregister_thread(void)
{
	if (thread.state != OWN)
		return 0;
	percpu_thread.area[RSEQ_PERCPU_CPU_ID] = NULL;
	percpu_thread.area[RSEQ_PERCPU_MM_CID] = NULL;
	thread.state = GONE;
	return sys_rseq(thread.size, RSEQ_UNREGISTER);
}

enum percpu_owner percpu_registered(struct percpu_area **area, unsigned int *size)
{
	percpu_area_decide(RSEQ_PERCPU_CPU_ID);
	*area = usable_area();
	*size = *area ? thread.size : 0;
	if (thread.state == LIBC)
		return PERCPU_OWNER_LIBC;
	if (thread.state == OWN)
		return PERCPU_OWNER_PERCPU;
	return thread.error == EBUSY ? PERCPU_OWNER_OTHER : PERCPU_OWNER_NONE;
}
