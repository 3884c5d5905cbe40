/* SPDX-License-Identifier: MIT */
/*
 * util/hook.h - a callback of the program's and its argument: whoever calls it
 * gets both of the same hook_set().
 *
 * Whoever calls may be a signal handler, or in a fork child, so it takes no
 * lock: there are two places, and hook_set() writes to the one that is not
 * looked at. Only after two of them a look was in vain, and is repeated.
 */
#ifndef VVM_HOOK_H
#define VVM_HOOK_H

#include <stdatomic.h>

typedef void (*hook_callback)(void);

struct hook {
	_Atomic unsigned turn; /* odd: place 1 is looked at */
	struct {
		_Atomic(hook_callback) callback; /* or NULL */
		_Atomic(void *) arg;
	} place[2];
};

/* => by one thread at a time. */
static inline void hook_set(struct hook *h, hook_callback callback, void *arg)
{
	unsigned turn = atomic_load(&h->turn) + 1;

	atomic_store(&h->place[turn & 1].callback, callback);
	atomic_store(&h->place[turn & 1].arg, arg);
	atomic_store(&h->turn, turn);
}

/* The callback, or NULL, and its argument. */
static inline hook_callback hook_get(const struct hook *h, void **arg)
{
	hook_callback callback;
	unsigned turn;

	do {
		turn = atomic_load(&h->turn);
		callback = atomic_load(&h->place[turn & 1].callback);
		*arg = atomic_load(&h->place[turn & 1].arg);
	} while (atomic_load(&h->turn) != turn);
	return callback;
}

#endif
