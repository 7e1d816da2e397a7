// SPDX-License-Identifier: GPL-2.0
/* Per-CPU data that many threads change: see percpu_data.h. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "percpu-op.h"
#include "percpu_data.h"

/* Consecutive failures of one operation: it will never be done. */
#define MAX_FAILURES		1000000

/* How long the work takes: of the clock, whatever the rounds. */
#define MIN_MS			400
#define MAX_MS			8000

/* ---- attempts: 0, < 0 or one of these ---- */

#define RACED	1	/* try again */
#define NOTHING	2	/* empty or full */

static int increment(struct percpu_worker *w, struct percpu_slot *slot, int index, void *arg)
{
	intptr_t old = RSEQ_READ_ONCE(slot->count);

	return w->ops->cmpeqv_storev(w->data->mode, &slot->count, old, old + 1, index);
}

/* The same without a look before: it is never too late for that. */
static int increment_blindly(struct percpu_worker *w, struct percpu_slot *slot, int index,
			     void *arg)
{
	return w->ops->addv(w->data->mode, &slot->count, 1, index);
}

static int add(struct percpu_worker *w, struct percpu_slot *slot, int index, void *arg)
{
	return w->ops->addv(w->data->mode, &slot->added, 1, index);
}

static int pop(struct percpu_worker *w, struct percpu_slot *slot, int index, void *node)
{
	int ret = w->ops->pop(w->data->mode, &slot->head, node, index);

	return ret > 0 ? NOTHING : ret;
}

static int push(struct percpu_worker *w, struct percpu_slot *slot, int index, void *arg)
{
	struct percpu_node *node = arg, *head = RSEQ_READ_ONCE(slot->head);

	node->next = head;
	return w->ops->cmpeqv_storev(w->data->mode, (intptr_t *)&slot->head, (intptr_t)head,
				     (intptr_t)node, index);
}

static uint32_t record_word(const struct percpu_record *record, uint32_t i)
{
	return record->value ^ (uint32_t)record->position ^ (i + 1) * 0x9e3779b9;
}

static bool record_is(const struct percpu_record *record, intptr_t position)
{
	for (size_t i = 0; i < sizeof(record->words) / sizeof(*record->words); i++) {
		if (record->words[i] != record_word(record, i))
			return false;
	}
	return record->position == position;
}

static int put(struct percpu_worker *w, struct percpu_slot *slot, int index, void *arg)
{
	intptr_t position = RSEQ_READ_ONCE(slot->put);
	struct percpu_record *record = arg;

	if (position - RSEQ_READ_ONCE(slot->taken) >= PERCPU_RECORDS)
		return NOTHING;
	record->position = position;
	for (size_t i = 0; i < sizeof(record->words) / sizeof(*record->words); i++)
		record->words[i] = record_word(record, i);
	return w->ops->cmpeqv_memcpy_storev(w->data->mode, &slot->put, position,
					    &slot->ring[position % PERCPU_RECORDS], record,
					    sizeof(*record), position + 1, index);
}

static int take(struct percpu_worker *w, struct percpu_slot *slot, int index, void *arg)
{
	intptr_t position = RSEQ_READ_ONCE(slot->taken);
	struct percpu_record *record = arg;
	int ret;

	if (position == RSEQ_READ_ONCE(slot->put))
		return NOTHING;
	ret = w->ops->cmpeqv_memcpy_storev(w->data->mode, &slot->taken, position, record,
					   &slot->ring[position % PERCPU_RECORDS],
					   sizeof(*record), position + 1, index);
	if (!ret)
		w->sums.overwritten += !record_is(record, position);
	return ret;
}

/* ---- rounds ---- */

