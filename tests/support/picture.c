/* SPDX-License-Identifier: MIT */
#include "support/picture.h"

#ifdef HAVE_LIBPNG

#include <check.h>
#include <png.h>
#include <stdlib.h>

struct pixels read_png(const char *path)
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
