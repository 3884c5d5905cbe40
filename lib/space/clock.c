/* SPDX-License-Identifier: MIT */
/*
 * space/clock.c - the ring of blocks that have resident pages, and its hand.
 *
 * Reclaim goes round it block by block. A block is put in just behind the
 * hand, so that it comes by there last. What a pass over a block decides is
 * the policy's, whose state of the space lives here, under the same lock.
 *
 * Pressure is the number of turns in a row that found no victim: the policy is
 * to find one in every page when it has passed POLICY_AGE_MAX.
 */
#include "space/clock.h"

void clock_init(struct clock *c, const struct policy_ops *ops)
{
	lock_init(&c->lock, LOCK_CLOCK);
	list_init(&c->ring);
	c->hand = &c->ring;
	c->blocks = c->barren = 0;
	c->ops = ops;
}

void clock_add(struct clock *c, struct block *b)
{
	if (b->on_clock)
		return;
	lock_take(&c->lock);
	/* Just behind the hand: it comes by here last. */
	list_insert(c->hand, &b->clock_link);
	b->on_clock = true;
	c->blocks++;
	lock_drop(&c->lock);
}

void clock_remove(struct clock *c, struct block *b)
{
	if (!b->on_clock)
		return;
	lock_take(&c->lock);
	if (c->hand == &b->clock_link)
		c->hand = b->clock_link.next;
	list_remove(&b->clock_link);
	b->on_clock = false;
	c->blocks--;
	lock_drop(&c->lock);
}

struct block *clock_advance(struct clock *c)
{
	struct block *b = NULL;

	lock_take(&c->lock);
	if (c->hand == &c->ring) {
		c->hand = c->hand->next;
		policy_turn(c->ops, &c->policy);
	}
	if (c->hand != &c->ring) {
		b = list_entry(c->hand, struct block, clock_link);
		c->hand = c->hand->next;
	}
	lock_drop(&c->lock);
	return b;
}

/* => clock lock held. */
static unsigned pressure(const struct clock *c)
{
	uint64_t turns = c->blocks ? c->barren / c->blocks : 0;

	return (unsigned)MIN(turns, (uint64_t)POLICY_AGE_MAX + 1);
}

unsigned clock_pressure(struct clock *c)
{
	unsigned p;

	lock_take(&c->lock);
	p = pressure(c);
	lock_drop(&c->lock);
	return p;
}

void clock_begin(struct clock *c, struct block *b, struct policy_step *step)
{
	lock_take(&c->lock);
	policy_begin(c->ops, &c->policy, &b->policy, b->base, pressure(c),
		     step);
	lock_drop(&c->lock);
	policy_enter(c->ops, step);
}

void clock_end(struct clock *c, const struct policy_step *step)
{
	lock_take(&c->lock);
	policy_end(c->ops, &c->policy, step);
	lock_drop(&c->lock);
}

void clock_found(struct clock *c, bool victims)
{
	lock_take(&c->lock);
	c->barren = victims ? 0 : c->barren + 1;
	lock_drop(&c->lock);
}

bool clock_in_vain(struct clock *c)
{
	bool vain;

	lock_take(&c->lock);
	vain = pressure(c) > POLICY_AGE_MAX && c->barren % c->blocks == 0;
	lock_drop(&c->lock);
	return vain;
}
