/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_confined.c - a program for tests/script/vvmrun_limits.sh that
 * shuts itself in with seccomp(2) as others do, and then uses its memory. It
 * knows nothing of libvvm. Arguments: the filter, what to do. It exits 0 if all
 * went as it would without vvmrun, and else says the line that failed.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "script/check.h"
#include "script/pattern.h"

/* ---- filters ---- */

enum { MOST = 128, ALL = -1, END = -2 };

struct filter {
	const char *name;
	uint32_t refusal; /* of what is not permitted */
	bool tsync;	  /* by seccomp(2), for all threads */
	int permitted[MOST];
};

/* What malloc() and stdio may do, and no more. */
#define TIGHT                                                                 \
	SYS_read, SYS_write, SYS_close, SYS_fstat, SYS_newfstatat, SYS_lseek, \
		SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_brk,      \
		SYS_madvise, SYS_futex, SYS_rt_sigaction, SYS_rt_sigprocmask, \
		SYS_rt_sigreturn, SYS_exit, SYS_exit_group,                   \
		SYS_clock_nanosleep, SYS_nanosleep, SYS_sched_yield,          \
		SYS_restart_syscall, SYS_clock_gettime, SYS_getpid,           \
		SYS_gettid, SYS_tgkill

static const struct filter filters[] = {
	/* The sandbox of OpenSSH before a login, less what it refuses. */
	{"sshd",
	 SECCOMP_RET_KILL_THREAD,
	 false,
	 {SYS_brk,
	  SYS_clock_gettime,
	  SYS_close,
	  SYS_exit,
	  SYS_exit_group,
	  SYS_futex,
	  SYS_geteuid,
	  SYS_getpgid,
	  SYS_getpid,
	  SYS_getrandom,
	  SYS_gettimeofday,
	  SYS_getuid,
	  SYS_madvise,
	  SYS_mmap,
	  SYS_mprotect,
	  SYS_mremap,
	  SYS_munmap,
	  SYS_nanosleep,
	  SYS_clock_nanosleep,
	  SYS_pselect6,
	  SYS_read,
	  SYS_rt_sigprocmask,
	  SYS_shutdown,
	  SYS_write,
	  END}},
	/* All threads; the time is only for those who need not ask the kernel. */
	{"timeless",
	 SECCOMP_RET_KILL_THREAD,
	 true,
	 {SYS_brk, SYS_close, SYS_clock_nanosleep, SYS_exit, SYS_exit_group,
	  SYS_futex, SYS_getpid, SYS_gettid, SYS_madvise, SYS_mmap,
	  SYS_mprotect, SYS_mremap, SYS_munmap, SYS_rt_sigprocmask,
	  SYS_set_robust_list, SYS_write, END}},
	/* That of man-db: files are read, children are made. */
	{"man",
	 SECCOMP_RET_ERRNO | EPERM,
	 false,
	 {TIGHT,
	  SYS_execve,
	  SYS_set_robust_list,
	  SYS_prlimit64,
	  SYS_dup,
	  SYS_dup3,
	  SYS_pread64,
	  SYS_pwrite64,
	  SYS_readv,
	  SYS_writev,
	  SYS_fallocate,
	  SYS_fcntl,
	  SYS_fstatfs,
	  SYS_ftruncate,
	  SYS_getdents64,
	  SYS_openat,
	  SYS_ppoll,
	  SYS_epoll_create1,
	  SYS_epoll_ctl,
	  SYS_eventfd2,
	  SYS_pipe2,
	  SYS_clone,
	  SYS_prctl,
	  SYS_wait4,
	  SYS_kill,
	  SYS_sysinfo,
	  SYS_uname,
	  SYS_msync,
	  SYS_sched_getaffinity,
	  END}},
	{"tight", SECCOMP_RET_KILL_PROCESS, false, {TIGHT, END}},
	{"tsync", SECCOMP_RET_KILL_PROCESS, true, {TIGHT, END}},
	{"trap", SECCOMP_RET_TRAP, false, {TIGHT, END}},
	{"forks",
	 SECCOMP_RET_KILL_PROCESS,
	 true,
	 {TIGHT, SYS_clone, SYS_wait4, SYS_set_robust_list, END}},
	{"threads",
	 SECCOMP_RET_KILL_PROCESS,
	 false,
	 {TIGHT, SYS_clone, SYS_clone3, SYS_set_robust_list, SYS_rseq, END}},
};

