/* SPDX-License-Identifier: MIT */
/*
 * picture.h - reads a PNG file for a test, by libpng; without it (HAVE_LIBPNG)
 * there is nothing to read, as vvmstat writes none.
 */
#ifndef VVM_TEST_PICTURE_H
#define VVM_TEST_PICTURE_H

#include <check.h>
#include <png.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pixels {
	unsigned width, height;
	uint8_t *rgb; /* three bytes a pixel; the caller frees it */
};

static inline struct pixels read_png(const char *path)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	struct pixels p;

	ck_assert_msg(png_image_begin_read_from_file(&image, path), "%s: %s",
		      path, image.message);
	image.format = PNG_FORMAT_RGB;
	p.width = image.width;
	p.height = image.height;
	p.rgb = malloc(PNG_IMAGE_SIZE(image));
	ck_assert_msg(png_image_finish_read(&image, NULL, p.rgb, 0, NULL),
		      "%s: %s", path, image.message);
	ck_assert_uint_eq(image.warning_or_error, 0);
	return p;
}

#endif
