// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): a thread in a restartable sequence: see cpu_opv_fence.h. */
#define _GNU_SOURCE
#include "rseq.h"

#include "cpu_opv_fence.h"

#if defined(__x86_64__) || defined(__i386__)
#define HAVE_SECTION	true

/* Loads f->gen, waits for f->go, stores what it had loaded. Returns false if aborted. */
static bool section(struct fence *f)
{
	__asm__ __volatile__ goto (
		RSEQ_ASM_DEFINE_TABLE(3, 1f, 2f, 4f)
		RSEQ_ASM_STORE_RSEQ_CS(1, 3b, RSEQ_ASM_TP_SEGMENT:RSEQ_CS_OFFSET(%[rseq_offset]))
		"movl %[gen], %%ecx\n\t"
		"movl $1, %[inside]\n\t"
		"5:\n\t"
		"movl %[go], %%eax\n\t"
		"testl %%eax, %%eax\n\t"
		"jz 5b\n\t"
		"movl %%ecx, %[committed]\n\t"
		"2:\n\t"
		RSEQ_ASM_DEFINE_ABORT(4, "", abort)
		: /* no outputs */
		: [rseq_offset] "r" (rseq_offset), [gen] "m" (f->gen), [inside] "m" (f->inside),
		  [go] "m" (f->go), [committed] "m" (f->committed)
		: "memory", "cc", "eax", "ecx"
		: abort);
	rseq_after_asm_goto();
	return true;
abort:
	rseq_after_asm_goto();
	return false;
}

#else
#define HAVE_SECTION	false

static bool section(struct fence *f)
{
	(void)f;
	return true;
}

#endif

static void *sections(void *arg)
{
	struct fence *f = arg;
	int round = 0;

	stay_on(f->cpu);
	f->no_rseq = rseq_register_current_thread();
	f->area = rseq_get_abi();
	f->done = round;
	while (!f->no_rseq) {
		while (f->round == round)
			sleep_ms(1);
		round = f->round;
		if (round < 0)
			break;
		while (!section(f))
			;
		f->done = round;
	}
	rseq_unregister_current_thread();
	return NULL;
}

const char *fence_start(struct fence *f, int cpu)
{
	if (!HAVE_SECTION)
		return "no section for this architecture";
	*f = (struct fence) { .cpu = cpu, .done = -1 };
	if (pthread_create(&f->thread, NULL, sections, f))
		return "no thread";
	return wait_until(&f->done, 0) && !f->no_rseq ? NULL : "no rseq(2)";
}

void fence_enter(struct fence *f)
{
	int round = f->done + 1;

	f->inside = 0;
	f->go = 0;
	f->gen = 2 * round;
	f->round = round;
	if (!wait_until(&f->inside, 1))
		fail("round %d: the section is not entered", round);
	sleep_ms(1);
	__atomic_store_n(&f->gen, 2 * round + 1, __ATOMIC_SEQ_CST);
}

bool fence_leave(struct fence *f)
{
	__atomic_store_n(&f->go, 1, __ATOMIC_SEQ_CST);
	if (!wait_until(&f->done, f->round))
		fail("round %d: the section does not end", f->round);
	return f->committed != 2 * f->round;
}

void fence_stop(struct fence *f)
{
	f->go = 1;
	f->round = -1;
	pthread_join(f->thread, NULL);
}
