/* SPDX-License-Identifier: MIT */
/*
 * unit/trace.c - vvmstat's reader of recent faults: filters, and rings that
 * are written while they are read.
 */
#include "support/test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "util/log.h"
#include "os/os.h"
#include "stat/stat.h"
#include "vvmstat/trace.h"

static struct stats st;
static struct target target;
static struct trace tr;
static struct trace_filter filter;
static const char *bad;

static void setup(void)
{
	char reason[SEGMENT_REASON_BYTES];

	log_set_level(LOG_NONE);
	ck_assert_int_eq(stat_open(&st, true), 0);
	ck_assert_int_eq(target_open(&target, VVM_STAT_DIR, getpid(), reason),
			 0);
	trace_init(&tr);
	memset(&filter, 0, sizeof(filter));
}

static void teardown(void)
{
	trace_fini(&tr);
	target_close(&target);
	stat_close(&st);
}

/* Puts event number n: all its words follow from n. */
static void put(struct vvm_stat_actor *a, uint64_t n)
{
	struct stat_fault f = {.at.start_ns = 1000 + 2 * n,
			       .page = n << 12,
			       .flags = (unsigned)(n % VVM_STAT_KIND_COUNT),
			       .tid = (int)(n & 0xffffff)};

	if (n % 3 == 0)
		f.flags |= VVM_STAT_EVENT_WRITE;
	if (n % 5 == 0)
		f.flags |= VVM_STAT_EVENT_STALLED;
	stat_event(&st, a, &f, 1000 + 3 * n);
}

static void expect_event(const struct trace_event *e, uint64_t n)
{
	ck_assert_uint_eq(e->address, n << 12);
	ck_assert_uint_eq(e->time_ns, 1000 + 3 * n);
	ck_assert_uint_eq(e->latency_ns, n);
	ck_assert_uint_eq(e->tid, n & 0xffffff);
	ck_assert_uint_eq(e->kind, n % VVM_STAT_KIND_COUNT);
	ck_assert_int_eq(e->write, n % 3 == 0);
	ck_assert_int_eq(e->stalled, n % 5 == 0);
}

/* ---- rings ---- */

START_TEST(events_come_once_in_order_of_time)
{
	struct vvm_stat_actor *a = stat_actor(&st, VVM_STAT_HANDLER);
	struct vvm_stat_actor *b = stat_actor(&st, VVM_STAT_HANDLER);
	uint64_t n;

	ck_assert_int_eq(trace_read(&tr, &target), 0);
	ck_assert_uint_eq(tr.events, 0);
	for (n = 0; n < 100; n++)
		put(n % 7 ? a : b, n);
	ck_assert_int_eq(trace_read(&tr, &target), 0);
	ck_assert_uint_eq(tr.events, 100);
	for (n = 0; n < 100; n++)
		expect_event(&tr.event[n], n);
	ck_assert_int_eq(trace_read(&tr, &target), 0);
	ck_assert_uint_eq(tr.events, 0);
	put(a, 100);
	ck_assert_int_eq(trace_read(&tr, &target), 0);
	ck_assert_uint_eq(tr.events, 1);
	expect_event(&tr.event[0], 100);
	ck_assert_uint_eq(tr.lost, 0);
}
END_TEST

START_TEST(what_was_overwritten_is_counted)
{
	struct vvm_stat_actor *a = stat_actor(&st, VVM_STAT_HANDLER);
	uint64_t n;

	for (n = 0; n < 3000; n++)
		put(a, n);
	/* the first look takes what is there: nothing was missed */
	ck_assert_int_eq(trace_read(&tr, &target), 0);
	ck_assert_uint_eq(tr.events, VVM_STAT_EVENTS);
	ck_assert_uint_eq(tr.lost, 0);
	for (; n < 6000; n++)
		put(a, n);
	ck_assert_int_eq(trace_read(&tr, &target), 0);
	ck_assert_uint_eq(tr.events, VVM_STAT_EVENTS);
	expect_event(&tr.event[0], 6000 - VVM_STAT_EVENTS);
	ck_assert_uint_eq(tr.lost, 3000 - VVM_STAT_EVENTS);
}
END_TEST

/* A writer took a number and has not finished: we come back, once. */
START_TEST(an_event_that_is_being_written)
{
	struct vvm_stat_actor *a = stat_actor(&st, VVM_STAT_HANDLER);

	put(a, 0);
	__atomic_fetch_add(&a->events, 1, __ATOMIC_RELAXED); /* no number 1 */
	put(a, 2);
	ck_assert_int_eq(trace_read(&tr, &target), 0);
	ck_assert_uint_eq(tr.events, 1);
	ck_assert_int_eq(trace_read(&tr, &target), 0);
	ck_assert_uint_eq(tr.events, 1);
	expect_event(&tr.event[0], 2);
	ck_assert_uint_eq(tr.lost, 1);
}
END_TEST

