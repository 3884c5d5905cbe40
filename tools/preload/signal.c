/* SPDX-License-Identifier: MIT */
/*
 * signal.c - the program's handlers of the signals that the library lives by.
 *
 * Faults and system calls may come to the library as SIGSEGV, SIGBUS and SIGSYS:
 * which of them it takes, is seen after the space is opened, and these are
 * *claimed*. The program must neither replace their handlers nor block them (a
 * blocked one that an instruction raises is the end of the process). It does
 * not notice that:
 *	- its own action for a claimed signal is kept here. The library hands on
 *	  what is not its own to the handler that was there before it: ours,
 *	  which does what the program's action says;
 *	- in sets of signals that the program gives to the kernel claimed ones
 *	  are left out, and put back where it asks for them (sigmask.c).
 *
 * An instruction's signal that the program believes to have blocked, or that is
 * raised in its own handler, is its end, as with the kernel.
 *
 * As far as can be seen: a claimed signal that is sent (kill(2)) while the
 * program believes it blocked arrives all the same, and nobody can wait for it;
 * and in handlers of others the claimed signals of their sa_mask are not blocked.
 *
 * A child of vfork() has signals of its own and our variables in common with
 * its parent: what it sets for the claimed is not kept. It becomes another
 * program soon.
 */
#include "preload/signal.h"

#include "preload/gate.h"
#include "preload/libc.h"
#include "preload/state.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static const int numbers[] = {SIGBUS, SIGSEGV, SIGSYS};
enum { CLAIMABLE = sizeof(numbers) / sizeof(numbers[0]), AT_FAULTS = 3 };

/* In a handler's address: it takes three arguments. No address has that bit. */
#define WITH_INFO (UINT64_C(1) << 63)

/* The program's actions. Each field by itself is always what it was given. */
static struct {
	_Atomic uint64_t handler;
	_Atomic uint64_t mask; /* without the claimed */
	_Atomic unsigned char held;
	_Atomic int flags;
} actions[CLAIMABLE];

static unsigned claimed;		      /* (i) bits, as numbers[] */
static _Atomic unsigned char in_masks[_NSIG]; /* left out of sa_mask */

#define libc_sigaction LIBC(sigaction)

int __wrap_sigaction(int sig, const struct sigaction *new,
		     struct sigaction *old);
typedef void handler(int);
handler *__wrap_signal(int sig, handler *new);

/* ------------------------------------------------------------------ */
/* Sets									*/

bool signals_any(void)
{
	return claimed;
}

bool signals_at_faults(void)
{
	return claimed & AT_FAULTS;
}

/* Which of the claimed; -1: none. */
static int index_of(int sig)
{
	int i;

	for (i = 0; i < CLAIMABLE; i++)
		if (numbers[i] == sig && claimed & 1u << i)
			return i;
	return -1;
}

unsigned signals_bit(int sig)
{
	int i = index_of(sig);

	return i < 0 ? 0 : 1u << i;
}

unsigned signals_in(const sigset_t *set)
{
	unsigned i, bits = 0;

	for (i = 0; i < CLAIMABLE; i++)
		if (claimed & 1u << i && sigismember(set, numbers[i]) == 1)
			bits |= 1u << i;
	return bits;
}

void signals_remove(sigset_t *set)
{
	unsigned i;

	for (i = 0; i < CLAIMABLE; i++)
		if (claimed & 1u << i)
			sigdelset(set, numbers[i]);
}

void signals_add(sigset_t *set, unsigned bits)
{
	unsigned i;

	for (i = 0; i < CLAIMABLE; i++)
		if (bits & 1u << i)
			sigaddset(set, numbers[i]);
}

/* As the kernel has them. */
static uint64_t word_of(const sigset_t *set)
{
	uint64_t word;

	memcpy(&word, set, sizeof(word));
	return word;
}

/* ------------------------------------------------------------------ */
/* Actions								*/

static void put_action(int i, const struct sigaction *new)
{
	sigset_t mask = new->sa_mask;
	uint64_t address = (uint64_t)(uintptr_t) new->sa_sigaction;

	atomic_store(&actions[i].held, (unsigned char)signals_in(&mask));
	signals_remove(&mask);
	atomic_store(&actions[i].mask, word_of(&mask));
	atomic_store(&actions[i].flags, new->sa_flags);
	if (new->sa_flags & SA_SIGINFO)
		address |= WITH_INFO;
	atomic_store(&actions[i].handler, address);
}

