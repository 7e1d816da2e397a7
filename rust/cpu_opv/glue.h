/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C and the Rust part of cpu_opv share.
 */
#ifndef _CPU_OPV_GLUE_H
#define _CPU_OPV_GLUE_H

#include <linux/types.h>

/**
 * enum cpu_opv_remote - What to do where a CPU runs a user task
 * @CPU_OPV_INTERRUPT:	Interrupt it
 * @CPU_OPV_MIGRATE:	The caller moves there and waits for its turn
 */
enum cpu_opv_remote {
	CPU_OPV_INTERRUPT,
	CPU_OPV_MIGRATE,
};

/* Defined in C */
extern unsigned int cpu_opv_remote;

/* Defined in Rust */
long rust_cpu_opv(void __user *vec, int cnt, int cpu, unsigned int flags);
int rust_cpu_opv_init_debugfs(void);

#endif /* _CPU_OPV_GLUE_H */
