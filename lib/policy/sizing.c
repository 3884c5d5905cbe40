/* SPDX-License-Identifier: MIT */
/*
 * policy/sizing.c - how large a budget that follows the machine should be.
 *
 * Every process decides alone, by what all of them see. Two *domains* can be
 * short of memory, the machine and the memory cgroup. Of each a *reserve* is to
 * stay free: what a neighbour can take until it is given way to. The *line* of a
 * domain is its reserve, or twice that while processes in it wait for memory
 * (PSI); so stalls alone, with plenty free, do not count: they are those of
 * another group at its own limit.
 *
 *	free < line		urgent: every process gives the same part of what
 *				it has, more the more is missing
 *	line .. 2 lines		*scarce*: who waits for pages takes a little, the
 *				same for all, and ever more seldom
 *	above 2 lines		who waits for pages takes a part of what is above
 *	above 4 lines		*plenty*: and at once, whatever was before
 *
 * Of a domain that was known and is not any more (a descriptor is missing, the
 * program has another root) nobody knows whether it is short: nothing is taken
 * until it is known again. But if the group's stalls can be read still, then it
 * is a limit that has been lifted.
 *
 * To take the same and to give in proportion makes shares equal in time (AIMD:
 * Chiu and Jain, "Analysis of the increase and decrease algorithms for
 * congestion avoidance in computer networks", 1989). An eighth of what is above
 * two lines, taken by a few processes at once, never comes below them. In the
 * scarce zone taking leads to giving, a saw, whose teeth grow long: the pauses
 * between takes grow with the time for which memory has been scarce. So a
 * constant load comes to rest, but for a take a minute.
 *
 * To lower the budget is to evict, and until that is done faults get no frame. So
 * it goes down by *chunks*: the next one when the last is gone, twice as large
 * if that was fast, half if it was slow; and if faults wait for very long the
 * rest is called off: the budget is what is in use, but no more than it was. So it
 * is at once when swap is full: to go on would use a CPU, and call the program
 * back, for nothing. Then there are pauses, too, up to a minute: only what is not
 * in use goes, and after each one try finds out whether that has changed. Where
 * faults fail very soon the budget is never below what is in use.
 *
 * A program *waits* when its faults' waits are more than 1/200 of the time of
 * late, or more than 1/50 of that since the last look. It gets more if its budget
 * is full, too; or where waits and the CPU time that reclaim takes are so much, or
 * much comes in, or faults wait for a frame now: their time is counted when they
 * end. A program is *stuck* when they wait and none gets one, as nothing can be
 * evicted. Then it gets more after half a second, whatever the pauses say.
 *
 * What a program does not use is trimmed: slowly, so that the work is small, and
 * down to half of what it had; below three lines fast, and to the lower bound. If
 * it waits or wants more soon after, what was trimmed is in use: then no trim for
 * a *pause*, which doubles each time, and is halved when all went well for long.
 * That pause is for trims alone, the pauses of growth for growth: nothing ever
 * holds back what is urgent.
 *
 * Rejected: PSI triggers (poll(2)): without privilege their windows are two
 * seconds and more, and they tell of stalls that have happened; a look costs
 * some 20 us (MEASURED.md), four a second are cheaper than one stall. Asking
 * other processes: who answers must be trusted, and may be stopped.
 */
#include "policy/sizing.h"

#include <string.h>

/*
 * At 200 MiB/s a neighbour takes 64 MiB in more than two looks; of small machines
 * and groups at most an eighth, of large ones 2 GiB.
 */
#define RESERVE_SHARE 16
#define RESERVE_LEAST ((64ull << 20) / PAGE_BYTES)
#define RESERVE_MOST  ((2ull << 30) / PAGE_BYTES)