static void get_action(int i, struct sigaction *out)
{
	uint64_t address = atomic_load(&actions[i].handler);
	uint64_t mask = atomic_load(&actions[i].mask);

	memset(out, 0, sizeof(*out));
	memcpy(&out->sa_mask, &mask, sizeof(mask));
	signals_add(&out->sa_mask, atomic_load(&actions[i].held));
	out->sa_flags = atomic_load(&actions[i].flags) & ~SA_SIGINFO;
	if (address & WITH_INFO)
		out->sa_flags |= SA_SIGINFO;
	out->sa_handler = (handler *)(uintptr_t)(address & ~WITH_INFO);
}

/* All of them end the process. */
static void by_default(int sig, const siginfo_t *si)
{
	static const struct sigaction action = {.sa_handler = SIG_DFL};

	libc_sigaction(sig, &action, NULL);
	/* An access happens again, and is deadly then; a call does not. */
	if (si->si_code <= 0 || sig == SIGSYS)
		gate_call(SYS_tgkill, getpid(), gate_call(SYS_gettid), sig);
}

/* What is blocked of the claimed signals while a handler of i runs. */
static unsigned held_by(int i, const struct sigaction *action)
{
	unsigned bits = signals_in(&action->sa_mask);

	return action->sa_flags & SA_NODEFER ? bits : bits | 1u << i;
}

/* It may leave by a jump or a context, which know what was held (sigmask.c). */
static void call_handler(int i, int sig, siginfo_t *si, void *context,
			 struct sigaction *action)
{
	unsigned before = signals_held();
	const ucontext_t *uc = context;
	struct signals_handled outer = signals_handle(
		(struct signals_handled){&uc->uc_sigmask, before});
	uint64_t mask;

	signals_hold(before | held_by(i, action));
	signals_remove(&action->sa_mask);
	mask = word_of(&action->sa_mask);
	/* until it returns, which brings back that of the interrupted code */
	gate_call(SYS_rt_sigprocmask, SIG_BLOCK, &mask, NULL, sizeof(mask));
	if (action->sa_flags & SA_SIGINFO)
		action->sa_sigaction(sig, si, context);
	else
		action->sa_handler(sig);
	signals_handle(outer);
	signals_hold(before);
}

/* The library's part is done: this one is not its own. */
static void hand_on(int sig, siginfo_t *si, void *context)
{
	int i = index_of(sig);
	struct sigaction action;

	if (i < 0) {
		by_default(sig, si);
		return;
	}
	get_action(i, &action);
	if (action.sa_handler == SIG_IGN && si->si_code <= 0)
		return;
	if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN ||
	    (si->si_code > 0 && signals_held() & 1u << i)) {
		by_default(sig, si);
		return;
	}
	if (action.sa_flags & SA_RESETHAND)
		atomic_store(&actions[i].handler, 0);
	call_handler(i, sig, si, context, &action);
}

static bool is_ours(int sig)
{
	struct sigaction now;

	return libc_sigaction(sig, NULL, &now) == 0 &&
	       now.sa_flags & SA_SIGINFO && now.sa_sigaction == hand_on;
}

/* The library finds our handler, where the program's will be. */
void signals_before_open(void)
{
	static const struct sigaction ours = {.sa_sigaction = hand_on,
					      .sa_flags = SA_SIGINFO};
	struct sigaction before;
	int i;

	for (i = 0; i < CLAIMABLE; i++)
		if (libc_sigaction(numbers[i], &ours, &before) == 0)
			put_action(i, &before);
}

void signals_after_open(void)
{
	struct sigaction before;
	int i;

	for (i = 0; i < CLAIMABLE; i++) {
		if (!is_ours(numbers[i])) {
			claimed |= 1u << i;
			continue;
		}
		get_action(i, &before);
		libc_sigaction(numbers[i], &before, NULL);
	}
	if (claimed)
		signals_admit();
}

/* ---- what the library and we ourselves call ---- */

