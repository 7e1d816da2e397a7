#!/usr/bin/awk -f
# SPDX-License-Identifier: GPL-2.0
#
# judge.awk RUST C: compares two files of results as scripts/ktap.awk prints them, and
# prints a verdict on each in the same form. The C kernel is the reference: what does
# not pass there either is no fault of the Rust kernel and counts as skipped, and
# whatever differs is a failure, as is a test without a result ("none").

BEGIN {
	FS = OFS = "\t"
}

# The same name may occur more than once: the n-th belongs to the n-th.
{
	key = $2 SUBSEP (++seen[FILENAME, $2])
}

NR == FNR {
	order[++n] = key
	name[key] = $2
	rust[key] = $1
	reason[key] = $3
	next
}

{
	if (!(key in rust)) {
		order[++n] = key
		name[key] = $2
		rust[key] = "none"
	}
	c[key] = $1
	c_reason[key] = $3
}

END {
	for (i = 1; i <= n; i++) {
		key = order[i]
		if (!(key in c))
			c[key] = "none"
		if (rust[key] != c[key] || rust[key] == "none") {
			print "not ok", "rust: " name[key], rust[key] " (" reason[key] \
				"), on the C kernel " c[key] " (" c_reason[key] ")"
		} else if (rust[key] == "ok") {
			print "ok", "rust: " name[key]
			print "ok", "c: " name[key]
		} else {
			print "skip", "rust: " name[key], rust[key] " as on the C kernel (" \
				reason[key] ")"
			print "skip", "c: " name[key], c[key] " (" c_reason[key] ")"
		}
	}
}
