/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of cpu_opv(2): a file system in user space (FUSE) with one file, the content of which
 * does not come before fuse_answer().
 */
#ifndef CPU_OPV_FUSE_H
#define CPU_OPV_FUSE_H

#include <stddef.h>
#include <sys/types.h>

#define FUSE_BYTE	'F'	/* each one of the file */

struct fuse {
	size_t size;		/* of the file */
	int dev;		/* /dev/fuse, of the server alone */
	int file;
	pid_t pid;		/* the server */
	int reads;		/* requests for content that are not answered */
	int answer;
};

/*
 * In a mount namespace of its own, which ends with the caller. All of the file is being read
 * into the page cache then. Returns why it cannot be, or NULL.
 */
const char *fuse_start(struct fuse **fuse, size_t size);
void fuse_answer(struct fuse *fuse);
void fuse_stop(struct fuse *fuse);

#endif /* CPU_OPV_FUSE_H */
