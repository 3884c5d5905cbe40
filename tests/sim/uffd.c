/* SPDX-License-Identifier: MIT */
/*
 * sim/uffd.c - the simulated userfaultfd: lib/os/uffd.c's functions.
 *
 * A thread that faults waits until a call wakes its address, and then does the
 * access again. Its event can be read once. A signal ends the wait: the event
 * is gone if nobody has read it, the handler runs, and the access makes
 * another one. Unmapping wakes nobody, as in Linux. Events are read in any
 * order.
 *
 * Fills may stop in the middle for want of memory, and be interrupted between
 * two pages by other threads, who find what is there.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include "os/os.h"
#include "sim/files.h"
#include "sim/memory.h"
#include "sim/sched.h"
#include "sim/watch.h"

/* ---- getting one ---- */

int __wrap_os_uffd_probe(unsigned *features, enum os_uffd_method *method)
{
	int error = sim_call(OS_uffd_open);

	*method = OS_UFFD_SYSCALL;
	*features = OS_UFFD_SHMEM | OS_UFFD_WP_SHMEM | OS_UFFD_THREAD_ID |
		    OS_UFFD_EXACT | OS_UFFD_SIGBUS;
	if (K->params.poison)
		*features |= OS_UFFD_POISON;
	return error;
}

int __wrap_os_uffd_open(unsigned want, int *fd, enum os_uffd_method *method)
{
	int error = sim_call(OS_uffd_open);

	if (error)
		return error;
	*fd = eventfd(0, EFD_CLOEXEC);
	*method = OS_UFFD_SYSCALL;
	sim_file_new(*fd, SIM_UFFD)->sigbus = want & OS_UFFD_SIGBUS;
	return 0;
}

int __wrap_os_uffd_register(int fd, haddr_t at, uint64_t bytes)
{
	uint64_t i;
	int error = sim_call(OS_uffd_register);

	for (i = 0; !error && i < bytes; i += PAGE_BYTES) {
		if (!sim_is_guest(at + i))
			return -EINVAL;
		if (sim_page(at + i)->uffd >= 0)
			return -EBUSY;
		sim_page(at + i)->uffd = (int16_t)fd;
	}
	return error;
}

/* ---- waiting and waking ---- */

void sim_uffd_wait(struct sim_page *p, uint64_t host, bool write, bool protect)
{
	struct sim_thread *self = sim_self;

	if (protect) /* it can be read */
		p->flags |= SIM_PRESENT;
	self->fault_uffd = p->uffd;
	self->fault_addr = page_floor(host);
	self->fault_write = write;
	self->fault_protect = protect;
	self->fault_read = false;
	sim_trace(SIM_EV_FAULT, write, host);
	sim_wait(SIM_FAULT, 0, 0);
}

static void wake(int fd, uint64_t at, uint64_t bytes)
{
	unsigned i;

	for (i = 0; i < SIM_THREADS; i++) {
		struct sim_thread *t = &K->thread[i];

		if (t->used && t->why == SIM_FAULT && t->proc == sim_proc &&
		    t->fault_uffd == fd && t->fault_addr >= at &&
		    t->fault_addr - at < bytes)
			t->woken = true;
	}
}

int __wrap_os_uffd_wake(int fd, haddr_t at, uint64_t bytes)
{
	sim_point(SIM_AT_CALL);
	sim_trace(SIM_EV_UFFD, OS_uffd_wake, at);
	wake(fd, at, bytes);
	return 0;
}

int __wrap_os_uffd_read(int fd, struct os_fault *faults, unsigned max)
{
	unsigned i, first = (unsigned)sim_below(SIM_THREADS), n = 0;
	int error = sim_call(OS_uffd_read);

	if (error)
		return error;
	for (i = 0; i < SIM_THREADS && n < max; i++) {
		struct sim_thread *t = &K->thread[(first + i) % SIM_THREADS];

		if (!t->used || t->why != SIM_FAULT || t->proc != sim_proc ||
		    t->fault_uffd != fd || t->fault_read || t->woken)
			continue;
		t->fault_read = true;
		faults[n++] = (struct os_fault){
			.addr = t->fault_addr,
			.write = t->fault_write,
			.protect = t->fault_protect,
			.tid = (int)(t - K->thread) + SIM_TID,
		};
		if (sim_chance(8))
			break; /* the others have not come yet */
	}
	return (int)n;
}

