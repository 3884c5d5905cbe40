/* SPDX-License-Identifier: MIT */
/*
 * api/vvm.c - the public functions. They check arguments, refuse fork children,
 * call the module that does the work, and narrow its errors to the set that
 * vvm.h documents for each. Opening and closing is in api/open.c, vvm_probe()
 * in api/probe.c, what is about mapped files in api/file.c.
 */
#include "vvm.h"

#include <errno.h>
#include <string.h>

#include "door/door.h"
#include "map/access.h"
#include "fault/handler.h"
#include "fork/fork.h"
#include "util/log.h"
#include "map/mapping.h"
#include "evict/reclaim.h"
#include "fault/trap.h"
#include "api/impl.h"

#define STRING(x)  #x
#define VERSION(x) STRING(x)

#define TOUCH_PAGES 64 /* touched while signals wait */

const char *vvm_version(void)
{
	return VERSION(VVM_VERSION_MAJOR) "." VERSION(
		VVM_VERSION_MINOR) "." VERSION(VVM_VERSION_PATCH);
}

const char *vvm_strerror(int error)
{
	const char *text;

	if (error > 0)
		error = -error;
	switch (-error) {
	case 0:
		return "success";
	case ECHILD:
		return "the space belongs to the process that forked";
	case EOWNERDEAD:
		return "a thread of the library was killed: the space is lost";
#define X(name, value, text) \
	case value:          \
		return text;
		VVM_ERRORS(X)
#undef X
	default:
		text = strerrordesc_np(-error);
		return text ? text : "unknown error";
	}
}

/* ---- arguments ---- */

int api_range(struct vvm *vm, uint64_t addr, uint64_t len, gaddr_t *end)
{
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	if ((addr & PAGE_MASK) || !len || addr >= GUEST_END ||
	    len > GUEST_END - addr)
		return -EINVAL;
	*end = page_ceil(addr + len);
	return 0;
}

int api_narrow(int rc, const char *what)
{
	switch (rc) {
	case -EINVAL:
	case -EEXIST:
	case -ENOMEM:
	case -EBUSY:
		return rc;
	default:
		if (rc >= 0 || rc <= -VVM_EUNMAPPED)
			return rc;
		log_warn("%s: unexpected error %d from the kernel", what, -rc);
		return -ENOMEM;
	}
}

/* ---- the budget ---- */

int vvm_resize(struct vvm *vm, uint64_t resident_bytes)
{
	ON_FIRM_STACK(int, vvm_resize, vm, resident_bytes);
	IN_CALL(vm);
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	if (resident_bytes < PAGE_BYTES)
		return -EINVAL;
	return reclaim_resize(vm, resident_bytes >> PAGE_SHIFT,
			      vm->conf.frame_wait_ms);
}

/* ---- regions ---- */

const char *api_name(struct own_name *own, const char *name)
{
	memset(own, 0, sizeof(*own));
	if (!name)
		return NULL;
	strncpy(own->text, name, sizeof(own->text) - 1);
	return own->text;
}

static int map(struct vvm *vm, gaddr_t *addr, uint64_t bytes, unsigned prot,
	       const char *name)
{
	ON_FIRM_STACK(int, map, vm, addr, bytes, prot, name);
	IN_CALL(vm);
	struct own_name own;
	gaddr_t at = *addr;
	int rc = mapping_map(vm, &at, bytes, prot, api_name(&own, name));

	if (rc == 0)
		*addr = at;
	return rc;
}

int api_mappable(struct vvm *vm, const uint64_t *addr, uint64_t len,
		 unsigned prot)
{
	gaddr_t end;
	int rc;

	if (!addr)
		return -EINVAL;
	rc = api_range(vm, *addr == VVM_ANYWHERE ? 0 : *addr, len, &end);
	if (rc < 0)
		return rc;
	return prot & ~(unsigned)(VVM_READ | VVM_WRITE | VVM_EXEC) ? -EINVAL
								   : 0;
}

int vvm_map(struct vvm *vm, uint64_t *addr, uint64_t len, unsigned prot,
	    const char *name)
{
	int rc = api_mappable(vm, addr, len, prot);

	if (rc < 0)
		return rc;
	return api_narrow(map(vm, addr, page_ceil(len), prot, name), "vvm_map");
}

