/* SPDX-License-Identifier: MIT */
/*
 * policy.c - the replacement policies there are, by name.
 *
 * A policy is chosen when a space is opened and stays. To add one: its own
 * file policy_<name>.c with its struct policy_ops, a line here, its word in
 * the settings table (conf.h, POLICY).
 */
#include "policy.h"
#include <string.h>

static const struct policy_ops *const policies[] = {&policy_clock};

const struct policy_ops *policy_at(unsigned index)
{
	ASSERT(index < ARRAY_SIZE(policies)); /* conf_check() saw to it */
	return policies[index];
}

const struct policy_ops *policy_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(policies); i++)
		if (!strcmp(policies[i]->name, name))
			return policies[i];
	return NULL;
}
