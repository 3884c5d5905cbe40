/* SPDX-License-Identifier: MIT */
/*
 * torture/ops_kernel.c - buffers of system calls: pipes, sockets, files,
 * vectors, and direct I/O on what is pinned. In thread mode they work as on any
 * memory, and are expected to move everything at once. In inline mode a page
 * that is not there is EFAULT: it is touched before, and again as often as it
 * has gone meanwhile, or pinned.
 *
 * Each way is tried with a new version of a page, which comes from memory that
 * is not paged, and back into such memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/random.h"
#include "torture/ops.h"

typedef ssize_t (*move_fn)(int fd, char *buf, size_t bytes);

static ssize_t move_read(int fd, char *buf, size_t bytes)
{
	return read(fd, buf, bytes);
}

static ssize_t move_write(int fd, char *buf, size_t bytes)
{
	return write(fd, buf, bytes);
}

static ssize_t move_recv(int fd, char *buf, size_t bytes)
{
	return recv(fd, buf, bytes, MSG_WAITALL);
}

static ssize_t move_send(int fd, char *buf, size_t bytes)
{
	return send(fd, buf, bytes, 0);
}

/* All of a page that the call reads, or writes (how), and no less. */
static void move_page(move_fn move, int fd, char *page, enum vvm_touch how)
{
	size_t done = 0;
	ssize_t r;

	while (done < LIVE_PAGE) {
		if (live_inline())
			live_ok(vvm_touch(vm, live_addr(page), LIVE_PAGE, how));
		r = move(fd, page + done, LIVE_PAGE - done);
		if (r < 0 &&
		    (errno == EINTR || (errno == EFAULT && live_inline())))
			continue;
		if (r <= 0)
			live_fail("a system call on a paged buffer: %s",
				  r ? strerror(errno) : "end of file");
		done += (size_t)r;
	}
}

/* The same of memory that is not paged. */
static void move_plain(move_fn move, int fd, char *buf, size_t bytes)
{
	size_t done = 0;
	ssize_t r;

	while (done < bytes) {
		r = move(fd, buf + done, bytes - done);
		if (r < 0 && errno == EINTR)
			continue;
		live_check(r > 0);
		done += (size_t)r;
	}
}

/* A new version comes into a page by `in`, and out of it by `out`. */
static void through(struct worker *w, const int fd[2], move_fn in, move_fn out)
{
	uint64_t page = own_page(w), version = ++w->next_version;

	page_fill(w->buffer, page, version);
	page_scramble(page);
	move_plain(out, fd[1], w->buffer, LIVE_PAGE);
	move_page(in, fd[0], page_at(page), VVM_TOUCH_WRITE);
	page_becomes(page, version);
	page_verify(page);
	move_page(out, fd[1], page_at(page), VVM_TOUCH_READ);
	move_plain(in, fd[0], w->buffer, LIVE_PAGE);
	words_verify((void *)w->buffer, page, version, "system call");
}

static void op_pipe(struct worker *w)
{
	through(w, w->pipe, move_read, move_write);
}

static void op_socket(struct worker *w)
{
	through(w, w->socket, move_recv, move_send);
}

/* ---- whole runs ---- */

/* false: as much is pinned as may be. */
static bool pin_run(uint64_t run)
{
	int r = vvm_pin(vm, live_addr(page_at(run)), RUN_PAGES * LIVE_PAGE);

	if (r == -EAGAIN)
		return false;
	live_ok(r);
	return true;
}

static void unpin_run(uint64_t run)
{
	live_ok(vvm_unpin(vm, live_addr(page_at(run)), RUN_PAGES * LIVE_PAGE));
}

/* The next version of a run, in memory that is not paged. */
static uint64_t prepare_run(struct worker *w, uint64_t run)
{
	uint64_t version = ++w->next_version;

	for (uint64_t i = 0; i < RUN_PAGES; i++)
		page_fill(w->buffer + i * LIVE_PAGE, run + i, version);
	return version;
}

static void scramble_run(uint64_t run)
{
	for (uint64_t i = 0; i < RUN_PAGES; i++)
		page_scramble(run + i);
}

static void finish_run(uint64_t run, uint64_t version)
{
	for (uint64_t i = 0; i < RUN_PAGES; i++)
		page_becomes(run + i, version);
}