#define LOOK_FAST_US   50000  /* while it is being lowered */
#define LOOK_TIGHT_US  125000 /* below three lines */
#define LOOK_US	       250000
#define LOOK_IDLE_US   1000000
#define IN_VAIN	       8   /* looks with nothing to give: less often, ... */
#define LONG_IN_VAIN   32  /* ... and once a second */
#define STALLED_SHARE  10  /* 1/10 of the time: PSI counts */
#define PLENTY	       4   /* lines */
#define FAR	       8   /* a second is soon enough for the next look */
#define TIGHT	       3   /* lines: room above two, for who waits */
#define GIVE	       3   /* times what is missing, if we had all there is */
#define GROW_SHARE     8   /* of what is above two lines */
#define GROW_STEP      64  /* 1/64 of the domain at once, */
#define GROW_BUDGET    4   /* or 1/4 of the budget, if there is plenty */
#define SCARCE_STEP    10  /* 1/10 of a reserve */
#define FULL_SLACK     64  /* 1/64 of what is in use: about full is full */
#define WAIT_SHARE     200 /* 1/200 of the time of late, ... */
#define BURST_SHARE    50  /* ... or 1/50 of that since the last look */
#define LATE_US	       8000000ull
#define MOST_WAIT_US   (1ull << 40) /* of many threads, a day of each */
#define QUIET_SHARE    1000	    /* below that a program makes do */
#define STUCK_US       500000 /* faults wait so long, and no pause holds */
#define FILLED_SHARE   64     /* of the budget since the last look: much */
#define TRIM_SHARE     64     /* of what is in use a second */
#define TRIM_PAGES     256    /* a second: at 10 us each 1/400 of a CPU */
#define TRIM_SCARCE    64     /* 1/64 of what is in use at once */
#define REGRET_US      30000000
#define TRIM_PAUSE_US  4000000
#define TRIM_PAUSE_MAX 600000000
#define FORGIVE	       4   /* pauses without a regret halve the next */
#define PAUSE_SHARE    16  /* 1/16 of the time for which memory is scarce */
#define USUAL_SHARE    256 /* of 1024: with that the pause is what it is */
#define GROW_PAUSE_MAX 60000000ull
#define CHUNK_FIRST    4096 /* 16 MiB: a slow disk writes them in a second */
#define CHUNK_LEAST    64
#define CHUNK_MOST     (1ull << 20)
#define PINNED_SLACK   64
#define PROMISE_SLACK  16	/* 1/16 of the budget more is no matter */
#define SLOW_US	       500000	/* a chunk took so long: the next is smaller */
#define GIVE_UP_US     2000000	/* faults have waited for it, */
#define GIVE_UP_SHARE  4	/* or 1/4 of the time after which they fail */
#define HASTY_US       1000000	/* they fail before there is time for a chunk */
#define FUTILE_US      1000000	/* pause after a try that freed nothing, ... */
#define FUTILE_MAX_US  60000000 /* ... which doubles */

/* What a look makes of the domains. */
struct view {
	uint64_t
		give; /* 1/65536 parts of what is in use; 0: nothing is urgent */
	enum vvm_stat_resize why, scarcer; /* of the domain with less room */
	uint64_t room;			   /* above two lines, pages */
	uint64_t step;			   /* to take at once */
	uint64_t scarce; /* the step in the scarce zone, ... */
	uint64_t share;	 /* ... and our part of the domain, of 1024 */
	bool far, plenty, tight;
	bool held; /* not all that was known is known */
};

uint64_t sizing_reserve_of(uint64_t total)
{
	uint64_t pages = MAX(total / RESERVE_SHARE, RESERVE_LEAST);

	return MIN(MIN(pages, RESERVE_MOST), total / 8);
}

void sizing_init(struct sizing *z, uint64_t least, uint64_t most)
{
	memset(z, 0, sizeof(*z));
	z->least = MAX(least, 1u);
	z->most = MAX(most, z->least);
	z->chunk = CHUNK_FIRST;
	z->trim_pause_us = TRIM_PAUSE_US;
	z->look_us = LOOK_US;
}

/* Of counters of other threads, and of clocks. */
static uint64_t since(uint64_t now, uint64_t last)
{
	return now > last ? now - last : 0;
}

static bool passed(uint64_t now_us, uint64_t from_us, uint64_t us)
{
	return since(now_us, from_us) >= us;
}

/* ---- domains ---- */

static bool is_stalled(const struct sizing *z, const struct sizing_sample *s,
		       unsigned d, uint64_t took_us)
{
	uint64_t now = s->domain[d].stall_us, last = z->last.domain[d].stall_us;

	if (now == SIZING_UNKNOWN || last == SIZING_UNKNOWN)
		return false;
	return since(now, last) > took_us / STALLED_SHARE;
}

