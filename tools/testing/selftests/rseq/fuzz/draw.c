// SPDX-License-Identifier: GPL-2.0
/* Random numbers, and the values that are worth trying. */
#include "fuzz.h"

/* A counter, mixed: every state is as good as any other. */
uint64_t draw64(struct rng *r)
{
	uint64_t x = r->state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

unsigned int draw(struct rng *r, unsigned int n)
{
	return (draw64(r) >> 32) % n;
}

bool chance(struct rng *r, unsigned int n, unsigned int of)
{
	return draw(r, of) < n;
}

/* The random numbers of one step are independent of all the others. */
struct rng rng_of(uint64_t seed, uint64_t number, unsigned int step)
{
	struct rng r = { seed };

	r.state = draw64(&r) ^ number;
	r.state = draw64(&r) ^ step;
	return r;
}

static uint64_t draw_base(struct rng *r)
{
	static const uint64_t high[] = {
		1ULL << 32, 1ULL << 47, 1ULL << 56, 1ULL << 62, 1ULL << 63,
		0xffff888000000000ULL, 0xffffffff81000000ULL,
	};
	unsigned char *page;

	switch (draw(r, 8)) {
	case 0:
	case 1:
	case 2:
		return fuzz_label(r);
	case 3:
		page = pick(r, slot_page);
		return (unsigned long)page + draw(r, 128) * 32;
	case 4:
		return facts.task_size;
	case 5:
		return pick(r, high);
	case 6:
		return fuzz_label(r) + pick(r, high);
	default:
		return 0;
	}
}

/* An address: a place that matters, or one beside it. */
uint64_t draw_address(struct rng *r)
{
	static const int beside[] = { 1, -1, 2, 4, -4, 7, 8, -8, 16, -16, 32, -32, 4096, -4096 };
	uint64_t base = draw_base(r);

	return chance(r, 1, 2) ? base : base + pick(r, beside);
}

uint32_t draw_word(struct rng *r)
{
	static const uint32_t words[] = {
		0, 1, 2, 3, 4, 8, 16, 32, 48, 255, 256, 257, 0x80000000, UINT32_MAX,
		UINT32_MAX - 1, POISON_WORD,
	};

	if (chance(r, 1, 8))
		return draw64(r);
	if (chance(r, 1, 4))
		return facts.cpu_a;
	return pick(r, words);
}
