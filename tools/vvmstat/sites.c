/* SPDX-License-Identifier: MIT */
/*
 * sites.c - adds up which code of a process waited for pages.
 *
 * The numbers come from two sources. In the segments (vvm_stat.h) are those of
 * faults that threads resolve themselves, and of calls of the library; they
 * only grow, but an item of that table may be used for other code when there is
 * too much of it, and what it had goes to the item of all others. Where handler
 * threads resolve the faults, sampler.c looks at the threads that wait.
 *
 * A process may open, close and open a space, execute another program, and end,
 * while we watch. So what counts is what each look finds to be new: `last` has
 * the numbers of the look before by space and address, `all` the sums by
 * address. Code whose item was given away has been added to `all` before and to
 * the others by the process; it is taken off there. It may have an item again
 * by then, with less than before.
 *
 * The segment may be hostile: whatever it says, sums may be wrong, and are of a
 * bounded number of addresses. What is beyond that is left out, and said to be.
 */
#include "vvmstat/sites.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Of a table: 64 times what the library has today. */
#define READ_MAX 65536
/* Of all that is followed: 46 MiB. */
#define MAP_MAX ((size_t)1 << 18)
/* Of numbers that may be of nothing more, before it is looked. */
#define FEW   ((size_t)4096)
#define TRIES 4

/* ------------------------------------------------------------------ */
/* Map									*/

/* Where the key is, or would be. => there is a free item. */
static struct site *map_find(const struct site_map *m, uint64_t space,
			     uint64_t ip)
{
	uint64_t hash = (ip ^ space << 17) * m->factor;
	size_t i = (size_t)((hash >> 32) * m->size >> 32);

	while (m->item[i].ip &&
	       (m->item[i].ip != ip || m->item[i].space != space))
		i = (i + 1) & (m->size - 1);
	return &m->item[i];
}

/* Nobody is to choose addresses that collide. */
static uint64_t random_factor(void)
{
	uint64_t factor = 0;

	if (getrandom(&factor, sizeof(factor), GRND_NONBLOCK) < 0)
		factor = 0x9e3779b97f4a7c14u;
	return factor | 1;
}

/* Makes it of that size, with the items that are kept. NULL: all. */
static bool map_resize(struct site_map *m, size_t size,
		       bool (*keep)(const struct site *, const void *),
		       const void *arg)
{
	struct site_map made = {
		.size = size, .factor = m->factor, .full = m->full};
	const struct site *from;
	size_t i;

	if (!made.factor)
		made.factor = random_factor();
	made.item = calloc(size, sizeof(*made.item));
	if (!made.item)
		return false;
	for (i = 0; i < m->size; i++) {
		from = &m->item[i];
		if (!from->ip || (keep && !keep(from, arg)))
			continue;
		*map_find(&made, from->space, from->ip) = *from;
		made.used++;
	}
	free(m->item);
	*m = made;
	return true;
}

static bool map_grow(struct site_map *m)
{
	return m->used < MAP_MAX &&
	       map_resize(m, m->size ? 2 * m->size : 256, NULL, NULL);
}

struct site *site_get(struct site_map *m, uint64_t space, uint64_t ip)
{
	struct site *s = m->size ? map_find(m, space, ip) : NULL;

	if (s && s->ip)
		return s;
	if (m->used >= m->size / 2 && !map_grow(m)) {
		m->full = true;
		return NULL;
	}
	s = map_find(m, space, ip);
	s->space = space;
	s->ip = ip;
	m->used++;
	return s;
}

/* ------------------------------------------------------------------ */
/* A segment								*/

/* What one look at one segment works on. */
struct look {
	struct vvm_stat_site *item;
	size_t room, n;
};

static size_t at_most(size_t n, size_t max)
{
	return n < max ? n : max;
}

static void look_at_table(struct segment *s, void *arg)
{
	struct look *l = arg;
	size_t i, n = at_most(segment_items(s, &s->sites), l->room);
	unsigned tries;

	for (i = 0; i < n; i++) {
		struct vvm_stat_site *to = &l->item[l->n], again;
		size_t at = s->sites.offset + i * s->sites.item_bytes;

		for (tries = 0; tries < TRIES; tries++) {
			segment_copy(s, to, at, sizeof(*to));
			segment_copy(s, &again, at, sizeof(again.ip));
			if (to->ip == again.ip)
				break;
		}
		if (tries < TRIES && to->ip != VVM_STAT_SITE_NONE &&
		    to->ip != VVM_STAT_SITE_MOVING)
			l->n++;
	}
}

static bool make_room(struct sites *s, size_t n)
{
	void *grown;

	if (n <= s->room)
		return true;
	grown = aligned_alloc(64, n * sizeof(struct vvm_stat_site));
	if (!grown)
		return false;
	free(s->copy);
	s->copy = grown;
	s->room = n;
	return true;
}

static uint64_t since(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* Items of one address in one table belong together. */
static void add_up(struct site_map *now, const struct look *l, uint64_t space)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		const struct vvm_stat_site *from = &l->item[i];
		struct site *to = site_get(now, space, from->ip);

		if (!to)
			continue;
		to->faults += from->faults;
		to->stalls += from->stalls;
		to->wait_ns += from->wait_ns;
	}
}

static void add_counts(struct site *to, const struct site *from)
{
	to->faults += from->faults;
	to->stalls += from->stalls;
	to->wait_ns += from->wait_ns;
}

static void take_counts(struct site *from, const struct site *n)
{
	from->faults = since(from->faults, n->faults);
	from->stalls = since(from->stalls, n->stalls);
	from->wait_ns = since(from->wait_ns, n->wait_ns);
}

