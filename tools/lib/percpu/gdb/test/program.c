// SPDX-License-Identifier: GPL-2.0
/*
 * What gdb works on: changes words by sequences, of its own and of a library, with a second thread
 * beside it. They use glibc's areas, or with the argument "own" some that the program registers,
 * as large as the kernel knows them, and that only the symbols of librseq tell; with "hidden" not
 * even these.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sections.h"

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE	27
#endif

extern const ptrdiff_t __rseq_offset;
extern const unsigned int __rseq_size;

ptrdiff_t rseq_offset;
unsigned int rseq_size;
long here, there;

static _Alignas(1024) __thread char own[1024];
static pthread_barrier_t started;
static const char *whose = "";

static struct rseq *area(void)
{
	unsigned long size = getauxval(AT_RSEQ_FEATURE_SIZE);

	if (!*whose)
		return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	if (size < 32)
		size = 32;
	if (syscall(SYS_rseq, own, size, 0, SIGNATURE)) {
		perror("rseq");
		exit(1);
	}
	if (!strcmp(whose, "own")) {
		rseq_offset = own - (char *)__builtin_thread_pointer();
		rseq_size = size;
	}
	return (struct rseq *)own;
}

static void *idle(void *arg)
{
	area();
	pthread_barrier_wait(&started);
	pause();
	return arg;
}

/* Moves on to what happens; its lines are those that are stepped. */
static __attribute__((noinline)) bool work(struct rseq *rseq, unsigned int cpu)
{
	bool all = add_if(rseq, &here, 0, 1, cpu);
	all &= library_add(rseq, &there, 0, 10, cpu);
	all &= add_if(rseq, &here, 1, 100, cpu);
	all &= !library_add(rseq, &there, 0, 10, cpu);
	return all;
}

int main(int argc, char **argv)
{
	struct rseq *rseq;
	unsigned int cpu = sched_getcpu();
	pthread_t thread;
	cpu_set_t set;
	bool good;

	if (argc > 1)
		whose = argv[1];
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	rseq = area();
	pthread_barrier_init(&started, NULL, 2);
	pthread_create(&thread, NULL, idle, NULL);
	pthread_barrier_wait(&started);
	good = work(rseq, cpu);
	printf("here %ld, there %ld, %s\n", here, there, good ? "as it should be" : "wrong");
	return !good;
}
