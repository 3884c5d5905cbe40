/* SPDX-License-Identifier: MIT */
/*
 * runs.c - chunks of text become sorted runs.
 *
 * A chunk is small enough to be resident while it is sorted, so the random
 * accesses of comparing do not fault. Its index entries are sorted by merging
 * (lines.c), back and forth between the chunk's place in the index of
 * side 0 and the same place in side 1, which is free until then; so not even
 * the scratch space lies outside paged memory.
 * Then the text is copied, in that order, to the chunk's place in side 1: a
 * run occupies exactly the bytes and entries of its chunk, whatever the
 * order, and threads need no allocation and no lock, only a counter.
 */
#include "vvmbench/sort/runs.h"

#include "vvmbench/workload/space.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POLL_US = 20000 };

static uint64_t page_up(uint64_t addr)
{
	return (addr + VVM_PAGE_SIZE - 1) & ~(uint64_t)(VVM_PAGE_SIZE - 1);
}

const char *sort_release(const struct sorter *s, const char *mark,
			 const char *at, uint64_t step_bytes)
{
	uint64_t from = page_up((uintptr_t)mark);
	uint64_t to = (uintptr_t)at & ~(uint64_t)(VVM_PAGE_SIZE - 1);

	if (to <= from || to - from < step_bytes)
		return mark;
	bench_space_advise(s->vm, (const void *)(uintptr_t)from, to - from,
			   VVM_ADV_DONTNEED);
	return (const char *)(uintptr_t)to;
}

void sort_will_need(const struct sorter *s, const char *start, uint64_t len)
{
	uint64_t from = (uintptr_t)start & ~(uint64_t)(VVM_PAGE_SIZE - 1);
	uint64_t to = page_up((uintptr_t)start + len);

	bench_space_advise(s->vm, (const void *)(uintptr_t)from, to - from,
			   VVM_ADV_WILLNEED);
}

/* Copies the lines, in the order of `sorted`, to the chunk's place. */
static void write_run(const struct sorter *s, const struct chunk *c,
		      const struct line *sorted)
{
	const char *from = s->side[0].text + c->text;
	char *text = s->side[1].text + c->text;
	struct line *lines = s->side[1].lines + c->line;
	uint64_t n = c->line_end - c->line, i;

	for (i = 0; i < n; i++) {
		struct line line = sorted[i];

		memcpy(text, from + line.start, (size_t)line.len + 1);
		text += (size_t)line.len + 1;
		lines[i] = line;
	}
}

/* The text is needed in random order once the index is sorted. */
static void make_run(const struct sorter *s, const struct chunk *c)
{
	const char *text = s->side[0].text;
	const struct line *lines = s->side[0].lines, *sorted;

	sort_will_need(s, (const char *)(lines + c->line),
		       (c->line_end - c->line) * sizeof(*lines));
	sort_will_need(s, text + c->text, c->text_end - c->text);
	sorted = lines_sort(text + c->text, s->side[0].lines + c->line,
			    s->side[1].lines + c->line, c->line_end - c->line);
	write_run(s, c, sorted);
	sort_release(s, text + c->text, text + c->text_end, 1);
	sort_release(s, (const char *)(lines + c->line),
		     (const char *)(lines + c->line_end), 1);
}

static void *maker_body(void *arg)
{
	struct sorter *s = arg;
	size_t i;

	while ((i = atomic_fetch_add(&s->next_chunk, 1)) < s->chunk_count) {
		make_run(s, &s->chunks[i]);
		atomic_fetch_add(&s->done_bytes,
				 s->chunks[i].text_end - s->chunks[i].text);
	}
	return NULL;
}

static void watch_makers(struct sorter *s, struct progress *p)
{
	uint64_t done;

	while ((done = atomic_load(&s->done_bytes)) < s->text_bytes) {
		progress_draw(p, done, s->text_bytes);
		usleep(POLL_US);
	}
}

void sort_make_runs(struct sorter *s, struct progress *p)
{
	pthread_t *threads = calloc(s->threads, sizeof(*threads));
	unsigned i;

	if (!threads)
		tool_die(TOOL_FAILED, "out of memory");
	atomic_store(&s->next_chunk, 0);
	atomic_store(&s->done_bytes, 0);
	for (i = 0; i < s->threads; i++)
		if (pthread_create(&threads[i], NULL, maker_body, s))
			tool_die(TOOL_FAILED, "cannot start thread %u", i);
	watch_makers(s, p);
	for (i = 0; i < s->threads; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}
