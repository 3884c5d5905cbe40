/* SPDX-License-Identifier: MIT */
/* thread.h - the library's threads among those of the program: thread.c. */
#ifndef VVM_PRELOAD_THREAD_H
#define VVM_PRELOAD_THREAD_H

#include <stdbool.h>

void preload_threads_init(void);
/* In a fork child, whose main thread is another one. */
void preload_threads_forked(void);
/* Gets what is needed to look at threads, before it cannot be had any more. */
void preload_threads_keep(void);
/* From now on the end of the program's threads is that of the process. */
void preload_threads_watch(void);
/* Is the caller the program's only thread? False, too, where one cannot look. */
bool preload_threads_alone(void);

#endif
