/* SPDX-License-Identifier: MIT */
/*
 * sim/memory.c - guest memory: a real memfd, really mapped, whose page faults
 * are simulated.
 *
 * A table has for each page of the guest view what the kernel knows of it (enum
 * sim_page_flags). The real mapping permits what a page that is present and not
 * protected permits, and nothing else; so each access that would be a fault is
 * a real SIGSEGV in the thread that made it, whose handler does what the
 * kernel would do, and returns, which does the access again:
 *
 *	not permitted, or a guard marker	SIGSEGV for the program
 *	poisoned			SIGBUS
 *	a frame, but no entry		the entry is made; nobody is told
 *	no frame, or protected		an event; or SIGBUS, if the descriptor
 *					has that feature; unregistered: zeros
 *
 * Guard markers, too, stay with DONTNEED and punching (mm/madvise.c); they are
 * put in and taken out page by page, with others running in between.
 *
 * A page that is a write away from an event is mapped readable. What the
 * markers of write protection and poison do to each other is as in Linux 6.x
 * (mm/userfaultfd.c, mm/memory.c): DONTNEED and punching keep the first and
 * DONTNEED drops the second; UFFDIO_COPY replaces both; UFFDIO_POISON replaces
 * neither; UFFDIO_WRITEPROTECT passes over the second.
 *
 * Signals for the program go through the handlers that the library has
 * installed, as functions, with the mask that the kernel would have set.
 *
 * One space at a time: a frame lies at the offset of its address, so pages and
 * frames share one table.
 */
#include "sim/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "os/os.h"
#include "sim/files.h"
#include "sim/sched.h"
#include "sim/watch.h"

#define CHUNKS 128

static struct chunk {
	uint64_t base; /* 0: free */
	struct sim_page page[BLOCK_PAGES];
} chunks[CHUNKS];
static uint64_t frames;
static int frames_fd = -1;
bool (*sim_before_unmap)(uint64_t host, uint64_t bytes);
__thread struct sim_access *sim_access
	__attribute__((tls_model("initial-exec")));

/* ---- the table ---- */

static struct chunk *find_chunk(uint64_t host)
{
	static struct chunk *last = chunks;
	uint64_t base = block_floor(host);
	unsigned i;

	if (last->base == base)
		return last;
	for (i = 0; i < CHUNKS; i++)
		if (chunks[i].base == base)
			return last = &chunks[i];
	return NULL;
}

struct sim_page *sim_page(uint64_t host)
{
	struct chunk *c = find_chunk(host);

	return c && host >= BLOCK_BYTES ? &c->page[page_index(host)] : NULL;
}

static bool unused(const struct chunk *c)
{
	unsigned i;

	for (i = 0; i < BLOCK_PAGES; i++)
		if (c->page[i].flags)
			return false;
	return true;
}

static struct sim_page *make_page(uint64_t host)
{
	struct sim_page *p = sim_page(host);
	struct chunk *c;
	unsigned i;

	if (p)
		return p;
	for (c = chunks; c < chunks + CHUNKS; c++)
		if (!c->base || unused(c))
			break;
	if (c == chunks + CHUNKS)
		sim_fail("the simulator has no place for guest memory");
	memset(c, 0, sizeof(*c));
	c->base = block_floor(host);
	for (i = 0; i < BLOCK_PAGES; i++)
		c->page[i].uffd = -1;
	return &c->page[page_index(host)];
}

bool sim_is_guest(uint64_t host)
{
	const struct sim_page *p = sim_page(host);

	return p && p->flags & SIM_MAPPED;
}

uint64_t sim_frames(void)
{
	return frames;
}

static int real_prot(const struct sim_page *p)
{
	if (!(p->flags & SIM_PRESENT) || !(p->prot & (OS_READ | OS_WRITE)))
		return PROT_NONE;
	if (p->prot & OS_WRITE && !(p->flags & SIM_PROTECTED))
		return PROT_READ | PROT_WRITE;
	return PROT_READ;
}