static enum vvm_stat_resize short_of(unsigned d)
{
	return d == SIZING_MACHINE ? VVM_STAT_BY_resize_machine
				   : VVM_STAT_BY_resize_group;
}

/* A domain of which nothing but its stalls is known. */
static void look_at_stalls(struct view *v, bool stalled)
{
	if (!stalled)
		return;
	v->plenty = v->far = false;
	v->tight = true;
	v->room = v->scarce = 0;
	v->give = MAX(v->give, 65536u / 16);
	v->why = VVM_STAT_BY_resize_stall;
}

/* Such a one, of which more was known before? */
static bool is_lost(const struct sizing *z, const struct sizing_sample *s,
		    unsigned d)
{
	return z->known[d] &&
	       (d != SIZING_GROUP || s->domain[d].stall_us == SIZING_UNKNOWN);
}

static void hold(struct view *v)
{
	v->plenty = v->far = false;
	v->room = v->scarce = 0;
	v->held = true;
}

/* free: with what is on its way out of our own frames. */
static void look_at_domain(struct view *v, unsigned d, uint64_t total,
			   uint64_t free, uint64_t used, bool stalled)
{
	uint64_t reserve = sizing_reserve_of(total), line = reserve, need, part;

	if (stalled)
		line *= 2;
	if (since(free, 2 * line) <= v->room) {
		v->room = since(free, 2 * line);
		v->scarcer = short_of(d);
	}
	v->step = MIN(v->step, total / GROW_STEP);
	v->scarce = MIN(v->scarce, reserve / SCARCE_STEP);
	v->share = MAX(v->share, (used << 10) / MAX(total, 1u));
	v->plenty &= free >= PLENTY * line;
	v->far &= free >= FAR * line;
	v->tight |= free < TIGHT * line;
	if (free >= line)
		return;
	need = line + line / 2 - free;
	part = (need * GIVE << 16) / MAX(total, 1u);
	part = MIN(MAX(part, 65536u / 64), 65536u / 2);
	if (part <= v->give)
		return;
	v->give = part;
	v->why = free >= reserve ? VVM_STAT_BY_resize_stall : short_of(d);
}

static struct view view_of(struct sizing *z, const struct sizing_sample *s,
			   uint64_t took_us)
{
	uint64_t pending = since(s->used, s->budget);
	struct view v = {.room = z->most,
			 .step = MAX(z->most / GROW_STEP, 1u),
			 .scarce = UINT64_MAX,
			 .scarcer = VVM_STAT_BY_resize_stall,
			 .plenty = true,
			 .far = true};
	unsigned d;

	for (d = 0; d < SIZING_DOMAINS; d++) {
		bool stalled = is_stalled(z, s, d, took_us);
		uint64_t free = s->domain[d].free;

		if (s->domain[d].total == SIZING_UNKNOWN ||
		    free == SIZING_UNKNOWN) {
			if (is_lost(z, s, d))
				hold(&v);
			look_at_stalls(&v, stalled);
			continue;
		}
		z->known[d] = true;
		look_at_domain(&v, d, s->domain[d].total, free + pending,
			       s->used, stalled);
	}
	return v;
}

/* ---- what the program does ---- */

struct deed {
	uint64_t took_us;
	uint64_t filled, wait_us, work_us; /* since the last look */
	bool waits;			   /* its faults cost too much */
	bool wants;			   /* it should have more */
	bool quiet;
};

/* Of late: each second an eighth of what was before is forgotten. */
static void remember(struct sizing *z, uint64_t took_us, uint64_t wait_us)
{
	uint64_t keep = LATE_US - MIN(took_us, LATE_US);

	z->late_us = z->late_us * keep / LATE_US + MIN(took_us, LATE_US);
	z->late_wait_us =
		z->late_wait_us * keep / LATE_US + MIN(wait_us, MOST_WAIT_US);
}

