/* SPDX-License-Identifier: MIT */
#include "inject/pages.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "space/space.h"
#include "support/access.h"
#include "support/files.h"
#include "support/frames.h"
#include "support/random.h"
#include "support/wait.h"

#define WAIT_MS	 20 /* for a frame */
#define FAILURES 2  /* then nothing is tried any more: each takes WAIT_MS */
#define LIMIT_MS 10000

void pages_options(struct vvm_options *o, enum vvm_fork fork)
{
	live_options(o, PAGES_BUDGET);
	o->swap_path = live_dir;
	o->swap_limit_bytes = 4 << 20;
	o->io = walk.io;
	o->fork = fork;
	o->frame_wait_ms = WAIT_MS;
	o->handlers = 2;
	o->spin_us = 0;
}

void pages_open(enum vvm_fork fork)
{
	struct vvm_options o;

	pages_options(&o, fork);
	vm = NULL;
	live_ok(vvm_open(&vm, &o));
}

/* Nobody is left who needs any of it. */
static bool is_empty(void)
{
	struct vvm_stats st = live_stats(vm);

	return !st.resident_pages && !st.dirty_pages && !st.swapped_pages &&
	       !st.swap_used_pages && !st.swap_held_pages &&
	       !st.fork_snapshots && !st.pinned_pages && !st.filling_pages &&
	       !st.writing_pages && !st.waiting_faults &&
	       !live_frames(vm->memfd);
}

/* While no actor has anything in hand. */
static void check_space(void)
{
	unsigned i;

	pause_request(&vm->pause);
	for (i = 0; i < vm->handler_count; i++)
		os_eventfd_signal(vm->port[i].event);
	os_eventfd_signal(vm->reclaim_event);
	live_check(pause_wait(&vm->pause, wait_scaled(LIMIT_MS) * 1000));
	space_check(vm);
	pause_resume(&vm->pause);
}

void pages_close(void)
{
	check_space();
	live_ok(vvm_unmap(vm, 0, LIVE_GUEST));
	live_wait(is_empty(), LIMIT_MS);
	live_equal(live_stats(vm).regions, 0);
	live_equal(live_stats(vm).mapped_bytes, 0);
	live_ok(vvm_close(vm));
	vm = NULL;
}

void pages_map(struct pages *p, unsigned count)
{
	live_check(count <= PAGES_MOST);
	memset(p, 0, sizeof(*p));
	p->base = live_map(vm, count, LIVE_RW);
	p->count = count;
}

void pages_zero(struct pages *p, unsigned first, unsigned n)
{
	memset(p->word[first], 0, n * sizeof(p->word[0]));
}

static char *place(const struct pages *p, unsigned i, unsigned word)
{
	return p->base + i * LIVE_PAGE + (word ? LIVE_PAGE - 16 : 8);
}

/* An access has failed, by this signal. */
static void failed(struct pages *p, int sig)
{
	live_equal(sig, SIGBUS);
	p->failures++;
}

void pages_write(struct pages *p, unsigned i, unsigned version)
{
	unsigned w;
	int sig;

	for (w = 0; w < PAGES_WORDS && p->failures < FAILURES; w++) {
		uint64_t value = live_stamp(i * PAGES_WORDS + w, version);

		sig = live_try_store(place(p, i, w), value);
		if (sig)
			failed(p, sig);
		else
			p->word[i][w] = value;
	}
}

void pages_write_all(struct pages *p, unsigned version)
{
	unsigned i;

	for (i = 0; i < p->count; i++)
		if (!p->gone[i])
			pages_write(p, i, version);
}

/* On a loaded machine a frame may take longer than WAIT_MS. */
static void write_surely(struct pages *p, unsigned i, unsigned w,
			 uint64_t value)
{
	uint64_t end = live_now_ms() + wait_scaled(LIMIT_MS);
	char *at = place(p, i, w);

	while (live_try_store(at, value)) {
		if (live_flags(vm, p->base + i * LIVE_PAGE) & VVM_PAGE_POISONED)
			live_fail("page %u is lost", i);
		if (live_now_ms() > end)
			live_fail("page %u cannot be written to", i);
		live_nap_us(1000);
	}
	p->word[i][w] = value;
}