static int map_at(struct vvm *vm, haddr_t at, uint64_t bytes, unsigned prot,
		  const char *name)
{
	ON_FIRM_STACK(int, map_at, vm, at, bytes, prot, name);
	IN_CALL(vm);
	struct own_name own;

	return mapping_map_at(vm, at, bytes, prot, api_name(&own, name));
}

int vvm_map_at(struct vvm *vm, void *host, uint64_t len, unsigned prot,
	       const char *name)
{
	haddr_t at = (haddr_t)(uintptr_t)host;
	gaddr_t end;
	int rc = api_range(vm, at, len, &end);

	if (rc < 0)
		return rc;
	if (prot & ~(unsigned)(VVM_READ | VVM_WRITE | VVM_EXEC))
		return -EINVAL;
	if (!at)
		return -ENOMEM;
	return api_narrow(map_at(vm, at, page_ceil(len), prot, name),
			  "vvm_map_at");
}

int vvm_unmap(struct vvm *vm, uint64_t addr, uint64_t len)
{
	ON_FIRM_STACK(int, vvm_unmap, vm, addr, len);
	IN_CALL(vm);
	gaddr_t end;
	int rc = api_range(vm, addr, len, &end);

	return rc < 0 ? rc
		      : api_narrow(mapping_unmap(vm, addr, end), "vvm_unmap");
}

int vvm_protect(struct vvm *vm, uint64_t addr, uint64_t len, unsigned prot)
{
	ON_FIRM_STACK(int, vvm_protect, vm, addr, len, prot);
	IN_CALL(vm);
	gaddr_t end;
	int rc = api_range(vm, addr, len, &end);

	if (rc < 0)
		return rc;
	if (prot & ~(unsigned)(VVM_READ | VVM_WRITE | VVM_EXEC))
		return -EINVAL;
	rc = mapping_protect(vm, addr, end, prot);
	return rc == -EACCES ? rc : api_narrow(rc, "vvm_protect");
}

static int covered(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	ON_FIRM_STACK(int, covered, vm, start, end);
	IN_CALL(vm);

	return access_covered(vm, start, end);
}

static int advise_willneed(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	int rc = covered(vm, start, end);

	if (rc == 0)
		handlers_willneed(vm, start, end);
	return rc;
}

int vvm_advise(struct vvm *vm, uint64_t addr, uint64_t len,
	       enum vvm_advice advice)
{
	ON_FIRM_STACK(int, vvm_advise, vm, addr, len, advice);
	IN_CALL(vm);
	gaddr_t end;
	int rc = api_range(vm, addr, len, &end);

	if (rc < 0)
		return rc;
	switch (advice) {
	case VVM_ADV_NORMAL:
	case VVM_ADV_RANDOM:
	case VVM_ADV_SEQUENTIAL:
		rc = mapping_set_advice(vm, addr, end, advice);
		break;
	case VVM_ADV_WILLNEED:
		rc = advise_willneed(vm, addr, end);
		break;
	case VVM_ADV_DONTNEED:
		rc = mapping_dontneed(vm, addr, end);
		break;
	case VVM_ADV_COLD:
		rc = mapping_cold(vm, addr, end);
		break;
	default:
		rc = -EINVAL;
	}
	return api_narrow(rc, "vvm_advise");
}

/* Signals do not wait for long: the whole may be gigabytes of I/O. */
static int touch_some(struct vvm *vm, gaddr_t start, gaddr_t end, bool write)
{
	ON_FIRM_STACK(int, touch_some, vm, start, end, write);
	IN_CALL(vm);

	return access_touch(vm, start, end, write);
}

int vvm_touch(struct vvm *vm, uint64_t addr, uint64_t len, enum vvm_touch how)
{
	gaddr_t end, to;
	int rc = api_range(vm, addr, len, &end);

	if (rc < 0)
		return rc;
	if (how != VVM_TOUCH_READ && how != VVM_TOUCH_WRITE)
		return -EINVAL;
	for (; addr < end && rc == 0; addr = to) {
		to = MIN(end, page_floor(addr) + pages_to_bytes(TOUCH_PAGES));
		rc = touch_some(vm, addr, to, how == VVM_TOUCH_WRITE);
	}
	return rc;
}