/* Calls of these numbers, up to END, have that verdict, others the other. */
static void install(const int *numbers, uint32_t these, uint32_t others,
		    bool tsync)
{
	struct sock_filter text[2 * MOST + 2];
	struct sock_fprog program = {.filter = text};
	unsigned n = 0, i;

	text[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (i = 0; numbers[i] != END; i++) {
		text[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)numbers[i], 0, 1);
		text[n++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, these);
	}
	text[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
	program.len = (unsigned short)n;
	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (tsync)
		CHECK(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			       SECCOMP_FILTER_FLAG_TSYNC, &program));
	else
		CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static void confine(const struct filter *f)
{
	install(f->permitted, SECCOMP_RET_ALLOW, f->refusal, f->tsync);
}

/* ---- memory ---- */

/* Blocks of all sizes, which are given back; the large ones page by page. */
static void churn(unsigned rounds)
{
	enum { BLOCKS = 400 };
	static char *block[BLOCKS];
	unsigned round, i;
	size_t bytes;
	char *p;

	for (round = 0; round < rounds; round++) {
		for (i = 0; i < BLOCKS; i++) {
			bytes = 16 + (size_t)i * 977 % 9000;
			block[i] = malloc(bytes);
			CHECK(block[i]);
			memset(block[i], (int)(i & 127), bytes);
		}
		for (i = 0; i < BLOCKS; i++) {
			CHECK(*block[i] == (char)(i & 127));
			block[i] =
				realloc(block[i], 16 + (size_t)i * 577 % 9000);
			CHECK(block[i] && *block[i] == (char)(i & 127));
		}
		for (i = 0; i < BLOCKS; i++)
			free(block[i]);
		p = calloc(1, LARGE);
		CHECK(p && !p[LARGE - 1]);
		fill(p, LARGE, round);
		p = realloc(p, LARGE + MIB);
		CHECK(p && same(p, LARGE, round));
		free(p);
	}
}

static char *early;

static void test_heap(void)
{
	churn(2);
	CHECK(same(early, LARGE, 1));
}

/* So long that a budget which follows the machine looks at it meanwhile. */
static void test_following(void)
{
	time_t end = time(NULL) + 2;

	do
		test_heap();
	while (time(NULL) < end);
}

/* ---- children ---- */

static int wait_for(pid_t pid)
{
	int status;

	CHECK(pid > 0);
	CHECK(syscall(SYS_wait4, pid, &status, 0, NULL) == pid);
	return status;
}

static void test_fork(void)
{
	unsigned i;
	pid_t pid;

	for (i = 0; i < 3; i++) {
		pid = fork();
		if (pid) {
			fill(early, MIB, 2 + i);
			CHECK(wait_for(pid) == 0);
			CHECK(same(early, MIB, 2 + i));
			continue;
		}
		CHECK(same(early, MIB, 1 + i));
		CHECK(same(early + MIB, MIB, 1 + MIB / 8));
		fill(early, MIB, 77);
		churn(1);
		pid = fork();
		if (pid == 0) {
			CHECK(same(early, MIB, 77));
			churn(1);
			_exit(0);
		}
		CHECK(wait_for(pid) == 0);
		_exit(0);
	}
}

/* ---- what the program may not do ---- */

static volatile int caught;

static void on_sys(int sig, siginfo_t *si, void *context)
{
	(void)sig;
	(void)context;
	if (si->si_syscall == SYS_getppid)
		caught++;
	else
		_exit(9);
}

/* Its own calls are refused as ever, by whatever function it makes them. */
static void test_trapped(void)
{
	churn(2);
	syscall(SYS_getppid);
	CHECK(caught == 1);
	getppid();
	CHECK(caught == 2);
}

static void test_refused(void)
{
	int n;

	churn(2);
	errno = 0;
	CHECK(ioctl(0, FIONREAD, &n) == -1 && errno == EPERM);
	errno = 0;
	CHECK(socket(AF_UNIX, SOCK_STREAM, 0) == -1 && errno == EPERM);
	errno = 0;
	CHECK(syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0) == -1 &&
	      errno == EPERM);
	errno = 0;
	CHECK(syscall(SYS_clone3, NULL, 0) == -1);
	CHECK(errno == EPERM || errno == ENOSYS);
}

