/* SPDX-License-Identifier: MIT */
/*
 * os/signal.c - signals: handlers, masks, and SIGBUS for a failed access.
 *
 * Three masks keep the program's handlers away. The library's threads have all
 * signals blocked but those that their own instructions raise; so has a handler of
 * the library; and so has a thread of the program while it holds locks of ours. The
 * C library's signal of pthread_cancel() must be blocked by its number, since
 * sigfillset() leaves it out.
 *
 * SIGBUS. A failed access is reported as the kernel would report it: queued to
 * the thread that made it, with si_addr. The si_code can differ: the kernel
 * lets a thread use the kernel's own codes (BUS_ADRERR and all others above 0)
 * towards itself only, and answers EPERM for other threads of its process.
 * Those get the same si_addr with SI_QUEUE, whose siginfo the kernel passes on
 * untouched.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/impl.h"
#include "os/os.h"

/* ---- masks and handlers ---- */

/* Every signal but those that an instruction of the thread itself raises. */
static void async_signals(sigset_t *set)
{
	static const int synchronous[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
					  SIGTRAP, SIGABRT, SIGSYS};
	size_t i;

	sigfillset(set);
	for (i = 0; i < ARRAY_SIZE(synchronous); i++)
		sigdelset(set, synchronous[i]);
}

/* SIGSYS, too, which if it is sent is for others; but not where calls trap. */
void os_block_async_signals(sigset_t *old)
{
	sigset_t set;

	async_signals(&set);
	if (!os_door_is_open())
		sigaddset(&set, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &set, old);
}

/* The signal of pthread_cancel(): sigfillset() and sigaddset() skip it. */
static void add_cancel_signal(sigset_t *set)
{
#ifdef __GLIBC__
	set->__val[0] |= 1ul << (__SIGRTMIN - 1);
#else
	(void)set;
#endif
}

int os_signal(int sig, void (*handler)(int, siginfo_t *, void *),
	      struct sigaction *old)
{
	struct sigaction sa = {.sa_sigaction = handler,
			       .sa_flags =
				       SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	async_signals(&sa.sa_mask);
	add_cancel_signal(&sa.sa_mask);
	return os_result(sigaction(sig, &sa, old));
}

/*
 * Not pthread_sigmask(3), which leaves the cancel signal out. The caller's stack
 * may be paged: then it passes lib/door's filter, and its page may have gone
 * since it was written to.
 */
static uint64_t set_mask(int how, uint64_t mask)
{
	volatile uint64_t word = mask, old;
	const uint64_t a[6] = {(uint64_t)how, (uintptr_t)&word, (uintptr_t)&old,
			       sizeof(word)};
	long r;

	do {
		word = mask;
		old = 0;
		r = os_call(SYS_rt_sigprocmask, a);
	} while (r == -EFAULT);
	return old;
}

uint64_t os_signals_waiting(void)
{
	static const int synchronous[] = {SIGSEGV, SIGBUS,  SIGFPE,
					  SIGILL,  SIGTRAP, SIGSYS};
	uint64_t mask = ~UINT64_C(0);
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(synchronous); i++)
		mask &= ~(UINT64_C(1) << (synchronous[i] - 1));
	return mask;
}

uint64_t os_signals_block(void)
{
	return set_mask(SIG_BLOCK, os_signals_waiting());
}

void os_signals_restore(uint64_t mask)
{
	set_mask(SIG_SETMASK, mask);
}

void os_signal_unblock(const sigset_t *mask)
{
	pthread_sigmask(SIG_SETMASK, mask, NULL);
}

void os_signal_let(int sig)
{
	set_mask(SIG_UNBLOCK, UINT64_C(1) << (sig - 1));
}

void os_signal_restore(int sig, const struct sigaction *old)
{
	sigaction(sig, old, NULL);
}

bool os_signal_handled(int sig)
{
	struct sigaction now;

	if (sigaction(sig, NULL, &now) < 0)
		return false;
	return (now.sa_flags & SA_SIGINFO) ||
	       (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN);
}

void os_signal_repeat(int sig, siginfo_t *si)
{
	/* the call itself: the preload object knows of no kill() */
	if (syscall(SYS_rt_sigqueueinfo, getpid(), sig, si) < 0)
		syscall(SYS_kill, getpid(), sig);
}

void os_signal_default(int sig, bool send)
{
	signal(sig, SIG_DFL);
	if (send)
		raise(sig);
}

/* ---- a failed access ---- */

static int queue_sigbus(int tid, haddr_t addr, int code)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = SIGBUS;
	info.si_code = code;
	info.si_addr = (void *)(uintptr_t)addr;
	return os_result(
		syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGBUS, &info));
}

int os_sigbus_thread(int tid, haddr_t addr)
{
	int error = os_inject_check(OS_sigqueue);

	if (!error)
		error = queue_sigbus(tid, addr, BUS_ADRERR);
	return error == -EPERM ? queue_sigbus(tid, addr, SI_QUEUE) : error;
}
