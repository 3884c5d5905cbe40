/* SPDX-License-Identifier: MIT */
/*
 * os/proc.c - processes, and threads of the library.
 *
 * Forks. The guest view is not inherited by a child, so whoever holds a
 * space must notice that it lives in one. The check is on every public call
 * and must cost nothing, so it is a counter that a pthread_atfork handler
 * increments in the child, and not a getpid(). A child of vfork shares our
 * memory and must not run handlers, and does not; a bare clone(2) without
 * CLONE_VM is not noticed. Rejected: a MADV_WIPEONFORK page, which would see
 * the bare clone too, but cannot count, so that a child that opens a space
 * of its own would never be rid of the mark.
 *
 * Threads. The library's threads block every signal that is not raised by
 * their own instructions: the application's handlers must not run on a
 * thread it does not know, least of all on one that serves faults.
 *
 * Cancellation. No call of the library is a cancellation point, and no fault
 * is. On the paths of a fault nothing is one (os/os.h (1)); what opens and
 * closes a space turns cancellation off. A thread with asynchronous
 * cancellation cannot be cancelled in the SIGBUS handler: the handler's mask
 * blocks the C library's signal for it, too.
 *
 * State outside `struct vvm`: the number of forks, a property of the process.
 */
#define _GNU_SOURCE 1
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/impl.h"

/* ---- forks ---- */

static _Atomic unsigned forks; /* (a) since the watch was installed */
static int watch_error;	       /* (i) by pthread_once */

/*
 * The id of the thread, kept because gettid() takes 170 ns and an inline fault
 * needs it. Initial-exec: the first access may be in a signal handler, where
 * nothing may be allocated.
 */
static __thread int own_tid __attribute__((tls_model("initial-exec")));
static _Atomic bool watched; /* (a) forks reset own_tid */

static void count_fork(void)
{
	own_tid = 0;
	atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void install_watch(void)
{
	watch_error = -pthread_atfork(NULL, NULL, count_fork);
	atomic_store(&watched, watch_error == 0);
}

int os_fork_watch(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install_watch);
	return watch_error;
}

unsigned os_fork_count(void)
{
	return atomic_load_explicit(&forks, memory_order_relaxed);
}

int os_fork_handlers(void (*prepare)(void), void (*parent)(void),
		     void (*child)(void))
{
	return -pthread_atfork(prepare, parent, child);
}

/*
 * Between our fork handler and the fork itself glibc takes the lock of its list
 * of streams. fopen() holds that lock while it touches the stream, which may be
 * paged memory. So we take it first: it is recursive, and glibc has always
 * exported it. Other C libraries do not have it.
 */
extern void _IO_list_lock(void) __attribute__((weak));
extern void _IO_list_unlock(void) __attribute__((weak));

void os_streams_lock(void)
{
	if (_IO_list_lock && _IO_list_unlock)
		_IO_list_lock();
}

void os_streams_unlock(void)
{
	if (_IO_list_lock && _IO_list_unlock)
		_IO_list_unlock();
}

/* ---- threads ---- */

/*
 * Ample and not measured: buffers on the stack are KiBs (os/os.h (2)), but the
 * sanitizers multiply frames, and thread-local storage of the application is
 * taken from the same memory. Untouched stack costs address space only.
 */
#define THREAD_STACK_BYTES ((size_t)256 << 10)
/* For who calls code of the program: cryptography, compression, a database. */
#define LARGE_STACK_BYTES ((size_t)1 << 20)

static __thread bool thread_is_own __attribute__((tls_model("initial-exec")));

bool os_thread_is_own(void)
{
	return thread_is_own;
}

/* Handed to a thread; it is the starter's, who waits until it is taken. */
struct start {
	void *(*run)(void *);
	void *arg;
	const char *name;
	_Atomic uint32_t taken;
};

/*
 * A fork child's threads get stacks that its parent's threads had. Where it did
 * not see pthread_create() (under vvmrun) AddressSanitizer takes what it knows of
 * those for these. A frame of nobody's, so that it has not got its own there.
 */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
__attribute__((no_sanitize_address)) static void forget_frames(void)
{
	char *top = __builtin_frame_address(0);

	__asan_unpoison_memory_region(top - THREAD_STACK_BYTES / 2,
				      THREAD_STACK_BYTES / 2);
}
#else
#define forget_frames() ((void)0)
#endif

