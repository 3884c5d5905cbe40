/* SPDX-License-Identifier: MIT */
/*
 * torture/ops_signal.c - signals: handlers that touch paged memory whatever
 * they interrupt, on the thread's stack or an alternate one; faults that are
 * illegal, and are left by a jump or repaired by a callback.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>

#include "support/access.h"
#include "support/random.h"
#include "support/wait.h"
#include "torture/ops.h"

#define STACK_BYTES 65536
#define NAP_US	    10000 /* between signals, at most */

_Atomic uint64_t jumps_done;

/* ---- handlers ---- */

static void touch_memory(int sig)
{
	struct worker *w = self;
	int saved = errno;

	(void)sig;
	if (!w)
		return;
	shared_increment(&w->handler_random);
	fixed_look(&w->handler_random);
	atomic_fetch_add(&w->signals, 1);
	errno = saved;
}

/* A handler may take longer than the time to the next signal: one at a time. */
void *signals_send(void *arg)
{
	struct signaller *s = arg;

	while (!atomic_load(s->stop)) {
		uint64_t i = live_below(&s->random, (uint64_t)option.threads);
		struct worker *w = &s->workers[i];
		uint64_t before = atomic_load(&w->signals);
		int sig = live_below(&s->random, 2) ? SIGUSR1 : SIGUSR2;
		bool known =
			atomic_load(&w->operations) > 0; /* it has `self` */

		if (known)
			live_equal(pthread_kill(w->thread, sig), 0);
		do
			live_nap_us((long)live_below(&s->random, NAP_US));
		while (known && atomic_load(&w->signals) == before &&
		       !atomic_load(s->stop));
	}
	return NULL;
}

/* ---- illegal accesses ---- */

enum wish { WISH_NONE, WISH_REPAIR, WISH_JUMP };

static __thread volatile sig_atomic_t wish;
static __thread sigjmp_buf callback_env;

/* The callback of the space: by default nobody of ours wants to see it. */
static enum vvm_verdict on_fault(struct vvm *space,
				 const struct vvm_fault *fault, void *arg)
{
	enum wish wanted = (enum wish)wish;
	uint64_t page = fault->addr & ~(LIVE_PAGE - 1);

	(void)arg;
	wish = WISH_NONE;
	switch (wanted) {
	case WISH_REPAIR:
		live_expect(fault->error, -VVM_ENOWRITE);
		live_ok(vvm_protect(space, page, LIVE_PAGE, LIVE_RW));
		return VVM_RETRY;
	case WISH_JUMP:
		siglongjmp(callback_env, 1);
	case WISH_NONE:
		break;
	}
	return VVM_DECLINE;
}

/* A write that the permissions forbid, until the callback allows it. */
static void op_repair(struct worker *w)
{
	uint64_t page = own_page(w), a = live_addr(page_at(page));

	page_begin(page, ++w->next_version);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_READ));
	wish = WISH_REPAIR;
	page_fill(page_at(page), page, w->next_version);
	live_equal(wish, WISH_NONE);
	page_end(page);
	page_verify(page);
}

/* Left from within the callback, which is within the library's handler. */
LIVE_BARE static bool jumped(char *at)
{
	if (sigsetjmp(callback_env, 1))
		return true;
	wish = WISH_JUMP;
	__atomic_store_n((uint64_t *)(void *)at, 1, __ATOMIC_SEQ_CST);
	return false;
}

static void op_jump(struct worker *w)
{
	uint64_t page = own_page(w), a = live_addr(page_at(page));

	page_disturb(page);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_READ));
	for (int i = 0; i < 3; i++)
		live_check(jumped(page_at(page) + 8 * i));
	live_equal(live_try_store(page_at(page), 1), SIGSEGV);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, LIVE_RW));
	page_end(page);
	page_verify(page);
	atomic_fetch_add(&jumps_done, 1);
}

/* Handlers run on it from here on, the library's as well. */
static void op_stack(struct worker *w)
{
	stack_t stack = {.ss_size = STACK_BYTES},
		off = {.ss_flags = SS_DISABLE};

	stack.ss_sp = malloc(STACK_BYTES);
	live_check(stack.ss_sp != NULL);
	live_ok(sigaltstack(&stack, NULL));
	for (int i = 0; i < 8; i++) {
		uint64_t page = own_page(w);

		page_verify(page);
		page_write(w, page);
	}
	op_jump(w);
	live_ok(sigaltstack(&off, NULL));
	free(stack.ss_sp);
}

void signals_open(void)
{
	struct sigaction sa = {.sa_handler = touch_memory,
			       .sa_flags = SA_RESTART};

	live_ok(sigaction(SIGUSR1, &sa, NULL));
	sa.sa_flags |= SA_ONSTACK | SA_NODEFER;
	live_ok(sigaction(SIGUSR2, &sa, NULL));
	live_ok(vvm_on_fault(vm, on_fault, NULL));
}

const struct op signal_ops[] = {
	{"repair", op_repair, 10, OP_NORMAL},
	{"jump", op_jump, 10, OP_NORMAL},
	{"stack", op_stack, 3, OP_NORMAL},
	{NULL, NULL, 0, OP_NORMAL},
};
