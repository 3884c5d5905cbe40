/* SPDX-License-Identifier: MIT */
/*
 * picture.c - draws a picture and writes it as a PNG file, through libpng.
 *
 * A picture of a map has a dozen colours, so it has a palette and 4 bits to a
 * pixel. libpng may be missing where libvvm was built; then pictures can be
 * drawn, but not saved.
 */
#define _GNU_SOURCE 1
#include "screen/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_LIBPNG
#include <png.h>
#endif

#define SIDE_MAX 16384

int picture_new(struct picture *p, unsigned width, unsigned height,
		const uint32_t *palette)
{
	if (width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX)
		return -EFBIG;
	p->width = width;
	p->height = height;
	p->palette = palette;
	p->pixel = calloc(height, width);
	return p->pixel ? 0 : -ENOMEM;
}

void picture_free(struct picture *p)
{
	free(p->pixel);
	p->pixel = NULL;
}

/* ------------------------------------------------------------------ */
/* Drawing								*/

void picture_rectangle(struct picture *p, unsigned x, unsigned y,
		       unsigned width, unsigned height, uint8_t colour)
{
	unsigned row;

	if (x >= p->width)
		return;
	if (width > p->width - x)
		width = p->width - x;
	for (row = y; row < p->height && row - y < height; row++)
		memset(p->pixel + (size_t)row * p->width + x, colour, width);
}

/* Five rows of three pixels, an octal digit each. */
static const struct {
	char character;
	uint16_t rows;
} font[] = {
	{'0', 075557}, {'1', 026227}, {'2', 071747}, {'3', 071717},
	{'4', 055711}, {'5', 074717}, {'6', 074757}, {'7', 071122},
	{'8', 075757}, {'9', 075717}, {'A', 025755}, {'B', 065656},
	{'C', 034443}, {'D', 065556}, {'E', 074647}, {'F', 074644},
	{'G', 034553}, {'H', 055755}, {'I', 072227}, {'J', 011152},
	{'K', 055655}, {'L', 044447}, {'M', 057755}, {'N', 065555},
	{'O', 025552}, {'P', 065644}, {'Q', 025563}, {'R', 065655},
	{'S', 034216}, {'T', 072222}, {'U', 055557}, {'V', 055552},
	{'W', 055775}, {'X', 055255}, {'Y', 055222}, {'Z', 071247},
	{'.', 000002}, {'-', 000700}, {'/', 011244}, {':', 002020},
	{'=', 007070}, {'%', 051245}, {'+', 002720}, {',', 000024},
	{'_', 000007}, {'(', 024442}, {')', 021112}, {'[', 064446},
	{']', 031113}, {'>', 042124}, {'<', 012421},
};

static uint16_t glyph(char c)
{
	size_t i;

	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	for (i = 0; i < sizeof(font) / sizeof(*font); i++)
		if (font[i].character == c)
			return font[i].rows;
	return 0;
}

unsigned picture_text(struct picture *p, unsigned x, unsigned y, uint8_t colour,
		      const char *text)
{
	for (; *text; text++, x += 8) {
		uint16_t bits = glyph(*text);
		unsigned i;

		for (i = 0; i < 15; i++)
			if (bits >> (14 - i) & 1)
				picture_rectangle(p, x + i % 3 * 2,
						  y + i / 3 * 2, 2, 2, colour);
	}
	return x;
}

/* ------------------------------------------------------------------ */
/* The file								*/

#ifdef HAVE_LIBPNG
bool picture_can_save(void)
{
	return true;
}

/* Closes it. A picture that libpng cannot write is one it has no memory for. */
static int write_png(const struct picture *p, FILE *out)
{
	uint8_t palette[3 * PICTURE_COLOURS];
	png_image image = {.version = PNG_IMAGE_VERSION,
			   .width = p->width,
			   .height = p->height,
			   .format = PNG_FORMAT_RGB_COLORMAP,
			   .colormap_entries = PICTURE_COLOURS};
	unsigned i;
	int error = 0;

	for (i = 0; i < PICTURE_COLOURS; i++) {
		palette[3 * i] = (uint8_t)(p->palette[i] >> 16);
		palette[3 * i + 1] = (uint8_t)(p->palette[i] >> 8);
		palette[3 * i + 2] = (uint8_t)p->palette[i];
	}
	if (!png_image_write_to_stdio(&image, out, 0, p->pixel, 0, palette))
		error = ferror(out) ? -EIO : -ENOMEM;
	return fclose(out) && !error ? -errno : error;
}
#else
bool picture_can_save(void)
{
	return false;
}

static int write_png(const struct picture *p, FILE *out)
{
	(void)p;
	fclose(out);
	return -ENOSYS;
}
#endif

int picture_save(const struct picture *p, const char *path)
{
	char temporary[PATH_MAX];
	int error, fd;
	FILE *out;

	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >=
	    (int)sizeof(temporary))
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC);
	out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out)
		return -errno;
	fchmod(fd, 0644);
	error = write_png(p, out);
	if (!error && rename(temporary, path))
		error = -errno;
	if (error)
		unlink(temporary);
	return error;
}
