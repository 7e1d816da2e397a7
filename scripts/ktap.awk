#!/usr/bin/awk -f
# SPDX-License-Identifier: GPL-2.0
#
# Reads KTAP with nested results, a test's own results standing before its result and
# indented deeper. Prints a line for each innermost result: ok, "not ok" or skip; its
# name, the names of the tests around it first; the reason; separated by tabs. A test
# that failed although none of its parts did, or that lacks results which it announced, is
# printed as well. Where a test gives no reason, the last line that it printed has to serve.

function add(depth, status, name, reason)
{
	n++
	depths[n] = depth
	states[n] = status
	names[n] = name
	reasons[n] = reason
}

# Plans that belong to the test whose result stands at depth, or to none, and were not kept.
function unkept(depth,    d, lack)
{
	for (d in planned) {
		if (+d <= depth)
			continue
		if (seen[d] < planned[d])
			lack = seen[d] " of " planned[d] " results"
		delete planned[d]
	}
	return lack
}

/^ *1\.\.[0-9]+/ {
	match($0, /^ */)
	seen[RLENGTH] = 0
	planned[RLENGTH] = substr($0, RLENGTH + 4) + 0
	next
}

/^ *(ok|not ok) [0-9]+/ {
	match($0, /^ */)
	depth = RLENGTH
	seen[depth]++
	text = substr($0, depth + 1)
	status = text ~ /^not/ ? "not ok" : "ok"
	sub(/^(not )?ok [0-9]+( - )? */, "", text)
	reason = ""
	if ((at = index(text, "# ")) > 0) {
		reason = substr(text, at + 2)
		text = substr(text, 1, at - 1)
	}
	sub(/ +$/, "", text)
	if (reason ~ /^(SKIP|XFAIL)/)
		status = "skip"
	else if (status == "ok")
		reason = ""

	lack = unkept(depth)
	if (lack && status != "skip") {
		status = "not ok"
		reason = lack
	}

	# The results that belong to this test are the last ones, deeper than it.
	first = n
	while (first > 0 && depths[first] > depth)
		first--
	failed = 0
	for (i = first + 1; i <= n; i++) {
		names[i] = text (names[i] == "" ? "" : ": " names[i])
		depths[i] = depth
		failed += states[i] == "not ok"
	}
	if (first == n || (status == "not ok" && !failed)) {
		if (status != "ok" && reason ~ /^(SKIP|exit status.*)?$/ && said != "")
			reason = reason (reason == "" ? "" : ": ") said
		add(depth, status, text, reason)
	}
	said = ""
	next
}

!/^[ #]*(K?TAP version.*|Running: .*|Totals: .*)?$/ {
	said = $0
	sub(/^[ #]+/, "", said)
}

END {
	for (i = 1; i <= n; i++)
		printf "%s\t%s\t%s\n", states[i], names[i], reasons[i]
}
