/* SPDX-License-Identifier: MIT */
/*
 * unit/sizing.c - how large an automatic budget gets: controllers on a simulated
 * machine, by themselves and several, beside a neighbour that was recorded; and
 * single looks.
 */
#include "policy/sizing.h"

#include <string.h>

#include "support/test.h"

#define MIB	256u /* pages */
#define GIB	(1024ull * MIB)
#define SECOND	1000000u
#define STEP_US 10000u
#define MOST	5 /* programs */
#define NONE	SIZING_UNKNOWN

/* ---- a machine ---- */

/*
 * A program uses `want` pages all the time. What it has not got of them it waits
 * for: in that share of its time, and a fifth of that is work of reclaim. Where
 * nothing can be evicted its faults wait for a frame and nothing else happens, nor
 * is it counted.
 */
struct program {
	struct sizing z;
	uint64_t budget, used, want, pinned, next_us;
	uint64_t filled, wait_us, work_us;
	bool waiting; /* for a frame */
	unsigned changes, by[VVM_STAT_RESIZE_COUNT];
	uint64_t low, high; /* of `used`, since watch() */
};

static struct {
	uint64_t now_us, total, others;
	uint64_t disk;	   /* pages that are evicted in a second */
	uint64_t stall_us; /* PSI */
	uint64_t least_free;
	bool group; /* it is the cgroup's memory, the machine has plenty */
	unsigned count;
	struct program p[MOST];
} m;

static void machine(uint64_t total)
{
	memset(&m, 0, sizeof(m));
	m.now_us = SECOND;
	m.total = m.least_free = total;
	m.disk = 400 * MIB;
}

static struct program *program(uint64_t used, uint64_t want)
{
	struct program *p = &m.p[m.count++];

	sizing_init(&p->z, 16 * MIB, m.total - sizing_reserve_of(m.total));
	p->used = used;
	p->want = want;
	p->budget = used > 256 * MIB ? used + used / 20 : 256 * MIB;
	return p;
}

