/* SPDX-License-Identifier: GPL-2.0 */
/* Many threads that change per-CPU data by percpu-op.h. */
#ifndef PERCPU_OP_RUN_H
#define PERCPU_OP_RUN_H

/*
 * @mode: what the data is indexed by: cpu or mm_cid
 * @what: counter, list or ring
 * @registration: who registers the threads for rseq: libc, rseq.c or none
 *
 * Once in a program. Prints what happened; returns KSFT_PASS, KSFT_FAIL, or KSFT_SKIP if the
 * threads cannot be registered that way here.
 */
int percpu_op_run(const char *mode, const char *what, const char *registration);

#endif /* PERCPU_OP_RUN_H */
