/* SPDX-License-Identifier: MIT */
/* vector.h - system calls with pointers behind pointers: see vector.c. */
#ifndef VVM_PRELOAD_VECTOR_H
#define VVM_PRELOAD_VECTOR_H

#include <stdbool.h>
#include <sys/uio.h>

/* Must the library make a call with these itself? */
bool vector_is_paged(const struct iovec *vec, long count);
struct looked;
/* The same, with what has been found to be readable (part.h). */
bool vector_is_paged_as(struct looked *known, const struct iovec *vec,
			long count);
/* Has it made: as syscall(2), and a cancellation point. */
long by_library(long number, long a, long b, long c, long d, long e, long f);
#define BY_LIBRARY_PICK(n, a, b, c, d, e, f, ...)                         \
	by_library((long)(n), (long)(a), (long)(b), (long)(c), (long)(d), \
		   (long)(e), (long)(f))
#define BY_LIBRARY(...) BY_LIBRARY_PICK(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

#endif
