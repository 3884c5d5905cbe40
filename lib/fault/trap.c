/* SPDX-License-Identifier: MIT */
/*
 * fault/trap.c - the process's SIGSEGV and SIGBUS handlers, installed when the
 * first space gets a fault callback or opens in inline mode, never taken out.
 *
 * In inline mode SIGBUS is how the kernel reports an ordinary fault. It is
 * resolved here, in the thread that had it (fault/inline.c); only what cannot
 * be resolved goes on to the callback.
 *
 * A signal is ours when si_addr lies in a region of a registered space. Any
 * other goes to the handler that was there before. Where there was none, the
 * default action is put back and the access happens again, so that the process
 * dies of it as it would have without us, core dump included.
 *
 * A signal handler belongs to the process, hence a piece of global state: a
 * fixed table of spaces. An entry is looked at without a lock; its `users` keep
 * trap_unregister() from returning while a handler looks at the space or
 * resolves a fault in it. They are not held across the callback, which may
 * leave by siglongjmp().
 *
 * Taking the space lock here is safe: plain accesses that can fail happen in
 * the application's code, which holds none of our locks, and checked accesses
 * (map/access.c) only touch pages that are resident and permitted.
 *
 * While a fault is resolved asynchronous signals are blocked: a handler of the
 * application that touches guest memory would otherwise meet the locks of its
 * own thread. The callback and foreign handlers run with the mask of the
 * interrupted code (and SA_NODEFER), so they may be left by siglongjmp() with
 * or without a saved mask.
 */
#include "fault/trap.h"

#include <errno.h>
#include <signal.h>
#include <ucontext.h>

#include "fault/inline.h"

static struct entry {
	_Atomic(struct vvm *) vm;
	_Atomic unsigned users;
} entries[TRAP_SPACES];
static struct sigaction old_segv, old_bus; /* of before our first one */
/* Counts unmappings, so that an address used again gets a new free try. */
static _Atomic unsigned unmappings;
static struct lock installing = {.rank = LOCK_MISC};
static bool installed; /* (installing) */

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

/* Fills in the fault when the address is in a region of vm. */
static bool describe(struct vvm *vm, const siginfo_t *si, void *context,
		     struct vvm_fault *fault)
{
	haddr_t host = (haddr_t)(uintptr_t)si->si_addr;
	struct region *r;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, host);
	if (r) {
		fault->addr = region_to_guest(r, host);
		fault->ptr = si->si_addr;
		fault->access = access_kind(si, context, r->prot);
		fault->context = context;
	}
	rwlock_end_read(&vm->lock);
	return r != NULL;
}

/* The space of an entry, which stays until put_space(). NULL: none. */
static struct vvm *get_space(struct entry *e)
{
	struct vvm *vm;

	atomic_fetch_add(&e->users, 1);
	vm = atomic_load(&e->vm);
	return vm && !space_forked(vm) ? vm : NULL;
}

static void put_space(struct entry *e)
{
	atomic_fetch_sub(&e->users, 1);
}

/* The space that was hit, got by *held, or NULL. */
static struct vvm *find_space(const siginfo_t *si, void *context,
			      struct vvm_fault *fault, struct entry **held)
{
	struct entry *e;

	for (e = entries; e < entries + TRAP_SPACES; e++) {
		struct vvm *vm = get_space(e);

		if (vm && describe(vm, si, context, fault)) {
			*held = e;
			return vm;
		}
		put_space(e);
	}
	return NULL;
}

/* What a SIGBUS of thread mode was for: the page tells. */
static int bus_error(struct vvm *vm, gaddr_t addr)
{
	struct block *b;
	bool poisoned = false;

	rwlock_read(&vm->lock);
	b = pt_find(&vm->pt, addr);
	if (b) {
		lock_take(&b->lock);
		poisoned = pte_state(b->pte[page_index(addr)]) == PAGE_POISONED;
		lock_drop(&b->lock);
	}
	rwlock_end_read(&vm->lock);
	return poisoned ? -VVM_EPOISON : -VVM_ENOFRAME;
}

/* 0: resolved, do the access again. Else why it failed. */
static int resolve(struct vvm *vm, int sig, const struct vvm_fault *fault)
{
	static const int refusal[] = {
		[VVM_ACCESS_READ] = -VVM_ENOREAD,
		[VVM_ACCESS_WRITE] = -VVM_ENOWRITE,
		[VVM_ACCESS_EXEC] = -VVM_ENOEXEC,
	};

	if (sig == SIGSEGV)
		return refusal[fault->access];
	if (space_is_inline(vm))
		return inline_fault(vm, fault->addr,
				    fault->access == VVM_ACCESS_WRITE);
	return bus_error(vm, fault->addr);
}

