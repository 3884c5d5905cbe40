/* SPDX-License-Identifier: MIT */
/* fork.h - children that are made by fork() and do not exec. */
#ifndef VVM_PRELOAD_FORK_H
#define VVM_PRELOAD_FORK_H

/* 0 or -errno. => the space is open */
int preload_fork_init(void);

#endif
