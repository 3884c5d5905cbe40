/* SPDX-License-Identifier: MIT */
/*
 * altstack.c - stacks for signals, where those of the program may be paged.
 *
 * Where the library lives by signals (signal.c) the kernel brings no page in
 * when it writes down what a signal interrupts: if the stack is not there, the
 * process dies. So a thread that may run on a paged stack gets a stack for
 * signals of ours: when it begins if any fault may be a signal, else when
 * it first uses a context (swapcontext(3)) whose stack is paged.
 *
 * Others do without, since a thread that waits in a system call, in the
 * library's handler, is then where its maker expects it: on its own stack.
 *
 * The program's own such stack is the kernel's to use if it is not paged, and
 * not small: a handler of the program's may touch what is not there, and that
 * signal comes on top of it, with all that the library does then. 8 KiB, which
 * SIGSTKSZ has long been, are too few for both: what lies below would be
 * overwritten. Else, or where the program has none, ours is, and the program sees
 * what it has set. Handlers for signals that are sent are on a stack for signals only if
 * the program has said so: while a thread runs on a paged stack, others may be
 * the end of the process (vvmrun(1)).
 *
 * A context has a mask of signals. What the program has put there of the claimed
 * ones is taken out before libc gives it to the kernel (sigmask.c). When the
 * function of a context ends libc goes on with the next one (uc_link) by itself:
 * so it returns to us first. (On x86-64; elsewhere what was blocked of the
 * claimed ones stays so.)
 */
#include "preload/altstack.h"

#include "preload/gate.h"
#include "preload/libc.h"
#include "preload/part.h"
#include "preload/signal.h"
#include "preload/tail.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

typedef int swapper(ucontext_t *, const ucontext_t *);
typedef int getter(ucontext_t *);

swapper __wrap_swapcontext;
getter __wrap_getcontext;
void __wrap_makecontext(ucontext_t *context, void (*run)(void), int count,
			unsigned low, unsigned high);

/* What a handler of the program's may want, beside ours. Untouched: nothing. */
#define STACK_BYTES ((size_t)256 << 10)
/*
 * From so many on the program's has room for ours: a call of the library's takes
 * 10 KiB, a frame of a signal up to 12.
 */
#define LARGE_BYTES ((size_t)64 << 10)
/* MINSIGSTKSZ as the kernel has it; there may be no room for a signal, then. */
#define LEAST_BYTES 2048
/* SS_AUTODISARM, which is in <linux/signal.h> only */
#define SS_AUTODISARM_BIT (1u << 31)

static __thread void *ours __attribute__((tls_model("initial-exec")));
/* What the program has set, while ours is the kernel's. */
static __thread stack_t theirs __attribute__((tls_model("initial-exec")));

static pthread_key_t end_key; /* (i) */
static bool keyed;	      /* (i) */

static void drop(void *stack)
{
	const stack_t none = {.ss_flags = SS_DISABLE};

	gate_call(SYS_sigaltstack, &none, NULL);
	gate_call(SYS_munmap, stack, STACK_BYTES);
	ours = NULL;
}

void altstack_init(void)
{
	keyed = pthread_key_create(&end_key, drop) == 0;
}

