/* SPDX-License-Identifier: MIT */
/*
 * trace_lackey.c - traces of real programs, by way of valgrind.
 *
 *	valgrind --tool=lackey --trace-mem=yes --log-fd=9 PROGRAM ... 9>&1 >...
 *
 * prints a line for each instruction fetched (I), load (L), store (S) and
 * modification (M): " L 1ffeffe7e,8". An access that crosses into the next page
 * counts for both. Lines of another shape (valgrind's own) are ignored; threads
 * are not told apart.
 *
 * A program touches a page many times in a row. Accesses to one of the last
 * FILTER pages are left out: they find their page under every policy, whose
 * order of use does not depend on them (Puzak 1985), and the miss ratio is of
 * those that are left. The number of misses is the same for LRU with any
 * budget of FILTER pages or more.
 */
#include "vvmbench/workload/trace_lackey.h"

#include <stdlib.h>
#include <string.h>

enum { FILTER = 16, PAGE_SHIFT = 12 };

struct filter {
	struct trace *trace;
	uint64_t page[FILTER]; /* plus 1; the last used first */
	size_t at[FILTER];     /* where in the trace they are */
};

/* Moves the i-th to the front. */
static void touch(struct filter *f, unsigned i, uint64_t page, size_t at)
{
	memmove(f->page + 1, f->page, i * sizeof(*f->page));
	memmove(f->at + 1, f->at, i * sizeof(*f->at));
	f->page[0] = page;
	f->at[0] = at;
}

static bool add(struct filter *f, uint64_t page, unsigned flags)
{
	unsigned i;

	for (i = 0; i < FILTER; i++) {
		if (f->page[i] != page + 1)
			continue;
		f->trace->flags[f->at[i]] |= (uint8_t)flags;
		touch(f, i, page + 1, f->at[i]);
		return true;
	}
	touch(f, FILTER - 1, page + 1, f->trace->accesses);
	return trace_add(f->trace, page, flags);
}

/* Reads " L 1ffeffe7e,8"; false: the line is none of these. */
static bool parse(const char *line, uint64_t *addr, uint64_t *bytes,
		  unsigned *flags)
{
	const char *kind = line + (*line == ' ');
	char *end;

	if (!strchr("ILSM", *kind) || !*kind || kind[1] != ' ')
		return false;
	*flags = *kind == 'S' || *kind == 'M' ? TRACE_WRITE : 0;
	*addr = strtoull(kind + 2, &end, 16);
	if (end == kind + 2 || *end != ',')
		return false;
	*bytes = strtoull(end + 1, &end, 10);
	return *bytes > 0 && *bytes <= 1 << PAGE_SHIFT &&
	       *addr < (uint64_t)1 << 57 && (*end == '\n' || !*end);
}

const char *trace_read_lackey(struct trace *t, FILE *in)
{
	struct filter f = {.trace = t};
	uint64_t addr, bytes, first, last;
	unsigned flags;
	char line[256];

	while (fgets(line, sizeof(line), in)) {
		if (!parse(line, &addr, &bytes, &flags))
			continue;
		first = addr >> PAGE_SHIFT;
		last = (addr + bytes - 1) >> PAGE_SHIFT;
		if (!add(&f, first, flags) ||
		    (last != first && !add(&f, last, flags)))
			return "it is too large for the memory here";
	}
	if (!t->accesses)
		return "it has no line that lackey writes";
	return trace_finish(t) ? NULL : "it is too large for the memory here";
}
