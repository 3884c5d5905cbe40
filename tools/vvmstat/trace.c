/* SPDX-License-Identifier: MIT */
/*
 * trace.c - follows the recent faults of a process.
 *
 * Each actor of a space has a ring of its last VVM_STAT_EVENTS faults and a
 * word that says how many it ever put there. We remember for each ring how
 * far we have read, and take what was added since. Nobody waits for anybody,
 * so three things happen to an event that we want to read:
 *
 *   complete	 its sequence number is right for its place and its words
 *   overwritten the writer is a whole ring ahead: it is lost, and counted
 *   not there	 a writer took the number and has not finished. We come back
 *		 for it, once: who was stopped in the middle (a lane has many
 *		 writers) must not keep us from the others for ever.
 *
 * The words come from a file that may be hostile: a ring is read at most once
 * in its whole length at each look, whatever the counts in it say, and a kind
 * that we do not know is passed over.
 */
#include "vvmstat/trace.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {
#define X(name, help) #name,
	VVM_STAT_KINDS(X)
#undef X
};

/* How far we have read the rings of one space. */
struct trace_place {
	unsigned space;
	uint64_t opened_unix_us; /* a number is used again by another space */
	bool known[VVM_STAT_ACTORS];  /* looked at before */
	bool waited[VVM_STAT_ACTORS]; /* for event `next`, once */
	uint64_t next[VVM_STAT_ACTORS];
};

const char *trace_kind_name(unsigned kind)
{
	return kinds[kind];
}

/* ------------------------------------------------------------------ */
/* Filters								*/

static bool parse_kind(struct trace_filter *f, const char *term, size_t length)
{
	unsigned i;

	for (i = 0; i < VVM_STAT_KIND_COUNT; i++)
		if (strlen(kinds[i]) == length &&
		    !strncmp(term, kinds[i], length)) {
			f->kinds |= 1u << i;
			return true;
		}
	return false;
}

static bool is_word(const char *term, size_t length, const char *word)
{
	return strlen(word) == length && !strncmp(term, word, length);
}

static bool parse_word(struct trace_filter *f, const char *term, size_t length)
{
	if (is_word(term, length, "read"))
		f->reads = true;
	else if (is_word(term, length, "write"))
		f->writes = true;
	else if (is_word(term, length, "stalled"))
		f->stalled = true;
	else if (is_word(term, length, "past"))
		f->past = true;
	else
		return parse_kind(f, term, length);
	return true;
}

/* A number at *p, which moves behind it. */
static bool take_number(const char **p, int base, uint64_t *value)
{
	char *end;

	/* strtoull would take a sign, and white space before it. */
	if (!strchr("0123456789abcdefABCDEF", **p) || !**p)
		return false;
	errno = 0;
	*value = strtoull(*p, &end, base);
	if (errno || end == *p)
		return false;
	*p = end;
	return true;
}

/* "name=" at *p, which moves behind it. */
static bool take_name(const char **p, const char *name)
{
	size_t length = strlen(name);

	if (strncmp(*p, name, length))
		return false;
	*p += length;
	return true;
}

/* name=value; *p moves to where the value ends. */
static bool parse_value(struct trace_filter *f, const char **p)
{
	uint64_t n;

	if (take_name(p, "tid=")) {
		if (!take_number(p, 10, &n) || n == 0 || n >> 31)
			return false;
		f->tid = (unsigned)n;
		return true;
	}
	if (take_name(p, "us=")) {
		if (!take_number(p, 10, &n) || n > UINT64_MAX / 1000)
			return false;
		f->latency_ns = n * 1000;
		return true;
	}
	return take_name(p, "addr=") && take_number(p, 16, &f->from) &&
	       *(*p)++ == '-' && take_number(p, 16, &f->to) && f->from < f->to;
}

bool trace_parse(struct trace_filter *f, const char *text, const char **bad)
{
	const char *p = text;
	size_t length;

	for (;; p++) {
		*bad = p;
		length = strcspn(p, ",");
		if (parse_word(f, p, length))
			p += length;
		else if (!memchr(p, '=', length) || !parse_value(f, &p) ||
			 p != *bad + length)
			return false;
		if (!*p)
			return true;
	}
}

bool trace_wanted(const struct trace_filter *f, const struct trace_event *e)
{
	if (f->kinds && !(f->kinds >> e->kind & 1))
		return false;
	if (f->to && (e->address < f->from || e->address >= f->to))
		return false;
	if (e->latency_ns < f->latency_ns || (f->tid && e->tid != f->tid))
		return false;
	if (f->reads != f->writes && e->write != f->writes)
		return false;
	return e->stalled || !f->stalled;
}

/* ------------------------------------------------------------------ */
/* Rings								*/

/* One look at all rings of a space. */
struct look {
	struct trace *trace;
	struct trace_place *place;
};

static uint64_t word_at(const struct segment *s, size_t offset)
{
	return __atomic_load_n(s->map + offset / sizeof(*s->map),
			       __ATOMIC_ACQUIRE);
}

