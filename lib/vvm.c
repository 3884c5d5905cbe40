/* SPDX-License-Identifier: MIT */
/*
 * vvm.c - the public functions. They check arguments, refuse fork children,
 * call the module that does the work, and narrow its errors to the set that
 * vvm.h documents for each.
 */
#include "vvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "fault.h"
#include "fork.h"
#include "handler.h"
#include "inline.h"
#include "log.h"
#include "mapping.h"
#include "reclaim.h"
#include "ring.h"
#include "snapshot.h"
#include "streams.h"
#include "trap.h"

#define STRING(x)  #x
#define VERSION(x) STRING(x)

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
#define X(name, value, text)                                                   \
	case value:                                                            \
		return text;
		VVM_ERRORS(X)
#undef X
	default:
		text = strerrordesc_np(-error);
		return text ? text : "unknown error";
	}
}

/* ---- arguments ---- */

/* 0 when the space may be used by this process. */
static int usable(struct vvm *vm)
{
	if (!vm)
		return -EINVAL;
	if (space_forked(vm))
		return -ECHILD;
	if (unlikely(atomic_load_explicit(&vm->dormant, memory_order_acquire)))
		fork_rouse(vm);
	return 0;
}

/* The same, and a page range, whose end is stored. */
static int usable_range(struct vvm *vm, uint64_t addr, uint64_t len,
			gaddr_t *end)
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

/* Errors of the kernel that no caller could act on are a lack of memory. */
static int narrow(int rc, const char *what)
{
	switch (rc) {
	case -EINVAL:
	case -EEXIST:
	case -ENOMEM:
	case -EBUSY:
	case -EAGAIN:
		return rc;
	default:
		if (rc >= 0 || rc <= -VVM_EUNMAPPED)
			return rc;
		log_warn("%s: unexpected error %d from the kernel", what, -rc);
		return -ENOMEM;
	}
}

/* ---- options ---- */

static void options_from_conf(struct vvm_options *o, const struct conf *c)
{
	memset(o, 0, sizeof(*o));
	o->struct_bytes = sizeof(*o);
	o->resident_bytes = c->resident_bytes;
	o->swap_limit_bytes = c->swap_limit_bytes;
	o->swap_reserve = c->swap_reserve;
	o->swap_direct = c->swap_direct;
	o->io = (enum vvm_io)c->io;
	o->faults = (enum vvm_faults)c->faults;
	o->fork = (enum vvm_fork)c->fork;
	o->handlers = (unsigned)c->handlers;
	o->low_pct = (unsigned)c->low_pct;
	o->high_pct = (unsigned)c->high_pct;
	o->frame_wait_ms = c->frame_wait_ms;
	o->spin_us = (unsigned)c->spin_us;
	o->readahead_max_pages = (unsigned)c->readahead_max_pages;
	o->stat_segment = c->stat_segment;
}

static int options_to_conf(struct conf *c, const struct vvm_options *o)
{
	c->resident_bytes = o->resident_bytes;
	c->swap_limit_bytes = o->swap_limit_bytes;
	c->swap_reserve = o->swap_reserve;
	c->swap_direct = o->swap_direct;
	c->io = (int)o->io;
	c->faults = (int)o->faults;
	c->fork = (int)o->fork;
	c->handlers = o->handlers;
	c->low_pct = o->low_pct;
	c->high_pct = o->high_pct;
	c->frame_wait_ms = o->frame_wait_ms;
	c->spin_us = o->spin_us;
	c->readahead_max_pages = o->readahead_max_pages;
	c->stat_segment = o->stat_segment;
	if (o->swap_path && conf_set(c, "swap_path", o->swap_path) < 0)
		return -EINVAL;
	if (o->policy && conf_set(c, "policy", o->policy) < 0)
		return -EINVAL;
	return 0;
}

static int read_environment(struct conf *c)
{
	const char *bad = NULL;
	int rc;

	conf_defaults(c);
	rc = conf_environment(c, &bad);
	if (rc < 0) {
		log_error("environment variable %s has no valid value",
			  bad ? bad : "VVM_*");
		conf_defaults(c);
	}
	return rc < 0 ? -EINVAL : 0;
}

int vvm_options_init(struct vvm_options *options)
{
	struct conf *c;
	int rc;

	if (!options)
		return -EINVAL;
	c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	rc = read_environment(c);
	options_from_conf(options, c);
	options->swap_path = conf_text("swap_path", rc == 0);
	options->policy = conf_text("policy", rc == 0);
	free(c);
	return rc;
}

