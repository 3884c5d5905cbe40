/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_guest.c - a program for tests/vvmrun.sh to run under vvmrun. It
 * knows nothing of libvvm. Its argument chooses what it does; it exits 0 if
 * that went as the manuals of libc say, and else with the line that failed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "script/pattern.h"

#define CHECK(what)                                                       \
	do {                                                              \
		if (!(what)) {                                            \
			fprintf(stderr, "guest: line %d: %s\n", __LINE__, \
				#what);                                   \
			exit(1);                                          \
		}                                                         \
	} while (0)

#define MIB   ((size_t)1 << 20)
#define LARGE (6 * MIB) /* three times the budget */

/* Sizes that the compiler does not know. */
static volatile size_t huge = SIZE_MAX / 2 + 1, zero = 0;

static void test_clean(void);

static int status_of(pid_t pid)
{
	int status;

	CHECK(pid > 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- malloc ---- */

static void sizes(void)
{
	char *p = malloc(zero), *q = malloc(zero);

	CHECK(p && q && p != q);
	free(p);
	free(q);
	free(NULL);
	errno = 0;
	CHECK(!malloc(huge) && errno == ENOMEM);
	errno = 0;
	CHECK(!calloc(huge, 2) && errno == ENOMEM);
	errno = 0;
	CHECK(!reallocarray(NULL, huge, 2) && errno == ENOMEM);
	errno = 0;
	CHECK(!realloc(NULL, huge) && errno == ENOMEM);
	CHECK(!pvalloc(SIZE_MAX - zero));
	errno = EDOM;
	p = malloc(10);
	free(p);
	CHECK(errno == EDOM);
}

static void growing(void)
{
	size_t n = 1, i;
	char *p = NULL;

	for (; n <= 3 * MIB; n = n * 3 / 2 + 1) {
		p = realloc(p, n);
		CHECK(p && malloc_usable_size(p) >= n);
		memset(p + n / 2, (int)(n & 127), n - n / 2);
		for (i = 0; i < n / 2; i += 4096)
			CHECK(p[i] || n < 4);
	}
	p = realloc(p, 100);
	CHECK(p);
	CHECK(!realloc(p, zero));
	p = calloc(3, MIB);
	for (i = 0; i < 3 * MIB; i += 512)
		CHECK(!p[i]);
	free(p);
	CHECK(malloc_usable_size(NULL) == 0);
}

static void alignments(void)
{
	volatile size_t hundred = 100; /* which compilers warn of */
	size_t align;
	void *p;

	for (align = 8; align <= 64 * MIB; align *= 2) {
		CHECK(posix_memalign(&p, align, 100) == 0);
		CHECK((uintptr_t)p % align == 0);
		free(p);
		p = aligned_alloc(align, align);
		CHECK(p && (uintptr_t)p % align == 0);
		free(p);
	}
	CHECK(posix_memalign(&p, 24, 100) == EINVAL);
	CHECK(posix_memalign(&p, 4, 100) == EINVAL);
	CHECK(posix_memalign(&p, 4096, huge) == ENOMEM);
	p = memalign(hundred, 10); /* rounded up */
	CHECK(p && (uintptr_t)p % 128 == 0);
	free(p);
	p = valloc(10);
	CHECK(p && (uintptr_t)p % 4096 == 0);
	free(p);
	p = pvalloc(10);
	CHECK(p && malloc_usable_size(p) >= 4096);
	free(p);
}

static void test_malloc(void)
{
	char *line = NULL, *text;
	size_t bytes = 0;
	FILE *f;

	sizes();
	growing();
	alignments();
	text = strdup("allocated by libc");
	CHECK(asprintf(&line, "%s, %d", text, 7) > 0);
	CHECK(!strcmp(line, "allocated by libc, 7"));
	free(text);
	f = fopen("/proc/self/maps", "r");
	CHECK(f && getline(&line, &bytes, f) > 0);
	free(line);
	fclose(f);
}

/* ---- a large amount, read and written by system calls ---- */

static void test_large(void)
{
	char *p = malloc(LARGE), *q = malloc(LARGE);
	const char *dir = getenv("TMPDIR");
	int fd = open(dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR, 0600);

	CHECK(p && q && fd >= 0);
	fill(p, LARGE, 1);
	CHECK(write(fd, p, LARGE) == (ssize_t)LARGE);
	CHECK(pread(fd, q, LARGE, 0) == (ssize_t)LARGE);
	CHECK(same(q, LARGE, 1) && same(p, LARGE, 1));
	free(p);
	free(q);
}

/* No system call sees paged memory. */
static void test_compute(void)
{
	char *p = calloc(2, 4 * MIB);
	unsigned i;

	CHECK(p);
	for (i = 0; i < 2; i++) {
		fill(p, 8 * MIB, i);
		CHECK(same(p, 8 * MIB, i));
	}
	free(p);
	test_clean();
}

/* ---- threads ---- */

static void *churn(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg, i;
	char *block[64] = {NULL};

	for (i = 0; i < 500; i++) {
		unsigned at = (seed = seed * 1103515245 + 12345) >> 16 & 63;
		size_t bytes = 8 + (seed >> 8) % 20000 / 8 * 8;

		if (block[at]) {
			size_t *n = (size_t *)block[at];

			CHECK(same(block[at] + 8, *n - 8, at));
			free(block[at]);
		}
		block[at] = malloc(bytes);
		CHECK(block[at]);
		*(size_t *)block[at] = bytes;
		fill(block[at] + 8, bytes - 8, at);
	}
	for (i = 0; i < 64; i++)
		free(block[i]);
	return arg;
}

static void test_threads(void)
{
	pthread_t thread[4];
	uintptr_t i;
	void *back;

	for (i = 0; i < 4; i++)
		CHECK(!pthread_create(&thread[i], NULL, churn,
				      (void *)(i + 1)));
	for (i = 0; i < 4; i++) {
		CHECK(!pthread_join(thread[i], &back));
		CHECK(back == (void *)(i + 1));
	}
}

static void *last(void *arg)
{
	usleep(50000);
	puts("last thread");
	return arg;
}

/* The process ends with the last thread of the program. */
static void test_mainexit(void)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, last, NULL));
	pthread_exit(NULL);
}

