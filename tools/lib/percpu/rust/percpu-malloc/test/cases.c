// SPDX-License-Identifier: GPL-2.0
/*
 * What a program expects of malloc(3), whatever is behind it. Each case is a process of its own:
 * cases NAME [ARGUMENT].
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition) do {								\
	if (!(condition)) {								\
		fprintf(stderr, "%s:%d: %s\n", __func__, __LINE__, #condition);		\
		_exit(1);								\
	}										\
} while (0)

/* A block that tells its size, and is full of a byte that depends on that. */
struct block {
	size_t size;
	unsigned char bytes[];
};

static unsigned int next_random(unsigned int *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Small ones mostly. */
static size_t random_size(unsigned int *seed)
{
	unsigned int shift = next_random(seed) % 100;

	shift = shift < 90 ? 8 : shift < 99 ? 14 : 20;
	return sizeof(struct block) + next_random(seed) % (1U << shift);
}

static unsigned char content(const struct block *block)
{
	return block->size * 37 + ((uintptr_t)block >> 4);
}

static void fill(struct block *block, size_t size)
{
	block->size = size;
	memset(block->bytes, content(block), size - sizeof(*block));
}

static void verify(const struct block *block)
{
	size_t len = block->size - sizeof(*block);

	for (size_t i = 0; i < len; i += len < 256 ? 1 : len / 64)
		CHECK(block->bytes[i] == content(block));
	CHECK(!len || block->bytes[len - 1] == content(block));
}

static struct block *new_block(unsigned int *seed)
{
	size_t size = random_size(seed);
	struct block *block;

	switch (next_random(seed) % 8) {
	case 0:
		block = calloc(1, size);
		for (size_t i = 0; block && i < size; i++)
			CHECK(!((char *)block)[i]);
		break;
	case 1:
		block = aligned_alloc(64, size);
		CHECK(!((uintptr_t)block % 64));
		break;
	default:
		block = malloc(size);
	}
	CHECK(block && !((uintptr_t)block % 16));
	CHECK(malloc_usable_size(block) >= size);
	fill(block, size);
	return block;
}

static struct block *resize(struct block *block, unsigned int *seed)
{
	size_t size = random_size(seed), kept = size < block->size ? size : block->size;
	unsigned char byte = content(block);

	block = realloc(block, size);
	CHECK(block);
	for (size_t i = 0; i < kept - sizeof(*block); i++)
		CHECK(block->bytes[i] == byte);
	fill(block, size);
	return block;
}

#define SHARED 512
static _Atomic(struct block *) shared[SHARED];
static atomic_bool stop;
static int rounds = 5000;

/* Blocks go from thread to thread. */
static void *load(void *arg)
{
	unsigned int seed = (uintptr_t)arg;

	for (int i = 0; i < rounds && !stop; i++) {
		struct block *block = atomic_exchange(&shared[next_random(&seed) % SHARED], NULL);

		if (block)
			verify(block);
		if (block && next_random(&seed) % 4 == 0) {
			block = resize(block, &seed);
		} else {
			free(block);
			block = new_block(&seed);
		}
		block = atomic_exchange(&shared[next_random(&seed) % SHARED], block);
		if (block) {
			verify(block);
			free(block);
		}
	}
	return NULL;
}

#define THREADS 8
static pthread_t threads[THREADS];

static void start(void *(*function)(void *))
{
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, function, (void *)(i + 1)));
}