static struct deed deed_of(struct sizing *z, const struct sizing_sample *s)
{
	struct deed p = {.took_us = MAX(since(s->now_us, z->last.now_us), 1u),
			 .filled = since(s->filled, z->last.filled),
			 .wait_us = since(s->wait_us, z->last.wait_us),
			 .work_us = since(s->work_us, z->last.work_us)};
	bool full = s->used + s->keep_free + s->used / FULL_SLACK >= s->budget;
	bool much = p.filled >= MAX(s->budget / FILLED_SHARE, 1u);

	remember(z, p.took_us, p.wait_us);
	p.waits = z->late_wait_us * WAIT_SHARE >= MAX(z->late_us, 1u) ||
		  p.wait_us * BURST_SHARE >= p.took_us;
	p.wants = full && (p.filled > 0 || s->waiting) &&
		  (much || p.waits || s->waiting ||
		   (p.wait_us + p.work_us) * BURST_SHARE >= p.took_us);
	/* Reclaim would look for ever for frames that cannot get free. */
	p.wants |= s->swap_full && s->used + s->keep_free > s->budget;
	p.quiet = !much && !s->waiting && p.wait_us * QUIET_SHARE < p.took_us;
	if (!s->waiting || p.filled)
		z->moved_us = s->now_us;
	return p;
}

/* ---- decisions ---- */

/* What counts of the budget: what is in use, with what reclaim keeps free. */
static uint64_t base_of(const struct sizing_sample *s)
{
	return MIN(s->budget, s->used + s->keep_free);
}

/* The least that it may be lowered to now. */
static uint64_t least_of(const struct sizing *z, const struct sizing_sample *s)
{
	bool hasty = s->frame_wait_us < HASTY_US;
	uint64_t least = z->least;

	if (s->pinned)
		least = MAX(least, s->pinned + s->pinned / 16 + PINNED_SLACK);
	if (s->swap_full && (hasty || s->now_us < z->lower_after_us))
		return MAX(least, base_of(s));
	return hasty ? MAX(least, s->used) : least;
}

/* By `pages`, as far as a chunk and least_of() allow. */
static uint64_t lower(struct sizing *z, const struct sizing_sample *s,
		      uint64_t pages)
{
	uint64_t base = base_of(s), goal;

	z->by_chunk = pages >= z->chunk;
	pages = MIN(pages, z->chunk);
	if (s->swap_full) /* a try: no page goes while enough is free */
		base = MIN(base, s->used);
	goal = MIN(MAX(base - MIN(pages, base), least_of(z, s)), s->budget);
	if (goal < s->budget)
		z->before = MIN(s->budget, base_of(s) + s->keep_free + 1);
	return goal;
}

/*
 * Frames are to go, or are short since some went: with swap full reclaim would
 * look for more and more of them.
 */
static bool is_over(const struct sizing *z, const struct sizing_sample *s)
{
	if (s->used > s->budget)
		return true;
	return s->swap_full && s->budget < z->before &&
	       (z->lowered_us || s->waiting) &&
	       s->used + s->keep_free > s->budget;
}

static bool must_give_up(const struct sizing *z, const struct sizing_sample *s)
{
	uint64_t us =
		MIN(s->frame_wait_us / GIVE_UP_SHARE, (uint64_t)GIVE_UP_US);

	return s->swap_full ||
	       (s->waiting && passed(s->now_us, z->lowered_us, us));
}

/* It was refused (pins, vvm_resize()), or is raised already: as if not asked. */
static void check_refusal(struct sizing *z, const struct sizing_sample *s)
{
	if (!z->lowered_us || s->budget <= z->asked)
		return;
	if (z->trimmed_us == z->lowered_us)
		z->trimmed_us = 0;
	z->lowered_us = z->before = 0;
}

static void postpone(struct sizing *z, uint64_t now_us)
{
	z->futile_us = MIN(MAX(2 * z->futile_us, (uint64_t)FUTILE_US),
			   (uint64_t)FUTILE_MAX_US);
	z->lower_after_us = now_us + z->futile_us;
}

/* A budget of which, with what is in use, as large a part is free as is to be. */
static uint64_t enough_for(const struct sizing_sample *s)
{
	uint64_t rest = MAX(since(s->budget, s->keep_free), 1u);

	return s->used +
	       ((s->used >> 10) + 1) * ((s->keep_free << 10) / rest + 1);
}

