/* SPDX-License-Identifier: MIT */
/* watch.h - does the pager keep to its budget? Asked of the kernel. */
#ifndef VVM_BENCH_WATCH_H
#define VVM_BENCH_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { WATCH_FDS = 8 };

struct watch {
	pthread_t thread;	     /* (i) */
	int fds[WATCH_FDS];	     /* (i) memfds of libvvm */
	unsigned fd_count;	     /* (i) */
	_Atomic bool stop;	     /* (a) */
	_Atomic uint64_t peak_bytes; /* (a) most that was ever allocated */
	_Atomic uint64_t samples;    /* (a) */
};

/* => the space is open. Exits TOOL_FAILED when its memfd is not found. */
void watch_start(struct watch *w);
/* Returns the most bytes that were ever allocated. */
uint64_t watch_stop(struct watch *w);

#endif
