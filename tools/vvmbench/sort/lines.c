/* SPDX-License-Identifier: MIT */
/*
 * lines.c - index entries of lines: making, comparing, sorting them.
 *
 * Only entries move, never text. An entry is sixteen bytes, and eight of
 * them are the beginning of the line as a number whose order is that of the
 * bytes; they decide most comparisons without a look at the text, which is
 * where the cache misses are. A line shorter than that is filled up with
 * zeros; so "a" and "a\0" have the same prefix, and then the length decides,
 * as it does whenever one line is the beginning of the other.
 *
 * The sort merges, from one array to the other and back, over pieces that
 * insertion has sorted: both arrays are walked from front to back only, in
 * memory that may be paged. Equal lines are the same bytes, so nobody can
 * tell whether it is stable (it is).
 */
#include "vvmbench/sort/lines.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

/* Below this insertion beats merging (4 to 24 measured alike). */
enum { INSERTION = 12 };

struct line line_make(const char *text, uint32_t start, uint32_t len)
{
	struct line line = {.start = start, .len = len};
	uint64_t word = 0;

	memcpy(&word, text, len < sizeof(word) ? len : sizeof(word));
	line.prefix = be64toh(word);
	return line;
}

int line_compare(const char *a, const struct line *x, const char *b,
		 const struct line *y)
{
	uint32_t min = x->len < y->len ? x->len : y->len;
	int order = 0;

	if (x->prefix != y->prefix)
		return x->prefix < y->prefix ? -1 : 1;
	if (min > sizeof(x->prefix))
		order = memcmp(a + sizeof(x->prefix), b + sizeof(x->prefix),
			       min - sizeof(x->prefix));
	/* Equal so far: the shorter is first, NUL bytes included. */
	return order ? order : (x->len > y->len) - (x->len < y->len);
}

static inline bool in_order(const char *text, const struct line *x,
			    const struct line *y)
{
	if (x->prefix != y->prefix)
		return x->prefix < y->prefix;
	return line_compare(text + x->start, x, text + y->start, y) <= 0;
}

static void insertion_sort(const char *text, struct line *a, size_t n)
{
	size_t i, j;

	for (i = 1; i < n; i++) {
		struct line line = a[i];

		for (j = i; j && !in_order(text, &a[j - 1], &line); j--)
			a[j] = a[j - 1];
		a[j] = line;
	}
}

/* Merges a[0..mid) and a[mid..n) into b. */
static void merge_two(const char *text, const struct line *a, size_t mid,
		      size_t n, struct line *b)
{
	size_t i = 0, j = mid, k = 0;

	while (i < mid && j < n)
		b[k++] = in_order(text, &a[i], &a[j]) ? a[i++] : a[j++];
	memcpy(b + k, a + i, (mid - i) * sizeof(*a));
	memcpy(b + k + mid - i, a + j, (n - j) * sizeof(*a));
}

/* One pass: sorted pieces of `width` become pieces of twice that. */
static void merge_pass(const char *text, const struct line *a, struct line *b,
		       size_t n, size_t width)
{
	size_t i;

	for (i = 0; i < n; i += 2 * width) {
		size_t left = n - i;

		merge_two(text, a + i, width < left ? width : left,
			  2 * width < left ? 2 * width : left, b + i);
	}
}

struct line *lines_sort(const char *text, struct line *a, struct line *b,
			size_t n)
{
	size_t i, width;

	for (i = 0; i < n; i += INSERTION)
		insertion_sort(text, a + i,
			       n - i < INSERTION ? n - i : INSERTION);
	for (width = INSERTION; width < n; width *= 2) {
		struct line *from = a;

		merge_pass(text, a, b, n, width);
		a = b;
		b = from;
	}
	return a;
}
