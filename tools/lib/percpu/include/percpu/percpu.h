/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/* Per-CPU data by restartable sequences and cpu_opv(2): all of the library. See percpu(3). */
#ifndef PERCPU_PERCPU_H
#define PERCPU_PERCPU_H

#include <percpu/area.h>
#include <percpu/counter.h>
#include <percpu/info.h>
#include <percpu/list.h>
#include <percpu/ops.h>
#include <percpu/pool.h>

#endif /* PERCPU_PERCPU_H */
