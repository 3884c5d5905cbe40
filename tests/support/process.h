/* SPDX-License-Identifier: MIT */
/*
 * support/process.h - what the process holds.
 */
#ifndef VVM_PROCESS_H
#define VVM_PROCESS_H

#include <stdint.h>

int live_count_dir(const char *path);
int live_count_fds(void);
int live_count_threads(void);
int live_count_maps(void);
uint64_t live_rss_bytes(void);

#endif
