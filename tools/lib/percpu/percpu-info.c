// SPDX-License-Identifier: GPL-2.0
/* Prints what the library found on this system: see percpu-info(1). */
#include <stdio.h>
#include <string.h>

#include <percpu/percpu.h>

static const char *yes_no(int yes)
{
	return yes ? "yes" : "no";
}

static const char *owner(int owner)
{
	switch (owner) {
	case PERCPU_OWNER_LIBC:
		return "the C library";
	case PERCPU_OWNER_PERCPU:
		return "libpercpu";
	case PERCPU_OWNER_OTHER:
		return "somebody else: its area cannot be used";
	default:
		return "nobody: the kernel has no rseq(2), or it is denied";
	}
}

static const char *others(const struct percpu_info *info)
{
	if (!info->cpu_opv)
		return "no: threads can change only what belongs to the CPU they are on";
	return info->cpu_opv_mm_cid ? "yes, by CPU and by concurrency ID" : "yes, by CPU";
}

int main(int argc, char **argv)
{
	struct percpu_info info;

	if (argc > 1) {
		bool help = argc == 2 && !strcmp(argv[1], "--help");

		fputs("Usage: percpu-info\n\n"
		      "Prints what libpercpu can use on this system. Environment variables, which\n"
		      "it respects as every program that uses the library does: see percpu(3).\n",
		      help ? stdout : stderr);
		return help ? 0 : 2;
	}
	percpu_get_info(&info, sizeof(info));
	printf("places for per-CPU data:  %d\n", info.indices);
	printf("registered by:            %s\n", owner(info.owner));
	if (info.rseq_version)
		printf("area:                     version %d, %u bytes; the kernel has fields up to %u\n",
		       info.rseq_version, info.rseq_size, info.feature_size);
	printf("sequences by CPU:         %s\n", yes_no(info.sequences));
	printf("sequences by mm_cid:      %s\n", yes_no(info.mm_cid));
	printf("cpu_opv(2):               ");
	if (info.cpu_opv)
		printf("%d operations\n", info.cpu_opv);
	else
		printf("no\n");
	printf("data of other CPUs:       %s\n", others(&info));
	printf("membarrier(2) for rseq:   %s\n", yes_no(info.membarrier));
	return 0;
}
