/* SPDX-License-Identifier: MIT */
/* journal.h - what vvmbench has changed on the machine, to undo it. */
#ifndef VVM_BENCH_JOURNAL_H
#define VVM_BENCH_JOURNAL_H

#include "vvmbench/machine/why.h"

#include <sys/types.h>

/* (i) all: one thread of one process has it. */
struct journal {
	int fd; /* -1: closed */
	char path[128];
};

/*
 * Opens and locks the journal at a path, and undoes what one that was killed
 * has left in it. 0, or -1 and the reason: another vvmbench has it, or this
 * user may not.
 */
int journal_open(struct journal *j, const char *path, struct why *why);
/* Undoes everything, removes the file. */
void journal_close(struct journal *j);
/* For a child: lets go without undoing anything. */
void journal_drop(struct journal *j);

/* A place in the journal, for journal_undo(). */
off_t journal_mark(const struct journal *j);
/* Undoes all that was noted since the mark, the latest first. */
void journal_undo(struct journal *j, off_t mark);

/*
 * To be called *before* the change; each returns 0 or -errno, and then the
 * change must not be made.
 */
int journal_note_group(struct journal *j, const char *path);
/* fd: the file that path is, or will be. */
int journal_note_file(struct journal *j, int fd, const char *path);
int journal_note_swapon(struct journal *j, int fd, const char *path);
/* Notes and changes the value of a file of /proc/sys or /sys. */
int journal_set(struct journal *j, const char *path, const char *value);

#endif
