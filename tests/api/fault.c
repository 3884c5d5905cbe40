/* SPDX-License-Identifier: MIT */
/*
 * api/fault.c - illegal accesses: the fault callback (repair, decline, leave
 * by siglongjmp), the handlers that were there before, death by default; and
 * vvm_touch(), vvm_pin(), vvm_unpin() with their errors.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/access.h"
#include "support/child.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"

/* What the callback saw last, and what it is to do. */
static struct seen {
	_Atomic int calls;
	struct vvm_fault fault;
	struct vvm *space;
	char *stack;	 /* where it ran */
	unsigned repair; /* protection to set; VVM_NONE: decline */
	bool jump;	 /* leave by siglongjmp */
} seen;
static sigjmp_buf out;

static void setup(void)
{
	memset(&seen, 0, sizeof seen);
	live_begin(64);
}

static enum vvm_verdict callback(struct vvm *space,
				 const struct vvm_fault *fault, void *arg)
{
	struct seen *s = arg;

	s->calls++;
	s->space = space;
	s->fault = *fault;
	s->stack = __builtin_frame_address(0);
	if (s->jump)
		siglongjmp(out, 1);
	if (s->repair == VVM_NONE)
		return VVM_DECLINE;
	live_ok(vvm_protect(space, fault->addr & ~(LIVE_PAGE - 1), LIVE_PAGE,
			    s->repair));
	return VVM_RETRY;
}

static void expect_fault(int calls, char *ptr, enum vvm_access access,
			 int error)
{
	live_equal(seen.calls, calls);
	live_check(seen.space == vm);
	live_check(seen.fault.ptr == ptr);
	live_equal(seen.fault.addr, live_addr(ptr));
	live_equal(seen.fault.access, access);
	live_equal(seen.fault.error, error);
	live_check(seen.fault.context != NULL);
}

/* ---- the callback ---- */

START_TEST(callback_arguments)
{
	live_expect(vvm_on_fault(NULL, callback, NULL), -EINVAL);
	live_ok(vvm_on_fault(vm, callback, NULL));
	live_ok(vvm_on_fault(vm, callback, &seen));
	live_ok(vvm_on_fault(vm, NULL, NULL));
	live_ok(vvm_on_fault(vm, NULL, NULL));
	live_expect(vvm_on_low_space(NULL, NULL, NULL), -EINVAL);
	live_ok(vvm_on_low_space(vm, NULL, NULL));
}
END_TEST

START_TEST(callback_repairs_and_the_access_is_done_again)
{
	char *p = live_map(vm, 4, VVM_READ);

	seen.repair = LIVE_RW;
	live_ok(vvm_on_fault(vm, callback, &seen));
	*(volatile char *)(p + 123) = 7;
	expect_fault(1, p + 123, VVM_ACCESS_WRITE, -VVM_ENOWRITE);
	live_equal(p[123], 7);
	live_equal(seen.calls, 1);
	live_ok(vvm_protect(vm, live_addr(p), 4 * LIVE_PAGE, VVM_NONE));
	live_equal(*(volatile char *)(p + 123), 7);
	expect_fault(2, p + 123, VVM_ACCESS_READ, -VVM_ENOREAD);
	*(volatile char *)(p + LIVE_PAGE) = 8;
	expect_fault(3, p + LIVE_PAGE, VVM_ACCESS_WRITE, -VVM_ENOWRITE);
	live_equal(live_stats(vm).denied, 3);
}
END_TEST

#ifdef __x86_64__
START_TEST(callback_for_execution)
{
	char *p = live_map(vm, 4, LIVE_RW);

	p[64] = (char)0xc3; /* ret */
	seen.repair = VVM_READ | VVM_EXEC;
	live_ok(vvm_on_fault(vm, callback, &seen));
	live_equal(live_try_call(p + 64), 0);
	expect_fault(1, p + 64, VVM_ACCESS_EXEC, -VVM_ENOEXEC);
}
END_TEST
#endif

