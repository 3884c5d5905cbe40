/* SPDX-License-Identifier: MIT */
/*
 * os/proc.c - processes, threads, time, and how threads wait for each other.
 *
 * Thin, as all of os/os.h: one system call each. Three things are more than
 * that.
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
 * SIGBUS. A failed access is reported as the kernel would report it: queued to
 * the thread that made it, with si_addr. The si_code can differ: the kernel
 * lets a thread use the kernel's own codes (BUS_ADRERR and all others above 0)
 * towards itself only, and answers EPERM for other threads of its process.
 * Those get the same si_addr with SI_QUEUE, whose siginfo the kernel passes on
 * untouched.
 *
 * State outside `struct vvm`: the number of forks, a property of the process.
 */
#define _GNU_SOURCE 1
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
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

/* ---- pipe, epoll ---- */

int os_pipe(int fd[2])
{
	int error = os_inject_check(OS_pipe);

	return error ? error : os_result(pipe2(fd, O_CLOEXEC));
}

int os_epoll(int *fd)
{
	int r, error = os_inject_check(OS_epoll);

	if (error)
		return error;
	r = epoll_create1(EPOLL_CLOEXEC);
	if (r < 0)
		return -errno;
	*fd = r;
	return 0;
}

int os_epoll_add(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	int error = os_inject_check(OS_epoll_add);

	return error ? error
		     : os_result(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

void os_epoll_remove(int epoll, int fd)
{
	epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* ---- eventfd, futex ---- */

int os_eventfd(int *fd)
{
	int r, error = os_inject_check(OS_eventfd);

	if (error)
		return error;
	r = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r < 0)
		return -errno;
	*fd = r;
	return 0;
}

/* EAGAIN means 2^64 - 2 signals wait: one more is no news. */
void os_eventfd_signal(int fd)
{
	uint64_t one = 1;
	ssize_t r =
		TEMP_FAILURE_RETRY(syscall(SYS_write, fd, &one, sizeof(one)));

	DEBUG_ASSERT(r == sizeof(one) || errno == EAGAIN);
	(void)r;
}

/* EAGAIN means that it was drained already. */
void os_eventfd_drain(int fd)
{
	uint64_t count;
	ssize_t r = TEMP_FAILURE_RETRY(
		syscall(SYS_read, fd, &count, sizeof(count)));

	DEBUG_ASSERT(r == sizeof(count) || errno == EAGAIN);
	(void)r;
}

static struct timespec timespec_of_us(uint64_t us)
{
	return (struct timespec){
		.tv_sec = (time_t)(us / 1000000),
		.tv_nsec = (long)(us % 1000000) * 1000,
	};
}

int os_futex_wait(const _Atomic uint32_t *word, uint32_t value,
		  int64_t timeout_us)
{
	struct timespec ts, *limit = NULL;
	int error = os_inject_check(OS_futex);

	if (error)
		return error;
	if (timeout_us >= 0) {
		ts = timespec_of_us((uint64_t)timeout_us);
		limit = &ts;
	}
	return os_result(syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
				 limit, NULL, 0));
}

void os_futex_wake(_Atomic uint32_t *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/* ---- threads ---- */

/*
 * Ample and not measured: buffers on the stack are KiBs (os/os.h (2)), but the
 * sanitizers multiply frames, and thread-local storage of the application is
 * taken from the same memory. Untouched stack costs address space only.
 */
#define THREAD_STACK_BYTES ((size_t)256 << 10)

/* Every signal but those that an instruction of the thread itself raises. */
static void async_signals(sigset_t *set)
{
	static const int synchronous[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
					  SIGTRAP, SIGABRT, SIGSYS};
	size_t i;

	sigfillset(set);
	for (i = 0; i < ARRAY_SIZE(synchronous); i++)
		sigdelset(set, synchronous[i]);
}

/* SIGSYS, too: if it is sent it is for others. */
static void block_async_signals(sigset_t *old)
{
	sigset_t set;

	async_signals(&set);
	sigaddset(&set, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &set, old);
}

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
 * It names itself: to name another thread is to open a file, which a process
 * may not be allowed to. Where calls are trapped, libc may have it make one of
 * the program's (setgroups(3)), in the handler of a signal.
 */
static void *begin(void *p)
{
	struct start *start = p;
	void *(*run)(void *) = start->run;
	void *arg = start->arg;

	thread_is_own = true;
	if (os_door_is_open())
		os_signal_let(SIGSYS);
	syscall(SYS_prctl, PR_SET_NAME, start->name); /* for tools only */
	atomic_store(&start->taken, 1);
	os_futex_wake(&start->taken, 1); /* of whoever sleeps there now */
	return run(arg);
}

static int start_small(pthread_t *thread, struct start *start)
{
	pthread_attr_t attr;
	size_t bytes = MAX(THREAD_STACK_BYTES, (size_t)PTHREAD_STACK_MIN * 2);
	int error = pthread_attr_init(&attr);

	if (error)
		return -error;
	error = pthread_attr_setstacksize(&attr, bytes);
	if (!error)
		error = pthread_create(thread, &attr, begin, start);
	pthread_attr_destroy(&attr);
	return -error;
}

int os_thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
		    void *arg)
{
	struct start start = {.run = run, .arg = arg, .name = name};
	sigset_t old;
	int error = os_inject_check(OS_thread);

	if (error)
		return error;
	block_async_signals(&old);
	error = start_small(thread, &start);
	while (!error && !atomic_load(&start.taken))
		os_futex_wait(&start.taken, 0, -1);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
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

static int queue_sigbus(int tid, haddr_t addr, int code)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = SIGBUS;
	info.si_code = code;
	info.si_addr = (void *)(uintptr_t)addr;
	return os_result(
		syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGBUS, &info));
}