/* ---- children ---- */

extern char **environ;

/* No setting of ours has reached this program's environment. */
static void test_clean(void)
{
	char **e;

	for (e = environ; *e; e++)
		CHECK(strncmp(*e, "VVM_", 4) && strncmp(*e, "VVMRUN=", 7) &&
		      strncmp(*e, "LD_PRELOAD=", 11));
}

static void test_children(const char *self)
{
	char *const args[] = {(char *)self, "clean", NULL};
	char command[4096], line[64] = "";
	pid_t pid;
	FILE *f;

	test_clean();
	pid = fork();
	if (pid == 0) {
		execl(self, self, "clean", NULL);
		_exit(9);
	}
	CHECK(status_of(pid) == 0);
	pid = vfork();
	if (pid == 0) {
		execv(self, args);
		_exit(9);
	}
	CHECK(status_of(pid) == 0);
	CHECK(!posix_spawn(&pid, self, NULL, NULL, args, environ));
	CHECK(status_of(pid) == 0);
	snprintf(command, sizeof(command), "'%s' clean; exit 7", self);
	CHECK(WEXITSTATUS(system(command)) == 7);
	f = popen("echo piped; test -z \"$VVM_RESIDENT$VVMRUN$LD_PRELOAD\"",
		  "r");
	CHECK(f && fgets(line, sizeof(line), f) && !strcmp(line, "piped\n"));
	CHECK(pclose(f) == 0);
}

/* A program that is to return 3. */
static void test_spawn3(char **args)
{
	char *const env[] = {"X=1", NULL};
	pid_t pid;

	CHECK(!posix_spawn(&pid, args[0], NULL, NULL, args, environ));
	CHECK(status_of(pid) == 3);
	CHECK(!posix_spawnp(&pid, args[0], NULL, NULL, args, environ));
	CHECK(status_of(pid) == 3);
	CHECK(!posix_spawn(&pid, args[0], NULL, NULL, args, env));
	CHECK(status_of(pid) == 3);
	CHECK(posix_spawn(&pid, "/no such program", NULL, NULL, args, env) ==
	      ENOENT);
}

/* ---- children without end ---- */

static unsigned cycles; /* of each thread */
static const char *self_path;