int vvm_pin(struct vvm *vm, uint64_t addr, uint64_t len)
{
	ON_FIRM_STACK(int, vvm_pin, vm, addr, len);
	IN_CALL(vm);
	gaddr_t end;
	int rc = api_range(vm, addr, len, &end);

	return rc < 0 ? rc : access_pin(vm, addr, end);
}

int vvm_unpin(struct vvm *vm, uint64_t addr, uint64_t len)
{
	ON_FIRM_STACK(int, vvm_unpin, vm, addr, len);
	IN_CALL(vm);
	gaddr_t end;
	int rc = api_range(vm, addr, len, &end);

	return rc < 0 ? rc : access_unpin(vm, addr, end);
}

static void describe(const struct region *r, struct vvm_region *out)
{
	out->start = r->start;
	out->end = r->end;
	out->host = (void *)(uintptr_t)r->host;
	out->prot = r->prot;
	out->advice = r->advice;
	out->mapping = r->mapping_id;
	memcpy(out->name, r->name, sizeof(out->name));
}

/* Into memory of ours first: the caller's may be paged. */
static int next_region(struct vvm *vm, uint64_t addr, struct vvm_region *out)
{
	ON_FIRM_STACK(int, next_region, vm, addr, out);
	IN_CALL(vm);
	const struct region *r;
	struct vvm_region found;

	memset(&found, 0, sizeof(found));
	rwlock_read(&vm->lock);
	r = regions_next_guest(&vm->regions, addr);
	if (r)
		describe(r, &found);
	rwlock_end_read(&vm->lock);
	if (!r)
		return -VVM_EUNMAPPED;
	*out = found;
	return 0;
}

int vvm_query(struct vvm *vm, uint64_t addr, struct vvm_region *region)
{
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	return region ? next_region(vm, addr, region) : -EINVAL;
}

static int residency(struct vvm *vm, gaddr_t start, gaddr_t end,
		     unsigned char *flags)
{
	ON_FIRM_STACK(int, residency, vm, start, end, flags);
	IN_CALL(vm);
	unsigned char some[BLOCK_PAGES]; /* the caller's memory may be paged */
	int rc = access_residency(vm, start, end, some);

	if (rc == 0)
		memcpy(flags, some, bytes_to_pages(end - start));
	return rc;
}

int vvm_residency(struct vvm *vm, uint64_t addr, uint64_t len,
		  unsigned char *flags)
{
	gaddr_t end, to;
	int rc = api_range(vm, addr, len, &end);

	if (rc < 0)
		return rc;
	if (!flags)
		return -EINVAL;
	rc = covered(vm, addr, end);
	for (; addr < end && rc == 0; addr = to) {
		to = MIN(end, block_floor(addr) + BLOCK_BYTES);
		rc = residency(vm, addr, to, flags);
		flags += bytes_to_pages(to - addr);
	}
	return rc;
}

void *vvm_ptr(struct vvm *vm, uint64_t addr)
{
	ON_FIRM_STACK(void *, vvm_ptr, vm, addr);
	IN_CALL(vm);
	const struct region *r;
	void *ptr = NULL;

	if (usable(vm) < 0)
		return NULL;
	rwlock_read(&vm->lock);
	r = regions_at_guest(&vm->regions, addr);
	if (r)
		ptr = (void *)(uintptr_t)region_to_host(r, addr);
	rwlock_end_read(&vm->lock);
	return ptr;
}

static int find_host(struct vvm *vm, haddr_t host, gaddr_t *addr)
{
	ON_FIRM_STACK(int, find_host, vm, host, addr);
	IN_CALL(vm);
	const struct region *r;
	gaddr_t found = 0;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, host);
	if (r)
		found = region_to_guest(r, host);
	rwlock_end_read(&vm->lock);
	if (!r)
		return -VVM_EUNMAPPED;
	*addr = found;
	return 0;
}

int vvm_addr(struct vvm *vm, const void *ptr, uint64_t *addr)
{
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	if (!addr)
		return -EINVAL;
	return find_host(vm, (haddr_t)(uintptr_t)ptr, addr);
}

/* ---- checked access ---- */

