/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_limits.c - a program for tests/script/vvmrun_limits.sh that
 * lowers its own limits, gives up rights, has devices write to its memory, and
 * forks with handlers of its own. It knows nothing of libvvm. Its first
 * argument chooses what it does; it exits 0 if that went as without vvmrun, and
 * else says the line that failed.
 */
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "script/check.h"
#include "script/pattern.h"

#define GIB ((size_t)1 << 30)

static const char *self, *argument;
extern char **environ;

/* ---- memory ---- */

static char *early;

/* All of what there is, and as much again. */
static void work(void)
{
	char *p = malloc(LARGE);

	CHECK(p);
	fill(p, LARGE, 2);
	CHECK(same(early, LARGE, 1));
	CHECK(same(p, LARGE, 2));
	free(p);
}

static void wait_for(pid_t pid, int wanted)
{
	int status;

	CHECK(pid > 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	if (status != wanted) {
		fprintf(stderr, "guest: status %x of a child\n", status);
		_exit(1);
	}
}

/* A child that has all, and one of that. */
static void fork_and_work(unsigned depth)
{
	pid_t pid = fork();

	if (pid == 0) {
		work();
		if (depth)
			fork_and_work(depth - 1);
		_exit(0);
	}
	fill(early, MIB, 1);
	wait_for(pid, 0);
	work();
}

/* ---- limits ---- */

static void set_limit(int what, rlim_t soft, rlim_t hard)
{
	struct rlimit limit = {soft, hard};

	CHECK(!setrlimit(what, &limit));
}

static void has_limit(int what, rlim_t soft, rlim_t hard)
{
	struct rlimit limit;

	CHECK(!getrlimit(what, &limit));
	CHECK(limit.rlim_cur == soft && limit.rlim_max == hard);
	CHECK(!prlimit(getpid(), what, NULL, &limit));
	CHECK(limit.rlim_cur == soft && limit.rlim_max == hard);
}

static void *nothing(void *arg)
{
	return arg;
}

static void test_as(void)
{
	struct rlimit limit = {8 * GIB, 4 * GIB};
	pthread_t thread;
	char *p, *q;

	errno = 0;
	CHECK(setrlimit(RLIMIT_AS, &limit) == -1 && errno == EINVAL);
	set_limit(RLIMIT_AS, 4 * GIB, 8 * GIB);
	has_limit(RLIMIT_AS, 4 * GIB, 8 * GIB);
	p = malloc(64 * MIB);
	CHECK(p);
	fill(p, LARGE, 3);
	q = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(q != MAP_FAILED);
	fill(q, LARGE, 4);
	CHECK(!pthread_create(&thread, NULL, nothing, NULL));
	CHECK(!pthread_join(thread, NULL));
	errno = 0;
	CHECK(!malloc(5 * GIB) && errno == ENOMEM);
	errno = 0;
	CHECK(!calloc(5, GIB) && errno == ENOMEM);
	errno = 0;
	CHECK(!realloc(p, 5 * GIB) && errno == ENOMEM);
	errno = 0;
	CHECK(!aligned_alloc(4096, 5 * GIB) && errno == ENOMEM);
	CHECK(mmap(NULL, 5 * GIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0) == MAP_FAILED);
	CHECK(same(p, LARGE, 3) && same(q, LARGE, 4));
	fork_and_work(1);
	set_limit(RLIMIT_AS, 8 * GIB, 8 * GIB);
	p = malloc(5 * GIB);
	CHECK(p);
	p[5 * GIB - 1] = 1;
	free(p);
}

static void test_data(void)
{
	set_limit(RLIMIT_DATA, GIB, GIB);
	has_limit(RLIMIT_DATA, GIB, GIB);
	CHECK(malloc(64 * MIB));
	errno = 0;
	CHECK(!malloc(2 * GIB) && errno == ENOMEM);
	fork_and_work(1);
}

/* As many as are permitted can be opened, and no more. */
static void open_all(rlim_t limit)
{
	unsigned i, n = 0;
	int fd[64];

	while (n < 64 && (fd[n] = open("/dev/null", O_RDONLY)) >= 0)
		CHECK((rlim_t)fd[n++] < limit);
	CHECK(n < 64 && errno == EMFILE);
	for (i = 0; i < n; i++)
		CHECK(!close(fd[i]));
}

static void test_nofile(void)
{
	static const rlim_t limits[] = {64, 3, 1, 0};
	struct rlimit more = {70, 70};
	unsigned i;

	for (i = 0; i < 4; i++) {
		set_limit(RLIMIT_NOFILE, limits[i], limits[i]);
		has_limit(RLIMIT_NOFILE, limits[i], limits[i]);
		open_all(limits[i]);
		work();
		fork_and_work(1);
		open_all(limits[i]);
	}
	/* with CAP_SYS_RESOURCE only */
	if (setrlimit(RLIMIT_NOFILE, &more))
		CHECK(errno == EPERM);
	else
		has_limit(RLIMIT_NOFILE, 70, 70);
}

/* Limits of a child that has not used its memory yet. */
static void test_child(void)
{
	static const rlim_t limits[] = {64, 3, 1, 0};
	unsigned i;
	pid_t pid;

	for (i = 0; i < 4; i++) {
		pid = fork();
		if (pid == 0) {
			set_limit(RLIMIT_NOFILE, limits[i], limits[i]);
			work();
			_exit(0);
		}
		wait_for(pid, 0);
	}
}

/* Swap is a file, too: as much of it as is permitted, and a child has one. */
static void test_fsize(void)
{
	int fd = open(argument, O_RDWR | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	signal(SIGXFSZ, SIG_IGN);
	set_limit(RLIMIT_FSIZE, 64 * MIB, 64 * MIB);
	has_limit(RLIMIT_FSIZE, 64 * MIB, 64 * MIB);
	fork_and_work(1);
	CHECK(pwrite(fd, "x", 1, (off_t)(64 * MIB) - 1) == 1);
	CHECK(pwrite(fd, "x", 1, (off_t)(64 * MIB)) == -1 && errno == EFBIG);
}

static void run_self(const char *what)
{
	char *const args[] = {(char *)self, (char *)what, NULL};

	execv(self, args);
	CHECK(!"exec");
}

/*
 * All threads make the call, the library's as well, and the list is absent by
 * then. EPERM: not for us.
 */
static void test_groups(void)
{
	enum { GROUPS = 8000 };
	gid_t *list = malloc(GROUPS * sizeof(*list));
	char *name = strdup("nobody");
	unsigned i;

	CHECK(list && name);
	for (i = 0; i < GROUPS; i++)
		list[i] = i + 1;
	work();
	CHECK(!setgroups(GROUPS, list) || errno == EPERM);
	CHECK(!initgroups(name, 3) || errno == EPERM);
	fork_and_work(1);
}

/* What a program has that this one becomes, or starts. */
static void test_limited(void)
{
	has_limit(RLIMIT_NOFILE, 40, 60);
	has_limit(RLIMIT_AS, 4 * GIB, RLIM_INFINITY);
}

static void test_exec(void)
{
	struct rlimit own = {30, 50};
	struct rlimit limit;
	pid_t pid;

	set_limit(RLIMIT_NOFILE, 40, 60);
	set_limit(RLIMIT_AS, 4 * GIB, RLIM_INFINITY);
	pid = fork();
	if (pid == 0)
		run_self("limited");
	wait_for(pid, 0);
	pid = vfork();
	if (pid == 0) {
		char *const args[] = {(char *)self, "vforked", NULL};

		setrlimit(RLIMIT_NOFILE, &own);
		execv(self, args);
		_exit(9);
	}
	wait_for(pid, 0);
	execl("/no such program", "no", NULL);
	CHECK(!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur == 40);
	has_limit(RLIMIT_NOFILE, 40, 60);
	work();
	fork_and_work(1);
	run_self("limited");
}

static void test_vforked(void)
{
	has_limit(RLIMIT_NOFILE, 30, 50);
}

/* ---- rights ---- */

static void test_chroot(void)
{
	CHECK(!mkdir(argument, 0755) || errno == EEXIST);
	CHECK(!chroot(argument) && !chdir("/"));
	work();
	fork_and_work(1);
}

static void test_setuid(void)
{
	CHECK(!setresgid(65534, 65534, 65534));
	CHECK(!setresuid(65534, 65534, 65534));
	work();
	fork_and_work(1);
}

/* As sshd's: in a child, which has not used its memory. */
static void test_sshd(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		CHECK(!mkdir(argument, 0755) || errno == EEXIST);
		CHECK(!chroot(argument) && !chdir("/"));
		CHECK(!setresgid(65534, 65534, 65534));
		CHECK(!setresuid(65534, 65534, 65534));
		set_limit(RLIMIT_NPROC, 0, 0);
		set_limit(RLIMIT_NOFILE, 0, 0);
		work();
		_exit(0);
	}
	wait_for(pid, 0);
	work();
}

/* The directory of the swap file, which has no name, is removed. */
static void test_swapgone(void)
{
	CHECK(!rmdir(argument));
	work();
	fork_and_work(1);
}

/* ---- devices ---- */

enum { ROUNDS = 14, THREADS = 2 };
static volatile int stop;

/* Sees to it that pages are evicted. */
static void *press(void *arg)
{
	char *p = malloc(LARGE);
	size_t i;

	CHECK(p);
	for (i = 0; !stop; i = (i + 4096) % LARGE)
		p[i]++;
	free(p);
	return arg;
}

static int ring; /* of io_submit() */

static ssize_t read_aio(int fd, char *p, size_t bytes)
{
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PREAD,
			  .aio_fildes = (uint32_t)fd,
			  .aio_buf = (uintptr_t)p,
			  .aio_nbytes = bytes};
	struct iocb *list[] = {&cb};
	static aio_context_t context;
	struct io_event event;

	if (!ring++ && syscall(SYS_io_setup, 8, &context))
		CHECK(errno == ENOSYS); /* vvmrun(1): calls are trapped */
	if (!context)
		return pread(fd, p, bytes, 0);
	CHECK(syscall(SYS_io_submit, context, 1L, list) == 1);
	CHECK(syscall(SYS_io_getevents, context, 1L, 1L, &event, NULL) == 1);
	return (ssize_t)event.res;
}