void pages_fill(struct pages *p, unsigned version)
{
	unsigned i, w;

	p->failures = 0;
	for (i = 0; i < p->count; i++)
		for (w = 0; w < PAGES_WORDS; w++)
			write_surely(p, i, w,
				     live_stamp(i * PAGES_WORDS + w, version));
}

static void check_word(const struct pages *p, unsigned i, unsigned w,
		       uint64_t value)
{
	if (value != p->word[i][w])
		live_fail("page %u, word %u is %llx, not %llx", i, w,
			  (unsigned long long)value,
			  (unsigned long long)p->word[i][w]);
}

void pages_read(struct pages *p, unsigned i)
{
	uint64_t value;
	unsigned w;
	int sig;

	for (w = 0; w < PAGES_WORDS && p->failures < FAILURES; w++) {
		sig = live_try_load(place(p, i, w), &value);
		if (sig)
			failed(p, sig);
		else
			check_word(p, i, w, value);
	}
}

void pages_read_all(struct pages *p)
{
	unsigned i;

	for (i = 0; i < p->count; i++)
		if (!p->gone[i])
			pages_read(p, i);
}

/*
 * What swap does not give back for ever, or what a child cannot read of its
 * parent's frames, is poisoned; nothing else is.
 */
static bool may_be_lost(void)
{
	return walk.forever &&
	       (walk.point == OS_pread || walk.point == OS_frame_read);
}

/* The page is there again; or it is lost, by right. */
static bool readable(const struct pages *p, unsigned i)
{
	uint64_t value, end = live_now_ms() + wait_scaled(LIMIT_MS);
	char *at = p->base + i * LIVE_PAGE;

	while (live_try_load(at, &value)) {
		if (live_flags(vm, at) & VVM_PAGE_POISONED) {
			if (may_be_lost())
				return false;
			live_fail("page %u is lost", i);
		}
		if (live_now_ms() > end)
			live_fail("page %u is never readable again", i);
		live_nap_us(1000);
	}
	return true;
}

static void verify_page(const struct pages *p, unsigned i)
{
	uint64_t page[LIVE_PAGE / 8],
		end = live_now_ms() + wait_scaled(LIMIT_MS);
	unsigned w, other = 0;
	int rc;

	do
		rc = vvm_load(vm, live_addr(p->base + i * LIVE_PAGE), page,
			      sizeof(page));
	while (rc == -VVM_ENOFRAME && live_now_ms() < end);
	live_ok(rc);
	for (w = 0; w < LIVE_LEN(page); w++)
		other += w != 1 && w != LIVE_LEN(page) - 2 && page[w];
	check_word(p, i, 0, page[1]);
	check_word(p, i, 1, page[LIVE_LEN(page) - 2]);
	if (other)
		live_fail("page %u has %u words that nobody wrote", i, other);
}

void pages_verify(struct pages *p)
{
	unsigned i;

	for (i = 0; i < p->count; i++)
		if (!p->gone[i] && readable(p, i))
			verify_page(p, i);
	live_check(may_be_lost() || !live_stats(vm).poisoned_pages);
	live_check(live_stats(vm).peak_pages <= PAGES_BUDGET ||
		   live_stats(vm).budget_pages != PAGES_BUDGET);
}

void pages_push_out(struct pages *p)
{
	struct pages other;
	unsigned round = 1;

	pages_map(&other, PAGES_MOST);
	do
		pages_fill(&other, round);
	while (live_count_flags(vm, p->base, p->count, VVM_PAGE_RESIDENT) &&
	       ++round < 50);
	live_check(round < 50);
	live_ok(vvm_unmap(vm, live_addr(other.base), PAGES_MOST * LIVE_PAGE));
}

void pages_allow(const char *call, int rc, const int *errors)
{
	for (; rc && *errors; errors++)
		if (rc == -*errors)
			return;
	if (rc)
		live_fail("%s returns %d (%s)", call, rc, vvm_strerror(rc));
}
