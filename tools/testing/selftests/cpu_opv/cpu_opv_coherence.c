// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): what other threads do to memory while a call has already looked for its
 * pages. Its operations have to see what the program would see when they run, and the program has
 * to see what they do.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu_opv_test.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define HUGE_PAGE	(2UL << 20)
#define WAIT_MS		10000

#define OLD		0x11
#define NEW		0x77

/* ---- a call that stops in the middle ---- */

/* The last operand is on a page that is missing until call_goes_on(). */
struct stalled {
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	int cnt, cpu, ret, uffd;
	unsigned char *gate;
	pthread_t thread;
};

static void *stalled_call(void *arg)
{
	struct stalled *s = arg;

	s->ret = call(s->vec, s->cnt, s->cpu, 0);
	return NULL;
}

static bool make_gate(struct stalled *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	s->gate = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->uffd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	reg.range = (struct uffdio_range){ (uintptr_t)s->gate, page_size };
	if (s->gate == MAP_FAILED || s->uffd < 0 || ioctl(s->uffd, UFFDIO_API, &api) ||
	    ioctl(s->uffd, UFFDIO_REGISTER, &reg)) {
		skip("no userfaultfd(2): errno %d", errno);
		return false;
	}
	return true;
}

/* Starts the call of the operations in @s->vec and returns when it has come to the last one. */
static bool call_stalls(struct stalled *s)
{
	static const uint64_t zero;
	struct pollfd pfd = { .events = POLLIN };

	if (!make_gate(s))
		return false;
	s->vec[s->cnt++] = cpu_op_eq(s->gate, &zero, 8);
	s->cpu = target_cpu();
	pfd.fd = s->uffd;
	if (pthread_create(&s->thread, NULL, stalled_call, s)) {
		fail("no thread");
		return false;
	}
	if (poll(&pfd, 1, WAIT_MS) != 1)
		fail("the call does not come to the last operand");
	return true;
}

static void call_goes_on(struct stalled *s)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)s->gate, page_size } };

	if (ioctl(s->uffd, UFFDIO_ZEROPAGE, &zero))
		fail("UFFDIO_ZEROPAGE: errno %d", errno);
	pthread_join(s->thread, NULL);
	expect("call", s->ret, 0);
	close(s->uffd);
	munmap(s->gate, page_size);
}

/* ---- kinds of memory: two pages full of OLD ---- */

struct two_pages {
	unsigned char *p;
	unsigned char old;
	size_t size;		/* of the mapping, which p is at the start of */
	pid_t sharer;		/* a child that has the same pages */
	volatile int *step;	/* shared with children */
};

static bool map_private(struct two_pages *m, size_t size)
{
	m->size = size + HUGE_PAGE;
	m->p = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->p == MAP_FAILED) {
		fail("mmap: errno %d", errno);
		return false;
	}
	/* Huge pages are for those that ask. */
	madvise(m->p, m->size, MADV_NOHUGEPAGE);
	return true;
}

static bool map_untouched(struct two_pages *m)
{
	m->old = 0;
	return map_private(m, 2 * page_size);
}

static bool map_zeroes(struct two_pages *m)
{
	return map_untouched(m) && !m->p[0] && !m->p[page_size];
}

static bool map_filled(struct two_pages *m)
{
	if (!map_private(m, 2 * page_size))
		return false;
	memset(m->p, OLD, 2 * page_size);
	return true;
}

