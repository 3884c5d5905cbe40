/* SPDX-License-Identifier: MIT */
#include "torture/model.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "support/access.h"
#include "support/random.h"
#include "support/wait.h"

/* Longer than any access may wait for a frame, on an idle machine. */
#define FRAME_WAIT_MS 30000
#define BUSY_MS	      60000
#define FULL_WAIT_MS  100
#define UNTOUCHED     12345 /* errno around an access */
#define CHECKERS      8	    /* threads that look at all of it, at the end */

struct options option = {
	.seconds = 20, .threads = 8, .budget = 64, .size_mib = 16, .seed = 1};
struct model model;
__thread struct worker *self;

char *page_at(uint64_t page)
{
	return model.base + page * LIVE_PAGE;
}

uint64_t owner_of(uint64_t page)
{
	return page / RUN_PAGES % (uint64_t)option.threads;
}

uint64_t own_run(struct worker *w)
{
	uint64_t runs = model.pages / RUN_PAGES / (uint64_t)option.threads;
	uint64_t run =
		live_below(&w->random, runs) * (uint64_t)option.threads + w->id;

	return run * RUN_PAGES;
}

uint64_t own_page(struct worker *w)
{
	return own_run(w) + live_below(&w->random, RUN_PAGES);
}

/* ---- changes ---- */

void page_begin(uint64_t page, uint64_t version)
{
	atomic_store(&model.next[page], version);
	atomic_fetch_add(&model.turn[page], 1);
}

void page_end(uint64_t page)
{
	uint64_t next = atomic_load(&model.next[page]);

	if (next != VERSION_ANY)
		atomic_store(&model.version[page], next);
	atomic_fetch_add(&model.turn[page], 1);
}

void page_disturb(uint64_t page)
{
	page_begin(page, atomic_load(&model.version[page]));
}

void page_scramble(uint64_t page)
{
	page_begin(page, VERSION_ANY);
}

void page_becomes(uint64_t page, uint64_t version)
{
	atomic_store(&model.next[page], version);
	page_end(page);
}

/* ---- contents ---- */

/* In soft pages 8 words are the same: to a fifth under LZ4. */
static uint64_t stamp_of(uint64_t page, unsigned word, uint64_t version)
{
	if (option.soft)
		word &= ~7u;
	return version ? live_stamp(page * PAGE_WORDS + word, version) : 0;
}

void page_fill(void *to, uint64_t page, uint64_t version)
{
	volatile uint64_t *words = to;

	for (unsigned i = 0; i < PAGE_WORDS; i++)
		words[i] = stamp_of(page, i, version);
}

/* Did it fail as accesses do in a full run? Any other error is a violation. */
static bool no_frame(int error)
{
	if (error == 0)
		return false;
	if (!option.full || error != -VVM_ENOFRAME)
		live_fail("a checked access returns %d (%s)", error,
			  vvm_strerror(error));
	atomic_fetch_add(&model.no_frame, 1);
	return true;
}

bool page_read(uint64_t page, uint64_t words[PAGE_WORDS])
{
	const volatile uint64_t *from = (void *)page_at(page);

	if (option.full)
		return !no_frame(vvm_load(vm, live_addr(page_at(page)), words,
					  LIVE_PAGE));
	errno = UNTOUCHED;
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		words[i] = from[i];
	live_equal(errno, UNTOUCHED);
	return true;
}

void words_verify(const uint64_t *words, uint64_t page, uint64_t version,
		  const char *what)
{
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		if (words[i] != stamp_of(page, i, version))
			live_fail("page %llu, word %u (%s): %#llx is not of "
				  "version %llu",
				  (unsigned long long)page, i, what,
				  (unsigned long long)words[i],
				  (unsigned long long)version);
}

bool page_verify(uint64_t page)
{
	uint64_t words[PAGE_WORDS];

	if (!page_read(page, words))
		return false;
	words_verify(words, page, atomic_load(&model.version[page]), "owner");
	return true;
}

