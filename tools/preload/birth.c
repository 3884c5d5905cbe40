/* SPDX-License-Identifier: MIT */
/*
 * birth.c - the threads that the program makes.
 *
 * A thread begins with what its maker believes to be blocked (sigmask.c), and
 * with a stack for signals where one is needed (altstack.c).
 *
 * Its own stack must not be paged: libc and the kernel keep there what is
 * written when nothing can be brought in. Where the program has provided such
 * memory (pthread_attr_setstack(3)), the thread gets a stack of libc's that is
 * as large.
 *
 * libc reads the attributes while it has all signals blocked, and gives some of
 * them to the kernel. So it gets a copy of them that is not paged; what they
 * point to (sets of CPUs and of signals) it has allocated outside of the heap.
 */
#include "preload/birth.h"

#include "preload/altstack.h"
#include "preload/libc.h"
#include "preload/part.h"
#include "preload/signal.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <threads.h>

struct birth {
	void *(*run)(void *);
	void *arg;
	unsigned held;
};

/* Of libc's functions with a name the newest, or a sanitizer's. */
#define NEXT_OF(name)                                                       \
	({                                                                  \
		static __typeof__(name) *next_;                             \
		if (!next_) {                                               \
			preload_enter();                                    \
			next_ = (__typeof__(next_))dlsym(RTLD_NEXT, #name); \
			preload_leave();                                    \
		}                                                           \
		next_;                                                      \
	})

int next_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			void *(*run)(void *), void *arg)
{
	__typeof__(pthread_create) *next = NEXT_OF(pthread_create);

	return next ? next(thread, attr, run, arg) : EAGAIN;
}

static void *be_born(void *p)
{
	struct birth birth = *(struct birth *)p;

	preload_born = true;
	part_born();
	libc_free(p);
	signals_hold(birth.held);
	signals_admit(); /* of the attributes' mask */
	altstack_begin();
	return birth.run(birth.arg);
}

/* ------------------------------------------------------------------ */
/* Attributes								*/

static bool has_paged_stack(const pthread_attr_t *attr)
{
	size_t bytes = 0;
	void *stack = NULL;

	/* size and no address: the address would be below 0 */
	return attr && preload.paging &&
	       pthread_attr_getstack(attr, &stack, &bytes) == 0 &&
	       (uintptr_t)stack + bytes > bytes && is_paged(stack, bytes);
}

static void copy_scheduling(pthread_attr_t *to, const pthread_attr_t *from)
{
	struct sched_param parameter;
	int value;

	if (pthread_attr_getschedpolicy(from, &value) == 0)
		pthread_attr_setschedpolicy(to, value);
	if (pthread_attr_getschedparam(from, &parameter) == 0)
		pthread_attr_setschedparam(to, &parameter);
	if (pthread_attr_getinheritsched(from, &value) == 0)
		pthread_attr_setinheritsched(to, value);
	if (pthread_attr_getscope(from, &value) == 0)
		pthread_attr_setscope(to, value);
}

static void copy_sets(pthread_attr_t *to, const pthread_attr_t *from)
{
	cpu_set_t cpus;
	sigset_t mask;

	if (pthread_attr_getaffinity_np(from, sizeof(cpus), &cpus) == 0)
		pthread_attr_setaffinity_np(to, sizeof(cpus), &cpus);
	if (pthread_attr_getsigmask_np(from, &mask) == 0)
		pthread_attr_setsigmask_np(to, &mask);
}

/* All but where the stack is. */
static int copy_attributes(pthread_attr_t *to, const pthread_attr_t *from)
{
	int value, error = pthread_attr_init(to);
	size_t bytes;

	if (error)
		return error;
	if (pthread_attr_getstacksize(from, &bytes) == 0)
		pthread_attr_setstacksize(to, bytes);
	if (pthread_attr_getdetachstate(from, &value) == 0)
		pthread_attr_setdetachstate(to, value);
	copy_scheduling(to, from);
	copy_sets(to, from);
	return 0;
}

static int create_elsewhere(pthread_t *thread, const pthread_attr_t *attr,
			    struct birth *birth)
{
	pthread_attr_t other;
	int error = copy_attributes(&other, attr);

	if (error)
		return error;
	error = next_pthread_create(thread, &other, be_born, birth);
	pthread_attr_destroy(&other);
	return error;
}

/* Without attributes libc makes some of its own for the time of the call. */
static int create(pthread_t *thread, const pthread_attr_t *attr,
		  struct birth *birth)
{
	pthread_attr_t copy;
	int error;

	if (attr)
		copy = *attr;
	preload_enter();
	if (has_paged_stack(attr))
		error = create_elsewhere(thread, attr, birth);
	else
		error = next_pthread_create(thread, attr ? &copy : NULL,
					    be_born, birth);
	preload_leave();
	return error;
}

/* ------------------------------------------------------------------ */
/* For the program							*/

/* Without a mask of its own a thread has its maker's. */
static unsigned held_by(const pthread_attr_t *attr)
{
	sigset_t mask;

	return attr && pthread_attr_getsigmask_np(attr, &mask) == 0
		       ? 0 /* signals_admit() will see it */
		       : signals_held();
}

/* Where nothing is to be done for threads, nothing is done. */
static int give_birth(pthread_t *thread, const pthread_attr_t *attr,
		      void *(*run)(void *), void *arg)
{
	struct birth *birth;
	int error;

	if (!signals_any() && !has_paged_stack(attr))
		return next_pthread_create(thread, attr, run, arg);
	birth = libc_malloc(sizeof(*birth));
	if (!birth)
		return EAGAIN;
	*birth = (struct birth){run, arg, held_by(attr)};
	error = create(thread, attr, birth);
	if (error)
		libc_free(birth);
	return error;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
		   void *(*run)(void *), void *arg)
{
	return give_birth(thread, attr, run, arg);
}

/* What it returns comes to thrd_join() as it would: as an int in a pointer. */
int thrd_create(thrd_t *thread, thrd_start_t run, void *arg)
{
	int error = give_birth(thread, NULL, (void *(*)(void *))(uintptr_t)run,
			       arg);

	if (error == ENOMEM)
		return thrd_nomem;
	return error ? thrd_error : thrd_success;
}

/* ---- attributes, as far as libc allocates something for them ---- */

#define ATTRIBUTE(name, parameters, ...)                                    \
	int pthread_##name parameters                                       \
	{                                                                   \
		__typeof__(pthread_##name) *next = NEXT_OF(pthread_##name); \
		int error = ENOSYS;                                         \
                                                                            \
		preload_enter();                                            \
		if (next)                                                   \
			error = next(__VA_ARGS__);                          \
		preload_leave();                                            \
		return error;                                               \
	}

ATTRIBUTE(attr_setaffinity_np,
	  (pthread_attr_t * attr, size_t bytes, const cpu_set_t *cpus), attr,
	  bytes, cpus)
ATTRIBUTE(attr_setsigmask_np, (pthread_attr_t * attr, const sigset_t *mask),
	  attr, mask)
ATTRIBUTE(getattr_np, (pthread_t thread, pthread_attr_t *attr), thread, attr)
ATTRIBUTE(getattr_default_np, (pthread_attr_t * attr), attr)
ATTRIBUTE(setattr_default_np, (const pthread_attr_t *attr), attr)
