/* SPDX-License-Identifier: MIT */
/*
 * segment.h - one statistics segment, read by somebody who does not trust
 * it: see segment.c.
 */
#ifndef VVM_SEGMENT_H
#define VVM_SEGMENT_H

#include <stdbool.h>
#include <sys/types.h>
#include "common/sample.h"

#define SEGMENT_REASON_BYTES 200

/* A struct vvm_stat_table, checked once against the file. */
struct segment_table {
	size_t offset, item_bytes;
	size_t max; /* items that lie within what is mapped */
};

struct segment {
	int fd;
	const uint64_t *map; /* the file, read-only */
	size_t bytes;	     /* of it, as far as it is mapped */
	uint64_t *copy; /* header and actors when segment_sample() looked */
	size_t copy_bytes;
	/* From the header when it was opened; checked against bytes. */
	struct segment_table actors, rings, regions, blocks;
	struct segment_table sites; /* max == 0: an older writer has none */
	size_t sites_at;	    /* of its struct vvm_stat_table */
	size_t counters, values, buckets, stages, stage_buckets; /* writer's */
	uint64_t pid, pid_start, opened_unix_us;
	uid_t uid;		   /* owner of the file */
	bool recorded;		   /* a copy: its process is of the past */
	uint64_t recorded_unix_us; /* when */
	char command[64];
	char library_version[32];
};

/*
 * Opens a file of `dir`, checks it and maps it. 0, or -errno and a reason:
 * -ENOENT  the file is gone
 * -ESTALE  the process that made it ended, or executed another program
 * -EACCES  it is another user's
 * -EPROTO  it is no segment, or damaged, or of another version
 * -EAGAIN  its process is just making it
 */
int segment_open(struct segment *s, const char *dir, const char *name,
		 char reason[SEGMENT_REASON_BYTES]);
/*
 * The same with a copy of a segment that the user names. It is as old as its
 * time of modification says, and need not be held by a process.
 */
int segment_open_copy(struct segment *s, const char *path,
		      char reason[SEGMENT_REASON_BYTES]);
void segment_close(struct segment *s);
/*
 * Adds up the actors into *out (all of it is written but at_us) and says
 * whether the space is closed. -EIO: the file was cut while we looked.
 */
int segment_sample(struct segment *s, struct sample *out, bool *closed);
/* Removes the file if it is a segment of ours that was left behind. */
void segment_clean(const char *dir, const char *name);

/*
 * Runs look(s, arg), which may read s->map within the checked tables, and
 * must not allocate: -EIO when the file was cut meanwhile.
 */
int segment_look(struct segment *s, void (*look)(struct segment *, void *),
		 void *arg);
/* Copies words of the mapping. => inside of segment_look(). */
void segment_copy(const struct segment *s, void *to, size_t offset,
		  size_t bytes);
/*
 * Items that a table has by now, of those that lie in the mapping; 0 for one
 * that claims more than the file has storage for. => inside segment_look().
 */
size_t segment_items(const struct segment *s, const struct segment_table *t);
/* Makes text printable ASCII, NUL-terminated. */
void segment_text(char *to, const char *from, size_t size);

/* Splits "vvm-stat.<pid>.<n>"; false: the name has another shape. */
bool segment_name(const char *name, int *pid, unsigned *number);

#endif
