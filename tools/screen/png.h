/* SPDX-License-Identifier: MIT */
/* png.h - a picture with 16 colours. */
#ifndef VVM_PNG_H
#define VVM_PNG_H

#include <stdint.h>
#include <stdio.h>

#define PNG_COLOURS 16

struct png {
	unsigned width, height;
	uint8_t *pixel;		 /* width * height numbers of colours */
	const uint32_t *palette; /* PNG_COLOURS times 0xRRGGBB; the caller's */
};

/* A picture of colour 0. -ENOMEM, -EFBIG. */
int png_new(struct png *p, unsigned width, unsigned height,
	    const uint32_t *palette);
void png_free(struct png *p);
/* What lies outside of the picture is cut off. */
void png_rectangle(struct png *p, unsigned x, unsigned y, unsigned width,
		   unsigned height, uint8_t colour);
/*
 * Writes text in capitals of 6 x 10 pixels, 8 to a character; returns the x
 * behind it. Characters that the font lacks are blank.
 */
unsigned png_text(struct png *p, unsigned x, unsigned y, uint8_t colour,
		  const char *text);
/* Writes it as a PNG file. 0 or -errno. */
int png_write(const struct png *p, FILE *out);
/* The same into a file that appears at `path` whole or not at all. */
int png_save(const struct png *p, const char *path);

#endif
