/* SPDX-License-Identifier: MIT */
/*
 * door/copy.h - the program's memory, whatever it is: paged, not paged, or not
 * there. Never a signal. Addresses are the program's. => all: nothing locked,
 * signals blocked as by os_signals_block().
 */
#ifndef VVM_DOOR_COPY_H
#define VVM_DOOR_COPY_H

#include "base.h"

/* How many bytes were copied before the first that may not be. */
size_t copy_in(void *to, haddr_t from, size_t bytes);
size_t copy_out(haddr_t to, const void *from, size_t bytes);
/* How many bytes of these may be accessed, from the first on. */
size_t copy_reach(haddr_t at, size_t bytes, bool write);
/*
 * A text with its end, up to `most` bytes. Its length with the end; 0: it is not
 * all there, or longer.
 */
size_t copy_text(char *to, haddr_t from, size_t most);

#endif
