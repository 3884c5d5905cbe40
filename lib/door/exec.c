/* SPDX-License-Identifier: MIT */
/*
 * door/exec.c - execve(2): a path, and two arrays of strings.
 *
 * It may be called in a vfork child, which shares memory with its parent: what
 * is taken here is given back when the call fails, or found by its cookie when
 * the parent goes on (door/bounce.c).
 */
#include <string.h>

#include <asm/unistd.h>

#include "door/impl.h"

/* MAX_ARG_STRLEN: the kernel takes no longer one. */
#define STRING_MOST ((size_t)128 << 10)
/* Arrays: the kernel takes a quarter of the stack's limit in all. */
#define STRINGS_MOST ((size_t)1 << 20)
#define BATCH	     64

/* How many pointers there are before NULL. -EFAULT, -E2BIG. */
static long count_strings(haddr_t at)
{
	uint64_t word[BATCH];
	size_t n = 0, i, got;

	for (; n < STRINGS_MOST; n += BATCH) {
		got = copy_in(word, at + n * sizeof(*word), sizeof(word)) /
		      sizeof(*word);
		for (i = 0; i < got; i++)
			if (!word[i])
				return (long)(n + i);
		if (got < BATCH)
			return -EFAULT;
	}
	return -E2BIG;
}

static bool any_paged(const uint64_t *word, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (door_is_paged(word[i], 1))
			return true;
	return false;
}

/*
 * In place of the pointer the string's copy. What is no string, or too long,
 * the kernel sees where it is.
 */
static int take_string(struct bounce *memory, char **room, uint64_t *word)
{
	size_t length;
	char *mine;

	if (!door_is_paged(*word, 1))
		return 0;
	length = copy_text(*room, *word, STRING_MOST);
	if (!length)
		return 0;
	mine = bounce_take(memory, length, 0);
	if (!mine)
		return -ENOMEM;
	memcpy(mine, *room, length);
	*word = (uintptr_t)mine;
	return 0;
}

/* The array of argument i. */
static int take_strings(struct door *d, unsigned i, char **room)
{
	long count, j;
	uint64_t *word;
	int rc = 0;

	if (!d->arg[i])
		return 0;
	count = count_strings(d->arg[i]);
	if (count < 0) /* the kernel says so as well, or what else is wrong */
		return count == -E2BIG ? -E2BIG : 0;
	word = bounce_take(&d->bounce, (size_t)(count + 1) * sizeof(*word), 0);
	if (!word)
		return -ENOMEM;
	if (copy_in(word, d->arg[i], (size_t)(count + 1) * sizeof(*word)) <
	    (size_t)(count + 1) * sizeof(*word))
		return 0;
	word[count] = 0;
	if (!any_paged(word, (size_t)count) &&
	    !door_is_paged(d->arg[i], (size_t)(count + 1) * sizeof(*word)))
		return 0;
	if (!*room)
		*room = bounce_take(&d->bounce, STRING_MOST, 0);
	if (!*room)
		return -ENOMEM;
	for (j = 0; j < count && rc == 0; j++)
		rc = take_string(&d->bounce, room, &word[j]);
	d->use[i] = (uintptr_t)word;
	return rc;
}

long door_exec(struct door *d)
{
	unsigned first = d->nr == __NR_execveat ? 2 : 1;
	char *room = NULL;
	int rc = door_bounce_arguments(d);

	if (rc == 0)
		rc = take_strings(d, first, &room);
	if (rc == 0)
		rc = take_strings(d, first + 1, &room);
	return rc < 0 ? rc : door_make(d);
}
