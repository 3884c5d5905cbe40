/* SPDX-License-Identifier: MIT */
/*
 * support/picture.h - reads a PNG file for a test, by libpng; without it
 * (HAVE_LIBPNG) there is nothing to read, as vvmstat writes none.
 */
#ifndef VVM_PICTURE_H
#define VVM_PICTURE_H

#include <stdint.h>

struct pixels {
	unsigned width, height;
	uint8_t *rgb; /* three bytes a pixel; the caller frees it */
};

struct pixels read_png(const char *path);

#endif
