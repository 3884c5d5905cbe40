/* SPDX-License-Identifier: MIT */
/*
 * os/room.c - how much memory is left, of the machine and of the memory cgroup.
 *
 * Of the machine: MemAvailable of /proc/meminfo, which the kernel reckons with
 * page cache that it can take back. Of the group: os/memcg.c. And the time that
 * processes have waited for memory, PSI, which not every kernel has.
 *
 * The files stay open. Each look would otherwise take the lowest free descriptors
 * for a moment, and the program, whose next open() is to return the lowest, would
 * see it. What is gone is not found again: a program that moves to another group
 * is looked at in the one where it began.
 */
#include "os/room.h"

#include <fcntl.h>
#include <unistd.h>

#include "base.h"

static uint64_t kib(uint64_t n)
{
	return n > UINT64_MAX >> 11 ? UINT64_MAX : n << 10;
}

void room_open_at(struct room_source *s, const char *meminfo,
		  const char *pressure, const char *root, const char *self)
{
	struct memcg group;

	*s = ROOM_SOURCE_NONE;
	s->meminfo = open(meminfo, O_RDONLY | O_CLOEXEC);
	s->pressure = open(pressure, O_RDONLY | O_CLOEXEC);
	if (memcg_find(&group, root, self))
		memcg_open(&group, &s->group);
}

void room_open(struct room_source *s)
{
	room_open_at(s, "/proc/meminfo", "/proc/pressure/memory", MEMCG_ROOT,
		     MEMCG_SELF);
}

void room_close(struct room_source *s)
{
	if (s->meminfo >= 0)
		close(s->meminfo);
	if (s->pressure >= 0)
		close(s->pressure);
	memcg_close(&s->group);
	*s = ROOM_SOURCE_NONE;
}

void room_look(const struct room_source *s, struct room *room)
{
	char text[MEMCG_TEXT];

	memcg_text(s->meminfo, text);
	room->ram_bytes = kib(memcg_number(text, "MemTotal"));
	room->free_bytes = kib(memcg_number(text, "MemAvailable"));
	room->stall_us = memcg_stall_us(memcg_text(s->pressure, text));
	memcg_room(&s->group, &room->group);
}