/* ---- open and close ---- */

static int check_machine(const struct conf *c)
{
	(void)c;
	if (os_page_size() != PAGE_BYTES) {
		log_error("pages of %llu bytes are not supported, only 4096",
			  (unsigned long long)os_page_size());
		return -ENOTSUP;
	}
#if !defined(__x86_64__)
	/* Elsewhere a signal does not say whether the access was a write. */
	if (c->faults == CONF_FAULTS_INLINE) {
		log_error("faults=inline is for x86-64 only");
		return -ENOTSUP;
	}
#endif
	return os_fork_watch();
}

static int configure(struct conf *c, const struct vvm_options *options)
{
	int rc = read_environment(c);

	if (rc == 0 && options) {
		if (options->struct_bytes != sizeof(*options))
			return -EINVAL;
		rc = options_to_conf(c, options);
	}
	if (rc == 0)
		rc = conf_check(c);
	if (rc == 0)
		log_set_level((enum log_level)c->log_level);
	return rc;
}

static int start(struct vvm *vm)
{
	int rc = streams_init(vm);

	if (rc == 0)
		rc = inline_init(vm);
	if (rc == 0)
		rc = fork_init(vm);
	if (rc < 0)
		goto no_inline;
	rc = reclaim_start(vm);
	if (rc < 0)
		goto no_inline;
	rc = handlers_start(vm);
	if (rc < 0)
		goto no_handlers;
	if (vm->lanes)
		rc = trap_register(vm);
	if (rc == 0)
		rc = fork_register(vm);
	if (rc == 0)
		return 0;
	trap_unregister(vm);
	atomic_store(&vm->stopping, true);
	handlers_stop(vm);
no_handlers:
	atomic_store(&vm->stopping, true);
	reclaim_stop(vm);
no_inline:
	fork_fini(vm);
	inline_fini(vm);
	streams_fini(vm);
	return rc;
}

/* The threads' rings are all that a permission could be missing for. */
static int start_error(int rc)
{
	if (rc != -EPERM && rc != -EACCES)
		return rc;
	log_error("io_uring is not permitted here; io=auto does without it");
	return -ENOSYS;
}

static int arm_injection(void)
{
	const char *spec = secure_getenv("VVM_INJECT");
	int rc = spec ? os_inject_parse(spec) : 0;

	if (rc < 0)
		log_error("VVM_INJECT: cannot make sense of \"%s\"", spec);
	return rc;
}

int vvm_open(struct vvm **out, const struct vvm_options *options)
{
	struct vvm *vm = NULL;
	struct conf *c;
	int rc;

	if (!out)
		return -EINVAL;
	c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	rc = configure(c, options);
	if (rc == 0)
		rc = check_machine(c);
	if (rc == 0)
		rc = space_new(&vm, c);
	free(c);
	if (rc < 0)
		return rc;
	rc = start(vm);
	if (rc < 0) {
		space_free(vm);
		return start_error(rc);
	}
	rc = arm_injection();
	if (rc < 0)
		vvm_close(vm);
	else
		*out = vm;
	return rc;
}

int vvm_close(struct vvm *vm)
{
	if (!vm)
		return 0;
	if (usable(vm) < 0)
		return -ECHILD;
	fork_unregister(vm);
	mapping_unmap_all(vm);
	trap_unregister(vm);
	atomic_store(&vm->stopping, true);
	handlers_stop(vm);
	reclaim_stop(vm);
	fork_fini(vm);
	inline_fini(vm);
	streams_fini(vm);
	space_free(vm);
	return 0;
}

int vvm_resize(struct vvm *vm, uint64_t resident_bytes)
{
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	if (resident_bytes < PAGE_BYTES)
		return -EINVAL;
	lock_take(&vm->mapping);
	rc = reclaim_resize(vm, resident_bytes >> PAGE_SHIFT,
			    vm->conf.frame_wait_ms);
	lock_drop(&vm->mapping);
	return rc;
}

/* ---- regions ---- */

int vvm_map(struct vvm *vm, uint64_t *addr, uint64_t len, unsigned prot,
	    const char *name)
{
	gaddr_t at, end;
	int rc;

	if (!addr)
		return -EINVAL;
	at = *addr;
	rc = usable_range(vm, at == VVM_ANYWHERE ? 0 : at, len, &end);
	if (rc < 0)
		return rc;
	if (prot & ~(unsigned)(VVM_READ | VVM_WRITE | VVM_EXEC))
		return -EINVAL;
	rc = mapping_map(vm, &at, page_ceil(len), prot, name);
	if (rc == 0)
		*addr = at;
	return narrow(rc, "vvm_map");
}

