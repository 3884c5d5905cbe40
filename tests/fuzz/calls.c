/* SPDX-License-Identifier: MIT */
/*
 * fuzz/calls.c - sequences of the calls of <vvm.h>, against a flat model: of
 * each page whether it is mapped, with which permissions, how often it is
 * pinned, and all its bytes.
 *
 * An input chooses the fault mode, a budget of a few pages, and whether a second
 * thread works beside the first, each on *windows* of guest addresses of its
 * own: at 0, over the border of a block, at the end of the 48 bits, at a host
 * address of our choice, and anywhere. The rest are orders: map, unmap,
 * protect, advise, touch, pin, unpin, query, load, store, plain accesses, resize,
 * with ranges and arguments of all kinds, and damage to the swap file.
 *
 * Compared: each result with the set of errors that vvm.h has for the state of
 * the model, 0 if that is empty; what is loaded; at the end all bytes, and that
 * nothing is left in the space. After damage a page may be poisoned instead,
 * but never wrong.
 */
#define _GNU_SOURCE 1
#include "fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "support/access.h"
#include "support/sanitizer.h"
#include "vvm.h"

#define PAGE	  ((uint64_t)VVM_PAGE_SIZE)
#define PAGES	  20u /* of a window */
#define WINDOWS	  5u  /* of a thread */
#define THREADS	  2u
#define TOP	  ((uint64_t)1 << VVM_ADDRESS_BITS)
#define BYTES_MAX (3 * PAGE)
#define RW	  (VVM_READ | VVM_WRITE)

struct page {
	bool mapped;
	bool unknown; /* content: a store was cut short by poison */
	uint8_t prot;
	uint16_t pins;
	char bytes[VVM_PAGE_SIZE];
};

enum where { GUEST, HOST, ANYWHERE };

struct window {
	uint64_t base;
	enum where where;
	struct page page[PAGES];
};

struct actor {
	struct window window[WINDOWS];
	struct fuzz_input in;
	uint64_t stamp;
};

static struct actor actor[THREADS];
static struct vvm *space[2], *vm; /* by mode; the one of this input */
static int swap_file[2] = {-1, -1};
static unsigned mode, budget;
static bool two;	     /* threads */
static _Atomic bool damaged; /* the swap file */

/* Where a window is that has not been mapped anywhere yet: nothing is. */
#define NOWHERE(t) (0xa00000000000 + (t)*0x10000000000)

static const uint64_t bases[THREADS][WINDOWS] = {
	{0, ((uint64_t)1 << 30) - 10 * PAGE, TOP - PAGES *PAGE, 0x300000000000,
	 NOWHERE(0)},
	{0x10000000000, 0x20000000000 - 7 * PAGE, 0x7ffffffff000,
	 0x310000000000, NOWHERE(1)},
};

/* ---- a range, and what may be said of it ---- */

struct range {
	struct window *w;
	uint64_t addr, len; /* bytes, as they are passed on */
	unsigned first, n;  /* pages: those of [addr, addr + len) */
	bool odd;	    /* -EINVAL of all that want whole pages */
	bool outside;	    /* it leaves the window */
};

enum error_bit {
	UNMAPPED = 1,
	PAST_END = 2,
	NO_READ = 4,
	NO_WRITE = 8,
	NO_EXEC = 16,
	IS_PINNED = 32,
	NOT_PINNED = 64,
	IS_MAPPED = 128
};

static unsigned errors_of(const struct range *r)
{
	unsigned bits = r->outside ? UNMAPPED | PAST_END | NOT_PINNED : 0, i;

	for (i = r->first; i < r->first + r->n && i < PAGES; i++) {
		const struct page *p = &r->w->page[i];

		if (!p->mapped) {
			bits |= i == r->first ? UNMAPPED : PAST_END;
			bits |= NOT_PINNED;
			continue;
		}
		bits |= IS_MAPPED;
		bits |= p->prot & VVM_READ ? 0 : NO_READ;
		bits |= p->prot & VVM_WRITE ? 0 : NO_WRITE;
		bits |= p->prot & VVM_EXEC ? 0 : NO_EXEC;
		bits |= p->pins ? IS_PINNED : NOT_PINNED;
	}
	return bits;
}

