/* SPDX-License-Identifier: MIT */
/*
 * support/files.h - a directory for the files of a test.
 */
#ifndef VVM_FILES_H
#define VVM_FILES_H

extern char live_dir[64];

/* Fixtures (unchecked: they run in the parent, failures or not). */
void live_dir_make(void);

void live_dir_remove(void);
/* A path in the directory, in one of four static buffers. */
const char *live_path(const char *name);

/*
 * Writes junk over a swap file, past the page cache where that is possible: a
 * direct write of the library that meets a cached one is an error of the file.
 */
void live_overwrite(const char *path);

#endif