/* Hands the signal to whoever had it before us. */
static void pass_on(int sig, siginfo_t *si, void *context)
{
	const struct sigaction *old = sig == SIGSEGV ? &old_segv : &old_bus;

	os_signal_unblock(&((const ucontext_t *)context)->uc_sigmask);
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
	/* Returning does the access again, which is then deadly. */
	os_signal_default(sig, si->si_code <= 0);
}

/* Does vm's owner want to see the fault, and has it repaired it? */
static bool ask(struct vvm *vm, const struct vvm_fault *fault)
{
	vvm_fault_callback callback = atomic_load(&vm->on_fault);

	if (!callback)
		return false;
	/* it may leave by siglongjmp() without restoring a mask */
	os_signal_unblock(&((const ucontext_t *)fault->context)->uc_sigmask);
	stat_add(vm->api, VVM_STAT_denied, 1);
	return callback(vm, fault, atomic_load(&vm->on_fault_arg)) == VVM_RETRY;
}

/*
 * A SIGBUS in no region may come from a region that is just being unmapped.
 * Then the access raises SIGSEGV when it is repeated. So it is repeated while a
 * mapping call runs, and once more in case the call has just ended: each thread
 * gets one free try for an address.
 */
static bool maybe_unmapped(const siginfo_t *si)
{
	static _Atomic uintptr_t tried[64];
	uint64_t thread = (uint64_t)(uintptr_t)__builtin_thread_pointer();
	uintptr_t addr = (uintptr_t)si->si_addr;
	struct entry *e;
	unsigned i;

	if (si->si_code != BUS_ADRERR)
		return false;
	for (e = entries; e < entries + TRAP_SPACES; e++) {
		struct vvm *vm = get_space(e);
		bool busy = vm && space_is_inline(vm) &&
			    atomic_load(&vm->mapping.word);

		put_space(e);
		if (busy) {
			os_yield();
			return true;
		}
	}
	i = (unsigned)(thread * 0x9e3779b97f4a7c15u >> 58);
	addr ^= (uintptr_t)atomic_load(&unmappings) << 48;
	return atomic_exchange(&tried[i], addr) != addr;
}

static void on_signal(int sig, siginfo_t *si, void *context)
{
	struct vvm_fault fault;
	struct vvm *vm = NULL;
	struct entry *held;
	int saved = errno;

	/* SI_QUEUE: our own, from kernels without UFFDIO_POISON. */
	if (si->si_code > 0 || (sig == SIGBUS && si->si_code == SI_QUEUE))
		vm = find_space(si, context, &fault, &held);
	if (vm && atomic_load(&vm->dormant))
		space_rouse(vm);
	if (vm) {
		fault.error = resolve(vm, sig, &fault);
		put_space(held);
	}
	if (vm && fault.error == -VVM_EUNMAPPED)
		vm = NULL; /* it was there a moment ago */
	if (vm ? fault.error && !ask(vm, &fault)
	       : sig == SIGSEGV || !maybe_unmapped(si))
		pass_on(sig, si, context);
	errno = saved;
}

/*
 * Installs our handler: the first time, and again where somebody has put the
 * default action back. If another part of the program has installed a handler
 * over ours, that one stays. It may pass signals on to us, so we must not pass
 * them on to it.
 */
static void install(int sig, struct sigaction *old)
{
	struct sigaction now;

	if (!installed)
		os_signal(sig, on_signal, old);
	else if (!os_signal_handled(sig))
		os_signal(sig, on_signal, &now);
}

static void install_all(void)
{
	lock_take(&installing);
	install(SIGSEGV, &old_segv);
	install(SIGBUS, &old_bus);
	installed = true;
	lock_drop(&installing);
}

void trap_forked(void)
{
	struct entry *e;

	for (e = entries; e < entries + TRAP_SPACES; e++)
		atomic_store(&e->users, 0);
	lock_init(&installing, LOCK_MISC);
}

void trap_unmapped(void)
{
	atomic_fetch_add(&unmappings, 1);
}

int trap_register(struct vvm *vm)
{
	struct entry *e;

	for (e = entries; e < entries + TRAP_SPACES; e++)
		if (atomic_load(&e->vm) == vm)
			return 0;
	for (e = entries; e < entries + TRAP_SPACES; e++) {
		struct vvm *none = NULL;

		if (atomic_compare_exchange_strong(&e->vm, &none, vm)) {
			install_all();
			return 0;
		}
	}
	return -EAGAIN;
}

void trap_unregister(struct vvm *vm)
{
	struct entry *e;

	for (e = entries; e < entries + TRAP_SPACES; e++) {
		struct vvm *it = vm;

		if (!atomic_compare_exchange_strong(&e->vm, &it, NULL))
			continue;
		while (atomic_load(&e->users))
			os_yield();
	}
}