static uint64_t free_pages(void)
{
	uint64_t taken = m.others;
	unsigned i;

	for (i = 0; i < m.count; i++)
		taken += m.p[i].used;
	return taken < m.total ? m.total - taken : 0;
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void run_program(struct program *p)
{
	uint64_t goal = p->budget - p->budget / 25, n;

	if (p->used > goal)
		p->used -= at_most(p->used - goal, m.disk * STEP_US / SECOND);
	p->waiting = p->want > p->used && p->used >= goal &&
		     (p->used > p->budget || !m.disk);
	if (p->want <= p->used || p->waiting)
		return;
	n = p->used < goal ? at_most(p->want - p->used, goal - p->used) : 0;
	n = at_most(n, 250 * MIB * STEP_US / SECOND);
	p->used += n;
	p->filled += n;
	if (n == 0) {
		n = STEP_US * (p->want - p->used) / p->want;
		p->wait_us += n;
		p->work_us += n / 5;
		p->filled += n / 20;
	}
}

static void look(struct program *p)
{
	unsigned here = m.group ? SIZING_GROUP : SIZING_MACHINE;
	enum vvm_stat_resize reason;
	struct sizing_sample s = {
		.now_us = m.now_us,
		.budget = p->budget,
		.used = p->used,
		.pinned = p->pinned,
		.keep_free = p->budget / 25,
		.waiting = p->waiting,
		.frame_wait_us = 10 * SECOND,
		.swap_full = !m.disk,
		.filled = p->filled,
		.wait_us = p->wait_us,
		.work_us = p->work_us,
		.domain = {{64 * GIB, 50 * GIB, 0}, {NONE, NONE, NONE}},
	};

	s.domain[here].total = m.total;
	s.domain[here].free = free_pages();
	s.domain[here].stall_us = m.stall_us;
	p->budget = sizing_look(&p->z, &s, &reason);
	p->next_us = m.now_us + p->z.look_us;
	p->changes += reason != VVM_STAT_RESIZE_NONE;
	p->by[reason]++;
}

static void watch(void)
{
	unsigned i;

	for (i = 0; i < m.count; i++) {
		m.p[i].low = m.p[i].high = m.p[i].used;
		m.p[i].changes = 0;
		memset(m.p[i].by, 0, sizeof(m.p[i].by));
	}
}

static void step(void)
{
	unsigned i;

	for (i = 0; i < m.count; i++) {
		struct program *p = &m.p[i];

		run_program(p);
		if (m.now_us >= p->next_us)
			look(p);
		p->low = at_most(p->low, p->used);
		p->high = p->high > p->used ? p->high : p->used;
	}
	m.least_free = at_most(m.least_free, free_pages());
	m.now_us += STEP_US;
}

static void run(uint64_t us)
{
	uint64_t end_us = m.now_us + us;

	while (m.now_us < end_us)
		step();
}

/* ---- programs on it ---- */

START_TEST(alone_it_has_what_it_uses)
{
	struct program *p;

	machine(24 * GIB);
	p = program(0, 6 * GIB);
	run(60 * SECOND);
	ck_assert_uint_ge(p->used, 6 * GIB / 100 * 99);
	ck_assert_uint_gt(p->by[VVM_STAT_BY_resize_demand], 0);
	/* and then nothing happens but trims that are regretted */
	watch();
	p->z.trim_after_us = UINT64_MAX;
	run(600 * SECOND);
	ck_assert_uint_eq(p->changes, 0);
}
END_TEST

START_TEST(with_a_load_that_does_not_fit_it_comes_to_rest)
{
	struct program *p;

	machine(24 * GIB);
	p = program(0, 100 * GIB);
	run(600 * SECOND);
	watch();
	run(600 * SECOND);
	ck_assert_uint_le(p->changes, 30);
	ck_assert_uint_ge(p->low, 18 * GIB);
	ck_assert_uint_le(p->high, m.total - sizing_reserve_of(m.total) / 2);
	ck_assert_uint_le(p->high - p->low, p->high / 6);
	ck_assert_uint_gt(m.least_free, sizing_reserve_of(m.total) / 2);
}
END_TEST

/* Programs that began at different times, and of which all want all. */
static const struct {
	uint64_t total;
	unsigned count;
	uint64_t used[MOST];
} shares[] = {
	{24 * GIB, 2, {20 * GIB, 64 * MIB}},
	{24 * GIB, 3, {20 * GIB, 1 * GIB, 64 * MIB}},
	{24 * GIB, 4, {16 * GIB, 4 * GIB, 64 * MIB, 64 * MIB}},
	{24 * GIB, 5, {20 * GIB, 64 * MIB, 64 * MIB, 64 * MIB, 64 * MIB}},
	{2 * GIB, 2, {1500 * MIB, 32 * MIB}},
	{2 * GIB, 5, {1200 * MIB, 32 * MIB, 32 * MIB, 32 * MIB, 32 * MIB}},
};

START_TEST(programs_share_alike)
{
	uint64_t least = UINT64_MAX, most = 0, sum = 0;
	unsigned i;

	machine(shares[_i].total);
	m.group = _i % 2;
	for (i = 0; i < shares[_i].count; i++)
		program(shares[_i].used[i], 100 * GIB);
	run(300 * SECOND);
	watch();
	run(300 * SECOND);
	for (i = 0; i < m.count; i++) {
		struct program *p = &m.p[i];

		least = at_most(least, p->used);
		most = most > p->used ? most : p->used;
		sum += p->used;
		ck_assert_uint_le(p->high - p->low, p->high / 5 * 2);
		ck_assert_uint_le(p->changes, 60);
	}
	ck_assert_uint_le(most, 2 * least);
	ck_assert_uint_ge(sum, m.total / 4 * 3 - sizing_reserve_of(m.total));
	ck_assert_uint_gt(m.least_free, 0);
}
END_TEST

/* Swap is full: it can only grow, also where memory is scarce. */
START_TEST(who_is_stuck_gets_what_is_left)
{
	struct program *p;
	uint64_t moved_us;

	machine(4 * GIB); /* of which 512 MiB are scarce */
	p = program(3 * GIB, 3650 * MIB);
	m.disk = 0;
	watch();
	for (moved_us = m.now_us; p->used < p->want; step()) {
		if (!p->waiting)
			moved_us = m.now_us;
		ck_assert_uint_le(m.now_us, moved_us + SECOND);
		ck_assert_uint_le(m.now_us, 600 * SECOND);
	}
	ck_assert_uint_eq(p->by[VVM_STAT_BY_resize_idle], 0);
}
END_TEST

START_TEST(who_does_not_use_it_gives_it_to_who_does)
{
	struct program *idle, *busy;

	machine(4 * GIB);
	idle = program(3 * GIB, 0);
	busy = program(256 * MIB, 3 * GIB);
	run(60 * SECOND);
	ck_assert_uint_le(idle->used, 1 * GIB);
	ck_assert_uint_ge(busy->used, 2 * GIB);
}
END_TEST

/* ---- a neighbour, recorded ---- */

/*
 * A memory cgroup of 512 MiB on Linux 6.18: what was free of it, in pages, when
 * a program read a file, took 300 MiB at 200 MiB/s, stayed so for a second, and
 * took 120 MiB more while it read the file again; and the machine's PSI.
 */
static const struct {
	unsigned ms, free, stall_us;
} recorded[] = {
	{0, 131072, 0},	      {251, 130561, 0},	     {501, 130305, 0},
	{763, 130049, 0},     {1014, 129857, 0},     {1287, 105794, 0},
	{1538, 129732, 0},    {1789, 129732, 0},     {2039, 120452, 0},
	{2290, 107588, 0},    {2540, 94788, 0},	     {2792, 81732, 0},
	{3042, 69060, 0},     {3293, 56068, 0},	     {3543, 52740, 0},
	{3794, 52740, 0},     {4044, 52740, 0},	     {4295, 52740, 0},
	{4545, 46021, 0},     {4798, 41413, 0},	     {5048, 37313, 2363},
	{5299, 32513, 7024},  {5550, 27841, 8972},   {5801, 23105, 9791},
	{6051, 18113, 10583}, {6302, 13121, 11451},  {6555, 11905, 11639},
	{6805, 11905, 11639}, {7056, 129637, 11639},
};

#define RECORDS (sizeof(recorded) / sizeof(*recorded))

/* Between two records it goes evenly. */
static void replay(uint64_t from_us)
{
	uint64_t ms = (m.now_us - from_us) / 1000;
	unsigned i = 0;
	int64_t a, b;

	while (i + 2 < RECORDS && recorded[i + 1].ms <= ms)
		i++;
	a = recorded[i].free;
	b = recorded[i + 1].free;
	ms = at_most(ms, recorded[i + 1].ms) - recorded[i].ms;
	a += (b - a) * (int64_t)ms /
	     (int64_t)(recorded[i + 1].ms - recorded[i].ms);
	m.others = m.total - (uint64_t)a;
	m.stall_us = recorded[i].stall_us;
}

/* It begins with what leaves the group's reserve free. */
START_TEST(a_neighbour_is_given_way_to)
{
	uint64_t from_us, fell_us = 0, gave_us = 0;
	struct program *p;

	machine(131072);
	m.group = true;
	m.disk = 250 * MIB;
	p = program(300 * MIB, 300 * MIB);
	run(2 * SECOND);
	watch();
	from_us = m.now_us;
	while (m.now_us < from_us + recorded[RECORDS - 2].ms * 1000) {
		replay(from_us);
		step();
		if (!fell_us && free_pages() < sizing_reserve_of(m.total))
			fell_us = m.now_us;
		if (!gave_us && p->by[VVM_STAT_BY_resize_group])
			gave_us = m.now_us;
	}
	ck_assert_uint_ne(fell_us, 0);
	ck_assert_uint_ne(gave_us, 0);
	ck_assert_uint_le(gave_us, fell_us + SECOND / 2);
	ck_assert_uint_gt(m.least_free, 20 * MIB);
	ck_assert_uint_ge(p->used, 15 * MIB);
	/* the neighbour has ended: all of it comes back */
	for (; m.now_us < from_us + 90 * SECOND; step())
		replay(from_us);
	ck_assert_uint_ge(p->used, 295 * MIB);
}
END_TEST

/* ---- trims ---- */

START_TEST(what_is_idle_goes_slowly_and_half_stays)
{
	struct program *p;

	machine(24 * GIB);
	p = program(64 * MIB, 0);
	run(30 * SECOND);
	ck_assert_uint_le(p->used, 64 * MIB / 5 * 4);
	ck_assert_uint_ge(p->used, 40 * MIB);
	run(600 * SECOND);
	ck_assert_uint_ge(p->used, 64 * MIB / 2 - 2 * MIB);
	ck_assert_uint_eq(p->by[VVM_STAT_BY_resize_idle], p->changes);
}
END_TEST

START_TEST(where_memory_is_scarce_it_goes_fast)
{
	struct program *p;

	machine(24 * GIB);
	m.others = 22 * GIB - 512 * MIB;
	p = program(512 * MIB, 0);
	run(30 * SECOND);
	ck_assert_uint_le(p->used, 17 * MIB);
}
END_TEST

/* All it has is in use: each trim is regretted, and the next comes later. */
START_TEST(what_is_used_again_is_trimmed_less_and_less)
{
	unsigned first, later;
	struct program *p;

	machine(24 * GIB);
	p = program(64 * MIB, 64 * MIB);
	watch();
	run(100 * SECOND);
	first = p->by[VVM_STAT_BY_resize_idle];
	ck_assert_uint_gt(first, 0);
	ck_assert_uint_gt(p->by[VVM_STAT_BY_resize_undo], 0);
	run(1000 * SECOND);
	watch();
	run(100 * SECOND);
	later = p->by[VVM_STAT_BY_resize_idle];
	ck_assert_uint_lt(later, first / 2 + 1);
	ck_assert_uint_ge(p->low, 60 * MIB);
}
END_TEST

START_TEST(after_a_quiet_time_the_pause_is_halved)
{
	struct program *p;
	uint64_t pause_us;

	machine(24 * GIB);
	p = program(64 * MIB, 64 * MIB);
	run(300 * SECOND);
	pause_us = p->z.trim_pause_us;
	p->want = 0;
	run(2 * pause_us);
	ck_assert_uint_eq(p->z.trim_pause_us, pause_us);
	p->z.top = p->used = 4 * GIB;
	p->budget = 5 * GIB;
	run(4 * pause_us);
	ck_assert_uint_lt(p->z.trim_pause_us, pause_us);
}
END_TEST

/* ---- single looks ---- */

static struct sizing z;
static struct sizing_sample s;
static enum vvm_stat_resize reason;

/* 1 GiB of 8 is in use, 6 are free; a look was a second ago. */
static void start(void)
{
	sizing_init(&z, 16 * MIB, 7 * GIB);
	s = (struct sizing_sample){
		.now_us = 10 * SECOND,
		.budget = GIB,
		.used = GIB - 40 * MIB,
		.keep_free = 40 * MIB,
		.frame_wait_us = 10 * SECOND,
		.filled = 1000000,
		.wait_us = 1000000,
		.work_us = 1000000,
		.domain = {{8 * GIB, 6 * GIB, 1000000}, {NONE, NONE, NONE}},
	};
	sizing_look(&z, &s, &reason);
	s.now_us += SECOND;
}

static uint64_t look_again(void)
{
	return sizing_look(&z, &s, &reason);
}

START_TEST(a_pause_of_trims_holds_back_nothing_urgent)
{
	z.trim_after_us = z.grow_after_us = UINT64_MAX;
	ck_assert_uint_eq(look_again(), s.budget);
	ck_assert_int_eq(reason, VVM_STAT_RESIZE_NONE);
	s.now_us += SECOND;
	s.domain[SIZING_MACHINE].free = 256 * MIB;
	ck_assert_uint_lt(look_again(), s.budget);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_machine);
}
END_TEST

