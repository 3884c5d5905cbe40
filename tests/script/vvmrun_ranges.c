/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_ranges.c - vvmrun_guest.c, of mappings that are put over others,
 * and of calls that reach them by other ways; to be run with --mmap.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "script/vvmrun_guest.h"

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define RW     (PROT_READ | PROT_WRITE)
#define PAGED  (MAP_PRIVATE | MAP_ANONYMOUS)
#define SHARED (MAP_SHARED | MAP_ANONYMOUS)
#define MOVES  (MREMAP_MAYMOVE | MREMAP_FIXED)

enum { ROUNDS = 100, PIECE = 4096 };

#define PART (MIB / 4) /* not smaller than what --mmap pages */

static char *map(size_t bytes, int prot)
{
	char *p = mmap(NULL, bytes, prot, PAGED, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void all_are(const char *p, size_t bytes, char value)
{
	size_t i;

	for (i = 0; i < bytes; i += 512)
		CHECK(p[i] == value);
}

static void push_out(void)
{
	char *p = malloc(LARGE);

	fill(p, LARGE, 5);
	CHECK(same(p, LARGE, 5));
	free(p);
}

/* ---- a range is never free while something else is put over it ---- */

static struct {
	char *at;
	_Atomic bool stop;
} watched;

/* It is in use, always: so nothing is put there for somebody else. */
static void *watch(void *arg)
{
	void *p;

	while (!atomic_load(&watched.stop)) {
		p = mmap(watched.at, PIECE, PROT_NONE,
			 PAGED | MAP_FIXED_NOREPLACE, -1, 0);
		CHECK(p == MAP_FAILED && errno == EEXIST);
	}
	return arg;
}

static void put_code(char *at)
{
	CHECK(mmap(at, PART, RW | PROT_EXEC, PAGED | MAP_FIXED, -1, 0) == at);
	all_are(at, PART, 0);
}

static void put_file(char *at)
{
	int fd = open("/proc/self/exe", O_RDONLY);

	CHECK(mmap(at, PART, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == at);
	CHECK(!close(fd) && !memcmp(at, "\177ELF", 4));
}

static void put_segment(char *at)
{
	int id = shmget(IPC_PRIVATE, PART, IPC_CREAT | 0600);

	CHECK(shmat(id, at + 1, SHM_REMAP | SHM_RND) == at);
	CHECK(!shmctl(id, IPC_RMID, NULL));
	all_are(at, PART, 0);
}

static void put_moved(char *at)
{
	char *p = map(PART, RW | PROT_EXEC);

	memset(p, 5, PART);
	CHECK(mremap(p, PART, PART, MOVES, at) == at);
	all_are(at, PART, 5);
}

static void put_paged(char *at)
{
	char *p = map(2 * PART, RW);

	memset(p, 9, 2 * PART);
	CHECK(mremap(p, PART, PART, MOVES, at) == at);
	all_are(at, PART, 9);
	all_are(p + PART, PART, 9);
	CHECK(!munmap(p + PART, PART));
}

/* "Another thread's new mapping is destroyed." */
void test_over(void)
{
	void (*const put[])(char *) = {put_code, put_file, put_segment,
				       put_moved};
	char *p = map(3 * PART, RW);
	pthread_t thread;
	unsigned i;

	memset(p, 7, 3 * PART);
	watched.at = p + PART + PART / 2;
	CHECK(!pthread_create(&thread, NULL, watch, NULL));
	for (i = 0; i < ROUNDS; i++) {
		put[i % 4](p + PART);
		put_paged(p + PART);
	}
	atomic_store(&watched.stop, true);
	CHECK(!pthread_join(thread, NULL));
	all_are(p, PART, 7);
	all_are(p + 2 * PART, PART, 7);
	CHECK(!munmap(p, 3 * PART));
}

/* What is refused takes nothing away. */
void test_refused(void)
{
	char *p = map(PART, RW), *hole = map(PART, RW | PROT_EXEC);

	fill(p, PART, 3);
	CHECK(!munmap(hole, PART));
	CHECK(mremap(hole, PART, PART, MOVES, p) == MAP_FAILED);
	CHECK(errno == EFAULT && same(p, PART, 3));
	CHECK(mmap(p, PART, RW, MAP_SHARED | MAP_FIXED, -1, 0) == MAP_FAILED);
	CHECK(errno == EBADF && same(p, PART, 3));
	CHECK(shmat(-1, p, SHM_REMAP) == (void *)-1);
	CHECK(errno == EINVAL && same(p, PART, 3));
	CHECK(remap_file_pages(p, PART / 2, 0, 1, 0) == -1);
	CHECK(errno == EINVAL && same(p, PART, 3));
	/* it begins in what is not paged, and not on a page */
	CHECK(mmap(p, PIECE, RW, SHARED | MAP_FIXED, -1, 0) == p);
	CHECK(mmap(p + 1, PART, RW, SHARED | MAP_FIXED, -1, 0) == MAP_FAILED);
	CHECK(errno == EINVAL);
	CHECK(same(p + PIECE, PART - PIECE, 3 + PIECE / 8));
	CHECK(!munmap(p, PART));
}

/* ---- shared memory ---- */

/* "Children could not be set up." */
void test_segment(void)
{
	char *p = map(3 * PART, RW);
	pid_t pid;

	memset(p, 7, 3 * PART);
	put_segment(p + PART);
	pid = fork();
	if (pid == 0) {
		all_are(p, PART, 7);
		memset(p + PART, 8, PART);
		_exit(0);
	}
	CHECK(!status_of(pid));
	all_are(p + PART, PART, 8);
	all_are(p + 2 * PART, PART, 7);
	CHECK(!shmdt(p + PART) && !munmap(p, 3 * PART));
}

/* ---- process_madvise(2) ---- */

static ssize_t advise(int fd, const struct iovec *vec, size_t count, int advice,
		      unsigned flags)
{
#if __GLIBC_PREREQ(2, 36)
	return process_madvise(fd, vec, count, advice, flags);
#else
	return syscall(SYS_process_madvise, fd, vec, count, advice, flags);
#endif
}

/* Before Linux 6.13 a process may not do all with itself. */
static void discard(int fd, char *p)
{
	struct iovec vec[3] = {{p, MIB}, {NULL, 0}, {p + 2 * MIB, MIB}};
	ssize_t n = advise(fd, vec, 3, MADV_DONTNEED, 0);

	if (n < 0) {
		CHECK(errno == EINVAL);
		all_are(p, 4 * MIB, 7);
		return;
	}
	CHECK(n == 2 * (ssize_t)MIB);
	all_are(p, MIB, 0);
	all_are(p + MIB, MIB, 7);
	all_are(p + 2 * MIB, MIB, 0);
	all_are(p + 3 * MIB, MIB, 7);
}

void test_advising(void)
{
	char *p = map(5 * MIB, RW);
	struct iovec vec[2] = {{p + 3 * MIB, MIB}, {p + 4 * MIB, MIB}};
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0), other;
	pid_t pid;

	memset(p, 7, 5 * MIB);
	CHECK(!munmap(p + 4 * MIB, MIB)); /* a hole */
	if (fd < 0 || (advise(fd, vec, 1, MADV_COLD, 0) < 0 &&
		       (errno == ENOSYS || errno == EPERM)))
		return;
	CHECK(advise(fd, vec, 2, MADV_COLD, 0) == (ssize_t)MIB);
	CHECK(advise(fd, vec + 1, 1, MADV_COLD, 0) < 0 && errno == ENOMEM);
	CHECK(advise(fd, vec, 1, MADV_COLD, 1) < 0 && errno == EINVAL);
	CHECK(advise(-1, vec, 1, MADV_COLD, 0) < 0 && errno == EBADF);
	all_are(p, 4 * MIB, 7);
	discard(fd, p);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	other = (int)syscall(SYS_pidfd_open, pid, 0);
	CHECK(advise(other, vec, 1, MADV_DONTNEED, 0) < 0);
	all_are(p + 3 * MIB, MIB, 7);
	CHECK(!kill(pid, SIGKILL) && status_of(pid) == 128 + SIGKILL);
	CHECK(!close(fd) && !close(other) && !munmap(p, 4 * MIB));
}

/* ---- a userfaultfd of its own ---- */

static void *serve(void *arg)
{
	struct uffd_msg message;
	struct uffdio_copy copy = {.len = PIECE};
	char *page = aligned_alloc(PIECE, PIECE);
	int fd = *(int *)arg;

	CHECK(page && read(fd, &message, sizeof(message)) == sizeof(message));
	memset(page, 'u', PIECE);
	copy.dst = message.arg.pagefault.address & -(uint64_t)PIECE;
	copy.src = (uint64_t)page;
	CHECK(!ioctl(fd, UFFDIO_COPY, &copy));
	return arg;
}

/* It serves faults, or is told that it cannot: "zeros are read". */
void test_userfault(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register r = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	char *p = map(MIB, RW);
	pthread_t thread;
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (fd < 0)
		return;
	CHECK(!ioctl(fd, UFFDIO_API, &api));
	r.range = (struct uffdio_range){(uint64_t)p, MIB};
	if (ioctl(fd, UFFDIO_REGISTER, &r) == 0) {
		CHECK(!pthread_create(&thread, NULL, serve, &fd));
		CHECK(p[5] == 'u');
		CHECK(!pthread_join(thread, NULL));
	} else {
		CHECK(errno == EBUSY);
		CHECK(!p[5]);
	}
	CHECK(!close(fd));
}

/* ---- what is not permitted ---- */

static sigjmp_buf back;
static volatile int code;

static void on_segv(int sig, siginfo_t *si, void *context)
{
	(void)sig;
	(void)context;
	code = si->si_code;
	siglongjmp(back, 1);
}

static int code_of_call(char *at)
{
	void (*call)(void);

	memcpy(&call, &at, sizeof(call));
	code = 0;
	if (!sigsetjmp(back, 1))
		call();
	return code;
}

/* "It is not mapped", says the signal of code that may not be executed. */
void test_data(void)
{
	struct sigaction action = {.sa_sigaction = on_segv,
				   .sa_flags = SA_SIGINFO};
	char *p = map(2 * MIB, RW);
	size_t i;

	CHECK(!sigaction(SIGSEGV, &action, NULL));
	for (i = 0; i < 2 * MIB; i += 2 * PIECE) /* others are fresh */
		p[i] = 1;
	push_out();
	for (i = 0; i < 2 * MIB; i += 37 * PIECE)
		CHECK(code_of_call(p + i) == SEGV_ACCERR);
	CHECK(!munmap(p, 2 * MIB));
	CHECK(code_of_call(p) == SEGV_MAPERR);
}

/* ---- children without fork handlers ---- */

#if __GLIBC_PREREQ(2, 34)
static unsigned handlers;

static void count(void)
{
	handlers++;
}

void test_barefork(void)
{
	char *p = malloc(4 * MIB);
	unsigned i;
	pid_t pid;

	CHECK(p && !pthread_atfork(count, count, count));
	fill(p, 4 * MIB, 3);
	for (i = 0; i < 3; i++) {
		pid = _Fork();
		if (pid == 0) {
			CHECK(same(p, 4 * MIB, 3) && !handlers);
			fill(p, 4 * MIB, 4);
			CHECK(same(p, 4 * MIB, 4));
			_exit(0);
		}
		CHECK(!status_of(pid) && same(p, 4 * MIB, 3));
	}
	CHECK(!handlers);
	pid = fork();
	if (pid == 0)
		_exit(handlers == 2 ? 0 : 1);
	CHECK(!status_of(pid) && handlers == 2);
	free(p);
}
#else
void test_barefork(void)
{
}
#endif

/* ---- words of threads ---- */

static _Atomic unsigned end;
static _Atomic pid_t seen;

static int wait_and_end(void *word)
{
	atomic_store(&seen, *(volatile pid_t *)word);
	while (!atomic_load(&end))
		syscall(SYS_futex, &end, FUTEX_WAIT, 0, NULL, NULL, 0);
	syscall(SYS_exit, 0);
	return 0;
}

/* The kernel clears a word that would long be in swap, and wakes who waits. */
static void end_of_thread(pid_t *word, pid_t *parents)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
			  CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID |
			  CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
	char *stack = mmap(NULL, 16 * PIECE, RW, PAGED | MAP_STACK, -1, 0);
	const struct timespec limit = {.tv_sec = 10};
	pid_t tid;

	CHECK(stack != MAP_FAILED);
	*word = *parents = 77;
	push_out();
	atomic_store(&end, 0);
	atomic_store(&seen, 0);
	tid = clone(wait_and_end, stack + 16 * PIECE, flags, word, parents,
		    NULL, word);
	CHECK(tid > 0 && *parents == tid);
	while (!atomic_load(&seen))
		sched_yield();
	push_out();
	atomic_store(&end, 1);
	syscall(SYS_futex, &end, FUTEX_WAKE, 1, NULL, NULL, 0);
	while (*(volatile pid_t *)word == tid)
		CHECK(!syscall(SYS_futex, word, FUTEX_WAIT, tid, &limit, NULL,
			       0) ||
		      errno == EAGAIN || errno == EINTR);
	CHECK(*word == 0 && atomic_load(&seen) == tid);
}

static bool lives(pid_t tid)
{
	return !syscall(SYS_tgkill, getpid(), tid, 0);
}

/* "Who waits for a thread's end waits for ever." */
void test_words(void)
{
	char *p = malloc(4 * MIB), *q = map(MIB, RW);
	pid_t *word, tid;
	size_t i;

	CHECK(p);
	for (i = 0; i < 3; i++) {
		word = (pid_t *)(p + i * 3 * PIECE + 100);
		end_of_thread(word, word + 2 * PIECE / sizeof(*word));
	}
	free(p);
	word = (pid_t *)q;
	end_of_thread(word, word + PIECE);
	tid = atomic_load(&seen);
	while (lives(tid))
		sched_yield();
	/* nothing of it is locked any more */
	CHECK(!madvise(q, MIB, MADV_DONTNEED) && !*word);
	end_of_thread(word, word + PIECE);
	CHECK(!munmap(q, MIB));
}
