/* SPDX-License-Identifier: MIT */
/*
 * door/trap.c - the filter, and the process's SIGSYS handler.
 *
 * A call that the filter stops (door/filter.c) raises SIGSYS in its thread, with
 * the registers as they were. The handler makes the call by the door and puts
 * the result where the program expects it. It runs on the alternate stack, if
 * there is one, with all signals blocked that could be; the door lets them
 * through while the call lasts. One that interrupts it may leave by siglongjmp().
 *
 * pthread_cancel(): with a C library that cancels a waiting thread in the handler
 * of its signal (glibc before 2.41) it is unwound through ours. Newer ones look
 * at where the thread was interrupted, do not know that it is in one of their
 * calls, and leave it to the next.
 *
 * A SIGSYS that is not the filter's goes to the handler that was there before.
 * So do those of another copy of the library in the process.
 *
 * What the library's own threads give to the kernel is never paged. But libc has
 * them make some calls of the program's, in the handler of a signal of its own:
 * setgroups(3). They hold locks then, so they bring no page in: they make the call
 * as it is, with what must be there (vvm.h). Another SIGSYS that they get is for
 * the program's threads.
 *
 * Filters are not taken off, and the programs of a shell's children would each
 * put one more on the pile. So we first ask for one, by a call that it would
 * stop.
 *
 * State outside `struct vvm`: filter, handler and range belong to the process.
 */
#include "door/door.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <asm/unistd.h>

#include "door/filter.h"
#include "fault/inline.h"
#include "os/os.h"
#include "space/paged.h"
#include "util/lock.h"
#include "util/log.h"

#if defined(__x86_64__)

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* a si_code; <signal.h> of some has no name for it */
#endif

static struct lock installing = {.rank = LOCK_MISC};
static bool installed;		 /* (installing) */
static struct sigaction old_sys; /* of before */
static bool second;		 /* (installing) of two copies of the library */
static _Atomic bool asking;	 /* is there a filter? */
static _Atomic bool answered;

static bool is_ours(const siginfo_t *si)
{
	return si->si_code == SYS_SECCOMP && si->si_errno == FILTER_MARK;
}

static void pass_on(int sig, siginfo_t *si, void *context)
{
	os_signal_unblock(&((const ucontext_t *)context)->uc_sigmask);
	if (old_sys.sa_flags & SA_SIGINFO)
		old_sys.sa_sigaction(sig, si, context);
	else if (old_sys.sa_handler != SIG_DFL && old_sys.sa_handler != SIG_IGN)
		old_sys.sa_handler(sig);
	else if (old_sys.sa_handler == SIG_DFL || si->si_code > 0)
		os_signal_default(sig, true);
}

/* The other copy's memory, if none of it is ours. */
static bool is_anothers(const uint64_t arg[6])
{
	unsigned i;

	if (!second)
		return false;
	for (i = 0; i < 6; i++)
		if (paged_at(arg[i]))
			return false;
	return true;
}

/* Sent to the process, and one of the library's threads has got it. */
static void leave_to_others(int sig, siginfo_t *si, ucontext_t *uc)
{
	sigaddset(&uc->uc_sigmask, sig);
	os_signal_unblock(&uc->uc_sigmask);
	os_signal_repeat(sig, si);
}

static long make(const siginfo_t *si, const uint64_t arg[6], ucontext_t *uc)
{
	uint64_t mask;
	long result;

	if (os_thread_is_own())
		return os_call(si->si_syscall, arg);
	memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
	inline_caller((uint64_t)uc->uc_mcontext.gregs[REG_RIP]);
	result = door_syscall(si->si_syscall, arg, uc, &mask);
	inline_caller(VVM_STAT_SITE_CALLS);
	memcpy(&uc->uc_sigmask, &mask, sizeof(mask));
	return result;
}

static void on_signal(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	greg_t *regs = uc->uc_mcontext.gregs;
	const uint64_t arg[6] = {
		(uint64_t)regs[REG_RDI], (uint64_t)regs[REG_RSI],
		(uint64_t)regs[REG_RDX], (uint64_t)regs[REG_R10],
		(uint64_t)regs[REG_R8],	 (uint64_t)regs[REG_R9]};
	int saved = errno;

	if (is_ours(si) && atomic_load(&asking) &&
	    arg[0] == OS_DOOR_START + PAGE_BYTES) {
		atomic_store(&answered, true);
		regs[REG_RAX] = 0;
	} else if (is_ours(si) && !is_anothers(arg)) {
		regs[REG_RAX] = make(si, arg, uc);
	} else if (os_thread_is_own() && si->si_code <= 0) {
		leave_to_others(sig, si, uc);
	} else {
		pass_on(sig, si, context);
	}
	errno = saved;
}

/* Behind the door's page nothing is mapped: without a filter it is EFAULT. */
static bool has_filter(void)
{
	const uint64_t a[6] = {OS_DOOR_START + PAGE_BYTES};

	atomic_store(&asking, true);
	os_call_filtered(__NR_uname, a);
	atomic_store(&asking, false);
	return atomic_load(&answered);
}

static int install_filter(void)
{
	struct sock_filter *text = malloc(FILTER_MOST * sizeof(*text));
	int rc;

	if (!text)
		return -ENOMEM;
	rc = os_filter_install(text, filter_text(text));
	free(text);
	return rc;
}

static int install(void)
{
	int rc = os_door_open(&second);

	if (rc < 0) {
		log_error("syscalls=trap: the addresses that it needs are in "
			  "use, or nothing may be executed there");
		return rc == -ENOMEM ? rc : -ENOTSUP;
	}
	rc = os_signal(SIGSYS, on_signal, &old_sys);
	if (rc < 0)
		return rc;
	os_signal_let(SIGSYS);
	if (has_filter())
		return 0;
	rc = install_filter();
	if (rc < 0) {
		os_signal_restore(SIGSYS, &old_sys);
		log_error("syscalls=trap: no filter of system calls can be "
			  "installed: error %d from the kernel",
			  -rc);
	}
	return rc == -EINVAL ? -ENOSYS : rc == -EACCES ? -EPERM : rc;
}

int door_install(void)
{
	int rc = 0;

	lock_take(&installing);
	if (!installed)
		rc = install();
	installed |= rc == 0;
	lock_drop(&installing);
	return rc;
}

#else

int door_install(void)
{
	log_error("syscalls=trap is for x86-64 only");
	return -ENOTSUP;
}

#endif