START_TEST(the_group_is_looked_at_too)
{
	s.domain[SIZING_GROUP].total = 2 * GIB;
	s.domain[SIZING_GROUP].free = 100 * MIB;
	ck_assert_uint_lt(look_again(), s.budget);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_group);
}
END_TEST

/* It is given in proportion to what is missing. */
START_TEST(the_less_is_free_the_more_is_given)
{
	uint64_t goal;

	z.chunk = 8 * GIB;
	s.domain[SIZING_MACHINE].free = 511 * MIB;
	goal = look_again();
	start();
	z.chunk = 8 * GIB;
	s.domain[SIZING_MACHINE].free = 10 * MIB;
	ck_assert_uint_lt(look_again(), goal - goal / 8);
}
END_TEST

START_TEST(counters_that_step_back_mean_nothing)
{
	s.filled = s.wait_us = s.work_us = 5;
	s.domain[SIZING_MACHINE].stall_us = 5;
	look_again();
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_idle);
	s.now_us = 5; /* and a clock */
	ck_assert_uint_eq(look_again(), s.budget);
}
END_TEST

START_TEST(who_waits_gets_more)
{
	s.filled += 10;
	s.wait_us += SECOND / 20;
	ck_assert_uint_gt(look_again(), s.budget);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_demand);
}
END_TEST

