/* SPDX-License-Identifier: MIT */
/*
 * sigmask.c - masks of signals, without those that the library has claimed: see
 * signal.c. What a thread believes to have blocked of them it is told when it
 * asks.
 *
 * A set is copied before it is used: it may be paged.
 *
 * Where libc itself stores the mask and uses it later (contexts, altstack.c;
 * sigsetjmp(3)), what is believed is noted in the set, behind the 64 signals that
 * the kernel has: it neither writes nor reads that.
 *
 * A context's set the program may change, of which the functions for sets write
 * only what the kernel has. So that is noted, too, and a note is believed as long
 * as it is the same. A set that is made by the kernel, for a handler, has no
 * note, and no room for one: what is held stays as it is, but where the handler
 * is of a claimed signal.
 */
#include "preload/libc.h"
#include "preload/gate.h"
#include "preload/part.h"
#include "preload/signal.h"
#include "preload/state.h"
#include "preload/tail.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

static __thread unsigned held __attribute__((tls_model("initial-exec")));

/*
 * sigsetjmp() and setjmp() are macros; what is to be longjmp() depends on how we
 * are built, so these have names of their own here.
 */
typedef int setter(sigjmp_buf, int);
typedef int mask_setter(sigjmp_buf);
mask_setter set_jump __asm__("setjmp");
typedef void jumper(struct __jmp_buf_tag *, int);
_Noreturn jumper jump __asm__("siglongjmp");
_Noreturn jumper jump_too __asm__("longjmp")
	__attribute__((alias("siglongjmp")));
_Noreturn jumper jump_as_well __asm__("_longjmp")
	__attribute__((alias("siglongjmp")));
_Noreturn jumper checked_jump __asm__("__longjmp_chk");

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);

unsigned signals_held(void)
{
	return held;
}

void signals_hold(unsigned bits)
{
	held = bits;
}

void signals_admit(void)
{
	sigset_t mask, admitted;

	if (LIBC(pthread_sigmask)(SIG_SETMASK, NULL, &mask))
		return;
	held |= signals_in(&mask);
	sigemptyset(&admitted);
	signals_add(&admitted, signals_in(&mask));
	LIBC(pthread_sigmask)(SIG_UNBLOCK, &admitted, NULL);
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return LIBC(pthread_sigmask)(how, set, old);
}

/* ------------------------------------------------------------------ */
/* For the program							*/

static unsigned change(unsigned was, int how, unsigned bits)
{
	switch (how) {
	case SIG_BLOCK:
		return was | bits;
	case SIG_UNBLOCK:
		return was & ~bits;
	default:
		return bits;
	}
}

/* A child of vfork() has its parent's variables, and a mask of its own. */
static void hold(unsigned bits)
{
	if (bits != held && getpid() == preload.pid)
		held = bits;
}

/* What the kernel reads and writes of a set. */
#define KERNEL_BYTES ((size_t)_NSIG / 8)

static int set_mask(int how, const sigset_t *set, sigset_t *old)
{
	bool beside = old && paged_writable(old, KERNEL_BYTES);
	unsigned was = held, bits = 0;
	sigset_t now, before = {0};
	int error;

	if (set) {
		sigemptyset(&now);
		memcpy(&now, set, KERNEL_BYTES);
		bits = signals_in(&now);
		signals_remove(&now);
	}
	error = LIBC(pthread_sigmask)(how, set ? &now : NULL,
				      beside ? &before : old);
	if (error)
		return error;
	if (beside)
		memcpy(old, &before, KERNEL_BYTES);
	if (set)
		hold(change(was, how, bits));
	if (old)
		signals_add(old, was);
	return 0;
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return signals_any() ? set_mask(how, set, old)
			     : LIBC(pthread_sigmask)(how, set, old);
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	int error = pthread_sigmask(how, set, old);

	if (!error)
		return 0;
	errno = error;
	return -1;
}

/* ---- masks that libc stores ---- */

/* Of a word that nobody else writes; the lowest bits are those that are held. */
#define NOTE	  UINT64_C(0x76766d2068656c00)
#define NOTE_BITS UINT64_C(0xff)
/* Where; the second one is not used by jumps, which have something there. */
enum { NOTE_AT = 1, WORD_AT = _SIGSET_NWORDS - 1 };

static __thread struct signals_handled handled
	__attribute__((tls_model("initial-exec")));

struct signals_handled signals_handle(struct signals_handled now)
{
	struct signals_handled before = handled;

	handled = now;
	return before;
}

static bool has_note(const sigset_t *set)
{
	return (set->__val[NOTE_AT] & ~NOTE_BITS) == NOTE;
}

static unsigned noted(const sigset_t *set)
{
	return (unsigned)(set->__val[NOTE_AT] & NOTE_BITS);
}

/* What libc will store. */
static uint64_t kernel_mask(void)
{
	int saved = errno;
	uint64_t mask = 0;

	/* EFAULT: this stack is paged, and has just gone */
	while (gate_call(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask,
			 KERNEL_BYTES) &&
	       errno == EFAULT)
		mask = 0;
	errno = saved;
	return mask;
}

void signals_note(sigset_t *set)
{
	set->__val[NOTE_AT] = NOTE | held;
	if (held)
		set->__val[WORD_AT] = kernel_mask();
}

/* What is to be held with it, but for what it says itself. */
static unsigned held_with(const sigset_t *set)
{
	if (has_note(set))
		return set->__val[WORD_AT] == set->__val[0] ? noted(set) : 0;
	return set == handled.mask ? handled.held : held;
}