static ssize_t read_posix(int fd, char *p, size_t bytes)
{
	struct aiocb cb = {.aio_fildes = fd, .aio_buf = p, .aio_nbytes = bytes};
	const struct aiocb *list[] = {&cb};

	CHECK(!aio_read(&cb));
	while (aio_error(&cb) == EINPROGRESS)
		CHECK(!aio_suspend(list, 1, NULL) || errno == EINTR);
	return aio_return(&cb);
}

static ssize_t read_by(int how, int fd, char *p, size_t bytes)
{
	struct iovec vec[2] = {{p, bytes / 2}, {p + bytes / 2, bytes / 2}};

	switch (how) {
	case 0:
		CHECK(!lseek(fd, 0, SEEK_SET));
		return read(fd, p, bytes);
	case 1:
		return pread(fd, p, bytes, 0);
	case 2:
		CHECK(!lseek(fd, 0, SEEK_SET));
		return readv(fd, vec, 2);
	case 3:
		return preadv(fd, vec, 2, 0);
	case 4:
		return preadv2(fd, vec, 2, 0, RWF_HIPRI);
	case 5:
		return read_aio(fd, p, bytes);
	default:
		return read_posix(fd, p, bytes);
	}
}

static void read_once(int fd, int how, size_t bytes)
{
	char *p = aligned_alloc(4096, bytes);
	size_t i;

	CHECK(p);
	for (i = 0; i < bytes; i += 4096) /* the pages are dirty, hence go */
		p[i] = 1;
	CHECK(read_by(how, fd, p, bytes) == (ssize_t)bytes);
	CHECK(same(p, bytes, 5));
	free(p);
}