/* One of those in the set, or 0 if that is empty. */
static void must_be(int rc, unsigned bits, unsigned relevant)
{
	bits &= relevant;
	if (damaged && rc == -VVM_EPOISON)
		return;
	switch (rc) {
	case 0:
		MUST_EQ(bits, 0);
		return;
	case -VVM_EUNMAPPED:
		MUST(bits & (UNMAPPED | PAST_END));
		return;
	case -VVM_EPASTEND:
		MUST(bits & PAST_END);
		return;
	case -VVM_ENOREAD:
		MUST(bits & NO_READ);
		return;
	case -VVM_ENOWRITE:
		MUST(bits & NO_WRITE);
		return;
	case -VVM_ENOEXEC:
		MUST(bits & NO_EXEC);
		return;
	case -EBUSY:
		MUST(bits & IS_PINNED);
		return;
	case -EEXIST:
		MUST(bits & IS_MAPPED);
		return;
	case -EINVAL:
		MUST(bits & NOT_PINNED);
		return;
	default:
		fprintf(stderr, "unexpected error %d\n", rc);
		abort();
	}
}

/* What lies behind a window that is anywhere may be another's. */
static void read_range(struct actor *a, struct range *r)
{
	unsigned how = fuzz_below(&a->in, 40);

	r->w = &a->window[fuzz_below(&a->in, WINDOWS)];
	r->first = fuzz_below(&a->in, PAGES);
	r->n = 1 + fuzz_below(&a->in, 6);
	if (how == 9 && r->w->where == ANYWHERE)
		how = 8;
	if (how == 9)
		r->n = PAGES + 1; /* past the window's end */
	else if (r->n > PAGES - r->first)
		r->n = PAGES - r->first;
	r->addr = r->w->base + r->first * PAGE;
	r->len = r->n * PAGE - (how == 1 ? 100 : 0);
	r->outside = r->first + r->n > PAGES;
	r->odd = how < 1 || how == 2 || how == 3 || r->addr + r->len > TOP;
	if (how == 0)
		r->addr += 8;
	else if (how == 2)
		r->len = 0;
	else if (how == 3)
		r->len = UINT64_MAX - 5;
}

/* ---- mapping ---- */

static void clear(struct page *p)
{
	memset(p->bytes, 0, sizeof(p->bytes));
	p->unknown = false;
}

/* Who may write may read. */
static uint8_t effective(unsigned prot)
{
	return (uint8_t)(prot & VVM_WRITE ? prot | VVM_READ : prot);
}

static void model_map(const struct range *r, unsigned prot)
{
	unsigned i;

	for (i = r->first; i < r->first + r->n; i++) {
		struct page *p = &r->w->page[i];

		p->mapped = true;
		p->prot = effective(prot);
		p->pins = 0;
		clear(p);
	}
}

static bool window_is_empty(const struct window *w)
{
	unsigned i;

	for (i = 0; i < PAGES; i++)
		if (w->page[i].mapped)
			return false;
	return true;
}

/* All of the window, which else could get pages of others into its holes. */
static void whole(struct range *r)
{
	r->first = 0;
	r->n = PAGES;
	r->addr = r->w->base;
	r->len = PAGES * PAGE;
	r->odd = r->outside = false;
}

static void map_anywhere(struct range *r, unsigned prot)
{
	uint64_t at = VVM_ANYWHERE;

	if (!window_is_empty(r->w))
		return;
	whole(r);
	MUST_EQ(vvm_map(vm, &at, r->len, prot, "anywhere"), 0);
	MUST(vvm_ptr(vm, at) == (void *)at);
	r->w->base = at;
	model_map(r, prot);
}

static void do_map(struct actor *a, struct range *r)
{
	unsigned prot = fuzz_below(&a->in, 9), bits = errors_of(r);
	uint64_t at = r->addr;
	int rc;

	prot = prot == 8 ? 8 : prot | (fuzz_byte(&a->in) & 3);
	if (r->w->where == ANYWHERE) {
		map_anywhere(r, prot & 7);
		return;
	}
	if (r->outside)
		return; /* it would be mapped */
	if (r->w->where == HOST)
		rc = vvm_map_at(vm, (void *)r->addr, r->len, prot, "host");
	else
		rc = vvm_map(vm, &at, r->len, prot, "guest");
	if (r->odd || prot & 8) {
		MUST_EQ(rc, -EINVAL);
		return;
	}
	must_be(rc, bits, IS_MAPPED);
	MUST(at == r->addr);
	if (rc == 0)
		model_map(r, prot);
}