/* Words of two events under one number. */
START_TEST(a_mixture_is_no_event)
{
	struct vvm_stat_actor *a = stat_actor(&st, VVM_STAT_HANDLER);
	struct vvm_stat_event *e = &st.rings[a - st.segment->actor].event[0];
	uint64_t *word[] = {&e->time_ns, &e->page, &e->took};

	put(a, 0);
	*word[_i] += 4096;
	ck_assert_int_eq(trace_read(&tr, &target), 0);
	ck_assert_uint_eq(tr.events, 0);
	ck_assert_uint_eq(tr.lost, 1);
}
END_TEST

START_TEST(hostile_counts)
{
	static const uint64_t counts[] = {UINT64_MAX, 5, INT64_MAX, 0, 1};
	struct vvm_stat_actor *a = stat_actor(&st, VVM_STAT_HANDLER);
	struct vvm_stat_segment *s = st.segment;
	uint64_t n;
	size_t i;

	for (n = 0; n < 2000; n++)
		put(a, n);
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		a->events = counts[i];
		ck_assert_int_eq(trace_read(&tr, &target), 0);
		ck_assert_uint_le(tr.events, VVM_STAT_EVENTS);
	}
	s->rings.count = UINT64_MAX;
	s->rings.offset = s->rings.item_bytes = 1;
	ck_assert_int_eq(trace_read(&tr, &target), 0);
}
END_TEST

#define WRITERS 3
#define TORN	40000

static _Atomic uint64_t next_number;

static void *write_along(void *arg)
{
	uint64_t n;

	while ((n = atomic_fetch_add(&next_number, 1)) < TORN)
		put(arg, n);
	return NULL;
}

/* Several writers to one ring, full speed: what is read is never mixed. */
START_TEST(torn_events_are_never_shown)
{
	struct vvm_stat_actor *a = stat_actor(&st, VVM_STAT_HANDLER);
	pthread_t thread[WRITERS];
	uint64_t seen = 0;
	size_t i;

	ck_assert_int_eq(trace_read(&tr, &target), 0);
	for (i = 0; i < WRITERS; i++)
		pthread_create(&thread[i], NULL, write_along, a);
	while (__atomic_load_n(&a->events, __ATOMIC_RELAXED) < TORN) {
		ck_assert_int_eq(trace_read(&tr, &target), 0);
		seen += tr.events;
		for (i = 0; i < tr.events; i++)
			expect_event(&tr.event[i], tr.event[i].address >> 12);
	}
	for (i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
	/* each event that a slow writer spoiled is waited for once */
	for (i = 0; i <= VVM_STAT_EVENTS && seen + tr.lost < TORN; i++) {
		ck_assert_int_eq(trace_read(&tr, &target), 0);
		seen += tr.events;
	}
	ck_assert_uint_eq(seen + tr.lost, TORN);
	ck_assert_uint_gt(seen, 0);
}
END_TEST

/* ---- filters ---- */

static const char *const wrong[] = {
	"",
	"x",
	",",
	"wp,",
	"us",
	"us=",
	"us=x",
	"us=-1",
	"tid=0",
	"tid=1x",
	"addr=",
	"addr=1",
	"addr=1-",
	"addr=2-1",
	"addr=g-h",
	"us=1 ",
	"wpx",
	"us=1,,wp",
	"us=99999999999999999999",
	"tid=4294967296",
	"addr=-1-5",
};

START_TEST(filters_that_make_no_sense)
{
	ck_assert_msg(!trace_parse(&filter, wrong[_i], &bad), "'%s'",
		      wrong[_i]);
	ck_assert(bad >= wrong[_i] && bad <= wrong[_i] + strlen(wrong[_i]));
}
END_TEST

static const struct {
	const char *text;
	bool wanted;
} filters[] = {
	{"swapin", true},	  {"wp", false},
	{"wp,swapin", true},	  {"write", true},
	{"read", false},	  {"read,write", true},
	{"stalled", false},	  {"past", true},
	{"us=7", true},		  {"us=8", false},
	{"tid=4711", true},	  {"tid=4712", false},
	{"addr=5000-6000", true}, {"addr=6000-7000", false},
	{"addr=0-5000", false},	  {"addr=0x5000-0x5001,us=1,write", true},
};

START_TEST(filters_that_select)
{
	struct trace_event e = {.latency_ns = 7500,
				.address = 0x5000,
				.kind = VVM_STAT_KIND_swapin,
				.tid = 4711,
				.write = true};

	ck_assert_msg(trace_parse(&filter, filters[_i].text, &bad), "'%s'",
		      bad);
	ck_assert_msg(trace_wanted(&filter, &e) == filters[_i].wanted, "%s",
		      filters[_i].text);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "rings");

	tcase_add_test(tc, events_come_once_in_order_of_time);
	tcase_add_test(tc, what_was_overwritten_is_counted);
	tcase_add_test(tc, an_event_that_is_being_written);
	tcase_add_loop_test(tc, a_mixture_is_no_event, 0, 3);
	tcase_add_test(tc, hostile_counts);
	tcase_add_test(tc, torn_events_are_never_shown);

	tc = test_case(s, "filters");
	tcase_add_loop_test(tc, filters_that_make_no_sense, 0,
			    ARRAY_SIZE(wrong));
	tcase_add_loop_test(tc, filters_that_select, 0, ARRAY_SIZE(filters));
}

const struct test_program test_program = {
	.name = "trace",
	.counts = true,
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
};
