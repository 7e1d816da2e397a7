// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): pages that are merged, and pages that the program fills in. */
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

/* ---- merged by KSM ---- */

static struct arena twin;	/* another mapping with the same pages */

static bool map_merged(struct arena *a)
{
	unsigned char byte = random64() >> 24;

	if (!arena_map(a, MEMORY_PAGES) || !arena_map(&twin, MEMORY_PAGES))
		return false;
	/* All pages are the same; nobody else has such ones. */
	for (size_t i = 0; i < a->size; i++)
		a->model[i] = byte + i % page_size * 7 % 251;
	memcpy(a->mem, a->model, a->size);
	memcpy(twin.model, a->model, a->size);
	memcpy(twin.mem, a->model, a->size);
	if (madvise(a->mem, a->size, MADV_MERGEABLE) ||
	    madvise(twin.mem, twin.size, MADV_MERGEABLE)) {
		skip("no KSM: errno %d", errno);
		return false;
	}
	for (int i = 0; i < 500; i++) {
		if (read_field("/proc/self/ksm_merging_pages", "") >= 2 * MEMORY_PAGES)
			return true;
		sleep_ms(10);
	}
	skip("pages are not merged: %ld of %d", read_field("/proc/self/ksm_merging_pages", ""),
	     2 * MEMORY_PAGES);
	return false;
}

static void verify_merged(struct arena *a)
{
	(void)a;
	arena_check(&twin, "the merged pages' other owner");
	arena_unmap(&twin);
}

void test_ksm(void)
{
	static const struct {
		const char *path, *value;
	} knobs[] = {
		{ "/sys/kernel/mm/ksm/pages_to_scan", "1000" },
		{ "/sys/kernel/mm/ksm/sleep_millisecs", "2" },
		{ "/sys/kernel/mm/ksm/run", "1" },
	};
	char old[ARRAY_LEN(knobs)][32];
	size_t i;

	for (i = 0; i < ARRAY_LEN(knobs); i++) {
		if (!read_text(knobs[i].path, old[i], sizeof(old[i])) ||
		    !write_text(knobs[i].path, knobs[i].value)) {
			skip("cannot write %s", knobs[i].path);
			break;
		}
	}
	if (i == ARRAY_LEN(knobs))
		check_memory(&(struct memory){ .map = map_merged, .verify = verify_merged });
	while (i-- > 0)
		write_text(knobs[i].path, old[i]);
}

/* ---- filled in by a thread of the program ---- */

static struct {
	int fd;				/* of userfaultfd(2) */
	unsigned char *mem, *contents;	/* what is missing, and what comes there */
	pthread_t thread;
	volatile int stop;
	int filled, unprotected;	/* pages */
} filler;

/* Takes its time: whoever needs the page has to wait. */
static void fill_page(const struct uffd_msg *msg)
{
	unsigned char *page = filler.mem;
	struct uffdio_writeprotect wp;
	struct uffdio_copy copy;

	page += (msg->arg.pagefault.address - (uintptr_t)page) & -page_size;
	sleep_ms(5);
	if (msg->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
		wp = (struct uffdio_writeprotect){ .range = { (uintptr_t)page, page_size } };
		filler.unprotected++;
		if (ioctl(filler.fd, UFFDIO_WRITEPROTECT, &wp))
			fail("UFFDIO_WRITEPROTECT: errno %d", errno);
	} else {
		copy = (struct uffdio_copy){
			.dst = (uintptr_t)page, .len = page_size,
			.src = (uintptr_t)filler.contents + (page - filler.mem),
		};
		filler.filled++;
		if (ioctl(filler.fd, UFFDIO_COPY, &copy))
			fail("UFFDIO_COPY: errno %d", errno);
	}
}

static void *fill_pages(void *unused)
{
	struct pollfd pfd = { .fd = filler.fd, .events = POLLIN };
	struct uffd_msg msg;

	while (!filler.stop) {
		if (poll(&pfd, 1, 20) > 0 && read(filler.fd, &msg, sizeof(msg)) == sizeof(msg) &&
		    msg.event == UFFD_EVENT_PAGEFAULT)
			fill_page(&msg);
	}
	return unused;
}

static bool register_range(unsigned char *mem, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)mem, size }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	filler.fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (filler.fd < 0 || ioctl(filler.fd, UFFDIO_API, &api))
		return false;
	if (api.features & UFFD_FEATURE_PAGEFAULT_FLAG_WP)
		reg.mode |= UFFDIO_REGISTER_MODE_WP;
	return !ioctl(filler.fd, UFFDIO_REGISTER, &reg);
}

static bool map_missing(struct arena *a)
{
	struct arena contents;

	if (!arena_map(a, MEMORY_PAGES) || !arena_map(&contents, MEMORY_PAGES))
		return false;
	if (!register_range(a->mem, a->size)) {
		skip("no userfaultfd(2): errno %d", errno);
		return false;
	}
	arena_fill(&contents);
	memcpy(a->model, contents.model, a->size);
	filler.mem = a->mem;
	filler.contents = contents.mem;
	filler.stop = 0;
	filler.filled = 0;
	filler.unprotected = 0;
	if (pthread_create(&filler.thread, NULL, fill_pages, NULL)) {
		fail("no thread");
		return false;
	}
	return true;
}

static void verify_missing(struct arena *a)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)a->mem, a->size }, .mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	if (!ioctl(filler.fd, UFFDIO_WRITEPROTECT, &wp)) {
		first_vec(a, 2);
		filler.stop = 1;
		pthread_join(filler.thread, NULL);
		expect("pages made writable", filler.unprotected, 1);
	} else {
		comment("no write protection by userfaultfd(2): not tested");
		filler.stop = 1;
		pthread_join(filler.thread, NULL);
	}
	expect("pages filled in", filler.filled, MEMORY_PAGES);
	close(filler.fd);
}

void test_userfaultfd(void)
{
	check_memory(&(struct memory){ .map = map_missing, .verify = verify_missing });
}