int vvm_unmap(struct vvm *vm, uint64_t addr, uint64_t len)
{
	gaddr_t end;
	int rc = usable_range(vm, addr, len, &end);

	return rc < 0 ? rc : narrow(mapping_unmap(vm, addr, end), "vvm_unmap");
}

int vvm_protect(struct vvm *vm, uint64_t addr, uint64_t len, unsigned prot)
{
	gaddr_t end;
	int rc = usable_range(vm, addr, len, &end);

	if (rc < 0)
		return rc;
	if (prot & ~(unsigned)(VVM_READ | VVM_WRITE | VVM_EXEC))
		return -EINVAL;
	return narrow(mapping_protect(vm, addr, end, prot), "vvm_protect");
}

static int advise_willneed(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	bool covered;

	rwlock_read(&vm->lock);
	covered = regions_cover(&vm->regions, start, end);
	rwlock_end_read(&vm->lock);
	if (!covered)
		return -VVM_EUNMAPPED;
	handlers_willneed(vm, start, end);
	return 0;
}

int vvm_advise(struct vvm *vm, uint64_t addr, uint64_t len,
	       enum vvm_advice advice)
{
	gaddr_t end;
	int rc = usable_range(vm, addr, len, &end);

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
	return narrow(rc, "vvm_advise");
}

int vvm_touch(struct vvm *vm, uint64_t addr, uint64_t len, enum vvm_touch how)
{
	gaddr_t end;
	int rc = usable_range(vm, addr, len, &end);

	if (rc < 0)
		return rc;
	if (how != VVM_TOUCH_READ && how != VVM_TOUCH_WRITE)
		return -EINVAL;
	return access_touch(vm, addr, end, how == VVM_TOUCH_WRITE);
}

int vvm_pin(struct vvm *vm, uint64_t addr, uint64_t len)
{
	gaddr_t end;
	int rc = usable_range(vm, addr, len, &end);

	return rc < 0 ? rc : access_pin(vm, addr, end);
}

int vvm_unpin(struct vvm *vm, uint64_t addr, uint64_t len)
{
	gaddr_t end;
	int rc = usable_range(vm, addr, len, &end);

	return rc < 0 ? rc : access_unpin(vm, addr, end);
}

int vvm_query(struct vvm *vm, uint64_t addr, struct vvm_region *region)
{
	const struct region *r;
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	if (!region)
		return -EINVAL;
	rwlock_read(&vm->lock);
	r = regions_next_guest(&vm->regions, addr);
	if (r) {
		region->start = r->start;
		region->end = r->end;
		region->host = (void *)(uintptr_t)r->host;
		region->prot = r->prot;
		region->advice = r->advice;
		region->mapping = r->mapping_id;
		memcpy(region->name, r->name, sizeof(region->name));
	}
	rwlock_end_read(&vm->lock);
	return r ? 0 : -VVM_EUNMAPPED;
}

int vvm_residency(struct vvm *vm, uint64_t addr, uint64_t len,
		  unsigned char *flags)
{
	gaddr_t end;
	int rc = usable_range(vm, addr, len, &end);

	if (rc < 0)
		return rc;
	return flags ? access_residency(vm, addr, end, flags) : -EINVAL;
}

void *vvm_ptr(struct vvm *vm, uint64_t addr)
{
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

int vvm_addr(struct vvm *vm, const void *ptr, uint64_t *addr)
{
	haddr_t host = (haddr_t)(uintptr_t)ptr;
	const struct region *r;
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	if (!addr)
		return -EINVAL;
	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, host);
	if (r)
		*addr = region_to_guest(r, host);
	rwlock_end_read(&vm->lock);
	return r ? 0 : -VVM_EUNMAPPED;
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
	int rc = usable_bytes(vm, addr, buf, len);

	if (rc)
		return rc < 0 ? rc : 0;
	return access_copy(vm, addr, buf, len, false);
}

int vvm_store(struct vvm *vm, uint64_t addr, const void *buf, size_t len)
{
	int rc = usable_bytes(vm, addr, buf, len);

	if (rc)
		return rc < 0 ? rc : 0;
	return access_copy(vm, addr, (void *)(uintptr_t)buf, len, true);
}

