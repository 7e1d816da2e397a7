// SPDX-License-Identifier: GPL-2.0
/*
 * Keeping user code off a CPU, or a concurrency ID, while a function runs, for
 * cpu_opv(2). First CPUs:
 *
 * A function F has CPU X for itself if from its first access to its last no
 * user code executes on X, no other such function runs for X, and if a
 * restartable sequence that was executing on X before is aborted before its
 * thread executes user code again. There are three ways:
 *
 * here:	The caller is on X, a user task in a system call, with interrupts
 *		off. Nothing else executes on X. Restartable sequences of threads
 *		that it preempted there are aborted by that context switch.
 *
 * locked:	sched_exclude_locked() holds the lock of X's runqueue, and
 *		rq->curr is a kernel thread, such as the idle task: X is idle, or
 *		works for the kernel, or is offline or was never online. rq->curr
 *		changes only with that lock held, by __schedule() once X runs, and
 *		whether a task is a kernel thread does not change. So X cannot begin to
 *		execute a user task before the lock is released. X is neither
 *		interrupted nor woken up; if it wants to schedule meanwhile, it
 *		waits for the lock. Sequences of threads that ran on X before were
 *		aborted by the context switch to the kernel thread.
 *
 * interrupt:	sched_exclude_interrupt() has the function called on X, by an
 *		interrupt, if X executes a user task then. The sequence of that
 *		task is aborted, as by membarrier(2).
 *
 * Each excludes each, and itself, for the same X:
 *
 *		here			locked			interrupt
 *  here	one CPU executes one	rq->curr is the		X has interrupts off
 *		thing at a time		caller, a user task
 *  locked				runqueue lock		rq->curr is no user
 *								task; the interrupt
 *								looks again
 *  interrupt							X has interrupts off
 *
 * Where rq->curr is not what X executes, between its change in __schedule() and
 * the switch of the stack, X holds the runqueue lock with interrupts off: then
 * neither "locked" nor "interrupt" can begin.
 *
 * Ordering. What user code on X did before F is visible to F, and the effects
 * of F are visible to user code on X after it:
 *
 * here, interrupt: F executes on X itself. The caller sees the effects of an F
 *		in an interrupt by the release and acquire of the call's completion
 *		in smp_call_function_single(), and F what the caller did before.
 *
 * locked:	X locked the runqueue to switch from the last user task to the
 *		kernel thread, before F, and locks it to switch to the next one,
 *		after F.
 *
 * What is taken from others. Each CPU has a slot, which "locked" and "interrupt"
 * need. Nobody waits in line for it: it is tried, and held with preemption off,
 * so no holder lacks a CPU. An F must not take more than a quarter of a
 * millisecond, which the caller spends, too, as it spins meanwhile.
 *
 * locked:	Whoever else wants the runqueue of X waits for one F each time: its
 *		lock is a fair one, and only the holder of the slot queues for it.
 *
 * interrupt:	All of them together get a quarter of X: the slot is paid with four
 *		times what the caller waited, for the interrupt and for F, and
 *		opens when that is over. What was not used in the last millisecond
 *		can be used at once.
 *
 * Concurrency IDs. A function F has ID C of an address space for itself if from
 * its first access to its last no thread of that has C and executes user code,
 * no other such function runs for C, and if a restartable sequence of a thread
 * that had C before is aborted before the thread executes user code again. See
 * "Concurrency IDentifier management" in core.c for who owns an ID. That IDs and
 * CPUs do not exclude each other is for the caller to know.
 *
 * own:		The caller, with interrupts off, has C itself. It cannot lose it
 *		but by a context switch.
 *
 * running:	A thread that runs on CPU X has C. sched_exclude_cid() has F called
 *		on X, by an interrupt, if current has C then: as above, it cannot
 *		lose it meanwhile. Its sequence is aborted.
 *
 * taken:	No thread that runs has C: sched_exclude_cid() takes it, for itself.
 *		An ID belongs to whoever set its bit in mm_cidmask(), be that stored in
 *		a task or a CPU, and nobody gets one whose bit is set. So the caller
 *
 *		- sets the bit of an ID of nobody;
 *		- takes the ID from a task that does not run, and leaves the task
 *		  as mm_cid_fixup_task_to_cpu() does: it gets another ID when it is
 *		  scheduled in;
 *		- takes the ID from a CPU that runs no thread which has it, and leaves the
 *		  CPU as mm_drop_cid_on_cpu() does.
 *
 *		All with mm_cid::mutex held, without which no thread of the address
 *		space begins or ends and the mode of ownership does not change, and
 *		from a task or a CPU with the runqueue locked, without which no task is
 *		scheduled in or out. Nothing else changes the owner of an ID.
 *
 *		The caller keeps the bit while F runs, and clears it. Threads that had
 *		C before were scheduled out, which aborted their sequences.
 *
 * Each excludes each, as a thread that runs, or the bit, has C or does not. IDs
 * that are just changing hands are not found, and the caller tries again.
 *
 * Ordering. own and running: as on a CPU. taken: the last owner
 *
 * - lost the ID as it was scheduled out. __schedule() has a full barrier behind
 *   the lock of the runqueue, before mm_cid_schedout(); what reads that the bit is
 *   clear sets it by a full barrier, and who finds the ID with a task or a CPU locks
 *   the same runqueue;
 * - or lost it in fork(2), exit(2), execve(2) or a change of the mode, which hold
 *   mm_cid::mutex, as the caller does.
 *
 * F comes before clear_bit_unlock(), and the next owner sets the bit by a full
 * barrier.
 *
 * What is taken from others. A thread of the address space that is scheduled in,
 * and has no ID, spins for a free one with its runqueue locked: while all others
 * are in use, for one F. Only the holder of mm_cid::mutex competes with it for the
 * next one, and not before it has let go of the bit and the mutex, which takes
 * longer than to see that a bit is clear. Interrupts are off while the bit is held,
 * no lock is taken then, nobody is woken up, and F is as short as on a CPU. Runqueues
 * of others are locked for a few instructions, not those of CPUs which run a thread
 * with C. fork(2) and exit(2) of the address space wait for the callers before them.
 * Each holds the mutex with preemption off, for a walk over no more tasks than
 * there are CPUs, and one F.
 *
 * Interrupts are paid for as above. They disturb a thread of the caller's own
 * address space, on isolated CPUs and of real-time classes, too, as membarrier(2)
 * does. X may switch to a stranger before the interrupt comes, which then only finds
 * that out: so much of X, within what the slot allows, a process can take which has
 * a thread there.
 */

