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
 *
 * In a process with a filter of system calls (seccomp.c) the main thread may
 * also be killed, or end by exit(2). There a thread of ours waits for that, on
 * a robust mutex that the main thread has for as long as it lives, begins to
 * look, and in the end dies as the main thread did.
 */
#include "preload/thread.h"

#include "preload/birth.h"
#include "preload/gate.h"
#include "preload/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg);

enum { OWN_THREADS = 64, LOOK_US = 20000 };

/*
 * A /proc/PID/task/TID/stat is about 350 bytes; PF_IO_WORKER is in its flags, six
 * fields behind the state.
 */
enum { TEXT_BYTES = 1024, FLAGS_FIELD = 6, IO_WORKER = 0x10 };

/* As lib/os has them. */
#define STACK_BYTES ((size_t)256 << 10)

static _Atomic uint64_t own[OWN_THREADS]; /* (a) the library's: own_number() */
static pthread_key_t main_key;		  /* (i) */
static pthread_mutex_t main_lives;	  /* the main thread's */
static _Atomic bool main_left;		  /* by pthread_exit() */
static _Atomic bool watched; /* there is a thread that waits for it */
static _Atomic int tasks;    /* (a) /proc/self/task + 1, or 0 */

struct birth {
	void *(*run)(void *);
	void *arg;
};

/* The numbers that a fork child has from its parent are of no use there. */
static uint64_t own_number(int tid)
{
	return (uint64_t)getpid() << 32 | (uint32_t)tid;
}

static void note_own(void)
{
	uint64_t mine = own_number((int)gate_call(SYS_gettid)), there;
	unsigned i;

	for (i = 0; i < OWN_THREADS; i++) {
		there = atomic_load(&own[i]);
		if ((!there || there >> 32 != mine >> 32) &&
		    atomic_compare_exchange_strong(&own[i], &there, mine))
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

/*
 * A filter may permit no more mappings, and libc would map a stack. It is never
 * unmapped: such threads live as long as the process, but for one.
 */
static int give_stack(pthread_attr_t *attr)
{
	void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		return EAGAIN;
	return pthread_attr_setstack(attr, stack, STACK_BYTES);
}

static int create(pthread_t *thread, const pthread_attr_t *attr,
		  struct birth *birth)
{
	pthread_attr_t own_attr;
	int error;

	if (!preload.confined)
		return next_pthread_create(thread, attr, be_born, birth);
	error = pthread_attr_init(&own_attr);
	if (!error)
		error = give_stack(&own_attr);
	if (!error)
		error = next_pthread_create(thread, &own_attr, be_born, birth);
	pthread_attr_destroy(&own_attr);
	return error;
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
	error = create(thread, attr, birth);
	if (error)
		free(birth);
	return error;
}

static int start(void *(*run)(void *))
{
	pthread_t thread;
	sigset_t all, before;
	int error;

	sigfillset(&all);
	/* it may come to the program's code: exit(3) */
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		pthread_detach(thread);
	return error;
}

/* ------------------------------------------------------------------ */
/* The end of a program that has no main thread any more		*/

static bool is_own(int tid)
{
	unsigned i;

	for (i = 0; i < OWN_THREADS; i++)
		if (atomic_load(&own[i]) == own_number(tid))
			return true;
	return false;
}

/* As getdents64(2) has it. */
struct entry {
	uint64_t inode;
	int64_t offset;
	unsigned short bytes;
	unsigned char type;
	char name[];
};

/*
 * What the kernel says of a thread, after its name: the state is the first
 * field of many. NULL: nothing.
 */
static const char *look(int tid, char text[TEXT_BYTES])
{
	char path[32], *name_end;
	int dir = atomic_load(&tasks) - 1, fd = -1;
	long n = 0;

	snprintf(path, sizeof(path), "%d/stat", tid);
	if (dir >= 0)
		fd = (int)gate_call(SYS_openat, dir, path,
				    O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, TEXT_BYTES - 1);
		gate_call(SYS_close, fd);
	}
	text[n > 0 ? n : 0] = '\0';
	name_end = strrchr(text, ')');
	return name_end && name_end[1] ? name_end + 2 : NULL;
}

/* The kernel's own threads for io_uring are listed, too. */
static bool is_worker(int tid)
{
	char text[TEXT_BYTES];
	const char *stat = look(tid, text);
	int i;

	for (i = 0; stat && i < FLAGS_FIELD; i++) {
		stat = strchr(stat, ' ');
		stat = stat ? stat + 1 : NULL;
	}
	return stat && strtoul(stat, NULL, 10) & IO_WORKER;
}

/* Is one of them a thread of the program? The main one, which has gone, stays
 * listed as a zombie. */
static bool any_lives(const char *entries, long bytes)
{
	const struct entry *e;
	long at;

	for (at = 0; at < bytes; at += e->bytes) {
		int tid;

		e = (const struct entry *)(const void *)(entries + at);
		/* NOLINTNEXTLINE(cert-err34-c): a pid, or "." as 0 */
		tid = atoi(e->name);
		if (tid && tid != getpid() && !is_own(tid) && !is_worker(tid))
			return true;
	}
	return false;
}

/* Is a thread of the program left? Where one cannot look: no. */
static bool program_lives(void)
{
	_Alignas(8) char entries[2048];
	int fd = atomic_load(&tasks) - 1;
	bool found = false;
	long n = 0;

	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	while (fd >= 0 && !found &&
	       (n = gate_call(SYS_getdents64, fd, entries, sizeof(entries))) >
		       0)
		found = any_lives(entries, n);
	return found;
}

static void *outlive(void *arg)
{
	while (program_lives())
		usleep(LOOK_US);
	exit(0);
	return arg;
}

/*
 * How the main thread ended, as wait(2) has it: the last number there is of it.
 * Where one cannot see: as a filter kills.
 */
static int end_of_main(void)
{
	char text[TEXT_BYTES];
	const char *stat = look(getpid(), text);
	const char *last = stat ? strrchr(stat, ' ') : NULL;

	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own text */
	return last ? (int)strtol(last, NULL, 10) : SIGSYS;
}

/* What the kernel takes for the default action. */
struct no_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

static void end_by(int status)
{
	int sig = status & 127;
	uint64_t mask = ~(UINT64_C(1) << ((sig ? sig : 1) - 1));
	struct no_action action = {0};

	if (sig) {
		gate_call(SYS_rt_sigaction, sig, &action, NULL, sizeof(mask));
		gate_call(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL,
			  sizeof(mask));
		gate_call(SYS_tgkill, getpid(), gate_call(SYS_gettid), sig);
	}
	gate_call(SYS_exit_group, sig ? 128 + sig : status >> 8 & 255);
}

static void *watch(void *arg)
{
	if (pthread_mutex_lock(&main_lives) != EOWNERDEAD ||
	    atomic_load(&main_left))
		return arg;
	while (program_lives())
		usleep(LOOK_US);
	end_by(end_of_main());
	return arg;
}

/* The calling thread is the main one. */
static void hold(void)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&main_lives, &attr);
	pthread_mutex_lock(&main_lives);
}