int vvm_fetch_check(struct vvm *vm, uint64_t addr, size_t len)
{
	int rc = usable_bytes(vm, addr, "", len);

	if (rc)
		return rc < 0 ? rc : 0;
	return access_check(vm, addr, len, PTE_EXEC);
}

/* ---- callbacks ---- */

int vvm_on_fault(struct vvm *vm, vvm_fault_callback callback, void *arg)
{
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	atomic_store(&vm->on_fault_arg, arg);
	atomic_store(&vm->on_fault, callback);
	if (callback)
		return trap_register(vm);
	if (!vm->lanes) /* inline mode needs the handler anyway */
		trap_unregister(vm);
	return 0;
}

int vvm_on_low_space(struct vvm *vm, vvm_low_space_callback callback, void *arg)
{
	int rc = usable(vm);

	if (rc < 0)
		return rc;
	atomic_store(&vm->low_space_arg, arg);
	atomic_store(&vm->low_space, callback);
	return 0;
}

/* ---- statistics and capabilities ---- */

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
#define X(name, help)                                                          \
	all.name = __atomic_load_n(&vm->stats.segment->value.name,             \
				   __ATOMIC_RELAXED);
	VVM_STAT_VALUES(X)
#undef X
	sum_latency(vm, &all);
	memcpy(stats, &all, MIN(struct_bytes, sizeof(all)));
	return 0;
}

static unsigned probe_uffd(int *error)
{
	static const struct {
		unsigned feature, flag;
	} map[] = {
		{OS_UFFD_WP_SHMEM, VVM_PROBE_WP_SHMEM},
		{OS_UFFD_THREAD_ID, VVM_PROBE_THREAD_ID},
		{OS_UFFD_POISON, VVM_PROBE_POISON},
	};
	enum os_uffd_method method;
	unsigned features = 0, flags = 0;
	size_t i;

	*error = os_uffd_probe(&features, &method);
	if (*error == -ENOSYS)
		return 0;
	flags |= VVM_PROBE_USERFAULTFD;
	if (*error < 0)
		return flags;
	flags |= VVM_PROBE_PERMITTED;
	if (method == OS_UFFD_USER_ONLY)
		flags |= VVM_PROBE_USER_ONLY;
	for (i = 0; i < ARRAY_SIZE(map); i++)
		if (features & map[i].feature)
			flags |= map[i].flag;
	if (!(flags & VVM_PROBE_WP_SHMEM))
		*error = -ENOSYS;
	return flags;
}

static unsigned probe_others(void)
{
	enum os_pagemap_method method = OS_PAGEMAP_READ;
	struct ring *ring;
	unsigned flags = 0;
	uint64_t bits[1];
	int fd;

	if (os_pagemap_open(&fd) == 0) {
		haddr_t here = page_floor((uintptr_t)&fd);

		if (os_pagemap_present(fd, here, 1, bits, &method) == 0 &&
		    method == OS_PAGEMAP_SCAN)
			flags |= VVM_PROBE_PAGEMAP_SCAN;
		os_close(fd);
	}
	if (ring_open(&ring, 1, RING_URING) == 0) {
		flags |= VVM_PROBE_IO_URING;
		ring_close(ring);
	}
	return flags;
}

static const char *probe_reason(int error)
{
	switch (error) {
	case 0:
		return "";
	case -ENOTSUP:
		return "only kernels with 4 KiB pages are supported";
	case -ENOSYS:
		return "the kernel is too old or built without userfaultfd: "
		       "write protection of shared memory needs Linux 5.19 "
		       "(CONFIG_USERFAULTFD, CONFIG_PTE_MARKER_UFFD_WP)";
	case -EPERM:
	case -EACCES:
		return "userfaultfd is not permitted: run as root or with "
		       "CAP_SYS_PTRACE, allow /dev/userfaultfd for this user, "
		       "set vm.unprivileged_userfaultfd=1, or lift the "
		       "container's seccomp filter";
	default:
		return "userfaultfd cannot be opened: out of descriptors or "
		       "memory?";
	}
}

int vvm_probe(struct vvm_probe *probe)
{
	int error = 0;

	if (!probe)
		return -EINVAL;
	memset(probe, 0, sizeof(*probe));
	probe->flags = probe_uffd(&error) | probe_others();
	if (os_page_size() == PAGE_BYTES)
		probe->flags |= VVM_PROBE_PAGE_SIZE;
	else
		error = -ENOTSUP;
	probe->usable = error == 0;
	probe->error = error;
	probe->reason = probe_reason(error);
	return 0;
}
