/* SPDX-License-Identifier: MIT */
/*
 * merge.c - many runs become one, sequentially.
 *
 * A cursor walks a run from its first line to its last, in the index and in
 * the text side by side, both forward; what it has left behind is given back.
 * A tree of losers (Knuth, The Art of Computer Programming 3, 5.4.1) finds
 * the least of k heads with log2 k comparisons: leaf i is cursor i, an inner
 * node remembers who lost there, tree[0] who won it all; when the winner has
 * moved on, only the path from its leaf to the root is played again.
 *
 * Each cursor has two streams of pages, and nobody knows better than it what
 * it will need next: so it asks for a window ahead with VVM_ADV_WILLNEED
 * while it still has one, and gives one back when it has consumed it. (Left
 * to read-ahead, which follows some dozens of streams, a merge of 87 runs
 * took twice as long as one of 44.) The budget must hold the windows of all;
 * where they would become too small (fan_in), groups of runs are merged into
 * longer runs first, into the other side. A group is a contiguous range of
 * bytes and of entries, and so is what comes of it: the same range.
 */
#include "vvmbench/sort/merge.h"

#include "common/tool.h"
#include "vvmbench/sort/runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OUT_BYTES = 256 << 10 };

/* Consecutive pages that a cursor reads: a run's text, or its index. */
struct stream {
	const char *mark;  /* given back up to here */
	const char *ahead; /* asked for up to here */
	const char *end;
};

struct cursor {
	const char *text;
	const struct line *line, *end;
	struct stream texts, lines;
};

/* Where merged lines go: to a run, or through a buffer to a descriptor. */
struct sink {
	char *text;	    /* of the run, or in the buffer */
	struct line *lines; /* NULL: to the descriptor */
	int fd;
	char *buffer; /* OUT_BYTES, ordinary memory */
};

struct merge {
	struct sorter *s;
	uint64_t window_bytes; /* a stream asks for, and gives back, this */
	struct cursor *cursors;
	unsigned *tree;
	unsigned k;
};

/* ------------------------------------------------------------------ */
/* Output								*/

static void write_out(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			tool_die(TOOL_FAILED, "cannot write the result: %s",
				 strerror(errno));
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
}

static void sink_flush(struct sink *k)
{
	write_out(k->fd, k->buffer, (size_t)(k->text - k->buffer));
	k->text = k->buffer;
}

/* A piece at a time: a line may be longer than the buffer. */
static void sink_copy(struct sink *k, const char *text, size_t len)
{
	while (len) {
		size_t room = (size_t)(k->buffer + OUT_BYTES - k->text);
		size_t n = len < room ? len : room;

		memcpy(k->text, text, n);
		k->text += n;
		text += n;
		len -= n;
		if (n == room)
			sink_flush(k);
	}
}

static inline void sink_put(struct sink *k, const char *text,
			    const struct line *line)
{
	size_t len = (size_t)line->len + 1;

	if (!k->lines) {
		sink_copy(k, text, len);
		return;
	}
	memcpy(k->text, text, len);
	k->text += len;
	*k->lines++ = *line;
}

/* ------------------------------------------------------------------ */
/* The tree of losers							*/

static inline bool before(const struct merge *m, unsigned i, unsigned j)
{
	const struct cursor *x = &m->cursors[i], *y = &m->cursors[j];

	if (x->line == x->end || y->line == y->end)
		return y->line == y->end && x->line != x->end;
	if (x->line->prefix != y->line->prefix)
		return x->line->prefix < y->line->prefix;
	return line_compare(x->text, x->line, y->text, y->line) < 0;
}

/* Plays the matches below a node; returns the winner. */
static unsigned play(struct merge *m, unsigned node)
{
	unsigned left, right;

	if (node >= m->k)
		return node - m->k;
	left = play(m, 2 * node);
	right = play(m, 2 * node + 1);
	if (before(m, right, left)) {
		m->tree[node] = left;
		return right;
	}
	m->tree[node] = right;
	return left;
}

/* Cursor i has moved: plays its path again. */
static void replay(struct merge *m, unsigned i)
{
	unsigned winner = i, node;

	for (node = (i + m->k) / 2; node; node /= 2) {
		if (before(m, m->tree[node], winner)) {
			unsigned loser = winner;

			winner = m->tree[node];
			m->tree[node] = loser;
		}
	}
	m->tree[0] = winner;
}

/* ------------------------------------------------------------------ */
/* Merging								*/

/* Asks for the next window when there is less than one ahead. */
static void stream_ask(const struct merge *m, struct stream *st, const char *at)
{
	uint64_t left = (uint64_t)(st->end - st->ahead), len;

	if (!left || st->ahead - at > (ptrdiff_t)m->window_bytes)
		return;
	len = left < m->window_bytes ? left : m->window_bytes;
	sort_will_need(m->s, st->ahead, len);
	st->ahead += len;
}