/* Calls that are ours to answer, of a program that forbids them itself. */
static void test_ours(void)
{
	static const int numbers[] = {SYS_mmap,	     SYS_munmap, SYS_mprotect,
				      SYS_madvise,   SYS_mremap, SYS_read,
				      SYS_prlimit64, SYS_close,	 END};
	char *page =
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(page != MAP_FAILED);
	install(numbers, SECCOMP_RET_ERRNO | EXDEV, SECCOMP_RET_ALLOW, false);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		      MAP_FAILED &&
	      errno == EXDEV);
	CHECK(munmap(page, 4096) == -1 && errno == EXDEV);
	CHECK(mprotect(page, 4096, PROT_NONE) == -1 && errno == EXDEV);
	CHECK(madvise(page, 4096, MADV_DONTNEED) == -1 && errno == EXDEV);
	CHECK(mremap(page, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED &&
	      errno == EXDEV);
	CHECK(read(0, page, 1) == -1 && errno == EXDEV);
	CHECK(close(0) == -1 && errno == EXDEV);
	churn(2);
	CHECK(same(early, LARGE, 1));
}

/* ---- threads that a filter kills ---- */

static void test_killed(void)
{
	churn(2);
	getppid();
}

static const struct filter *chosen;
static int done[2];

/* Its filter is its own; libc's malloc() does more in threads than it permits. */
static void *be_killed(void *arg)
{
	confine(chosen);
	fill(early, LARGE, 1);
	CHECK(write(done[1], "", 1) == 1);
	getppid();
	return arg;
}

/* One that is killed leaves the others alone, and the last one ends all. */
static void test_thread(void)
{
	pthread_t thread;
	char c;

	CHECK(!pipe(done));
	CHECK(!pthread_create(&thread, NULL, be_killed, NULL));
	CHECK(read(done[0], &c, 1) == 1);
	CHECK(!pthread_join(thread, NULL)); /* the kernel tells of its end */
	churn(2);
	confine(chosen);
	CHECK(same(early, LARGE, 1));
	getppid();
}

static void test_exit(void)
{
	churn(2);
	syscall(SYS_exit, 7);
}

/* As a child of a paged parent, who is told, and whose pipe is closed. */
static void in_child(const struct filter *f, void (*test)(void), int wanted)
{
	int ends[2], status;
	pid_t pid;
	char c;

	CHECK(!pipe(ends));
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		confine(f);
		test();
		_exit(8);
	}
	close(ends[1]);
	CHECK(read(ends[0], &c, 1) == 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	if ((status & 0xff7f) != wanted) {
		fprintf(stderr, "guest: status %x\n", status);
		_exit(1);
	}
}

static void *use_memory(void *p)
{
	char *q = malloc(LARGE);

	fill(p, LARGE, 5);
	fill(q, LARGE, 6);
	CHECK(same(p, LARGE, 5) && same(q, LARGE, 6));
	free(q);
	return NULL;
}

static void test_threads(void)
{
	pthread_t thread;
	int i;

	for (i = 0; i < 2; i++) {
		CHECK(!pthread_create(&thread, NULL, use_memory, early));
		CHECK(!pthread_join(thread, NULL));
		CHECK(same(early, LARGE, 5));
	}
}

static void test_strict(void)
{
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	CHECK(same(early, LARGE, 1));
	fill(early, LARGE, 4);
	CHECK(same(early, LARGE, 4));
	syscall(SYS_exit, 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
		int child; /* status of a child that does it; -1: no child */
	} tests[] = {
		{"heap", test_heap, -1},
		{"following", test_following, -1},
		{"fork", test_fork, -1},
		{"trapped", test_trapped, -1},
		{"refused", test_refused, -1},
		{"killed", test_killed, -1},
		{"exit", test_exit, -1},
		{"thread", test_thread, -1},
		{"threads", test_threads, -1},
		{"ours", test_ours, -1},
		{"strict", test_strict, -1},
		{"child-killed", test_killed, SIGSYS},
		{"child-exit", test_exit, 7 << 8},
	};
	struct sigaction action = {.sa_sigaction = on_sys,
				   .sa_flags = SA_SIGINFO};
	const struct filter *f = NULL;
	size_t i;

	CHECK(argc == 3);
	alarm(600);
	for (i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		if (!strcmp(argv[1], filters[i].name))
			f = &filters[i];
	early = malloc(LARGE);
	CHECK(early);
	chosen = f;
	fill(early, LARGE, 1);
	sigaction(SIGSYS, f && f->refusal == SECCOMP_RET_TRAP ? &action : NULL,
		  NULL);
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (strcmp(argv[2], tests[i].name))
			continue;
		if (tests[i].child >= 0) {
			CHECK(f);
			in_child(f, tests[i].run, tests[i].child);
			return 0;
		}
		if (f && tests[i].run != test_thread)
			confine(f);
		tests[i].run();
		_exit(0);
	}
	return 2;
}
