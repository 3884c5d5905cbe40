/* SPDX-License-Identifier: MIT */
/*
 * target.h - a process that uses libvvm: its spaces taken together, and its
 * life.
 */
#ifndef VVM_TARGET_H
#define VVM_TARGET_H

#include "common/segment.h"

struct target_space {
	unsigned number; /* the <n> of the file's name */
	struct segment segment;
};

struct target {
	const char *dir; /* where segments are */
	int pid;
	int pidfd;	/* readable when the process has ended; or -1 */
	uint64_t start; /* of the process, field 22 of /proc/PID/stat */
	uid_t uid;
	char command[64];
	struct target_space *space; /* open ones */
	unsigned spaces;
	uint64_t kernel_faults;	   /* at the last look */
	uint64_t recorded_unix_us; /* of a copy, else 0 */
	struct sample closed;	   /* what spaces counted that are closed now */
};

/*
 * Attaches to a process. 0, or -errno and a reason for the user: -ESRCH no
 * such process, -ENOENT it has no segment, -EACCES, -EPROTO.
 */
int target_open(struct target *t, const char *dir, int pid,
		char reason[SEGMENT_REASON_BYTES]);
/* The same with a copy of a segment: a process of the past. */
int target_open_copy(struct target *t, const char *path,
		     char reason[SEGMENT_REASON_BYTES]);
void target_close(struct target *t);
/*
 * The sum over all spaces that the process ever had open while we watched.
 * Finds new spaces by itself. Never fails: a process that is gone keeps its
 * last numbers.
 */
void target_sample(struct target *t, struct sample *out);
enum target_event { TARGET_DUE, TARGET_ENDED, TARGET_WOKEN };
/*
 * Waits until the moment (CLOCK_MONOTONIC us), the end of the process, or
 * until wake_fd (-1: none) is readable, whichever comes first.
 */
enum target_event target_wait(struct target *t, uint64_t until_us, int wake_fd);

/*
 * The pids of which `dir` holds segments, ascending, each once; the caller
 * frees *pids. Returns their number, or -errno of opening dir.
 */
int target_list(const char *dir, int **pids);

#endif
