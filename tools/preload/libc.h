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
/* Where libc is; 0: unknown. */
uintptr_t libc_base(void);

#endif
