/* SPDX-License-Identifier: MIT */
/*
 * parse.h - numbers and sizes as people write them, for the library and the
 * tools.
 *
 * Text is wholly a value or it is refused: no white space, no sign, nothing
 * behind it. What is refused leaves the value as it was. -EINVAL: it is none;
 * -ERANGE: it does not fit.
 */
#ifndef VVM_PARSE_H
#define VVM_PARSE_H

#include "base.h"

/* "512", "0x200". */
int parse_number(const char *text, uint64_t *value);
/*
 * Bytes: "4096", "4k", "256M", "1.5GiB", "0x1000"; a unit is a power of 1024,
 * case does not matter. "25%" is of ram_bytes. Rounded down.
 */
int parse_size(const char *text, uint64_t ram_bytes, uint64_t *bytes);

#endif