/* The last chunk is not gone yet. The budget: how it was, or back to what is. */
static uint64_t wait_for_chunk(struct sizing *z, const struct sizing_sample *s,
			       enum vvm_stat_resize *reason)
{
	bool ours = z->lowered_us || s->used <= s->budget;
	uint64_t goal = MIN(enough_for(s), ours ? z->before : z->most);

	z->look_us = LOOK_FAST_US;
	z->pending_us = s->now_us;
	if (!must_give_up(z, s))
		return s->budget;
	if (s->swap_full && z->lowered_us)
		postpone(z, s->now_us);
	z->chunk = MAX(z->chunk / 4, CHUNK_LEAST);
	z->lowered_us = 0;
	if (goal <= s->budget)
		return s->budget;
	*reason = VVM_STAT_BY_resize_undo;
	return goal;
}

static void chunk_is_gone(struct sizing *z, const struct sizing_sample *s)
{
	uint64_t took_us = since(z->pending_us, z->lowered_us);

	if (!s->swap_full)
		z->futile_us = 0;
	if (!z->lowered_us)
		return;
	if (took_us > SLOW_US)
		z->chunk = MAX(z->chunk / 2, CHUNK_LEAST);
	else if (took_us < 2 * LOOK_FAST_US && z->by_chunk)
		z->chunk = MIN(z->chunk * 2, CHUNK_MOST);
	z->lowered_us = 0;
}

/*
 * From take to take where memory is scarce. It grows with the time for which it
 * has been so, which is the same for all but the newcomers, who take more often;
 * and with what a program has.
 */
static uint64_t grow_pause(const struct sizing *z, const struct view *v,
			   uint64_t now_us)
{
	uint64_t us = since(now_us, z->plenty_us) / PAUSE_SHARE;

	us = MIN(us, GROW_PAUSE_MAX);
	return MAX(us * MIN(v->share, 1024u) / USUAL_SHARE, LOOK_US);
}

static uint64_t give(struct sizing *z, const struct sizing_sample *s,
		     const struct view *v, enum vvm_stat_resize *reason)
{
	uint64_t goal = lower(z, s, (base_of(s) * v->give >> 16) + 1);

	z->grow_after_us = s->now_us + grow_pause(z, v, s->now_us);
	if (goal < s->budget) {
		z->in_vain = 0;
		z->look_us = LOOK_FAST_US;
		*reason = v->why;
		return goal;
	}
	z->look_us = z->in_vain < IN_VAIN	 ? LOOK_TIGHT_US
		     : z->in_vain < LONG_IN_VAIN ? LOOK_US
						 : LOOK_IDLE_US;
	z->in_vain = MIN(z->in_vain + 1, (unsigned)LONG_IN_VAIN);
	return goal;
}

/* It waits, or wants more, and soon after a trim: what went then. */
static void regret(struct sizing *z, uint64_t now_us)
{
	if (!z->trimmed_us || passed(now_us, z->trimmed_us, REGRET_US))
		return;
	z->regret_us = now_us;
	z->trim_after_us = now_us + z->trim_pause_us;
	z->trim_pause_us = MIN(z->trim_pause_us * 2, TRIM_PAUSE_MAX);
	z->trimmed_us = 0;
}

/* Is what is given now what went then? */
static bool undoes(const struct sizing *z, uint64_t now_us)
{
	return z->regret_us && !passed(now_us, z->regret_us, REGRET_US);
}

static bool is_stuck(const struct sizing *z, const struct sizing_sample *s)
{
	return s->waiting && passed(s->now_us, z->moved_us, STUCK_US);
}

/* How much it may take now. */
static uint64_t may_grow(struct sizing *z, const struct sizing_sample *s,
			 const struct view *v)
{
	uint64_t step = v->step;

	if (v->plenty) {
		step = MAX(step, s->budget / GROW_BUDGET);
		return MIN(step, v->room / GROW_SHARE);
	}
	if (s->now_us < z->grow_after_us && !is_stuck(z, s))
		return 0;
	if (v->scarce == UINT64_MAX) /* nothing is known */
		return MIN(step, v->room / GROW_SHARE);
	if (v->room >= v->scarce)
		return MIN(step, MAX(v->room / GROW_SHARE, v->scarce));
	z->grow_after_us = s->now_us + grow_pause(z, v, s->now_us);
	return v->scarce;
}