/* argument: a file of a file system that knows O_DIRECT, with fill() in it. */
static void test_direct(void)
{
	pthread_t thread[THREADS];
	size_t bytes = 2 * MIB;
	char *p = aligned_alloc(4096, bytes);
	int fd = open(argument, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	int i;

	if (fd < 0 && errno == EINVAL)
		_exit(77);
	CHECK(p && fd >= 0);
	fill(p, bytes, 5);
	CHECK(write(fd, p, bytes) == (ssize_t)bytes);
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, press, NULL));
	for (i = 0; i < ROUNDS; i++)
		read_once(fd, i % 7, i % 2 ? bytes : bytes / 4);
	stop = 1;
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_join(thread[i], NULL));
	/* errors and ends are the kernel's */
	errno = 0;
	CHECK(pread(fd, p + 1, 4096, 0) == -1 && errno == EINVAL);
	CHECK(pread(fd, p, 8192, (off_t)bytes - 4096) == 4096);
	CHECK(pread(fd, p, 4096, (off_t)bytes) == 0);
	CHECK(pread(fd, p, 512 * 3, 512) == 512 * 3 || errno == EINVAL);
	CHECK(pread(-1, p, 4096, 0) == -1 && errno == EBADF);
}

/* ---- fork handlers ---- */

static char order[16];
static char *kept[64];

