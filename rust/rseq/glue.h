/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C and the Rust part of rseq share, beside include/linux/rseq*.h.
 */
#ifndef _RSEQ_GLUE_H
#define _RSEQ_GLUE_H

#ifdef CONFIG_RSEQ_RUST
#include <linux/hrtimer.h>
#include <linux/percpu-defs.h>
#include <linux/rseq_entry.h>
#include <linux/prctl.h>
#include <linux/types.h>
#include <linux/unistd.h>

/* Defined in C */
void rseq_control_debug(bool on);

#ifdef CONFIG_RSEQ_STATS
void rseq_stats_inc(u32 position);
#endif

#ifdef CONFIG_RSEQ_SLICE_EXTENSION
/**
 * struct rseq_slice_timer - Timer that ends a slice extension
 * @timer:	The timer
 * @cookie:	The task that started it last
 */
struct rseq_slice_timer {
	struct hrtimer	timer;
	void		*cookie;
};

DECLARE_PER_CPU(struct rseq_slice_timer, rseq_slice_timer);
#endif

/* Defined in Rust */
long rust_rseq(void __user *rseq, u32 rseq_len, int flags, u32 sig);
long rust_rseq_slice_yield(void);
int rust_rseq_init(void);
#endif /* CONFIG_RSEQ_RUST */

#endif /* _RSEQ_GLUE_H */
