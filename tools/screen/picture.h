/* SPDX-License-Identifier: MIT */
/* picture.h - a picture with 16 colours. */
#ifndef VVM_PICTURE_H
#define VVM_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

#define PICTURE_COLOURS 16

struct picture {
	unsigned width, height;
	uint8_t *pixel; /* width * height numbers of colours */
	const uint32_t
		*palette; /* PICTURE_COLOURS times 0xRRGGBB; the caller's */
};

/* A picture of colour 0. -ENOMEM, -EFBIG. */
int picture_new(struct picture *p, unsigned width, unsigned height,
		const uint32_t *palette);
void picture_free(struct picture *p);
/* What lies outside of the picture is cut off. */
void picture_rectangle(struct picture *p, unsigned x, unsigned y,
		       unsigned width, unsigned height, uint8_t colour);
/*
 * Writes text in capitals of 6 x 10 pixels, 8 to a character; returns the x
 * behind it. Characters that the font lacks are blank.
 */
unsigned picture_text(struct picture *p, unsigned x, unsigned y, uint8_t colour,
		      const char *text);
/* Was this built with libpng? */
bool picture_can_save(void);
/*
 * Writes it into a PNG file that appears at `path` whole or not at all. 0 or
 * -errno. => picture_can_save()
 */
int picture_save(const struct picture *p, const char *path);

#endif