static bool map_file(struct two_pages *m)
{
	int fd = memfd_create("cpu_opv_test", MFD_CLOEXEC);
	unsigned char bytes[1024];

	memset(bytes, OLD, sizeof(bytes));
	for (size_t i = 0; fd >= 0 && i < 2 * page_size; i += sizeof(bytes)) {
		if (write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
			fail("write: errno %d", errno);
	}
	m->size = 2 * page_size;
	m->p = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	if (m->p == MAP_FAILED) {
		fail("mmap: errno %d", errno);
		return false;
	}
	return true;
}

static bool map_file_read(struct two_pages *m)
{
	return map_file(m) && m->p[0] == OLD && m->p[page_size] == OLD;
}

/* A child of which the memory must stay as it is. */
static pid_t start_sharer(struct two_pages *m, unsigned char seen)
{
	pid_t pid = fork_child();

	if (pid)
		return pid;
	if (!wait_until(m->step, 1))
		_exit(1);
	for (size_t i = 0; i < 2 * page_size; i++) {
		if (m->p[i] != seen)
			_exit(2);
	}
	_exit(0);
}

static bool map_forked(struct two_pages *m)
{
	if (!map_filled(m))
		return false;
	m->sharer = start_sharer(m, OLD);
	return m->sharer > 0;
}

/* Two pages inside a huge one; it is there, or only zeroes of that size. */
static bool map_huge(struct two_pages *m, bool fill)
{
	unsigned char *base;

	if (!map_private(m, HUGE_PAGE))
		return false;
	base = m->p;
	m->p = (unsigned char *)(((uintptr_t)base + HUGE_PAGE - 1) & -HUGE_PAGE);
	munmap(base, m->p - base);
	m->size -= m->p - base;
	madvise(m->p, HUGE_PAGE, MADV_HUGEPAGE);
	if (fill)
		memset(m->p, OLD, HUGE_PAGE);
	else
		m->old = m->p[0];
	return true;
}

static bool map_huge_zeroes(struct two_pages *m)
{
	return map_huge(m, false);
}

static bool map_huge_filled(struct two_pages *m)
{
	return map_huge(m, true);
}

static const struct {
	const char *name;
	bool (*map)(struct two_pages *m);
} kinds[] = {
	{ "untouched", map_untouched },
	{ "zero page", map_zeroes },
	{ "own page", map_filled },
	{ "private file, untouched", map_file },
	{ "private file", map_file_read },
	{ "shared after fork", map_forked },
	{ "huge zero page", map_huge_zeroes },
	{ "huge page", map_huge_filled },
};

/* ---- what happens to it meanwhile ---- */

static void nothing(struct two_pages *m)
{
	(void)m;
}

static void fork_again(struct two_pages *m)
{
	pid_t pid = start_sharer(m, m->old);

	if (m->sharer > 0) {
		*m->step = 1;
		reap_child(m->sharer);
		*m->step = 0;
	}
	m->sharer = pid;
}

static void page_out(struct two_pages *m)
{
	madvise(m->p, 2 * page_size, MADV_PAGEOUT);
}

static void collapse(struct two_pages *m)
{
	madvise(m->p, HUGE_PAGE, MADV_HUGEPAGE);
	madvise(m->p, HUGE_PAGE, MADV_COLLAPSE);
}

static void split(struct two_pages *m)
{
	madvise(m->p, page_size, MADV_COLD);
	mprotect(m->p + page_size, page_size, PROT_READ);
	mprotect(m->p + page_size, page_size, PROT_READ | PROT_WRITE);
}

static void merge(struct two_pages *m)
{
	madvise(m->p, 2 * page_size, MADV_MERGEABLE);
}

static const struct {
	const char *name;
	void (*happen)(struct two_pages *m);
} events[] = {
	{ "nothing", nothing },
	{ "fork", fork_again },
	{ "pageout", page_out },
	{ "collapse", collapse },
	{ "split", split },
	{ "merge", merge },
};

static bool begin(struct two_pages *m, size_t kind)
{
	static volatile int *step;

	if (!step)
		step = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);
	*step = 0;
	*m = (struct two_pages){ .old = OLD, .step = step };
	return kinds[kind].map(m);
}

static void end(struct two_pages *m)
{
	*m->step = 1;
	if (m->sharer > 0)
		reap_child(m->sharer);
	munmap(m->p, m->size);
}

