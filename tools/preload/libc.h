/* SPDX-License-Identifier: MIT */
/* libc.h - libc's own allocator, whoever else has one: see libc.c. */
#ifndef VVM_PRELOAD_LIBC_H
#define VVM_PRELOAD_LIBC_H

#include <stddef.h>
#include <stdint.h>

void *libc_malloc(size_t bytes);
void *libc_calloc(size_t count, size_t bytes);
void *libc_realloc(void *p, size_t bytes);
void *libc_memalign(size_t align, size_t bytes);
void libc_free(void *p);
size_t libc_usable_size(void *p);
/* A function of libc's own, whoever else has one of that name; or NULL. */
void *libc_function(const char *name);
/* One that it has for certain, looked up once. */
#define LIBC(name)                                                       \
	({                                                               \
		static __typeof__(name) *real_;                          \
		if (!real_)                                              \
			real_ = (__typeof__(real_))libc_function(#name); \
		real_;                                                   \
	})
/* Where libc is; 0: unknown. */
uintptr_t libc_base(void);
/* How long an object is that lies at base. */
uintptr_t object_bytes(uintptr_t base);
/* Where in its file an address is of the object that lies at base. */
uintptr_t object_offset(uintptr_t base, uintptr_t address);
/* The object that has an address; both 0: none has. */
void object_of(uintptr_t address, uintptr_t *start, uintptr_t *end);

#endif
