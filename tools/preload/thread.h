/* SPDX-License-Identifier: MIT */
/* thread.h - libvvm's threads among those of the program. */
#ifndef VVM_PRELOAD_THREAD_H
#define VVM_PRELOAD_THREAD_H

/* => the space is open */
void preload_threads_init(void);

#endif
