// SPDX-License-Identifier: GPL-2.0
/* The rseq area of the parity tests: set up, registered, shown. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "parity.h"

unsigned char *area_page, *alias_page, *cs_page;

/*
 * A v1 area is aligned to 32 bytes and to no more, a v2 area to 64; both stand
 * off the ends of their page, so that stray writes meet poison.
 */
struct rseq_abi *area_in(unsigned char *page)
{
	return (struct rseq_abi *)(page + (cfg->v2 ? 128 : 96));
}

struct rseq_abi *area(void)
{
	return area_in(area_page);
}

struct rseq_abi *alias(void)
{
	return area_in(alias_page);
}

/* The return value of a system call as the kernel gave it: -errno or a value. */
int result(long ret)
{
	return ret == -1 ? -errno : ret;
}

int sys_rseq(void *ptr, uint32_t len, int flags, uint32_t sig)
{
	struct rusage usage;

	if (!run->started && !getrusage(RUSAGE_SELF, &usage)) {
		run->switches = usage.ru_nivcsw;
		run->started = 1;
	}
	return result(syscall(__NR_rseq, ptr, len, flags, sig));
}

void poison_area(void)
{
	memset(alias_page, POISON, getpagesize());
}

/*
 * Bytes 28 to 31 belong to the slice extension: the kernel may clear them in a
 * v2 area, and must not touch them in a v1 area or with the extension off.
 */
void poison_slice(void)
{
	uint32_t *slice = (uint32_t *)((unsigned char *)alias() + 28);

	*(volatile uint32_t *)slice = cfg->v2 && facts.slice_key ? SLICE_POISON : POISON_WORD;
}

void register_area(void)
{
	poison_area();
	expect("register", sys_rseq(area(), cfg->len, cfg->flags, RSEQ_SIG), 0);
	poison_slice();
}

static void name_cpu(char *buf, size_t size, uint32_t cpu)
{
	if ((int)cpu == facts.cpu_a)
		snprintf(buf, size, "A");
	else if ((int)cpu == facts.cpu_b)
		snprintf(buf, size, "B");
	else
		snprintf(buf, size, "%x", cpu);
}

/* All bytes of the area; CPU numbers and the descriptor's address by name. */
void format_area(char *buf, size_t size, const struct rseq_abi *a)
{
	const unsigned char *byte = (const unsigned char *)a;
	char start[16], cpu[16], cs[24], rest[2 * (AREA_BYTES - 32) + 1];
	bool poison = true;

	name_cpu(start, sizeof(start), a->cpu_id_start);
	name_cpu(cpu, sizeof(cpu), a->cpu_id);
	if (a->rseq_cs.ptr64 && a->rseq_cs.ptr64 == run->cs)
		snprintf(cs, sizeof(cs), "cs");
	else
		snprintf(cs, sizeof(cs), "%llx", (unsigned long long)a->rseq_cs.ptr64);
	for (int i = 32; i < AREA_BYTES; i++) {
		snprintf(rest + 2 * (i - 32), 3, "%02x", byte[i]);
		poison = poison && byte[i] == POISON;
	}
	snprintf(buf, size, "start:%s cpu:%s cs:%s flags:%08x node:%x cid:%x slice:%02x%02x%02x%02x rest:%s",
		 start, cpu, cs, a->flags, a->node_id, a->mm_cid,
		 byte[28], byte[29], byte[30], byte[31], poison ? "poison" : rest);
}

void note_area(const char *field)
{
	char buf[256];

	format_area(buf, sizeof(buf), alias());
	note(field, "%s", buf);
}
