/* SPDX-License-Identifier: MIT */
/*
 * list.h - intrusive circular doubly linked list. A head and an unlinked
 * node point at themselves. No locks: the caller's lock covers the list.
 */
#ifndef VVM_LIST_H
#define VVM_LIST_H

#include "base.h"

struct list {
	struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Inserts node before pos: with pos the head, at the tail. */
static inline void list_insert(struct list *pos, struct list *node)
{
	node->prev = pos->prev;
	node->next = pos;
	pos->prev->next = node;
	pos->prev = node;
}

/* Unlinks node and leaves it pointing at itself; harmless when repeated. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Takes the first node, or NULL from an empty list. */
static inline struct list *list_pop(struct list *head)
{
	struct list *node = head->next;

	if (node == head)
		return NULL;
	head->next = node->next;
	node->next->prev = head;
	list_init(node);
	return node;
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_for_each(pos, head) \
	for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)

#endif