#include <linux/sched/exclude.h>

#include <asm/irq_regs.h>

#ifdef CONFIG_X86
# include <asm/pkru.h>
#endif

/*
 * How long a slot can stay closed, whatever the clock did while it was used: the
 * virtual CPU may not have run at all. And how much of the past can be used.
 */
#define SLOT_MAX	NSEC_PER_MSEC

/**
 * struct exclude_slot - The right to keep user code off a CPU
 * @lock:	Tried only, never waited for
 * @until:	What is paid: the CPU is not interrupted before, by its
 *		sched_clock_cpu()
 */
struct exclude_slot {
	raw_spinlock_t	lock;
	u64		until;
};

static DEFINE_PER_CPU_SHARED_ALIGNED(struct exclude_slot, exclude_slots) = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(exclude_slots.lock),
};

/* Returns false if it is in use. */
static bool slot_trylock(struct exclude_slot *slot)
{
	return !raw_spin_is_locked(&slot->lock) && raw_spin_trylock(&slot->lock);
}

/* Of a slot that is locked: may the CPU be interrupted at @now? */
static bool slot_is_open(struct exclude_slot *slot, u64 now)
{
	/* What is left, less one: if that is nothing or negative, it is huge */
	return slot->until - now - 1 >= SLOT_MAX;
}

/* Of a slot that was open at @start: the CPU was interrupted, until @end. */
static void slot_pay(struct exclude_slot *slot, u64 start, u64 end)
{
	if (start - slot->until > SLOT_MAX)
		slot->until = start - SLOT_MAX;
	slot->until += min(4 * (end - start), SLOT_MAX);
}

static bool may_run_user_code(struct task_struct *p)
{
	return p && !(p->flags & PF_KTHREAD);
}

static bool is_isolated(int cpu)
{
	return !housekeeping_test_cpu(cpu, HK_TYPE_DOMAIN) ||
	       !housekeeping_test_cpu(cpu, HK_TYPE_KERNEL_NOISE);
}

/*
 * Whether the user task that @rq runs is of a real-time class, or runs in the
 * turn of one that is blocked by it. While another task is being switched to,
 * that is rq->donor already, and not blocked.
 */
static bool is_realtime(struct rq *rq, struct task_struct *p)
{
	struct task_struct *donor = rcu_dereference_all(rq->donor);

	return rt_or_dl_task(p) ||
	       (donor && task_is_blocked(donor) && rt_or_dl_task(donor));
}

