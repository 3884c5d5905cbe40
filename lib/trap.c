/* SPDX-License-Identifier: MIT */
/*
 * trap.c - the process's SIGSEGV and SIGBUS handlers, installed when the
 * first space gets a fault callback and never taken out.
 *
 * A signal is ours when si_addr lies in a region of a registered space.
 * Everything else goes to the handler that was there before; where there was
 * none, the default action is put back and the access happens again, so that
 * the process dies of it as it would have without us, core dump included.
 *
 * A signal handler belongs to the process, hence the one piece of global
 * state in the library: a fixed table of spaces. An entry is looked at
 * without a lock; `looking` keeps trap_unregister() from returning while
 * anybody does. It is not held across the callback, which may leave by
 * siglongjmp().
 *
 * Taking the space lock here is safe: plain accesses that can fail happen in
 * the application's code, which holds none of our locks, and checked accesses
 * (access.c) only touch pages that are resident and permitted.
 *
 * SA_NODEFER: the callback may be left by siglongjmp() with or without a
 * saved mask.
 */
#include "trap.h"

#include <errno.h>
#include <signal.h>
#include <ucontext.h>

static _Atomic(struct vvm *) spaces[TRAP_SPACES];
static _Atomic unsigned looking;
static struct sigaction old_segv, old_bus; /* (i) */
static atomic_flag installing = ATOMIC_FLAG_INIT;

/* What the CPU tried, as far as the signal says. */
static enum vvm_access access_kind(const siginfo_t *si, const ucontext_t *uc,
				   unsigned prot)
{
#if defined(__x86_64__)
	/* page fault error code: bit 1 write, bit 4 instruction fetch */
	unsigned long code = (unsigned long)uc->uc_mcontext.gregs[REG_ERR];

	(void)si;
	(void)prot;
	if (code & 16)
		return VVM_ACCESS_EXEC;
	return code & 2 ? VVM_ACCESS_WRITE : VVM_ACCESS_READ;
#elif defined(__aarch64__)
	if ((uintptr_t)si->si_addr == uc->uc_mcontext.pc)
		return VVM_ACCESS_EXEC;
	return prot & VVM_READ ? VVM_ACCESS_WRITE : VVM_ACCESS_READ;
#else
	(void)si;
	(void)uc;
	return prot & VVM_READ ? VVM_ACCESS_WRITE : VVM_ACCESS_READ;
#endif
}

static bool page_poisoned(struct vvm *vm, gaddr_t addr)
{
	struct block *b = pt_find(&vm->pt, addr);
	bool poisoned = false;

	if (b) {
		lock_take(&b->lock);
		poisoned = b->pte[page_index(addr)] & PTE_POISON;
		lock_drop(&b->lock);
	}
	return poisoned;
}

/* Fills in the fault when the address is in a region of vm. */
static bool describe(struct vvm *vm, int sig, const siginfo_t *si, void *context,
		     struct vvm_fault *fault)
{
	static const int refusal[] = {
		[VVM_ACCESS_READ] = -VVM_ENOREAD,
		[VVM_ACCESS_WRITE] = -VVM_ENOWRITE,
		[VVM_ACCESS_EXEC] = -VVM_ENOEXEC,
	};
	haddr_t host = (haddr_t)(uintptr_t)si->si_addr;
	struct region *r;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, host);
	if (r) {
		fault->addr = region_to_guest(r, host);
		fault->ptr = si->si_addr;
		fault->access = access_kind(si, context, r->prot);
		fault->error = refusal[fault->access];
		if (sig == SIGBUS)
			fault->error = page_poisoned(vm, fault->addr)
					       ? -VVM_EPOISON
					       : -VVM_ENOFRAME;
		fault->context = context;
	}
	rwlock_end_read(&vm->lock);
	return r != NULL;
}

/* The space whose region was hit, or NULL. */
static struct vvm *find_space(int sig, const siginfo_t *si, void *context,
			      struct vvm_fault *fault)
{
	struct vvm *vm, *found = NULL;
	unsigned i;

	atomic_fetch_add(&looking, 1);
	for (i = 0; i < TRAP_SPACES && !found; i++) {
		vm = atomic_load(&spaces[i]);
		if (vm && !space_forked(vm) && describe(vm, sig, si, context, fault))
			found = vm;
	}
	atomic_fetch_sub(&looking, 1);
	return found;
}

/* Hands the signal to whoever had it before us. */
static void pass_on(int sig, siginfo_t *si, void *context)
{
	const struct sigaction *old = sig == SIGSEGV ? &old_segv : &old_bus;

	if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(sig, si, context);
		return;
	}
	if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
		old->sa_handler(sig);
		return;
	}
	if (si->si_code <= 0 && old->sa_handler == SIG_IGN)
		return; /* sent by kill(2) */
	signal(sig, SIG_DFL);
	if (si->si_code <= 0)
		raise(sig);
}

static void on_signal(int sig, siginfo_t *si, void *context)
{
	vvm_fault_callback callback;
	struct vvm_fault fault;
	int saved = errno;
	struct vvm *vm = NULL;

	/* SI_QUEUE: our own, from kernels without UFFDIO_POISON. */
	if (si->si_code > 0 || (sig == SIGBUS && si->si_code == SI_QUEUE))
		vm = find_space(sig, si, context, &fault);
	callback = vm ? atomic_load(&vm->on_fault) : NULL;
	if (callback)
		stat_add(vm->api, VVM_STAT_denied, 1);
	if (!callback || callback(vm, &fault, atomic_load(&vm->on_fault_arg)) !=
				 VVM_RETRY)
		pass_on(sig, si, context);
	errno = saved;
}

static void install(void)
{
	if (atomic_flag_test_and_set(&installing))
		return;
	os_signal(SIGSEGV, on_signal, &old_segv);
	os_signal(SIGBUS, on_signal, &old_bus);
}

int trap_register(struct vvm *vm)
{
	unsigned i;

	for (i = 0; i < TRAP_SPACES; i++)
		if (atomic_load(&spaces[i]) == vm)
			return 0;
	for (i = 0; i < TRAP_SPACES; i++) {
		struct vvm *none = NULL;

		if (atomic_compare_exchange_strong(&spaces[i], &none, vm)) {
			install();
			return 0;
		}
	}
	return -EAGAIN;
}

void trap_unregister(struct vvm *vm)
{
	unsigned i;

	for (i = 0; i < TRAP_SPACES; i++) {
		struct vvm *it = vm;

		atomic_compare_exchange_strong(&spaces[i], &it, NULL);
	}
	while (atomic_load(&looking))
		os_yield();
}