static int complete(struct percpu_worker *w,
		    int (*attempt)(struct percpu_worker *w, struct percpu_slot *slot, int index,
				   void *arg), void *arg)
{
	const int max_failures = w->max_failures ?: MAX_FAILURES;

	for (int failures = 0; ; ) {
		int index = w->where ? w->where(w) : percpu_current_index(w->data->mode);
		int none = 0, ret = ENXIO;

		if (index < w->data->nr_slots) {
			ret = attempt(w, &w->data->slots[index], index, arg);
			if (!ret || ret == NOTHING)
				return ret;
			if (ret > 0)
				continue;
			ret = errno;
		}
		w->sums.retries += ret == EAGAIN;
		w->sums.refusals += ret == ENXIO;
		if ((ret == EAGAIN || ret == ENXIO) && failures++ < max_failures)
			continue;
		__atomic_compare_exchange_n(&w->data->error, &none, ret, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
		return -1;
	}
}

static bool round_of_list(struct percpu_worker *w)
{
	struct percpu_node *node;
	int ret = complete(w, pop, &node);

	if (ret)
		return ret > 0;
	w->sums.two_owners += __atomic_exchange_n(&node->owned, true, __ATOMIC_RELAXED);
	if (rand_r(&w->seed) % 16 == 0)
		sched_yield();
	__atomic_store_n(&node->owned, false, __ATOMIC_RELAXED);
	return !complete(w, push, node);
}

static bool round_of_ring(struct percpu_worker *w)
{
	struct percpu_record record;
	unsigned int random = rand_r(&w->seed);
	int ret;

	record.value = random;
	ret = complete(w, random & 8 ? put : take, &record);
	if (ret)
		return ret > 0;
	if (random & 8) {
		w->sums.puts++;
		w->sums.put_values += record.value;
	} else {
		w->sums.takes++;
		w->sums.taken_values += record.value;
	}
	return true;
}

static bool round_of_counter(struct percpu_worker *w)
{
	if (complete(w, rand_r(&w->seed) % 2 ? increment : increment_blindly, NULL))
		return false;
	w->sums.increments++;
	if (rand_r(&w->seed) % 4)
		return true;
	if (complete(w, add, NULL))
		return false;
	w->sums.additions++;
	return true;
}

bool percpu_round(struct percpu_worker *w, enum percpu_what what)
{
	bool done = what == PERCPU_LIST ? round_of_list(w) :
		    what == PERCPU_RING ? round_of_ring(w) : round_of_counter(w);

	w->sums.rounds += done;
	return done;
}

void percpu_account(const struct percpu_worker *w)
{
	const long *from = (const long *)&w->sums;
	long *to = (long *)&w->data->sums;

	for (size_t i = 0; i < sizeof(w->sums) / sizeof(long); i++)
		__atomic_fetch_add(&to[i], from[i], __ATOMIC_RELAXED);
}

/* ---- start and end ---- */

struct percpu_data *percpu_create(enum rseq_percpu_mode mode, int first, int last)
{
	size_t size = offsetof(struct percpu_data, slots[last + 1]);
	struct percpu_data *data = mmap(NULL, size, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (data == MAP_FAILED)
		return NULL;
	data->mode = mode;
	data->nr_slots = last + 1;
	for (int index = first; index <= last; index++) {
		struct percpu_slot *slot = &data->slots[index];

		for (int i = 0; i < PERCPU_NODES; i++) {
			slot->nodes[i].next = slot->head;
			slot->head = &slot->nodes[i];
			data->nodes++;
		}
	}
	return data;
}

void percpu_start(struct percpu_data *data)
{
	clock_gettime(CLOCK_MONOTONIC, &data->start);
}

bool percpu_go_on(const struct percpu_data *data, bool enough)
{
	struct timespec now;
	long ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (now.tv_sec - data->start.tv_sec) * 1000 +
	     (now.tv_nsec - data->start.tv_nsec) / 1000000;
	return ms < (enough ? MIN_MS : MAX_MS) && !RSEQ_READ_ONCE(data->error);
}

/* Every node has to be in one list, once. */
static bool lists_intact(struct percpu_data *data)
{
	const size_t expected = data->nodes;
	size_t found = 0;

	for (int index = 0; index < data->nr_slots; index++) {
		struct percpu_node *node = data->slots[index].head;

		for (; node; node = node->next) {
			size_t at = (char *)node - (char *)data->slots;
			struct percpu_slot *home = &data->slots[at / sizeof(*home)];

			if (at / sizeof(*home) >= (size_t)data->nr_slots ||
			    node < home->nodes || node >= home->nodes + PERCPU_NODES ||
			    node->owned || node->seen)
				return false;
			node->seen = true;
			found++;
		}
	}
	return found == expected;
}

static bool rings_intact(const struct percpu_data *data)
{
	unsigned long values = data->sums.put_values - data->sums.taken_values;
	long records = data->sums.puts - data->sums.takes;

	for (int index = 0; index < data->nr_slots; index++) {
		const struct percpu_slot *slot = &data->slots[index];
		intptr_t i = slot->taken;

		if (i > slot->put || slot->put - i > PERCPU_RECORDS)
			return false;
		for (; i < slot->put; i++) {
			const struct percpu_record *record = &slot->ring[i % PERCPU_RECORDS];

			if (!record_is(record, i))
				return false;
			values -= record->value;
			records--;
		}
	}
	return !records && !values;
}

const char *percpu_check(struct percpu_data *data)
{
	long counted = 0, added = 0;

	if (data->error)
		return strerror(data->error);
	for (int index = 0; index < data->nr_slots; index++) {
		counted += data->slots[index].count;
		added += data->slots[index].added;
	}
	if (counted != data->sums.increments || added != data->sums.additions) {
		static char why[120];

		snprintf(why, sizeof(why), "%ld of %ld increments, %ld of %ld additions", counted,
			 data->sums.increments, added, data->sums.additions);
		return why;
	}
	return data->sums.two_owners ? "a node was in the hands of two threads" :
	       !lists_intact(data) ? "a node is lost, or in two places" :
	       data->sums.overwritten ? "a record was overwritten" :
	       !rings_intact(data) ? "a record is lost, or was taken twice" : "";
}