/* A store that has failed may have moved a part. */
static void forget_page(uint64_t page)
{
	live_ok(vvm_advise(vm, live_addr(page_at(page)), LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	atomic_store(&model.next[page], 0);
}

bool page_write(struct worker *w, uint64_t page)
{
	uint64_t version = ++w->next_version, words[PAGE_WORDS];

	page_begin(page, version);
	if (!option.full) {
		page_fill(page_at(page), page, version);
	} else {
		page_fill(words, page, version);
		atomic_store(&model.next[page], VERSION_ANY);
		if (!no_frame(vvm_store(vm, live_addr(page_at(page)), words,
					LIVE_PAGE)))
			atomic_store(&model.next[page], version);
		else
			forget_page(page);
	}
	page_end(page);
	return atomic_load(&model.version[page]) == version;
}

void page_peek(uint64_t page, unsigned word)
{
	uint32_t turn = atomic_load(&model.turn[page]);
	uint64_t version = atomic_load(&model.version[page]), value = 0;
	const uint64_t *at = (const uint64_t *)(void *)page_at(page) + word;
	int sig;

	if (turn % 2)
		return;
	sig = live_try_load(at, &value);
	if (atomic_load(&model.turn[page]) != turn)
		return;
	if (sig == SIGBUS && option.full)
		return;
	if (sig || value != stamp_of(page, word, version))
		live_fail("page %llu, word %u: signal %d, %#llx is not of "
			  "version %llu",
			  (unsigned long long)page, word, sig,
			  (unsigned long long)value,
			  (unsigned long long)version);
}

void shared_increment(uint64_t *random)
{
	uint64_t page = live_below(random, model.shared_pages);
	uint64_t *word = (uint64_t *)(void *)(model.shared + page * LIVE_PAGE) +
			 live_below(random, PAGE_WORDS);
	int sig = 0;

	if (option.full)
		sig = live_try_add(word, 1);
	else
		__atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
	if (sig == 0)
		atomic_fetch_add(&model.expected[page], 1);
	else
		live_equal(sig, SIGBUS);
}

void fixed_look(uint64_t *random)
{
	uint64_t page = live_below(random, FIXED_PAGES);
	unsigned word = (unsigned)live_below(random, PAGE_WORDS);
	const volatile uint64_t *at = (void *)(model.fixed + page * LIVE_PAGE);
	uint64_t value = at[word];

	if (value != live_stamp(page * PAGE_WORDS + word, 1))
		live_fail("fixed page %llu, word %u: %#llx",
			  (unsigned long long)page, word,
			  (unsigned long long)value);
}

/* ---- in a fork child ---- */

void cut_check_page(uint64_t page)
{
	uint64_t version = atomic_load(&model.version[page]);
	uint64_t next = atomic_load(&model.next[page]), value;
	bool moving = atomic_load(&model.turn[page]) % 2;

	if (moving && next == VERSION_ANY)
		return;
	for (unsigned i = 0; i < PAGE_WORDS; i++) {
		int sig = live_try_load(
			(const uint64_t *)(void *)page_at(page) + i, &value);

		if (sig == SIGSEGV && moving)
			return; /* its owner had taken the permission */
		if (sig == 0 && (value == stamp_of(page, i, version) ||
				 (moving && value == stamp_of(page, i, next))))
			continue;
		live_fail("in a child: page %llu, word %u: signal %d, %#llx "
			  "is not of version %llu%s",
			  (unsigned long long)page, i, sig,
			  (unsigned long long)value,
			  (unsigned long long)version,
			  moving ? ", nor the next" : "");
	}
}

/* A thread and the handlers in it may have added what is not yet counted. */
#define UNCOUNTED 4

void cut_check_shared(uint64_t page)
{
	const volatile uint64_t *words =
		(void *)(model.shared + page * LIVE_PAGE);
	uint64_t least = atomic_load(&model.expected[page]), sum = 0;

	for (unsigned i = 0; i < PAGE_WORDS; i++)
		sum += words[i];
	if (sum < least || sum > least + UNCOUNTED * (uint64_t)option.threads)
		live_fail("in a child: shared page %llu: %llu increments of "
			  "%llu",
			  (unsigned long long)page, (unsigned long long)sum,
			  (unsigned long long)least);
}

/* ---- beginning and end ---- */

/* The children of who was killed just now may still be about to let go of it. */
static bool swap_is_busy(const struct vvm_options *o)
{
	int rc = vvm_open(&vm, o);

	if (rc != -EBUSY)
		live_ok(rc);
	return rc == -EBUSY;
}

static void open_space(void)
{
	struct vvm_options o;

	live_options(&o, (uint64_t)option.budget);
	o.fork = option.inherit ? VVM_FORK_INHERIT : VVM_FORK_DIE;
	o.stat_segment = option.stat;
	o.frame_wait_ms =
		option.full ? FULL_WAIT_MS : wait_scaled(FRAME_WAIT_MS);
	live_wait(!swap_is_busy(&o), BUSY_MS);
	atomic_store(&model.budget, (uint64_t)option.budget);
}

static void fix_pages(void)
{
	model.fixed = live_map(vm, FIXED_PAGES, LIVE_RW);
	for (uint64_t page = 0; page < FIXED_PAGES; page++)
		live_fill(model.fixed + page * LIVE_PAGE, page, 1);
	live_ok(vvm_protect(vm, live_addr(model.fixed), FIXED_PAGES * LIVE_PAGE,
			    VVM_READ));
}

void model_open(void)
{
	open_space();
	model.pages = (uint64_t)option.size_mib * 256;
	model.shared_pages = model.pages / 16 + 1;
	model.base = live_map(vm, model.pages, LIVE_RW);
	model.shared = live_map(vm, model.shared_pages, LIVE_RW);
	model.version = calloc(model.pages, sizeof(*model.version));
	model.next = calloc(model.pages, sizeof(*model.next));
	model.turn = calloc(model.pages, sizeof(*model.turn));
	model.expected = calloc(model.shared_pages, sizeof(*model.expected));
	live_check(model.version && model.next && model.turn && model.expected);
	if (!option.full) /* by plain accesses */
		fix_pages();
}

static void check_shared_words(const uint64_t *words, uint64_t page)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < PAGE_WORDS; i++)
		sum += words[i];
	if (sum != atomic_load(&model.expected[page]))
		live_fail("shared page %llu: %llu increments of %llu",
			  (unsigned long long)page, (unsigned long long)sum,
			  (unsigned long long)model.expected[page]);
}

