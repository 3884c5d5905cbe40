/* SPDX-License-Identifier: MIT */
/* notify.h - what libc tells the program by threads of its own: see notify.c. */
#ifndef VVM_PRELOAD_NOTIFY_H
#define VVM_PRELOAD_NOTIFY_H

#include <dlfcn.h>
#include <signal.h>

/* Until glibc 2.34 these were in a library of their own. */
#define NEXT(type, name)                                         \
	({                                                       \
		static type *next_;                              \
		if (!next_)                                      \
			next_ = (type *)dlsym(RTLD_NEXT, #name); \
		next_;                                           \
	})

/* As the event says, from a request that was asynchronous. Calls malloc. */
void notify(const struct sigevent *event);

#endif