int os_sigbus_thread(int tid, haddr_t addr)
{
	int error = os_inject_check(OS_sigqueue);

	if (!error)
		error = queue_sigbus(tid, addr, BUS_ADRERR);
	return error == -EPERM ? queue_sigbus(tid, addr, SI_QUEUE) : error;
}

/* ---- time ---- */

uint64_t os_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t os_now_us(void)
{
	return os_now_ns() / 1000;
}

void os_sleep_us(uint64_t us)
{
	struct timespec ts = timespec_of_us(us);

	while (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, &ts) < 0 &&
	       errno == EINTR)
		;
}

void os_yield(void)
{
	sched_yield();
}

/* ---- waiting for descriptors ---- */

#define POLL_FDS 64

/* ppoll(2), continued for the rest of the time after a signal. */
static int poll_retry(struct pollfd *polls, unsigned count, int64_t timeout_us)
{
	uint64_t end_us = os_now_us() + (uint64_t)timeout_us;
	struct timespec time;
	int r;

	do {
		time.tv_sec = timeout_us / 1000000;
		time.tv_nsec = timeout_us % 1000000 * 1000;
		r = (int)syscall(SYS_ppoll, polls, count,
				 timeout_us < 0 ? NULL : &time, NULL, 0);
		if (r < 0 && errno == EINTR && timeout_us > 0) {
			timeout_us = (int64_t)(end_us - os_now_us());
			timeout_us = MAX(timeout_us, 0);
		}
	} while (r < 0 && errno == EINTR);
	return os_result(r);
}

/* Bits of a descriptor set of our own, 1 KiB of stack. */
#define SELECT_FDS  8192
#define SELECT_WORD (8 * (int)sizeof(unsigned long))

/*
 * poll(2) refuses more descriptors than RLIMIT_NOFILE says, which a program may
 * set to 0 at any time; select(2) has no such limit. Bad descriptors are an
 * error here.
 */
static int select_once(const struct pollfd *polls, unsigned count,
		       int64_t timeout_us, unsigned long *set)
{
	struct timespec time = {.tv_sec = timeout_us / 1000000,
				.tv_nsec = timeout_us % 1000000 * 1000};
	int fd, end = 0;
	unsigned i;

	memset(set, 0, SELECT_FDS / 8);
	for (i = 0; i < count; i++) {
		fd = polls[i].fd;
		if (fd < 0 || fd >= SELECT_FDS)
			return -EINVAL;
		set[fd / SELECT_WORD] |= 1ul << fd % SELECT_WORD;
		end = MAX(end, fd + 1);
	}
	return os_result(syscall(SYS_pselect6, end, set, NULL, NULL,
				 timeout_us < 0 ? NULL : &time, NULL));
}