static void do_unmap(struct range *r)
{
	unsigned bits, i;
	int rc;

	if (r->w->where == ANYWHERE)
		whole(r);
	bits = errors_of(r);
	rc = vvm_unmap(vm, r->addr, r->len);
	if (r->odd) {
		MUST_EQ(rc, -EINVAL);
		return;
	}
	must_be(rc, bits, IS_PINNED);
	for (i = r->first; rc == 0 && i < r->first + r->n && i < PAGES; i++)
		r->w->page[i].mapped = false;
	if (r->w->where == ANYWHERE && window_is_empty(r->w))
		r->w->base = NOWHERE(r->w >= actor[1].window);
}

static void do_protect(struct actor *a, const struct range *r)
{
	unsigned prot = fuzz_below(&a->in, 9), bits = errors_of(r), i;
	int rc;

	prot = prot < 4 ? RW : prot;
	rc = vvm_protect(vm, r->addr, r->len, prot);
	if (r->odd || prot & 8) {
		MUST_EQ(rc, -EINVAL);
		return;
	}
	must_be(rc, bits, UNMAPPED | PAST_END);
	for (i = r->first; rc == 0 && i < r->first + r->n; i++)
		r->w->page[i].prot = effective(prot);
}

static void do_advise(struct actor *a, const struct range *r)
{
	static const enum vvm_advice all[] = {
		VVM_ADV_NORMAL,	  VVM_ADV_RANDOM,   VVM_ADV_SEQUENTIAL,
		VVM_ADV_WILLNEED, VVM_ADV_DONTNEED, VVM_ADV_DONTNEED,
		VVM_ADV_COLD,	  VVM_ADV_COLD,	    VVM_ADV_COLD + 1,
	};
	enum vvm_advice advice = all[fuzz_below(&a->in, ARRAY_SIZE(all))];
	bool void_it = advice == VVM_ADV_DONTNEED;
	unsigned bits = errors_of(r), i;
	int rc = vvm_advise(vm, r->addr, r->len, advice);

	if (r->odd || advice > VVM_ADV_COLD) {
		MUST_EQ(rc, -EINVAL);
		return;
	}
	must_be(rc, bits, UNMAPPED | PAST_END | (void_it ? IS_PINNED : 0));
	for (i = r->first; void_it && rc == 0 && i < r->first + r->n; i++)
		clear(&r->w->page[i]);
}

/* ---- residency ---- */

static void do_touch(struct actor *a, const struct range *r)
{
	bool write = fuzz_byte(&a->in) & 1;
	unsigned bits = errors_of(r);
	int rc = vvm_touch(vm, r->addr, r->len,
			   write ? VVM_TOUCH_WRITE : VVM_TOUCH_READ);

	if (r->odd) {
		MUST_EQ(rc, -EINVAL);
		return;
	}
	must_be(rc, bits, UNMAPPED | PAST_END | (write ? NO_WRITE : NO_READ));
}

static unsigned pinned_pages(void)
{
	unsigned t, w, i, n = 0;

	for (t = 0; t < THREADS; t++)
		for (w = 0; w < WINDOWS; w++)
			for (i = 0; i < PAGES; i++)
				n += actor[t].window[w].page[i].mapped &&
				     actor[t].window[w].page[i].pins;
	return n;
}

/* As many frames must stay unpinned. */
static unsigned reserve(void)
{
	return budget < 16 ? budget - budget / 2 : 8;
}

static void do_pin(const struct range *r)
{
	unsigned bits = errors_of(r), i, fresh = 0;
	bool room;
	int rc;

	for (i = r->first; i < r->first + r->n && i < PAGES; i++)
		fresh += r->w->page[i].mapped && !r->w->page[i].pins;
	room = two || pinned_pages() + fresh + reserve() <= budget;
	rc = vvm_pin(vm, r->addr, r->len);
	if (r->odd) {
		MUST_EQ(rc, -EINVAL);
		return;
	}
	if (rc == -EAGAIN) {
		MUST(two || !room);
		return;
	}
	MUST(rc || room);
	must_be(rc, bits, UNMAPPED | PAST_END | NO_READ);
	for (i = r->first; rc == 0 && i < r->first + r->n; i++)
		r->w->page[i].pins++;
}

