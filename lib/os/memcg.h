/* SPDX-License-Identifier: MIT */
/*
 * os/memcg.h - the memory cgroup that this process is in, and how much RAM it
 * may use. The tools link it, too.
 */
#ifndef VVM_MEMCG_H
#define VVM_MEMCG_H

#include <stdbool.h>
#include <stdint.h>

/* Where to look, but in tests. */
#define MEMCG_ROOT "/sys/fs/cgroup"
#define MEMCG_SELF "/proc/self/cgroup"

/* Kubernetes' are of 220 characters; of a longer one the top is taken. */
enum { MEMCG_PATH = 1024 };

struct memcg {
	int version;	      /* 1, 2 */
	char top[MEMCG_PATH]; /* the directory of the topmost group to be seen */
	char path[MEMCG_PATH]; /* that of our own, below top or the same */
};

/* False: no memory controller is mounted below root. */
bool memcg_find(struct memcg *m, const char *root, const char *self);
/* Version 2: does a file of a group list the memory controller? */
bool memcg_lists(const char *group, const char *file);
/* The least limit of the group and of those above it; UINT64_MAX: none. */
uint64_t memcg_limit(const struct memcg *m);

/*
 * The RAM that this process may use: the machine's, or less if its memory
 * cgroup says so.
 */
uint64_t memcg_ram_bytes(void);

#endif
