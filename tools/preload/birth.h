/* SPDX-License-Identifier: MIT */
/* birth.h - the threads that the program makes: see birth.c. */
#ifndef VVM_PRELOAD_BIRTH_H
#define VVM_PRELOAD_BIRTH_H

#include <pthread.h>

/* libc's, or that of who has come between it and us (a sanitizer). */
int next_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			void *(*run)(void *), void *arg);

#endif
