/* SPDX-License-Identifier: MIT */
/*
 * atfork.c - the fork handlers that the program and its libraries register.
 *
 * libc runs "prepare" handlers in the reverse order of their registration. One
 * that was registered before ours, in a constructor of a library, would run
 * while the space is held still; if it frees or touches paged memory, it waits
 * for itself. So all handlers but ours are in a list of our own, and run
 * outside of ours: before ours have locked anything, after they have unlocked
 * all.
 *
 * All registrations come to __register_atfork(): pthread_atfork() is in each
 * object. __cxa_finalize() tells which object goes away, and its handlers with
 * it, as in libc.
 *
 * _Fork(3) runs none of the program's, but ours: libc's fork() with that list left
 * out. A system call that forks, as sandboxes make it for its flags, does as much,
 * and libc does nothing at all: so what we have given to libc's list is run here
 * (rawfork.c).
 *
 * Where nothing is paged, and until the space is open, one set of handlers in
 * libc's list runs ours.
 */
#include "preload/atfork.h"

#include "preload/gate.h"
#include "preload/libc.h"
#include "preload/state.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

int __register_atfork(void (*prepare)(void), void (*parent)(void),
		      void (*child)(void), void *object);
void __cxa_finalize(void *object);
int __wrap___register_atfork(void (*prepare)(void), void (*parent)(void),
			     void (*child)(void), void *object);

struct handlers {
	void (*prepare)(void);
	void (*parent)(void);
	void (*child)(void);
	const void *object;
	uint64_t number; /* of its registration, from 1 */
};

/*
 * (l) lock. In the order of numbers. The lock is not held while a handler runs:
 * it may register others, or unload an object.
 */
static struct handlers *list; /* (l) */
static size_t used, room;     /* (l) */
static uint64_t registered;   /* (l) */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool begun, taken_over;
static const char no_object;

/* The last that takes part in this thread's fork; and that none does. */
static __thread uint64_t last __attribute__((tls_model("initial-exec")));
static __thread bool none __attribute__((tls_model("initial-exec")));

/* ---- running them ---- */

/* The handlers next to a number, above or below it. False: none is left. */
static bool next(uint64_t number, bool up, struct handlers *out)
{
	const struct handlers *h, *found = NULL;
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < used && !found; i++) {
		h = &list[up ? i : used - 1 - i];
		if (up ? h->number > number : h->number < number)
			found = h;
	}
	if (found)
		*out = *found;
	pthread_mutex_unlock(&lock);
	return found;
}

void atfork_prepare(void)
{
	struct handlers h = {0};

	if (none) {
		none = false;
		last = 0;
		return;
	}
	pthread_mutex_lock(&lock);
	last = registered;
	pthread_mutex_unlock(&lock);
	for (h.number = last + 1; next(h.number, false, &h);)
		if (h.prepare)
			h.prepare();
}

void atfork_parent(void)
{
	struct handlers h = {0};

	while (next(h.number, true, &h) && h.number <= last)
		if (h.parent)
			h.parent();
}

void atfork_child(void)
{
	struct handlers h = {0};

	while (next(h.number, true, &h) && h.number <= last)
		if (h.child)
			h.child();
}

pid_t atfork_without(void)
{
	uint64_t signals = gate_signals_block(), outer = last;
	pid_t pid;

	none = true; /* a handler's fork() would take it for its own */
	pid = LIBC(fork)();
	last = outer; /* of a fork that a handler of ours has interrupted */
	gate_signals_restore(signals);
	return pid;
}

void atfork_freeze(void)
{
	pthread_mutex_lock(&lock);
}

void atfork_thaw(void)
{
	pthread_mutex_unlock(&lock);
}

void atfork_renew(void)
{
	pthread_mutex_init(&lock, NULL);
}

/* Ours in libc's list, in the order of registration. */
static struct handlers ours[16];
static unsigned ours_used;

long atfork_call(long number, const unsigned long a[6])
{
	uint64_t signals = gate_signals_block(), outer = last;
	unsigned i;
	long pid;
	int error;

	none = true;
	for (i = ours_used; i-- > 0;)
		if (ours[i].prepare)
			ours[i].prepare();
	pid = plain_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	error = errno;
	for (i = 0; i < ours_used; i++)
		if (pid ? ours[i].parent : ours[i].child)
			(pid ? ours[i].parent : ours[i].child)();
	last = outer;
	gate_signals_restore(signals);
	errno = error;
	return pid;
}

/* ---- in libc's list, while nothing is paged ---- */

static void early_prepare(void)
{
	if (atomic_load(&taken_over))
		return;
	atfork_prepare();
	atfork_freeze();
}

static void early_parent(void)
{
	if (atomic_load(&taken_over))
		return;
	atfork_thaw();
	atfork_parent();
}

static void early_child(void)
{
	if (atomic_load(&taken_over))
		return;
	atfork_renew();
	atfork_child();
}

void atfork_take_over(void)
{
	atomic_store(&taken_over, true);
}

/* ---- registration ---- */

typedef int registrar(void (*)(void), void (*)(void), void (*)(void), void *);

/* What the library registers is libc's. */
int __wrap___register_atfork(void (*prepare)(void), void (*parent)(void),
			     void (*child)(void), void *object)
{
	static registrar *real;
	int error;

	if (!real)
		real = (registrar *)libc_function("__register_atfork");
	if (ours_used == sizeof(ours) / sizeof(*ours))
		return ENOMEM;
	error = real(prepare, parent, child, object);
	if (!error)
		ours[ours_used++] = (struct handlers){
			.prepare = prepare, .parent = parent, .child = child};
	return error;
}

/* => lock held */
static bool make_room(void)
{
	size_t more = room ? 2 * room : 16;
	struct handlers *new;

	if (used < room)
		return true;
	new = libc_realloc(list, more * sizeof(*list));
	if (!new)
		return false;
	list = new;
	room = more;
	return true;
}

int __register_atfork(void (*prepare)(void), void (*parent)(void),
		      void (*child)(void), void *object)
{
	bool fits;

	if (!atomic_load(&taken_over) && !atomic_exchange(&begun, true))
		__wrap___register_atfork(early_prepare, early_parent,
					 early_child, NULL);
	pthread_mutex_lock(&lock);
	fits = make_room();
	if (fits)
		list[used++] = (struct handlers){.prepare = prepare,
						 .parent = parent,
						 .child = child,
						 .object = object ? object
								  : &no_object,
						 .number = ++registered};
	pthread_mutex_unlock(&lock);
	return fits ? 0 : ENOMEM;
}

static void drop_handlers(const void *object)
{
	size_t i, kept = 0;

	pthread_mutex_lock(&lock);
	for (i = 0; i < used; i++)
		if (list[i].object != object)
			list[kept++] = list[i];
	used = kept;
	pthread_mutex_unlock(&lock);
}

/* An object is being unloaded. */
void __cxa_finalize(void *object)
{
	static void (*real)(void *);

	if (!real)
		real = (void (*)(void *))libc_function("__cxa_finalize");
	real(object);
	if (object)
		drop_handlers(object);
}
