// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2) by concurrency ID: see cpu_opv_cid.h. */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rseq.h"

#include "cpu_opv_cid.h"

#define WAIT_MS		10000

int nr_ids;

const char *check_cids(int cpus_needed)
{
	const char *why = check_settings(cpus_needed);

	nr_ids = possible_cpus();
	return why ?: !cpu_op_mm_cid_available() ? "the kernel has no cpu_opv(2) by concurrency ID" :
	       rseq_register_current_thread() ? "the kernel has no rseq(2)" :
	       !rseq_mm_cid_available() ? "the kernel has no concurrency IDs" :
	       nr_ids < 3 ? "needs three possible CPUs" : NULL;
}

int cid_in(const struct rseq_abi *area)
{
	return RSEQ_READ_ONCE(area->mm_cid);
}

int own_cid(void)
{
	return cid_in(rseq_get_abi());
}

int other_cid(int a, int b)
{
	int cid = nr_ids - 1;

	while (cid == a || cid == b)
		cid--;
	return cid;
}

bool cpus_own_cids(void)
{
	int cid;

	pin(0, cpus[1]);
	cid = own_cid();
	pin(0, cpus[0]);
	return own_cid() != cid;
}

static void *sleep_for_ever(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

bool sleepers_start(int nr)
{
	pthread_t thread;
	int err = 0;

	for (int i = 0; i < nr && !err; i++)
		err = start_small_thread(&thread, sleep_for_ever, NULL);
	return !err;
}

/* ---- a thread that spins or sleeps ---- */

static enum duty duty_of(const struct other *other)
{
	return __atomic_load_n(&other->duty, __ATOMIC_ACQUIRE);
}

/* For a moment. A CPU that takes turns lets the next one execute then. */
static void spin(void)
{
	for (int i = 0; i < 1000; i++)
		asm volatile("" : : : "memory");
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

int other_main(struct other *other, const struct rseq_abi *area)
{
	struct sched_param param = { .sched_priority = sched_get_priority_min(other->policy) };
	enum duty duty;

	pin(0, other->cpu);
	if (sched_setscheduler(0, other->policy, &param))
		return -1;
	other->area = area;
	__atomic_store_n(&other->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	while ((duty = duty_of(other)) != END) {
		if (duty == SLEEP)
			syscall(SYS_futex, &other->duty, FUTEX_WAIT, SLEEP, NULL, NULL, 0);
		__atomic_add_fetch(&other->rounds, 1, __ATOMIC_RELAXED);
		spin();
	}
	return 0;
}

static void *other_thread(void *arg)
{
	if (!rseq_register_current_thread())
		other_main(arg, rseq_get_abi());
	return NULL;
}

static void set_duty(struct other *other, enum duty duty)
{
	__atomic_store_n(&other->duty, duty, __ATOMIC_RELEASE);
	syscall(SYS_futex, &other->duty, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

bool other_spin(struct other *other)
{
	unsigned long rounds = __atomic_load_n(&other->rounds, __ATOMIC_RELAXED);
	long end = now_ms() + WAIT_MS;

	set_duty(other, SPIN);
	while (__atomic_load_n(&other->rounds, __ATOMIC_RELAXED) < rounds + 2) {
		if (now_ms() > end)
			return false;
		sleep_ms(1);
	}
	return true;
}

static bool is_asleep(const struct other *other)
{
	char path[64], line[128], *state;

	/* Other processes, too, and threads of this one */
	snprintf(path, sizeof(path), "/proc/%d/stat", other->tid);
	if (!read_text(path, line, sizeof(line)))
		return false;
	state = strrchr(line, ')');
	return state && state[2] == 'S';
}

bool other_sleep(struct other *other)
{
	long end = now_ms() + WAIT_MS;

	set_duty(other, SLEEP);
	while (!is_asleep(other)) {
		if (now_ms() > end)
			return false;
		sleep_ms(1);
	}
	return true;
}

bool other_start(struct other *other, int cpu, int policy)
{
	*other = (struct other) { .cpu = cpu, .policy = policy };
	return !pthread_create(&other->thread, NULL, other_thread, other) && other_spin(other);
}

void other_tell_end(struct other *other)
{
	set_duty(other, END);
}

void other_end(struct other *other)
{
	other_tell_end(other);
	pthread_join(other->thread, NULL);
}
