/* SPDX-License-Identifier: MIT */
/*
 * os/room.h - how much memory is left, of the machine and of the memory cgroup.
 */
#ifndef VVM_ROOM_H
#define VVM_ROOM_H

#include "os/memcg.h"

/* Descriptors; -1: not open. */
struct room_source {
	int meminfo, pressure; /* of the machine */
	struct memcg_files group;
};

/* In which nothing is open. */
#define ROOM_SOURCE_NONE ((struct room_source){-1, -1, MEMCG_FILES_NONE})

/* Each UINT64_MAX: not known. */
struct room {
	uint64_t ram_bytes, free_bytes; /* of the machine */
	uint64_t stall_us; /* that its processes have waited for memory */
	struct memcg_room group;
};

/* Finds the group that the process is in, and opens what there is. */
void room_open(struct room_source *s);
/* The same with other places for the kernel's files, for tests. */
void room_open_at(struct room_source *s, const char *meminfo,
		  const char *pressure, const char *root, const char *self);
/* Nothing is open then, and it may be called again. */
void room_close(struct room_source *s);
/*
 * Reads some files of /proc and of each level of the group: some 20 us. What
 * cannot be read is not known.
 */
void room_look(const struct room_source *s, struct room *room);

#endif