/* It may be used again, and nobody else may have to be able to write to it. */
void signals_resume(sigset_t *set)
{
	unsigned bits = held_with(set), more = signals_in(set);
	bool notes = has_note(set);

	bits |= more;
	if (more)
		signals_remove(set);
	if (more && notes) {
		set->__val[NOTE_AT] = NOTE | bits;
		set->__val[WORD_AT] = set->__val[0];
	}
	handled = (struct signals_handled){0};
	hold(bits);
}

/* libc's leave the note alone. */
static void drop_noted(sigset_t *set, uint64_t bits)
{
	if (signals_any() && has_note(set))
		set->__val[NOTE_AT] &= ~bits;
}

int sigdelset(sigset_t *set, int sig)
{
	int rc = LIBC(sigdelset)(set, sig);

	if (rc == 0)
		drop_noted(set, signals_bit(sig));
	return rc;
}

int sigemptyset(sigset_t *set)
{
	int rc = LIBC(sigemptyset)(set);

	if (rc == 0)
		drop_noted(set, NOTE_BITS);
	return rc;
}

/* It returns twice: not here, but at the caller's. */
JUMPS int __sigsetjmp(sigjmp_buf to, int with_mask)
{
	setter *real = LIBC(__sigsetjmp);

	if (signals_any() && with_mask)
		to->__saved_mask.__val[NOTE_AT] = NOTE | held;
	TAIL_CALL return real(to, with_mask);
}

/* The function, which few programs call: the header's macro is _setjmp(). */
JUMPS int set_jump(sigjmp_buf to)
{
	static mask_setter *real;

	if (!real)
		real = (mask_setter *)libc_function("setjmp");
	if (signals_any())
		to->__saved_mask.__val[NOTE_AT] = NOTE | held;
	TAIL_CALL return real(to);
}

static void before_jump(const struct __jmp_buf_tag *to)
{
	if (!signals_any() || !to->__mask_was_saved)
		return;
	handled = (struct signals_handled){0};
	if (has_note(&to->__saved_mask))
		hold(noted(&to->__saved_mask));
}

#define JUMP(name)                                    \
	static jumper *real;                          \
                                                      \
	if (!real)                                    \
		real = (jumper *)libc_function(name); \
	before_jump(to);                              \
	real(to, result);                             \
	__builtin_unreachable()

void jump(struct __jmp_buf_tag *to, int result)
{
	JUMP("siglongjmp");
}

/* Of programs that are built with _FORTIFY_SOURCE. */
void checked_jump(struct __jmp_buf_tag *to, int result)
{
	JUMP("__longjmp_chk");
}

/* ---- as they were before POSIX ---- */

static int set_word(int how, int word)
{
	sigset_t set, old;

	sigemptyset(&set);
	memcpy(&set, &word, sizeof(word));
	if (sigprocmask(how, &set, &old))
		return -1;
	memcpy(&word, &old, sizeof(word));
	return word;
}

int sigblock(int mask)
{
	return set_word(SIG_BLOCK, mask);
}

int sigsetmask(int mask)
{
	return set_word(SIG_SETMASK, mask);
}

static int set_one(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	return sigaddset(&set, sig) ? -1 : sigprocmask(how, &set, NULL);
}

int sighold(int sig)
{
	return set_one(SIG_BLOCK, sig);
}

int sigrelse(int sig)
{
	return set_one(SIG_UNBLOCK, sig);
}

/* ---- calls that wait with another mask ---- */

/* The set to be used in place of *set. */
static const sigset_t *without(const sigset_t *set, sigset_t *room)
{
	if (!signals_any() || !readable(set, KERNEL_BYTES))
		return set;
	sigemptyset(room);
	memcpy(room, set, KERNEL_BYTES);
	signals_remove(room);
	return room;
}

int sigsuspend(const sigset_t *set)
{
	sigset_t room;

	return LIBC(sigsuspend)(without(set, &room));
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
	  const sigset_t *set)
{
	sigset_t room;

	return LIBC(ppoll)(fds, count, timeout, without(set, &room));
}

_Noreturn void __chk_fail(void);
int __ppoll_chk(struct pollfd *fds, nfds_t count,
		const struct timespec *timeout, const sigset_t *set,
		size_t room);

int __ppoll_chk(struct pollfd *fds, nfds_t count,
		const struct timespec *timeout, const sigset_t *set,
		size_t room)
{
	if (room / sizeof(*fds) < count)
		__chk_fail();
	return ppoll(fds, count, timeout, set);
}

int pselect(int count, fd_set *in, fd_set *out, fd_set *except,
	    const struct timespec *timeout, const sigset_t *set)
{
	sigset_t room;

	return LIBC(pselect)(count, in, out, except, timeout,
			     without(set, &room));
}

int epoll_pwait(int epoll, struct epoll_event *events, int most, int timeout_ms,
		const sigset_t *set)
{
	sigset_t room;

	return LIBC(epoll_pwait)(epoll, events, most, timeout_ms,
				 without(set, &room));
}

typedef int waiter(int, struct epoll_event *, int, const struct timespec *,
		   const sigset_t *);

/* glibc 2.35 */
int epoll_pwait2(int epoll, struct epoll_event *events, int most,
		 const struct timespec *timeout, const sigset_t *set)
{
	waiter *real = (waiter *)libc_function("epoll_pwait2");
	sigset_t room;

	if (!real) {
		errno = ENOSYS;
		return -1;
	}
	return real(epoll, events, most, timeout, without(set, &room));
}