static void do_unpin(const struct range *r)
{
	unsigned bits = errors_of(r), i;
	int rc = vvm_unpin(vm, r->addr, r->len);

	if (r->odd) {
		MUST_EQ(rc, -EINVAL);
		return;
	}
	must_be(rc, bits, NOT_PINNED);
	for (i = r->first; rc == 0 && i < r->first + r->n; i++)
		r->w->page[i].pins--;
}

static void do_residency(const struct range *r)
{
	unsigned char flags[PAGES + 8];
	unsigned bits = errors_of(r), i;
	int rc;

	if (r->len > PAGES * PAGE && !r->odd)
		return;
	rc = vvm_residency(vm, r->addr, r->len, flags);
	if (r->odd) {
		MUST_EQ(rc, -EINVAL);
		return;
	}
	must_be(rc, bits, UNMAPPED | PAST_END);
	for (i = 0; rc == 0 && i < r->n; i++) {
		bool pinned = r->w->page[r->first + i].pins;

		MUST(!(flags[i] & VVM_PAGE_PINNED) == !pinned);
		MUST(!pinned || flags[i] & VVM_PAGE_RESIDENT);
		MUST(damaged || !(flags[i] & VVM_PAGE_POISONED));
	}
}

static void do_query(const struct range *r)
{
	uint64_t page = r->w->base + r->first * PAGE, back;
	const struct page *p = &r->w->page[r->first];
	struct vvm_region region;
	int rc = vvm_query(vm, page + 17, &region);
	char *ptr = vvm_ptr(vm, page);

	MUST(!ptr == !p->mapped);
	if (!p->mapped) {
		MUST(rc == -VVM_EUNMAPPED || region.start > page);
		return;
	}
	MUST_EQ(rc, 0);
	MUST(region.start <= page && region.end > page);
	MUST((char *)region.host + (page - region.start) == ptr);
	MUST_EQ(region.prot, p->prot);
	MUST_EQ(vvm_addr(vm, ptr + 5, &back), 0);
	MUST(back == page + 5);
}

/* ---- content ---- */

/* Bytes anywhere in the range of pages. */
static void cut(struct actor *a, struct range *r)
{
	unsigned at = fuzz_word(&a->in) % PAGE;

	r->n = r->n > 3 ? 3 : r->n;
	r->addr = r->w->base + r->first * PAGE + at;
	r->len = 1 + fuzz_word(&a->in) % (r->n * PAGE - at);
	r->n = (unsigned)((at + r->len + PAGE - 1) / PAGE);
	r->outside = r->first + r->n > PAGES;
}

static char *model_byte(const struct range *r, uint64_t i)
{
	uint64_t at = r->addr + i - r->w->base;

	return &r->w->page[at / PAGE].bytes[at % PAGE];
}

static void compare(const struct range *r, const char *got)
{
	uint64_t i;

	for (i = 0; i < r->len; i++)
		if (!r->w->page[(r->addr + i - r->w->base) / PAGE].unknown)
			MUST_EQ(got[i], *model_byte(r, i));
}

static void do_load(struct actor *a, struct range *r)
{
	char buf[BYTES_MAX];
	int rc;

	cut(a, r);
	rc = vvm_load(vm, r->addr, buf, r->len);
	must_be(rc, errors_of(r), UNMAPPED | PAST_END | NO_READ);
	if (rc == 0)
		compare(r, buf);
}

static void do_store(struct actor *a, struct range *r)
{
	char buf[BYTES_MAX];
	uint64_t i;
	int rc;

	cut(a, r);
	a->stamp = a->stamp * 6364136223846793005u + 1442695040888963407u;
	for (i = 0; i < r->len; i++)
		buf[i] = (char)(a->stamp >> 8 * (i % 7));
	rc = vvm_store(vm, r->addr, buf, r->len);
	must_be(rc, errors_of(r), UNMAPPED | PAST_END | NO_WRITE);
	for (i = 0; i < r->len; i++) {
		if (rc == 0)
			*model_byte(r, i) = buf[i];
		else if (rc == -VVM_EPOISON)
			r->w->page[(r->addr + i - r->w->base) / PAGE].unknown =
				true;
	}
}