static void join(void)
{
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void test_threads(void)
{
	start(load);
	join();
}

/* Threads that come and go. */
static void test_short_threads(void)
{
	rounds = 50;
	for (int i = 0; i < 40; i++)
		test_threads();
}

static void test_api(void)
{
	void *volatile p = malloc(0), *volatile q = NULL;
	volatile size_t huge = SIZE_MAX;
	int mark;

	CHECK(p);
	free(p);
	free(NULL);
	errno = 0;
	CHECK(!malloc(huge) && errno == ENOMEM);
	errno = 0;
	CHECK(!malloc(huge / 2) && errno == ENOMEM);
	errno = 0;
	CHECK(!calloc(huge / 2, 4) && errno == ENOMEM);
	errno = 0;
	CHECK(!calloc(huge / 4 + 2, 4) && errno == ENOMEM);

	p = malloc(100);
	memset(p, 1, 100);
	errno = 0;
	CHECK(!realloc(p, huge / 2) && errno == ENOMEM);
	for (int i = 0; i < 100; i++)
		CHECK(((char *)p)[i] == 1);
	CHECK(!reallocarray(p, huge / 2, 3));
	p = realloc(p, 5 << 20);
	CHECK(p && malloc_usable_size(p) >= 5 << 20);
	for (int i = 0; i < 100; i++)
		CHECK(((char *)p)[i] == 1);
	p = realloc(p, 10);
	CHECK(p && malloc_usable_size(p) < 100);
	free(p);

	/* Whatever has to be done for it, free() keeps errno. */
	for (size_t size = 16; size <= 8 << 20; size *= 8) {
		static void *many[2000];
		size_t count = size > 1 << 16 ? 20 : 2000;

		for (size_t i = 0; i < count; i++)
			many[i] = malloc(size);
		errno = 12345;
		for (size_t i = 0; i < count; i++)
			free(many[i]);
		CHECK(errno == 12345);
	}

	for (size_t align = 8; align <= 16 << 20; align *= 2) {
		for (size_t size = 1; size <= 8 << 20; size = size * 3 + 1) {
			CHECK(!posix_memalign((void **)&q, align, size));
			CHECK(!((uintptr_t)q % align) && malloc_usable_size(q) >= size);
			memset(q, 2, size);
			p = realloc(q, size + 1);
			CHECK(p && ((char *)p)[size - 1] == 2);
			free(p);
			p = memalign(align, size);
			CHECK(p && !((uintptr_t)p % align));
			free(p);
		}
	}
	q = &mark;
	CHECK(posix_memalign((void **)&q, 24, 1) == EINVAL && q == &mark);
	CHECK(posix_memalign((void **)&q, 64, huge / 2) == ENOMEM && q == &mark);
	CHECK(!malloc_usable_size(NULL));
	p = valloc(1);
	CHECK(p && !((uintptr_t)p % 4096));
	free(p);
}

/* All that caches have, and more. */
static void use_caches(void)
{
	enum { BLOCKS = 4000 };
	static struct block *blocks[BLOCKS];

	for (int i = 0; i < BLOCKS; i++) {
		size_t size = 16 << i % 7;

		blocks[i] = malloc(size);
		CHECK(blocks[i]);
		fill(blocks[i], size);
	}
	for (int i = 0; i < BLOCKS; i++) {
		verify(blocks[i]);
		free(blocks[i]);
	}
}

/* Children of a program with threads, in the middle of everything. */
static void test_fork(void)
{
	time_t end = time(NULL) + 15;

	rounds = 1 << 30;
	start(load);
	for (int i = 0; i < 300 && time(NULL) < end; i++) {
		pid_t pid = fork();
		int status;

		CHECK(pid >= 0);
		if (!pid) {
			alarm(60);
			use_caches();
			if (i % 50 == 0) {
				memset(shared, 0, sizeof(shared));
				rounds = 100;
				test_threads();
			}
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && !status);
	}
	stop = true;
	join();
}

static void nothing(int sig)
{
	(void)sig;
}

/* Signals interrupt sequences, wherever they are. */
static void test_signals(void)
{
	struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { 0 };

	signal(SIGALRM, nothing);
	setitimer(ITIMER_REAL, &often, NULL);
	test_threads();
	setitimer(ITIMER_REAL, &never, NULL);
}

/* As on a kernel without rseq(2). */
static void refuse_rseq(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rseq, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static void *free_first(void *block)
{
	errno = EXDEV;
	free(block);
	CHECK(errno == EXDEV);
	free(malloc(10));
	CHECK(errno == EXDEV);
	return NULL;
}

static void test_errno_refused(void)
{
	pthread_t thread;

	free_first(malloc(10));
	CHECK(!pthread_create(&thread, NULL, free_first, malloc(10)));
	pthread_join(thread, NULL);
}

static void test_errno(void)
{
	refuse_rseq();
	execl("/proc/self/exe", "cases", "errno_refused", NULL);
	CHECK(!"executed");
}

static void test_exhaustion(void)
{
	struct rlimit limit = { 128 << 20, 128 << 20 };

	CHECK(!setrlimit(RLIMIT_AS, &limit));
	for (size_t size = 16; size <= 16 << 20; size *= 32) {
		void **list = NULL, **p;
		size_t count = 0;

		errno = 0;
		while ((p = malloc(size))) {
			*p = list;
			list = p;
			count++;
		}
		CHECK(errno == ENOMEM && count * size > 32 << 20);
		while (list) {
			p = *list;
			free(list);
			list = p;
		}
	}
	CHECK(malloc(32 << 20));
}

/* With PERCPU_MALLOC_DEBUG=1, these do not come back. */
static void test_double_free(void)
{
	void *volatile p = malloc(100);

	free(p);
	free(p);
}

static void test_wrong_free(void)
{
	char *volatile p = malloc(100);

	free(p + 16);
}

static void *burst(void *arg)
{
	enum { BLOCKS = 4000 };
	static __thread void *blocks[BLOCKS];

	(void)arg;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < BLOCKS; i++)
			blocks[i] = malloc(16 << i % 10);
		for (int i = 0; i < BLOCKS; i++)
			free(blocks[i]);
	}
	while (!stop)
		usleep(10000);
	return NULL;
}

