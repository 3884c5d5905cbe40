/* SPDX-License-Identifier: MIT */
/*
 * sim/forks.c - fork(2) in the simulation.
 *
 * The fork is a real one, with the handlers of pthread_atfork() as they are.
 * Only the thread that forks has the baton, so the child's copy of private
 * memory is that of one moment, as with a kernel that stops the world; the
 * guest view is not in it, since the library has asked for that, really. The
 * child's one thread is a new one to the scheduler, which waits for its turn
 * before it does anything.
 *
 * Our handlers are registered before the library's constructor registers its
 * own: so ours is the last thing before the fork, and the first in the child.
 */
#include "sim/forks.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/memory.h"
#include "sim/sched.h"

#define FORK_KEY ((uint64_t)(uintptr_t)&forking) /* of SIM_GATE */

void (*sim_early_prepare)(void);

static struct sim_thread *child_thread; /* while somebody forks */
static int child_proc;
static bool forking;

static int new_proc(void)
{
	int p;

	for (p = 0; p < SIM_PROCS; p++)
		if (!K->proc[p].used)
			break;
	if (p == SIM_PROCS)
		sim_fail("the simulator has no place for another process");
	K->proc[p] = K->proc[sim_proc];
	return p;
}

static void prepare(void)
{
	if (!sim_self)
		return;
	if (sim_early_prepare)
		sim_early_prepare();
	child_proc = new_proc();
	child_thread = sim_thread_new("child", true);
	child_thread->proc = child_proc;
	child_thread->handle = pthread_self();
	K->forks++;
	sim_trace(SIM_EV_FORK, 1, (uint64_t)child_proc);
}

static void child(void)
{
	if (!sim_self)
		return;
	sim_proc = child_proc;
	sim_memory_forked();
	child_thread->tid = (int)syscall(SYS_gettid);
	sim_child_begins(child_thread);
}

void sim_forks_init(void)
{
	static bool done;

	if (!done)
		pthread_atfork(prepare, NULL, child);
	done = true;
}

pid_t sim_fork(int *proc)
{
	pid_t pid;

	/*
	 * glibc may hold a lock of its own while handlers run. Who waits by
	 * yielding keeps the time from passing that others wait for.
	 */
	while (forking)
		sim_wait(SIM_GATE, FORK_KEY, 0);
	forking = true;
	pid = fork();
	if (pid < 0)
		sim_fail("fork: %s", strerror(errno));
	*proc = child_proc;
	forking = false;
	sim_wake(SIM_GATE, FORK_KEY, SIM_THREADS);
	return pid;
}

void sim_await_child(pid_t pid, int proc)
{
	int status;

	while (!K->proc[proc].gone)
		sim_wait(SIM_CHILD, (uint64_t)proc, 0);
	waitpid(pid, &status, 0);
	K->proc[proc].used = false;
}