static void do_fetch(struct actor *a, struct range *r)
{
	cut(a, r);
	must_be(vvm_fetch_check(vm, r->addr, r->len), errors_of(r),
		UNMAPPED | PAST_END | NO_EXEC);
}

/* By a pointer; a signal says no. */
static void do_access(struct actor *a, struct range *r)
{
	struct page *p = &r->w->page[r->first];
	unsigned word = fuzz_word(&a->in) % (PAGE / 8), what;
	char *ptr = vvm_ptr(vm, r->w->base + r->first * PAGE);
	uint64_t value = 0, model;
	int sig;

	what = fuzz_byte(&a->in);
	if (!p->mapped || p->prot == VVM_EXEC) /* readable, or not */
		return;
	memcpy(&model, p->bytes + 8 * word, 8);
	if (what & 1) {
		sig = live_try_store(ptr + 8 * word, what * 0x123456789abcd);
		if (sig == 0) {
			model = what * 0x123456789abcd;
			memcpy(p->bytes + 8 * word, &model, 8);
		}
		MUST_EQ(sig == SIGSEGV, !(p->prot & VVM_WRITE));
	} else {
		sig = live_try_load(ptr + 8 * word, &value);
		MUST(sig || p->unknown || value == model);
		MUST_EQ(sig == SIGSEGV, !(p->prot & RW));
	}
	if (sig == SIGBUS && !damaged) {
		unsigned char flags = 0;

		vvm_residency(vm, r->w->base + r->first * PAGE, PAGE, &flags);
		fprintf(stderr, "SIGBUS at %p, %s, flags %#x, mode %u\n",
			(void *)(ptr + 8 * word), what & 1 ? "store" : "load",
			flags, mode);
		abort();
	}
}

/* ---- the space ---- */

static void do_resize(struct actor *a)
{
	unsigned pages = 2 + fuzz_below(&a->in, 30);
	int rc;

	if (a != &actor[0])
		return;
	rc = vvm_resize(vm, pages * PAGE);
	MUST(rc == 0 || (rc == -EBUSY && (two || pinned_pages())));
	if (rc == 0)
		budget = pages;
	MUST_EQ(vvm_resize(vm, PAGE - 1), -EINVAL);
}

static void do_stats(void)
{
	struct vvm_stats s;

	MUST_EQ(vvm_stats(vm, &s, sizeof(s)), 0);
	MUST(s.resident_pages >= 0);
	MUST(two || s.resident_pages <= (int64_t)budget);
	MUST(two || s.pinned_pages == pinned_pages());
	MUST(two || s.budget_pages == budget);
}

/* A byte of a page of the swap file is another one now. */
static void do_damage(struct actor *a)
{
	off_t at = (off_t)((1 + fuzz_byte(&a->in)) * PAGE +
			   fuzz_word(&a->in) % PAGE);
	char byte;

	if (pread(swap_file[mode], &byte, 1, at) != 1)
		return;
	byte ^= 0x10;
	damaged = true;
	MUST_EQ(pwrite(swap_file[mode], &byte, 1, at), 1);
}

static void obey(struct actor *a)
{
	unsigned what = fuzz_below(&a->in, 36);
	struct range r;

	read_range(a, &r);
	if (what < 5)
		do_map(a, &r);
	else if (what < 7)
		do_unmap(&r);
	else if (what < 9)
		do_protect(a, &r);
	else if (what < 12)
		do_advise(a, &r);
	else if (what < 15)
		do_touch(a, &r);
	else if (what < 17)
		do_pin(&r);
	else if (what < 19)
		do_unpin(&r);
	else if (what == 19)
		do_residency(&r);
	else if (what == 20)
		do_query(&r);
	else if (what < 25)
		do_load(a, &r);
	else if (what < 29)
		do_store(a, &r);
	else if (what == 29)
		do_fetch(a, &r);
	else if (what < 34)
		do_access(a, &r);
	else if (what == 34)
		do_resize(a);
	else if (fuzz_byte(&a->in) < 40)
		do_damage(a);
	else
		do_stats();
}

/* ---- all of it ---- */

static void *work(void *arg)
{
	struct actor *a = arg;

	while (a->in.size)
		obey(a);
	return NULL;
}

