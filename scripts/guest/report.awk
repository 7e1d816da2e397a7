#!/usr/bin/awk -f
# SPDX-License-Identifier: GPL-2.0
#
# Prints what a kernel log tells of the kernel's own faults: panics, oopses, BUG and
# WARN, lockdep, RCU stalls, hung tasks, sanitizers. Exits with 0 if there was any.
#
# A report is printed with the lines around it: up to its end marker or 60 lines.

BEGIN {
	# What a report's first line looks like after the time stamp. Programs that
	# die of a signal are logged too ("traps: ..."); that is no fault of the kernel.
	start = "^(Kernel panic - |BUG:? |kernel BUG at |WARNING: |Oops: |PANIC: |" \
		"Unable to handle kernel |general protection fault, |double fault: |" \
		"stack segment: |unchecked MSR access |Kernel stack overflow|" \
		"KASAN: |UBSAN: |KCSAN: |KFENCE: |kmemleak: [0-9]|" \
		"INFO: task |INFO: trying to register |INFO: NMI handler |" \
		"(rcu: )?INFO: rcu_|rcu: rcu_.* kthread starved|watchdog: |" \
		"refcount_t: |list_(add|del) corruption|rust_kernel: panicked|" \
		"-+\\[ cut here )"
	end = "^---\\[ end "
}

{
	sub(/\r$/, "")
	text = $0
	sub(/^\[ *[0-9]+\.[0-9]+\](\[ *[TC][0-9]+\])? /, "", text)
}

!left && text ~ start {
	if (found++)
		print ""
	left = 60
}

left {
	print
	if (--left == 0 || text ~ end)
		left = 0
}

END {
	exit !found
}
