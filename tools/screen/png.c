/* SPDX-License-Identifier: MIT */
/*
 * png.c - writes PNG (ISO/IEC 15948) without a library.
 *
 * A picture of a map has a dozen colours, so it has a palette and 4 bits to a
 * pixel. The pixels are put into the zlib stream that PNG demands as *stored*
 * blocks, uncompressed: 1024 x 768 make 385 KiB, which nobody minds, and
 * neither zlib nor libpng is needed for what are two checksums and five
 * headers.
 */
#define _GNU_SOURCE 1
#include "screen/png.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIDE_MAX     16384
#define STORED_MAX   65535 /* bytes of a stored block: RFC 1951 */
#define STORED_BYTES 5	   /* its header */
#define ADLER_BASE   65521 /* RFC 1950 */

int png_new(struct png *p, unsigned width, unsigned height,
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

void png_free(struct png *p)
{
	free(p->pixel);
	p->pixel = NULL;
}

/* ------------------------------------------------------------------ */
/* Drawing								*/

void png_rectangle(struct png *p, unsigned x, unsigned y, unsigned width,
		   unsigned height, uint8_t colour)
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

unsigned png_text(struct png *p, unsigned x, unsigned y, uint8_t colour,
		  const char *text)
{
	for (; *text; text++, x += 8) {
		uint16_t bits = glyph(*text);
		unsigned i;

		for (i = 0; i < 15; i++)
			if (bits >> (14 - i) & 1)
				png_rectangle(p, x + i % 3 * 2, y + i / 3 * 2,
					      2, 2, colour);
	}
	return x;
}

/* ------------------------------------------------------------------ */
/* The file								*/

static void put32(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 24);
	to[1] = (uint8_t)(value >> 16);
	to[2] = (uint8_t)(value >> 8);
	to[3] = (uint8_t)value;
}

/* CRC-32 of PNG's annex D, bit by bit: a picture takes some 10 ms. */
static uint32_t crc32_of(uint32_t crc, const uint8_t *data, size_t n)
{
	unsigned bit;

	for (; n > 0; n--) {
		crc ^= *data++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return crc;
}

static void write_chunk(FILE *out, const char *type, const uint8_t *data,
			size_t n)
{
	uint8_t head[8], tail[4];
	uint32_t crc;

	put32(head, (uint32_t)n);
	memcpy(head + 4, type, 4);
	crc = crc32_of(0xffffffffu, head + 4, 4);
	crc = crc32_of(crc, data, n);
	put32(tail, ~crc);
	fwrite(head, 1, sizeof(head), out);
	fwrite(data, 1, n, out);
	fwrite(tail, 1, sizeof(tail), out);
}

/* A row begins with its filter, 0: none; two pixels to a byte. */
static void pack_row(uint8_t *to, const uint8_t *pixel, unsigned width)
{
	unsigned i;

	*to++ = 0;
	for (i = 0; i < width; i += 2)
		*to++ = (uint8_t)(pixel[i] << 4 |
				  (i + 1 < width ? pixel[i + 1] : 0));
}

static uint32_t adler32_of(const uint8_t *data, size_t n)
{
	uint32_t a = 1, b = 0;

	for (; n > 0; n--) {
		a = (a + *data++) % ADLER_BASE;
		b = (b + a) % ADLER_BASE;
	}
	return b << 16 | a;
}

/* Wraps raw bytes into a zlib stream of stored blocks; returns its end. */
static uint8_t *store(uint8_t *to, const uint8_t *raw, size_t n)
{
	uint32_t adler = adler32_of(raw, n);

	*to++ = 0x78; /* deflate, 32 KiB window */
	*to++ = 0x01; /* makes the header a multiple of 31 */
	do {
		unsigned part = n < STORED_MAX ? (unsigned)n : STORED_MAX;

		*to++ = n == part; /* the last block */
		*to++ = (uint8_t)part;
		*to++ = (uint8_t)(part >> 8);
		*to++ = (uint8_t)~part;
		*to++ = (uint8_t)(~part >> 8);
		memcpy(to, raw, part);
		to += part;
		raw += part;
		n -= part;
	} while (n > 0);
	put32(to, adler);
	return to + 4;
}

static void write_head(const struct png *p, FILE *out)
{
	static const uint8_t signature[8] = {0x89, 'P',	 'N',  'G',
					     '\r', '\n', 0x1a, '\n'};
	/* 4 bits, palette, deflate, no filter method, not interlaced */
	uint8_t head[13] = {[8] = 4, [9] = 3}, palette[3 * PNG_COLOURS];
	unsigned i;

	fwrite(signature, 1, sizeof(signature), out);
	put32(head, p->width);
	put32(head + 4, p->height);
	write_chunk(out, "IHDR", head, sizeof(head));
	for (i = 0; i < PNG_COLOURS; i++) {
		palette[3 * i] = (uint8_t)(p->palette[i] >> 16);
		palette[3 * i + 1] = (uint8_t)(p->palette[i] >> 8);
		palette[3 * i + 2] = (uint8_t)p->palette[i];
	}
	write_chunk(out, "PLTE", palette, sizeof(palette));
}

int png_write(const struct png *p, FILE *out)
{
	size_t line = 1 + (p->width + 1) / 2, n = line * p->height;
	uint8_t *raw = malloc(n), *end;
	uint8_t *stream = malloc(n + (n / STORED_MAX + 1) * STORED_BYTES + 6);
	int error = raw && stream ? 0 : -ENOMEM;
	unsigned y;

	if (!error) {
		for (y = 0; y < p->height; y++)
			pack_row(raw + y * line,
				 p->pixel + (size_t)y * p->width, p->width);
		end = store(stream, raw, n);
		write_head(p, out);
		write_chunk(out, "IDAT", stream, (size_t)(end - stream));
		write_chunk(out, "IEND", (const uint8_t *)"", 0);
	}
	free(stream);
	free(raw);
	return error ? error : ferror(out) ? -EIO : 0;
}

int png_save(const struct png *p, const char *path)
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
	error = png_write(p, out);
	if (fclose(out) && !error)
		error = -errno;
	if (!error && rename(temporary, path))
		error = -errno;
	if (error)
		unlink(temporary);
	return error;
}
