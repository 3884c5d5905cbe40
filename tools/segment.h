/* SPDX-License-Identifier: MIT */
/*
 * segment.h - one statistics segment, read by somebody who does not trust
 * it: see segment.c.
 */
#ifndef VVM_SEGMENT_H
#define VVM_SEGMENT_H

#include <stdbool.h>
#include <sys/types.h>
#include "sample.h"

#define SEGMENT_REASON_BYTES 200

struct segment {
	const uint64_t *map; /* the file, read-only */
	uint64_t *copy;	     /* the same when segment_sample() looked */
	size_t bytes;
	/* From the header when it was opened; checked against bytes. */
	size_t actor_offset, actor_bytes, actors;
	size_t counters; /* of the writer */
	uint64_t pid, pid_start, opened_unix_us;
	uid_t uid; /* owner of the file */
	char command[64];
	char library_version[32];
};

/*
 * Opens a file of `dir`, checks it and maps it. 0, or -errno and a reason:
 * -ENOENT  the file is gone
 * -EACCES  it is another user's
 * -EPROTO  it is no segment, or damaged, or of another version
 * -EAGAIN  its process is just making it
 */
int segment_open(struct segment *s, const char *dir, const char *name,
		 char reason[SEGMENT_REASON_BYTES]);
void segment_close(struct segment *s);
/*
 * Adds up the actors into *out (all of it is written but at_us) and says
 * whether the space is closed. -EIO: the file was cut while we looked.
 */
int segment_sample(struct segment *s, struct sample *out, bool *closed);

/* Splits "vvm-stat.<pid>.<n>"; false: the name has another shape. */
bool segment_name(const char *name, int *pid, unsigned *number);

#endif