void preload_threads_keep(void)
{
	int none = 0, fd;

	if (atomic_load(&tasks))
		return;
	preload_enter();
	fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && !atomic_compare_exchange_strong(&tasks, &none, fd + 1))
		close(fd);
	preload_leave();
}

void preload_threads_watch(void)
{
	if (!atomic_exchange(&watched, true) && start(watch))
		atomic_store(&watched, false);
}

void preload_threads_forked(void)
{
	int parents = atomic_exchange(&tasks, 0);

	if (parents)
		close(parents - 1);
	hold();
	atomic_store(&main_left, false);
	atomic_store(&watched, false);
	if (!preload.confined || !preload.inherits)
		return;
	preload_threads_keep();
	preload_threads_watch();
}

/* Destructors run in rounds, as long as they set values: ours is in the last.
 */
static void main_leaves(void *rounds)
{
	if ((uintptr_t)rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
		pthread_setspecific(main_key, (char *)rounds + 1);
		return;
	}
	atomic_store(&main_left, true);
	preload_enter();
	preload_threads_keep();
	start(outlive);
	preload_leave();
}

void preload_threads_init(void)
{
	hold();
	if (pthread_key_create(&main_key, main_leaves) == 0)
		pthread_setspecific(main_key, (void *)1);
	if (!preload.confined)
		return;
	preload_threads_keep();
	preload_threads_watch();
}

bool preload_threads_alone(void)
{
	preload_threads_keep();
	return gate_call(SYS_gettid) == getpid() && atomic_load(&tasks) > 0 &&
	       !program_lives();
}
