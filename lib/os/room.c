/* SPDX-License-Identifier: MIT */
/*
 * os/room.c - how much memory is left, of the machine and of the memory cgroup.
 *
 * Of the machine: MemAvailable of /proc/meminfo, which the kernel reckons with
 * page cache that it can take back. Of the group: os/memcg.c. And the time that
 * processes have waited for memory, PSI, which not every kernel has.
 *
 * The files are opened at each look. Descriptors that are kept would be the
 * program's to close, and would count against its limit.
 */
#include "os/room.h"

#include "base.h"

static uint64_t kib(uint64_t n)
{
	return n > UINT64_MAX >> 11 ? UINT64_MAX : n << 10;
}

void room_open_at(struct room_source *s, const char *meminfo,
		  const char *pressure, const char *root, const char *self)
{
	s->meminfo = meminfo;
	s->pressure = pressure;
	s->grouped = memcg_find(&s->group, root, self);
}

void room_open(struct room_source *s)
{
	room_open_at(s, "/proc/meminfo", "/proc/pressure/memory", MEMCG_ROOT,
		     MEMCG_SELF);
}

void room_look(const struct room_source *s, struct room *room)
{
	room->ram_bytes = kib(memcg_field(s->meminfo, "MemTotal"));
	room->free_bytes = kib(memcg_field(s->meminfo, "MemAvailable"));
	room->stall_us = memcg_stall_us(s->pressure);
	if (s->grouped)
		memcg_room(&s->group, &room->group);
	else
		room->group =
			(struct memcg_room){UINT64_MAX, UINT64_MAX, UINT64_MAX};
}