void sim_apply(uint64_t host, uint64_t bytes)
{
	uint64_t at = host, end = host + bytes, from;
	int prot;

	while (at < end) {
		if (!sim_is_guest(at)) {
			at += PAGE_BYTES;
			continue;
		}
		from = at;
		prot = real_prot(sim_page(at));
		while (at < end && sim_is_guest(at) &&
		       real_prot(sim_page(at)) == prot)
			at += PAGE_BYTES;
		if (mprotect((void *)from, at - from, prot) < 0)
			sim_fail("mprotect: %s", strerror(errno));
	}
}

void sim_frame_put(struct sim_page *p, uint64_t host, const void *from)
{
	static const char zeros[PAGE_BYTES];

	if (!(p->flags & SIM_FRAME))
		frames++;
	p->flags |= SIM_FRAME;
	if (pwrite(frames_fd, from ? from : zeros, PAGE_BYTES, (off_t)host) !=
	    (ssize_t)PAGE_BYTES)
		sim_fail("pwrite of a frame: %s", strerror(errno));
}

/* ---- calls on the guest view ---- */

static void each(uint64_t at, uint64_t bytes, unsigned clear, unsigned set)
{
	uint64_t end = at + bytes;
	struct sim_page *p;

	for (; at < end; at += PAGE_BYTES) {
		p = sim_page(at);
		if (p)
			p->flags = (uint8_t)((p->flags & ~clear) | set);
	}
}

/* mmap(2) of locked memory: it is filled at once, as far as one may. */
static void populate(uint64_t at, uint64_t bytes)
{
	uint64_t end = at + bytes;
	struct sim_page *p;

	for (; at < end; at += PAGE_BYTES) {
		p = sim_page(at);
		if (!(p->flags & SIM_FRAME))
			sim_frame_put(p, at, NULL);
		p->flags |= SIM_PRESENT;
	}
}

extern int __real_os_map_fixed(haddr_t at, uint64_t bytes, unsigned prot,
			       int fd, uint64_t off);
int __wrap_os_map_fixed(haddr_t at, uint64_t bytes, unsigned prot, int fd,
			uint64_t off)
{
	struct sim_page *p;
	uint64_t i;
	int error;

	if (!sim_self || sim_file(fd)->kind != SIM_FRAMES)
		return __real_os_map_fixed(at, bytes, prot, fd, off);
	error = sim_call(OS_map);
	if (error)
		return error;
	if (at != off)
		sim_fail("a frame is not at the offset of its address");
	if (mmap((void *)at, bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, fd,
		 (off_t)off) == MAP_FAILED)
		sim_fail("mmap of the guest view: %s", strerror(errno));
	for (i = 0; i < bytes; i += PAGE_BYTES) {
		p = make_page(at + i);
		p->flags = (p->flags & SIM_FRAME) | SIM_MAPPED;
		if (K->params.locked)
			p->flags |= SIM_LOCKED;
		p->prot = (uint8_t)prot;
		p->uffd = -1;
	}
	if (K->params.locked && prot)
		populate(at, bytes);
	sim_apply(at, bytes);
	return 0;
}

extern int __real_os_unmap_keep(haddr_t at, uint64_t bytes);
int __wrap_os_unmap_keep(haddr_t at, uint64_t bytes)
{
	int error = __real_os_unmap_keep(at, bytes);

	if (!error)
		each(at, bytes, ~(unsigned)SIM_FRAME, 0);
	return error;
}

extern int __real_os_unmap(haddr_t at, uint64_t bytes);
int __wrap_os_unmap(haddr_t at, uint64_t bytes)
{
	if (sim_self && sim_before_unmap && !sim_before_unmap(at, bytes))
		return 0;
	if (sim_is_guest(at))
		each(at, bytes, ~(unsigned)SIM_FRAME, 0);
	return __real_os_unmap(at, bytes);
}

