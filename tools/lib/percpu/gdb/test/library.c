// SPDX-License-Identifier: GPL-2.0
#include "sections.h"

bool library_add(struct rseq *area, long *p, long expect, long count, unsigned int cpu)
{
	return add_if(area, p, expect, count, cpu);
}
