/* SPDX-License-Identifier: MIT */
/*
 * fault/trap.c - the process's SIGSEGV and SIGBUS handlers, installed when the
 * first space gets a fault callback or opens in inline or guard mode, never
 * taken out.
 *
 * In inline mode SIGBUS is how the kernel reports an ordinary fault, in guard
 * mode SIGSEGV, which the permissions of the region tell from a refusal. It is
 * resolved here, in the thread that had it (fault/inline.c); only what cannot
 * be resolved goes on to the callback. What the permissions did not allow and do
 * now, since another thread has changed them meanwhile, is tried again, too.
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
 * The stack that the handler runs on may be paged itself, and with it what the
 * kernel has put there. So that is read before, and locks are taken on a stack
 * of ours (space/stack.c).
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
#include "space/stack.h"

static struct entry {
	_Atomic(struct vvm *) vm;
	_Atomic unsigned users;
} entries[TRAP_SPACES];
static struct sigaction old_segv, old_bus; /* of before our first one */
/*
 * Counts unmappings and changes of permissions: after each an address is
 * another one to free_try().
 */
static _Atomic unsigned changes;
static struct lock installing = {.rank = LOCK_MISC};
static bool installed; /* (installing) */

/* One signal, as far as it says something of an access. */
struct hit {
	haddr_t addr;
	int sig;
	uint64_t ip;		     /* of the code; 0: not known */
	unsigned long cpu;	     /* x86: its error code */
	struct vvm *vm;		     /* that it is in; or NULL */
	struct entry *held;	     /* its entry */
	struct vvm_fault fault;	     /* if so; context is not set */
	vvm_fault_callback callback; /* who is to be asked then; or NULL */
	void *arg;
	pte_t perms; /* of its region */
};

static unsigned long cpu_says(const ucontext_t *uc)
{
#if defined(__x86_64__)
	return (unsigned long)uc->uc_mcontext.gregs[REG_ERR];
#else
	(void)uc;
	return 0;
#endif
}

