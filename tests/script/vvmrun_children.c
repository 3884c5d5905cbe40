/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_children.c - vvmrun_guest.c, of children: fork, vfork, exec.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/sched.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "script/vvmrun_guest.h"

extern char **environ;

static char **behind_arguments;

__attribute__((constructor)) static void begin(int argc, char **argv)
{
	behind_arguments = argv + argc + 1;
}

/* No setting of ours is there; and what is behind it? */
static const ElfW(auxv_t) * look_through(char **e)
{
	for (; *e; e++)
		CHECK(strncmp(*e, "VVM_", 4) && strncmp(*e, "VVMRUN", 6) &&
		      strncmp(*e, "LD_PRELOAD=", 11));
	return (const ElfW(auxv_t) *)(e + 1);
}

static void check_vector(const ElfW(auxv_t) * v)
{
	unsigned long page = 0;

	for (; v->a_type != AT_NULL; v++) {
		CHECK(v->a_type < 1000); /* an address is more */
		if (v->a_type == AT_PAGESZ)
			page = v->a_un.a_val;
	}
	CHECK(page == getauxval(AT_PAGESZ));
}

/*
 * No setting of ours has reached this program's environment. Runtimes without libc
 * look for it behind the arguments, and behind it for the auxiliary vector.
 */
void test_clean(void)
{
	check_vector(look_through(environ));
	check_vector(look_through(behind_arguments));
}

/* ---- system calls that fork ---- */

static int handled; /* by handlers of fork(), which these do not run */

static void count_handler(void)
{
	handled++;
}

static void check_child(long pid, char *p)
{
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		char *q = malloc(LARGE);

		CHECK(same(p, LARGE, 21));
		fill(p, LARGE, 22);
		fill(q, LARGE, 23);
		CHECK(same(p, LARGE, 22) && same(q, LARGE, 23));
		_exit(7);
	}
	CHECK(same(p, LARGE, 21));
	CHECK(waitpid((pid_t)pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	CHECK(same(p, LARGE, 21) && !handled);
}

/* On pages of their own, which go out meanwhile. */
static void *piece_of_heap(size_t bytes)
{
	void *p = aligned_alloc(4096, 4096);

	CHECK(p && bytes <= 4096);
	return memset(p, 0, 4096);
}

/* What the kernel is told, and what it tells, is paged. */
static void with_words(char *p)
{
	int *words = piece_of_heap(4 * sizeof(*words));
	struct clone_args *args = piece_of_heap(sizeof(*args));
	int *childs = piece_of_heap(sizeof(*childs));
	long pid;

	args->exit_signal = SIGCHLD;
	args->flags = CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID;
	args->pidfd = (uintptr_t)&words[0];
	args->parent_tid = (uintptr_t)&words[1];
	args->child_tid = (uintptr_t)childs;
	words[2] = 77;
	fill(p, LARGE, 21);
	pid = syscall(SYS_clone3, args, sizeof(*args));
	if (!pid)
		CHECK(*childs == getpid() && words[2] == 77);
	check_child(pid, p);
	CHECK(words[1] == pid && words[2] == 77 && !*childs);
	CHECK(words[0] > 2 && !close(words[0]));
	fill(p, LARGE, 21);
	pid = syscall(SYS_clone, SIGCHLD | CLONE_PARENT_SETTID, 0, &words[1], 0,
		      0);
	check_child(pid, p);
	CHECK(words[1] == pid && words[2] == 77);
}

/* As sandboxes make them, for the flags that fork() has not got. */
void test_rawfork(void)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	char *p = malloc(LARGE);

	CHECK(!pthread_atfork(count_handler, count_handler, count_handler));
	fill(p, LARGE, 21);
	check_child(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), p);
	check_child(syscall(SYS_fork), p);
	check_child(syscall(SYS_clone3, &args, sizeof(args)), p);
	errno = 0;
	CHECK(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0) == -1 &&
	      errno == EINVAL);
	CHECK(same(p, LARGE, 21));
	with_words(p);
}

/* By its descriptor, even if that is closed then, and as the kernel refuses. */
static void by_descriptor(char *const *args)
{
	char script[] = "/tmp/vvmrunXXXXXX";
	char *const *volatile none = NULL;
	int fd = open(args[0], O_RDONLY | O_CLOEXEC), text = mkstemp(script);
	pid_t pid;

	CHECK(fd >= 0 && text >= 0);
	CHECK(write(text, "#!/bin/sh\nexit 3\n", 17) == 17);
	CHECK(fchmod(text, 0755) == 0 && close(text) == 0);
	text = open(script, O_RDONLY | O_CLOEXEC);
	CHECK(text >= 0 && unlink(script) == 0);
	CHECK(fexecve(-1, args, environ) == -1 && errno == EINVAL);
	CHECK(fexecve(fd, none, environ) == -1 && errno == EINVAL);
	CHECK(fexecve(500, args, environ) == -1 && errno == EBADF);
	/* its interpreter could not open it any more */
	CHECK(fexecve(text, args, environ) == -1 && errno == ENOENT);
	pid = fork();
	if (pid == 0) {
		fexecve(fd, args, environ);
		_exit(9);
	}
	CHECK(status_of(pid) == 0);
	CHECK(fcntl(text, F_SETFD, 0) == 0);
	pid = fork();
	if (pid == 0) {
		fexecve(text, args, environ);
		_exit(9);
	}
	CHECK(status_of(pid) == 3);
	close(text);
	close(fd);
}

/* One that has not touched its memory yet keeps to a limit all the same. */
static void limited(void)
{
	const struct rlimit limit = {300 * MIB, 300 * MIB};
	char *p = malloc(4 * MIB);
	pid_t pid;

	/* AddressSanitizer maps more for a thread of the library's. */
	if (dlsym(RTLD_DEFAULT, "__asan_init"))
		return;
	CHECK(p);
	fill(p, 4 * MIB, 14);
	pid = fork();
	if (pid == 0) {
		CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
		errno = 0;
		CHECK(!malloc(320 * MIB) && errno == ENOMEM);
		CHECK(malloc(8 * MIB));
		_exit(0);
	}
	CHECK(status_of(pid) == 0);
	free(p);
}

void test_children(const char *self)
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
	by_descriptor(args);
	limited();
}

/* A program that is to return 3. */
void test_spawn3(char **args)
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
void test_cycles(const char *self, const char *count)
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

/* ---- children that go on ---- */

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
void test_generations(void)
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

/* A child has its own copy of all memory, and descriptors of its own. */
/* Without a call that would look at paged memory. */
static long threads_now(void)
{
	int fd = open("/proc/self/stat", O_RDONLY);
	char text[1024], *p;
	long n = read(fd, text, sizeof(text) - 1);
	int i;

	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	p = strrchr(text, ')');
	for (i = 0; p && i < 18; i++)
		p = strchr(p + 1, ' ');
	return p ? strtol(p, NULL, 10) : -1;
}

/* Most children exec or exit soon: no more than one thread waits for their need. */
static void fork_idle_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(threads_now() <= 2 ? 0 : 1);
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

void test_fork(void)
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
	fork_idle_child();
}

/* Children of a process whose threads allocate meanwhile. */
void test_forks(void)
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