extern int __real_os_protect(haddr_t at, uint64_t bytes, unsigned prot);
int __wrap_os_protect(haddr_t at, uint64_t bytes, unsigned prot)
{
	uint64_t i;
	int error;

	if (!sim_self || !sim_is_guest(at))
		return __real_os_protect(at, bytes, prot);
	error = sim_call(OS_protect);
	if (error)
		return error;
	for (i = 0; i < bytes; i += PAGE_BYTES)
		if (sim_is_guest(at + i))
			sim_page(at + i)->prot = (uint8_t)prot;
	sim_apply(at, bytes);
	return 0;
}

extern int __real_os_unlock(haddr_t at, uint64_t bytes);
int __wrap_os_unlock(haddr_t at, uint64_t bytes)
{
	int error;

	if (!sim_self || !sim_is_guest(at))
		return __real_os_unlock(at, bytes);
	error = sim_call(OS_unlock);
	if (!error)
		each(at, bytes, SIM_LOCKED, 0);
	return error;
}

extern int __real_os_advise(haddr_t at, uint64_t bytes, enum os_advice advice);
int __wrap_os_advise(haddr_t at, uint64_t bytes, enum os_advice advice)
{
	int error;

	if (!sim_self || !sim_is_guest(at) ||
	    (advice != OS_ADV_DONTNEED && advice != OS_ADV_DONTFORK))
		return __real_os_advise(at, bytes, advice);
	if (advice == OS_ADV_DONTFORK) {
		error = __real_os_advise(at, bytes, advice);
		if (!error)
			each(at, bytes, 0, SIM_DONTFORK);
		return error;
	}
	error = sim_call(OS_advise);
	if (error)
		return error;
	each(at, bytes, SIM_PRESENT | SIM_POISON, 0);
	sim_apply(at, bytes);
	return 0;
}

/* ---- guard markers ---- */

int __wrap_os_guard_probe(void)
{
	return 0;
}

/* One page after the other; a failing install may have done some of them. */
static int guard(unsigned point, uint64_t at, uint64_t bytes, bool on)
{
	uint64_t end = at + bytes;
	int error = sim_call(point);
	struct sim_page *p;

	sim_trace(SIM_EV_UFFD, point, at);
	if (error)
		end = at +
		      pages_to_bytes(on ? sim_below(bytes >> PAGE_SHIFT) : 0);
	for (; at < end; at += PAGE_BYTES) {
		p = sim_page(at);
		if (!p || !(p->flags & SIM_MAPPED))
			return -ENOMEM;
		if (on && p->flags & SIM_LOCKED)
			return -EINVAL;
		p->flags &= (uint8_t) ~(on ? SIM_PRESENT : SIM_GUARD);
		p->flags |= on ? SIM_GUARD : 0;
		sim_apply(at, PAGE_BYTES);
		sim_point(SIM_AT_ATOMIC);
	}
	return error;
}

int __wrap_os_guard_install(haddr_t at, uint64_t bytes)
{
	return guard(OS_guard_install, at, bytes, true);
}

int __wrap_os_guard_remove(haddr_t at, uint64_t bytes)
{
	return guard(OS_guard_remove, at, bytes, false);
}

/* A page without a frame and without anybody to ask gets zeros. */
static void fill_zeros(struct sim_page *p, uint64_t host)
{
	sim_frame_put(p, host, NULL);
	sim_watch_frames();
}

int __wrap_os_populate(haddr_t at, bool write)
{
	struct sim_page *p = sim_page(at);

	sim_point(SIM_AT_CALL);
	if (!p || !(p->flags & SIM_MAPPED))
		return -ENOMEM;
	if (!(p->prot & (write ? OS_WRITE : OS_READ)))
		return -EINVAL;
	if (p->flags & SIM_GUARD)
		return -EFAULT;
	if (!(p->flags & SIM_FRAME))
		fill_zeros(p, at);
	p->flags |= SIM_PRESENT;
	sim_apply(at, PAGE_BYTES);
	return 0;
}

