/* SPDX-License-Identifier: MIT */
/*
 * notify.c - what libc tells the program by threads of its own.
 *
 * Timers and message queues with SIGEV_THREAD have a thread of libc's that
 * waits, with all signals blocked, and begins others; getaddrinfo_a() has
 * threads that do the work so. Where a fault or a system call on paged memory
 * comes as a signal, it is the end of the process there: nobody could be asked
 * to unblock it, since libc calls itself directly. So
 *
 *	- what libc allocates for such a thread is not paged, nor what it
 *	  allocates in one (state.h, preload_born);
 *	- the program's function is called by ours, which unblocks the library's
 *	  signals first;
 *	- getaddrinfo_a() works at once, in its caller, as aio.c does.
 */
#include "preload/notify.h"

#include "preload/gate.h"
#include "preload/libc.h"
#include "preload/signal.h"
#include "preload/state.h"

#include <errno.h>
#include <mqueue.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- telling it ourselves ---- */

static void *call_function(void *p)
{
	struct sigevent event = *(struct sigevent *)p;

	libc_free(p);
	event.sigev_notify_function(event.sigev_value);
	return NULL;
}

void notify(const struct sigevent *event)
{
	struct sigevent *copy;
	pthread_t thread;
	siginfo_t info;

	if (event->sigev_notify == SIGEV_SIGNAL) {
		memset(&info, 0, sizeof(info));
		info.si_signo = event->sigev_signo;
		info.si_code = SI_ASYNCIO;
		info.si_pid = getpid();
		info.si_uid = getuid();
		info.si_value = event->sigev_value;
		plain_call(SYS_rt_sigqueueinfo, getpid(), event->sigev_signo,
			   &info);
	} else if (event->sigev_notify == SIGEV_THREAD) {
		copy = libc_malloc(sizeof(*copy));
		if (!copy)
			return;
		*copy = *event;
		if (pthread_create(&thread, event->sigev_notify_attributes,
				   call_function, copy) == 0)
			pthread_detach(thread);
		else
			libc_free(copy);
	}
}

/* ---- having libc tell it ---- */

typedef int timer_maker(clockid_t, struct sigevent *, timer_t *);
typedef int mq_notifier(mqd_t, const struct sigevent *);

/* What is to be called, with what. */
struct wish {
	void (*function)(union sigval);
	union sigval value;
	bool once;
};

static void fulfil(union sigval value)
{
	struct wish wish = *(struct wish *)value.sival_ptr;

	if (wish.once)
		libc_free(value.sival_ptr);
	signals_admit();
	wish.function(wish.value);
}

static bool by_thread(const struct sigevent *event)
{
	return signals_any() && event && event->sigev_notify == SIGEV_THREAD;
}

/*
 * The event, changed to call fulfil(). NULL: no memory. => preload_enter(), which
 * is for what libc allocates, too.
 */
static struct wish *wish_for(struct sigevent *event, bool once)
{
	struct wish *wish = libc_malloc(sizeof(*wish));

	if (!wish)
		return NULL;
	*wish = (struct wish){event->sigev_notify_function, event->sigev_value,
			      once};
	event->sigev_notify_function = fulfil;
	event->sigev_value.sival_ptr = wish;
	return wish;
}

/*
 * The wish stays when the timer goes: a thread may still be on its way. These
 * are some bytes for each that a program makes.
 */
int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
	timer_maker *next = NEXT(timer_maker, timer_create);
	struct sigevent copy;
	struct wish *wish;
	timer_t made;
	int rc = -1;

	if (!by_thread(event))
		return next(clock, event, timer);
	copy = *event; /* may be paged, as the result's place */
	preload_enter();
	wish = wish_for(&copy, false);
	if (wish)
		rc = next(clock, &copy, &made);
	if (rc)
		libc_free(wish);
	preload_leave();
	if (rc == 0)
		*timer = made;
	return rc;
}

int mq_notify(mqd_t queue, const struct sigevent *event)
{
	mq_notifier *next = NEXT(mq_notifier, mq_notify);
	struct sigevent copy;
	struct wish *wish;
	int rc = -1;

	if (!by_thread(event))
		return next(queue, event);
	copy = *event;
	preload_enter();
	wish = wish_for(&copy, true);
	if (wish)
		rc = next(queue, &copy);
	if (rc)
		libc_free(wish);
	preload_leave();
	return rc;
}

/* ---- names ---- */

typedef int resolver(int, struct gaicb *[], int, struct sigevent *);

int getaddrinfo_a(int mode, struct gaicb *list[], int count,
		  struct sigevent *event)
{
	int i;

	if (!signals_any())
		return NEXT(resolver, getaddrinfo_a)(mode, list, count, event);
	if (mode != GAI_WAIT && mode != GAI_NOWAIT) {
		errno = EINVAL;
		return EAI_SYSTEM;
	}
	for (i = 0; i < count; i++)
		if (list[i])
			list[i]->__return = getaddrinfo(
				list[i]->ar_name, list[i]->ar_service,
				list[i]->ar_request, &list[i]->ar_result);
	if (mode == GAI_NOWAIT && event)
		notify(event);
	return 0;
}
