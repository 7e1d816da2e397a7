// SPDX-License-Identifier: GPL-2.0
/* What the child does when a signal comes: record it, and go on if that is possible. */
#include <setjmp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define MAX_FAULTS	3

bool ending;	/* nothing of the step is left to go back to */
static sigjmp_buf env;
static char stack[65536];

/* The area may be gone: whoever reads it, the kernel reads. */
void note_last_area(const char *field)
{
	struct rseq_abi *a = last_area(), *alias = alias_of(a);
	size_t len = 4096 - ((unsigned long)a & 4095);
	char buf[256];

	if (len > AREA_BYTES)
		len = AREA_BYTES;
	memset(scratch, 0, AREA_BYTES);
	if (alias != a) {
		memcpy(scratch, alias, len);
	} else if (getpid() != fuzz->pid) {
		note(field, "private");
		return;
	} else if (pwrite(fuzz_memfd, a, len, scratch - (unsigned char *)run) < 0) {
		note(field, "not accessible");
		return;
	}
	format_area(buf, sizeof(buf), (struct rseq_abi *)scratch);
	note(field, "%s", buf);
}

/* A descriptor that killed once would do so for ever, and so would a page that is gone. */
static void repair(void)
{
	struct rseq_abi *alias = alias_of(last_area());
	sigset_t segv;

	for (int i = 0; i < NR_SLOTS; i++) {
		if (mprotect(slot_page[i], 4096, PROT_READ | PROT_WRITE))
			memory_restore(i);
	}
	alias->rseq_cs.ptr64 = 0;
	sigemptyset(&segv);
	sigaddset(&segv, SIGSEGV);
	sigprocmask(SIG_UNBLOCK, &segv, NULL);
}

static void on_signal(int sig, siginfo_t *info, void *uc)
{
	unsigned long ip = get_ip(uc);

	note("signal", "%d code:%d ip:%s", sig, info->si_code, fuzz_ip_name(ip));
	note_last_area("signal.area");
	if (sig == SIGUSR1 || sig == SIGTRAP)
		return;
	if (sig == SIGILL && ip == (unsigned long)fuzz_ud2) {
		set_ip(uc, fuzz_commit);
		return;
	}
	rival_cancel();
	if (ending || ++fuzz->faults > MAX_FAULTS)
		_exit(EXIT_CAUGHT);
	repair();
	siglongjmp(env, 1);
}

void on_signals(void)
{
	static const int sigs[] = { SIGSEGV, SIGILL, SIGUSR1, SIGTRAP, SIGBUS, SIGFPE };
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };

	sigaltstack(&ss, NULL);
	sa.sa_sigaction = on_signal;
	for (size_t i = 0; i < ARRAY_LEN(sigs); i++) {
		/* SIGSEGV for SIGSEGV kills; any other may come in any handler. */
		sa.sa_flags &= ~SA_NODEFER;
		if (sigs[i] != SIGSEGV)
			sa.sa_flags |= SA_NODEFER;
		sigaction(sigs[i], &sa, NULL);
	}
}

/* Do something that may fault. False: it did, with what its handler has repaired. */
bool survived(void (*what)(struct rng *r), struct rng *r)
{
	if (sigsetjmp(env, 0))
		return false;
	what(r);
	return true;
}
