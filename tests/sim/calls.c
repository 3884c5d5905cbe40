/* SPDX-License-Identifier: MIT */
/*
 * sim/calls.c - the other calls of lib/os: failures, time, futexes, threads,
 * signals.
 *
 * What is not here, nor in the other files of this folder, is lib/os itself:
 * reserving and mapping the library's own memory, for example. Its functions
 * ask os_inject_check() whether to fail, which is here.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "os/os.h"
#include "sim/files.h"
#include "sim/forks.h"
#include "sim/memory.h"
#include "sim/sched.h"

/* ---- failures ---- */

/* What a call may say for no fault of the caller's; 0: it never fails. */
static const int errors[OS_POINT_COUNT] = {
	[OS_memfd] = ENFILE,	     [OS_reserve] = ENOMEM,
	[OS_map] = ENOMEM,	     [OS_unmap] = ENOMEM,
	[OS_protect] = ENOMEM,	     [OS_advise] = ENOMEM,
	[OS_punch] = ENOMEM,	     [OS_frame_read] = ENOMEM,
	[OS_frame_write] = ENOMEM,   [OS_truncate] = ENOMEM,
	[OS_pagemap] = ENOMEM,	     [OS_uffd_open] = ENFILE,
	[OS_uffd_register] = ENOMEM, [OS_uffd_copy] = ENOMEM,
	[OS_uffd_zero] = ENOMEM,     [OS_uffd_wp] = ENOMEM,
	[OS_uffd_poison] = ENOMEM,   [OS_open] = EMFILE,
	[OS_fallocate] = ENOSPC,     [OS_eventfd] = EMFILE,
	[OS_thread] = EAGAIN,	     [OS_ring_setup] = ENOMEM,
	[OS_pipe] = EMFILE,	     [OS_epoll] = EMFILE,
	[OS_guard_install] = ENOMEM, [OS_guard_remove] = ENOMEM,
};

int sim_call(unsigned point)
{
	if (!sim_self)
		return 0;
	sim_point(SIM_AT_CALL);
	if (K->frozen || !K->fail || !errors[point] ||
	    !sim_chance(K->params.failures))
		return 0;
	K->failures++;
	sim_trace(SIM_EV_FAIL, point, (uint64_t)errors[point]);
	return -errors[point];
}

int __wrap_os_inject_check(enum os_point point)
{
	return sim_call(point);
}

/* ---- time ---- */

uint64_t __wrap_os_now_ns(void)
{
	if (!sim_self)
		return 1;
	sim_point(SIM_AT_ATOMIC);
	return K->now_ns += 100 + sim_below(200);
}

uint64_t __wrap_os_now_us(void)
{
	return __wrap_os_now_ns() / 1000;
}

uint64_t __wrap_os_unix_us(void)
{
	return __wrap_os_now_ns() / 1000;
}

void __wrap_os_sleep_us(uint64_t us)
{
	uint64_t until_ns;

	if (!sim_self)
		return;
	until_ns = K->now_ns + us * 1000 + 1;
	while (K->now_ns < until_ns)
		sim_wait(SIM_SLEEP, 0, until_ns);
}

void __wrap_os_yield(void)
{
	sim_yield();
}

/* ---- futexes ---- */

int __wrap_os_futex_wait(const _Atomic uint32_t *word, uint32_t value,
			 int64_t timeout_us)
{
	uint64_t deadline_ns = 0;

	sim_point(SIM_AT_CALL);
	if (atomic_load(word) != value)
		return -EAGAIN;
	if (timeout_us >= 0)
		deadline_ns = K->now_ns + (uint64_t)timeout_us * 1000 + 1;
	return sim_wait(SIM_FUTEX, (uint64_t)(uintptr_t)word, deadline_ns);
}

void __wrap_os_futex_wake(_Atomic uint32_t *word, int count)
{
	sim_point(SIM_AT_CALL);
	sim_wake(SIM_FUTEX, (uint64_t)(uintptr_t)word, (unsigned)count);
	sim_point(SIM_AT_CALL);
}

/* ---- threads ---- */

/* As lib/os/proc.c: room for frames that no sanitizer has made longer. */
#define STACK_BYTES ((size_t)256 << 10)