/* ... and leaves as much for others. */
START_TEST(who_waits_gets_a_part_of_the_room)
{
	s.filled += GIB;
	s.domain[SIZING_MACHINE].free = 1504 * MIB; /* 480 above two lines */
	ck_assert_uint_gt(look_again(), s.budget);
	s.now_us += SECOND;
	s.filled += GIB;
	ck_assert_uint_le(look_again(), s.budget + 480 * MIB / 8);
}
END_TEST

/* Is it room that is missing? */
START_TEST(who_waits_with_room_gets_nothing)
{
	s.budget = GIB / 2 * 3;
	s.filled += 10;
	s.wait_us += SECOND / 20;
	ck_assert_uint_le(look_again(), s.budget);
	ck_assert_int_eq(reason, VVM_STAT_RESIZE_NONE);
}
END_TEST

/*
 * Faults that wait for a frame and get none: nothing comes in, and how long they
 * have waited is counted when they end.
 */
START_TEST(who_is_stuck_gets_more_soon)
{
	uint64_t begun_us = s.now_us;

	s.used = s.budget;
	s.waiting = 1;
	s.domain[SIZING_MACHINE].free = _i ? 1200 * MIB : 768 * MIB;
	z.grow_after_us = UINT64_MAX;
	do {
		s.now_us += SECOND / 10;
		look_again();
		ck_assert_int_ne(reason, VVM_STAT_BY_resize_idle);
		ck_assert_uint_le(s.now_us, begun_us + SECOND);
	} while (reason == VVM_STAT_RESIZE_NONE);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_demand);
}
END_TEST

/* The pause is for those that get on. */
START_TEST(who_gets_on_waits_for_its_turn)
{
	unsigned i;

	s.used = s.budget;
	s.waiting = 1;
	s.domain[SIZING_MACHINE].free = 768 * MIB;
	z.grow_after_us = UINT64_MAX;
	for (i = 0; i < 50; i++) {
		s.now_us += SECOND / 10;
		s.filled++;
		ck_assert_uint_eq(look_again(), s.budget);
	}
}
END_TEST

