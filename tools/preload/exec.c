/* SPDX-License-Identifier: MIT */
/*
 * exec.c - a program that replaces itself by another.
 *
 * Children do not get our settings (env.c). But the process that was
 * started stays the one that is to be paged when it calls exec: "#!/usr/bin/env
 * python3" and the shell scripts around many programs end in that. So in it,
 * and not in its children, the exec family adds what was hidden to the
 * environment that it is given. libc's functions do not call each other by
 * their public names, hence all of them are here.
 *
 * A program that our object cannot be loaded into (loader.c) gets nothing of
 * that, and with --follow, where all is in the environment, it is taken out.
 *
 * Nothing is allocated: a child of vfork() may call these, and a signal
 * handler.
 */
#include "preload/copy.h"
#include "preload/env.h"
#include "preload/gate.h"
#include "preload/limits.h"
#include "preload/loader.h"
#include "preload/signal.h"
#include "preload/spawn.h"
#include "preload/part.h"
#include "preload/wishes.h"

#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char loader[] = "LD_PRELOAD=";

static bool follows(void)
{
	return preload.vm && !preload.follow && !preload.child &&
	       getpid() == preload.pid;
}

static unsigned count(char *const *list)
{
	unsigned n = 0;

	while (list && list[n])
		n++;
	return n;
}

/* The value of LD_PRELOAD in an environment, "" if there is none. */
static const char *preloads(char *const *env)
{
	for (; env && *env; env++)
		if (!strncmp(*env, loader, strlen(loader)))
			return *env + strlen(loader);
	return "";
}

/* "LD_PRELOAD=ours:theirs"; what is needed for it, or written. */
static size_t join_preloads(char *to, size_t size, char *const *env)
{
	const char *theirs = preloads(env);

	/* cppcheck-suppress nullPointer ; of size 0 */
	return (size_t)snprintf(to, size, "%s%s%s%s", loader, preload_object(),
				*theirs ? ":" : "", theirs) +
	       1;
}

/* What a program needs to know that is under the filters of this one. */
enum { GATE_BYTES = sizeof(GATE_VARIABLE) + 20 };

static char **add_gate(char **to, char text[GATE_BYTES])
{
	if (!preload.confined)
		return to;
	snprintf(text, GATE_BYTES, GATE_VARIABLE "=%lx",
		 (unsigned long)gate_place());
	*to++ = text;
	return to;
}

static bool is_gate(const char *entry)
{
	return !strncmp(entry, GATE_VARIABLE "=", sizeof(GATE_VARIABLE));
}

/*
 * All of env and what is hidden, but with LD_PRELOAD's list in place of what
 * there is. list NULL: env is complete. => to has room for it.
 */
static void join_environment(char **to, char *const *env, char *list,
			     char gate[GATE_BYTES])
{
	char *const *hidden = list ? preload_hidden() : NULL;

	for (; env && *env; env++)
		if (!is_gate(*env) &&
		    (!list || strncmp(*env, loader, strlen(loader))))
			*to++ = *env;
	for (; hidden && *hidden; hidden++)
		if (!is_gate(*hidden))
			*to++ = *hidden;
	to = add_gate(to, gate);
	if (list)
		*to++ = list;
	*to = NULL;
}

/* Makes the environment of a paged program, on the stack of who uses it. */
#define JOIN(joined, env, gate)                                                \
	do {                                                                   \
		size_t bytes_ = join_preloads(NULL, 0, env);                   \
		char *list_ = follows() ? alloca(bytes_) : NULL;               \
		if (list_)                                                     \
			join_preloads(list_, bytes_, env);                     \
		(joined) = alloca((count(env) + count(preload_hidden()) + 3) * \
				  sizeof(*(joined)));                          \
		join_environment(joined, env, list_, gate);                    \
	} while (0)

static int exec_path(const char *path, char *const *argv, char *const *env)
{
	return (int)plain_call(SYS_execve, path, argv, env);
}

static int exec_file(const char *file, char *const *argv, char *const *env)
{
	int (*real)(const char *, char *const *, char *const *);

	real = (int (*)(const char *, char *const *, char *const *))dlsym(
		RTLD_NEXT, "execvpe");
	return real ? real(file, argv, env) : exec_path(file, argv, env);
}

/* file may be one that is searched for. */
static enum loader_verdict check_program(const char *file, bool searched)
{
	char path[PATH_MAX];
	const char *why;

	if (!searched || strchr(file, '/'))
		snprintf(path, sizeof(path), "%s", file);
	else if (!loader_search(file, path))
		return LOADER_FITS;
	return loader_check(path, &why);
}

/* => to has room for all entries and a NULL, list for LD_PRELOAD's. */
static void strip_environment(char **to, char *const *env, char *list)
{
	for (; env && *env; env++) {
		if (preload_is_setting(*env))
			continue;
		if (strncmp(*env, loader, strlen(loader))) {
			*to++ = *env;
			continue;
		}
		strcpy(list, *env);
		if (preload_cut(list + strlen(loader)))
			*to++ = list;
	}
	*to = NULL;
}

/* Makes stripped of env, on the stack of who uses it. */
#define STRIP(stripped, env)                                                 \
	do {                                                                 \
		(stripped) = alloca((count(env) + 1) * sizeof(*(stripped))); \
		strip_environment(                                           \
			stripped, env,                                       \
			alloca(strlen(loader) + strlen(preloads(env)) + 1)); \
	} while (0)

typedef int executor(const char *, char *const *, char *const *);

/* More of copies is not on the stack, which may be that of a small thread. */
#define STACK_BYTES ((size_t)64 << 10)