/* The call reads; what the program writes meanwhile is what it reads. */
static void read_coherent(size_t kind, size_t event)
{
	unsigned char word[8] = { 0 }, across[100] = { 0 };
	struct stalled s = { .cnt = 2 };
	int before = failures();
	struct two_pages m;

	if (!begin(&m, kind))
		return;
	s.vec[0] = cpu_op_memcpy(word, m.p + 64, sizeof(word));
	s.vec[1] = cpu_op_memcpy(across, m.p + page_size - 50, sizeof(across));
	if (call_stalls(&s)) {
		events[event].happen(&m);
		memset((void *)m.p, NEW, 2 * page_size);
		call_goes_on(&s);
		for (size_t i = 0; i < sizeof(word); i++)
			expect("byte of the word", word[i], NEW);
		for (size_t i = 0; i < sizeof(across); i += 9)
			expect("byte of the others", across[i], NEW);
	}
	end(&m);
	explain(before, "that was: %s, %s", kinds[kind].name, events[event].name);
}

/* The call writes a part; the program writes another one meanwhile, and sees both. */
static void write_coherent(size_t kind, size_t event)
{
	static const unsigned char bytes[100] = { 0x55, [99] = 0x55 };
	struct stalled s = { .cnt = 2 };
	int before = failures();
	struct two_pages m;

	if (!begin(&m, kind))
		return;
	s.vec[0] = cpu_op_plus(m.p + 64, 1, 1);
	s.vec[1] = cpu_op_memcpy(m.p + page_size - 50, bytes, sizeof(bytes));
	if (call_stalls(&s)) {
		events[event].happen(&m);
		memset((void *)m.p, NEW, 2 * page_size);
		call_goes_on(&s);
		expect("word", m.p[64], NEW + 1);
		expect("its neighbour", m.p[65], NEW);
		if (memcmp(m.p + page_size - 50, bytes, sizeof(bytes)))
			fail("the others are not what was copied");
		expect("the byte before", m.p[page_size - 51], NEW);
		expect("the byte behind", m.p[page_size + 50], NEW);
	}
	end(&m);
	explain(before, "that was: %s, %s", kinds[kind].name, events[event].name);
}

void test_coherent(void)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds) && !*skipped(); k++) {
		for (size_t e = 0; e < ARRAY_LEN(events) && !*skipped(); e++) {
			read_coherent(k, e);
			write_coherent(k, e);
		}
	}
}

/* ---- mappings that come and go ---- */

struct mapper {
	unsigned char *mem;
	volatile int stop, rounds;
};

static void *map_and_unmap(void *arg)
{
	struct mapper *m = arg;

	if (other_cpu() >= 0)
		stay_on(other_cpu());
	for (; !m->stop; m->rounds++) {
		munmap(m->mem + page_size, page_size);
		mmap(m->mem + page_size, page_size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		mprotect(m->mem + page_size, page_size, PROT_READ);
		madvise(m->mem + page_size, page_size, MADV_DONTNEED);
		mprotect(m->mem + page_size, page_size, PROT_READ | PROT_WRITE);
	}
	return NULL;
}

/* Either the operands are there and all is done, or nothing. */
void test_unmapping(void)
{
	int done = 0, faults = 0, before;
	struct cpu_op vec[3];
	struct mapper m = { 0 };
	uint64_t count = 0;
	pthread_t thread;
	struct arena a;
	long end;

	if (!arena_map(&a, 3))
		return;
	arena_fill(&a);
	m.mem = a.mem;
	vec[0] = cpu_op_plus(&count, 1, 8);
	vec[1] = cpu_op_plus(a.mem + page_size + 64, 1, 8);
	vec[2] = cpu_op_memcpy(a.mem + 2 * page_size - 50, a.mem, 100);
	if (pthread_create(&thread, NULL, map_and_unmap, &m)) {
		fail("no thread");
		return;
	}
	before = failures();
	end = now_ms() + 10000;
	for (int n = 0; n < 2000 || ((!done || !faults) && now_ms() < end); n++) {
		int ret = call(vec, 3, target_cpu(), 0);

		if (!ret)
			done++;
		else if (ret == -EFAULT || ret == -EAGAIN)
			faults++;
		else
			expect("call", ret, 0);
		if (failures() > before)
			break;
	}
	m.stop = 1;
	pthread_join(thread, NULL);
	expect("additions", count, done);
	comment("%d calls done, %d not, mapped %d times", done, faults, m.rounds);
	if (!done || !faults)
		fail("nothing was tested");
	arena_unmap(&a);
}