/* It has waited, and the budget is not full: it is no time to trim. */
START_TEST(while_faults_wait_nothing_is_trimmed)
{
	unsigned i;

	s.used = s.budget / 2;
	s.waiting = 1;
	for (i = 0; i < 20; i++) {
		s.now_us += SECOND;
		look_again();
		ck_assert_int_eq(reason, VVM_STAT_RESIZE_NONE);
	}
	s.waiting = 0;
	s.now_us += SECOND;
	look_again();
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_idle);
}
END_TEST

START_TEST(the_cost_of_reclaim_counts)
{
	s.filled += 10;
	s.work_us += SECOND / 20;
	ck_assert_uint_gt(look_again(), s.budget);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_demand);
}
END_TEST

/* ... for a moment; it is if it goes on. */
START_TEST(a_little_is_no_reason)
{
	unsigned i;

	z.trim_after_us = UINT64_MAX;
	s.now_us += 7 * SECOND;
	look_again();
	for (i = 0; i < 2; i++) {
		s.now_us += SECOND;
		s.filled += 10;
		s.wait_us += SECOND / 90;
		ck_assert_uint_eq(look_again(), s.budget);
		ck_assert_int_eq(reason, VVM_STAT_RESIZE_NONE);
	}
	for (i = 0; i < 8 && reason == VVM_STAT_RESIZE_NONE; i++) {
		s.now_us += SECOND;
		s.filled += 10;
		s.wait_us += SECOND / 90;
		look_again();
	}
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_demand);
}
END_TEST

START_TEST(bounds_hold)
{
	z.most = GIB;
	s.filled += GIB;
	ck_assert_uint_eq(look_again(), GIB);
	ck_assert_int_eq(reason, VVM_STAT_RESIZE_NONE);
	start();
	z.least = GIB;
	s.domain[SIZING_MACHINE].free = 0;
	ck_assert_uint_eq(look_again(), GIB);
	ck_assert_int_eq(reason, VVM_STAT_RESIZE_NONE);
	start();
	s.pinned = GIB - 41 * MIB;
	s.domain[SIZING_MACHINE].free = 0;
	ck_assert_uint_gt(look_again(), s.pinned + 8);
}
END_TEST

/* At its bound nothing can be given, nor need it be looked for all the time. */
START_TEST(who_has_given_all_looks_seldom)
{
	uint64_t begun_us = s.now_us;
	unsigned looks;

	z.least = _i ? 16 * MIB : GIB;
	s.pinned = _i ? GIB - 41 * MIB : 0;
	s.domain[SIZING_MACHINE].free = 0;
	for (looks = 0; s.now_us < begun_us + 60 * SECOND; looks++) {
		ck_assert_uint_eq(look_again(), s.budget);
		ck_assert_uint_ge(z.look_us, SECOND / 8);
		s.now_us += z.look_us;
	}
	ck_assert_uint_le(looks, 100);
	/* when there is something again it is as before */
	s.pinned = 0;
	z.least = 16 * MIB;
	ck_assert_uint_lt(look_again(), s.budget);
	ck_assert_uint_le(z.look_us, SECOND / 20);
}
END_TEST

/* Room that others may take as well is not promised. */
START_TEST(what_is_not_in_use_is_no_more_than_there_may_be)
{
	s.budget = 4 * GIB;
	ck_assert_uint_lt(look_again(), 2 * GIB);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_machine);
	ck_assert_uint_ge(look_again(), GIB);
	s.budget = 4 * GIB;
	s.domain[SIZING_MACHINE].total = s.domain[SIZING_MACHINE].free =
		64 * GIB;
	look_again();
	ck_assert_int_ne(reason, VVM_STAT_BY_resize_machine);
}
END_TEST

/* Stalls of another group at its limit are not ours. */
START_TEST(stalls_with_plenty_free_mean_nothing)
{
	z.trim_after_us = UINT64_MAX;
	s.domain[SIZING_MACHINE].stall_us += SECOND / 2;
	ck_assert_uint_eq(look_again(), s.budget);
	s.now_us += SECOND;
	s.domain[SIZING_MACHINE].stall_us += SECOND / 2;
	s.domain[SIZING_MACHINE].free = 768 * MIB;
	ck_assert_uint_lt(look_again(), s.budget);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_stall);
	start();
	z.trim_after_us = UINT64_MAX;
	s.domain[SIZING_MACHINE].free = 768 * MIB;
	ck_assert_uint_eq(look_again(), s.budget);
}
END_TEST

START_TEST(where_only_stalls_are_known_they_count)
{
	z.trim_after_us = UINT64_MAX;
	s.domain[SIZING_MACHINE].total = s.domain[SIZING_MACHINE].free = NONE;
	ck_assert_uint_eq(look_again(), s.budget);
	s.now_us += SECOND;
	s.domain[SIZING_MACHINE].stall_us += SECOND / 2;
	ck_assert_uint_lt(look_again(), s.budget);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_stall);
}
END_TEST