static void renew(char what)
{
	unsigned i;

	order[strlen(order)] = what;
	for (i = 0; i < 64; i++) {
		if (kept[i])
			CHECK(*kept[i] == (char)i);
		free(kept[i]);
		kept[i] = malloc(100 + (size_t)i * 1000);
		CHECK(kept[i]);
		*kept[i] = (char)i;
	}
}

static void prepare1(void)
{
	renew('1');
}
static void prepare2(void)
{
	renew('2');
}
static void parent1(void)
{
	renew('a');
}
static void parent2(void)
{
	renew('b');
}
static void child1(void)
{
	renew('x');
}
static void child2(void)
{
	renew('y');
}

/* Before libvvm's own handlers, and after. */
__attribute__((constructor)) static void register_early(void)
{
	pthread_atfork(prepare1, parent1, child1);
}

static void test_atfork(void)
{
	unsigned i;
	pid_t pid;

	pthread_atfork(prepare2, parent2, child2);
	pthread_atfork(NULL, NULL, NULL);
	for (i = 0; i < 10; i++) {
		memset(order, 0, sizeof(order));
		pid = fork();
		if (pid == 0) {
			CHECK(!strcmp(order, "21xy"));
			work();
			_exit(0);
		}
		CHECK(!strcmp(order, "21ab"));
		fill(early, MIB, 1);
		wait_for(pid, 0);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} tests[] = {
		{"as", test_as},
		{"data", test_data},
		{"nofile", test_nofile},
		{"child", test_child},
		{"fsize", test_fsize},
		{"exec", test_exec},
		{"groups", test_groups},
		{"limited", test_limited},
		{"vforked", test_vforked},
		{"chroot", test_chroot},
		{"setuid", test_setuid},
		{"sshd", test_sshd},
		{"swapgone", test_swapgone},
		{"direct", test_direct},
		{"atfork", test_atfork},
	};
	size_t i;

	CHECK(argc >= 2);
	alarm(600);
	self = argv[0];
	argument = argc > 2 ? argv[2] : NULL;
	early = malloc(LARGE);
	CHECK(early);
	fill(early, LARGE, 1);
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (!strcmp(argv[1], tests[i].name)) {
			tests[i].run();
			return 0;
		}
	return 2;
}