/* Every CHECKERS-th page: each is waited for. */
static void *check_some(void *arg)
{
	for (uint64_t i = (uintptr_t)arg; i < model.pages; i += CHECKERS)
		page_verify(i);
	for (uint64_t i = (uintptr_t)arg; i < model.shared_pages; i += CHECKERS)
		check_shared_words((void *)(model.shared + i * LIVE_PAGE), i);
	return NULL;
}

static void check_all(void)
{
	pthread_t thread[CHECKERS];

	for (uintptr_t i = 0; i < CHECKERS; i++)
		live_equal(
			pthread_create(&thread[i], NULL, check_some, (void *)i),
			0);
	for (uintptr_t i = 0; i < CHECKERS; i++)
		live_equal(pthread_join(thread[i], NULL), 0);
}

/*
 * All frames may hold what swap has no room for. So what is resident is looked
 * at first, and discarded, which makes room for the others. Returns how many
 * are still to be seen.
 */
static uint64_t check_full_once(bool *seen, bool resident)
{
	uint64_t left = 0, words[PAGE_WORDS];

	for (uint64_t i = 0; i < model.pages + model.shared_pages; i++) {
		bool own = i < model.pages;
		uint64_t page = own ? i : i - model.pages;
		char *at =
			own ? page_at(page) : model.shared + page * LIVE_PAGE;

		if (seen[i])
			continue;
		if ((resident && !(live_flags(vm, at) & VVM_PAGE_RESIDENT)) ||
		    no_frame(vvm_load(vm, live_addr(at), words, LIVE_PAGE))) {
			left++;
			continue;
		}
		if (own)
			words_verify(words, page,
				     atomic_load(&model.version[page]), "end");
		else
			check_shared_words(words, page);
		live_ok(vvm_advise(vm, live_addr(at), LIVE_PAGE,
				   VVM_ADV_DONTNEED));
		seen[i] = true;
	}
	return left;
}

static void check_full(void)
{
	uint64_t all = model.pages + model.shared_pages, left, before;
	bool *seen = calloc(all, sizeof(*seen));

	live_check(seen != NULL);
	left = check_full_once(seen, true);
	do {
		before = left;
		left = check_full_once(seen, false);
	} while (left && left < before);
	live_equal(left, 0);
	free(seen);
}

void model_close(void)
{
	if (option.full)
		check_full();
	else
		check_all();
	live_equal(live_stats(vm).pinned_pages, 0);
	live_ok(vvm_close(vm));
	free((void *)model.version);
	free((void *)model.next);
	free((void *)model.turn);
	free((void *)model.expected);
}