/* What cannot be read is not plenty, be it the machine's or the group's. */
START_TEST(what_is_known_no_more_is_waited_for)
{
	unsigned i;

	s.domain[_i].total = 8 * GIB;
	s.domain[_i].free = 6 * GIB;
	look_again();
	s.domain[_i].total = s.domain[_i].free = s.domain[_i].stall_us = NONE;
	s.budget = 2 * GIB; /* it keeps what it was promised */
	z.trim_after_us = UINT64_MAX;
	for (i = 0; i < 100; i++) {
		s.now_us += SECOND;
		s.used = i < 50 ? GIB : s.budget - 40 * MIB;
		s.filled += i < 50 ? 0 : GIB;
		s.wait_us += i < 50 ? 0 : SECOND;
		ck_assert_uint_eq(look_again(), s.budget);
		ck_assert_uint_lt(z.look_us, SECOND);
	}
	s.filled += GIB;
	s.domain[_i].total = 8 * GIB;
	s.domain[_i].free = 6 * GIB;
	s.now_us += SECOND;
	ck_assert_uint_gt(look_again(), s.budget);
}
END_TEST

START_TEST(what_is_idle_is_trimmed_all_the_same)
{
	s.domain[SIZING_MACHINE].total = s.domain[SIZING_MACHINE].free =
		s.domain[SIZING_MACHINE].stall_us = NONE;
	ck_assert_uint_lt(look_again(), s.budget);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_idle);
}
END_TEST

START_TEST(a_limit_that_is_lifted_holds_nothing_back)
{
	s.domain[SIZING_GROUP].total = 2 * GIB;
	s.domain[SIZING_GROUP].free = GIB;
	s.domain[SIZING_GROUP].stall_us = 0;
	look_again();
	s.domain[SIZING_GROUP].total = s.domain[SIZING_GROUP].free = NONE;
	s.now_us += SECOND;
	s.filled += GIB;
	ck_assert_uint_gt(look_again(), s.budget);
}
END_TEST

START_TEST(where_nothing_is_known_it_grows_to_its_bound)
{
	sizing_init(&z, 16 * MIB, 7 * GIB);
	s.domain[SIZING_MACHINE].total = s.domain[SIZING_MACHINE].free =
		s.domain[SIZING_MACHINE].stall_us = NONE;
	look_again();
	s.now_us += SECOND;
	s.filled += GIB;
	ck_assert_uint_gt(look_again(), s.budget);
	s.now_us += SECOND; /* PSI appears: it is not all in one look */
	s.domain[SIZING_MACHINE].stall_us = 1ull << 50;
	look_again();
	ck_assert_int_ne(reason, VVM_STAT_BY_resize_stall);
}
END_TEST

/* The budget is lowered by what can be evicted soon. */
START_TEST(chunks_follow_the_disk)
{
	uint64_t first, chunk = z.chunk;

	s.used = GIB;
	s.keep_free = 0;
	s.domain[SIZING_MACHINE].free = 0;
	first = look_again();
	ck_assert_uint_eq(first, s.budget - chunk);
	s.budget = first;
	s.now_us += 50000; /* not gone yet: no more */
	ck_assert_uint_eq(look_again(), first);
	ck_assert_int_eq(reason, VVM_STAT_RESIZE_NONE);
	s.used = first;
	s.now_us += 50000;
	ck_assert_uint_eq(look_again(), first - 2 * chunk);

	start(); /* and one that takes long */
	s.used = GIB;
	s.keep_free = 0;
	s.domain[SIZING_MACHINE].free = 0;
	s.budget = look_again();
	s.now_us += 600000;
	look_again();
	s.used = s.budget;
	s.now_us += 50000;
	ck_assert_uint_eq(look_again(), s.budget - chunk / 2);
}
END_TEST

/* Pins or vvm_resize() were before it: that is no fast disk, nor a trim. */
START_TEST(what_was_refused_was_not_done)
{
	uint64_t chunk = z.chunk, pause_us = z.trim_pause_us;

	s.used = GIB;
	s.keep_free = 0;
	s.domain[SIZING_MACHINE].free = 0;
	ck_assert_uint_lt(look_again(), s.budget);
	s.now_us += 50000;
	ck_assert_uint_eq(look_again(), s.budget - chunk);
	s.now_us += 50000;
	ck_assert_uint_eq(look_again(), s.budget - chunk);
	ck_assert_uint_eq(z.chunk, chunk);

	start();
	look_again();
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_idle);
	s.now_us += SECOND;
	s.filled += GIB;
	look_again(); /* at the same budget: nothing is regretted */
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_demand);
	ck_assert_uint_eq(z.trim_pause_us, pause_us);
}
END_TEST

