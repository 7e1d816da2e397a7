/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C and the Rust part of cpu_opv share.
 */
#ifndef _CPU_OPV_GLUE_H
#define _CPU_OPV_GLUE_H

#include <linux/semaphore.h>
#include <linux/types.h>

/**
 * enum cpu_opv_remote - How to reach a CPU that the caller is not on
 * @CPU_OPV_MIGRATE:	The caller moves there and waits for its turn
 * @CPU_OPV_STOP:	The stopper thread of the CPU runs the vector
 */
enum cpu_opv_remote {
	CPU_OPV_MIGRATE,
	CPU_OPV_STOP,
};

/* Defined in C */
extern unsigned int cpu_opv_remote;
extern bool cpu_opv_force_vmap;
extern struct semaphore cpu_opv_vmap_sem;

/* Defined in Rust */
long rust_cpu_opv(void __user *vec, int cnt, int cpu, int flags);
void rust_cpu_opv_set_max_vmap(int old, int new);
void rust_cpu_opv_init(void);
int rust_cpu_opv_init_debugfs(void);

#endif /* _CPU_OPV_GLUE_H */