static unsigned descriptors(void)
{
	unsigned n = 0;
	int fd;

	for (fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* Of address space, and of RAM. */
static void count_bytes(size_t *all, size_t *resident)
{
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f && fscanf(f, "%zu %zu", all, resident) == 2);
	fclose(f);
	*all *= 4096;
	*resident *= 4096;
}

static size_t resident_bytes(void)
{
	size_t all, resident;

	count_bytes(&all, &resident);
	return resident;
}

static void spawn(void)
{
	char *const args[] = {(char *)self_path, "clean", NULL};
	char line[64];
	pid_t pid;
	FILE *f;

	pid = fork();
	if (pid == 0) {
		execv(self_path, args);
		_exit(9);
	}
	CHECK(status_of(pid) == 0);
	CHECK(!posix_spawn(&pid, self_path, NULL, NULL, args, environ));
	CHECK(status_of(pid) == 0);
	CHECK(WEXITSTATUS(system("exit 7")) == 7);
	f = popen("echo piped", "r");
	CHECK(f && fgets(line, sizeof(line), f) && !strcmp(line, "piped\n"));
	CHECK(pclose(f) == 0);
}

static void *spawn_and_compute(void *arg)
{
	char *p = malloc(MIB);
	unsigned i;

	CHECK(p);
	for (i = 0; i < cycles; i++) {
		fill(p, MIB, i);
		spawn();
		CHECK(same(p, MIB, i));
	}
	free(p);
	return arg;
}

/* Of all children nothing is left: no descriptor, no memory. */
static void test_cycles(const char *self, const char *count)
{
	unsigned i, fds;
	pthread_t thread[3];
	size_t before;

	self_path = self;
	cycles = 1;
	spawn_and_compute(NULL);
	cycles = (unsigned)atoi(count);
	fds = descriptors();
	before = resident_bytes();
	for (i = 0; i < 3; i++)
		CHECK(!pthread_create(&thread[i], NULL, spawn_and_compute,
				      NULL));
	for (i = 0; i < 3; i++)
		CHECK(!pthread_join(thread[i], NULL));
	CHECK(descriptors() == fds);
	CHECK(resident_bytes() < before + 8 * MIB);
	printf("%u children, %zu KiB more resident\n", 12 * cycles,
	       (resident_bytes() - before) / 1024);
}

/* ---- what else may go wrong ---- */

/* The library loads one of its own to look at. */
static void test_dlopen(void)
{
	double (*cosine)(double x);
	void *library;
	int i;

	for (i = 0; i < 20; i++) {
		library = dlopen("libm.so.6", RTLD_NOW | RTLD_GLOBAL);
		CHECK(library);
		cosine = (double (*)(double))dlsym(library, "cos");
		CHECK(cosine && cosine((double)zero) == 1);
		CHECK(!dlsym(library, "no such function") && dlerror());
		CHECK(dlclose(library) == 0);
		CHECK(!dlopen("no such library", RTLD_NOW) && dlerror());
	}
}

/* One that is not ours: it is open, and close() knows nothing of it. */
static int is_foreign(int fd)
{
	return fcntl(fd, F_GETFD) != -1 && close(fd) && errno == EBADF;
}

/*
 * Descriptors of the library are not replaced, and do not shield those beside
 * them. There is one at least. (Not in a child, where it is opening some.)
 */
static void test_foreign(void)
{
	unsigned foreign = 0;
	int fd, null = open("/dev/null", O_RDWR);

	CHECK(null >= 0);
	for (fd = 3; fd < 4096; fd++) {
		if (!is_foreign(fd))
			continue;
		foreign++;
		errno = 0;
		CHECK(dup2(null, fd) == -1 && errno == EBUSY);
		CHECK(dup3(null, fd, O_CLOEXEC) == -1 && errno == EBUSY);
		CHECK(!close_range((unsigned)fd, (unsigned)fd, 0));
		CHECK(fcntl(fd, F_GETFD) != -1);
		if (!is_foreign(fd + 1)) {
			CHECK(dup2(null, fd + 1) == fd + 1);
			CHECK(!close_range((unsigned)fd, (unsigned)fd + 1, 0));
			CHECK(fcntl(fd + 1, F_GETFD) == -1);
		}
		null = open("/dev/null", O_RDWR); /* it was fd + 1, perhaps */
	}
	CHECK(foreign);
	errno = 0;
	CHECK(close_range(9, 8, 0) == -1 && errno == EINVAL);
	close(null);
}

/* A program may close all descriptors that it did not open. */
static void test_closeall(void)
{
	char *p = malloc(8 * MIB);
	unsigned left;
	int fd;

	CHECK(p);
	fill(p, 8 * MIB, 3);
	for (fd = 3; fd < 2000; fd++)
		close(fd);
	close_range(3, ~0u, 0);
	closefrom(3);
	left = descriptors();
	/* libvvm must find its own in the new table, too */
	CHECK(!close_range(3, ~0u, CLOSE_RANGE_UNSHARE));
	CHECK(descriptors() == left);
	fd = open("/dev/null", O_RDWR);
	CHECK(fd == 3 && dup2(fd, 9) == 9);
	for (fd = 900; fd < 1024; fd++)
		CHECK(dup2(3, fd) == fd || errno == EBUSY);
	CHECK(same(p, 8 * MIB, 3));
	free(p);
}

/* A worker of a server that has all descriptors below 1500 in use. */
static void test_manyfiles(void)
{
	struct rlimit limit = {4096, 4096};
	char *p = malloc(8 * MIB), *q = malloc(64);
	int fd = 0, how;
	pid_t pid;

	CHECK(p && q && !setrlimit(RLIMIT_NOFILE, &limit));
	fill(p, 8 * MIB, 3);
	while (fd < 1500)
		CHECK((fd = open("/dev/null", O_RDONLY)) >= 0);
	for (how = 0; how < 3; how++) {
		pid = fork();
		if (pid) {
			CHECK(status_of(pid) == 0);
			continue;
		}
		*q = 1; /* the child is set up */
		if (how == 0)
			closefrom(3);
		else if (how == 1)
			CHECK(!close_range(3, ~0u, 0));
		for (fd = 3; how == 2 && fd < 4096; fd++)
			close(fd);
		CHECK(fcntl(1400, F_GETFD) == -1);
		CHECK(same(p, 8 * MIB, 3));
		fill(p, 8 * MIB, 5);
		CHECK(same(p, 8 * MIB, 5));
		_exit(0);
	}
}

/*
 * Closed by a bare system call, which nobody guards: memory that is absent is
 * lost then, or does not come. But how much is said about it?
 */
static void *use(void *p)
{
	while (same(p, 8 * MIB, 3))
		continue;
	return NULL;
}

static void test_rawclose(void)
{
	char *p = malloc(8 * MIB);
	pthread_t thread;
	pid_t pid;

	CHECK(p);
	fill(p, 8 * MIB, 3);
	pid = fork();
	if (pid == 0) {
		alarm(2);
		CHECK(!pthread_create(&thread, NULL, use, p));
		CHECK(same(p, 8 * MIB, 3));
		syscall(SYS_close_range, 3, ~0u, 0);
		pthread_join(thread, NULL);
		pause();
	}
	status_of(pid);
}

static void grandchild(char *p, unsigned depth)
{
	pid_t pid;

	CHECK(same(p, MIB, 3));
	if (!depth)
		return;
	pid = fork();
	if (pid == 0) {
		fill(p, MIB, 3);
		grandchild(p, depth - 1);
		_exit(0);
	}
	CHECK(status_of(pid) == 0);
}

/* Each generation closes its parent's descriptors and opens its own. */
static void test_generations(void)
{
	char *p = malloc(MIB);

	CHECK(p);
	fill(p, MIB, 3);
	grandchild(p, 40);
}

static void fork_child(char *p)
{
	char *q = malloc(4 * MIB);

	CHECK(q && same(p, 4 * MIB, 9));
	fill(q, 4 * MIB, 10);
	fill(p, 2 * MIB, 11);
	CHECK(same(q, 4 * MIB, 10) && same(p, 2 * MIB, 11));
	CHECK(same(p + 2 * MIB, 2 * MIB, 9 + 2 * MIB / 8));
	free(p);
	free(q);
	test_closeall();
	exit(0);
}

/* ---- robust mutexes ---- */

struct owner {
	pthread_t thread;
	pthread_mutex_t *mutex;
	int locked[2], end[2]; /* pipes */
};

static void *lock_and_end(void *arg)
{
	struct owner *o = arg;
	char c = 0;

	CHECK(!pthread_mutex_lock(o->mutex));
	CHECK(write(o->locked[1], &c, 1) == 1);
	CHECK(read(o->end[0], &c, 1) == 1);
	return NULL;
}

/* The thread ends when the mutex that it holds would long be in swap. */
static void end_an_owner(pthread_mutex_t *mutex)
{
	struct owner *o = malloc(sizeof(*o));
	char *p, c;

	CHECK(o && !pipe(o->locked) && !pipe(o->end));
	o->mutex = mutex;
	CHECK(!pthread_create(&o->thread, NULL, lock_and_end, o));
	CHECK(read(o->locked[0], &c, 1) == 1);
	p = malloc(LARGE);
	fill(p, LARGE, 5);
	CHECK(write(o->end[1], &c, 1) == 1);
	CHECK(!pthread_join(o->thread, NULL));
	free(p);
	close(o->locked[0]);
	close(o->locked[1]);
	close(o->end[0]);
	close(o->end[1]);
	free(o);
}

static void owner_is_dead(pthread_mutex_t *mutex)
{
	struct timespec limit;

	end_an_owner(mutex);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 10;
	CHECK(pthread_mutex_timedlock(mutex, &limit) == EOWNERDEAD);
	CHECK(!pthread_mutex_consistent(mutex));
	CHECK(!pthread_mutex_unlock(mutex));
}

/* "The next who locks it waits for ever." In a child, too. */
static void test_robust(void)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t *mutex[6];
	unsigned i;
	pid_t pid;

	CHECK(!pthread_mutexattr_init(&attr));
	CHECK(!pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
	for (i = 0; i < 6; i++) {
		mutex[i] = malloc(5000);
		CHECK(mutex[i] && !pthread_mutex_init(mutex[i], &attr));
		owner_is_dead(mutex[i]);
	}
	pid = fork();
	if (pid == 0) {
		for (i = 0; i < 6; i++)
			owner_is_dead(mutex[i]);
		_exit(0);
	}
	CHECK(!status_of(pid));
	for (i = 0; i < 6; i++) {
		owner_is_dead(mutex[i]);
		CHECK(!pthread_mutex_destroy(mutex[i]));
		free(mutex[i]);
	}
}

/* A child has its own copy of all memory, and descriptors of its own. */
static void test_fork(void)
{
	char *p = malloc(4 * MIB);
	FILE *stream = fopen("/dev/null", "w"); /* fork() touches it */
	pid_t pid;

	CHECK(p && stream);
	fill(p, 4 * MIB, 9);
	pid = fork();
	if (pid == 0)
		fork_child(p);
	fill(p, MIB, 12);
	CHECK(status_of(pid) == 0);
	CHECK(same(p, MIB, 12));
	CHECK(same(p + MIB, 3 * MIB, 9 + MIB / 8));
	pid = fork();
	if (pid == 0)
		_exit(0);
	CHECK(status_of(pid) == 0);
	fclose(stream);
	free(p);
}

/* Children of a process whose threads allocate meanwhile. */
static void test_forks(void)
{
	pthread_t thread[2];
	char *p = malloc(MIB);
	uintptr_t i;
	pid_t pid;

	CHECK(p);
	fill(p, MIB, 13);
	for (i = 0; i < 2; i++)
		CHECK(!pthread_create(&thread[i], NULL, churn,
				      (void *)(i + 1)));
	for (i = 0; i < 8; i++) {
		pid = fork();
		if (pid == 0) {
			CHECK(same(p, MIB, 13));
			churn((void *)(i + 3));
			_exit(0);
		}
		CHECK(status_of(pid) == 0);
	}
	for (i = 0; i < 2; i++)
		CHECK(!pthread_join(thread[i], NULL));
	free(p);
}

static void deep(unsigned n)
{
	volatile char frame[4096];

	frame[n & 4095] = (char)n;
	if (n)
		deep(n - 1);
	CHECK(frame[n & 4095] == (char)n);
}

static void *deep_thread(void *arg)
{
	deep(30 * 256); /* 30 MiB */
	return arg;
}

static void test_stack(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	deep(6 * 256);
	CHECK(!pthread_attr_init(&attr));
	CHECK(!pthread_attr_setstacksize(&attr, 64 * MIB));
	CHECK(!pthread_create(&thread, &attr, deep_thread, NULL));
	CHECK(!pthread_join(thread, NULL));
}

/* ---- mmap, to be run with --mmap ---- */

static char *map(size_t bytes, int prot, int flags, void *at)
{
	return mmap(at, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1,
		    0);
}

static void discarding(char *p)
{
	size_t i;

	CHECK(!madvise(p + MIB, MIB, MADV_DONTNEED));
	for (i = 0; i < MIB; i++)
		CHECK(!p[MIB + i]);
	CHECK(same(p, MIB, 4));
	fill(p + MIB, MIB, 5);
	CHECK(map(MIB, PROT_READ | PROT_WRITE, MAP_FIXED, p + MIB) == p + MIB);
	for (i = 0; i < MIB; i++)
		CHECK(!p[MIB + i]);
	CHECK(!madvise(p, MIB, MADV_HUGEPAGE) || errno == EINVAL);
}

static void resizing(char *p)
{
	char *q;

	q = mremap(p, 4 * MIB, 1024 * MIB, 0);
	CHECK(q == MAP_FAILED ? errno == ENOMEM
			      : mremap(q, 1024 * MIB, 4 * MIB, 0) == p);
	q = mremap(p, 4 * MIB, 12 * MIB, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && same(q, MIB, 4));
	fill(q + 4 * MIB, 8 * MIB, 6);
	CHECK(mremap(q, 12 * MIB, 6 * MIB, 0) == q);
	CHECK(same(q, MIB, 4) && same(q + 4 * MIB, 2 * MIB, 6));
	CHECK(!munmap(q + MIB, MIB)); /* a hole */
	CHECK(same(q, MIB, 4));
	CHECK(!munmap(q, 6 * MIB));
}

/* What is moved is not left behind. */
static void moving(void)
{
	size_t before, after, resident;
	unsigned i;
	char *p;

	count_bytes(&before, &resident);
	for (i = 0; i < 100; i++) {
		p = map(4 * MIB, PROT_READ | PROT_WRITE, 0, NULL);
		CHECK(p != MAP_FAILED);
		p = mremap(p, 4 * MIB, 8 * MIB, MREMAP_MAYMOVE);
		CHECK(p != MAP_FAILED && !munmap(p, 8 * MIB));
	}
	count_bytes(&after, &resident);
	CHECK(after < before + 200 * MIB);
}

/* A file's mapping over a part, which then is the kernel's. */
static void overlay(void)
{
	char *p = map(4 * MIB, PROT_READ | PROT_WRITE, 0, NULL);
	int fd = open("/proc/self/exe", O_RDONLY);

	CHECK(p != MAP_FAILED && fd >= 0);
	fill(p, 4 * MIB, 7);
	CHECK(mmap(p + MIB, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) ==
	      p + MIB);
	CHECK(!memcmp(p + MIB, "\177ELF", 4));
	CHECK(same(p, MIB, 7));
	CHECK(!munmap(p, 4 * MIB));
	CHECK(!close(fd));
}

static void test_mmap(void)
{
	char *p = map(4 * MIB, PROT_NONE, 0, NULL), *locked;

	CHECK(p != MAP_FAILED);
	CHECK(!mprotect(p, 4 * MIB, PROT_READ | PROT_WRITE));
	fill(p, 4 * MIB, 4);
	CHECK(!mprotect(p, MIB, PROT_READ) && same(p, MIB, 4));
	CHECK(!mprotect(p, MIB, PROT_READ | PROT_WRITE));
	discarding(p);
	resizing(p);
	moving();
	overlay();
	locked = malloc(8192);
	CHECK(locked && !mlock(locked, 8192) && !munlock(locked, 8192));
	CHECK(mlockall(MCL_CURRENT) == -1);
	p = map(8 * MIB, PROT_READ | PROT_WRITE, 0, NULL);
	CHECK(p != MAP_FAILED);
	fill(p, 8 * MIB, 8);
	CHECK(same(p, 8 * MIB, 8));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} tests[] = {
		{"malloc", test_malloc},
		{"large", test_large},
		{"compute", test_compute},
		{"threads", test_threads},
		{"mainexit", test_mainexit},
		{"clean", test_clean},
		{"dlopen", test_dlopen},
		{"closeall", test_closeall},
		{"foreign", test_foreign},
		{"stack", test_stack},
		{"robust", test_robust},
		{"fork", test_fork},
		{"forks", test_forks},
		{"manyfiles", test_manyfiles},
		{"generations", test_generations},
		{"rawclose", test_rawclose},

		{"mmap", test_mmap},
	};
	size_t i;

	if (argc == 3 && !strcmp(argv[1], "cycles")) {
		test_cycles(argv[0], argv[2]);
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "spawn3")) {
		test_spawn3(argv + 2);
		return 0;
	}
	CHECK(argc == 2);
	if (!strcmp(argv[1], "children")) {
		test_children(argv[0]);
		return 0;
	}
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (strcmp(argv[1], tests[i].name))
			continue;
		tests[i].run();
		return 0;
	}
	return 2;
}
