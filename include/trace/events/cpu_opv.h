/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM cpu_opv

#if !defined(_TRACE_CPU_OPV_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_CPU_OPV_H

#include <linux/tracepoint.h>
#include <linux/types.h>

/* A call begins: number of operations, the CPU or, by the flags, concurrency ID. */
TRACE_EVENT(cpu_opv_enter,

	TP_PROTO(int cnt, int cpu, unsigned int flags),

	TP_ARGS(cnt, cpu, flags),

	TP_STRUCT__entry(
		__field(int, cnt)
		__field(int, cpu)
		__field(unsigned int, flags)
	),

	TP_fast_assign(
		__entry->cnt = cnt;
		__entry->cpu = cpu;
		__entry->flags = flags;
	),

	TP_printk("cnt=%d cpu=%d flags=0x%x",
		  __entry->cnt, __entry->cpu, __entry->flags)
);

/*
 * A call ends: what it returns, how long it took, how user code was kept off the
 * CPU, and how operands were reached; see enum Exclusion and enum Operands in
 * rust/cpu_opv/way.rs.
 */
TRACE_EVENT(cpu_opv_exit,

	TP_PROTO(long ret, u64 duration_ns, int exclusion, int operands),

	TP_ARGS(ret, duration_ns, exclusion, operands),

	TP_STRUCT__entry(
		__field(long, ret)
		__field(u64, duration_ns)
		__field(int, exclusion)
		__field(int, operands)
	),

	TP_fast_assign(
		__entry->ret = ret;
		__entry->duration_ns = duration_ns;
		__entry->exclusion = exclusion;
		__entry->operands = operands;
	),

	TP_printk("ret=%ld duration_ns=%llu exclusion=%s operands=%s",
		  __entry->ret, __entry->duration_ns,
		  __print_symbolic(__entry->exclusion,
				   { 0, "none" },
				   { 1, "local" },
				   { 2, "locked" },
				   { 3, "interrupt" },
				   { 4, "migrate" },
				   { 5, "taken" }),
		  __print_symbolic(__entry->operands,
				   { 0, "none" },
				   { 1, "in_place" },
				   { 2, "pinned" }))
);

#endif /* _TRACE_CPU_OPV_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
