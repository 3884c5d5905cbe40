/* SPDX-License-Identifier: MIT */
/* spawn.h - programs that libc starts: see spawn.c. */
#ifndef VVM_PRELOAD_SPAWN_H
#define VVM_PRELOAD_SPAWN_H

#include "preload/copy.h"

#include <spawn.h>

typedef int spawner(pid_t *, const char *, const posix_spawn_file_actions_t *,
		    const posix_spawnattr_t *, char *const *, char *const *);

/* As `real`, posix_spawn(3) or posix_spawnp(3), but with nothing paged. */
int spawn_unpaged(spawner *real, pid_t *pid, const struct start *start,
		  const posix_spawn_file_actions_t *actions,
		  const posix_spawnattr_t *attr);

#endif