START_TEST(what_cannot_be_evicted_is_called_off)
{
	uint64_t chunk = z.chunk, goal;

	s.used = GIB;
	s.keep_free = 0;
	s.domain[SIZING_MACHINE].free = 0;
	s.budget = look_again();
	s.now_us += 3 * SECOND;
	ck_assert_uint_eq(look_again(), s.budget); /* nobody waits for it */
	s.waiting = 1;
	s.now_us += SECOND;
	goal = look_again();
	ck_assert_uint_eq(goal, GIB); /* as it was, and no more */
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_undo);
	ck_assert_uint_lt(z.chunk, chunk);
}
END_TEST

/* It is called off long before faults fail. */
START_TEST(the_sooner_faults_fail_the_sooner_it_is_called_off)
{
	s.used = GIB;
	s.keep_free = 0;
	s.frame_wait_us = 2 * SECOND;
	s.domain[SIZING_MACHINE].free = 0;
	s.budget = look_again();
	ck_assert_uint_lt(s.budget, GIB);
	s.waiting = 1;
	s.now_us += SECOND / 2 - 1;
	ck_assert_uint_eq(look_again(), s.budget);
	s.now_us++;
	ck_assert_uint_eq(look_again(), GIB);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_undo);
}
END_TEST

START_TEST(where_faults_fail_at_once_only_free_frames_go)
{
	s.frame_wait_us = SECOND / 2;
	s.domain[SIZING_MACHINE].free = 0;
	z.chunk = GIB;
	ck_assert_uint_eq(look_again(), s.used);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_machine);
	/* what is free is less than is to be, and cannot get more */
	s.budget = s.used;
	s.swap_full = s.waiting = 1;
	s.now_us += SECOND / 20;
	ck_assert_uint_eq(look_again(), GIB);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_undo);
}
END_TEST

START_TEST(with_swap_full_it_is_called_off_at_once)
{
	s.used = GIB;
	s.keep_free = 0;
	s.domain[SIZING_MACHINE].free = 0;
	s.budget = look_again();
	ck_assert_uint_lt(s.budget, GIB);
	s.now_us += SECOND / 20;
	ck_assert_uint_eq(look_again(), s.budget);
	s.swap_full = 1; /* nobody waits */
	s.now_us += SECOND / 20;
	ck_assert_uint_eq(look_again(), GIB);
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_undo);
}
END_TEST

START_TEST(with_swap_full_nothing_is_trimmed)
{
	s.swap_full = 1;
	ck_assert_uint_eq(look_again(), s.budget);
	ck_assert_int_eq(reason, VVM_STAT_RESIZE_NONE);
	s.swap_full = 0;
	s.now_us += SECOND;
	look_again();
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_idle);
}
END_TEST

/* ... and reclaim is to come to rest, which looks for frames until then. */
START_TEST(with_swap_full_enough_is_free)
{
	s.swap_full = 1;
	s.used = s.budget - s.keep_free / 4;
	s.budget = look_again();
	ck_assert_int_eq(reason, VVM_STAT_BY_resize_demand);
	ck_assert_uint_ge(s.budget, s.used + s.keep_free);
	s.now_us += SECOND;
	ck_assert_uint_eq(look_again(), s.budget);
	ck_assert_int_eq(reason, VVM_STAT_RESIZE_NONE);
}
END_TEST

/* An idle program is left alone but for a try a minute, which may succeed. */
START_TEST(with_swap_full_tries_get_seldom)
{
	uint64_t end_us = s.now_us + 600 * SECOND;
	unsigned tries = 0;

	s.keep_free = s.budget / 25;
	s.used = s.budget - s.keep_free - 10;
	s.domain[SIZING_MACHINE].free = 0;
	s.swap_full = 1;
	while (s.now_us < end_us) {
		uint64_t goal = look_again();

		tries += goal < s.used;
		ck_assert_uint_le(goal, GIB);
		s.budget = goal;
		s.keep_free = goal / 25;
		if (goal >= s.used) /* or reclaim does not rest */
			ck_assert_uint_le(s.used + s.keep_free, goal);
		s.now_us += z.look_us;
	}
	ck_assert_uint_ge(tries, 10);
	ck_assert_uint_le(tries, 20);
	s.swap_full = 0;
	s.now_us += SECOND;
	ck_assert_uint_lt(look_again(), s.budget);
}
END_TEST

/* Pages that need no slot go all the same. */
START_TEST(with_swap_full_clean_pages_go)
{
	unsigned i;

	s.domain[SIZING_MACHINE].free = 0;
	s.swap_full = 1;
	for (i = 0; i < 100; i++) {
		s.budget = look_again();
		s.keep_free = s.budget / 25;
		s.used = at_most(s.used, s.budget - s.keep_free);
		s.now_us += z.look_us;
	}
	ck_assert_uint_le(s.budget, GIB / 2);
}
END_TEST