static void stream_start(const struct merge *m, struct stream *st,
			 const void *start, const void *end)
{
	st->mark = st->ahead = start;
	st->end = end;
	stream_ask(m, st, start);
}

/* The stream was read up to `at`. */
static inline void stream_advance(const struct merge *m, struct stream *st,
				  const void *at)
{
	st->mark = sort_release(m->s, st->mark, at, m->window_bytes);
	stream_ask(m, st, at);
}

static void cursor_start(const struct merge *m, struct cursor *c,
			 const struct side *side, const struct chunk *run)
{
	c->text = side->text + run->text;
	c->line = side->lines + run->line;
	c->end = side->lines + run->line_end;
	stream_start(m, &c->texts, c->text, side->text + run->text_end);
	stream_start(m, &c->lines, c->line, c->end);
}

/* To the next line; at the end of the run, gives back what is left of it. */
static void cursor_advance(const struct merge *m, struct cursor *c)
{
	c->text += (size_t)c->line->len + 1;
	c->line++;
	stream_advance(m, &c->texts, c->text);
	stream_advance(m, &c->lines, c->line);
	if (c->line == c->end) {
		sort_release(m->s, c->texts.mark, c->text, 1);
		sort_release(m->s, c->lines.mark, (const char *)c->line, 1);
	}
}

static void merge_lines(struct merge *m, struct sink *sink, struct progress *p)
{
	uint64_t done = atomic_load(&m->s->done_bytes);
	unsigned lines = 0;
	struct cursor *c;

	for (;;) {
		c = &m->cursors[m->tree[0]];
		if (c->line == c->end)
			break; /* the least is none: all are at their end */
		sink_put(sink, c->text, c->line);
		done += (uint64_t)c->line->len + 1;
		cursor_advance(m, c);
		replay(m, m->tree[0]);
		if (++lines % 256 == 0) /* looking at the clock costs 23 ns */
			progress_draw(p, done, m->s->text_bytes);
	}
	atomic_store(&m->s->done_bytes, done);
}

/*
 * A stream has at most one window that is consumed and not given back, and
 * two ahead; k runs are 2k streams, and all of it shall take three quarters
 * of the budget.
 */
static uint64_t window_bytes(const struct sorter *s, unsigned k)
{
	uint64_t bytes = s->resident_bytes / 4 / (2 * k);

	bytes -= bytes % VVM_PAGE_SIZE;
	return bytes < VVM_PAGE_SIZE ? VVM_PAGE_SIZE : bytes;
}

/* Merges k adjacent runs of a side. */
static void merge_group(struct sorter *s, const struct side *from,
			const struct chunk *runs, unsigned k, struct sink *sink,
			struct progress *p)
{
	struct merge m = {.s = s, .k = k, .window_bytes = window_bytes(s, k)};
	unsigned i;

	m.cursors = calloc(k, sizeof(*m.cursors));
	m.tree = calloc(k, sizeof(*m.tree));
	if (!m.cursors || !m.tree)
		tool_die(TOOL_FAILED, "out of memory");
	for (i = 0; i < k; i++)
		cursor_start(&m, &m.cursors[i], from, &runs[i]);
	m.tree[0] = play(&m, 1);
	merge_lines(&m, sink, p);
	free(m.cursors);
	free(m.tree);
}

/* Groups of fan_in runs become one run each, on the other side. */
static void merge_pass(struct sorter *s, const struct side *from,
		       const struct side *to, struct progress *p)
{
	size_t i, out = 0;

	for (i = 0; i < s->chunk_count; i += s->fan_in) {
		size_t left = s->chunk_count - i;
		unsigned k = left < s->fan_in ? (unsigned)left : s->fan_in;
		struct chunk group = s->chunks[i];
		struct sink sink = {.text = to->text + group.text,
				    .lines = to->lines + group.line};

		group.text_end = s->chunks[i + k - 1].text_end;
		group.line_end = s->chunks[i + k - 1].line_end;
		merge_group(s, from, &s->chunks[i], k, &sink, p);
		s->chunks[out++] = group;
	}
	s->chunk_count = out;
}

static void merge_out(struct sorter *s, const struct side *from, int out,
		      struct progress *p)
{
	struct sink sink = {.fd = out, .buffer = malloc(OUT_BYTES)};

	if (!sink.buffer)
		tool_die(TOOL_FAILED, "out of memory");
	sink.text = sink.buffer;
	atomic_store(&s->done_bytes, 0);
	if (s->chunk_count)
		merge_group(s, from, s->chunks, (unsigned)s->chunk_count, &sink,
			    p);
	sink_flush(&sink);
	free(sink.buffer);
}

unsigned sort_merge(struct sorter *s, int out, struct progress *p)
{
	unsigned passes = 1, from = 1;

	while (s->chunk_count > s->fan_in) {
		atomic_store(&s->done_bytes, 0);
		merge_pass(s, &s->side[from], &s->side[!from], p);
		from = !from;
		passes++;
	}
	merge_out(s, &s->side[from], out, p);
	return passes;
}