/* ---- filling ---- */

/* 0, or why a page of this descriptor cannot be filled. */
static int fillable(const struct sim_page *p, int fd)
{
	if (!p || !(p->flags & SIM_MAPPED) || p->uffd != fd)
		return -ENOENT;
	return p->flags & (SIM_FRAME | SIM_PRESENT) ? -EEXIST : 0;
}

/* Fills one page after the other; from NULL: with zeros. */
static int fill(int fd, uint64_t to, const char *from, uint64_t bytes,
		unsigned mode, uint64_t *done)
{
	struct sim_page *p;
	int error = 0;

	for (*done = 0; *done < bytes; *done += PAGE_BYTES) {
		p = sim_page(to + *done);
		error = fillable(p, fd);
		if (error)
			break;
		sim_frame_put(p, to + *done, from ? from + *done : NULL);
		p->flags |= SIM_PRESENT;
		p->flags &= (uint8_t) ~(SIM_PROTECTED | SIM_POISON);
		if (mode & OS_UFFD_PROTECTED)
			p->flags |= SIM_PROTECTED;
		sim_apply(to + *done, PAGE_BYTES);
		if (!(mode & OS_UFFD_NOWAKE))
			wake(fd, to + *done, PAGE_BYTES);
		sim_watch_frames();
		if (*done + PAGE_BYTES < bytes) {
			error = sim_call(OS_uffd_copy);
			if (error) {
				*done += PAGE_BYTES;
				break;
			}
		}
	}
	return error;
}

int __wrap_os_uffd_copy(int fd, haddr_t to, const void *from, uint64_t bytes,
			unsigned mode, uint64_t *done)
{
	int error = sim_call(OS_uffd_copy);

	*done = 0;
	sim_trace(SIM_EV_UFFD, OS_uffd_copy, to);
	return error ? error : fill(fd, to, from, bytes, mode, done);
}

int __wrap_os_uffd_zero(int fd, haddr_t at, uint64_t bytes, uint64_t *done)
{
	int error = sim_call(OS_uffd_zero);

	*done = 0;
	sim_trace(SIM_EV_UFFD, OS_uffd_zero, at);
	return error ? error : fill(fd, at, NULL, bytes, 0, done);
}

int __wrap_os_uffd_wp(int fd, haddr_t at, uint64_t bytes, bool protect)
{
	struct sim_page *p;
	uint64_t i;
	int error = sim_call(OS_uffd_wp);

	sim_trace(SIM_EV_UFFD, OS_uffd_wp + 100 * protect, at);
	for (i = 0; !error && i < bytes; i += PAGE_BYTES) {
		p = sim_page(at + i);
		if (!p || !(p->flags & SIM_MAPPED) || p->uffd < 0)
			return -ENOENT;
		if (p->flags & SIM_POISON)
			continue;
		p->flags &= (uint8_t)~SIM_PROTECTED;
		if (protect)
			p->flags |= SIM_PROTECTED;
	}
	if (error)
		return error;
	sim_apply(at, bytes);
	if (!protect)
		wake(fd, at, bytes);
	return 0;
}

int __wrap_os_uffd_poison(int fd, haddr_t at, uint64_t bytes)
{
	struct sim_page *p;
	uint64_t i;
	int error = sim_call(OS_uffd_poison);

	if (!K->params.poison)
		return -EOPNOTSUPP;
	sim_trace(SIM_EV_UFFD, OS_uffd_poison, at);
	for (i = 0; !error && i < bytes; i += PAGE_BYTES) {
		p = sim_page(at + i);
		if (!p || !(p->flags & SIM_MAPPED) || p->uffd != fd)
			return -ENOENT;
		if (p->flags & (SIM_PRESENT | SIM_PROTECTED | SIM_POISON))
			return -EEXIST;
		p->flags |= SIM_POISON;
		wake(fd, at + i, PAGE_BYTES);
	}
	return error;
}