START_TEST(reserves)
{
	ck_assert_uint_eq(sizing_reserve_of(0), 0);
	ck_assert_uint_eq(sizing_reserve_of(256 * MIB), 32 * MIB);
	ck_assert_uint_eq(sizing_reserve_of(GIB), 64 * MIB);
	ck_assert_uint_eq(sizing_reserve_of(8 * GIB), 512 * MIB);
	ck_assert_uint_eq(sizing_reserve_of(1024 * GIB), 2 * GIB);
}
END_TEST

/* Any numbers: it stays within its bounds, and nothing traps. */
START_TEST(any_sample_is_within_the_bounds)
{
	static const uint64_t odd[] = {0, 1, 4096, GIB, UINT64_MAX / 2, NONE};
	uint64_t word = 88172645463325252u, *field = (uint64_t *)&s;
	unsigned i, k;

	sizing_init(&z, 16, 7 * GIB);
	for (i = 0; i < 100000; i++) {
		for (k = 0; k < sizeof(s) / sizeof(*field); k++) {
			word ^= word << 13, word ^= word >> 7,
				word ^= word << 17;
			field[k] = odd[word % 6];
		}
		s.budget = 16 + word % (7 * GIB - 16);
		s.used = word >> 32;
		s.keep_free = s.budget / 25;
		ck_assert_uint_ge(look_again(), 16);
		ck_assert_uint_le(look_again(), 7 * GIB);
		ck_assert_uint_ge(z.look_us, 50000);
		ck_assert_uint_le(z.look_us, SECOND);
	}
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "machine");

	tcase_add_test(tc, alone_it_has_what_it_uses);
	tcase_add_test(tc, with_a_load_that_does_not_fit_it_comes_to_rest);
	tcase_add_loop_test(tc, programs_share_alike, 0,
			    (int)(sizeof(shares) / sizeof(*shares)));
	tcase_add_test(tc, who_is_stuck_gets_what_is_left);
	tcase_add_test(tc, who_does_not_use_it_gives_it_to_who_does);
	tcase_add_test(tc, a_neighbour_is_given_way_to);
	tcase_add_test(tc, what_is_idle_goes_slowly_and_half_stays);
	tcase_add_test(tc, where_memory_is_scarce_it_goes_fast);
	tcase_add_test(tc, what_is_used_again_is_trimmed_less_and_less);
	tcase_add_test(tc, after_a_quiet_time_the_pause_is_halved);

	tc = test_case(suite, "look");
	tcase_add_test(tc, a_pause_of_trims_holds_back_nothing_urgent);
	tcase_add_test(tc, the_group_is_looked_at_too);
	tcase_add_test(tc, the_less_is_free_the_more_is_given);
	tcase_add_test(tc, counters_that_step_back_mean_nothing);
	tcase_add_test(tc, who_waits_gets_more);
	tcase_add_test(tc, who_waits_gets_a_part_of_the_room);
	tcase_add_test(tc, who_waits_with_room_gets_nothing);
	tcase_add_loop_test(tc, who_is_stuck_gets_more_soon, 0, 2);
	tcase_add_test(tc, who_gets_on_waits_for_its_turn);
	tcase_add_test(tc, while_faults_wait_nothing_is_trimmed);
	tcase_add_test(tc, the_cost_of_reclaim_counts);
	tcase_add_test(tc, a_little_is_no_reason);
	tcase_add_test(tc, bounds_hold);
	tcase_add_loop_test(tc, who_has_given_all_looks_seldom, 0, 2);
	tcase_add_test(tc, what_is_not_in_use_is_no_more_than_there_may_be);
	tcase_add_test(tc, stalls_with_plenty_free_mean_nothing);
	tcase_add_test(tc, where_only_stalls_are_known_they_count);
	tcase_add_loop_test(tc, what_is_known_no_more_is_waited_for, 0,
			    SIZING_DOMAINS);
	tcase_add_test(tc, what_is_idle_is_trimmed_all_the_same);
	tcase_add_test(tc, a_limit_that_is_lifted_holds_nothing_back);
	tcase_add_test(tc, where_nothing_is_known_it_grows_to_its_bound);
	tcase_add_test(tc, chunks_follow_the_disk);
	tcase_add_test(tc, what_was_refused_was_not_done);
	tcase_add_test(tc, what_cannot_be_evicted_is_called_off);
	tcase_add_test(tc, the_sooner_faults_fail_the_sooner_it_is_called_off);
	tcase_add_test(tc, where_faults_fail_at_once_only_free_frames_go);
	tcase_add_test(tc, with_swap_full_it_is_called_off_at_once);
	tcase_add_test(tc, with_swap_full_nothing_is_trimmed);
	tcase_add_test(tc, with_swap_full_enough_is_free);
	tcase_add_test(tc, with_swap_full_tries_get_seldom);
	tcase_add_test(tc, with_swap_full_clean_pages_go);
	tcase_add_test(tc, reserves);
	tcase_add_test(tc, any_sample_is_within_the_bounds);
}

const struct test_program test_program = {
	.name = "sizing",
	.setup = start,
	.add = add_tests,
};
