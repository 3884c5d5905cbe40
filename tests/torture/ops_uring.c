/* SPDX-License-Identifier: MIT */
/*
 * torture/ops_uring.c - a ring of the program's own, whose transfers use frames
 * that are pinned meanwhile. The thread goes on with other pages until they
 * have ended.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/random.h"
#include "torture/ops.h"

_Atomic uint64_t transfers_done;

#ifdef HAVE_LIBURING

#include <liburing.h>

#define DEPTH 8

struct uring {
	struct io_uring ring;
	bool works; /* it may be forbidden here */
};

static void submit(struct uring *u, bool out, int fd, char *buf, off_t at)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	int r;

	live_check(sqe != NULL);
	if (out)
		io_uring_prep_write(sqe, fd, buf, LIVE_PAGE, (uint64_t)at);
	else
		io_uring_prep_read(sqe, fd, buf, LIVE_PAGE, (uint64_t)at);
	do
		r = io_uring_submit(&u->ring);
	while (r == -EINTR || r == -EAGAIN || r == -EBUSY);
	live_equal(r, 1);
}

/* n transfers of a page each have ended well. */
static void await(struct uring *u, unsigned n)
{
	struct io_uring_cqe *cqe;
	int r;

	while (n > 0) {
		r = io_uring_wait_cqe(&u->ring, &cqe);
		if (r == -EINTR)
			continue;
		live_equal(r, 0);
		live_equal(cqe->res, LIVE_PAGE);
		io_uring_cqe_seen(&u->ring, cqe);
		atomic_fetch_add(&transfers_done, 1);
		n--;
	}
}

/* All pages of a run, and some paging of another one meanwhile. */
static void transfer(struct worker *w, bool out, uint64_t run, off_t at)
{
	for (uint64_t i = 0; i < RUN_PAGES; i++)
		submit(w->uring, out, w->file, page_at(run + i),
		       at + (off_t)(i * LIVE_PAGE));
	shared_increment(&w->random);
	await(w->uring, RUN_PAGES);
}

static void op_uring(struct worker *w)
{
	uint64_t run = own_run(w), version;
	size_t bytes = RUN_PAGES * LIVE_PAGE;
	int r;

	if (!w->uring || !w->uring->works)
		return;
	for (uint64_t i = 0; i < RUN_PAGES; i++)
		page_scramble(run + i);
	r = vvm_pin(vm, live_addr(page_at(run)), bytes);
	version = r ? VERSION_ANY : ++w->next_version;
	if (r == 0) {
		for (uint64_t i = 0; i < RUN_PAGES; i++)
			page_fill(w->buffer + i * LIVE_PAGE, run + i, version);
		live_equal(pwrite(w->file, w->buffer, bytes, 0), bytes);
		transfer(w, false, run, 0);
		transfer(w, true, run, (off_t)bytes);
		live_ok(vvm_unpin(vm, live_addr(page_at(run)), bytes));
	} else {
		live_equal(r, -EAGAIN);
	}
	for (uint64_t i = 0; i < RUN_PAGES; i++)
		page_becomes(run + i, version);
	if (r)
		return;
	memset(w->buffer, 0, bytes);
	live_equal(pread(w->file, w->buffer, bytes, (off_t)bytes), bytes);
	for (uint64_t i = 0; i < RUN_PAGES; i++)
		words_verify((void *)(w->buffer + i * LIVE_PAGE), run + i,
			     version, "io_uring");
}

void uring_open(struct worker *w)
{
	w->uring = calloc(1, sizeof(*w->uring));
	live_check(w->uring != NULL);
	w->uring->works = io_uring_queue_init(DEPTH, &w->uring->ring, 0) == 0;
}

void uring_close(struct worker *w)
{
	if (w->uring->works)
		io_uring_queue_exit(&w->uring->ring);
	free(w->uring);
}

const struct op uring_ops[] = {
	{"io_uring", op_uring, 4, OP_NORMAL},
	{NULL, NULL, 0, OP_NORMAL},
};

#else

void uring_open(struct worker *w)
{
	(void)w;
}

void uring_close(struct worker *w)
{
	(void)w;
}

const struct op uring_ops[] = {{NULL, NULL, 0, OP_NORMAL}};

#endif
