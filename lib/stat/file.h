/* SPDX-License-Identifier: MIT */
/*
 * stat/file.h - the file of a statistics segment: see stat/file.c.
 */
#ifndef VVM_STAT_FILE_H
#define VVM_STAT_FILE_H

#include "base.h"

/* Removes this user's files in VVM_STAT_DIR that nobody has locked. */
void stat_file_clean(void);
/*
 * Creates and locks the first free name of this process. After an error path
 * is "" and *fd -1.
 */
int stat_file_create(char *path, size_t size, int *fd);
/* Removes and closes it; path becomes "" and *fd -1. "" and -1: nothing. */
void stat_file_remove(char *path, int *fd);
/*
 * Start time of a living process, field 22 of /proc/PID/stat. -ESRCH: gone,
 * or only a zombie; other errors: cannot say.
 */
int stat_process_start(int pid, uint64_t *start);

#endif
