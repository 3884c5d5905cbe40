/* SPDX-License-Identifier: MIT */
/* direct.h - reads by a device into paged memory: see direct.c. */
#ifndef VVM_PRELOAD_DIRECT_H
#define VVM_PRELOAD_DIRECT_H

#include <sys/types.h>

struct iocb;

/* Before something reads there asynchronously. Keeps errno. */
void direct_read_first(int fd, void *buf, size_t bytes, off_t offset);
/* Before io_submit(2) of these. */
void direct_submit(long count, struct iocb **list);

#endif