static void check_window(struct window *w)
{
	char buf[VVM_PAGE_SIZE];
	struct range r = {.w = w, .len = PAGE, .n = 1};
	int rc;

	for (r.first = 0; r.first < PAGES; r.first++) {
		r.addr = w->base + r.first * PAGE;
		if (!w->page[r.first].mapped)
			continue;
		while (w->page[r.first].pins)
			do_unpin(&r);
		MUST_EQ(vvm_protect(vm, r.addr, PAGE, RW), 0);
		rc = vvm_load(vm, r.addr, buf, PAGE);
		MUST(rc == 0 || (damaged && rc == -VVM_EPOISON));
		if (rc == 0)
			compare(&r, buf);
	}
}

/* All is as the model has it, and can be taken down without a rest. */
static void finish(void)
{
	struct vvm_region region;
	struct vvm_stats s;
	unsigned t, w;

	for (t = 0; t < THREADS; t++)
		for (w = 0; w < WINDOWS; w++)
			check_window(&actor[t].window[w]);
	MUST_EQ(vvm_unmap(vm, 0, TOP), 0);
	MUST_EQ(vvm_query(vm, 0, &region), -VVM_EUNMAPPED);
	MUST_EQ(vvm_stats(vm, &s, sizeof(s)), 0);
	MUST_EQ(s.resident_pages, 0);
	MUST_EQ(s.mapped_bytes, 0);
	MUST_EQ(s.swap_used_pages, 0);
}

/* Of the mode of this input. False: there can be none. */
static bool open_space(void)
{
	const char *tmp = getenv("TMPDIR");
	struct vvm_options options;
	char dir[256], path[300];

	if (space[mode] || fuzz_refused)
		return !fuzz_refused;
	if (!space[!mode]) { /* before the library's own handlers */
		setenv("VVM_LOG", "none", 1);
		live_catch();
	}
	snprintf(dir, sizeof(dir), "%s/vvm-fuzz-calls.XXXXXX",
		 tmp ? tmp : "/var/tmp");
	MUST(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/swap", dir);
	MUST_EQ(vvm_options_init(&options), 0);
	options.swap_path = path;
	options.swap_direct = 0;
	options.stat_segment = 0;
	options.handlers = 1;
	options.spin_us = 0;
	options.resident_bytes = 64 * PAGE;
	options.fork = VVM_FORK_DIE;
	options.faults = mode ? VVM_FAULTS_INLINE : VVM_FAULTS_THREAD;
	fuzz_refused = vvm_open(&space[mode], &options) != 0;
	swap_file[mode] = open(path, O_RDWR | O_CLOEXEC);
	unlink(path);
	MUST_EQ(rmdir(dir), 0);
	return !fuzz_refused;
}

/* ThreadSanitizer has its own ideas of which host addresses there are. */
static const enum where where[WINDOWS] = {
	GUEST, GUEST, GUEST, LIVE_TSAN ? GUEST : HOST, ANYWHERE,
};

static void begin(struct fuzz_input *in)
{
	unsigned t, w;

	vm = space[mode];
	damaged = false;
	budget = 2 + fuzz_below(in, 24);
	MUST_EQ(vvm_resize(vm, budget * PAGE), 0);
	for (t = 0; t < THREADS; t++)
		for (w = 0; w < WINDOWS; w++) {
			struct window *at = &actor[t].window[w];

			at->base = bases[t][w];
			at->where = where[w];
			memset(at->page, 0, sizeof(at->page));
		}
	actor[0].in = *in;
	actor[1].in.size = 0;
	if (!two)
		return;
	actor[0].in.size /= 2;
	actor[1].in.data = in->data + actor[0].in.size;
	actor[1].in.size = in->size - actor[0].in.size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned how = fuzz_byte(&in);
	pthread_t thread;

	two = how & 2;
#ifdef __x86_64__
	mode = how & 1;
#endif
	if (!open_space())
		return 0;
	begin(&in);
	if (two)
		MUST_EQ(pthread_create(&thread, NULL, work, &actor[1]), 0);
	work(&actor[0]);
	if (two)
		MUST_EQ(pthread_join(thread, NULL), 0);
	finish();
	return 0;
}

const long fuzz_runs = 1000;

size_t fuzz_make(uint8_t *data, size_t most)
{
	return fuzz_make_bytes(data, 4, most < 250 ? most : 250);
}