int __wrap_sigaction(int sig, const struct sigaction *new,
		     struct sigaction *old)
{
	return libc_sigaction(sig, new, old);
}

handler *__wrap_signal(int sig, handler *new)
{
	struct sigaction action = {.sa_handler = new, .sa_flags = SA_RESTART};
	struct sigaction old;

	return libc_sigaction(sig, &action, &old) ? SIG_ERR : old.sa_handler;
}

/* ------------------------------------------------------------------ */
/* For the program							*/

/* What a child of vfork() sets is not its parent's. */
static bool is_vfork_child(void)
{
	return getpid() != preload.pid;
}

static int set_claimed(int i, const struct sigaction *new,
		       struct sigaction *before)
{
	get_action(i, before);
	if (new && !is_vfork_child())
		put_action(i, new);
	return 0;
}

static int set_other(int sig, struct sigaction *new, struct sigaction *before)
{
	unsigned bits = new ? signals_in(&new->sa_mask) : 0;
	int rc;

	if (new)
		signals_remove(&new->sa_mask);
	rc = libc_sigaction(sig, new, before);
	if (rc)
		return rc;
	signals_add(&before->sa_mask, atomic_load(&in_masks[sig]));
	if (new)
		atomic_store(&in_masks[sig], (unsigned char)bits);
	return 0;
}

int signals_action(int sig, const struct sigaction *new, struct sigaction *old)
{
	struct sigaction after, before;
	int i = index_of(sig), rc;

	if (!claimed)
		return libc_sigaction(sig, new, old);
	if (new)
		after = *new; /* may be paged */
	rc = i >= 0 ? set_claimed(i, new ? &after : NULL, &before)
		    : set_other(sig, new ? &after : NULL, &before);
	if (rc == 0 && old)
		*old = before;
	return rc;
}

int sigaction(int sig, const struct sigaction *new, struct sigaction *old)
{
	return signals_action(sig, new, old);
}

#define SAME_AS(name) __attribute__((alias(name), nothrow, leaf))

int __sigaction(int sig, const struct sigaction *new, struct sigaction *old)
	SAME_AS("sigaction");

static handler *set_handler(int sig, handler *new, int flags)
{
	struct sigaction action = {.sa_handler = new, .sa_flags = flags};
	struct sigaction old;

	return sigaction(sig, &action, &old) ? SIG_ERR : old.sa_handler;
}

handler *signal(int sig, handler *new)
{
	if (index_of(sig) >= 0)
		return new == SIG_ERR ? (errno = EINVAL, SIG_ERR)
				      : set_handler(sig, new, SA_RESTART);
	return LIBC(signal)(sig, new);
}

handler *bsd_signal(int sig, handler *new) SAME_AS("signal");
handler *ssignal(int sig, handler *new) SAME_AS("signal");

handler *__sysv_signal(int sig, handler *new)
{
	if (index_of(sig) >= 0)
		return set_handler(sig, new, (int)(SA_RESETHAND | SA_NODEFER));
	return LIBC(__sysv_signal)(sig, new);
}

handler *sysv_signal(int sig, handler *new) SAME_AS("__sysv_signal");

/* Those of before POSIX are there, too. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

handler *sigset(int sig, handler *new)
{
	int i = index_of(sig);
	struct sigaction action;
	bool was_held;
	handler *old;

	if (i < 0)
		return LIBC(sigset)(sig, new);
	was_held = signals_held() & 1u << i;
	if (new == SIG_HOLD) {
		get_action(i, &action);
		old = action.sa_handler;
		sighold(sig);
	} else {
		old = set_handler(sig, new, 0);
		sigrelse(sig);
	}
	return was_held ? SIG_HOLD : old;
}

int sigignore(int sig)
{
	if (index_of(sig) < 0)
		return LIBC(sigignore)(sig);
	return set_handler(sig, SIG_IGN, 0) == SIG_ERR ? -1 : 0;
}

int siginterrupt(int sig, int interrupts)
{
	struct sigaction action;
	int i = index_of(sig);

	if (i < 0)
		return LIBC(siginterrupt)(sig, interrupts);
	get_action(i, &action);
	action.sa_flags &= ~SA_RESTART;
	if (!interrupts)
		action.sa_flags |= SA_RESTART;
	put_action(i, &action);
	return 0;
}