static int select_instead(struct pollfd *polls, unsigned count,
			  int64_t timeout_us)
{
	unsigned long set[SELECT_FDS / SELECT_WORD];
	unsigned i;
	int error, fd;

	do { /* the wait may begin again: nobody is that exact about it */
		error = select_once(polls, count, timeout_us, set);
	} while (error == -EINTR);
	for (i = 0; !error && i < count; i++) {
		fd = polls[i].fd;
		polls[i].revents = set[fd / SELECT_WORD] >> fd % SELECT_WORD & 1
					   ? POLLIN
					   : 0;
	}
	return error;
}

int os_poll(const int *fds, unsigned count, int64_t timeout_us, uint64_t *ready,
	    uint64_t *invalid)
{
	struct pollfd polls[POLL_FDS];
	unsigned i;
	int error = os_inject_check(OS_poll);

	ASSERT(count <= POLL_FDS);
	*ready = *invalid = 0;
	if (error)
		return error;
	for (i = 0; i < count; i++)
		polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	error = poll_retry(polls, count, timeout_us);
	if (error == -EINVAL)
		error = select_instead(polls, count, timeout_us);
	if (error)
		return error;
	for (i = 0; i < count; i++) {
		*ready |= (uint64_t)(polls[i].revents != 0) << i;
		*invalid |= (uint64_t) !!(polls[i].revents & POLLNVAL) << i;
	}
	return 0;
}

/* The signal of pthread_cancel(): sigfillset() and sigaddset() skip it. */
static void add_cancel_signal(sigset_t *set)
{
#ifdef __GLIBC__
	set->__val[0] |= 1ul << (__SIGRTMIN - 1);
#else
	(void)set;
#endif
}

int os_signal(int sig, void (*handler)(int, siginfo_t *, void *),
	      struct sigaction *old)
{
	struct sigaction sa = {.sa_sigaction = handler,
			       .sa_flags =
				       SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	async_signals(&sa.sa_mask);
	add_cancel_signal(&sa.sa_mask);
	return os_result(sigaction(sig, &sa, old));
}

/*
 * Not pthread_sigmask(3), which leaves the cancel signal out. The caller's stack
 * may be paged: then it passes lib/door's filter, and its page may have gone
 * since it was written to.
 */
static uint64_t set_mask(int how, uint64_t mask)
{
	volatile uint64_t word = mask, old;
	const uint64_t a[6] = {(uint64_t)how, (uintptr_t)&word, (uintptr_t)&old,
			       sizeof(word)};
	long r;

	do {
		word = mask;
		old = 0;
		r = os_call(SYS_rt_sigprocmask, a);
	} while (r == -EFAULT);
	return old;
}

uint64_t os_signals_waiting(void)
{
	static const int synchronous[] = {SIGSEGV, SIGBUS,  SIGFPE,
					  SIGILL,  SIGTRAP, SIGSYS};
	uint64_t mask = ~UINT64_C(0);
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(synchronous); i++)
		mask &= ~(UINT64_C(1) << (synchronous[i] - 1));
	return mask;
}

uint64_t os_signals_block(void)
{
	return set_mask(SIG_BLOCK, os_signals_waiting());
}

void os_signals_restore(uint64_t mask)
{
	set_mask(SIG_SETMASK, mask);
}

void os_signal_unblock(const sigset_t *mask)
{
	pthread_sigmask(SIG_SETMASK, mask, NULL);
}

void os_signal_let(int sig)
{
	set_mask(SIG_UNBLOCK, UINT64_C(1) << (sig - 1));
}

void os_signal_restore(int sig, const struct sigaction *old)
{
	sigaction(sig, old, NULL);
}

bool os_signal_handled(int sig)
{
	struct sigaction now;

	if (sigaction(sig, NULL, &now) < 0)
		return false;
	return (now.sa_flags & SA_SIGINFO) ||
	       (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN);
}

void os_signal_repeat(int sig, siginfo_t *si)
{
	if (syscall(SYS_rt_sigqueueinfo, getpid(), sig, si) < 0)
		kill(getpid(), sig);
}

void os_signal_default(int sig, bool send)
{
	signal(sig, SIG_DFL);
	if (send)
		raise(sig);
}