static long resident(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f && fscanf(f, "%*d %ld", &pages) == 1);
	fclose(f);
	return pages * 4;
}

/* How many bytes its caches have, if it is percpu-malloc. */
size_t percpu_malloc_cached(void) __attribute__((weak));

static void set_online(const char *value)
{
	FILE *f = fopen("/sys/devices/system/cpu/cpu1/online", "w");

	CHECK(f && fputs(value, f) >= 0 && !fclose(f));
}

/*
 * What threads that are idle, and the IDs that they had, keep after a burst; and when there was
 * time to take it back.
 */
static void drain(bool offline)
{
	size_t before, after = 0, highest = 0;
	long memory = 0;

	CHECK(percpu_malloc_cached);
	/* CPU_OP_FLAGS_FLAG */
	if (syscall(473, NULL, 0, 0, 4) < 0) {
		printf("# SKIP no cpu_opv(2)\n");
		exit(4);
	}
	start(burst);
	for (int i = 0; i < 300; i++) {
		usleep(10000);
		before = percpu_malloc_cached();
		if (before > highest) {
			highest = before;
			memory = resident();
		}
	}
	if (offline)
		set_online("0");
	for (int i = 0; i < 100; i++) {
		after = percpu_malloc_cached();
		if (after * 20 <= highest)
			break;
		usleep(100000);
	}
	printf("# idle caches: %zu KiB, then %zu KiB; resident: %ld KiB, then %ld KiB\n",
	       highest >> 10, after >> 10, memory, resident());
	if (offline)
		set_online("1");
	stop = true;
	join();
	CHECK(highest > 1 << 20 && after * 20 <= highest);
}

static void test_drain(void)
{
	drain(false);
}

/* The caches of IDs that a CPU owns that is not there any more, too. */
static void test_drain_offline(void)
{
	drain(true);
}

static volatile int steps;

/* For a debugger that steps through it by instructions. */
static void test_steps(void)
{
	for (steps = 0; steps < 50; steps++) {
		char *volatile p = malloc(100);

		CHECK(p);
		*p = 1;
		free(p);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} tests[] = {
		{ "api", test_api },
		{ "threads", test_threads },
		{ "short_threads", test_short_threads },
		{ "fork", test_fork },
		{ "signals", test_signals },
		{ "errno", test_errno },
		{ "errno_refused", test_errno_refused },
		{ "exhaustion", test_exhaustion },
		{ "double_free", test_double_free },
		{ "wrong_free", test_wrong_free },
		{ "drain", test_drain },
		{ "drain_offline", test_drain_offline },
		{ "steps", test_steps },
	};

	/* What an allocator does at first is not to be stepped through. */
	free(malloc(1));
	for (size_t i = 0; argc == 2 && i < sizeof(tests) / sizeof(*tests); i++) {
		if (!strcmp(tests[i].name, argv[1])) {
			tests[i].run();
			return 0;
		}
	}
	fprintf(stderr, "Usage: cases NAME; see the table in cases.c\n");
	return 2;
}
