/* SPDX-License-Identifier: MIT */
/*
 * unit/os_proc.c - os/proc.c, os/wait.c and os/signal.c: forks, threads, time,
 * eventfd and futex, signals. Signals that must interrupt something come from a
 * timer that ticks on, so that none can come too early and be missed.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

/* SIGALRM every millisecond, with a handler that does nothing. */
static void on_tick(int sig)
{
	(void)sig;
}

static void start_ticking(void)
{
	struct itimerval every = {{0, 1000}, {0, 1000}};
	struct sigaction action = {.sa_handler = on_tick};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void stop_ticking(void)
{
	struct itimerval never = {{0, 0}, {0, 0}};

	setitimer(ITIMER_REAL, &never, NULL);
}

static int wait_child(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(test_fork_watch)
{
	pid_t pid;

	ck_assert_int_eq(os_fork_watch(), 0);
	ck_assert_int_eq(os_fork_watch(), 0);
	ck_assert_uint_eq(os_fork_count(), 0);
	pid = fork();
	if (pid == 0) {
		if (os_fork_count() != 1)
			_exit(1);
		os_fork_watch(); /* does not make us the watched one */
		pid = fork();
		if (pid == 0)
			_exit(os_fork_count() == 2 ? 0 : 1);
		_exit(os_fork_count() == 1 ? wait_child(pid) : 1);
	}
	ck_assert_int_eq(wait_child(pid), 0);
	ck_assert_uint_eq(os_fork_count(), 0);
}
END_TEST

/* As a program may that wants no more descriptors: ours are open. */
START_TEST(test_poll_beyond_the_limit_of_descriptors)
{
	struct rlimit before, none = {0};
	uint64_t ready, invalid;
	int fds[3];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(fds); i++)
		ck_assert_int_eq(os_eventfd(&fds[i]), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(os_poll(fds, 3, 0, &ready, &invalid), 0);
	ck_assert(!ready && !invalid);
	ck_assert_int_eq(os_poll(fds, 3, 2000, &ready, &invalid), 0);
	ck_assert(!ready && !invalid);
	os_eventfd_signal(fds[2]);
	ck_assert_int_eq(os_poll(fds, 3, -1, &ready, &invalid), 0);
	ck_assert_uint_eq(ready, 4);
	ck_assert_uint_eq(invalid, 0);
	os_eventfd_signal(fds[0]);
	ck_assert_int_eq(os_poll(fds, 3, 0, &ready, &invalid), 0);
	ck_assert_uint_eq(ready, 5);
	/* LeakSanitizer opens something at the end. */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

START_TEST(test_eventfd)
{
	uint64_t ready, invalid;
	int fd;

	ck_assert_int_eq(os_eventfd(&fd), 0);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	os_eventfd_drain(fd); /* empty: does not block */
	ck_assert_int_eq(os_poll(&fd, 1, 0, &ready, &invalid), 0);
	ck_assert_uint_eq(ready, 0);
	os_eventfd_signal(fd);
	os_eventfd_signal(fd);
	ck_assert_int_eq(os_poll(&fd, 1, -1, &ready, &invalid), 0);
	ck_assert_uint_eq(ready, 1);
	os_eventfd_drain(fd);
	ck_assert_int_eq(os_poll(&fd, 1, 0, &ready, &invalid), 0);
	ck_assert_uint_eq(ready, 0);
	os_close(fd);
}
END_TEST

START_TEST(test_futex_wait)
{
	_Atomic uint32_t word = 5;
	uint64_t start_us = os_now_us();

	ck_assert_int_eq(os_futex_wait(&word, 4, -1), -EAGAIN);
	ck_assert_int_eq(os_futex_wait(&word, 5, 0), -ETIMEDOUT);
	ck_assert_int_eq(os_futex_wait(&word, 5, 10000), -ETIMEDOUT);
	ck_assert_uint_ge(os_now_us() - start_us, 10000);
	start_ticking();
	ck_assert_int_eq(os_futex_wait(&word, 5, -1), -EINTR);
	stop_ticking();
}
END_TEST

static _Atomic uint32_t futex_word;
static _Atomic bool futex_done;

static void *futex_sleeper(void *arg)
{
	while (os_futex_wait(&futex_word, 0, -1) != 0 &&
	       !atomic_load(&futex_done))
		;
	atomic_store(&futex_done, true);
	return arg;
}

/* The word never changes: only the wake ends the wait. */
START_TEST(test_futex_wake)
{
	pthread_t thread;

	pthread_create(&thread, NULL, futex_sleeper, NULL);
	while (!atomic_load(&futex_done)) {
		os_futex_wake(&futex_word, 1);
		os_yield();
	}
	pthread_join(thread, NULL);
}
END_TEST

struct seen_thread {
	sigset_t mask;
	size_t stack_bytes;
	int tid;
};

static void *look_around(void *arg)
{
	struct seen_thread *seen = arg;
	pthread_attr_t attr;

	pthread_sigmask(SIG_BLOCK, NULL, &seen->mask);
	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstacksize(&attr, &seen->stack_bytes);
	pthread_attr_destroy(&attr);
	seen->tid = os_tid();
	return arg;
}

START_TEST(test_thread_start)
{
	struct seen_thread seen;
	pthread_t thread;
	sigset_t before, after;
	void *value;

	pthread_sigmask(SIG_BLOCK, NULL, &before);
	ck_assert_int_eq(
		os_thread_start(&thread, "vvm-test", look_around, &seen), 0);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	ck_assert_int_eq(pthread_join(thread, &value), 0);
	ck_assert_ptr_eq(value, &seen);
	ck_assert_int_eq(sigismember(&before, SIGTERM),
			 sigismember(&after, SIGTERM));
	ck_assert(sigismember(&seen.mask, SIGTERM));
	ck_assert(sigismember(&seen.mask, SIGALRM));
	ck_assert(!sigismember(&seen.mask, SIGSEGV));
	ck_assert(!sigismember(&seen.mask, SIGBUS));
	ck_assert(!sigismember(&seen.mask, SIGABRT));
	ck_assert_uint_le(seen.stack_bytes, 1 << 20);
	ck_assert_uint_ge(seen.stack_bytes, 128 << 10);
	ck_assert_int_ne(seen.tid, os_tid());
}
END_TEST

static _Atomic bool named;

static void *wait_named(void *arg)
{
	while (!atomic_load(&named))
		os_yield();
	return arg;
}

START_TEST(test_thread_name)
{
	pthread_t thread;
	char name[16];

	ck_assert_int_eq(
		os_thread_start(&thread, "fifteen-bytes15", wait_named, NULL),
		0);
	pthread_getname_np(thread, name, sizeof(name));
	ck_assert_str_eq(name, "fifteen-bytes15");
	atomic_store(&named, true);
	pthread_join(thread, NULL);
}
END_TEST

static _Atomic uintptr_t bus_addr;
static _Atomic int bus_code, bus_tid;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	atomic_store(&bus_code, info->si_code);
	atomic_store(&bus_tid, os_tid());
	atomic_store(&bus_addr, (uintptr_t)info->si_addr);
}

static _Atomic int waiter_tid;

static void *wait_for_bus(void *arg)
{
	atomic_store(&waiter_tid, os_tid());
	while (!atomic_load(&bus_addr))
		os_yield();
	return arg;
}

static void catch_bus(void)
{
	struct sigaction action = {.sa_sigaction = on_bus,
				   .sa_flags = SA_SIGINFO};

	sigaction(SIGBUS, &action, NULL);
}

START_TEST(test_sigbus_to_other_thread)
{
	pthread_t thread;
	int error;

	catch_bus();
	ck_assert_int_eq(os_thread_start(&thread, "bus", wait_for_bus, NULL),
			 0);
	while (!atomic_load(&waiter_tid))
		os_yield();
	error = os_sigbus_thread(atomic_load(&waiter_tid), 0x7f0012345000);
	ck_assert_int_eq(error, 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(atomic_load(&bus_addr), 0x7f0012345000);
	ck_assert_int_eq(atomic_load(&bus_code), SI_QUEUE);
	ck_assert_int_eq(atomic_load(&bus_tid), atomic_load(&waiter_tid));
}
END_TEST

START_TEST(test_sigbus_to_self)
{
	catch_bus();
	ck_assert_int_eq(os_sigbus_thread(os_tid(), 0x7f0012345000), 0);
	ck_assert_uint_eq(atomic_load(&bus_addr), 0x7f0012345000);
	ck_assert_int_eq(atomic_load(&bus_code), BUS_ADRERR);
	ck_assert_int_eq(atomic_load(&bus_tid), os_tid());
	ck_assert_int_eq(os_sigbus_thread(INT_MAX, 0x1000), -ESRCH);
}
END_TEST

START_TEST(test_identity)
{
	cpu_set_t set;
	unsigned cpu = 0;

	ck_assert_int_eq(os_pid(), getpid());
	ck_assert_int_eq(os_tid(), getpid());
	ck_assert_uint_eq(os_page_size(), (uint64_t)getpagesize());
	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	ck_assert_uint_eq(os_cpus(), (unsigned)CPU_COUNT(&set));
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(set), &set), 0);
	ck_assert_uint_eq(os_cpus(), 1);
}
END_TEST

START_TEST(test_time)
{
	uint64_t start_us = os_now_us(), start_ns = os_now_ns();

	start_ticking(); /* signals do not shorten the sleep */
	os_sleep_us(20000);
	stop_ticking();
	ck_assert_uint_ge(os_now_us() - start_us, 20000);
	ck_assert_uint_ge(os_now_ns() - start_ns, 20000000);
	os_sleep_us(0);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "processes");

	tcase_add_test(tc, test_fork_watch);
	tcase_add_test(tc, test_eventfd);
	tcase_add_test(tc, test_poll_beyond_the_limit_of_descriptors);
	tcase_add_test(tc, test_futex_wait);
	tcase_add_test(tc, test_futex_wake);
	tcase_add_test(tc, test_thread_start);
	tcase_add_test(tc, test_thread_name);
	tcase_add_test(tc, test_sigbus_to_other_thread);
	tcase_add_test(tc, test_sigbus_to_self);
	tcase_add_test(tc, test_identity);
	tcase_add_test(tc, test_time);
}

const struct test_program test_program = {
	.name = "os_proc",
	.add = add_tests,
};