/*
 * Adds what is new at one address. If it has begun anew what it had is added to
 * *moved.
 */
static void add_new(struct sites *s, const struct site *now, struct site *moved)
{
	struct site *all = site_get(&s->all, 0, now->ip);
	struct site *last =
		all ? site_get(&s->last, now->space, now->ip) : NULL;
	bool anew;

	if (!last)
		return;
	anew = now->faults < last->faults || now->stalls < last->stalls ||
	       now->wait_ns < last->wait_ns;
	if (anew && now->ip != VVM_STAT_SITE_OTHERS)
		add_counts(moved, last);
	all->faults += anew ? now->faults : now->faults - last->faults;
	all->stalls += anew ? now->stalls : now->stalls - last->stalls;
	all->wait_ns += anew ? now->wait_ns : now->wait_ns - last->wait_ns;
	last->faults = now->faults;
	last->stalls = now->stalls;
	last->wait_ns = now->wait_ns;
	last->look = s->looks;
}

/*
 * What had an item at the look before and has none now, or a new one, was moved
 * to the others, in which it is contained now: we know better.
 */
static void take_moved(struct sites *s, uint64_t space, struct site *moved)
{
	struct site *others = site_get(&s->all, 0, VVM_STAT_SITE_OTHERS);
	size_t i;

	for (i = 0; i < s->last.size; i++) {
		struct site *gone = &s->last.item[i];

		if (!gone->ip || gone->space != space ||
		    gone->look == s->looks || !gone->faults)
			continue;
		add_counts(moved, gone);
		gone->faults = gone->stalls = gone->wait_ns = 0;
	}
	if (others)
		take_counts(others, moved);
}

static int read_segment(struct sites *s, struct segment *seg)
{
	struct look l = {.room = at_most(seg->sites.max, READ_MAX)};
	struct site_map now = {.size = 0};
	struct site moved = {.ip = 0};
	size_t i;

	if (!l.room)
		return 0;
	if (!make_room(s, l.room))
		return -ENOMEM;
	l.item = s->copy;
	if (segment_look(seg, look_at_table, &l))
		return 0; /* it was cut: nothing new */
	add_up(&now, &l, seg->opened_unix_us);
	for (i = 0; i < now.size; i++)
		if (now.item[i].ip)
			add_new(s, &now.item[i], &moved);
	free(now.item);
	if (l.n)
		take_moved(s, seg->opened_unix_us, &moved);
	return 0;
}

static bool is_waiting(const struct site *it, const void *unused)
{
	(void)unused;
	return it->faults | it->stalls | it->seen | it->wait_ns;
}

/* It has an item in a space that is open. */
static bool is_open(const struct site *it, const void *target)
{
	const struct target *t = target;
	unsigned i;

	for (i = 0; i < t->spaces && is_waiting(it, NULL); i++)
		if (t->space[i].segment.opened_unix_us == it->space)
			return true;
	return false;
}

/*
 * Drops what `last` has of spaces that are closed and of items that were given
 * away, when that may be half of it.
 */
static void drop_gone(struct sites *s, const struct target *t)
{
	if (s->last.used < at_most(2 * s->kept + FEW, MAP_MAX))
		return;
	map_resize(&s->last, s->last.size, is_open, t);
	s->kept = s->last.used;
}

int sites_read(struct sites *s, struct target *t)
{
	unsigned i;
	int error = 0;

	s->looks++;
	drop_gone(s, t);
	for (i = 0; i < t->spaces && !error; i++)
		error = read_segment(s, &t->space[i].segment);
	return error;
}

/* ------------------------------------------------------------------ */
/* All									*/

void sites_init(struct sites *s)
{
	memset(s, 0, sizeof(*s));
}

void sites_fini(struct sites *s)
{
	free(s->all.item);
	free(s->last.item);
	free(s->copy);
	sites_init(s);
}

void sites_forget(struct sites *s)
{
	size_t i;

	if (s->all.used >= MAP_MAX / 2)
		map_resize(&s->all, s->all.size, is_waiting, NULL);
	for (i = 0; i < s->all.size; i++) {
		struct site *it = &s->all.item[i];

		it->faults = it->stalls = it->seen = it->wait_ns = 0;
	}
}

bool sites_resolve(struct sites *s, struct modules *m)
{
	bool known = true;
	size_t i;

	for (i = 0; i < s->all.size; i++) {
		struct site *it = &s->all.item[i];

		if (it->ip < VVM_STAT_SITE_CODE || it->place.known)
			continue;
		module_resolve(m, it->ip, &it->place);
		known &= it->place.known;
	}
	return known;
}

static int compare_waits(const void *a, const void *b)
{
	const struct site *x = *(struct site *const *)a;
	const struct site *y = *(struct site *const *)b;

	if (x->wait_ns != y->wait_ns)
		return x->wait_ns < y->wait_ns ? 1 : -1;
	return (x->ip > y->ip) - (x->ip < y->ip);
}

struct site **sites_rank(const struct sites *s, size_t *n, uint64_t *wait_ns)
{
	struct site **rank = calloc(s->all.used + 1, sizeof(struct site *));
	size_t i;

	*n = 0;
	*wait_ns = 0;
	if (!rank)
		return NULL;
	for (i = 0; i < s->all.size; i++) {
		struct site *it = &s->all.item[i];

		if (!it->ip || !is_waiting(it, NULL))
			continue;
		rank[(*n)++] = it;
		*wait_ns += it->wait_ns;
	}
	if (*n)
		qsort(rank, *n, sizeof(struct site *), compare_waits);
	return rank;
}