static size_t ring_at(const struct segment *s, size_t i)
{
	return s->rings.offset + i * s->rings.item_bytes;
}

/* Is event n complete in *e? `behind`: its writer has not been here yet. */
static bool is_complete(const struct vvm_stat_event *e, uint64_t n,
			bool *behind)
{
	uint64_t seq = vvm_stat_event_seq(n, e->time_ns, e->page, e->took);

	*behind = e->seq >> 16 < seq >> 16;
	return e->seq == seq;
}

static void take_event(struct trace *tr, unsigned space,
		       const struct vvm_stat_event *e)
{
	unsigned flags = (unsigned)e->page & 4095;
	struct trace_event *to = &tr->event[tr->events];

	to->space = space;
	to->time_ns = e->time_ns;
	to->latency_ns = e->took >> VVM_STAT_EVENT_TID_BITS;
	to->tid = (unsigned)e->took & ((1u << VVM_STAT_EVENT_TID_BITS) - 1);
	to->address = e->page & ~(uint64_t)4095;
	to->kind = flags & VVM_STAT_EVENT_KIND;
	to->write = flags & VVM_STAT_EVENT_WRITE;
	to->stalled = flags & VVM_STAT_EVENT_STALLED;
	if (to->kind < VVM_STAT_KIND_COUNT)
		tr->events++;
}

/* Takes what ring i has from *next on; at most a whole ring. */
static void look_at_ring(struct segment *s, struct look *k, size_t i)
{
	uint64_t *next = &k->place->next[i], end;
	struct vvm_stat_event e;
	bool behind;

	end = word_at(s, s->actors.offset + i * s->actors.item_bytes +
				 offsetof(struct vvm_stat_actor, events));
	if (*next > end)
		*next = end;
	if (end - *next > VVM_STAT_EVENTS) {
		if (k->place->known[i])
			k->trace->lost += end - VVM_STAT_EVENTS - *next;
		*next = end - VVM_STAT_EVENTS;
	}
	k->place->known[i] = true;
	for (; *next < end; (*next)++) {
		segment_copy(s, &e,
			     ring_at(s, i) +
				     *next % VVM_STAT_EVENTS * sizeof(e),
			     sizeof(e));
		if (is_complete(&e, *next, &behind)) {
			take_event(k->trace, k->place->space, &e);
		} else if (behind && !k->place->waited[i]) {
			k->place->waited[i] = true;
			return;
		} else {
			k->trace->lost++;
		}
		k->place->waited[i] = false;
	}
}

static void look_at_rings(struct segment *s, void *arg)
{
	size_t i, n = segment_items(s, &s->rings);

	if (n > s->actors.max)
		n = s->actors.max;
	for (i = 0; i < n && i < VVM_STAT_ACTORS; i++)
		look_at_ring(s, arg, i);
}

/* ------------------------------------------------------------------ */
/* Spaces								*/

static struct trace_place *place_of(struct trace *tr,
				    const struct target_space *space)
{
	struct trace_place *grown, *p;
	unsigned i;

	for (i = 0; i < tr->places; i++) {
		p = &tr->place[i];
		if (p->space == space->number &&
		    p->opened_unix_us == space->segment.opened_unix_us)
			return p;
	}
	grown = realloc(tr->place, (tr->places + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	tr->place = grown;
	p = &grown[tr->places++];
	*p = (struct trace_place){.space = space->number,
				  .opened_unix_us =
					  space->segment.opened_unix_us};
	return p;
}

/* Room for all that one look can find. */
static bool make_room(struct trace *tr, unsigned spaces)
{
	size_t room = (size_t)spaces * VVM_STAT_ACTORS * VVM_STAT_EVENTS;
	struct trace_event *grown;

	if (room <= tr->room)
		return true;
	grown = realloc(tr->event, room * sizeof(*grown));
	if (!grown)
		return false;
	tr->event = grown;
	tr->room = room;
	return true;
}

static int compare_times(const void *a, const void *b)
{
	const struct trace_event *x = a, *y = b;

	return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

int trace_read(struct trace *tr, struct target *t)
{
	struct look k = {.trace = tr};
	unsigned i;

	tr->events = 0;
	if (!make_room(tr, t->spaces))
		return -ENOMEM;
	for (i = 0; i < t->spaces; i++) {
		k.place = place_of(tr, &t->space[i]);
		if (!k.place)
			return -ENOMEM;
		/* A file that was cut has no more events. */
		(void)segment_look(&t->space[i].segment, look_at_rings, &k);
	}
	if (tr->events)
		qsort(tr->event, tr->events, sizeof(*tr->event), compare_times);
	return 0;
}

void trace_init(struct trace *tr)
{
	*tr = (struct trace){0};
}

void trace_fini(struct trace *tr)
{
	free(tr->place);
	free(tr->event);
	trace_init(tr);
}