static void *room_for(size_t bytes)
{
	void *p = plain_map(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/*
 * The other program has the limits that this one has set, and no others. If a
 * child of vfork() becomes it, a large room is left to its parent.
 */
static int become(executor *exec, const char *path, char *const *argv,
		  char *const *env)
{
	struct start start = {path, argv, env};
	size_t bytes = signals_any() ? copy_bytes(&start) : 0;
	void *room = bytes > STACK_BYTES ? room_for(bytes) : alloca(bytes + 1);
	int rc, error;

	if (!room)
		return part_fail(ENOMEM);
	if (bytes)
		copy_paged(&start, room);
	limits_before_exec();
	rc = exec(start.path, start.argv, start.env);
	error = errno;
	limits_after_exec();
	if (bytes > STACK_BYTES)
		plain_call(SYS_munmap, room, bytes);
	errno = error;
	return rc;
}

static int run(executor *exec, const char *path, char *const *argv,
	       char *const *env)
{
	enum loader_verdict verdict = LOADER_FITS;
	char **joined, gate[GATE_BYTES];

	if (!start_readable(&(struct start){path, argv, env}))
		return exec(path, argv, env);
	if (follows() || preload.follow)
		verdict = check_program(path, exec == exec_file);
	if (preload.follow && verdict == LOADER_FOREIGN) {
		STRIP(joined, env);
		return become(exec, path, argv, joined);
	}
	if (verdict != LOADER_FITS ||
	    !(follows() || (preload.follow && preload.confined)))
		return become(exec, path, argv, env);
	JOIN(joined, env, gate);
	return become(exec, path, argv, joined);
}

/* ------------------------------------------------------------------ */
/* For the program							*/

int execve(const char *path, char *const *argv, char *const *env)
{
	return run(exec_path, path, argv, env);
}

int execv(const char *path, char *const *argv)
{
	return run(exec_path, path, argv, environ);
}

int execvp(const char *file, char *const *argv)
{
	return run(exec_file, file, argv, environ);
}

int execvpe(const char *file, char *const *argv, char *const *env)
{
	return run(exec_file, file, argv, env);
}

/* For who looks at the file; the kernel gets the number. */
static const char descriptors[] = "/proc/self/fd/";

static int exec_descriptor(const char *path, char *const *argv,
			   char *const *env)
{
	long fd = strtol(path + strlen(descriptors), NULL, 10);
	long rc = plain_call(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);

	/* a filter may have it absent; libc does the same then */
	return rc && errno == ENOSYS ? exec_path(path, argv, env) : (int)rc;
}

int fexecve(int fd, char *const *argv, char *const *env)
{
	char path[sizeof(descriptors) + 12];

	/* the header says that they are never NULL; libc looks all the same */
	if (fd < 0 || !*(char *const *volatile *)&argv ||
	    !*(char *const *volatile *)&env)
		return part_fail(EINVAL);
	snprintf(path, sizeof(path), "%s%d", descriptors, fd);
	return run(exec_descriptor, path, argv, env);
}

/* The arguments after the first, up to the NULL, which is counted. */
static unsigned count_arguments(va_list ap)
{
	unsigned n = 1;

	while (va_arg(ap, char *))
		n++;
	return n;
}

static void take_arguments(char **argv, unsigned n, va_list *ap)
{
	unsigned i;

	for (i = 0; i < n; i++)
		argv[i] = va_arg(*ap, char *);
}

/* Makes argv of the arguments that follow `first`; leaves ap behind them. */
#define ARGUMENTS(argv, ap, first)                           \
	do {                                                 \
		unsigned n_;                                 \
		va_start(ap, first);                         \
		n_ = count_arguments(ap);                    \
		va_end(ap);                                  \
		(argv) = alloca((n_ + 1) * sizeof(*(argv))); \
		(argv)[0] = (char *)(uintptr_t)(first);      \
		va_start(ap, first);                         \
		take_arguments((argv) + 1, n_, &(ap));       \
	} while (0)

int execl(const char *path, const char *first, ...)
{
	char **argv;
	va_list ap;

	ARGUMENTS(argv, ap, first);
	va_end(ap);
	return run(exec_path, path, argv, environ);
}

int execlp(const char *file, const char *first, ...)
{
	char **argv;
	va_list ap;

	ARGUMENTS(argv, ap, first);
	va_end(ap);
	return run(exec_file, file, argv, environ);
}

int execle(const char *path, const char *first, ...)
{
	char **argv, **env;
	va_list ap;

	ARGUMENTS(argv, ap, first);
	env = va_arg(ap, char **);
	va_end(ap);
	return run(exec_path, path, argv, env);
}

/* ------------------------------------------------------------------ */
/* posix_spawn, which libc does without calling any of the above	*/

static int spawn(const char *function, bool searched, pid_t *pid,
		 const char *path, const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr, char *const *argv,
		 char *const *env)
{
	spawner *real = (spawner *)dlsym(RTLD_NEXT, function);
	char **changed, gate[GATE_BYTES];
	char *const *its = env;

	if (!real)
		return ENOSYS;
	if (preload.follow && check_program(path, searched) == LOADER_FOREIGN) {
		STRIP(changed, env);
		its = changed;
	} else if (preload.follow && preload.confined) {
		changed = alloca((count(env) + 2) * sizeof(*changed));
		join_environment(changed, env, NULL, gate);
		its = changed;
	}
	return spawn_unpaged(real, pid, &(struct start){path, argv, its},
			     actions, attr);
}

int posix_spawn(pid_t *pid, const char *path,
		const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr, char *const *argv,
		char *const *env)
{
	return spawn("posix_spawn", false, pid, path, actions, attr, argv, env);
}

int posix_spawnp(pid_t *pid, const char *file,
		 const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr, char *const *argv,
		 char *const *env)
{
	return spawn("posix_spawnp", true, pid, file, actions, attr, argv, env);
}