static uint64_t code_of(const ucontext_t *uc)
{
#if defined(__x86_64__)
	return (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return uc->uc_mcontext.pc;
#else
	(void)uc;
	return 0;
#endif
}

/* What the CPU tried, as far as the signal says. */
static enum vvm_access access_kind(const struct hit *hit, unsigned prot)
{
#if defined(__x86_64__)
	(void)prot;
	/* page fault error code: bit 1 write, bit 4 instruction fetch */
	if (hit->cpu & 16)
		return VVM_ACCESS_EXEC;
	return hit->cpu & 2 ? VVM_ACCESS_WRITE : VVM_ACCESS_READ;
#else
	if (hit->addr == hit->ip)
		return VVM_ACCESS_EXEC;
	return prot & VVM_READ ? VVM_ACCESS_WRITE : VVM_ACCESS_READ;
#endif
}

/* Fills in the fault when the address is in a region of vm. */
static bool describe(struct vvm *vm, struct hit *hit)
{
	struct region *r;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, hit->addr);
	if (r) {
		hit->fault.addr = region_to_guest(r, hit->addr);
		hit->fault.ptr = (void *)(uintptr_t)hit->addr;
		hit->fault.access = access_kind(hit, r->prot);
		hit->perms = (pte_t)r->prot * PTE_READ;
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

/* The space that was hit. */
static bool find_space(struct hit *hit)
{
	struct entry *e;

	for (e = entries; e < entries + TRAP_SPACES; e++) {
		struct vvm *vm = get_space(e);

		if (vm && describe(vm, hit)) {
			hit->held = e;
			hit->vm = vm;
			return true;
		}
		put_space(e);
	}
	return false;
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

/* May this thread just try again? Once for an address, until it changes. */
static bool free_try(haddr_t addr)
{
	static _Atomic uint64_t tried[64];
	uint64_t thread = (uint64_t)(uintptr_t)__builtin_thread_pointer() *
			  0x9e3779b97f4a7c15u;
	uint64_t try = thread ^ addr ^ (uint64_t)atomic_load(&changes) << 48;

	return atomic_exchange(&tried[thread >> 58], try) != try;
}

/*
 * An access that was not permitted when it was made, and is now: it may as well
 * have come later. If it is refused again and nothing has changed meanwhile, the
 * program has called mprotect(2).
 */
static int permitted_by_now(const struct hit *hit, int refusal)
{
	return free_try(hit->addr) ? 0 : refusal;
}

/* 0: resolved, do the access again. Else why it failed. */
static int resolve(struct vvm *vm, const struct hit *hit)
{
	static const struct {
		int refusal;
		pte_t need;
	} of[] = {
		[VVM_ACCESS_READ] = {-VVM_ENOREAD, PTE_READ},
		[VVM_ACCESS_WRITE] = {-VVM_ENOWRITE, PTE_WRITE},
		[VVM_ACCESS_EXEC] = {-VVM_ENOEXEC, PTE_EXEC},
	};
	const struct vvm_fault *fault = &hit->fault;
	pte_t need = hit->sig == SIGSEGV ? of[fault->access].need : 0;

	if (unlikely(pagers_call_me(&vm->pagers))) {
		pagers_refuse(os_tid(), fault->addr);
		return -VVM_ENOFRAME;
	}
	if (need && !(hit->perms & need))
		return of[fault->access].refusal;
	/* Guarded: what is permitted is a fault, and the table tells. */
	if (need && !space_is_guarded(vm))
		return permitted_by_now(hit, of[fault->access].refusal);
	if (space_is_inline(vm))
		return inline_fault(vm, fault->addr,
				    fault->access == VVM_ACCESS_WRITE, need,
				    hit->ip);
	return bus_error(vm, fault->addr);
}

/* Who wants to see it. */
static void find_callback(struct hit *hit)
{
	struct vvm *vm = hit->vm;

	hit->callback = (vvm_fault_callback)hook_get(&vm->on_fault, &hit->arg);
	if (hit->callback && hit->fault.error != -VVM_EUNMAPPED)
		stat_add(vm->api, VVM_STAT_denied, 1);
}

/* Sees to it if it is in a space, with locks. */
static void take_hit(struct hit *out)
{
	struct hit hit = *out;

	if (find_space(&hit)) {
		if (atomic_load(&hit.vm->dormant))
			space_rouse(hit.vm);
		hit.fault.error = resolve(hit.vm, &hit);
		if (hit.fault.error)
			find_callback(&hit);
		put_space(hit.held);
	}
	*out = hit;
}

static void take_hit_firmly(struct hit *hit)
{
	if (stack_is_paged())
		STACK_CALL(take_hit, hit);
	else
		take_hit(hit);
}

static bool handles(const struct sigaction *old)
{
	return (old->sa_flags & SA_SIGINFO) ||
	       (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN);
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

/* Is it an error that is SIGBUS in other spaces? */
static bool is_bus_error(int error)
{
	return error == -VVM_EPOISON || error == -VVM_ENOFRAME;
}

/*
 * A SIGSEGV of a guarded space that is to be a SIGBUS: handlers see that, and
 * without one the process ends of it, as it does in other spaces.
 */
static void pass_on_bus(const siginfo_t *segv, void *context)
{
	siginfo_t si = *segv;
	sigset_t mask = ((const ucontext_t *)context)->uc_sigmask;

	si.si_signo = SIGBUS;
	si.si_code = BUS_ADRERR;
	if (handles(&old_bus)) {
		pass_on(SIGBUS, &si, context);
		return;
	}
	sigdelset(&mask, SIGBUS);
	os_signal_unblock(&mask);
	os_signal_default(SIGBUS, true);
}

/*
 * What a region does not permit is SEGV_ACCERR. Of an instruction on a page that
 * has a marker the kernel says SEGV_MAPERR, without a look at permissions.
 */
static void pass_on_refusal(const siginfo_t *segv, void *context)
{
	siginfo_t si = *segv;

	si.si_code = SEGV_ACCERR;
	pass_on(SIGSEGV, &si, context);
}

/* Does the space's owner want to see the fault, and has it repaired it? */
static bool ask(const struct hit *hit)
{
	const ucontext_t *uc = hit->fault.context;

	if (!hit->callback)
		return false;
	/* it may leave by siglongjmp() without restoring a mask */
	os_signal_unblock(&uc->uc_sigmask);
	return hit->callback(hit->vm, &hit->fault, hit->arg) == VVM_RETRY;
}

/*
 * A SIGBUS in no region may come from a region that is just being unmapped.
 * Then the access raises SIGSEGV when it is repeated. So it is repeated while a
 * mapping call runs, and once more in case the call has just ended: each thread
 * gets one free try for an address.
 */
static bool maybe_unmapped(const siginfo_t *si)
{
	struct entry *e;

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
	return free_try((haddr_t)(uintptr_t)si->si_addr);
}

static void on_signal(int sig, siginfo_t *si, void *context)
{
	struct hit hit = {.addr = (haddr_t)(uintptr_t)si->si_addr,
			  .sig = sig,
			  .ip = code_of(context),
			  .cpu = cpu_says(context)};
	int saved = errno;

	/* SI_QUEUE: our own, from kernels without UFFDIO_POISON. */
	if (si->si_code > 0 || (sig == SIGBUS && si->si_code == SI_QUEUE))
		take_hit_firmly(&hit);
	hit.fault.context = context;
	if (hit.vm && hit.fault.error == -VVM_EUNMAPPED)
		hit.vm = NULL; /* it was there a moment ago */
	if (hit.vm ? hit.fault.error && !ask(&hit)
		   : sig == SIGSEGV || !maybe_unmapped(si)) {
		bool ours = hit.vm && sig == SIGSEGV;

		if (ours && is_bus_error(hit.fault.error))
			pass_on_bus(si, context);
		else if (ours && si->si_code == SEGV_MAPERR)
			pass_on_refusal(si, context);
		else
			pass_on(sig, si, context);
	}
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

void trap_changed(void)
{
	atomic_fetch_add(&changes, 1);
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