void sim_forget_mapping(void)
{
	struct chunk *c = &chunks[sim_below(CHUNKS)];
	unsigned i = (unsigned)sim_below(BLOCK_PAGES);

	if (!c->base || !(c->page[i].flags & SIM_PRESENT))
		return;
	c->page[i].flags &= (uint8_t)~SIM_PRESENT;
	sim_apply(c->base + pages_to_bytes(i), PAGE_BYTES);
}

/* ---- calls on the memfd ---- */

static void forget_frames(void)
{
	unsigned i, k;

	for (i = 0; i < CHUNKS; i++)
		for (k = 0; k < BLOCK_PAGES; k++)
			chunks[i].page[k].flags &=
				(uint8_t) ~(SIM_FRAME | SIM_PRESENT);
	frames = 0;
}

extern int __real_os_memfd(const char *name, int *fd);
int __wrap_os_memfd(const char *name, int *fd)
{
	int error = __real_os_memfd(name, fd);

	if (error || !sim_self)
		return error;
	if (strcmp(name, "vvm")) {
		sim_file_new(*fd, SIM_OTHER);
		return 0;
	}
	sim_file_new(*fd, SIM_FRAMES);
	forget_frames();
	frames_fd = *fd;
	return 0;
}

static void drop_frames(uint64_t off, uint64_t bytes)
{
	uint64_t i;
	struct sim_page *p;

	for (i = 0; i < bytes; i += PAGE_BYTES) {
		p = sim_page(off + i);
		if (!p || !(p->flags & SIM_FRAME))
			continue;
		frames--;
		p->flags &= (uint8_t) ~(SIM_FRAME | SIM_PRESENT);
	}
	sim_apply(off, bytes);
}

extern int __real_os_punch(int fd, uint64_t off, uint64_t bytes);
int __wrap_os_punch(int fd, uint64_t off, uint64_t bytes)
{
	int error = __real_os_punch(fd, off, bytes);

	if (!error && sim_self && fd == frames_fd)
		drop_frames(off, bytes);
	return error;
}

extern int __real_os_truncate(int fd, uint64_t bytes);
int __wrap_os_truncate(int fd, uint64_t bytes)
{
	int error = __real_os_truncate(fd, bytes);

	if (!error && sim_self && fd == frames_fd && !bytes)
		forget_frames();
	return error;
}

extern int __real_os_frame_write(int fd, const void *buf, uint64_t bytes,
				 uint64_t off);
int __wrap_os_frame_write(int fd, const void *buf, uint64_t bytes, uint64_t off)
{
	struct sim_page *p;
	uint64_t i;
	int error = __real_os_frame_write(fd, buf, bytes, off);

	if (error || !sim_self || fd != frames_fd)
		return error;
	for (i = 0; i < bytes; i += PAGE_BYTES) {
		p = make_page(off + i);
		if (!(p->flags & SIM_FRAME))
			frames++;
		p->flags |= SIM_FRAME;
	}
	return 0;
}

int __wrap_os_pagemap_present(int fd, haddr_t at, unsigned pages,
			      uint64_t *bits, enum os_pagemap_method *method)
{
	int error = sim_call(OS_pagemap);
	const struct sim_page *p;
	unsigned i;

	(void)fd;
	memset(bits, 0, (pages + 63) / 64 * sizeof(*bits));
	if (method)
		*method = OS_PAGEMAP_SCAN;
	if (error)
		return error;
	for (i = 0; i < pages; i++) {
		p = sim_page(at + pages_to_bytes(i));
		if (p && p->flags & SIM_PRESENT)
			bits[i / 64] |= (uint64_t)1 << i % 64;
	}
	return 0;
}

/* ---- faults ---- */

