// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): a file system in user space: see cpu_opv_fuse.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cpu_opv_control.h"
#include "cpu_opv_fuse.h"

#define MOUNT_POINT	"/tmp"
#define FILE_NODE	2
#define FOREVER		1000000
#define MAX_READS	64
#define MAX_DATA	(128 * 1024)

static struct fuse_in_header waiting[MAX_READS];
static size_t waiting_size[MAX_READS];

static void reply(const struct fuse *fuse, uint64_t unique, int err, const void *data, size_t size)
{
	struct fuse_out_header out = {
		.len = sizeof(out) + size, .error = -err, .unique = unique,
	};
	struct iovec iov[] = { { &out, sizeof(out) }, { (void *)data, size } };

	if (writev(fuse->dev, iov, 2) < 0)
		fail("FUSE: %zu bytes for the kernel: errno %d", size, errno);
}

static void reply_init(const struct fuse *fuse, uint64_t unique)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = MAX_DATA,
		.flags = FUSE_ASYNC_READ,	/* readahead(2) does not wait */
		.max_write = 4096,
		.time_gran = 1,
	};

	reply(fuse, unique, 0, &out, sizeof(out));
}

static struct fuse_attr attr_of(const struct fuse *fuse, uint64_t node)
{
	return (struct fuse_attr) {
		.ino = node,
		.size = node == FILE_NODE ? fuse->size : 0,
		.mode = node == FILE_NODE ? S_IFREG | 0600 : S_IFDIR | 0700,
		.nlink = 1,
		.blksize = page_size,
	};
}

static void reply_lookup(const struct fuse *fuse, uint64_t unique)
{
	struct fuse_entry_out out = {
		.nodeid = FILE_NODE, .entry_valid = FOREVER, .attr_valid = FOREVER,
		.attr = attr_of(fuse, FILE_NODE),
	};

	reply(fuse, unique, 0, &out, sizeof(out));
}

static void reply_attr(const struct fuse *fuse, uint64_t unique, uint64_t node)
{
	struct fuse_attr_out out = { .attr_valid = FOREVER, .attr = attr_of(fuse, node) };

	reply(fuse, unique, 0, &out, sizeof(out));
}

static void handle(struct fuse *fuse, const struct fuse_in_header *in)
{
	const struct fuse_read_in *read_in = (const void *)(in + 1);
	struct fuse_open_out open_out = { .open_flags = FOPEN_KEEP_CACHE };

	switch (in->opcode) {
	case FUSE_INIT:
		return reply_init(fuse, in->unique);
	case FUSE_LOOKUP:
		return reply_lookup(fuse, in->unique);
	case FUSE_GETATTR:
		return reply_attr(fuse, in->unique, in->nodeid);
	case FUSE_OPEN:
		return reply(fuse, in->unique, 0, &open_out, sizeof(open_out));
	case FUSE_READ:
		if (fuse->reads == MAX_READS)
			return reply(fuse, in->unique, EIO, NULL, 0);
		waiting[fuse->reads] = *in;
		waiting_size[fuse->reads] = read_in->size;
		__atomic_store_n(&fuse->reads, fuse->reads + 1, __ATOMIC_RELEASE);
		return;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return reply(fuse, in->unique, 0, NULL, 0);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;		/* have no reply */
	default:
		return reply(fuse, in->unique, EOPNOTSUPP, NULL, 0);
	}
}

static void answer_reads(struct fuse *fuse)
{
	static char data[MAX_DATA];

	memset(data, FUSE_BYTE, sizeof(data));
	while (fuse->reads) {
		int i = --fuse->reads;

		reply(fuse, waiting[i].unique, 0, data, waiting_size[i]);
	}
}

static int serve(void *arg)
{
	static char buf[FUSE_MIN_READ_BUFFER + MAX_DATA] __attribute__((aligned(8)));
	struct fuse *fuse = arg;
	struct pollfd pfd = { .fd = fuse->dev, .events = POLLIN };

	for (;;) {
		if (__atomic_load_n(&fuse->answer, __ATOMIC_ACQUIRE))
			answer_reads(fuse);
		if (poll(&pfd, 1, 10) == 1 && read(fuse->dev, buf, sizeof(buf)) > 0)
			handle(fuse, (void *)buf);
	}
	return 1;
}

const char *fuse_start(struct fuse **result, size_t size)
{
	struct fuse *fuse = mmap(NULL, sizeof(*fuse), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char options[64];

	*result = NULL;
	if (fuse == MAP_FAILED)
		return "no memory";
	fuse->size = size;
	fuse->dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse->dev < 0)
		return "no /dev/fuse: build the kernel with CONFIG_FUSE_FS=y";
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse->dev);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("cpu_opv_test", MOUNT_POINT, "fuse", MS_NOSUID | MS_NODEV, options))
		return "cannot mount a FUSE file system on " MOUNT_POINT ": run it as root";
	fuse->pid = start_child(serve, fuse);
	/* When the server ends, so does the file system. */
	close(fuse->dev);
	if (fuse->pid < 0)
		return "cannot start a FUSE server";
	*result = fuse;
	fuse->file = open(MOUNT_POINT "/file", O_RDWR | O_CLOEXEC);
	if (fuse->file < 0 || readahead(fuse->file, 0, size))
		return "cannot read a FUSE file";
	for (int i = 0; !__atomic_load_n(&fuse->reads, __ATOMIC_ACQUIRE); i++) {
		if (i == 1000)
			return "the FUSE server gets no request";
		sleep_ms(1);
	}
	return NULL;
}

void fuse_answer(struct fuse *fuse)
{
	__atomic_store_n(&fuse->answer, 1, __ATOMIC_RELEASE);
}

void fuse_stop(struct fuse *fuse)
{
	if (fuse)
		kill_child(fuse->pid, 5000);
}