int __wrap_os_thread_start(pthread_t *thread, const char *name,
			   void *(*run)(void *), void *arg)
{
	struct sim_thread *t;
	pthread_attr_t attr;
	sigset_t all, old;
	int error = sim_call(OS_thread);

	if (error)
		return error;
	t = sim_thread_new(name, false);
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGABRT);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = sim_thread_start(t, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	*thread = t->handle;
	return -error;
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
	sim_point(SIM_AT_CALL);
	sim_join(thread);
	if (result)
		*result = NULL;
	return 0;
}

/* Threads are known by numbers of ours, and none of the library's ends early. */
int __wrap_os_thread_fd(int *fd);
int __wrap_os_thread_fd(int *fd)
{
	(void)fd;
	return -ENOSYS;
}

bool __wrap_os_thread_gone(int tid);
bool __wrap_os_thread_gone(int tid)
{
	(void)tid;
	return false;
}

int __wrap_os_thread_call(int tid, struct os_call *call);
int __wrap_os_thread_call(int tid, struct os_call *call)
{
	(void)tid;
	(void)call;
	return -ESRCH;
}

int __wrap_os_tid(void)
{
	return sim_self ? (int)(sim_self - K->thread) + SIM_TID : 1;
}

int __wrap_os_pid(void)
{
	return sim_proc + 1;
}

unsigned __wrap_os_cpus(void)
{
	return 4;
}

uint64_t __wrap_os_ram_bytes(void)
{
	return (uint64_t)1 << 30;
}

int __wrap_os_sigbus_thread(int tid, haddr_t addr)
{
	struct sim_thread *t = &K->thread[(tid - SIM_TID) % SIM_THREADS];

	sim_point(SIM_AT_CALL);
	if (!t->used || t->proc != sim_proc)
		return -ESRCH;
	t->sigbus = true;
	t->sigbus_addr = addr;
	if (t->why == SIM_FAULT)
		t->woken = true;
	return 0;
}

/* ---- signals ---- */

static void (*handlers[NSIG])(int, siginfo_t *, void *);

/* Who had the signal before the library: the program, which leaves the access.
 */
static void program(int sig, siginfo_t *info, void *context)
{
	(void)context;
	sim_leave_access(sig, (uint64_t)(uintptr_t)info->si_addr);
}

int __wrap_os_signal(int sig, void (*handler)(int, siginfo_t *, void *),
		     struct sigaction *old)
{
	memset(old, 0, sizeof(*old));
	old->sa_flags = SA_SIGINFO;
	old->sa_sigaction = program;
	handlers[sig] = handler;
	return 0;
}

bool __wrap_os_signal_handled(int sig)
{
	return handlers[sig] != NULL;
}

void __wrap_os_signal_default(int sig, bool send)
{
	(void)send;
	sim_fail("the library gives signal %d its default action", sig);
}

/* With the mask that os_signal() asks for. */
bool sim_signal_library(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	sigset_t mask;

	if (!handlers[sig])
		return false;
	sigfillset(&mask);
	sigdelset(&mask, SIGSEGV);
	sigdelset(&mask, SIGBUS);
	sigdelset(&mask, SIGABRT);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	handlers[sig](sig, info, context);
	pthread_sigmask(SIG_SETMASK, &uc->uc_sigmask, NULL);
	return true;
}

extern uint64_t __real_os_signals_block(void);
uint64_t __wrap_os_signals_block(void)
{
	sim_point(SIM_AT_CALL);
	return __real_os_signals_block();
}

extern void __real_os_signals_restore(uint64_t mask);
void __wrap_os_signals_restore(uint64_t mask)
{
	__real_os_signals_restore(mask);
	sim_point(SIM_AT_CALL);
}

/* ---- what no simulated thread may hold while others run ---- */

void __wrap_os_streams_lock(void)
{
	sim_point(SIM_AT_CALL);
}

void __wrap_os_streams_unlock(void)
{
	sim_point(SIM_AT_CALL);
}

_Noreturn void __wrap_assert_failed(const char *text, const char *file,
				    int line)
{
	sim_fail("assertion failed: %s (%s:%d)", text, file, line);
}

/* ---- forks ---- */

extern int __real_os_fork_watch(void);
int __wrap_os_fork_watch(void)
{
	sim_forks_init(); /* before the library's handlers: sim/forks.c */
	return __real_os_fork_watch();
}
