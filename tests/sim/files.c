/* SPDX-License-Identifier: MIT */
/*
 * sim/files.c - descriptors, and the calls of lib/os/wait.c that wait for them.
 *
 * Each simulated descriptor owns a real one, for its number, which is closed
 * and inherited by real calls. What it does is here: the table of a process is
 * in the shared memory, so that the scheduler can say of any thread whether it
 * may run. A pipe has readers and a writing end that closes, nothing else: that
 * is all the library makes of it.
 */
#include "sim/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "os/os.h"
#include "sim/memory.h"
#include "sim/sched.h"

struct sim_file *sim_file(int fd)
{
	static struct sim_file none;

	if (fd < 0 || fd >= SIM_FDS)
		return &none;
	return &K->proc[sim_proc].file[fd];
}

struct sim_file *sim_file_new(int fd, enum sim_file_kind kind)
{
	struct sim_file *f = sim_file(fd);

	if (fd >= SIM_FDS)
		sim_fail("the simulator has no place for descriptor %d", fd);
	memset(f, 0, sizeof(*f));
	f->kind = kind;
	return f;
}

/* ---- readiness ---- */

static bool writer_lives(uint64_t pipe)
{
	unsigned p, fd;

	for (p = 0; p < SIM_PROCS; p++) {
		if (!K->proc[p].used || K->proc[p].gone)
			continue;
		for (fd = 0; fd < SIM_FDS; fd++)
			if (K->proc[p].file[fd].kind == SIM_PIPE_WRITE &&
			    K->proc[p].file[fd].id == pipe)
				return true;
	}
	return false;
}

static bool fault_waits(int proc, int fd)
{
	unsigned i;

	for (i = 0; i < K->thread_end; i++) {
		const struct sim_thread *t = &K->thread[i];

		if (t->used && t->why == SIM_FAULT && t->proc == proc &&
		    t->fault_uffd == fd && !t->fault_read && !t->woken)
			return true;
	}
	return false;
}

static bool member_readable(int proc, const struct sim_file *epoll)
{
	int fd;

	for (fd = 0; fd < SIM_FDS; fd++)
		if (epoll->set[fd / 64] >> fd % 64 & 1 &&
		    sim_readable(proc, fd))
			return true;
	return false;
}

bool sim_readable(int proc, int fd)
{
	const struct sim_file *f = &K->proc[proc].file[fd];

	switch (f->kind) {
	case SIM_EVENT:
		return f->id > 0;
	case SIM_UFFD:
		return fault_waits(proc, fd);
	case SIM_PIPE_READ:
		return !writer_lives(f->id);
	case SIM_EPOLL:
		return member_readable(proc, f);
	default:
		return true; /* as files are, and what is closed */
	}
}

bool sim_any_readable(const struct sim_thread *t)
{
	unsigned i;

	for (i = 0; i < t->poll_count; i++)
		if (sim_readable(t->proc, t->polls[i]))
			return true;
	return false;
}

/* ---- event counters ---- */

int __wrap_os_eventfd(int *fd)
{
	int error = sim_call(OS_eventfd);

	if (error)
		return error;
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sim_file_new(*fd, SIM_EVENT);
	return 0;
}

void __wrap_os_eventfd_signal(int fd)
{
	sim_point(SIM_AT_CALL);
	sim_trace(SIM_EV_CALL, OS_eventfd, (uint64_t)fd);
	sim_file(fd)->id++;
}

void __wrap_os_eventfd_drain(int fd)
{
	sim_point(SIM_AT_CALL);
	sim_file(fd)->id = 0;
}

/* ---- pipes ---- */

int __wrap_os_pipe(int fd[2])
{
	int error = sim_call(OS_pipe);

	if (error)
		return error;
	if (pipe2(fd, O_CLOEXEC) < 0)
		sim_fail("no real descriptors are left");
	K->pipes++;
	sim_file_new(fd[0], SIM_PIPE_READ)->id = K->pipes;
	sim_file_new(fd[1], SIM_PIPE_WRITE)->id = K->pipes;
	return 0;
}

int __wrap_os_epoll(int *fd)
{
	int error = sim_call(OS_epoll);

	if (error)
		return error;
	*fd = eventfd(0, EFD_CLOEXEC);
	sim_file_new(*fd, SIM_EPOLL);
	return 0;
}

int __wrap_os_epoll_add(int epoll, int fd)
{
	int error = sim_call(OS_epoll);

	if (error)
		return error;
	sim_file(epoll)->set[fd / 64] |= (uint64_t)1 << fd % 64;
	return 0;
}

void __wrap_os_epoll_remove(int epoll, int fd)
{
	sim_point(SIM_AT_CALL);
	sim_file(epoll)->set[fd / 64] &= ~((uint64_t)1 << fd % 64);
}

static void leave_epolls(int fd)
{
	unsigned i;

	for (i = 0; i < SIM_FDS; i++)
		K->proc[sim_proc].file[i].set[fd / 64] &=
			~((uint64_t)1 << fd % 64);
}

static void check_nobody_waits(int uffd)
{
	unsigned i;

	for (i = 0; i < SIM_THREADS; i++) {
		const struct sim_thread *t = &K->thread[i];

		if (t->used && t->why == SIM_FAULT && t->proc == sim_proc &&
		    t->fault_uffd == uffd && !t->woken)
			sim_fail("a userfaultfd is closed under thread %u, "
				 "which would read zeros",
				 i);
	}
}

int __wrap_os_close(int fd)
{
	struct sim_file *f = sim_file(fd);

	sim_point(SIM_AT_CALL);
	if (fd < 0)
		return -EBADF;
	if (f->kind == SIM_UFFD) {
		check_nobody_waits(fd);
		sim_uffd_closed(fd);
	}
	leave_epolls(fd);
	memset(f, 0, sizeof(*f));
	return close(fd) < 0 ? -errno : 0;
}

/* ---- poll ---- */

int __wrap_os_poll(const int *fds, unsigned count, int64_t timeout_us,
		   uint64_t *ready, uint64_t *invalid)
{
	struct sim_thread *self = sim_self;
	uint64_t deadline_ns = 0;
	unsigned i;
	int rc;

	sim_point(SIM_AT_CALL);
	*ready = *invalid = 0;
	if (timeout_us > 0)
		deadline_ns = K->now_ns + (uint64_t)timeout_us * 1000;
	do {
		rc = 0;
		for (i = 0; i < count; i++)
			if (sim_readable(sim_proc, fds[i]))
				*ready |= (uint64_t)1 << i;
		if (*ready || timeout_us == 0)
			break;
		memcpy(self->polls, fds, count * sizeof(*fds));
		self->poll_count = count;
		self->ring = 0;
		rc = sim_wait(SIM_POLL, 0, deadline_ns);
	} while (rc != -ETIMEDOUT);
	return 0;
}
