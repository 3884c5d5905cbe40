/* SPDX-License-Identifier: MIT */
/*
 * load.c - reading text into paged memory, and its index.
 *
 * read(2) goes straight into paged memory: the kernel faults the pages in
 * like any program does. Where it cannot (faults resolved in the thread
 * itself, or a userfaultfd that is permitted for user mode only) the first
 * EFAULT makes us read into a small buffer and copy.
 *
 * The newlines of what was just read are looked for while it is resident,
 * and each line gets its index entry. A chunk ends before the line that
 * would make sorting it touch more than chunk_bytes: its text, and each
 * index entry twice. So a chunk of very short lines holds little text; and a
 * line longer than all that is a chunk by itself.
 */
#include "vvmbench/sort/load.h"

#include "common/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20, BOUNCE_BYTES = 64 << 10 };

static struct chunk *new_chunk(struct sorter *s, uint64_t text)
{
	struct chunk *c;

	if (!s->chunks || s->chunk_count == s->chunk_room) {
		s->chunk_room = s->chunk_room ? 2 * s->chunk_room : 64;
		s->chunks =
			realloc(s->chunks, s->chunk_room * sizeof(*s->chunks));
		if (!s->chunks)
			tool_die(TOOL_FAILED, "out of memory");
	}
	c = &s->chunks[s->chunk_count++];
	c->text = c->text_end = text;
	c->line = c->line_end = s->line_count;
	return c;
}

static uint64_t chunk_touches(const struct chunk *c)
{
	return c->text_end - c->text +
	       2 * sizeof(struct line) * (c->line_end - c->line);
}

/* The line [start, end) is complete; the newline is at end. */
static void add_line(struct sorter *s, uint64_t start, uint64_t end)
{
	struct chunk *c =
		s->chunk_count ? &s->chunks[s->chunk_count - 1] : NULL;
	uint64_t len = end - start;

	if (len >= UINT32_MAX)
		tool_die(TOOL_FAILED, "a line is longer than 4 GiB");
	if (!c || chunk_touches(c) + len + 1 + 2 * sizeof(struct line) >
			  s->chunk_bytes)
		c = new_chunk(s, start);
	s->side[0].lines[s->line_count++] =
		line_make(s->side[0].text + start, (uint32_t)(start - c->text),
			  (uint32_t)len);
	c->text_end = end + 1;
	c->line_end = s->line_count;
}

/* Finds the lines that end in [text_bytes, end); *start: of the first. */
static void add_lines(struct sorter *s, uint64_t *start, uint64_t end)
{
	const char *text = s->side[0].text, *newline;
	uint64_t at = s->text_bytes;

	while (at < end &&
	       (newline = memchr(text + at, '\n', end - at)) != NULL) {
		at = (uint64_t)(newline - text);
		add_line(s, *start, at);
		*start = ++at;
	}
	s->text_bytes = end;
}

static ssize_t read_bounced(int fd, char *to, size_t len)
{
	static char buffer[BOUNCE_BYTES]; /* the loader is one thread */
	ssize_t n =
		read(fd, buffer, len < sizeof(buffer) ? len : sizeof(buffer));

	if (n > 0)
		memcpy(to, buffer, (size_t)n);
	return n;
}

static ssize_t read_some(int fd, char *to, size_t len)
{
	ssize_t n;

	do {
		n = read(fd, to, len);
		if (n < 0 && errno == EFAULT)
			n = read_bounced(fd, to, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* One byte is kept for a newline that the file may lack. */
static size_t room(const struct sorter *s, const char *path)
{
	uint64_t left = s->text_max_bytes - s->text_bytes;

	if (left < 2)
		tool_die(TOOL_FAILED, "%s: grew while it was read", path);
	return left - 1 < READ_BYTES ? left - 1 : READ_BYTES;
}

static void load_fd(struct sorter *s, int fd, const char *path,
		    struct progress *p, uint64_t expected_bytes)
{
	char *text = s->side[0].text;
	uint64_t start = s->text_bytes;
	ssize_t n;

	while ((n = read_some(fd, text + s->text_bytes, room(s, path))) > 0) {
		add_lines(s, &start, s->text_bytes + (uint64_t)n);
		progress_draw(p, s->text_bytes, expected_bytes);
	}
	if (n < 0)
		tool_die(TOOL_FAILED, "%s: %s", path, strerror(errno));
	if (start < s->text_bytes) {
		text[s->text_bytes] = '\n';
		add_lines(s, &start, s->text_bytes + 1);
	}
}

void sort_load(struct sorter *s, const char *path, struct progress *p,
	       uint64_t expected_bytes)
{
	int fd = STDIN_FILENO;

	if (strcmp(path, "-"))
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		tool_die(TOOL_FAILED, "%s: %s", path, strerror(errno));
	load_fd(s, fd, path, p, expected_bytes);
	if (fd != STDIN_FILENO)
		close(fd);
}