START_TEST(callback_for_pages_that_are_out)
{
	char *p = live_map(vm, 32, LIVE_RW), *q = live_map(vm, 200, LIVE_RW);

	for (uint64_t i = 0; i < 32; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	live_ok(vvm_protect(vm, live_addr(p), 32 * LIVE_PAGE, VVM_NONE));
	live_push_out(vm, p, 32, q, 200);
	seen.repair = LIVE_RW;
	live_ok(vvm_on_fault(vm, callback, &seen));
	for (uint64_t i = 0; i < 32; i++) {
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
		expect_fault((int)i + 1, p + i * LIVE_PAGE, VVM_ACCESS_READ,
			     -VVM_ENOREAD);
	}
}
END_TEST

START_TEST(callback_gets_the_guest_address)
{
	uint64_t at = 5ull << 45;
	char *p;

	live_ok(vvm_map(vm, &at, 4 * LIVE_PAGE, VVM_READ, NULL));
	p = vvm_ptr(vm, at);
	seen.repair = LIVE_RW;
	live_ok(vvm_on_fault(vm, callback, &seen));
	*(volatile char *)(p + 2 * LIVE_PAGE + 9) = 1;
	live_equal(seen.calls, 1);
	live_check(seen.fault.ptr == p + 2 * LIVE_PAGE + 9);
	live_equal(seen.fault.addr, at + 2 * LIVE_PAGE + 9);
}
END_TEST

/* The callback declines: who was there before sees si_addr. */
START_TEST(callback_declines_to_the_handler_before)
{
	char *p = live_map(vm, 4, VVM_READ);
	uint64_t value;

	live_ok(vvm_on_fault(vm, callback, &seen));
	live_equal(live_try_store(p + 16, 1), SIGSEGV);
	live_check(live_signal_addr == p + 16);
	expect_fault(1, p + 16, VVM_ACCESS_WRITE, -VVM_ENOWRITE);
	live_ok(vvm_unmap(vm, live_addr(p) + LIVE_PAGE, LIVE_PAGE));
	live_equal(live_try_load(p + LIVE_PAGE, &value), SIGSEGV);
	live_check(live_signal_addr == p + LIVE_PAGE);
	live_equal(seen.calls, 1); /* not an access to a region */
	live_ok(vvm_on_fault(vm, NULL, NULL));
	live_equal(live_try_store(p + 24, 1), SIGSEGV);
	live_check(live_signal_addr == p + 24);
	live_equal(seen.calls, 1);
}
END_TEST

static enum vvm_verdict spoil_errno(struct vvm *space,
				    const struct vvm_fault *fault, void *arg)
{
	(void)arg;
	live_ok(vvm_protect(space, fault->addr & -LIVE_PAGE, LIVE_PAGE,
			    LIVE_RW));
	errno = EBADF;
	return VVM_RETRY;
}

/* The access may be between a call and the look at its errno. */
START_TEST(callback_does_not_change_errno)
{
	char *p = live_map(vm, 1, VVM_READ);

	live_ok(vvm_on_fault(vm, spoil_errno, NULL));
	errno = 4711;
	*(volatile char *)p = 1;
	live_equal(errno, 4711);
}
END_TEST

static sigjmp_buf bare;
static volatile int was_blocked;

static void leave(int sig, siginfo_t *si, void *context)
{
	sigset_t now;

	(void)sig;
	(void)si;
	(void)context;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	was_blocked = sigismember(&now, SIGUSR1);
	siglongjmp(bare, 1);
}

/*
 * They have the mask of the code that they interrupt, and may leave with it:
 * the handler that was there before us, for memory that is not ours, and the
 * callback.
 */
START_TEST(the_handler_before_may_leave_without_a_mask)
{
	struct sigaction own = {.sa_sigaction = leave, .sa_flags = SA_SIGINFO};
	char *p = mmap(NULL, LIVE_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	sigset_t now;

	live_check(p != MAP_FAILED);
	live_equal(sigaction(SIGSEGV, &own, NULL), 0);
	live_ok(vvm_on_fault(vm, callback, &seen));
	was_blocked = -1;
	if (!sigsetjmp(bare, 0))
		*(volatile char *)p = 1;
	live_equal(was_blocked, 0);
	live_equal(seen.calls, 0);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	live_equal(sigismember(&now, SIGUSR1), 0);
	live_equal(munmap(p, LIVE_PAGE), 0);
}
END_TEST

static enum vvm_verdict leave_callback(struct vvm *space,
				       const struct vvm_fault *fault, void *arg)
{
	(void)space;
	(void)fault;
	(void)arg;
	leave(0, NULL, NULL);
	return VVM_DECLINE;
}

START_TEST(the_callback_may_leave_without_a_mask)
{
	char *p = live_map(vm, 1, VVM_READ);
	sigset_t now;

	live_ok(vvm_on_fault(vm, leave_callback, NULL));
	was_blocked = -1;
	if (!sigsetjmp(bare, 0))
		*(volatile char *)p = 1;
	live_equal(was_blocked, 0);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	live_equal(sigismember(&now, SIGUSR1), 0);
}
END_TEST

static _Atomic int old_style_calls;

static void old_style(int sig)
{
	live_equal(sig, SIGSEGV);
	old_style_calls++;
	siglongjmp(out, 2);
}

/* A handler of the old kind, without SA_SIGINFO. */
START_TEST(callback_declines_to_a_simple_handler)
{
	char *p = live_map(vm, 4, VVM_READ);
	struct sigaction sa = {.sa_handler = old_style};

	if (live_guarded())
		return; /* SIGSEGV is the library's: it is to come first */
	live_check(sigaction(SIGSEGV, &sa, NULL) == 0);
	live_ok(vvm_on_fault(vm, callback, &seen));
	for (int i = 1; i <= 10; i++) {
		if (sigsetjmp(out, 1) == 0)
			*(volatile char *)p = 1;
		live_equal(old_style_calls, i);
		live_equal(seen.calls, i);
	}
}
END_TEST

START_TEST(callback_does_not_see_what_is_not_ours)
{
	char *p = mmap(NULL, LIVE_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	char *r = live_map(vm, 4, VVM_READ);
	uint64_t value;

	live_check(p != MAP_FAILED);
	seen.repair = LIVE_RW;
	live_ok(vvm_on_fault(vm, callback, &seen));
	live_equal(live_try_store(p + 40, 1), SIGSEGV);
	live_check(live_signal_addr == p + 40);
	live_equal(live_try_load((void *)8, &value), SIGSEGV);
	live_check(live_signal_addr == (void *)8);
	live_equal(seen.calls, 0);
	*(volatile char *)r = 1;
	live_equal(seen.calls, 1);
	munmap(p, LIVE_PAGE);
}
END_TEST

/* SIGBUS of somebody else's file mapping. */
START_TEST(callback_does_not_see_a_foreign_sigbus)
{
	FILE *f = tmpfile();
	uint64_t value;
	char *p;

	p = mmap(NULL, LIVE_PAGE, PROT_READ, MAP_SHARED, fileno(f), 0);
	live_check(p != MAP_FAILED);
	seen.repair = LIVE_RW;
	live_ok(vvm_on_fault(vm, callback, &seen));
	live_equal(live_try_load(p + 8, &value), SIGBUS);
	live_check(live_signal_addr == p + 8);
	live_equal(seen.calls, 0);
	munmap(p, LIVE_PAGE);
	fclose(f);
}
END_TEST

START_TEST(callback_may_leave_by_siglongjmp)
{
	char *p = live_map(vm, 4, VVM_READ);
	sigset_t before, after;

	seen.jump = true;
	live_ok(vvm_on_fault(vm, callback, &seen));
	sigprocmask(SIG_SETMASK, NULL, &before);
	for (int i = 0; i < 1000; i++) {
		if (sigsetjmp(out, 1) == 0) {
			*(volatile char *)(p + i) = 1;
			live_fail("the write to a read-only page was done");
		}
	}
	live_equal(seen.calls, 1000);
	sigprocmask(SIG_SETMASK, NULL, &after);
	live_equal(sigismember(&after, SIGSEGV), sigismember(&before, SIGSEGV));
	live_equal(p[0], 0);
	live_ok(vvm_protect(vm, live_addr(p), LIVE_PAGE, LIVE_RW));
	p[0] = 1; /* no lock was left behind */
	live_ok(vvm_unmap(vm, live_addr(p), 4 * LIVE_PAGE));
}
END_TEST

START_TEST(callback_runs_on_the_alternate_stack)
{
	static char stack[256 * 1024];
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack}, old;
	char *p = live_map(vm, 4, VVM_READ);

	live_check(sigaltstack(&ss, &old) == 0);
	seen.repair = LIVE_RW;
	live_ok(vvm_on_fault(vm, callback, &seen));
	*(volatile char *)p = 1;
	live_equal(seen.calls, 1);
	live_check(seen.stack > stack && seen.stack < stack + sizeof stack);
	live_check(sigaltstack(&old, NULL) == 0);
}
END_TEST

static enum vvm_verdict busy_callback(struct vvm *space,
				      const struct vvm_fault *fault, void *arg)
{
	char *other = arg, byte = 5;
	uint64_t at = VVM_ANYWHERE;
	struct vvm_region r;
	struct vvm_stats st;

	seen.calls++;
	live_ok(vvm_query(space, fault->addr, &r));
	live_ok(vvm_stats(space, &st, sizeof st));
	live_ok(vvm_map(space, &at, LIVE_PAGE, LIVE_RW, NULL));
	live_ok(vvm_store(space, at, &byte, 1));
	live_ok(vvm_unmap(space, at, LIVE_PAGE));
	for (int i = 0; i < 100; i++) /* pages in and out in here */
		other[i * LIVE_PAGE] = (char)i;
	live_ok(vvm_protect(space, r.start, r.end - r.start, LIVE_RW));
	return VVM_RETRY;
}

START_TEST(callback_may_call_the_library_and_touch_memory)
{
	char *p = live_map(vm, 4, VVM_READ), *q = live_map(vm, 200, LIVE_RW);

	live_ok(vvm_on_fault(vm, busy_callback, q));
	*(volatile char *)p = 1;
	live_equal(seen.calls, 1);
	for (int i = 0; i < 100; i++)
		live_equal(q[i * LIVE_PAGE], (char)i);
}
END_TEST

struct toucher {
	pthread_t thread;
	char *base;
	uint64_t pages;
};

static void *touch_all(void *arg)
{
	struct toucher *t = arg;

	for (uint64_t i = 0; i < t->pages; i++)
		*(volatile uint64_t *)(t->base + i * LIVE_PAGE) = i + 1;
	return NULL;
}

static enum vvm_verdict counting_callback(struct vvm *space,
					  const struct vvm_fault *fault,
					  void *arg)
{
	(void)arg;
	seen.calls++;
	if (vvm_protect(space, fault->addr & ~(LIVE_PAGE - 1), LIVE_PAGE,
			LIVE_RW))
		return VVM_DECLINE;
	return VVM_RETRY;
}

START_TEST(callback_in_many_threads_at_once)
{
	struct toucher t[8];
	char *p = live_map(vm, 8 * 50, VVM_NONE);

	live_ok(vvm_on_fault(vm, counting_callback, NULL));
	for (int i = 0; i < 8; i++) {
		t[i].base = p + (uint64_t)i * 50 * LIVE_PAGE;
		t[i].pages = 50;
		live_equal(pthread_create(&t[i].thread, NULL, touch_all, &t[i]),
			   0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(t[i].thread, NULL);
	live_equal(seen.calls, 400);
	for (uint64_t i = 0; i < 400; i++)
		live_equal(*(uint64_t *)(p + i * LIVE_PAGE), i % 50 + 1);
}
END_TEST

START_TEST(system_calls_on_forbidden_memory_get_efault)
{
	char *p = live_map(vm, 4, VVM_NONE);
	int fds[2];

	live_check(pipe(fds) == 0);
	seen.repair = LIVE_RW;
	live_ok(vvm_on_fault(vm, callback, &seen));
	live_equal(write(fds[1], p, 10), -1);
	live_equal(errno, EFAULT);
	live_ok(vvm_protect(vm, live_addr(p), LIVE_PAGE, VVM_READ));
	if (live_missing_system_calls())
		live_ok(vvm_touch(vm, live_addr(p), LIVE_PAGE, 0));
	live_equal(write(fds[1], p, 10), 10);
	live_equal(read(fds[0], p, 10), -1);
	live_equal(errno, EFAULT);
	live_equal(seen.calls, 0);
}
END_TEST

START_TEST(callbacks_of_two_spaces)
{
	struct vvm *other = live_open(8);
	struct seen theirs = {.repair = LIVE_RW};
	char *p = live_map(vm, 4, VVM_READ), *q = live_map(other, 4, VVM_READ);

	seen.repair = LIVE_RW;
	live_ok(vvm_on_fault(vm, callback, &seen));
	live_ok(vvm_on_fault(other, callback, &theirs));
	*(volatile char *)q = 1;
	live_equal(theirs.calls, 1);
	live_check(theirs.space == other && theirs.fault.ptr == q);
	live_equal(seen.calls, 0);
	*(volatile char *)p = 1;
	live_equal(seen.calls, 1);
	live_ok(vvm_close(other));
	*(volatile char *)(p + LIVE_PAGE) = 1;
	live_equal(seen.calls, 2);
	live_equal(live_try_store(q, 1), SIGSEGV); /* nobody's any more */
	live_equal(theirs.calls, 1);
}
END_TEST

START_TEST(callbacks_of_too_many_spaces)
{
	struct vvm *many[64];
	struct vvm_options o;

	if (live_inline())
		return; /* there are no more spaces than that */
	live_options(&o, 8);
	o.handlers = 1;
	o.io = VVM_IO_SYNC;
	for (int i = 0; i < 64; i++) {
		live_ok(vvm_open(&many[i], &o));
		live_ok(vvm_on_fault(many[i], callback, &seen));
	}
	live_expect(vvm_on_fault(vm, callback, &seen), -EAGAIN);
	live_ok(vvm_on_fault(many[5], callback, NULL)); /* has one: no news */
	live_ok(vvm_close(many[63]));
	live_ok(vvm_on_fault(vm, callback, &seen));
	live_ok(vvm_on_fault(many[0], NULL, NULL));
	live_ok(vvm_open(&many[63], &o));
	live_ok(vvm_on_fault(many[63], callback, &seen));
	for (int i = 0; i < 64; i++)
		live_ok(vvm_close(many[i]));
}
END_TEST

/* ---- death ---- */

/* arg: 0 no callback, 1 one that declines. */
static int die(void *arg)
{
	struct vvm_options o;
	struct vvm *space = NULL;
	uint64_t addr = VVM_ANYWHERE;

	live_default_signals();
	child_expect(vvm_options_init(&o), 0);
	o.stat_segment = 0;
	child_expect(vvm_open(&space, &o), 0);
	child_expect(vvm_map(space, &addr, LIVE_PAGE, VVM_READ, NULL), 0);
	if (arg)
		child_expect(vvm_on_fault(space, callback, &seen), 0);
	*(volatile char *)vvm_ptr(space, addr) = 1;
	return 0;
}

START_TEST(illegal_access_without_handlers_is_death_by_sigsegv)
{
	int status = live_child(die, NULL);

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
		      "without a callback: status %#x", (unsigned)status);
	status = live_child(die, &seen);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
		      "with one that declines: status %#x", (unsigned)status);
}
END_TEST

/* ---- touch ---- */

START_TEST(touch_refuses)
{
	char *p = live_map(vm, 8, LIVE_RW);
	uint64_t a = live_addr(p);
	enum vvm_touch r = VVM_TOUCH_READ, w = VVM_TOUCH_WRITE;

	live_expect(vvm_touch(NULL, a, LIVE_PAGE, r), -EINVAL);
	live_expect(vvm_touch(vm, a + 1, LIVE_PAGE, r), -EINVAL);
	live_expect(vvm_touch(vm, a, 0, r), -EINVAL);
	live_expect(vvm_touch(vm, a, LIVE_GUEST, r), -EINVAL);
	live_expect(vvm_touch(vm, LIVE_GUEST, LIVE_PAGE, r), -EINVAL);
	live_expect(vvm_touch(vm, a, LIVE_PAGE, (enum vvm_touch)9), -EINVAL);
	live_expect(vvm_touch(vm, LIVE_PAGE, LIVE_PAGE, r), -VVM_EUNMAPPED);
	live_expect(vvm_touch(vm, a, 9 * LIVE_PAGE, r), -VVM_EUNMAPPED);
	live_ok(vvm_protect(vm, a + 2 * LIVE_PAGE, LIVE_PAGE, VVM_READ));
	live_ok(vvm_protect(vm, a + 5 * LIVE_PAGE, LIVE_PAGE, VVM_NONE));
	live_expect(vvm_touch(vm, a, 8 * LIVE_PAGE, w), -VVM_ENOWRITE);
	live_expect(vvm_touch(vm, a, 8 * LIVE_PAGE, r), -VVM_ENOREAD);
	/* the pages before the failing one stay touched */
	live_equal(live_count_flags(vm, p, 2, VVM_PAGE_RESIDENT), 2);
	live_equal(live_count_flags(vm, p, 5, VVM_PAGE_RESIDENT), 5);
}
END_TEST

START_TEST(touch_makes_pages_resident)
{
	char *p = live_map(vm, 300, LIVE_RW);
	uint64_t a = live_addr(p);

	live_ok(vvm_touch(vm, a, 8 * LIVE_PAGE, VVM_TOUCH_READ));
	live_equal(live_count_flags(vm, p, 8, VVM_PAGE_RESIDENT), 8);
	live_equal(live_count_flags(vm, p, 8, VVM_PAGE_DIRTY), 0);
	live_ok(vvm_touch(vm, a, 8 * LIVE_PAGE - 5, VVM_TOUCH_WRITE));
	live_equal(live_count_flags(vm, p, 8, VVM_PAGE_DIRTY), 8);
	for (int i = 0; i < 8; i++)
		live_check(live_is_zero(p + i * LIVE_PAGE));
	for (uint64_t i = 0; i < 300; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	/* more than the budget; content survives */
	live_ok(vvm_touch(vm, a, 300 * LIVE_PAGE, VVM_TOUCH_WRITE));
	live_ok(vvm_touch(vm, a, 300 * LIVE_PAGE, VVM_TOUCH_READ));
	for (uint64_t i = 0; i < 300; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_check(live_stats(vm).peak_pages <= 64);
	live_check(live_stats(vm).api_fills > 300);
}
END_TEST

/* ---- pin ---- */

START_TEST(pin_refuses)
{
	char *p = live_map(vm, 8, LIVE_RW);
	uint64_t a = live_addr(p);

	live_expect(vvm_pin(NULL, a, LIVE_PAGE), -EINVAL);
	live_expect(vvm_pin(vm, a + 1, LIVE_PAGE), -EINVAL);
	live_expect(vvm_pin(vm, a, 0), -EINVAL);
	live_expect(vvm_pin(vm, a, LIVE_GUEST), -EINVAL);
	live_expect(vvm_pin(vm, LIVE_GUEST, LIVE_PAGE), -EINVAL);
	live_expect(vvm_pin(vm, LIVE_PAGE, LIVE_PAGE), -VVM_EUNMAPPED);
	live_expect(vvm_pin(vm, a, 9 * LIVE_PAGE), -VVM_EUNMAPPED);
	live_ok(vvm_protect(vm, a + 5 * LIVE_PAGE, LIVE_PAGE, VVM_NONE));
	live_expect(vvm_pin(vm, a, 8 * LIVE_PAGE), -VVM_ENOREAD);
	live_equal(live_count_flags(vm, p, 8, VVM_PAGE_PINNED), 0);
	live_equal(live_stats(vm).pinned_pages, 0);
	live_ok(vvm_protect(vm, a + 2 * LIVE_PAGE, LIVE_PAGE, VVM_READ));
	live_ok(vvm_pin(vm, a, 5 * LIVE_PAGE)); /* read-only is no reason */
	live_equal(live_count_flags(vm, p, 8, VVM_PAGE_PINNED), 5);
	live_equal(live_count_flags(vm, p, 8, VVM_PAGE_DIRTY), 4);
	live_equal(live_stats(vm).pinned_pages, 5);
	live_ok(vvm_unpin(vm, a, 5 * LIVE_PAGE));
}
END_TEST

START_TEST(unpin_refuses)
{
	char *p = live_map(vm, 8, LIVE_RW);
	uint64_t a = live_addr(p);

	live_ok(vvm_pin(vm, a, 4 * LIVE_PAGE));
	live_expect(vvm_unpin(NULL, a, LIVE_PAGE), -EINVAL);
	live_expect(vvm_unpin(vm, a + 1, LIVE_PAGE), -EINVAL);
	live_expect(vvm_unpin(vm, a, 0), -EINVAL);
	live_expect(vvm_unpin(vm, a, LIVE_GUEST), -EINVAL);
	live_expect(vvm_unpin(vm, 0, LIVE_GUEST), -EINVAL); /* and at once */
	live_expect(vvm_unpin(vm, a, 5 * LIVE_PAGE), -EINVAL);
	live_expect(vvm_unpin(vm, a + 4 * LIVE_PAGE, LIVE_PAGE), -EINVAL);
	live_equal(live_stats(vm).pinned_pages, 4); /* nothing was unpinned */
	live_ok(vvm_unpin(vm, a, 4 * LIVE_PAGE));
	live_expect(vvm_unpin(vm, a, LIVE_PAGE), -EINVAL);
	live_equal(live_stats(vm).pinned_pages, 0);
}
END_TEST

/* A page is unpinned as often as it was pinned. */
START_TEST(pins_nest)
{
	char *p = live_map(vm, 8, LIVE_RW);
	uint64_t a = live_addr(p);

	live_ok(vvm_pin(vm, a, 4 * LIVE_PAGE));
	live_ok(vvm_pin(vm, a + 2 * LIVE_PAGE, 4 * LIVE_PAGE));
	live_equal(live_stats(vm).pinned_pages, 6);
	live_ok(vvm_unpin(vm, a, 4 * LIVE_PAGE));
	live_equal(live_stats(vm).pinned_pages, 4);
	live_equal(live_flags(vm, p) & VVM_PAGE_PINNED, 0);
	live_check(live_flags(vm, p + 2 * LIVE_PAGE) & VVM_PAGE_PINNED);
	live_expect(vvm_unmap(vm, a, 8 * LIVE_PAGE), -EBUSY);
	live_expect(vvm_advise(vm, a, 8 * LIVE_PAGE, VVM_ADV_DONTNEED), -EBUSY);
	live_ok(vvm_unpin(vm, a + 2 * LIVE_PAGE, 4 * LIVE_PAGE));
	live_ok(vvm_unmap(vm, a, 8 * LIVE_PAGE));
}
END_TEST

START_TEST(pin_counts_to_65535)
{
	char *p = live_map(vm, 2, LIVE_RW);
	uint64_t a = live_addr(p);

	for (int i = 0; i < 65535; i++)
		live_ok(vvm_pin(vm, a, LIVE_PAGE));
	live_expect(vvm_pin(vm, a, LIVE_PAGE), -EAGAIN);
	live_expect(vvm_pin(vm, a, 2 * LIVE_PAGE), -EAGAIN);
	live_equal(live_flags(vm, p + LIVE_PAGE) & VVM_PAGE_PINNED, 0);
	for (int i = 0; i < 65535; i++)
		live_ok(vvm_unpin(vm, a, LIVE_PAGE));
	live_expect(vvm_unpin(vm, a, LIVE_PAGE), -EINVAL);
}
END_TEST

/* 8 frames, or half of a budget below 16, stay unpinned. */
START_TEST(pin_too_much)
{
	static const struct {
		uint64_t budget, most;
	} row[] = {{64, 56}, {17, 9}, {16, 8}, {15, 7}, {8, 4}, {2, 1}};

	for (size_t i = 0; i < LIVE_LEN(row); i++) {
		struct vvm *small = live_open(row[i].budget);
		char *p = live_map(small, 100, LIVE_RW);
		uint64_t a = live_addr(p), most = row[i].most;

		live_expect(vvm_pin(small, a, (most + 1) * LIVE_PAGE), -EAGAIN);
		live_equal(live_stats(small).pinned_pages, 0);
		live_equal(live_count_flags(small, p, 100, VVM_PAGE_PINNED), 0);
		live_ok(vvm_pin(small, a, most * LIVE_PAGE));
		live_expect(vvm_pin(small, a + most * LIVE_PAGE, LIVE_PAGE),
			    -EAGAIN);
		live_ok(vvm_pin(small, a, LIVE_PAGE)); /* no further frame */
		for (uint64_t k = 0; k < 100; k++)     /* and it still pages */
			live_fill(p + k * LIVE_PAGE, k, 1);
		for (uint64_t k = 0; k < 100; k++)
			live_equal(live_verify(p + k * LIVE_PAGE, k, 1), -1);
		live_ok(vvm_close(small));
	}
}
END_TEST

START_TEST(pinned_pages_stay_under_pressure)
{
	char *p = live_map(vm, 16, LIVE_RW), *q = live_map(vm, 500, LIVE_RW);
	uint64_t a = live_addr(p), state = 5;
	struct live_sampler sampler;

	for (uint64_t i = 0; i < 16; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	live_push_out(vm, p, 16, q, 500);
	live_sampler_start(&sampler, 64);
	live_ok(vvm_pin(vm, a, 16 * LIVE_PAGE));
	for (uint64_t i = 0; i < 16; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	for (int n = 0; n < 4000; n++) {
		live_fill(q + live_below(&state, 500) * LIVE_PAGE, 1, 1);
		if (n % 50 == 0)
			live_equal(live_count_flags(vm, p, 16,
						    VVM_PAGE_RESIDENT |
							    VVM_PAGE_PINNED),
				   16);
	}
	for (uint64_t i = 0; i < 16; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_ok(vvm_unpin(vm, a, 16 * LIVE_PAGE));
	live_push_out(vm, p, 16, q, 500);
	for (uint64_t i = 0; i < 16; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_check(live_sampler_stop(&sampler) <= 64);
}
END_TEST

static void add_callback(Suite *s)
{
	TCase *tc = test_case(s, "fault callback");

	tcase_add_test(tc, callback_arguments);
	test_counted(tc, callback_repairs_and_the_access_is_done_again);
#ifdef __x86_64__
	tcase_add_test(tc, callback_for_execution);
#endif
	tcase_add_test(tc, callback_for_pages_that_are_out);
	tcase_add_test(tc, callback_gets_the_guest_address);
	tcase_add_test(tc, callback_declines_to_the_handler_before);
	tcase_add_test(tc, callback_does_not_change_errno);
	tcase_add_test(tc, the_handler_before_may_leave_without_a_mask);
	tcase_add_test(tc, the_callback_may_leave_without_a_mask);
	tcase_add_test(tc, callback_declines_to_a_simple_handler);
	tcase_add_test(tc, callback_does_not_see_what_is_not_ours);
	tcase_add_test(tc, callback_does_not_see_a_foreign_sigbus);
	tcase_add_test(tc, callback_may_leave_by_siglongjmp);
	tcase_add_test(tc, callback_runs_on_the_alternate_stack);
	tcase_add_test(tc, callback_may_call_the_library_and_touch_memory);
	tcase_add_test(tc, callback_in_many_threads_at_once);
	tcase_add_test(tc, system_calls_on_forbidden_memory_get_efault);
	tcase_add_test(tc, callbacks_of_two_spaces);
	tcase_add_test(tc, callbacks_of_too_many_spaces);

	/* in children: no space here */
	tc = test_case_with(s, "death", NULL, NULL);
	tcase_add_test(tc, illegal_access_without_handlers_is_death_by_sigsegv);
}

static void add_pin(Suite *s)
{
	TCase *tc = test_case(s, "touch and pin");

	tcase_add_test(tc, touch_refuses);
	test_counted(tc, touch_makes_pages_resident);
	test_counted(tc, pin_refuses);
	test_counted(tc, unpin_refuses);
	test_counted(tc, pins_nest);
	tcase_add_test(tc, pin_counts_to_65535);
	tcase_add_test(tc, pin_too_much);
	tcase_add_test(tc, pinned_pages_stay_under_pressure);
}

static void add_tests(Suite *s)
{
	add_callback(s);
	add_pin(s);
}

const struct test_program test_program = {
	.name = "api_fault",
	.add = add_tests,
	.setup = setup,
	.teardown = live_end,
	.missing = live_missing,
};
