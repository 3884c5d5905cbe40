/* SPDX-License-Identifier: MIT */
/*
 * libc.c - libc's own allocator, whoever else has one.
 *
 * It has second names, __libc_malloc and so on, but other allocators that the
 * program is linked with or that are preloaded (tcmalloc, mimalloc) define
 * these as well, and come before libc. What such a one maps may be paged, so it
 * will not do for those who resolve faults; and malloc_usable_size(), which has
 * no second name, would be that of one allocator and the block another's. So
 * the functions are looked up in libc's own table of symbols.
 *
 * That happens when the first block is wanted, in the dynamic loader, where
 * dlopen() and dlsym() are not to be called (they allocate). The loader's list
 * of objects and libc's hash table can be read at any time: libc is never
 * unloaded.
 */
#include "preload/libc.h"

#include <gnu/lib-names.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The part of libc that is looked at. */
struct object {
	uintptr_t base;
	const ElfW(Sym) * symbols;
	const char *names;
	const uint32_t *hash; /* DT_GNU_HASH */
};

struct functions {
	void *(*malloc)(size_t bytes);
	void *(*calloc)(size_t count, size_t bytes);
	void *(*realloc)(void *p, size_t bytes);
	void *(*memalign)(size_t align, size_t bytes);
	void (*free)(void *p);
	size_t (*usable_size)(void *p);
	uintptr_t base;
};

/* ------------------------------------------------------------------ */
/* Symbols								*/

/* Most loaders have relocated these, not all. */
static const void *address(const struct link_map *map, ElfW(Addr) value)
{
	return (const void *)(value < map->l_addr ? value + map->l_addr
						  : value);
}

static bool is_libc(const struct link_map *map)
{
	const char *slash = strrchr(map->l_name, '/');

	return !strcmp(slash ? slash + 1 : map->l_name, LIBC_SO);
}

static bool find_object(struct object *o)
{
	const struct link_map *map = _r_debug.r_map;
	const ElfW(Dyn) * d;

	while (map && !is_libc(map))
		map = map->l_next;
	if (!map)
		return false;
	*o = (struct object){.base = map->l_addr};
	for (d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB)
			o->symbols = address(map, d->d_un.d_ptr);
		else if (d->d_tag == DT_STRTAB)
			o->names = address(map, d->d_un.d_ptr);
		else if (d->d_tag == DT_GNU_HASH)
			o->hash = address(map, d->d_un.d_ptr);
	}
	return o->symbols && o->names && o->hash;
}

static uint32_t hash_of(const char *name)
{
	uint32_t h = 5381;

	while (*name)
		h = h * 33 + (unsigned char)*name++;
	return h;
}

/*
 * The table: numbers of buckets, of the first symbol, of words of a filter;
 * a number; the filter; the buckets; a hash for each symbol, whose lowest bit
 * ends a bucket's chain.
 */
static void *symbol(const struct object *o, const char *name)
{
	uint32_t buckets = o->hash[0], first = o->hash[1];
	const uint32_t *bucket =
		o->hash + 4 +
		o->hash[2] * sizeof(ElfW(Addr)) / sizeof(uint32_t);
	const uint32_t *chain = bucket + buckets - first;
	uint32_t h = hash_of(name), i = bucket[h % buckets];

	for (; i; i = chain[i] & 1 ? 0 : i + 1)
		if ((chain[i] | 1) == (h | 1) &&
		    !strcmp(o->names + o->symbols[i].st_name, name))
			return (void *)(o->base + o->symbols[i].st_value);
	return NULL;
}

/* ------------------------------------------------------------------ */

static bool find_functions(struct functions *f)
{
	struct object o;

	if (!find_object(&o))
		return false;
	f->malloc = (void *(*)(size_t))symbol(&o, "__libc_malloc");
	f->calloc = (void *(*)(size_t, size_t))symbol(&o, "__libc_calloc");
	f->realloc = (void *(*)(void *, size_t))symbol(&o, "__libc_realloc");
	f->memalign = (void *(*)(size_t, size_t))symbol(&o, "__libc_memalign");
	f->free = (void (*)(void *))symbol(&o, "__libc_free");
	f->usable_size = (size_t(*)(void *))symbol(&o, "malloc_usable_size");
	f->base = o.base;
	return f->malloc && f->calloc && f->realloc && f->memalign && f->free &&
	       f->usable_size;
}

uintptr_t object_bytes(uintptr_t base)
{
	const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)base;
	const ElfW(Phdr) *p = (const ElfW(Phdr) *)(base + header->e_phoff);
	uintptr_t bytes = 0;
	unsigned i;

	for (i = 0; i < header->e_phnum; i++)
		if (p[i].p_type == PT_LOAD &&
		    p[i].p_vaddr + p[i].p_memsz > bytes)
			bytes = p[i].p_vaddr + p[i].p_memsz;
	return bytes;
}

uintptr_t object_offset(uintptr_t base, uintptr_t address)
{
	const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)base;
	const ElfW(Phdr) *p = (const ElfW(Phdr) *)(base + header->e_phoff);
	uintptr_t at = address - base;
	unsigned i;

	for (i = 0; i < header->e_phnum; i++)
		if (p[i].p_type == PT_LOAD && at - p[i].p_vaddr < p[i].p_filesz)
			return at - p[i].p_vaddr + p[i].p_offset;
	return at;
}

/* Of the loader's list, but for programs that are at fixed addresses. */
void object_of(uintptr_t address, uintptr_t *start, uintptr_t *end)
{
	const struct link_map *map;

	*start = *end = 0;
	for (map = _r_debug.r_map; map; map = map->l_next) {
		uintptr_t base = map->l_addr;

		if (!base || address < base ||
		    address - base >= object_bytes(base))
			continue;
		*start = base;
		*end = base + object_bytes(base);
	}
}

/* Without them there is no memory for anybody. Threads find the same. */
static const struct functions *libc(void)
{
	static struct functions functions;
	static _Atomic bool found;
	struct functions f;

	if (!atomic_load_explicit(&found, memory_order_acquire)) {
		if (!find_functions(&f))
			abort();
		functions = f;
		atomic_store_explicit(&found, true, memory_order_release);
	}
	return &functions;
}

void *libc_malloc(size_t bytes)
{
	return libc()->malloc(bytes);
}

void *libc_calloc(size_t count, size_t bytes)
{
	return libc()->calloc(count, bytes);
}

void *libc_realloc(void *p, size_t bytes)
{
	return libc()->realloc(p, bytes);
}

void *libc_memalign(size_t align, size_t bytes)
{
	return libc()->memalign(align, bytes);
}

void libc_free(void *p)
{
	libc()->free(p);
}

size_t libc_usable_size(void *p)
{
	return libc()->usable_size(p);
}

void *libc_function(const char *name)
{
	struct object o;

	return find_object(&o) ? symbol(&o, name) : NULL;
}

uintptr_t libc_base(void)
{
	return libc()->base;
}
