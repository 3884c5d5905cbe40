/* SPDX-License-Identifier: MIT */
/* memcg.h - the memory cgroup that this process is in. */
#ifndef VVM_MEMCG_H
#define VVM_MEMCG_H

#include <limits.h>
#include <stdbool.h>

/* Where to look, but in tests. */
#define MEMCG_ROOT "/sys/fs/cgroup"
#define MEMCG_SELF "/proc/self/cgroup"

struct memcg {
	int version;	     /* 1, 2 */
	char top[PATH_MAX];  /* the directory of the topmost group to be seen */
	char path[PATH_MAX]; /* that of our own, below top or the same */
};

/* False: no memory controller is mounted below root. */
bool memcg_find(struct memcg *m, const char *root, const char *self);
/* Version 2: does a file of a group list the memory controller? */
bool memcg_lists(const char *group, const char *file);

#endif
