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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "script/vvmrun_guest.h"

/* Sizes that the compiler does not know. */
static volatile size_t huge = SIZE_MAX / 2 + 1, zero = 0;

int status_of(pid_t pid)
{
	int status;

	CHECK(pid > 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void count_bytes(size_t *all, size_t *resident)
{
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f && fscanf(f, "%zu %zu", all, resident) == 2);
	fclose(f);
	*all *= 4096;
	*resident *= 4096;
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

void *churn(void *arg)
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

/* ---- libraries ---- */

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

/* ---- stacks ---- */

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
		{"rawfork", test_rawfork},
		{"dlopen", test_dlopen},
		{"closeall", test_closeall},
		{"foreign", test_foreign},
		{"lowest", test_lowest},
		{"stack", test_stack},
		{"robust", test_robust},
		{"fork", test_fork},
		{"forks", test_forks},
		{"manyfiles", test_manyfiles},
		{"generations", test_generations},
		{"rawclose", test_rawclose},

		{"mmap", test_mmap},
		{"over", test_over},
		{"refused", test_refused},
		{"segment", test_segment},
		{"advising", test_advising},
		{"userfault", test_userfault},
		{"data", test_data},
		{"barefork", test_barefork},
		{"words", test_words},
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