void sim_leave_access(int sig, uint64_t host)
{
	bool armed =
		sim_access && page_floor(sim_access->host) == page_floor(host);

	/* in a call that touches paged memory, the heap's realloc() */
	if (!armed && sig == SIGBUS &&
	    (K->params.failures || K->params.disk_errors))
		sim_die();
	if (!armed)
		sim_fail("the program dies of signal %d at %llx", sig,
			 (unsigned long long)host);
	siglongjmp(sim_access->env, sig);
}

static void deliver(int sig, int code, uint64_t host, void *context)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = code;
	info.si_addr = (void *)(uintptr_t)host;
	sim_trace(SIM_EV_FAULT, (uint64_t)sig, host);
	if (!sim_signal_library(sig, &info, context))
		sim_leave_access(sig, host);
}

static void fault(uint64_t host, bool write, void *context)
{
	struct sim_page *p = sim_page(host);

	K->faults++;
	if (!p || !(p->flags & SIM_MAPPED)) {
		deliver(SIGSEGV, SEGV_MAPERR, host, context);
		return;
	}
	if (sim_self->sigbus) {
		sim_self->sigbus = false;
		deliver(SIGBUS, SI_QUEUE, sim_self->sigbus_addr, context);
		return;
	}
	if (!(p->prot & (write ? OS_WRITE : OS_READ))) {
		deliver(SIGSEGV, SEGV_ACCERR, host, context);
	} else if (p->flags & SIM_GUARD) {
		deliver(SIGSEGV, SEGV_MAPERR, host, context);
	} else if (p->flags & SIM_PRESENT &&
		   !(write && p->flags & SIM_PROTECTED)) {
		sim_apply(page_floor(host), PAGE_BYTES);
	} else if (p->flags & SIM_POISON) {
		deliver(SIGBUS, BUS_MCEERR_AR, host, context);
	} else if (p->flags & SIM_FRAME &&
		   !(write && p->flags & SIM_PROTECTED)) {
		p->flags |= SIM_PRESENT;
		sim_apply(page_floor(host), PAGE_BYTES);
	} else if (p->uffd < 0) {
		fill_zeros(p, page_floor(host));
		p->flags |= SIM_PRESENT;
		sim_apply(page_floor(host), PAGE_BYTES);
	} else if (sim_file(p->uffd)->sigbus) {
		deliver(SIGBUS, BUS_ADRERR, host, context);
	} else {
		sim_uffd_wait(p, host, write, p->flags & SIM_FRAME);
	}
}

/* The page fault's error code: bit 1 is a write. */
static bool was_write(const ucontext_t *uc)
{
#ifdef __x86_64__
	return uc->uc_mcontext.gregs[REG_ERR] & 2;
#else
	(void)uc;
	return false; /* main() has said that it cannot run here */
#endif
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	uint64_t host = (uint64_t)(uintptr_t)info->si_addr;
	int saved = errno;

	if (!sim_self || info->si_code <= 0 || (!sim_page(host) && !sim_access))
		sim_fail("a real signal %d at %p, code %d", sig, info->si_addr,
			 info->si_code);
	fault(host, was_write(context), context);
	errno = saved;
}

void sim_memory_init(void)
{
	struct sigaction sa = {.sa_sigaction = on_segv,
			       .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

void sim_memory_forked(void)
{
	unsigned i, k;

	for (i = 0; i < CHUNKS; i++)
		for (k = 0; k < BLOCK_PAGES; k++) {
			struct sim_page *p = &chunks[i].page[k];

			if (p->flags & SIM_DONTFORK)
				p->flags = 0;
			p->uffd = -1;
			p->flags &= (uint8_t)~SIM_FRAME;
		}
	frames = 0;
	frames_fd = -1;
}

void sim_uffd_closed(int fd)
{
	unsigned i, k;

	for (i = 0; i < CHUNKS; i++)
		for (k = 0; k < BLOCK_PAGES; k++)
			if (chunks[i].page[k].uffd == fd)
				chunks[i].page[k].uffd = -1;
}
