/* SPDX-License-Identifier: MIT */
/*
 * space/spaces.c - all spaces of the process.
 *
 * An entry is looked at without a lock; its `users` keep spaces_remove() from
 * returning while somebody looks at the space. Entries are in chunks that are
 * never freed.
 *
 * State outside `struct vvm`: a pointer that a program gives to the kernel does
 * not say which space it is of.
 */
#include "space/spaces.h"

#include <errno.h>

struct spaces_entry {
	_Atomic(struct vvm *) vm;
	_Atomic unsigned users;
};

#define CHUNK_BYTES   PAGE_BYTES
#define CHUNK_ENTRIES (CHUNK_BYTES / sizeof(struct spaces_entry) - 1)

struct chunk {
	_Atomic(struct chunk *) next;
	struct spaces_entry of[CHUNK_ENTRIES];
};

_Static_assert(sizeof(struct chunk) <= CHUNK_BYTES, "its head is an entry");

static struct chunk first;
static _Atomic unsigned top; /* (a) entries of `first` ever used */

static bool claim(struct chunk *c, struct vvm *vm)
{
	unsigned i, seen;

	for (i = 0; i < CHUNK_ENTRIES; i++) {
		struct vvm *none = NULL;

		if (!atomic_compare_exchange_strong(&c->of[i].vm, &none, vm))
			continue;
		seen = atomic_load(&top);
		while (c == &first && seen <= i &&
		       !atomic_compare_exchange_weak(&top, &seen, i + 1))
			;
		return true;
	}
	return false;
}

static struct chunk *next_or_new(struct chunk *c)
{
	struct chunk *next = atomic_load(&c->next), *none = NULL;
	void *memory;

	if (next || os_map_anon(CHUNK_BYTES, &memory) < 0)
		return next;
	if (atomic_compare_exchange_strong(&c->next, &none, memory))
		return memory;
	os_unmap((haddr_t)(uintptr_t)memory, CHUNK_BYTES);
	return none;
}

int spaces_add(struct vvm *vm)
{
	struct chunk *c;

	for (c = &first; c; c = next_or_new(c))
		if (claim(c, vm))
			return 0;
	return -ENOMEM;
}

/* Calls fn for each entry until it returns true. */
static bool any_entry(bool (*fn)(struct spaces_entry *, void *), void *arg)
{
	struct chunk *c;
	unsigned i;

	for (c = &first; c; c = atomic_load(&c->next)) {
		unsigned n = c == &first ? atomic_load(&top) : CHUNK_ENTRIES;

		for (i = 0; i < n; i++)
			if (fn(&c->of[i], arg))
				return true;
	}
	return false;
}

static bool remove_one(struct spaces_entry *e, void *vm)
{
	struct vvm *it = vm;

	if (!atomic_compare_exchange_strong(&e->vm, &it, NULL))
		return false;
	while (atomic_load(&e->users))
		os_yield();
	return true;
}

void spaces_remove(struct vvm *vm)
{
	any_entry(remove_one, vm);
}

static bool reset_one(struct spaces_entry *e, void *arg)
{
	(void)arg;
	atomic_store(&e->users, 0);
	return false;
}

void spaces_forked(void)
{
	any_entry(reset_one, NULL);
}

/* ---- finding ---- */

struct search {
	haddr_t host;
	struct spaces_run *run;
};

static bool describe(struct vvm *vm, haddr_t host, struct spaces_run *run)
{
	struct region *r;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, host);
	if (r) {
		run->vm = vm;
		run->addr = region_to_guest(r, host);
		run->bytes = region_host_end(r) - host;
		run->prot = r->prot;
	}
	rwlock_end_read(&vm->lock);
	if (r && atomic_load_explicit(&vm->dormant, memory_order_acquire))
		space_rouse(vm);
	return r != NULL;
}

static bool look(struct spaces_entry *e, void *arg)
{
	struct search *s = arg;
	struct vvm *vm;

	if (!atomic_load_explicit(&e->vm, memory_order_relaxed))
		return false;
	atomic_fetch_add(&e->users, 1);
	vm = atomic_load(&e->vm);
	if (vm && !space_forked(vm) && describe(vm, s->host, s->run)) {
		s->run->held = e;
		return true;
	}
	atomic_fetch_sub(&e->users, 1);
	return false;
}

bool spaces_find(haddr_t host, struct spaces_run *run)
{
	struct search s = {.host = host, .run = run};

	return any_entry(look, &s);
}

void spaces_let_go(struct spaces_run *run)
{
	atomic_fetch_sub(&run->held->users, 1);
}