/* What the callers on other CPUs may know of @p, which @rq runs. */
static int occupant(struct rq *rq, struct task_struct *p)
{
	int ret = SCHED_OCCUPANT;

	if (p->mm == current->mm)
		ret |= SCHED_OCCUPANT_SAME_MM;
	if (is_realtime(rq, p))
		ret |= SCHED_OCCUPANT_REALTIME;
	if (is_isolated(cpu_of(rq)))
		ret |= SCHED_OCCUPANT_ISOLATED;
	return ret;
}

/**
 * sched_exclude_permitted - Whether the current task may keep others off a CPU
 * @cpu:	Its number, which can be any
 *
 * It may where sched_setaffinity(2) would let it run, were the CPU online: by
 * its mask or, if that has been narrowed, its cpuset. Nothing runs on a CPU that
 * is offline. Others can change all of that at any time. May sleep.
 *
 * Return: 1 if the mask of the task has @cpu, 0 if only its cpuset has it or it
 * is offline, -ENXIO if none has it or there is no such CPU, -ENOMEM.
 */
int sched_exclude_permitted(int cpu)
{
	cpumask_var_t allowed;
	bool permitted;

	if ((unsigned int)cpu >= nr_cpu_ids)
		return -ENXIO;
	cpu = array_index_nospec(cpu, nr_cpu_ids);
	if (!cpu_possible(cpu))
		return -ENXIO;
	if (cpumask_test_cpu(cpu, current->cpus_ptr))
		return 1;
	if (!cpu_online(cpu))
		return 0;

	if (!alloc_cpumask_var(&allowed, GFP_KERNEL))
		return -ENOMEM;
	cpuset_cpus_allowed(current, allowed);
	permitted = cpumask_test_cpu(cpu, allowed);
	free_cpumask_var(allowed);
	return permitted ? 0 : -ENXIO;
}

/**
 * sched_exclude_locked - Call a function while a CPU runs no user task
 * @cpu:	A possible CPU, online or not
 * @fn:		Called in the caller, with the runqueue of @cpu locked
 * @arg:	Passed to @fn
 *
 * Does not sleep. Interrupts have to be on, for the sake of
 * sched_exclude_interrupt() calls of others.
 *
 * Return: 0 if @fn was called; -EAGAIN if others use the slot of @cpu; else a
 * user task runs there, and this is what is known of it, of enum sched_occupant.
 */
int sched_exclude_locked(int cpu, sched_exclude_fn_t fn, void *arg)
{
	struct exclude_slot *slot = per_cpu_ptr(&exclude_slots, cpu);
	struct rq *rq = cpu_rq(cpu);
	struct task_struct *p;
	int ret = 0;

	lockdep_assert_irqs_enabled();
	guard(preempt)();

	/* Only a hint, but those who may not disturb the CPU do not touch its lock */
	p = rcu_dereference_all(rq->curr);
	if (may_run_user_code(p))
		return occupant(rq, p);
	if (!slot_trylock(slot))
		return -EAGAIN;

	scoped_guard (rq_lock_irqsave, rq) {
		p = rcu_dereference_all(rq->curr);
		if (may_run_user_code(p))
			ret = occupant(rq, p);
		else
			fn(arg, true);
	}

	raw_spin_unlock(&slot->lock);
	return ret;
}

/* Whether @p, a thread that runs, has ID @cid of @mm. */
static bool has_cid(struct task_struct *p, struct mm_struct *mm, int cid)
{
#ifdef CONFIG_SCHED_MM_CID
	return p->mm == mm && p->mm_cid.active && task_mm_cid(p) == cid;
#else
	return false;
#endif
}

/*
 * What else decides, besides the page tables of the mm, which user accesses a
 * task may make.
 */
struct exclude_rights {
#ifdef CONFIG_X86
	u32 pkru;
#endif
};

static struct exclude_rights current_rights(void)
{
#ifdef CONFIG_X86
	return (struct exclude_rights) { .pkru = read_pkru() };
#else
	return (struct exclude_rights) { };
#endif
}

static bool are_current_rights(const struct exclude_rights *rights)
{
#ifdef CONFIG_X86
	return rights->pkru == read_pkru();
#else
	/* Not known yet: keys, tags, and the like */
	return false;
#endif
}

/* Instead of an ID, if it does not matter which one a task has. */
#define ANY_CID		(-1)

struct exclude_call {
	sched_exclude_fn_t	fn;
	void			*arg;
	struct mm_struct	*mm;
	int			cid;
	struct exclude_rights	rights;
	int			ret;
};

/*
 * Nothing may be known here of what the interrupted task was doing, unless it
 * was in user mode: then its page tables and its rights are in use.
 */
static bool reaches_own_memory(const struct exclude_call *call)
{
	struct pt_regs *regs = get_irq_regs();

	return current->mm == call->mm && regs && user_mode(regs) &&
	       are_current_rights(&call->rights);
}

