/* SPDX-License-Identifier: MIT */
/*
 * thread.c - libvvm's threads among those of the program.
 *
 * They are born with a preload_depth of 1, so that nothing they call ever
 * allocates paged memory.
 *
 * And they must not keep the process alive. A program whose main thread has
 * called pthread_exit() ends with exit(0) when the last of its threads does;
 * libc counts threads, and ours never end. So when the main thread leaves in
 * that way (a destructor of a thread-specific value tells us), a thread of
 * ours begins to look, every 20 ms, whether any thread of the program is left,
 * and calls exit(0) when there is none. Looking is all that one can do: a
 * thread may end by exit(2). The main thread itself does not wait there, since
 * others may want to join it.
 */
#include "preload/thread.h"

#include "preload/state.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg);

enum { OWN_THREADS = 64, LOOK_US = 20000 };

static _Atomic int own[OWN_THREADS]; /* (a) tids of the library's threads */
static pthread_key_t main_key;	     /* (i) */

struct birth {
	void *(*run)(void *);
	void *arg;
};

static void note_own(void)
{
	int tid = (int)syscall(SYS_gettid), free_slot = 0;
	unsigned i;

	for (i = 0; i < OWN_THREADS && free_slot != tid; i++) {
		free_slot = 0;
		if (atomic_compare_exchange_strong(&own[i], &free_slot, tid))
			return;
	}
}

static void *be_born(void *p)
{
	struct birth birth = *(struct birth *)p;

	preload_enter(); /* for good */
	note_own();
	free(p);
	return birth.run(birth.arg);
}

/* What libvvm calls. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg)
{
	struct birth *birth = malloc(sizeof(*birth));
	int error;

	if (!birth)
		return EAGAIN;
	*birth = (struct birth){run, arg};
	error = __real_pthread_create(thread, attr, be_born, birth);
	if (error)
		free(birth);
	return error;
}

/* ------------------------------------------------------------------ */
/* The end of a program that has no main thread any more		*/

static bool is_own(int tid)
{
	unsigned i;

	for (i = 0; i < OWN_THREADS; i++)
		if (atomic_load(&own[i]) == tid)
			return true;
	return false;
}

/* Is a thread of the program left? The main one, which has gone, stays listed
 * as a zombie. */
static bool program_lives(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	bool found = false;

	if (!dir)
		return true;
	while (!found && (entry = readdir(dir))) {
		/* NOLINTNEXTLINE(cert-err34-c): a pid, or "." as 0 */
		int tid = atoi(entry->d_name);

		found = tid && tid != getpid() && !is_own(tid);
	}
	closedir(dir);
	return found;
}

static void *outlive(void *arg)
{
	while (program_lives())
		usleep(LOOK_US);
	exit(0);
	return arg;
}

/* Destructors run in rounds, as long as they set values: ours is in the last.
 */
static void main_leaves(void *rounds)
{
	pthread_t thread;

	if ((uintptr_t)rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
		pthread_setspecific(main_key, (char *)rounds + 1);
		return;
	}
	preload_enter();
	if (pthread_create(&thread, NULL, outlive, NULL) == 0)
		pthread_detach(thread);
	preload_leave();
}

void preload_threads_init(void)
{
	if (pthread_key_create(&main_key, main_leaves) == 0)
		pthread_setspecific(main_key, (void *)1);
}
