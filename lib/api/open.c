/* SPDX-License-Identifier: MIT */
/*
 * api/open.c - opening and closing a space: options, settings, and the modules
 * in the order in which they start and stop.
 */
#include "vvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fork/fork.h"
#include "fault/handler.h"
#include "fault/inline.h"
#include "util/log.h"
#include "map/mapping.h"
#include "evict/reclaim.h"
#include "fill/streams.h"
#include "fault/trap.h"
#include "api/impl.h"

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
	o->pollers = (unsigned)c->pollers;
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
	c->pollers = o->pollers;
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
	if (space_is_inline(vm))
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

static int open_space(struct vvm **out, const struct vvm_options *options)
{
	struct vvm *vm = NULL;
	struct conf *c;
	int rc;

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

int vvm_open(struct vvm **out, const struct vvm_options *options)
{
	int rc, state;

	if (!out)
		return -EINVAL;
	state = os_cancel_off();
	rc = open_space(out, options);
	os_cancel_restore(state);
	return rc;
}

int vvm_close(struct vvm *vm)
{
	int state;

	if (!vm)
		return 0;
	if (usable(vm) < 0)
		return -ECHILD;
	state = os_cancel_off();
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
	os_cancel_restore(state);
	return 0;
}