static void abort_current_rseq(void)
{
#ifdef CONFIG_RSEQ_SLICE_EXTENSION
	/* The update on the way back ends an extension: others have waited for that */
	if (current->rseq.slice.state.granted)
		set_need_resched_current();
#endif
	/* See ipi_rseq() in membarrier.c */
	if (rseq_v2(current))
		rseq_sched_switch_event(current);
	else
		rseq_force_update();
}

/* Another task than the caller saw? Then one that it may disturb. */
static bool may_interrupt_current(const struct exclude_call *call)
{
	struct rq *rq = this_rq();

	if (call->cid != ANY_CID)
		return has_cid(current, call->mm, call->cid);
	return may_run_user_code(current) &&
	       (current->mm == call->mm ||
		!(is_realtime(rq, current) || is_isolated(cpu_of(rq))));
}

static void exclude_interrupted(void *info)
{
	struct exclude_call *call = info;

	lockdep_assert_irqs_disabled();
	if (!may_interrupt_current(call))
		return;

	call->fn(call->arg, reaches_own_memory(call));
	abort_current_rseq();
	call->ret = 0;
}

/* Returns 0 if @fn was called, or -EAGAIN. */
static int exclude_interrupt(int cpu, int cid, sched_exclude_fn_t fn, void *arg)
{
	struct exclude_slot *slot = per_cpu_ptr(&exclude_slots, cpu);
	struct exclude_call call = {
		.fn	= fn,
		.arg	= arg,
		.mm	= current->mm,
		.cid	= cid,
		.rights	= current_rights(),
		.ret	= -EAGAIN,
	};
	u64 start;

	lockdep_assert_irqs_enabled();
	guard(preempt)();
	/* Moved there meanwhile? Without an interrupt its registers are not here. */
	if (cpu == smp_processor_id() || !slot_trylock(slot))
		return -EAGAIN;

	start = sched_clock_cpu(cpu);
	if (slot_is_open(slot, start)) {
		if (smp_call_function_single(cpu, exclude_interrupted, &call, true))
			call.ret = -EAGAIN;
		slot_pay(slot, start, sched_clock_cpu(cpu));
	}
	raw_spin_unlock(&slot->lock);
	return call.ret;
}

/**
 * sched_exclude_interrupt - Interrupt the user task of a CPU to call a function
 * @cpu:	A possible CPU
 * @fn:		Called on @cpu, in the interrupt
 * @arg:	Passed to @fn
 *
 * For what sched_exclude_locked() told of, where @cpu may be interrupted.
 * Interrupts have to be on. Does not sleep, but spins until @fn has run.
 *
 * Return: 0 if @fn was called; -EAGAIN if others use the slot of @cpu, or it
 * runs another task now, or it went offline: look again.
 */
int sched_exclude_interrupt(int cpu, sched_exclude_fn_t fn, void *arg)
{
	return exclude_interrupt(cpu, ANY_CID, fn, arg);
}

#ifdef CONFIG_SCHED_MM_CID
/* Who has an ID. If a thread that runs: the number of its CPU. */
enum cid_owner {
	CID_TAKEN	= -1,	/* The caller, now */
	CID_CHANGES	= -2,	/* Nobody that can be told: look again */
};

/* A hint: @cpu can switch to another task at any time. */
static bool runs_with_cid(int cpu, int cid)
{
	guard(rcu)();
	/* It can lose the ID at any time, too */
	return data_race(has_cid(rcu_dereference(cpu_rq(cpu)->curr), current->mm, cid));
}

/*
 * Returns the CPU that runs a thread with @cid, with @runs set; or else one that
 * owns it, or -1. A hint: see exclude_interrupted() and take_from_cpu().
 *
 * The number of the ID stays with CPUs that have lost it, and is with those that
 * run a thread which owns it.
 */
static int find_cpu(int cid, bool *runs)
{
	struct mm_struct *mm = current->mm;
	int cpu, owner = -1;
	unsigned int owned;

	for_each_possible_cpu(cpu) {
		/* Changes with the CPU's runqueue locked, which is not */
		owned = data_race(per_cpu_ptr(mm->mm_cid.pcpu, cpu)->cid);
		if (cpu_cid_to_cid(cid_from_transit_cid(owned)) != cid)
			continue;
		if (runs_with_cid(cpu, cid)) {
			*runs = true;
			return cpu;
		}
		if (cid_on_cpu(owned))
			owner = cpu;
	}
	return owner;
}