static uint64_t grow(struct sizing *z, const struct sizing_sample *s,
		     const struct view *v, enum vvm_stat_resize *reason)
{
	uint64_t pages = may_grow(z, s, v), goal;

	z->look_us = MIN(z->look_us, LOOK_US);
	goal = MIN(s->budget + pages, z->most);
	if (!pages || goal <= s->budget)
		return s->budget;
	z->moved_us = s->now_us;
	z->before = 0;
	z->top = s->used;
	*reason = undoes(z, s->now_us) ? VVM_STAT_BY_resize_undo
				       : VVM_STAT_BY_resize_demand;
	return goal;
}

/*
 * What is not in use yet is a promise, to be one that can be kept, although
 * others make theirs.
 */
static uint64_t promised(const struct sizing *z, const struct sizing_sample *s,
			 const struct view *v)
{
	uint64_t spare = MAX(v->room / GROW_SHARE, v->scarce);
	uint64_t most = base_of(s) + MIN(spare, s->budget);

	most = MAX(most, z->least);
	return s->budget > most + most / PROMISE_SLACK ? most : s->budget;
}

static uint64_t trim(struct sizing *z, const struct sizing_sample *s,
		     const struct view *v, uint64_t took_us,
		     enum vvm_stat_resize *reason)
{
	uint64_t base = base_of(s), floor = z->least, pages, goal;

	if (s->now_us < z->trim_after_us || s->swap_full)
		return s->budget;
	pages = MIN(base / TRIM_SHARE, (uint64_t)TRIM_PAGES);
	pages = pages * MIN(took_us, LOOK_IDLE_US) / LOOK_IDLE_US;
	if (v->tight)
		pages = base / TRIM_SCARCE;
	else
		floor = MAX(floor, z->top / 2);
	goal = lower(z, s, pages);
	if (!pages || goal >= base || goal <= floor)
		return s->budget;
	if (passed(s->now_us, z->regret_us, FORGIVE * z->trim_pause_us)) {
		z->trim_pause_us = MAX(z->trim_pause_us / 2, TRIM_PAUSE_US);
		z->regret_us = s->now_us;
	}
	z->trimmed_us = s->now_us;
	*reason = VVM_STAT_BY_resize_idle;
	return goal;
}

static uint64_t decide(struct sizing *z, const struct sizing_sample *s,
		       enum vvm_stat_resize *reason)
{
	struct deed p = deed_of(z, s);
	struct view v = view_of(z, s, p.took_us);
	uint64_t goal;

	z->look_us = v.far ? LOOK_IDLE_US : v.tight ? LOOK_TIGHT_US : LOOK_US;
	z->top = MAX(z->top, s->used);
	if (p.waits || p.wants)
		regret(z, s->now_us);
	if (v.plenty)
		z->plenty_us = s->now_us;
	if (is_over(z, s))
		return wait_for_chunk(z, s, reason);
	chunk_is_gone(z, s);
	if (v.give)
		return give(z, s, &v, reason);
	z->by_chunk = false;
	z->in_vain = 0;
	goal = v.held ? s->budget : promised(z, s, &v);
	if (goal < s->budget) {
		*reason = v.scarcer;
		return goal;
	}
	if (p.wants)
		return grow(z, s, &v, reason);
	return p.quiet ? trim(z, s, &v, p.took_us, reason) : s->budget;
}

uint64_t sizing_look(struct sizing *z, const struct sizing_sample *s,
		     enum vvm_stat_resize *reason)
{
	uint64_t goal;

	*reason = VVM_STAT_RESIZE_NONE;
	if (!z->begun) { /* counters have not begun with this object */
		z->last = *s;
		z->plenty_us = z->moved_us = s->now_us;
		z->begun = true;
	}
	check_refusal(z, s);
	goal = decide(z, s, reason);
	if (goal < s->budget && *reason != VVM_STAT_RESIZE_NONE) {
		z->lowered_us = s->now_us;
		z->asked = goal;
	}
	z->last = *s;
	return goal;
}