static void verify_buffer(struct worker *w, uint64_t run, uint64_t version)
{
	for (uint64_t i = 0; i < RUN_PAGES; i++)
		words_verify((void *)(w->buffer + i * LIVE_PAGE), run + i,
			     version, "system call");
}

static void give_up_run(uint64_t run)
{
	for (uint64_t i = 0; i < RUN_PAGES; i++)
		page_end(run + i);
}

/* Page i of the run is page i of the file, and the vector goes backwards. */
static void op_vector(struct worker *w)
{
	uint64_t run = own_run(w), version;
	ssize_t bytes = RUN_PAGES * LIVE_PAGE;
	struct iovec paged[RUN_PAGES], plain[RUN_PAGES];

	for (uint64_t i = 0; i < RUN_PAGES; i++) {
		uint64_t at = RUN_PAGES - 1 - i;

		paged[i] = (struct iovec){page_at(run + at), LIVE_PAGE};
		plain[i] =
			(struct iovec){w->buffer + at * LIVE_PAGE, LIVE_PAGE};
	}
	scramble_run(run);
	if (live_inline() && !pin_run(run)) {
		give_up_run(run);
		return;
	}
	version = prepare_run(w, run);
	live_equal(pwritev(w->cached, plain, RUN_PAGES, 0), bytes);
	live_equal(preadv(w->cached, paged, RUN_PAGES, 0), bytes);
	live_equal(pwritev(w->cached, paged, RUN_PAGES, bytes), bytes);
	memset(w->buffer, 0, (size_t)bytes);
	live_equal(preadv(w->cached, plain, RUN_PAGES, bytes), bytes);
	if (live_inline())
		unpin_run(run);
	finish_run(run, version);
	verify_buffer(w, run, version);
	page_verify(run + RUN_PAGES - 1);
}

/* The device reads and writes the frames themselves. */
static void op_direct(struct worker *w)
{
	uint64_t run = own_run(w), version;
	size_t bytes = RUN_PAGES * LIVE_PAGE;
	char *paged = page_at(run);

	scramble_run(run);
	if (!pin_run(run)) {
		give_up_run(run);
		return;
	}
	version = prepare_run(w, run);
	live_equal(pwrite(w->file, w->buffer, bytes, 0), bytes);
	live_equal(pread(w->file, paged, bytes, 0), bytes);
	live_equal(pwrite(w->file, paged, bytes, (off_t)bytes), bytes);
	unpin_run(run);
	finish_run(run, version);
	memset(w->buffer, 0, bytes);
	live_equal(pread(w->file, w->buffer, bytes, (off_t)bytes), bytes);
	verify_buffer(w, run, version);
	page_verify(run);
}

/* ---- what they use ---- */

/* A file without a name, past the page cache where the file system allows. */
static int open_file(int direct)
{
	int flags = O_RDWR | O_TMPFILE | O_CLOEXEC;
	int fd = open("/var/tmp", flags | direct, 0600);

	if (fd < 0)
		fd = open("/var/tmp", flags, 0600);
	live_check(fd >= 0);
	return fd;
}

void kernel_open(struct worker *w)
{
	size_t bytes = RUN_PAGES * LIVE_PAGE;

	w->buffer = aligned_alloc(LIVE_PAGE, bytes);
	live_check(w->buffer != NULL);
	live_ok(pipe2(w->pipe, O_CLOEXEC));
	live_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->socket));
	w->cached = open_file(0);
	w->file = open_file(O_DIRECT);
}

void kernel_close(struct worker *w)
{
	const int fds[] = {w->pipe[0],	 w->pipe[1], w->socket[0],
			   w->socket[1], w->cached,  w->file};

	for (size_t i = 0; i < LIVE_LEN(fds); i++)
		close(fds[i]);
	free(w->buffer);
}

const struct op kernel_ops[] = {
	{"pipe", op_pipe, 20, OP_NORMAL},
	{"socket", op_socket, 20, OP_NORMAL},
	{"vector", op_vector, 5, OP_NORMAL},
	{"direct", op_direct, 3, OP_NORMAL},
	{NULL, NULL, 0, OP_NORMAL},
};
