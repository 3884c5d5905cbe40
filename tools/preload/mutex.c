/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - robust mutexes.
 *
 * When a thread ends that holds one, the kernel says so in the mutex, so that
 * the next who locks it gets EOWNERDEAD. It can do that only where the page is
 * present: a thread that ends takes no faults any more, and nobody would ever be
 * told. So pages with such mutexes are pinned from their initialisation until
 * they are destroyed. Pins are not inherited: a fork child makes its own.
 *
 * Rejected: to have the threads of the program tell us of their end (they may
 * end by a bare system call, and hold what they locked until then).
 */
#include "preload/mutex.h"

#include "preload/gate.h"
#include "preload/part.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Addresses of those that are kept, in no order. */
static struct {
	pthread_mutex_t lock;
	uint64_t *at; /* (lock) */
	size_t count, room;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

typedef int init_fn(pthread_mutex_t *, const pthread_mutexattr_t *);
typedef int destroy_fn(pthread_mutex_t *);

static void *next(const char *name)
{
	void *symbol;

	preload_enter();
	symbol = dlsym(RTLD_NEXT, name);
	preload_leave();
	return symbol;
}

/* ---- pages ---- */

static int pin(uint64_t at, int (*call)(struct vvm *, uint64_t, uint64_t))
{
	uint64_t start = at & -PAGE;

	return call(preload.vm, start,
		    UP(at + sizeof(pthread_mutex_t)) - start);
}

/* => lock held. */
static bool grow(void)
{
	size_t room = kept.room ? 2 * kept.room : 64;
	uint64_t *at = realloc(kept.at, room * sizeof(*at));

	if (!at)
		return false;
	kept.at = at;
	kept.room = room;
	return true;
}

/* => lock held. Its place, or count. The last ones are looked for most. */
static size_t find(uint64_t at)
{
	size_t i;

	for (i = kept.count; i > 0; i--)
		if (kept.at[i - 1] == at)
			return i - 1;
	return kept.count;
}

/* 0, or an error number. */
static int keep(uint64_t at)
{
	uint64_t before = gate_signals_block(); /* a handler may do the same */
	int error = 0;

	pthread_mutex_lock(&kept.lock);
	if (find(at) == kept.count) {
		if (kept.count == kept.room && !grow())
			error = ENOMEM;
		else if (pin(at, vvm_pin) < 0)
			error = EAGAIN;
		else
			kept.at[kept.count++] = at;
	}
	pthread_mutex_unlock(&kept.lock);
	gate_signals_restore(before);
	return error;
}

static void let_go(uint64_t at)
{
	uint64_t before = gate_signals_block();
	size_t i;

	pthread_mutex_lock(&kept.lock);
	i = find(at);
	if (i < kept.count) {
		pin(at, vvm_unpin);
		kept.at[i] = kept.at[--kept.count];
	}
	pthread_mutex_unlock(&kept.lock);
	gate_signals_restore(before);
}

void preload_mutexes_freeze(void)
{
	pthread_mutex_lock(&kept.lock);
}

void preload_mutexes_thaw(bool in_child)
{
	size_t i;

	for (i = 0; in_child && i < kept.count; i++)
		pin(kept.at[i], vvm_pin);
	pthread_mutex_unlock(&kept.lock);
}

/* ---- what the program calls ---- */

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	static init_fn *real;
	int robust = PTHREAD_MUTEX_STALLED, error;

	if (!real)
		real = (init_fn *)next("pthread_mutex_init");
	error = real(mutex, attr);
	if (error || !attr || pthread_mutexattr_getrobust(attr, &robust) ||
	    robust != PTHREAD_MUTEX_ROBUST || preload_depth ||
	    !part_paged(mutex, sizeof(pthread_mutex_t)))
		return error; /* ours is not paged, and to ask rouses a child */
	return keep((uint64_t)mutex);
}

int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
	static destroy_fn *real;

	if (!real)
		real = (destroy_fn *)next("pthread_mutex_destroy");
	if (kept.count && part_paged(mutex, sizeof(pthread_mutex_t)))
		let_go((uint64_t)mutex);
	return real(mutex);
}
