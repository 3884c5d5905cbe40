/* SPDX-License-Identifier: MIT */
/*
 * door/sigstack.c - sigaltstack(2) with a stack that is paged.
 *
 * The kernel puts a frame there when a signal comes, and kills the process where
 * it cannot. So the stack is pinned as long as it is set. Who has pinned what is
 * in a table, by thread: stacks of threads that have ended are found when it is
 * looked at.
 *
 * In the handler of a trap the kernel would set the stack for that long only: it
 * sets the one of the context when the handler returns. So there it is done to
 * the context, by the kernel's rules.
 */
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "door/hold.h"
#include "door/impl.h"
#include "os/os.h"
#include "util/lock.h"

#define STACKS 128
/* What the kernel asks for, whatever the C library says. */
#define LEAST_BYTES 2048
#define AUTODISARM  (1u << 31) /* SS_AUTODISARM */

static struct {
	int tid; /* 0: free */
	struct hold hold;
} stacks[STACKS]; /* (lock) */
static struct lock lock = {.rank = LOCK_MISC};

/* ---- pins ---- */

/*
 * Gives out what the thread had, and puts in what it has. Of dead ones it gives
 * out what it finds first. False: no room. => no other lock.
 */
static bool exchange(int tid, struct hold *hold)
{
	struct hold had = {0};
	unsigned i, mine = STACKS, unused = STACKS;

	lock_take(&lock);
	for (i = 0; i < STACKS; i++) {
		if (stacks[i].tid == tid)
			mine = i;
		else if (!stacks[i].tid || os_thread_gone(stacks[i].tid))
			unused = i;
	}
	if (mine == STACKS)
		mine = unused;
	if (mine < STACKS) {
		had = stacks[mine].hold;
		stacks[mine].tid = hold->end ? tid : 0;
		stacks[mine].hold = *hold;
		*hold = had;
	}
	lock_drop(&lock);
	return mine < STACKS || !hold->end;
}

static int pin_stack(struct hold *h, const stack_t *stack)
{
	haddr_t at = (uintptr_t)stack->ss_sp;

	*h = (struct hold){0};
	if ((stack->ss_flags & SS_DISABLE) ||
	    !door_is_paged(at, stack->ss_size))
		return 0;
	if (stack->ss_size > hold_share(at))
		return -ENOMEM;
	return hold_take(h, at, stack->ss_size);
}

/* ---- by the kernel's rules ---- */

#if defined(__x86_64__)
static bool runs_on(const ucontext_t *uc)
{
	uintptr_t sp = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
	const stack_t *s = &uc->uc_stack;

	return !((unsigned)s->ss_flags & AUTODISARM) && s->ss_size &&
	       sp > (uintptr_t)s->ss_sp &&
	       sp - (uintptr_t)s->ss_sp <= s->ss_size;
}
#else /* no traps */
static bool runs_on(const ucontext_t *uc)
{
	(void)uc;
	return false;
}
#endif

static int check(const ucontext_t *uc, stack_t *stack)
{
	unsigned mode = (unsigned)stack->ss_flags & ~AUTODISARM;

	if (runs_on(uc))
		return -EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode == SS_DISABLE) {
		stack->ss_sp = NULL;
		stack->ss_size = 0;
	} else if (stack->ss_size < LEAST_BYTES) {
		return -ENOMEM;
	}
	return 0;
}

/* As the kernel tells it, down to what is between the fields: zeros. */
static void tell(const ucontext_t *uc, stack_t *s)
{
	s->ss_sp = uc->uc_stack.ss_sp;
	s->ss_size = uc->uc_stack.ss_size;
	s->ss_flags = (int)((unsigned)uc->uc_stack.ss_flags & AUTODISARM);
	if (!s->ss_size)
		s->ss_flags |= SS_DISABLE;
	else if (runs_on(uc))
		s->ss_flags |= SS_ONSTACK;
}

static int set_in_context(ucontext_t *uc, const stack_t *stack, stack_t *old)
{
	stack_t now;
	int rc;

	tell(uc, old);
	if (!stack)
		return 0;
	now = *stack;
	rc = check(uc, &now);
	if (rc == 0)
		uc->uc_stack = now;
	return rc;
}

/* ---- the call ---- */

static long set(struct door *d, const stack_t *stack, stack_t *old)
{
	if (d->context)
		return set_in_context(d->context, stack, old);
	d->use[0] = (uintptr_t)stack;
	d->use[1] = (uintptr_t)old;
	return door_make(d);
}

long door_sigaltstack(struct door *d)
{
	stack_t *s = bounce_take(&d->bounce, 2 * sizeof(*s), 0);
	stack_t *stack = NULL, *old;
	struct hold hold = {0};
	long result;

	if (!s)
		return -ENOMEM;
	old = s + 1;
	memset(s, 0, 2 * sizeof(*s));
	if (d->arg[0]) {
		if (copy_in(s, d->arg[0], sizeof(*s)) < sizeof(*s))
			return -EFAULT;
		stack = s;
		result = pin_stack(&hold, stack);
		if (result < 0)
			return result;
	}
	result = set(d, stack, old);
	if (result == 0 && stack && !exchange(os_tid(), &hold))
		result = -ENOMEM;
	hold_drop(&hold); /* the one before; or this, if it was not set */
	if (result == 0 && d->arg[1] &&
	    copy_out(d->arg[1], old, sizeof(*old)) < sizeof(*old))
		result = -EFAULT;
	return result;
}
