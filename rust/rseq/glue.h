/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C and the Rust part of rseq share, beside include/linux/rseq*.h.
 */
#ifndef _RSEQ_GLUE_H
#define _RSEQ_GLUE_H

#ifdef CONFIG_RSEQ_RUST
#include <linux/hrtimer.h>
#include <linux/init.h>
#include <linux/percpu-defs.h>
#include <linux/rseq_entry.h>
#include <linux/sched.h>
#include <linux/stddef.h>
#include <linux/prctl.h>
#include <linux/types.h>
#include <linux/unistd.h>

/*
 * For Rust: what bindgen does not make constants of, and offsets that it gets
 * wrong or gives no stable name to.
 */
enum {
	RSEQ_TASK_OFFSET	= offsetof(struct task_struct, rseq),
	RSEQ_TASK_FLAGS		= offsetof(struct task_struct, flags),
#ifdef CONFIG_SMP
	RSEQ_TASK_CPU		= offsetof(struct task_struct, thread_info.cpu),
#endif
#ifdef CONFIG_SCHED_MM_CID
	RSEQ_TASK_MM_CID	= offsetof(struct task_struct, mm_cid.cid),
#endif
	RSEQ_TASK_END		= sizeof(struct task_struct),
	RSEQ_EVENT_SCHED_SWITCH	= offsetof(struct rseq_event, sched_switch),
	RSEQ_EVENT_IDS_CHANGED	= offsetof(struct rseq_event, ids_changed),
	RSEQ_EVENT_USER_IRQ	= offsetof(struct rseq_event, user_irq),
	RSEQ_EVENT_HAS_RSEQ	= offsetof(struct rseq_event, has_rseq),
	RSEQ_EVENT_FATAL	= offsetof(struct rseq_event, fatal),
	RSEQ_EVENT_SLOWPATH	= offsetof(struct rseq_event, slowpath),
	RSEQ_IDS_CPU_ID		= offsetof(struct rseq_ids, cpu_id),
	RSEQ_IDS_MM_CID		= offsetof(struct rseq_ids, mm_cid),
	RSEQ_SLICE_ENABLED	= offsetof(struct rseq_slice, state.enabled),
	RSEQ_SLICE_GRANTED	= offsetof(struct rseq_slice, state.granted),
#ifdef CONFIG_SCHED_MM_CID
	RSEQ_MM_CID_OWNER	= MM_CID_ONCPU | MM_CID_TRANSIT,
#endif
};

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
bool rust_rseq_exit_user_update_watched(struct pt_regs *regs, struct task_struct *t);
int __init rust_rseq_init(void);
#endif /* CONFIG_RSEQ_RUST */

#endif /* _RSEQ_GLUE_H */