/*
 * Returns the task that owns @cid, or NULL. A hint: see take_from_task(). Tasks that
 * have not run since the ownership was per CPU still have the ID of a CPU, marked as
 * that, which is none of theirs. The list is not longer now than there are CPUs.
 */
static struct task_struct *find_task(int cid)
{
	struct task_struct *t;

	hlist_for_each_entry(t, &current->mm->mm_cid.user_list, mm_cid.node) {
		/* Changes with the task's runqueue locked, which is not */
		if (cid_from_transit_cid(data_race(t->mm_cid.cid)) == cid)
			return t;
	}
	return NULL;
}

static int take_from_task(struct task_struct *t, int cid)
{
	guard(task_rq_lock)(t);
	if (task_rq(t)->curr == t)
		return task_cpu(t);
	if (t->mm_cid.cid != cid)
		return CID_CHANGES;
	t->mm_cid.cid = MM_CID_UNSET;
	return CID_TAKEN;
}

static int take_from_cpu(int cpu, int cid)
{
	struct mm_struct *mm = current->mm;
	struct mm_cid_pcpu *pcp = per_cpu_ptr(mm->mm_cid.pcpu, cpu);

	guard(rq_lock)(cpu_rq(cpu));
	if (has_cid(cpu_rq(cpu)->curr, mm, cid))
		return cpu;
	if (pcp->cid != cid_to_cpu_cid(cid))
		return CID_CHANGES;
	pcp->cid = cid;
	return CID_TAKEN;
}

static int take_from_nobody(int cid)
{
	return test_and_set_bit(cid, mm_cidmask(current->mm)) ? CID_CHANGES : CID_TAKEN;
}

/* Calls @fn unless a thread that runs has @cid. Returns as enum cid_owner. */
static int exclude_cid(int cid, sched_exclude_fn_t fn, void *arg)
{
	struct mm_mm_cid *mc = &current->mm->mm_cid;
	unsigned long *mask = mm_cidmask(current->mm);
	struct task_struct *t = NULL;
	int owner = CID_CHANGES;
	bool runs = false;
	int cpu = -1;

	/* It can be long: with nothing held, and those that run are not disturbed */
	if (test_bit(cid, mask))
		cpu = find_cpu(cid, &runs);
	if (runs)
		return cpu;

	/* No fork(2), no exit(2), no change of the mode */
	guard(preempt)();
	scoped_cond_guard(mutex_try, return CID_CHANGES, &mc->mutex) {
		if (cpu < 0 && test_bit(cid, mask) && !cid_on_cpu(mc->mode))
			t = find_task(cid);

		guard(irqsave)();
		if (t)
			owner = take_from_task(t, cid);
		else if (cpu >= 0)
			owner = take_from_cpu(cpu, cid);
		else
			owner = take_from_nobody(cid);
		if (owner == CID_TAKEN) {
			fn(arg, true);
			clear_bit_unlock(cid, mask);
		}
	}
	return owner;
}

/**
 * sched_exclude_cid - Call a function while no thread has a concurrency ID
 * @cid:	Of the current address space, less than num_possible_cpus(); not the
 *		one of the caller
 * @fn:		Called here, or in an interrupt of the thread that has @cid
 * @arg:	Passed to @fn
 *
 * Interrupts have to be on. Does not sleep, but spins until @fn has run.
 *
 * Return: SCHED_CID_TAKEN or SCHED_CID_RUNNING if @fn was called; -EAGAIN if
 * @cid changes hands, or others use it or the slot of its CPU: look again.
 */
int sched_exclude_cid(int cid, sched_exclude_fn_t fn, void *arg)
{
	int owner;

	if (!current->mm)
		return -EAGAIN;
	cid = array_index_nospec(cid, num_possible_cpus());

	owner = exclude_cid(cid, fn, arg);
	if (owner == CID_TAKEN)
		return SCHED_CID_TAKEN;
	if (owner == CID_CHANGES)
		return -EAGAIN;
	return exclude_interrupt(owner, cid, fn, arg) ?: SCHED_CID_RUNNING;
}

/**
 * sched_exclude_cid_wait - Wait for those who give IDs to other owners
 *
 * For callers of sched_exclude_cid() that it often tells to look again: while
 * fork(2), exit(2) or a change of ownership goes on in the address space, IDs
 * cannot be taken from their owners.
 *
 * Return: 0, or -EINTR if the task was killed.
 */
int sched_exclude_cid_wait(void)
{
	struct mutex *mutex;

	if (!current->mm)
		return 0;
	mutex = &current->mm->mm_cid.mutex;
	if (mutex_lock_killable(mutex))
		return -EINTR;
	mutex_unlock(mutex);
	return 0;
}
#endif /* CONFIG_SCHED_MM_CID */
