// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): blocks of memory that go offline: see cpu_opv_block.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_block.h"
#include "cpu_opv_control.h"

#define MEMORY		"/sys/devices/system/memory"
#define CHUNK		(8 << 20)
#define MAX_CHUNKS	64

long long block_size(void)
{
	char size[32];

	if (!read_text(MEMORY "/block_size_bytes", size, sizeof(size)))
		return -1;
	return strtoll(size, NULL, 16);
}

long block_of(pid_t pid, const void *addr)
{
	long long block = block_size();
	uint64_t entry = 0;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (pread(fd, &entry, sizeof(entry), (uintptr_t)addr / page_size * sizeof(entry)) !=
	    sizeof(entry))
		entry = 0;
	close(fd);
	/* Present, and its number */
	if (!(entry >> 63) || !(entry & ((1ULL << 55) - 1)) || block <= 0)
		return -1;
	return (entry & ((1ULL << 55) - 1)) * page_size / block;
}

/* Whether all of the block is memory, as it has to be: firmware keeps some for itself. */
static bool is_whole(long block)
{
	unsigned long long start, end, size = block_size();
	FILE *f = fopen("/proc/iomem", "re");
	char line[256];
	bool whole = false;

	while (f && !whole && fgets(line, sizeof(line), f))
		whole = sscanf(line, "%llx-%llx : System RAM", &start, &end) == 2 &&
			strstr(line, "System RAM") && start <= block * size &&
			end >= (block + 1) * size - 1;
	if (f)
		fclose(f);
	return whole;
}

/* Pages that somebody reads from FUSE are locked: they keep the block, whoever waits for them. */
static bool has_locked_pages(long block)
{
	long long size = block_size(), nr = size / page_size;
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	uint64_t flags[512];
	bool locked = false;

	for (long long i = 0; fd >= 0 && i < nr; i += 512) {
		if (pread(fd, flags, sizeof(flags), (block * nr + i) * 8) != sizeof(flags))
			break;
		for (int n = 0; n < 512; n++)
			locked |= flags[n] & 1;
	}
	if (fd >= 0)
		close(fd);
	return locked;
}

/* All that is in it can be moved. */
static bool can_go_offline(long block)
{
	char path[96], zones[64];

	snprintf(path, sizeof(path), MEMORY "/memory%ld/valid_zones", block);
	return block >= 0 && read_text(path, zones, sizeof(zones)) &&
	       !strncmp(zones, "Movable", 7) && is_whole(block) && !has_locked_pages(block);
}

bool place_page(char *mem)
{
	long no = -1, nr = 0;
	char *chunks[MAX_CHUNKS];
	bool found = false;

	for (; nr < MAX_CHUNKS && !found; nr++) {
		long block;

		chunks[nr] = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (chunks[nr] == MAP_FAILED)
			break;
		block = block_of(getpid(), chunks[nr]);
		if (block == no)
			continue;
		found = can_go_offline(block);
		no = block;
		if (found && mremap(chunks[nr], page_size, page_size, MREMAP_MAYMOVE | MREMAP_FIXED,
				    mem) != mem)
			found = false;
	}
	while (nr-- > 0)
		munmap(chunks[nr], CHUNK);
	return found;
}

int block_set(long block, const char *state)
{
	char path[96];

	snprintf(path, sizeof(path), MEMORY "/memory%ld/state", block);
	return write_setting(path, state);
}