/*
 * It names itself: to name another thread is to open a file, which a process
 * may not be allowed to. Where calls are trapped, libc may have it make one of
 * the program's (setgroups(3)), in the handler of a signal.
 */
static void *begin(void *p)
{
	struct start *start = p;
	void *(*run)(void *) = start->run;
	void *arg = start->arg;

	forget_frames();
	thread_is_own = true;
	if (os_door_is_open())
		os_signal_let(SIGSYS);
	syscall(SYS_prctl, PR_SET_NAME, start->name); /* for tools only */
	atomic_store(&start->taken, 1);
	os_futex_wake(&start->taken, 1); /* of whoever sleeps there now */
	return run(arg);
}

static int start_with_stack(pthread_t *thread, struct start *start,
			    size_t bytes)
{
	pthread_attr_t attr;
	int error = pthread_attr_init(&attr);

	if (error)
		return -error;
	bytes = MAX(bytes, (size_t)PTHREAD_STACK_MIN * 2);
	error = pthread_attr_setstacksize(&attr, bytes);
	if (!error)
		error = pthread_create(thread, &attr, begin, start);
	pthread_attr_destroy(&attr);
	return -error;
}

static int start(pthread_t *thread, const char *name, void *(*run)(void *),
		 void *arg, size_t stack_bytes)
{
	struct start what = {.run = run, .arg = arg, .name = name};
	sigset_t old;
	int error = os_inject_check(OS_thread);

	if (error)
		return error;
	os_block_async_signals(&old);
	error = start_with_stack(thread, &what, stack_bytes);
	while (!error && !atomic_load(&what.taken))
		os_futex_wait(&what.taken, 0, -1);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

int os_thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
		    void *arg)
{
	return start(thread, name, run, arg, THREAD_STACK_BYTES);
}

int os_thread_start_large(pthread_t *thread, const char *name,
			  void *(*run)(void *), void *arg)
{
	return start(thread, name, run, arg, LARGE_STACK_BYTES);
}

int os_cancel_off(void)
{
	int state = PTHREAD_CANCEL_ENABLE;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

void os_cancel_restore(int state)
{
	pthread_setcancelstate(state, NULL);
}

uint64_t os_random(void)
{
	uint64_t value;

	if (getrandom(&value, sizeof(value), GRND_NONBLOCK) == sizeof(value))
		return value;
	/* before the kernel has enough for that, or under a filter */
	memcpy(&value, (const void *)getauxval(AT_RANDOM), sizeof(value));
	return value ^ os_now_ns();
}

int os_tid(void)
{
	int tid = own_tid;

	if (!tid) {
		tid = (int)syscall(SYS_gettid);
		if (atomic_load_explicit(&watched, memory_order_relaxed))
			own_tid = tid;
	}
	return tid;
}

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

int os_thread_fd(int *fd)
{
	long r = os_inject_check(OS_thread_fd);

	if (r)
		return (int)r;
	r = syscall(SYS_pidfd_open, os_tid(), PIDFD_THREAD);
	if (r < 0)
		return -errno;
	*fd = (int)r;
	return 0;
}

/*
 * What valgrind takes for a question, and a processor for nothing: rotations by
 * 128 bits in all. Of other processors it is not known: then it hangs.
 */
bool os_on_valgrind(void)
{
	uint64_t answer = 0;
#if defined(__x86_64__)
	uint64_t question[6] = {0x1001}; /* is there a valgrind? */

	__asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi\n\t"
			 "rolq $61, %%rdi; rolq $51, %%rdi\n\t"
			 "xchgq %%rbx, %%rbx"
			 : "+d"(answer)
			 : "a"(question)
			 : "cc", "memory");
#endif
	return answer;
}

bool os_thread_gone(int tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) < 0 && errno == ESRCH;
}

unsigned os_user(void)
{
	return geteuid();
}

int os_pid(void)
{
	return (int)getpid();
}

/* 8192 CPUs is the most a distribution kernel is built for. */
unsigned os_cpus(void)
{
	unsigned long mask[8192 / (8 * sizeof(unsigned long))];
	long bytes = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);
	unsigned i, count = 0;

	for (i = 0; bytes > 0 && i < (size_t)bytes / sizeof(mask[0]); i++)
		count += (unsigned)__builtin_popcountl(mask[i]);
	return MAX(count, 1u);
}

uint64_t os_page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}
