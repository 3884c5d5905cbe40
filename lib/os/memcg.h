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

/* What a group has left; all UINT64_MAX: not known. */
struct memcg_room {
	uint64_t limit_bytes; /* of the level that has least left, ... */
	uint64_t free_bytes;  /* ... what it has, page cache counted as free */
	uint64_t stall_us;    /* that its processes have waited for memory */
};
/*
 * The least of the group and those above it, by memory.max, memory.high and what
 * is in use; the stalls are the group's (PSI, version 2 only).
 */
void memcg_room(const struct memcg *m, struct memcg_room *room);

/* The "some" total of a PSI file; UINT64_MAX: it cannot be read. */
uint64_t memcg_stall_us(const char *path);
/* A line "name number" of a file (or "name: number kB"): the number. */
uint64_t memcg_field(const char *path, const char *name);

/*
 * The RAM that this process may use: the machine's, or less if its memory
 * cgroup says so.
 */
uint64_t memcg_ram_bytes(void);

#endif