static void *new_stack(void)
{
	void *p = (void *)gate_call(
		SYS_mmap, NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Makes ours the kernel's, in that mode. False: it could not be. */
static bool use_ours(int flags)
{
	void *stack = ours ? ours : new_stack();
	const stack_t new = {.ss_sp = stack,
			     .ss_flags = flags & (int)SS_AUTODISARM_BIT,
			     .ss_size = STACK_BYTES};

	if (!stack)
		return false;
	if (gate_call(SYS_sigaltstack, &new, NULL)) {
		if (!ours)
			gate_call(SYS_munmap, stack, STACK_BYTES);
		return false;
	}
	if (!ours && keyed)
		pthread_setspecific(end_key, stack);
	ours = stack;
	return true;
}

static bool is_none(const stack_t *stack)
{
	return stack->ss_flags & SS_DISABLE;
}

/* A stack for signals is needed from now on. */
static void want_stack(void)
{
	stack_t now;

	if (ours || gate_call(SYS_sigaltstack, NULL, &now) || !is_none(&now))
		return;
	theirs = (stack_t){.ss_flags = SS_DISABLE};
	use_ours(0);
}

void altstack_begin(void)
{
	if (signals_at_faults())
		want_stack();
}

/* ------------------------------------------------------------------ */
/* For the program							*/

static bool is_ours(const stack_t *now)
{
	return ours && now->ss_sp == ours;
}

/*
 * A handler is on ours, or has left it for another context and may come back;
 * the kernel has none until then (SS_AUTODISARM).
 */
static bool is_disarmed(const stack_t *now)
{
	return ours && is_none(now);
}

/* On a stack for signals, as far as the program knows of one. */
static bool is_on(const stack_t *now)
{
	return now->ss_flags & SS_ONSTACK &&
	       !(is_ours(now) && is_none(&theirs));
}

/* As the kernel would refuse it. */
static int refusal(const stack_t *new, const stack_t *now)
{
	unsigned mode = (unsigned)new->ss_flags & ~SS_AUTODISARM_BIT;

	if (is_on(now))
		return EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return EINVAL;
	if (!is_none(new) && new->ss_size < LEAST_BYTES)
		return ENOMEM;
	return 0;
}

/* Where ours is the kernel's, or will be. */
static int set_beside(const stack_t *new, const stack_t *now)
{
	int error = refusal(new, now);

	if (!error && !(now->ss_flags & SS_ONSTACK) && !use_ours(new->ss_flags))
		error = ENOMEM;
	if (error)
		return part_fail(error);
	/* as the kernel keeps it */
	theirs = (stack_t){.ss_flags = new->ss_flags & ~SS_ONSTACK};
	if (!is_none(new)) {
		theirs.ss_sp = new->ss_sp;
		theirs.ss_size = new->ss_size;
	}
	return 0;
}

/* Ours is not to be begun anew while a handler's frames are on it. */
static int set_stack(const stack_t *new, const stack_t *now)
{
	if (is_disarmed(now))
		return LIBC(sigaltstack)(new, NULL);
	if (is_none(new)
		    ? ours != NULL
		    : new->ss_size < LARGE_BYTES ||
			      (is_ours(now) && now->ss_flags & SS_ONSTACK) ||
			      is_paged(new->ss_sp, new->ss_size))
		return set_beside(new, now);
	return LIBC(sigaltstack)(new, NULL);
}

int sigaltstack(const stack_t *set, stack_t *old)
{
	stack_t new, now, before;
	int rc = 0;

	if (!signals_any() || (set && !readable(set, sizeof(*set))))
		return LIBC(sigaltstack)(set, old);
	if (set)
		new = *set; /* may be paged */
	/* the kernel says what it thinks of the place */
	if (old && !paged_writable(old, sizeof(*old)) &&
	    LIBC(sigaltstack)(NULL, old))
		return -1;
	if (LIBC(sigaltstack)(NULL, &now))
		return -1;
	before = now;
	if (is_ours(&now)) {
		before = theirs;
		if (is_on(&now))
			before.ss_flags |= SS_ONSTACK;
	}
	if (set)
		rc = set_stack(&new, &now);
	if (rc == 0 && old)
		*old = before;
	return rc;
}

static void before_context(const ucontext_t *to)
{
	if (!signals_any())
		return;
	if (!ours && is_paged(to->uc_stack.ss_sp, to->uc_stack.ss_size))
		want_stack();
	signals_resume((sigset_t *)(uintptr_t)&to->uc_sigmask);
}

static void before_swap(ucontext_t *from, const ucontext_t *to)
{
	if (signals_any())
		signals_note(&from->uc_sigmask);
	before_context(to);
}

/* It may be come back to more than once: not here, but at the caller's. */
JUMPS int swapcontext(ucontext_t *from, const ucontext_t *to)
{
	swapper *real = LIBC(swapcontext);

	before_swap(from, to);
	TAIL_CALL return real(from, to);
}

JUMPS int getcontext(ucontext_t *context)
{
	getter *real = LIBC(getcontext);

	if (signals_any())
		signals_note(&context->uc_sigmask);
	TAIL_CALL return real(context);
}

int setcontext(const ucontext_t *to)
{
	before_context(to);
	return LIBC(setcontext)(to);
}

/* ---- the end of a context's function ---- */

#if defined(__x86_64__)

/* Where libc has it return to; it finds the next context in rbx, as libc does. */
uintptr_t vvm_context_end __attribute__((visibility("hidden")));
void vvm_context_returned(void) __attribute__((visibility("hidden")));
void vvm_context_next(const ucontext_t *next)
	__attribute__((visibility("hidden")));

__asm__(".text\n"
	".type vvm_context_returned, @function\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined rip\n" /* nobody has called it */
	"	nop\n"		      /* unwinders look before it */
	"vvm_context_returned:\n"
	"	mov %rbx, %rsp\n"
	"	mov (%rsp), %rdi\n"
	"	call vvm_context_next\n"
	"	jmp *vvm_context_end(%rip)\n"
	"	.cfi_endproc\n"
	".size vvm_context_returned, . - vvm_context_returned\n");

void vvm_context_next(const ucontext_t *next)
{
	if (next)
		before_context(next);
}

enum { IN_REGISTERS = 6 };

/* The stack: where to return to, and the arguments that have no register. */
void makecontext(ucontext_t *context, void (*run)(void), int count, ...)
{
	long a[IN_REGISTERS] = {0};
	uintptr_t *stack;
	va_list ap;
	int i;

	va_start(ap, count);
	for (i = 0; i < count && i < IN_REGISTERS; i++)
		a[i] = va_arg(ap, long);
	LIBC(makecontext)
	(context, run, count, a[0], a[1], a[2], a[3], a[4], a[5]);
	stack = (uintptr_t *)context->uc_mcontext.gregs[REG_RSP];
	for (; i < count; i++)
		stack[i - IN_REGISTERS + 1] = va_arg(ap, uintptr_t);
	va_end(ap);
	if (!signals_any())
		return;
	vvm_context_end = stack[0];
	stack[0] = (uintptr_t)vvm_context_returned;
}

#endif

/* ---- the library's, on its way to another stack ---- */

JUMPS int __wrap_getcontext(ucontext_t *context)
{
	getter *real = LIBC(getcontext);

	TAIL_CALL return real(context);
}

/* What it is called with there. */
void __wrap_makecontext(ucontext_t *context, void (*run)(void), int count,
			unsigned low, unsigned high)
{
	LIBC(makecontext)(context, run, count, low, high);
}

JUMPS int __wrap_swapcontext(ucontext_t *from, const ucontext_t *to)
{
	swapper *real = LIBC(swapcontext);

	TAIL_CALL return real(from, to);
}
