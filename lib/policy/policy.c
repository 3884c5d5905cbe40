/* SPDX-License-Identifier: MIT */
/*
 * policy/policy.c - the replacement policies there are, by name.
 *
 * A policy is chosen when a space is opened and stays. To add one: a file
 * policy/<name>.c of its own with its struct policy_ops, a line in POLICIES
 * (policy/policy.h), and its word at the same place of the settings table
 * (settings.h, POLICY).
 *
 * These files are a library of their own (libvvmpolicy), which needs nothing
 * else of ours, for the simulator of vvmbench.
 */
#include "policy/policy.h"
#include <string.h>

static const struct policy_ops *const policies[] = {
#define X(name, help) &policy_##name,
	POLICIES(X)
#undef X
};

const struct policy_ops *policy_at(unsigned index)
{
	return index < ARRAY_SIZE(policies) ? policies[index] : NULL;
}

void policy_turn(const struct policy_ops *ops, struct policy_space *space)
{
	if (ops->turn)
		ops->turn(space);
}

void policy_begin(const struct policy_ops *ops,
		  const struct policy_space *space, struct policy_block *block,
		  gaddr_t base, unsigned pressure, struct policy_step *step)
{
	memset(step, 0, sizeof(*step));
	step->block = block;
	step->pressure = pressure;
	if (ops->begin)
		ops->begin(space, base, step);
}

void policy_enter(const struct policy_ops *ops, struct policy_step *step)
{
	if (ops->enter)
		ops->enter(step);
}

void policy_end(const struct policy_ops *ops, struct policy_space *space,
		const struct policy_step *step)
{
	if (ops->end)
		ops->end(space, step);
}
