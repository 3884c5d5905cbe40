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

/* What a level is asked for. */
enum memcg_file {
	MEMCG_LIMIT,
	MEMCG_HIGH, /* version 2 only */
	MEMCG_USED,
	MEMCG_STAT,
	MEMCG_FILES
};
/* Deeper groups than this are not usual, and most levels have no limit. */
enum { MEMCG_LEVELS = 4 };

struct memcg_level {
	int fd[MEMCG_FILES]; /* -1: it is not there */
};
/* Descriptors, so that a look opens nothing. */
struct memcg_files {
	int version;
	int pressure; /* PSI, version 2 only */
	unsigned levels;
	struct memcg_level level[MEMCG_LEVELS];
};
/* In which nothing is open. */
#define MEMCG_FILES_NONE ((struct memcg_files){.pressure = -1})
/*
 * Opens the group's own files and those of the levels above that have a limit
 * now, MEMCG_LEVELS in all at most. What cannot be opened is not known.
 */
void memcg_open(const struct memcg *m, struct memcg_files *f);
void memcg_close(struct memcg_files *f);

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
void memcg_room(const struct memcg_files *f, struct memcg_room *room);

/* Of a file: of /proc/self/cgroup all, of memory.stat what is looked for. */
enum { MEMCG_TEXT = 4096 };
/* The beginning of a file, as it is now; "" if it cannot be read. */
char *memcg_text(int fd, char text[MEMCG_TEXT]);
/* The "some" total of a PSI file; UINT64_MAX: there is none. */
uint64_t memcg_stall_us(const char *text);
/* Behind a name at the begin of a line ("name 1", "name: 1 kB"), or UINT64_MAX. */
uint64_t memcg_number(const char *text, const char *name);

/*
 * The RAM that this process may use: the machine's, or less if its memory
 * cgroup says so.
 */
uint64_t memcg_ram_bytes(void);

#endif
