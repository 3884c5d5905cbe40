/* SPDX-License-Identifier: MIT */
/* direct.h - reads by a device into paged memory: see direct.c. */
#ifndef VVM_PRELOAD_DIRECT_H
#define VVM_PRELOAD_DIRECT_H

struct iocb;

/* Before io_submit(2) of these. */
void direct_submit(long count, struct iocb **list);

#endif