/* 1: nothing to do; 0: go on. */
static int usable_bytes(struct vvm *vm, uint64_t addr, const void *buf,
			size_t len)
{
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	if (addr >= GUEST_END)
		return -VVM_EUNMAPPED;
	if (!len)
		return 1;
	return buf ? 0 : -EINVAL;
}

int vvm_load(struct vvm *vm, uint64_t addr, void *buf, size_t len)
{
	ON_FIRM_STACK(int, vvm_load, vm, addr, buf, len);
	IN_CALL(vm);
	int rc = usable_bytes(vm, addr, buf, len);

	if (rc)
		return rc < 0 ? rc : 0;
	return access_copy(vm, addr, buf, len, false);
}

int vvm_store(struct vvm *vm, uint64_t addr, const void *buf, size_t len)
{
	ON_FIRM_STACK(int, vvm_store, vm, addr, buf, len);
	IN_CALL(vm);
	int rc = usable_bytes(vm, addr, buf, len);

	if (rc)
		return rc < 0 ? rc : 0;
	return access_copy(vm, addr, (void *)(uintptr_t)buf, len, true);
}

int vvm_fetch_check(struct vvm *vm, uint64_t addr, size_t len)
{
	ON_FIRM_STACK(int, vvm_fetch_check, vm, addr, len);
	IN_CALL(vm);
	int rc = usable_bytes(vm, addr, "", len);

	if (rc)
		return rc < 0 ? rc : 0;
	return access_check(vm, addr, len, PTE_EXEC);
}

long vvm_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	const uint64_t arg[6] = {(uint64_t)a, (uint64_t)b, (uint64_t)c,
				 (uint64_t)d, (uint64_t)e, (uint64_t)f};

	return door_call(nr, arg);
}

/* ---- callbacks ---- */

/* => mapping lock held. */
static int set_on_fault(struct vvm *vm, vvm_fault_callback callback, void *arg)
{
	int rc = callback ? trap_register(vm) : 0;

	if (rc < 0)
		return rc;
	hook_set(&vm->on_fault, (hook_callback)callback, arg);
	/* inline mode needs the handler anyway */
	if (!callback && !space_is_inline(vm))
		trap_unregister(vm);
	return 0;
}

int vvm_on_fault(struct vvm *vm, vvm_fault_callback callback, void *arg)
{
	ON_FIRM_STACK(int, vvm_on_fault, vm, callback, arg);
	IN_CALL(vm);
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	lock_take(&vm->mapping);
	rc = set_on_fault(vm, callback, arg);
	lock_drop(&vm->mapping);
	return rc;
}

int vvm_on_low_space(struct vvm *vm, vvm_low_space_callback callback, void *arg)
{
	ON_FIRM_STACK(int, vvm_on_low_space, vm, callback, arg);
	IN_CALL(vm);
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	lock_take(&vm->mapping);
	hook_set(&vm->low_space, (hook_callback)callback, arg);
	lock_drop(&vm->mapping);
	return 0;
}

/* ---- statistics ---- */

static void sum_latency(const struct vvm *vm, struct vvm_stats *out)
{
	const struct vvm_stat_segment *seg = vm->stats.segment;
	unsigned a, i;

	for (a = 0; a < VVM_STAT_ACTORS; a++)
		for (i = 0; i < VVM_STAT_BUCKETS; i++)
			out->latency[i] += __atomic_load_n(
				&seg->actor[a].latency[i], __ATOMIC_RELAXED);
}

int vvm_stats(struct vvm *vm, struct vvm_stats *stats, size_t struct_bytes)
{
	ON_FIRM_STACK(int, vvm_stats, vm, stats, struct_bytes);
	IN_CALL(vm);
	struct vvm_stats all;
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	if (!stats)
		return -EINVAL;
	memset(&all, 0, sizeof(all));
	space_publish(vm);
#define X(name, kind, help) all.name = stat_sum(&vm->stats, VVM_STAT_##name);
	VVM_STAT_COUNTERS(X)
#undef X
#define X(name, help)                                              \
	all.name = __atomic_load_n(&vm->stats.segment->value.name, \
				   __ATOMIC_RELAXED);
	VVM_STAT_VALUES(X)
#undef X
	sum_latency(vm, &all);
	memcpy(stats, &all, MIN(struct_bytes, sizeof(all)));
	return 0;
}
