/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - programs that libc starts: posix_spawn(3), system(3), popen(3),
 * wordexp(3).
 *
 * Its child shares our memory, has no handlers and blocks all signals until it
 * is the other program. What it reads must not be paged then, where the library
 * lives by signals (signal.c).
 *
 *	arguments	copied for the time of the call
 *	file actions	libc allocates them, outside of the heap: preload_enter()
 *	environ		what setenv(3) allocates is not paged either. Strings of
 *			the program's (putenv(3)), and an array of its own, are
 *			replaced by copies, for good: libc reads environ itself.
 */
#include "preload/spawn.h"

#include "preload/libc.h"
#include "preload/part.h"
#include "preload/signal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wordexp.h>

int spawn_unpaged(spawner *real, pid_t *pid, const struct start *start,
		  const posix_spawn_file_actions_t *actions,
		  const posix_spawnattr_t *attr)
{
	posix_spawn_file_actions_t own_actions;
	posix_spawnattr_t own_attr;
	struct start copy = *start;
	size_t bytes = signals_any() ? copy_bytes(start) : 0;
	void *room = bytes ? libc_malloc(bytes) : NULL;
	pid_t child;
	int error;

	if (bytes && !room)
		return ENOMEM;
	if (bytes)
		copy_paged(&copy, room);
	if (actions)
		own_actions = *actions;
	if (attr)
		own_attr = *attr;
	error = real(&child, copy.path, actions ? &own_actions : NULL,
		     attr ? &own_attr : NULL, copy.argv, copy.env);
	libc_free(room);
	if (!error && pid)
		*pid = child;
	return error;
}

/* ---- file actions ---- */

#define ACTION(name, parameters, ...)                                       \
	int posix_spawn_file_actions_##name parameters                      \
	{                                                                   \
		int error;                                                  \
                                                                            \
		preload_enter();                                            \
		error = LIBC(posix_spawn_file_actions_##name)(__VA_ARGS__); \
		preload_leave();                                            \
		return error;                                               \
	}

ACTION(addopen,
       (posix_spawn_file_actions_t *restrict actions, int fd,
	const char *restrict path, int flags, mode_t mode),
       actions, fd, path, flags, mode)
ACTION(addclose, (posix_spawn_file_actions_t * actions, int fd), actions, fd)
ACTION(adddup2, (posix_spawn_file_actions_t * actions, int fd, int to), actions,
       fd, to)
ACTION(addchdir_np,
       (posix_spawn_file_actions_t *restrict actions,
	const char *restrict path),
       actions, path)
ACTION(addfchdir_np, (posix_spawn_file_actions_t * actions, int fd), actions,
       fd)
#if __GLIBC_PREREQ(2, 34)
ACTION(addclosefrom_np, (posix_spawn_file_actions_t * actions, int from),
       actions, from)
#endif
#if __GLIBC_PREREQ(2, 35)
ACTION(addtcsetpgrp_np, (posix_spawn_file_actions_t * actions, int fd), actions,
       fd)
#endif

/* ---- the environment ---- */

static void settle_environment(void)
{
	struct start start = {.env = environ};
	size_t bytes = signals_any() ? copy_bytes(&start) : 0;
	void *room = bytes ? libc_malloc(bytes) : NULL;

	if (!room)
		return;
	copy_paged(&start, room);
	environ = (char **)(uintptr_t)start.env;
}

int setenv(const char *name, const char *value, int overwrite)
{
	int rc;

	preload_enter();
	rc = LIBC(setenv)(name, value, overwrite);
	preload_leave();
	return rc;
}

int putenv(char *entry)
{
	int rc;

	preload_enter();
	rc = LIBC(putenv)(entry);
	preload_leave();
	return rc;
}

/* ---- by a shell ---- */

static void drop(void *copy)
{
	int saved = errno;

	libc_free(*(void **)copy);
	errno = saved;
}

/* NULL: it is not paged, or there is no memory. */
static char *copy_of(const char *text)
{
	size_t bytes;
	char *copy;

	if (!text || !signals_any() || !is_paged(text, 1))
		return NULL;
	bytes = strlen(text) + 1;
	copy = libc_malloc(bytes);
	return copy ? memcpy(copy, text, bytes) : NULL;
}

int system(const char *command)
{
	/* cancellation runs it, too */
	__attribute__((cleanup(drop))) char *copy = copy_of(command);

	settle_environment();
	return LIBC(system)(copy ? copy : command);
}

FILE *popen(const char *command, const char *mode)
{
	char *copy = copy_of(command);
	FILE *stream;

	settle_environment();
	stream = LIBC(popen)(copy ? copy : command, mode);
	drop(&copy);
	return stream;
}

/* It runs commands from strings that it has allocated. */
int wordexp(const char *words, wordexp_t *result, int flags)
{
	int rc;

	settle_environment();
	preload_enter();
	rc = LIBC(wordexp)(words, result, flags);
	preload_leave();
	return rc;
}
